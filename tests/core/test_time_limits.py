"""Laws of a job's limits of time: over means over, and what has not begun, or has no limit, is never over."""

import pytest

from agent.runtimes.runtime import Ref
from headrace.jobs import JobState, Requests, Retry, RetryCause, Timeouts
from tests.core.small_world import AMD64, FIRST, GIB, World

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
def test_a_job_that_is_refused_wherever_it_goes_has_waited_since_it_was_submitted(task_count: int) -> None:
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


def test_a_job_that_has_run_may_wait_for_another_place_for_as_long_as_it_takes() -> None:
    world = World(a=AMD64)
    world.submit(timeouts=Timeouts(queue_ms=LIMIT_MS), lost_after_ms=MINUTE_MS)
    world.sites["a"].cut = True

    world.pass_time(HOUR_MS)

    assert (world.job().state, world.job().node) == (JobState.QUEUED, "")


@pytest.mark.parametrize("code", [1, 85], ids=["fails", "has saved, and asks for another start"])
def test_a_job_whose_program_left_goes_behind_those_that_wait(code: int) -> None:
    world = World(a=AMD64)
    alone = Requests(4_000, GIB)
    world.submit(resources=alone, retry=Retry(1, (RetryCause.EXIT_NONZERO,)))
    world.submit("other", resources=alone)
    world.pass_time(MINUTE_MS)

    world.exit(FIRST, code)
    world.pass_time(1_000)

    assert [world.job(one).node for one in ("train-1", "other")] == ["", "a"]


@pytest.mark.parametrize("restarts", [1, 3])
def test_time_without_a_controller_is_no_wait(restarts: int) -> None:
    world = World()
    world.submit(timeouts=Timeouts(queue_ms=5 * MINUTE_MS))
    world.pass_time(MINUTE_MS)

    for _ in range(restarts):
        world.now_ms += HOUR_MS
        world.restart_controller()
        world.pass_time(MINUTE_MS)
    assert world.job().state is JobState.QUEUED
    world.pass_time((4 - restarts) * MINUTE_MS - 15_000 * restarts)
    assert world.job().state is JobState.QUEUED
    world.pass_time(2 * MINUTE_MS)

    assert world.job().state is JobState.FAILED


def test_while_the_controller_stood_still_nothing_waited() -> None:
    world = World()
    world.submit(timeouts=Timeouts(queue_ms=5 * MINUTE_MS))
    world.now_ms += HOUR_MS

    world.pass_time(4 * MINUTE_MS)
    assert world.job().state is JobState.QUEUED
    world.pass_time(2 * MINUTE_MS)

    assert world.job().state is JobState.FAILED
