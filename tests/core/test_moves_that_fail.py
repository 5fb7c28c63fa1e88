"""Laws of what goes wrong: a failed move costs the job nothing, a drain ends or says why not, silence is no failure."""

import pytest

from agent.runtimes.runtime import Ref
from controller.core import model as controller
from controller.core.book import Policy
from controller.core.model import CancelAsked, DrainAsked
from headrace.attempts import Attempt, AttemptState, Checkpoint
from headrace.jobs import CheckpointPolicy, JobState, MigrationState, Partition, Timeouts
from headrace.nodes import Drain
from headrace.sessions import Report
from tests.core.small_world import AMD64, ARM64, PINS, World

FIRST = Ref("train-1", 0, 1)
SLOW = CheckpointPolicy("/checkpoint", interval_ms=0, grace_ms=60_000)
LOST_MS = Policy().node_lease_ms


def told(world: World, node: str, epoch: int, state: AttemptState, **changes: object) -> None:
    """The node reports this of the job, whatever its agent knows."""
    sequence = world.cluster.book.newest[node][1] + 1
    attempt = Attempt("train-1", epoch, state=state, **changes)  # type: ignore[arg-type]
    engine = world.cluster.book.nodes[node].engine
    report = Report(node, world.sites[node].session, sequence, None, engine=engine, attempts=(attempt,))
    world._controller(world.cluster.handle(controller.Reported(report)))


def moving_to_b(world: World) -> None:
    """The job was committed to b, which is mute from here on: what it says is the test's."""
    world.submit()
    world.join("b", ARM64)
    world.sites["a"].engine.obeys = False
    world.move(target="b")
    world.sites["b"].cut = True
    world.sites["a"].saved_changes[FIRST] = True
    world.exit(FIRST, 85)
    assert (world.job().node, world.job().state) == ("b", JobState.STARTING)


def drain(world: World, node: str, drain: Drain = Drain.DRAINING) -> object:
    return world.ask(lambda token: DrainAsked(token, node, drain))


@pytest.mark.parametrize("reason", ["IMAGE_PULL_FAILED", "COMMAND_NOT_FOUND", "IMAGE_NOT_RUNNABLE", "START_FAILED"])
def test_a_job_whose_target_could_not_start_it_runs_at_its_source_again(reason: str) -> None:
    world = World(a=AMD64)
    moving_to_b(world)

    told(world, "b", 2, AttemptState.REFUSED, reason=reason, message="no")
    world.settle()

    assert world.running() == {"a": [Ref("train-1", 0, 3)]}
    assert world.job().migrations[-1].state is MigrationState.ABORTED


@pytest.mark.parametrize("reason", ["COMMAND_NOT_FOUND", "IMAGE_NOT_RUNNABLE", "START_FAILED"])
def test_a_target_that_only_found_out_after_the_start_is_no_arrival(reason: str) -> None:
    world = World(a=AMD64)
    moving_to_b(world)

    told(world, "b", 2, AttemptState.EXITED, exit_code=127, reason=reason, message="no")
    world.settle()

    assert world.running() == {"a": [Ref("train-1", 0, 3)]}
    assert world.job().migrations[-1].state is MigrationState.ABORTED


def test_an_image_that_ran_elsewhere_is_not_given_up_for_one_node() -> None:
    world = World(a=AMD64)
    world.submit()
    world.join("b", AMD64)
    world.sites["a"].engine.obeys = False
    world.move(target="b")
    world.sites["b"].cut = True
    world.exit(FIRST, 143)

    told(world, "b", 2, AttemptState.REFUSED, reason="IMAGE_NOT_RUNNABLE", message="no")

    assert world.job().images == PINS


def test_an_image_that_lies_about_its_platform_is_tried_nowhere_else() -> None:
    world = World(a=AMD64)
    world.sites["a"].cut = True
    world.submit()

    told(world, "a", 1, AttemptState.REFUSED, reason="IMAGE_NOT_RUNNABLE", message="no")

    assert world.job().images == PINS[1:]


def test_a_command_that_no_image_has_fails_a_job_that_never_ran() -> None:
    world = World(a=AMD64)
    world.sites["a"].cut = True
    world.submit()

    told(world, "a", 1, AttemptState.REFUSED, reason="COMMAND_NOT_FOUND", message="no such command")

    assert world.job().state is JobState.FAILED


def test_a_target_that_takes_no_jobs_any_more_when_it_is_ready_does_not_cost_the_job_a_stop() -> None:
    world = World(a=AMD64)
    world.submit()
    world.join("b", ARM64)
    world.sites["b"].cut = True
    world.move(target="b")
    drain(world, "b", Drain.CORDONED)

    world.sites["b"].cut = False
    world.pass_time(20_000)

    assert world.running() == {"a": [FIRST]}
    assert world.job().migrations[-1].state is MigrationState.ABORTED


