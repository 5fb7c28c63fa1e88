"""Laws of a job's way to its end, both cores at work: exit codes, retries, checkpoints, limits of time, cancelling."""

import pytest

from agent.core import model as agent
from agent.runtimes.runtime import Ref
from headrace.jobs import CheckpointPolicy, ExitZero, Job, JobState, Requests, Retry, RetryCause, Timeouts
from tests.core.small_world import AMD64, ARM64, CONTRACT, FIRST, GIB, SECOND, Site, World


def test_a_job_that_exits_with_0_has_succeeded_and_leaves_nothing_on_its_node() -> None:
    world = World(a=AMD64)
    world.submit(output_path="/output")

    world.exit(FIRST, 0)

    assert world.job().state is JobState.SUCCEEDED
    assert world.job().outputs is not None
    assert world.sites["a"].engine.containers == {}
    assert world.sites["a"].held == {}


def test_a_job_that_fails_is_tried_again_as_often_as_it_says() -> None:
    world = World(a=AMD64, b=AMD64)
    world.submit(retry=Retry(1, (RetryCause.EXIT_NONZERO,)))
    node = world.job().node

    world.exit(FIRST, 1)
    assert world.job().state is JobState.RUNNING
    assert world.job().node != node
    world.exit(SECOND, 1)

    assert world.job().state is JobState.FAILED
    assert world.job().exit_code == 1


def test_a_job_that_exits_with_85_is_started_again_from_its_checkpoint() -> None:
    world = World(a=AMD64)
    world.submit()
    world.sites["a"].saved_changes[FIRST] = True

    world.exit(FIRST, 85)

    assert world.job().state is JobState.RUNNING
    assert world.job().epoch == 2
    assert world.sites["a"].held[SECOND].placement.restore == "sha256:1-1"


def test_a_job_that_exits_with_85_and_saved_nothing_has_failed() -> None:
    world = World(a=AMD64)
    world.submit()

    world.exit(FIRST, 85)

    assert world.job().state is JobState.FAILED


@pytest.mark.parametrize(
    ("exit_zero", "state"), [(ExitZero.RESUME, JobState.RUNNING), (ExitZero.DONE, JobState.SUCCEEDED)]
)
def test_exit_code_0_after_a_request_to_leave_means_what_the_job_says(exit_zero: ExitZero, state: JobState) -> None:
    world = World(a=AMD64)
    world.submit(checkpoint=CheckpointPolicy("/checkpoint", interval_ms=0, exit_zero=exit_zero))
    world.join("b", ARM64)
    world.sites["a"].engine.obeys = False
    world.move()

    world.exit(FIRST, 0)

    assert world.job().state is state


def test_periodic_checkpoints_are_committed_while_the_job_runs() -> None:
    world = World(a=AMD64)
    world.submit(checkpoint=CheckpointPolicy("/checkpoint", interval_ms=10_000))

    world.pass_time(25_000)

    checkpoint = world.job().checkpoint
    assert checkpoint is not None
    assert checkpoint.sequence == 2


def test_a_job_that_runs_for_longer_than_it_may_has_failed() -> None:
    world = World(a=AMD64)
    world.submit(timeouts=Timeouts(run_ms=5_000))

    world.pass_time(10_000)

    assert world.job().state is JobState.FAILED
    assert "timeouts.run" in world.job().reason


def test_a_job_that_waits_for_longer_than_it_may_has_failed() -> None:
    world = World(a=AMD64)
    world.submit(resources=Requests(64_000, GIB), timeouts=Timeouts(queue_ms=5_000))

    world.pass_time(10_000)

    assert world.job().state is JobState.FAILED
    assert "timeouts.queue" in world.job().reason


def test_a_job_that_is_cancelled_ends_once_its_container_has() -> None:
    world = World(a=AMD64)
    world.submit()

    world.cancel()

    assert world.job().state is JobState.CANCELLED
    assert world.running() == {}


def test_a_job_that_waits_is_cancelled_at_once() -> None:
    world = World()
    world.submit()

    answer = world.cancel()

    assert isinstance(answer, Job)
    assert answer.state is JobState.CANCELLED


def test_a_job_that_ignores_the_request_to_leave_is_killed_when_its_grace_is_over() -> None:
    world = World(a=AMD64)
    world.submit()
    world.sites["a"].engine.obeys = False
    world.cancel()
    assert world.running() == {"a": [FIRST]}

    world.pass_time(CONTRACT.grace_ms)

    assert world.job().state is JobState.CANCELLED
    assert world.job().attempts[-1].killed


class Forgetful(World):
    """A world whose checkpoint store lost what was put into it: nobody can lay a checkpoint down."""

    def _engine(self, name: str, site: Site, effect: agent.Effect) -> None:
        if isinstance(effect, agent.Prepare) and effect.placement.restore:
            ref = Ref(effect.placement.job, 0, effect.placement.epoch)
            self._queue.append((name, agent.NotStarted(ref, "MANIFEST_MISSING", "there is no such manifest")))
            return
        super()._engine(name, site, effect)


def saved_and_left(world: World) -> None:
    world.submit()
    site = next(iter(world.sites.values()))
    site.saved_changes[FIRST] = True
    world.exit(FIRST, 85)


def test_a_job_whose_checkpoint_two_nodes_cannot_lay_down_has_failed_and_says_why() -> None:
    world = Forgetful(a=AMD64, b=AMD64)

    saved_and_left(world)

    assert (world.job().state, world.job().epoch) == (JobState.FAILED, 3)
    assert "its checkpoint cannot be laid down anywhere (there is no such manifest)" in world.job().reason
    assert "submit it again" in world.job().reason


def test_a_checkpoint_that_one_node_alone_cannot_lay_down_is_tried_elsewhere() -> None:
    world = Forgetful(a=AMD64)
    saved_and_left(world)

    assert (world.job().state, world.job().epoch) == (JobState.QUEUED, 3)
