"""Laws of moves that go wrong, both cores at work: a failed move costs the job nothing, and old news is not heard."""

import pytest

from controller.core import model as controller
from headrace.attempts import Attempt, AttemptState, Checkpoint
from headrace.jobs import JobState, MigrationState
from headrace.nodes import Drain
from headrace.sessions import Report
from tests.core.small_world import AMD64, ARM64, FIRST, PINS, THIRD, World


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


def test_a_target_that_cannot_bring_the_image_leaves_the_job_where_it_runs() -> None:
    world = World(a=AMD64)
    world.submit()
    world.join("b", ARM64).engine.pulls = False

    world.move(target="b")

    assert world.job().migrations[-1].state is MigrationState.ABORTED
    assert world.running() == {"a": [FIRST]}


@pytest.mark.parametrize("reason", ["IMAGE_PULL_FAILED", "COMMAND_NOT_FOUND", "IMAGE_NOT_RUNNABLE", "START_FAILED"])
def test_a_job_whose_target_could_not_start_it_runs_at_its_source_again(reason: str) -> None:
    world = World(a=AMD64)
    moving_to_b(world)

    told(world, "b", 2, AttemptState.REFUSED, reason=reason, message="no")
    world.settle()

    assert world.running() == {"a": [THIRD]}
    assert world.job().migrations[-1].state is MigrationState.ABORTED


@pytest.mark.parametrize("seemed_to_run", [False, True])
@pytest.mark.parametrize("reason", ["COMMAND_NOT_FOUND", "IMAGE_NOT_RUNNABLE", "START_FAILED"])
def test_a_target_that_only_found_out_after_the_start_is_no_arrival(reason: str, *, seemed_to_run: bool) -> None:
    world = World(a=AMD64)
    moving_to_b(world)
    if seemed_to_run:
        told(world, "b", 2, AttemptState.RUNNING)

    told(world, "b", 2, AttemptState.EXITED, exit_code=127, reason=reason, message="no")
    world.settle()

    assert world.running() == {"a": [THIRD]}
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
    world.drain("b", Drain.CORDONED)

    world.sites["b"].cut = False
    world.pass_time(20_000)

    assert world.running() == {"a": [FIRST]}
    assert world.job().migrations[-1].state is MigrationState.ABORTED


def test_a_node_is_not_drained_before_a_restarted_controller_has_heard_it() -> None:
    world = World(a=AMD64)
    moving_to_b(world)
    world.sites["a"].cut = True
    told(world, "b", 2, AttemptState.RUNNING)
    world.drain("a")

    world.restart_controller()
    world.pass_time(2_000)

    assert world.sites["a"].held
    assert world.node("a").drain is Drain.DRAINING


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
