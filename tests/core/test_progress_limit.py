"""Laws of `timeouts.progress`, and of how often failures are followed by another attempt."""

from dataclasses import replace

import pytest

from agent.core.steps import Progressed
from agent.runtimes.runtime import Ref
from controller.core.outcome import is_retried, with_failure
from headrace.attempts import Steps
from headrace.jobs import CheckpointPolicy, Job, JobSpec, JobState, Requests, Retry, RetryCause, Timeouts
from tests.core.small_world import AMD64, FIRST, GIB, SECOND, World

LIMIT = Timeouts(progress_ms=60_000)
AGAIN = Retry(1, (RetryCause.NO_PROGRESS,))
SAVING = CheckpointPolicy("/checkpoint", interval_ms=20_000, grace_ms=5_000)


def world_with(**changes: object) -> World:
    world = World(a=AMD64)
    world.submit(**{"timeouts": LIMIT, **changes})  # type: ignore[arg-type]
    return world


def tell(world: World, steps: int, ref: Ref = FIRST) -> None:
    """The job says how far it is."""
    for name, site in world.sites.items():
        if ref in site.engine.containers:
            world._queue.append((name, Progressed(ref, Steps(steps))))
    world.settle()


def test_a_job_that_tells_of_no_progress_for_so_long_has_failed() -> None:
    world = world_with()
    world.pass_time(59_000)
    assert world.job().state is JobState.RUNNING

    world.pass_time(10_000)

    assert world.job().state is JobState.FAILED
    assert world.job().reason == "timeouts.progress: no new step and no new checkpoint for 1m"
    assert world.running() == {}


def test_new_steps_are_progress() -> None:
    world = world_with()

    for done in range(10):
        tell(world, done)
        world.pass_time(50_000)

    assert world.job().state is JobState.RUNNING


def test_the_same_steps_again_are_none() -> None:
    world = world_with()

    for _ in range(3):
        tell(world, 7)
        world.pass_time(40_000)

    assert world.job().state is JobState.FAILED


def test_new_checkpoints_are_progress() -> None:
    world = world_with(checkpoint=SAVING)

    world.pass_time(200_000)

    assert world.job().state is JobState.RUNNING


def test_a_job_that_stood_still_saves_leaves_and_begins_again_where_its_rules_say_so() -> None:
    world = world_with(retry=AGAIN)
    world.join("b")

    world.pass_time(70_000)

    job = world.job()
    assert (job.state, job.epoch, job.failures, job.node) == (JobState.RUNNING, 2, 1, "b")
    assert job.checkpoint is not None
    assert job.exclusions[0].reason.startswith("timeouts.progress")


def test_a_job_that_begins_again_between_two_looks_has_a_whole_limit_again() -> None:
    world = world_with(retry=AGAIN, checkpoint=None)
    world.sites["a"].engine.saves = False
    world.join("b")
    while world.job().epoch == FIRST.epoch:
        world.pass_time(1_000)

    world.pass_time(59_000)

    assert (world.job().state, world.job().epoch) == (JobState.RUNNING, SECOND.epoch)


def test_the_second_time_uses_the_budget_up() -> None:
    world = world_with(retry=AGAIN)
    world.join("b")

    world.pass_time(140_000)

    assert (world.job().state, world.job().epoch) == (JobState.FAILED, SECOND.epoch)
    assert world.job().reason.startswith("timeouts.progress")


def test_a_job_that_is_done_when_it_is_asked_to_leave_has_succeeded() -> None:
    world = world_with(retry=AGAIN)
    world.sites["a"].engine.obeys = False
    world.pass_time(63_000)
    assert world.job().state is JobState.FREEZING

    world.exit(FIRST, 0)

    assert world.job().state is JobState.SUCCEEDED


def test_a_job_that_does_not_leave_is_killed_after_its_grace() -> None:
    world = world_with(retry=AGAIN)
    world.sites["a"].engine.obeys = False

    world.pass_time(140_000)

    assert world.job().epoch == SECOND.epoch


