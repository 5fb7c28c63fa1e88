"""Laws of pauses: a job that ends again and again soon after its start is started again ever more seldom."""

from dataclasses import replace

import pytest

from agent.runtimes.runtime import Ref
from controller.core import backoff
from headrace.attempts import FIRST_KEPT, LAST_KEPT, Attempt, AttemptState
from headrace.jobs import Job, JobState, MigrationState, Retry, RetryCause, Timeouts
from tests.core.small_world import AMD64, ARM64, World, spec

BEGUN_MS = 1_700_000_000_000


def left(world: World, code: int = 85) -> Job:
    """The job, whose container has just exited by itself."""
    job = world.job()
    ref = Ref(job.id, 0, job.epoch)
    world.sites[job.node].saved_changes[ref] = code == 85
    world.exit(ref, code)
    return world.job()


def all_left(world: World) -> list[Job]:
    """The tasks of the gang, all of whose containers have just exited by themselves; or the job, if it is none."""
    job = world.job()
    for task in world.cluster.book.tasks(job) if job.is_gang else [job]:
        ref = Ref(task.id, task.task, task.epoch)
        world.sites[task.node].saved_changes[ref] = True
        world.exit(ref, 85)
    return list(world.cluster.book.tasks(job) if job.is_gang else [world.job()])


def ended_soon(times: int, **changes: object) -> tuple[Attempt, ...]:
    """Attempts of a second each."""
    attempt = Attempt("train-1", 1, state=AttemptState.EXITED, exit_code=85)
    attempt = replace(attempt, start_time_ms=BEGUN_MS, end_time_ms=BEGUN_MS + 1_000)
    attempt = replace(attempt, **changes)  # type: ignore[arg-type]
    return tuple(replace(attempt, epoch=epoch) for epoch in range(1, times + 1))


def pause_ms(*attempts: Attempt) -> int:
    until_ms = backoff.until_ms(Job("jobs/train-1", spec(), attempts=attempts))
    return until_ms - BEGUN_MS - 1_000 if until_ms else 0


def test_a_job_that_leaves_at_once_is_started_again_at_once_the_first_time() -> None:
    world = World(a=AMD64)
    world.submit()

    assert left(world).state is JobState.RUNNING


def test_a_job_that_leaves_at_once_again_waits_and_says_until_when_and_why() -> None:
    world = World(a=AMD64)
    world.submit()
    left(world)

    job = left(world)

    assert job.state is JobState.QUEUED
    assert job.reason == ("starts again at 2023-11-14 22:13:22 UTC: it ended 2 times in a row within 10 s of its start")


def test_a_job_starts_again_when_its_pause_is_over() -> None:
    world = World(a=AMD64)
    world.submit()
    left(world)
    left(world)

    world.pass_time(1_000)

    assert world.job().state is JobState.RUNNING
    assert world.job().reason == ""


@pytest.mark.parametrize(("times", "seconds"), [(1, 0), (2, 1), (3, 2), (4, 4), (7, 32), (8, 60), (100, 60)])
def test_a_pause_doubles_from_a_second_to_a_minute(times: int, seconds: int) -> None:
    assert pause_ms(*ended_soon(times)) == seconds * 1_000


def test_an_attempt_that_ran_for_long_enough_ends_the_row() -> None:
    long = ended_soon(1, start_time_ms=BEGUN_MS - backoff.SOON_MS)

    assert pause_ms(*ended_soon(5), *long) == 0
    assert pause_ms(*ended_soon(5), *long, *ended_soon(2)) == 1_000


@pytest.mark.parametrize(("ran_ms", "seconds"), [(9_999, 1), (10_000, 0)])
def test_soon_is_within_ten_seconds(ran_ms: int, seconds: int) -> None:
    ended_ms = BEGUN_MS + 1_000

    assert pause_ms(*ended_soon(2, start_time_ms=ended_ms - ran_ms)) == seconds * 1_000


@pytest.mark.parametrize(
    "changes",
    [{"stop_requested": True}, {"exit_code": None}, {"state": AttemptState.RUNNING, "end_time_ms": None}],
    ids=["asked to", "container lost", "node lost"],
)
def test_an_attempt_that_did_not_leave_by_itself_ends_the_row(changes: dict[str, object]) -> None:
    assert pause_ms(*ended_soon(5), *ended_soon(1, **changes)) == 0


def test_an_attempt_that_never_ran_says_nothing() -> None:
    refused = ended_soon(1, state=AttemptState.REFUSED, exit_code=None, start_time_ms=None)

    assert pause_ms(*ended_soon(3), *refused) == 2_000


