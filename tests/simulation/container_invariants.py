"""What must hold of containers: how many run, from what they start, what they have; in the form of `invariants.py`."""

from typing import TYPE_CHECKING

from agent.runtimes.runtime import Ref
from headrace.attempts import EXIT_SAVED, AttemptState
from headrace.jobs import Level, MigrationState
from headrace.shares import WHOLE_MILLIS
from tests.simulation.engine import Container
from tests.simulation.invariants import PROGRESS, at, millis_of, state_of, told_of
from tests.simulation.occurrences import Occurrence

if TYPE_CHECKING:
    from tests.simulation.node import SimulatedNode
    from tests.simulation.world import World


@at(Occurrence.CONTAINER_RUNS, Occurrence.NODE_IN_HAND)
def at_most_one_container_of_a_task_runs(
    world: "World", site: "SimulatedNode", container: Container | None
) -> str | None:
    """At most one un-paused container a task, among those that their agents have in hand."""
    looked_at = [container.ref] if container is not None else site.engine.at_work()
    for ref in looked_at:
        running = [(one, one.engine.containers[other]) for one, other in world.at_work() if other[:2] == ref[:2]]
        places = [one.name for one, other in running if one.has_in_hand(other)]
        if len(places) > 1:
            return f"{ref.job} runs on {' and '.join(places)}"
    return None


@at(Occurrence.CONTAINER_STARTED)
def an_epoch_starts_at_most_once(world: "World", site: "SimulatedNode", container: Container) -> str | None:
    """An epoch starts at most once, anywhere, ever."""
    before = world.past.started.get(container.ref)
    world.past.started[container.ref] = site.name
    return f"{container.ref} starts on {site.name}, and did on {before}" if before is not None else None


@at(Occurrence.CONTAINER_STARTED)
def what_starts_is_the_jobs_present_epoch_from_its_newest_checkpoint(
    world: "World", site: "SimulatedNode", container: Container
) -> str | None:
    """What starts is what the controller wants there, from the newest checkpoint that it has committed."""
    job = world.controller.jobs.get(container.ref.job)
    if job is None or (job.node, job.epoch, job.ended) != (site.name, container.ref.epoch, False):
        return f"{container.ref} starts on {site.name}, and the job is {told_of(job)}"
    newest = job.checkpoint.digest if job.checkpoint is not None else ""
    if container.placement.restore != newest:
        return f"{container.ref} starts from {container.placement.restore!r}, the newest is {newest!r}"
    return None


@at(Occurrence.CONTAINER_STARTED)
def a_program_begins_in_its_attempts_container_once_that_is_written_down(
    _world: "World", site: "SimulatedNode", container: Container
) -> str | None:
    """What stands by runs no program; and which epoch is used can be seen from the journal."""
    held = site.held.get(container.ref)
    if site.engine.containers.get(container.ref) is not container:
        return f"{container.ref} stands by on {site.name}, and runs"
    if held is None or PROGRESS[held.attempt.state] < PROGRESS[AttemptState.STARTING]:
        return (
            f"{container.ref} starts on {site.name}, and is {state_of(held.attempt if held else None)} in its journal"
        )
    return None


@at(Occurrence.CONTAINER_STARTED)
def no_more_of_a_device_is_granted_to_attempts_than_there_is(
    _world: "World", site: "SimulatedNode", container: Container
) -> str | None:
    """All that containers which are not over have of a device, those held still too, is no more than there is of it."""
    for device in container.placement.devices:
        having = [one for one in site.engine.containers.values() if device in one.placement.devices]
        alive = [one for one in having if one.is_alive or one is container]
        if sum(millis_of(one.placement.spec) for one in alive) > WHOLE_MILLIS:
            return f"{container.ref} starts with {device}, and {[one.ref for one in alive]} have it"
    return None


@at(Occurrence.CONTAINER_REMOVED)
def a_container_that_its_job_counts_on_is_not_removed(world: "World", site: "SimulatedNode", ref: Ref) -> str | None:
    """An agent removes what is over, and nothing else."""
    job = world.controller.jobs.get(ref.job)
    if job is None or job.ended or (job.node, job.epoch) != (site.name, ref.epoch) or site.name in world.past.forgetful:
        return None
    held = site.held.get(ref)
    return None if held is None or held.attempt.ended else f"{ref} is removed from {site.name}, and is {told_of(job)}"


@at(Occurrence.CONTAINER_STARTED)
def a_move_that_tells_of_no_loss_has_lost_nothing(
    world: "World", _site: "SimulatedNode", container: Container
) -> str | None:
    """A job that saved on request goes on at the target exactly where it was."""
    job = world.controller.jobs.get(container.ref.job)
    move = job.migration if job is not None else None
    if move is None or move.state is not MigrationState.STARTING or move.level is not Level.CHECKPOINT or move.reason:
        return None
    code, done_ms = world.past.left.get(container.ref._replace(epoch=move.source_epoch), (None, 0))
    if code == EXIT_SAVED and container.done_ms != done_ms:
        return f"{container.ref} begins at {container.done_ms} ms of its work, it had done {done_ms}"
    return None
