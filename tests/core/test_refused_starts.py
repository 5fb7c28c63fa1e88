"""Laws of what a node says of a start: whose fault a refusal is, and what of an attempt becomes part of a move."""

from controller.core import model as controller
from headrace.attempts import Attempt, AttemptState, Phase
from headrace.jobs import Job, JobState, MigrationState
from headrace.sessions import Report
from tests.core.small_world import AMD64, ARM64, PINS, World


def says(world: World, node: str, state: AttemptState, **changes: object) -> Job:
    """The job, after its node reported this of the present epoch; its agent is mute."""
    world.sites[node].cut = True
    attempt = Attempt("train-1", world.job().epoch, state=state, **changes)  # type: ignore[arg-type]
    sequence = world.cluster.book.newest[node][1] + 1
    engine = world.cluster.book.nodes[node].engine
    report = Report(node, world.sites[node].session, sequence, None, engine=engine, attempts=(attempt,))
    world._controller(world.cluster.handle(controller.Reported(report)))
    world.settle()
    return world.job()


def two_platforms() -> World:
    """Nodes a and b, of two platforms; the job is to start at a."""
    world = World(a=AMD64)
    world.sites["a"].cut = True
    world.submit()
    world.join("b", ARM64).cut = True
    return world


def frozen() -> World:
    """A job that runs at a has been asked to leave for b, which is mute from here on: what it says is the test's."""
    world = World(a=AMD64)
    world.submit()
    world.join("b", ARM64)
    world.sites["a"].engine.obeys = False
    world.move(target="b")
    world.sites["b"].cut = True
    assert world.job().state is JobState.FREEZING
    return world


def test_an_attempt_that_never_ran_does_not_vouch_for_the_jobs_command() -> None:
    world = two_platforms()
    says(world, "a", AttemptState.EXITED, exit_code=127, reason="IMAGE_NOT_RUNNABLE", message="no")
    assert world.job().node == "b"

    job = says(world, "b", AttemptState.REFUSED, reason="COMMAND_NOT_FOUND", message="no such command")

    assert (job.state, job.reason) == (JobState.FAILED, "no such command")


def test_an_image_that_ran_does_not_vouch_for_another_one_of_the_same_job() -> None:
    world = frozen()
    says(world, "a", AttemptState.EXITED, exit_code=85, stop_requested=True)
    assert world.job().node == "b"

    job = says(world, "b", AttemptState.REFUSED, reason="IMAGE_NOT_RUNNABLE", message="no")

    assert job.images == PINS[:1]


def test_a_job_that_ran_is_not_failed_by_a_node_that_does_not_find_its_command() -> None:
    world = frozen()
    says(world, "a", AttemptState.EXITED, exit_code=85, stop_requested=True)

    job = says(world, "b", AttemptState.REFUSED, reason="COMMAND_NOT_FOUND", message="no such command")

    assert (job.state, job.node) == (JobState.STARTING, "a")


def test_the_phases_of_a_move_are_those_of_the_stop_and_those_of_the_new_start() -> None:
    world = frozen()
    at_source = tuple(Phase(name, 1) for name in ("pull", "create", "start", "stop", "save"))
    says(world, "a", AttemptState.EXITED, exit_code=85, stop_requested=True, phases=at_source)

    at_target = tuple(Phase(name, 2) for name in ("pull", "lay-down", "create", "start"))
    job = says(world, "b", AttemptState.RUNNING, phases=at_target)

    assert job.migrations[-1].state is MigrationState.SUCCEEDED
    assert job.migrations[-1].phases == (Phase("stop", 1), Phase("save", 1), *at_target)