def test_a_job_that_fails_at_once_waits_before_it_is_tried_again() -> None:
    world = World(a=AMD64, b=AMD64, c=AMD64)
    world.submit(retry=Retry(5, (RetryCause.EXIT_NONZERO,)))
    left(world, 1)

    assert left(world, 1).reason.startswith("starts again at ")


def test_a_pause_goes_on_over_a_restart_of_the_controller() -> None:
    world = World(a=AMD64)
    world.submit()
    for _ in range(3):
        left(world)
        world.pass_time(1_000)
    assert world.job().state is JobState.QUEUED

    world.restart_controller()

    assert world.job().state is JobState.QUEUED
    world.pass_time(2_000)
    assert world.job().state is JobState.RUNNING


@pytest.mark.parametrize("task_count", [1, 2], ids=["a job", "a gang"])
def test_a_clock_that_is_set_back_has_no_pause_last_for_longer_from_then_on(task_count: int) -> None:
    world = World(a=AMD64)
    world.submit(task_count=task_count)
    for _ in range(3):
        left_ones = all_left(world)
        world.pass_time(1_000)
    assert world.job().state is JobState.QUEUED
    left_ms = max(map(backoff.until_ms, left_ones)) - world.cluster.book.wall_ms

    world.wall_began_ms -= 3_600_000
    world.restart_controller()
    world.pass_time(1_000)
    assert world.job().state is JobState.QUEUED
    world.pass_time(left_ms + 1_000)

    assert world.job().state is JobState.RUNNING


def test_a_bounded_pause_is_as_long_from_now_as_it_was_from_the_end_and_its_attempt_ran_for_as_long() -> None:
    job = Job("jobs/train-1", spec(), attempts=ended_soon(4))

    bounded = backoff.bounded(job, wall_ms=BEGUN_MS - 3_600_000)

    assert backoff.until_ms(bounded) == BEGUN_MS - 3_600_000 + 4_000
    assert bounded.attempts[:-1] == job.attempts[:-1]
    assert bounded.attempts[-1].start_time_ms == BEGUN_MS - 3_600_000 - 1_000


def test_a_pause_that_no_clock_has_made_longer_is_left_as_it_is() -> None:
    job = Job("jobs/train-1", spec(), attempts=ended_soon(4))

    assert backoff.bounded(job, wall_ms=BEGUN_MS + 1_000) is job
    once = Job("jobs/train-1", spec(), attempts=ended_soon(1))
    assert backoff.bounded(once, wall_ms=0) is once


def test_a_pause_is_no_wait_for_a_place() -> None:
    world = World(a=AMD64)
    world.submit(timeouts=Timeouts(queue_ms=500))
    left(world)
    left(world)

    world.pass_time(1_000)

    assert world.job().state is JobState.RUNNING


def test_a_move_that_a_user_asked_for_waits_for_no_pause() -> None:
    world = World(a=AMD64)
    world.submit()
    left(world)
    world.join("b", ARM64)
    world.sites["a"].engine.obeys = False
    world.move(target="b")
    assert world.job().state is JobState.FREEZING

    job = left(world)

    assert (job.state, job.node) == (JobState.RUNNING, "b")
    assert job.migrations[-1].state is MigrationState.SUCCEEDED


def test_a_job_that_is_started_again_for_ever_keeps_its_first_attempts_and_its_last() -> None:
    world = World(a=AMD64)
    world.submit()

    for _ in range(FIRST_KEPT + LAST_KEPT + 2):
        world.pass_time(backoff.SOON_MS)
        left(world)

    job = world.job()
    assert job.epoch == FIRST_KEPT + LAST_KEPT + 3
    epochs = [attempt.epoch for attempt in job.attempts]
    assert epochs == [*range(1, FIRST_KEPT + 1), *range(job.epoch - LAST_KEPT + 1, job.epoch + 1)]


def test_a_job_that_moves_for_ever_keeps_its_first_migrations_and_its_last_and_counts_the_others() -> None:
    world = World(a=AMD64, b=ARM64)
    world.submit()

    for _ in range(FIRST_KEPT + LAST_KEPT + 2):
        world.move()

    job = world.job()
    assert len(job.migrations) == FIRST_KEPT + LAST_KEPT
    assert job.omitted_migration_count == 2
    epochs = [move.source_epoch for move in job.migrations]
    assert epochs == [*range(1, FIRST_KEPT + 1), *range(job.epoch - LAST_KEPT, job.epoch)]
