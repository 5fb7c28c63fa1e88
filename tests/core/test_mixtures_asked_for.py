"""Whom a gang has leave that takes several sorts of devices: also where some tasks have one and some another."""

from dataclasses import replace

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from controller.core import keeping
from controller.core.book import Book, Policy
from controller.core.cluster import Cluster
from controller.core.fairness import Fading
from controller.core.model import Submitted, Ticked
from controller.core.placement.fit import Usage
from controller.core.placement.gang import choose_all
from controller.core.projects import Projects
from headrace.attempts import Attempt, AttemptState
from headrace.jobs import AcceleratorRequest, Job, JobState, Requests
from headrace.nodes import Node
from headrace.projects import Declared, Quota
from tests.core.small_world import AMD64, GIB, PINS, spec
from tests.core.test_mixtures import KINDS, Drawn, gang_of, several, world_of
from tests.core.test_whom_to_ask import WALL_MS

# Whether a device is idle, or held by a job that may be asked to leave, or by one that may not.
IDLE, MAY_LEAVE, STAYS = 0, 1, 2
drawn_nodes = st.lists(
    st.tuples(
        st.sampled_from((2, 4, 8)),
        st.lists(st.tuples(st.sampled_from(KINDS), st.sampled_from((IDLE, MAY_LEAVE, STAYS))), min_size=2, max_size=4),
    ),
    min_size=1,
    max_size=3,
)


def running(node: Node, device: str, priority: int, project: str) -> Job:
    attempt = Attempt(
        device, 1, node.id, state=AttemptState.RUNNING, image=PINS[0].image, platform=AMD64, devices=(device,)
    )
    wanted = spec(project=project, priority=priority, resources=Requests(0, GIB // 64, AcceleratorRequest(1)))
    placed = Job(f"jobs/on-{device}", wanted, state=JobState.RUNNING, images=PINS, epoch=1, node=node.id)
    return replace(placed, attempts=(attempt,))


def cluster(drawn: Drawn, project: str = "default", **declared: Declared) -> Cluster:
    """Nodes on which jobs of a project hold devices, one each."""
    nodes, _, _ = world_of([(cores, [(kind, 0) for kind, _ in some]) for cores, some in drawn])
    jobs = tuple(
        running(node, device.id, 100 if state == STAYS else 10, project)
        for node, (_, some) in zip(nodes, drawn, strict=True)
        for device, (_, state) in zip(node.devices, some, strict=True)
        if state != IDLE
    )
    found = Cluster(Book("cluster-1", Policy(), jobs, tuple(nodes), Projects(declared, Fading(1_000, 1_000))))
    found.handle(Ticked(1_000, WALL_MS))
    return found


def held(world: Cluster, gone: list[Job]) -> dict[str, Usage]:
    """By node, what jobs that were there first have once some have gone."""
    names = {job.id for job in gone}
    stay = [job for job in world.book.jobs.values() if job.id.startswith("on-") and job.id not in names]
    usages = dict.fromkeys(world.book.nodes, Usage())
    for job in stay:
        usages[job.attempts[0].node] = usages[job.attempts[0].node].plus(job.spec, job.attempts[0].devices)
    return usages


def submitted(world: Cluster, asked: list[AcceleratorRequest], count: int, **others: str) -> list[Job]:
    """Who is asked to leave for an urgent gang."""
    resources = Requests(1000, GIB // 64, asked[0], tuple(asked[1:]))
    wanted = spec(priority=90, task_count=count, resources=resources, **others)
    world.handle(Submitted(1, "urgent", wanted, PINS))
    # Where nodes are many, it is by turns with those for whom room is looked for.
    for turn in range(1, 5):
        world.handle(Ticked(1_000 + 500 * turn, WALL_MS + 500 * turn))
    return [job for job in world.book.jobs.values() if job.preemptor == "urgent"]


# The first task would have the A100, which is idle, as one of two: what is left is not enough for another one.
TWO_OR_ONE = [AcceleratorRequest(2), AcceleratorRequest(1, 'model == "A100"')]
AS_MIXTURE = [(8, [(KINDS[1], IDLE), (KINDS[0], IDLE), (KINDS[0], MAY_LEAVE)])]


@pytest.mark.parametrize("few", [keeping.FEW, 0])
@settings(max_examples=150, deadline=None)
@given(drawn_nodes, several, st.integers(2, 5))
@example(AS_MIXTURE, TWO_OR_ONE, 2)
def test_a_gang_has_others_leave_wherever_its_tasks_have_places_by_that_with_whatever_devices(
    few: int, drawn: Drawn, asked: list[AcceleratorRequest], count: int
) -> None:
    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(keeping, "FEW", few)
        world = cluster(drawn)
        leave = submitted(world, asked, count)
    tasks = gang_of(count, asked, (), apart=False)

    def have_places(gone: list[Job]) -> bool:
        return bool(choose_all(tasks, list(world.book.nodes.values()), held(world, gone).__getitem__, now_wall_ms=0))

    low = [job for job in world.book.jobs.values() if job.spec.priority == 10]
    begun = world.book.jobs["urgent"].state is not JobState.QUEUED
    assert begun == have_places([])
    assert bool(leave) == (have_places(low) and not begun)
    assert not leave or have_places(leave)


def test_who_leaves_is_who_has_what_is_asked_for_though_others_have_as_much() -> None:
    nodes = [(8, [(KINDS[1], MAY_LEAVE), (KINDS[0], MAY_LEAVE), (KINDS[1], MAY_LEAVE)])]

    assert [job.id for job in submitted(cluster(nodes), [AcceleratorRequest(1, 'model == "H100"')], 1)] == ["on-0-1"]


def of_another_project(nodes: Drawn, count: int, own: int, others: int) -> list[str]:
    """Who leaves for what is a project's own, in thousandths of devices, where others have so much that is theirs."""
    declared = {"own": Declared(quota=Quota(device_millis=own)), "lent": Declared(quota=Quota(device_millis=others))}
    return [job.id for job in submitted(cluster(nodes, "lent", **declared), TWO_OR_ONE, count, project="own")]


def test_who_leaves_for_a_mixture_gives_back_what_is_lent_and_no_more() -> None:
    [(cores, some)] = AS_MIXTURE
    two = [(cores, [*some, (KINDS[1], MAY_LEAVE)])]

    assert of_another_project(two, 3, 4_000, 0) == ["on-0-2", "on-0-3"]
    assert of_another_project(two, 3, 4_000, 1_000) == []


def test_a_gang_that_is_a_mixture_keeps_to_what_is_its_own() -> None:
    assert of_another_project(AS_MIXTURE, 2, 3_000, 0) == ["on-0-2"]
    assert of_another_project(AS_MIXTURE, 2, 2_999, 0) == []


def test_nobody_leaves_for_a_mixture_who_is_not_needed_for_it() -> None:
    [(cores, some)] = AS_MIXTURE
    nodes = [(cores, [(KINDS[3], MAY_LEAVE), *some]), (cores, [(KINDS[3], MAY_LEAVE)])]

    assert [job.id for job in submitted(cluster(nodes), TWO_OR_ONE, 2)] == ["on-0-3"]
