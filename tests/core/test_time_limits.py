"""Laws of a job's limits of time: over means over, and what has not begun, or has no limit, is never over."""

import pytest

from headrace.jobs import JobState, Requests, Timeouts
from tests.core.small_world import AMD64, GIB, World

LIMIT_MS = 5_000
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
