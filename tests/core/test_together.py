"""Jobs of a line that are placed in one pass are where they would be one by one, and keep to the same rules."""

from dataclasses import replace
from unittest.mock import patch

from hypothesis import given, settings
from hypothesis import strategies as st

from controller.core import assignments, model, together
from controller.core.placement.fit import Unfit, fit
from headrace.jobs import JobSpec, JobState
from headrace.nodes import Device, NodeDescription
from tests.core.lone_controller import Controller
from tests.core.small_world import PINS
from tests.core.test_counterfactuals import QUOTAS, descriptions, devices, specs_of

specs = specs_of(most_cores=4, most_gib=4, limits=(None, 60_000, 600_000)).map(lambda one: replace(one, task_count=1))
arrays = st.tuples(specs, st.integers(2, 24)).map(lambda drawn: replace(drawn[0], element_count=drawn[1]))
given_nodes = st.lists(st.tuples(descriptions, devices), min_size=1, max_size=6)


def controller(nodes: list[tuple[NodeDescription, tuple[Device, ...]]], *, has_quotas: bool) -> Controller:
    world = Controller(QUOTAS if has_quotas else None)
    for number, (description, its_devices) in enumerate(nodes):
        world.node(f"n{number}", description, its_devices)
    world.tick()
    return world


def submit(world: Controller, wanted: JobSpec) -> None:
    """Where none of the nodes could ever run it, it is refused."""
    world.count += 1
    name = f"job-{world.count}"
    world.cluster.handle(model.Submitted(world.count, name, wanted, PINS[:1], name))


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
