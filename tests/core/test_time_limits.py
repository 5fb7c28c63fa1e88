"""Laws of a job's limits of time: over means over, and what has not begun, or has no limit, is never over."""

from dataclasses import replace

import pytest

from agent.runtimes.runtime import Ref
from controller.core.leaving import left
from controller.core.model import begun
from headrace.attempts import Attempt, AttemptState
from headrace.jobs import Job, JobState, Level, Migration, MigrationState, Requests, Retry, RetryCause, Timeouts
from tests.core.small_world import AMD64, GIB, World, spec

LIMIT_MS = 5_000
MINUTE_MS = 60_000
HOUR_MS = 3_600_000


def test_a_job_may_run_for_the_whole_of_its_time() -> None:
    world = World(a=AMD64)
    world.submit(timeouts=Timeouts(run_ms=LIMIT_MS))

    world.pass_time(LIMIT_MS)
    assert world.job().state is JobState.RUNNING
    world.pass_time(1_000)

    assert world.job().state is JobState.FAILED


def test_a_job_may_wait_for_the_whole_of_its_time() -> None:
    world = World()
    submitted_ms = world.now_ms
    world.submit(timeouts=Timeouts(queue_ms=LIMIT_MS))

    world.pass_time(submitted_ms + LIMIT_MS - world.now_ms)
    assert world.job().state is JobState.QUEUED
    world.pass_time(1_000)

    assert world.job().state is JobState.FAILED


def test_a_job_that_is_not_known_to_run_yet_has_not_run_for_too_long() -> None:
    world = World(a=AMD64)
    world.sites["a"].cut = True
    world.submit(timeouts=Timeouts(run_ms=LIMIT_MS))

    world.pass_time(4 * LIMIT_MS)

    assert (world.job().state, world.job().start_time_ms) == (JobState.STARTING, None)


@pytest.mark.parametrize("cpu_millis", [1_000, 64_000], ids=["runs", "waits"])
def test_a_job_without_a_limit_is_ended_by_none(cpu_millis: int) -> None:
    world = World(a=AMD64)
    before = world.submit(resources=Requests(cpu_millis, GIB))

    world.pass_time(HOUR_MS)

    assert world.job().state is before.state


def test_the_time_that_a_job_may_run_is_not_used_up_by_its_wait() -> None:
    world = World()
    world.submit(timeouts=Timeouts(run_ms=LIMIT_MS))
    world.pass_time(4 * LIMIT_MS)

    world.join("a", AMD64)
    world.pass_time(LIMIT_MS)

    assert world.job().state is JobState.RUNNING


@pytest.mark.parametrize("task_count", [1, 2], ids=["a job", "a gang"])
def test_a_job_that_is_refused_wherever_it_goes_has_waited_since_it_began_to(task_count: int) -> None:
    world = World(a=AMD64)
    world.sites["a"].engine.pulls = False
    world.submit(timeouts=Timeouts(queue_ms=5 * MINUTE_MS), task_count=task_count)

    world.pass_time(4 * MINUTE_MS)
    assert (world.job().state, world.job().epoch > 2) == (JobState.QUEUED, True)
    world.pass_time(2 * MINUTE_MS)

    assert world.job().state is JobState.FAILED
    assert "timeouts.queue" in world.job().reason


def test_a_job_that_a_node_could_not_start_keeps_its_turn() -> None:
    world = World(a=AMD64)
    world.sites["a"].engine.pulls_slowly = True
    for name in ("first", "second", "third"):
        world.submit(name, resources=Requests(4_000, GIB))
        world.pass_time(1_000)
    world.image_cannot_come("a", "first")
    world.image_comes("a", "second")
    world.pass_time(2 * MINUTE_MS)

    world.exit(Ref("second", 0, 1), 0)
    world.pass_time(2_000)

    assert [world.job(one).node for one in ("first", "third")] == ["a", ""]


def test_a_job_that_has_run_waits_anew_once_it_leaves() -> None:
    world = World(a=AMD64)
    world.submit(retry=Retry(1, (RetryCause.EXIT_NONZERO,)))
    world.pass_time(MINUTE_MS)

    world.exit(Ref("train-1", 0, 1), 1)

    assert (world.job().queue_time_ms or 0) - (world.job().create_time_ms or 0) > MINUTE_MS


def leaves(job: Job, wall_ms: int) -> Job:
    return left(job, [job], wall_ms, "")


def begins(job: Job, wall_ms: int) -> Job:
    attempt = Attempt(job.id, job.epoch, "a", state=AttemptState.PREPARING)
    return begun(job, wall_ms, attempts=(*job.attempts, attempt))


def ran_until(wall_ms: int) -> Job:
    """A job that ran and left its place."""
    attempt = Attempt("a", 1, "n", state=AttemptState.EXITED, start_time_ms=1)
    ran = Job("jobs/a", spec(), JobState.RUNNING, epoch=1, attempts=(attempt,), start_time_ms=1, queue_time_ms=1)
    return leaves(ran, wall_ms)


def test_no_part_of_a_wait_is_twice_what_the_time_to_run_does_not_count() -> None:
    refused = leaves(begins(ran_until(100), 150), 160)
    again = leaves(begins(refused, 180), 200)

    job = begins(again, 230)

    assert (job.queue_time_ms, job.uncounted_ms) == (100, 130)


def test_a_move_that_fails_is_no_wait() -> None:
    moving = begins(ran_until(100), 100)
    move = Migration(MigrationState.ABORTED, Level.CHECKPOINT, "a", "b", 1, "", AMD64, target_epoch=moving.epoch)

    back = begins(leaves(replace(moving, migrations=(move,)), 150), 150)

    assert (back.queue_time_ms, back.uncounted_ms) == (150, None)
