"""Quotas have several figures, of which each counts by itself: what was borrowed of one takes nothing of another."""

from itertools import permutations

from hypothesis import given
from hypothesis import strategies as st

from controller.core.fairness import Fading
from controller.core.order import in_order
from controller.core.preemption import Victim, gives_back_no_more_than_borrowed
from controller.core.projects import NOTHING, Projects
from headrace.jobs import AcceleratorRequest, Job, JobState
from headrace.nodes import Capacity, Device, NodeDescription
from headrace.projects import Amount, Declared, Quota
from tests.core.lone_controller import Controller, asks, wanted
from tests.core.small_world import AMD64, GIB

DEVICE = AcceleratorRequest(1)


def quota(cores: int, devices: int | None = None, *, borrows: bool = True) -> Declared:
    return Declared(quota=Quota(None, None if devices is None else devices * 1000, cores * 1000), borrows=borrows)


def cluster(devices: dict[str, int], **declared: Declared) -> Controller:
    """Nodes of four cores each, with so many devices."""
    found = Controller(declared)
    for name, count in devices.items():
        some = tuple(Device(f"{name}-{number}", "gpu", "nvidia", "A100", number) for number in range(count))
        found.node(name, NodeDescription(platforms=(AMD64,), capacity=Capacity(4_000, 8 * GIB)), some)
    found.tick()
    return found


def leave(world: Controller) -> list[str]:
    return [job.id for job in world.book.jobs.values() if job.preemptor]


def one_has_borrowed_a_device(*, more: Declared) -> tuple[Controller, Job, Job, Job]:
    """Of three projects: q has all its cores and a device too many, r too many cores, whose job is dearer."""
    world = cluster({"a": 2, "b": 0, "c": 0}, p=quota(4), q=more, r=quota(4))
    devices = world.submit(wanted(project="q", resources=asks(1, devices=AcceleratorRequest(2))))
    world.submit(wanted(project="r", resources=asks(4)))
    lent = world.submit(wanted(project="r", resources=asks(3, memory=7)))
    own = world.submit(wanted(project="q", resources=asks(3)))
    world.settle()
    assert all(world.at(one) for one in (devices, lent, own))
    return world, devices, lent, own


def test_who_has_borrowed_devices_gives_back_no_cores_of_its_own() -> None:
    world, _, lent, _ = one_has_borrowed_a_device(more=quota(4, 1))
    world.submit(wanted(project="p", resources=asks(3)))
    world.settle()
    assert leave(world) == [lent.id]


def test_who_has_borrowed_devices_has_its_own_cores_back() -> None:
    world, _, lent, _ = one_has_borrowed_a_device(more=quota(7, 1))
    world.submit(wanted(project="q", resources=asks(3)))
    world.settle()
    assert leave(world) == [lent.id]


def test_who_has_borrowed_devices_gives_them_back_to_whom_they_are() -> None:
    world, devices, _, _ = one_has_borrowed_a_device(more=quota(4, 1))
    world.submit(wanted(project="p", resources=asks(1, devices=DEVICE)))
    world.settle()
    assert leave(world) == [devices.id]


def test_a_quota_that_is_exceeded_refuses_only_what_adds_to_it() -> None:
    world = cluster({"a": 2, "b": 1}, p=quota(8, 2, borrows=False))
    for _ in range(2):
        world.submit(wanted(project="p", resources=asks(1, devices=DEVICE)))
    world.book.projects.declared = {"p": quota(8, 1, borrows=False)}

    assert world.at(world.submit(wanted(project="p", resources=asks(1))))
    waits = world.submit(wanted(project="p", resources=asks(1, devices=DEVICE)))
    assert waits.state is JobState.QUEUED
    assert waits.reason == "waits: its project p does not borrow, and has a quota of 1 devices"


def test_its_own_cores_are_a_projects_turn_before_others_borrow_though_it_has_borrowed_devices() -> None:
    world, *_ = one_has_borrowed_a_device(more=quota(7, 1))
    first, second = (Job(f"jobs/{name}", wanted(project=name, resources=asks(1))) for name in "rq")
    assert in_order(world.book, [first, second]) == [second, first]


figures = st.tuples(st.integers(0, 3), st.integers(0, 3), st.integers(0, 3))


@given(st.lists(figures, min_size=1, max_size=4), figures, figures)
def test_each_gives_back_in_some_order_what_is_lent_when_it_goes(
    drawn: list[tuple[int, int, int]], most: tuple[int, int, int], asked: tuple[int, int, int]
) -> None:
    amounts = [Amount(*one) for one in drawn]
    projects = Projects({"q": Declared(quota=Quota(*most))}, Fading(1_000, 1_000))
    projects.held["q"] = NOTHING
    for one in amounts:
        projects.held["q"] = projects.held["q"].plus(one)
    victims = [Victim(str(number), (), 1.0, "q", one) for number, one in enumerate(amounts)]

    def is_lent(order: tuple[Amount, ...]) -> bool:
        left = projects.held["q"]
        for one in order:
            each = zip(left.figures, most, one.figures, asked, strict=True)
            if not any(had > own and has > 0 and ask > 0 for had, own, has, ask in each):
                return False
            left = left.minus(one)
        return True

    found = gives_back_no_more_than_borrowed(victims, projects, Amount(*asked))
    assert found is any(is_lent(order) for order in permutations(amounts))
