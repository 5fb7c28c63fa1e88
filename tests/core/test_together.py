"""Jobs of a line that are placed in one pass are where they would be one by one, and keep to the same rules."""

from dataclasses import replace
from typing import Any
from unittest.mock import patch

from hypothesis import given, settings
from hypothesis import strategies as st

from controller.core import assignments, model, together
from controller.core.placement.batch import choose_many
from controller.core.placement.fit import Unfit, fit
from headrace.jobs import JobSpec, JobState, Requests
from headrace.nodes import Capacity, Device, NodeDescription
from tests.core.lone_controller import Controller, wanted
from tests.core.small_world import AMD64, PINS
from tests.core.test_counterfactuals import QUOTAS, descriptions, devices, specs_of

specs = specs_of(most_cores=4, most_gib=4, limits=(None, 60_000, 600_000)).map(lambda one: replace(one, task_count=1))
arrays = st.tuples(specs, st.integers(2, 24)).map(lambda drawn: replace(drawn[0], element_count=drawn[1]))
EIGHT_CORES = NodeDescription(capacity=Capacity(8_000, 64 << 30), platforms=(AMD64,))
given_nodes = st.lists(st.tuples(descriptions, devices), min_size=1, max_size=6)


def controller(nodes: list[tuple[NodeDescription, tuple[Device, ...]]], *, has_quotas: bool) -> Controller:
    world = Controller(QUOTAS if has_quotas else None)
    for number, (description, its_devices) in enumerate(nodes):
        world.node(f"n{number}", description, its_devices)
    world.tick()
    return world


def submit(world: Controller, asked: JobSpec) -> None:
    """Where none of the nodes could ever run it, it is refused."""
    world.count += 1
    name = f"job-{world.count}"
    world.cluster.handle(model.Submitted(world.count, name, asked, PINS[:1], name))


def submit_together(world: Controller, asked: list[JobSpec]) -> None:
    """So many of each as its array would have, in one call; those of one spec follow on each other."""
    jobs = []
    for number, one in enumerate(asked):
        names = [f"job-{number}-{count:02}" for count in range(one.element_count)]
        plain = replace(one, element_count=1)
        jobs += [model.Submitted(0, name, plain, PINS[:1], name) for name in names]
    world.cluster.handle(model.SubmittedTogether(1, tuple(jobs)))


def places(world: Controller) -> dict[str, tuple[object, ...]]:
    """Of each job that has a place: that, and ahead of whom it has it until when."""
    found: dict[str, tuple[object, ...]] = {}
    for job in world.book.jobs.values():
        attempt = job.attempt
        if attempt is not None:
            found[job.id] = (attempt.node, attempt.devices, job.ahead_of, job.leave_by_time_ms)
    return found


@settings(deadline=None, max_examples=150)
@given(nodes=given_nodes, asked=st.lists(arrays, min_size=1, max_size=4), has_quotas=st.booleans())
def test_they_are_where_they_would_be_one_by_one(
    *, nodes: list[tuple[NodeDescription, tuple[Device, ...]]], asked: list[JobSpec], has_quotas: bool
) -> None:
    found = []
    for few in (together.FEW, 10**9):
        with patch.object(together, "FEW", few):
            world = controller(nodes, has_quotas=has_quotas)
            for one in asked:
                submit(world, one)
                world.tick()
            found.append(places(world))

    assert found[0] == found[1]


@settings(deadline=None, max_examples=150)
@given(nodes=given_nodes, asked=st.lists(arrays, min_size=1, max_size=4), has_quotas=st.booleans())
def test_so_are_those_that_come_in_one_call(
    *, nodes: list[tuple[NodeDescription, tuple[Device, ...]]], asked: list[JobSpec], has_quotas: bool
) -> None:
    found = []
    for few in (together.FEW, 10**9):
        with patch.object(together, "FEW", few):
            world = controller(nodes, has_quotas=has_quotas)
            submit_together(world, asked)
            at_once = places(world)
            world.tick()
            found.append((at_once, places(world)))

    assert found[0] == found[1]


def test_those_of_each_shape_that_come_in_one_call_are_placed_in_one_pass() -> None:
    world = controller([(EIGHT_CORES, ())] * 4, has_quotas=False)
    shapes = [wanted(resources=Requests(100 * size, 1)) for size in (1, 2, 3)]
    passes: list[int] = []

    def counted(*args: Any, **named: Any) -> object:
        passes.append(args[3])
        return choose_many(*args, **named)

    with patch.object(together, "choose_many", counted):
        submit_together(world, [replace(one, element_count=5) for one in shapes])

    assert passes == [5, 5, 5]
    assert len(places(world)) == 15


def test_of_those_that_come_in_one_call_the_more_urgent_ones_have_what_room_there_is() -> None:
    world = controller([(EIGHT_CORES, ())], has_quotas=False)
    plain = wanted(resources=Requests(1000, 1), element_count=4)
    another = replace(plain, resources=Requests(1000, 2))

    submit_together(world, [plain, replace(another, priority=60), replace(plain, priority=70)])

    found = sorted(places(world))
    assert found == [f"job-{which}-0{number}" for which in (1, 2) for number in range(4)]


@settings(deadline=None, max_examples=100)
@given(nodes=given_nodes, later=given_nodes, asked=st.lists(arrays, min_size=1, max_size=4), has_quotas=st.booleans())
def test_no_node_is_over_its_capacity_no_project_over_its_quota_and_none_waits_that_fits(
    *,
    nodes: list[tuple[NodeDescription, tuple[Device, ...]]],
    later: list[tuple[NodeDescription, tuple[Device, ...]]],
    asked: list[JobSpec],
    has_quotas: bool,
) -> None:
    world = controller(nodes, has_quotas=has_quotas)
    for one in asked:
        submit(world, one)
    for number, (description, its_devices) in enumerate(later):
        world.node(f"late{number}", description, its_devices)
    world.settle()
    book = world.book

    for node in book.nodes.values():
        # Of jobs alone: what others are to leave for one is promised while they still have it.
        held, capacity = assignments.usage(node.id, book.jobs_at(node.id)), node.description.capacity
        assert held.cpu_millis <= capacity.cpu_millis
        assert held.memory_bytes <= capacity.memory_bytes
        assert len(dict.fromkeys(held.devices)) == len(held.devices)
        assert all(sum(part.millis for part in held.parts_of(device)) <= 1000 for device in node.devices)
    if has_quotas:
        held_by_p = book.projects.held.get("p")
        assert held_by_p is None or held_by_p.cpu_millis <= (QUOTAS["p"].quota.cpu_millis or 0)
    elif len({one.project for one in asked}) == 1:
        for job in book.jobs.values():
            if job.waits_for_place and job.state is JobState.QUEUED and not book.turns.kept:
                offered = [
                    fit(job, node, book.usage(node.id), now_wall_ms=book.wall_ms) for node in book.nodes.values()
                ]
                assert all(isinstance(one, Unfit) for one in offered)
