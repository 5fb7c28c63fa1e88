"""A larger quota is told as what would have a job start where it does by that, whomever room is kept for then."""

import pytest

from headrace.jobs import Job, Requests, Timeouts
from headrace.nodes import Capacity, NodeDescription
from headrace.projects import Declared, Quota
from tests.core.lone_controller import MINUTE_MS, Controller, made, wanted
from tests.core.small_world import AMD64, GIB

HOUR_MS = 60 * MINUTE_MS


def world_of(*cores: int, weight: float = 1.0) -> Controller:
    """Nodes of so many cores; project p has a quota of three, and q none, and this weight."""
    world = Controller({"p": Declared(quota=Quota(cpu_millis=3000), borrows=False), "q": Declared(weight=weight)})
    for number, count in enumerate(cores):
        capacity = Capacity(1000 * count, 64 * GIB)
        world.node(f"n{number}", NodeDescription(platforms=(AMD64,), capacity=capacity))
    world.tick()
    return world


def submitted(world: Controller, project: str, cpu_millis: int, tasks: int = 1, **changes: object) -> Job:
    limits = Timeouts(run_ms=changes.pop("run_ms", None), start_ms=MINUTE_MS if tasks > 1 else None)  # type: ignore[arg-type]
    changes = {"priority": 50, "resources": Requests(cpu_millis, GIB), **changes}
    return world.submit(wanted(project=project, task_count=tasks, timeouts=limits, **changes))


def one_kept_from_it() -> tuple[Controller, Job]:
    """A gang of q has its turn before the job, as one of p is before that which no quota would have start."""
    world = world_of(3, 4)
    submitted(world, "q", 3000, run_ms=HOUR_MS)
    submitted(world, "p", 2000, run_ms=HOUR_MS)
    submitted(world, "q", 2000, tasks=3)
    job = submitted(world, "p", 1500)
    submitted(world, "p", 5000, priority=59)
    return world, job


def one_sent_elsewhere() -> tuple[Controller, Job]:
    """The same, and there is a node that the gang has no use of."""
    world = world_of(6, 6, 3)
    submitted(world, "p", 2500)
    submitted(world, "q", 5000, tasks=2)
    submitted(world, "p", 5000)
    return world, submitted(world, "p", 1500)


def one_that_room_moves_to() -> tuple[Controller, Job]:
    """Of a node on which room is kept for a gang another job of p has it then: it is kept on the next."""
    world = world_of(8, 6, 4, weight=2.0)
    for project, cpu_millis, tasks, run_ms in [
        ("p", 3000, 1, None),
        ("p", 2000, 1, None),
        ("p", 1500, 1, None),
        ("q", 1000, 3, None),
        ("q", 1500, 2, 10 * MINUTE_MS),
        ("q", 2000, 1, 10 * MINUTE_MS),
        ("q", 2500, 3, None),
    ]:
        submitted(world, project, cpu_millis, tasks, run_ms=run_ms)
    return world, submitted(world, "p", 500)


def that_room_is_kept_beside() -> tuple[Controller, Job]:
    """Another job of p finds no room, which is kept for it: those between them start elsewhere by that."""
    world = world_of(6, 8, 4)
    job = submitted(world, "p", 4000, priority=40)
    submitted(world, "p", 2000, priority=51, run_ms=HOUR_MS)
    world.tick(MINUTE_MS)
    submitted(world, "q", 4000, priority=46)
    submitted(world, "p", 5000, priority=43)
    submitted(world, "p", 1500, priority=57, run_ms=10 * MINUTE_MS)
    world.tick()
    submitted(world, "p", 3500, priority=41)
    submitted(world, "p", 4500, priority=41)
    return world, job


@pytest.mark.parametrize(
    "given", [one_kept_from_it, one_sent_elsewhere, one_that_room_moves_to, that_room_is_kept_beside]
)
def test_a_quota_is_told_with_where_a_job_starts_by_it_though_room_is_kept_for_others(given: object) -> None:
    world, job = given()  # type: ignore[operator]
    world.settle()

    for change in world.explain(world.book.jobs[job.id]).changes:
        if change.field == "projects.p.quota":
            after, _ = made(world, job.spec, change)
            for _ in range(20):
                after.tick(1_000)
            assert after.at(job) == change.nodes


def test_a_quota_is_told_of_a_job_where_no_room_is_kept() -> None:
    """Of the worlds above, without the gang of the other project."""
    world = world_of(6, 6, 3)
    submitted(world, "p", 2500)
    submitted(world, "q", 5000)
    job = submitted(world, "p", 1500)
    world.settle()

    (change,) = [one for one in world.explain(world.book.jobs[job.id]).changes if one.field == "projects.p.quota"]

    after, _ = made(world, job.spec, change)
    after.settle()
    assert after.at(job) == change.nodes
    assert change.to_value == "cpu = 4"
