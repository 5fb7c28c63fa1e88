"""What others would have to change for a job is told where it starts by that: those before it may have it first."""

import pytest

from controller.core import model
from headrace.explanations import Change
from headrace.jobs import Job, Timeouts
from headrace.neighbours import Neighbours
from headrace.nodes import Capacity, Drain, NodeDescription
from headrace.projects import Declared, Quota
from tests.core.lone_controller import MINUTE_MS, Controller, asks, wanted
from tests.core.small_world import AMD64, GIB

SMALL = {"p": Declared(quota=Quota(cpu_millis=4000), borrows=False)}


def world(*nodes: str, cores: int = 4) -> Controller:
    found = Controller(SMALL)
    for name in nodes:
        capacity = Capacity(cores * 1000, 32 * GIB)
        found.node(name, NodeDescription(platforms=(AMD64,), capacity=capacity))
    found.tick()
    return found


def waits(by: Controller, name: str, priority: int, **changes: object) -> Job:
    job = by.submit(wanted(display_name=name, resources=asks(4), priority=priority, **changes))
    by.settle()
    assert by.at(job) == ()
    return job


def of_others(by: Controller, job: Job) -> list[Change]:
    """The changes that are none of its own file."""
    return [one for one in by.explain(by.book.jobs[job.id]).changes if one.field not in ("priority", "resources.cpu")]


def cordoned() -> Controller:
    """One node is full, and the other closed."""
    found = world("n0", "n1")
    found.cluster.handle(model.DrainAsked(1, "n0", Drain.CORDONED))
    found.submit(wanted(display_name="full", resources=asks(4)))
    found.settle()
    return found


def test_a_node_that_would_take_jobs_again_is_told_to_the_one_that_would_have_it() -> None:
    by = cordoned()
    first, second = (waits(by, name, priority) for name, priority in (("first", 75), ("second", 40)))

    assert [(one.field, one.nodes) for one in of_others(by, first)] == [("nodes/n0 drain", ("n0",))]
    assert of_others(by, second) == []


def test_those_before_it_that_could_not_go_to_that_node_are_no_matter() -> None:
    by = cordoned()
    waits(by, "first", 75, where='name == "n1"')
    second = waits(by, "second", 40)

    assert [(one.field, one.nodes) for one in of_others(by, second)] == [("nodes/n0 drain", ("n0",))]


@pytest.mark.parametrize(("cores", "told"), [(6, [("nodes/n0 drain", ("n0",))]), (7, [])])
def test_a_node_is_told_though_one_before_it_waits_for_it_where_that_has_its_room_beside_it(
    cores: int, told: list[tuple[str, tuple[str, ...]]]
) -> None:
    by = world("n0", "n1", cores=8)
    by.cluster.handle(model.DrainAsked(1, "n0", Drain.CORDONED))
    by.submit(wanted(display_name="full", resources=asks(8)))
    by.settle()
    limit = Timeouts(run_ms=10 * MINUTE_MS)
    by.submit(wanted(display_name="first", resources=asks(6), priority=75, timeouts=limit))
    by.submit(wanted(display_name="second", resources=asks(cores), priority=60))
    third = by.submit(wanted(display_name="third", resources=asks(2), priority=40))
    by.settle()

    assert [(one.field, one.nodes) for one in of_others(by, third)] == told


def test_a_quota_is_told_with_which_those_of_the_project_that_are_before_start_as_well() -> None:
    by = world("n0", "n1", "n2")
    by.submit(wanted(display_name="full", project="p", resources=asks(4)))
    by.settle()
    first, second = (waits(by, name, priority, project="p") for name, priority in (("first", 75), ("second", 40)))

    assert [one.to_value for one in of_others(by, first)] == ["cpu = 8"]
    assert [one.to_value for one in of_others(by, second)] == ["cpu = 12"]


def test_that_another_keeps_apart_is_told_to_the_first_of_those_that_it_keeps_away() -> None:
    by = world("n0", cores=8)
    keeper = by.submit(wanted(display_name="keeper", resources=asks(4), neighbours=Neighbours(("kept",))))
    by.settle()
    first, second = (waits(by, "kept", priority) for priority in (75, 40))

    assert [one.field for one in of_others(by, first)] == [f"{keeper.name} apart_from"]
    assert of_others(by, second) == []


def test_another_s_priority_is_told_to_who_would_start_once_that_one_is_behind() -> None:
    by = Controller()
    by.node("n0", NodeDescription(platforms=(AMD64,), capacity=Capacity(4000, 8 * GIB)))
    by.tick()
    by.submit(wanted(display_name="runs", resources=asks(1, 4), timeouts=Timeouts(run_ms=10 * MINUTE_MS)))
    by.settle()
    head, first, second = (by.submit(wanted(resources=wants)) for wants in (asks(4, 1), asks(1, 1), asks(1, 4)))
    by.settle()

    assert [one.field for one in of_others(by, first)] == [f"{head.name} priority"]
    assert of_others(by, second) == []