def test_a_job_of_which_nobody_hears_is_not_said_to_stand_still() -> None:
    world = world_with(lost_after_ms=3_600_000)
    world.sites["a"].cut = True

    world.pass_time(300_000)
    world.sites["a"].cut = False
    world.pass_time(30_000)

    assert world.job().state is JobState.RUNNING


def test_a_node_that_was_doubted_for_a_moment_begins_the_limit_anew() -> None:
    world = world_with()
    world.pass_time(45_000)
    world.sites["a"].cut = True
    world.pass_time(11_000)
    world.sites["a"].cut = False

    world.pass_time(55_000)
    assert (world.job().state, "NODE_SUSPECT" in world.happenings) == (JobState.RUNNING, True)
    world.pass_time(15_000)

    assert world.job().state is JobState.FAILED


def test_a_job_that_stays_as_it_is_is_looked_at_when_its_time_is_over() -> None:
    world = world_with()
    world.pass_time(2_000)
    watchlist = world.cluster.book.watchlist
    assert (watchlist.repaced, "train-1" in watchlist.stalls) == ({}, True)

    world.sites["a"].cut = True
    world.pass_time(12_000)
    assert watchlist.repaced == {"train-1": None}
    world.cancel()
    world.pass_time(2_000)

    assert (watchlist.repaced, "train-1" in watchlist.stalls, watchlist.paces) == ({}, False, {})


def test_a_restarted_controller_gives_a_whole_limit() -> None:
    world = world_with()
    world.pass_time(50_000)

    world.restart_controller()
    world.pass_time(50_000)

    assert world.job().state is JobState.RUNNING


@pytest.mark.parametrize("retry", [Retry(), AGAIN])
def test_a_gang_gets_on_while_one_of_its_tasks_does(retry: Retry) -> None:
    world = World(a=AMD64, b=AMD64)
    world.submit(task_count=2, timeouts=LIMIT, retry=retry, resources=Requests(3000, GIB))
    for done in range(3):
        tell(world, done, Ref("train-1-1", 1, 1))
        world.pass_time(50_000)
    assert world.job().state is JobState.RUNNING

    world.pass_time(90_000)

    if retry.limit:
        assert (world.job().epoch, world.job().failures) == (2, 1)
    else:
        assert world.job().state is JobState.FAILED
        assert world.job().reason.startswith("timeouts.progress")


def test_an_element_has_the_limit_by_itself() -> None:
    world = world_with(element_count=2)
    world.pass_time(2_000)
    for done in range(3):
        tell(world, done, Ref("train-1-1", 0, 1))
        world.pass_time(40_000)

    assert world.job("train-1-0").state is JobState.FAILED
    assert world.job("train-1-1").state is JobState.RUNNING


def test_failures_that_are_long_ago_do_not_count() -> None:
    retry = Retry(2, (RetryCause.EXIT_NONZERO,), within_ms=60_000)
    job = Job("jobs/a", JobSpec("a", "image", retry=retry))

    for moment_ms in (1_000, 30_000):
        assert is_retried(job, RetryCause.EXIT_NONZERO, wall_ms=moment_ms)
        job = with_failure(job, wall_ms=moment_ms)

    assert not is_retried(job, RetryCause.EXIT_NONZERO, wall_ms=61_000)
    assert is_retried(job, RetryCause.EXIT_NONZERO, wall_ms=61_001)
    assert with_failure(job, wall_ms=61_001).failures == 1


def test_without_a_window_all_failures_count() -> None:
    job = Job("jobs/a", JobSpec("a", "image", retry=Retry(1, (RetryCause.EXIT_NONZERO,))))

    job = with_failure(job, wall_ms=1_000)

    assert not is_retried(job, RetryCause.EXIT_NONZERO, wall_ms=1 << 60)
    assert replace(job, failures=0).failing_since_time_ms == 1_000