def test_a_job_that_failed_to_move_off_a_draining_node_runs_there_again() -> None:
    world = World(a=AMD64)
    world.submit(checkpoint=SLOW)
    world.join("b", ARM64)
    world.sites["a"].engine.obeys = False
    drain(world, "a")
    world.pass_time(1_000)
    world.sites["b"].cut = True

    world.pass_time(70_000)

    assert world.node("a").drain is Drain.DRAINING
    assert world.running() == {"a": [Ref("train-1", 0, 2)]}


def test_a_drain_does_not_try_a_target_that_failed_again_and_again() -> None:
    world = World(a=AMD64)
    world.submit()
    world.join("b", ARM64).engine.pulls = False
    drain(world, "a")

    world.pass_time(Policy().exclusion_ms - 5_000)

    assert len(world.job().migrations) == 1
    assert "could not" in world.job().migrations[0].reason
    assert "is kept away from for now" in world.node("a").blockers[0]


def test_a_node_is_not_drained_before_a_restarted_controller_has_heard_it() -> None:
    world = World(a=AMD64)
    moving_to_b(world)
    world.sites["a"].cut = True
    told(world, "b", 2, AttemptState.RUNNING)
    drain(world, "a")

    world.restart_controller()
    world.pass_time(2_000)

    assert world.sites["a"].held
    assert world.node("a").drain is Drain.DRAINING


def test_a_controller_that_stood_still_takes_no_node_for_lost() -> None:
    world = World(a=AMD64)
    world.submit(lost_after_ms=1)
    world.now_ms += 3_600_000

    world._controller(world.cluster.handle(controller.Ticked(world.now_ms, 1_700_000_000_000 + world.now_ms)))

    assert world.job().epoch == 1
    assert world.job().state is JobState.RUNNING


def test_a_job_that_is_to_stop_in_a_partition_is_not_replaced_before_it_must_have_stopped() -> None:
    world = World(a=AMD64)
    world.submit(partition=Partition.STOP, lost_after_ms=1, checkpoint=SLOW)
    world.sites["a"].engine.obeys = False
    world.sites["a"].cut = True
    world.join("b", AMD64)

    world.pass_time(LOST_MS + SLOW.grace_ms - 5_000)
    assert world.job().epoch == 1
    world.pass_time(10_000)

    assert world.running() == {"b": [Ref("train-1", 0, 2)]}


def test_a_job_that_is_stopping_when_its_node_is_cut_off_never_runs_twice() -> None:
    world = World(a=AMD64)
    world.submit(lost_after_ms=1, checkpoint=SLOW)
    world.join("b", AMD64)
    world.sites["a"].engine.obeys = False
    world.move(target="b")
    world.sites["a"].cut = True

    world.pass_time(LOST_MS + 5_000)

    assert world.running() == {"b": [Ref("train-1", 0, 2)]}


def test_a_cancelled_job_that_keeps_on_in_a_partition_ends_when_its_node_is_lost() -> None:
    world = World(a=AMD64)
    world.submit(partition=Partition.KEEP, lost_after_ms=60_000)
    world.sites["a"].cut = True
    world.ask(lambda token: CancelAsked(token, "train-1"))

    world.pass_time(70_000)

    assert world.job().state is JobState.CANCELLED


def test_a_job_that_ran_too_long_has_failed_even_if_its_node_is_lost_before_it_left() -> None:
    world = World(a=AMD64)
    world.submit(timeouts=Timeouts(run_ms=5_000), lost_after_ms=60_000)
    world.sites["a"].cut = True

    world.pass_time(70_000)

    assert world.job().state is JobState.FAILED
    assert "timeouts.run" in world.job().reason


def test_an_older_checkpoint_never_replaces_a_newer_one() -> None:
    world = World(a=AMD64)
    world.submit()
    newer, older = Checkpoint("sha256:2", 1, 2), Checkpoint("sha256:1", 1, 1)
    told(world, "a", 1, AttemptState.RUNNING, checkpoint=newer)

    told(world, "a", 1, AttemptState.RUNNING, checkpoint=older)

    assert world.job().checkpoint == newer


def test_what_an_older_epoch_still_says_is_not_heard() -> None:
    world = World(a=AMD64, b=ARM64)
    world.submit()
    source = world.job().node
    world.move()

    told(world, source, 1, AttemptState.EXITED, exit_code=1, checkpoint=Checkpoint("sha256:9", 1, 9))

    assert world.job().state is JobState.RUNNING
    assert world.job().checkpoint != Checkpoint("sha256:9", 1, 9)


def test_a_node_that_refuses_a_job_for_now_is_asked_again_when_that_is_over() -> None:
    world = World(a=AMD64)
    world.sites["a"].engine.pulls = False
    world.submit()
    assert world.job().state is JobState.QUEUED
    world.sites["a"].engine.pulls = True

    world.pass_time(Policy().exclusion_ms + 2_000)

    assert world.job().state is JobState.RUNNING
