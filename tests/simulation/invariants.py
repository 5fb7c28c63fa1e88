"""What must hold at every moment, whatever fails: each one sentence and one function, which says what is wrong."""

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from agent.core.device_losses import DEVICE_LOST
from agent.core.model import Held
from agent.runtimes.runtime import Ref
from controller.core.ticks import STOOD_STILL_MS
from headrace.attempts import EXIT_SAVED, Attempt, AttemptState, Checkpoint
from headrace.ids import task_id
from headrace.jobs import Job, JobSpec, JobState, Level, MigrationState, RetryCause
from headrace.nodes import Drain, Node
from headrace.shares import WHOLE_MILLIS, part_of
from tests.simulation.engine import Container
from tests.simulation.occurrences import Occurrence
from tests.simulation.programs import FAILED

if TYPE_CHECKING:
    from tests.simulation.node import SimulatedNode
    from tests.simulation.world import World


class Broken(AssertionError):
    """An invariant does not hold."""

    def __init__(self, invariant: str, wrong: str) -> None:
        super().__init__(f"{invariant.replace('_', ' ')}: {wrong}")
        self.invariant = invariant


@dataclass
class Past:
    """What was seen so far."""

    started: dict[Ref, str] = field(default_factory=dict)
    # With which code a container left, and how much of its work was done by then.
    left: dict[Ref, tuple[int | None, int]] = field(default_factory=dict)
    # With which codes containers of a job left.
    codes: dict[str, dict[int, None]] = field(default_factory=dict)
    cancelled: dict[str, None] = field(default_factory=dict)
    submitted: dict[str, None] = field(default_factory=dict)
    # In which session of its node a job's attempt was last told of.
    told_in: dict[str, int] = field(default_factory=dict)
    # Nodes of which somebody emptied the state folder, and attempts that had their container removed by hand.
    forgetful: dict[str, None] = field(default_factory=dict)
    robbed: dict[Ref, None] = field(default_factory=dict)
    # Attempts that a device of theirs has ended.
    worn: dict[Ref, None] = field(default_factory=dict)
    # Jobs for which others had to leave.
    asked: dict[str, None] = field(default_factory=dict)


Invariant = Callable[["World", Any, Any], "str | None"]
AT: dict[Occurrence, list[Invariant]] = {occurrence: [] for occurrence in Occurrence}
ALL: list[Invariant] = []

# An agent holds its jobs still before: until then none is anybody else's, however short its `lost_after` is.
GIVEN_UP_MS = 9_000

_PLACED = (JobState.STARTING, JobState.RUNNING)

# How far an attempt has come.
PROGRESS = {
    AttemptState.PREPARING: 1,
    AttemptState.STARTING: 2,
    AttemptState.RUNNING: 3,
    AttemptState.PAUSED: 3,
    AttemptState.STOPPING: 3,
    AttemptState.SAVING: 4,
    AttemptState.EXITED: 5,
    AttemptState.REFUSED: 5,
}


def at(*occurrences: Occurrence) -> Callable[[Invariant], Invariant]:
    """Has an invariant look at these moments."""

    def known(invariant: Invariant) -> Invariant:
        ALL.append(invariant)
        for occurrence in occurrences:
            AT[occurrence].append(invariant)
        return invariant

    return known


# Containers.


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
        return f"{container.ref} starts on {site.name}, and the job is {_told(job)}"
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
        return f"{container.ref} starts on {site.name}, and is {_state(held.attempt if held else None)} in its journal"
    return None


@at(Occurrence.CONTAINER_STARTED)
def no_more_of_a_device_is_granted_to_attempts_than_there_is(
    _world: "World", site: "SimulatedNode", container: Container
) -> str | None:
    """All that containers which are not over have of a device, those held still too, is no more than there is of it."""
    for device in container.placement.devices:
        having = [one for one in site.engine.containers.values() if device in one.placement.devices]
        alive = [one for one in having if one.is_alive or one is container]
        if sum(_millis(one.placement.spec) for one in alive) > WHOLE_MILLIS:
            return f"{container.ref} starts with {device}, and {[one.ref for one in alive]} have it"
    return None


@at(Occurrence.CONTAINER_REMOVED)
def a_container_that_its_job_counts_on_is_not_removed(world: "World", site: "SimulatedNode", ref: Ref) -> str | None:
    """An agent removes what is over, and nothing else."""
    job = world.controller.jobs.get(ref.job)
    if job is None or job.ended or (job.node, job.epoch) != (site.name, ref.epoch) or site.name in world.past.forgetful:
        return None
    held = site.held.get(ref)
    return None if held is None or held.attempt.ended else f"{ref} is removed from {site.name}, and is {_told(job)}"


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


# Checkpoints.


@at(Occurrence.JOB_SAVED, Occurrence.SWEPT)
def the_last_committed_checkpoint_has_a_verified_copy(world: "World", _: object, after: Job | None) -> str | None:
    """All chunks of the checkpoint that a live job would go on from are in the store."""
    store = world.checkpoints
    for job in (after,) if after is not None else world.jobs:
        if job.ended or job.checkpoint is None:
            continue
        manifest = store.manifests.get(job.checkpoint.digest)
        if manifest is None or any(chunk not in store.born_ms for chunk in manifest.chunks):
            return f"{job.name} would go on from {job.checkpoint.digest}, which is not in the store"
    return None


@at(Occurrence.MANIFEST_PUT)
def the_store_takes_nothing_of_an_older_epoch(world: "World", _: object, ref: Ref) -> str | None:
    """A checkpoint or output of an epoch that is over is never stored."""
    job = world.controller.jobs.get(ref.job)
    return f"{ref} was stored, the job is {_told(job)}" if job is None or ref.epoch < job.epoch else None


@at(Occurrence.JOB_SAVED)
def a_job_takes_nothing_of_an_older_epoch(world: "World", before: Job | None, after: Job) -> str | None:
    """A checkpoint or output that a job comes to name is of the epoch in which it was until then."""
    if before is None:
        return None
    if after.checkpoint != before.checkpoint and (after.checkpoint is None or after.checkpoint.epoch != before.epoch):
        return f"{after.name} in epoch {before.epoch} takes {after.checkpoint}"
    if after.outputs is not None and world.checkpoints.manifests[after.outputs.manifest].epoch != before.epoch:
        return f"{after.name} in epoch {before.epoch} takes {after.outputs}"
    return None


@at(Occurrence.JOB_SAVED)
def no_torn_checkpoint_is_kept(world: "World", before: Job | None, after: Job) -> str | None:
    """What a job that crashed, or a machine that lost its power, had half written is not gone on from."""
    if after.checkpoint is None or (before is not None and before.checkpoint == after.checkpoint):
        return None
    manifest = world.checkpoints.manifests.get(after.checkpoint.digest)
    return f"{after.name} takes {after.checkpoint.digest}" if manifest is not None and manifest.torn else None


# Records.


@at(Occurrence.JOB_SAVED)
def a_jobs_checkpoint_and_epoch_never_go_back(_world: "World", before: Job | None, after: Job) -> str | None:
    """Epochs and checkpoints only ever become newer."""
    if before is None:
        return None
    older, newer = _age(before.checkpoint), _age(after.checkpoint)
    if (after.epoch, newer) < (before.epoch, older) or newer < older:
        return f"{after.name} goes from epoch {before.epoch}, {older} to {after.epoch}, {newer}"
    return None


@at(Occurrence.JOB_DECIDED)
def an_attempts_record_never_goes_back(world: "World", before: Job | None, after: Job) -> str | None:
    """What the controller knows of an attempt never goes back, but in a newer session of its node."""
    was = before.attempt if before is not None else None
    now = after.attempt
    if was is None or now is None or was.epoch != now.epoch or was == now:
        return None
    told = world.past.told_in.get(after.id, 0)
    world.past.told_in[after.id] = world.controller.judging_session
    # An agent that was killed may have lost a note, and finds out again what it told before.
    if PROGRESS[now.state] >= PROGRESS[was.state] or world.controller.judging_session > told:
        return None
    return f"{after.name} epoch {now.epoch} was {was.state.name} and is {now.state.name}"


@at(Occurrence.ATTEMPT_NOTED)
def an_attempt_is_over_only_when_its_container_is(_world: "World", site: "SimulatedNode", held: Held) -> str | None:
    """No agent takes a container that is alive for one that has ended, or is gone."""
    container = site.engine.containers.get(held.ref)
    if container is None or not container.is_alive or PROGRESS[held.attempt.state] < PROGRESS[AttemptState.SAVING]:
        return None
    return f"{held.ref} is {held.attempt.state.name} on {site.name}, its container is {container.state.name}"


@at(Occurrence.JOB_SAVED)
def a_job_that_has_ended_never_changes(_world: "World", before: Job | None, after: Job) -> str | None:
    """The end of a job is its end."""
    if before is not None and before.ended and before != after:
        return f"{after.name} was {before.state.name} and is {after.state.name}"
    return None


@at(Occurrence.JOB_SAVED)
def a_job_ends_only_for_a_reason_of_its_own(world: "World", before: Job | None, after: Job) -> str | None:
    """A job succeeds because it was done, fails because it failed, and is cancelled because somebody asked for it."""
    # What an array comes to follows from its elements.
    if not after.ended or (before is not None and before.ended) or after.is_array:
        return None
    if after.reason.startswith("after: ") and after.state is JobState.CANCELLED:
        return None
    gang = after if after.is_gang else world.controller.jobs.get(after.gang)
    of_all = (
        [world.past.codes.get(task_id(gang.id, number), {}) for number in range(gang.spec.task_count)] if gang else []
    )
    own = of_all if after.is_gang else [world.past.codes.get(after.id, {})]
    timed_out = any(one is not None and one.reason.startswith("timeouts.") for one in (after, gang))
    match after.state:
        case JobState.SUCCEEDED if all(0 in codes for codes in own):
            return None
        case JobState.FAILED if any(FAILED in codes for codes in own) or timed_out:
            return None
        case JobState.CANCELLED if any(one in world.past.cancelled for one in (after.gang, after.array, after.id)):
            return None
        case JobState.CANCELLED if after.gang and (timed_out or any(FAILED in codes for codes in of_all)):
            # A fellow of its has failed, and with it the gang.
            return None
        case JobState.FAILED if Ref(after.id, after.task, after.epoch) in world.past.robbed and any(
            FAILED in codes for codes in of_all
        ):
            # The gang had failed already, so that it does not begin anew for that.
            return None
    return f"{after.name} is {after.state.name} ({after.reason}), its containers left with {list(map(list, own))}"


@at(Occurrence.JOB_SAVED)
def a_gang_has_places_for_all_its_tasks_or_for_none(world: "World", _before: Job | None, after: Job) -> str | None:
    """A gang that waits holds nothing, and one that was placed has places for all its tasks, in one epoch."""
    gang = world.controller.jobs.get(after.gang or after.id)
    if gang is None or not gang.is_gang or gang.state not in (JobState.QUEUED, *_PLACED):
        return None
    wanted = gang.state in _PLACED
    for number in range(gang.spec.task_count):
        task = world.controller.jobs[task_id(gang.id, number)]
        if bool(task.node) is not wanted or task.epoch != gang.epoch or task.ended:
            return f"{gang.name} is {gang.state.name} in epoch {gang.epoch}, and its task {number} is {_told(task)}"
    return None


@at(Occurrence.JOB_SAVED)
def a_failure_with_its_device_is_not_held_against_a_job(world: "World", _before: Job | None, after: Job) -> str | None:
    """A job that a lost device ended goes on where its rules name that cause, or its retries are used up."""
    lost = Ref(after.id, after.task, after.epoch) in world.past.worn
    rules = world.controller.jobs[after.gang] if after.gang else after
    if after.gang and not rules.reason.startswith(f"task {after.task}: "):
        # Another task had ended the gang before.
        return None
    if after.state is not JobState.FAILED or not lost or after.reason.startswith("timeouts."):
        return None
    may_retry = RetryCause.DEVICE_ERROR in after.spec.retry.on and rules.failures < after.spec.retry.limit
    told = after.attempt is not None and after.attempt.reason == DEVICE_LOST
    return f"{after.name} is FAILED ({after.reason}), and its device was lost" if may_retry or not told else None


@at(Occurrence.JOB_SAVED)
def a_result_is_that_of_an_undisturbed_run(world: "World", _before: Job | None, after: Job) -> str | None:
    """A job that was moved, killed and started anew has the digest of one that was not."""
    total_ms = world.programs[after.id].total_ms
    if after.outputs is not None and after.outputs.digest != f"sha256:{total_ms}":
        return f"{after.name} has {after.outputs.digest}, and {total_ms} ms of work"
    return None


@at(Occurrence.JOB_DECIDED)
def a_job_is_replaced_only_if_its_attempt_is_over_or_its_node_was_silent_for_its_lost_after(
    world: "World", before: Job | None, after: Job
) -> str | None:
    """A job whose node was unreachable for less than its `lost_after` is still that node's, but a task that is done."""
    if before is None or not before.node or after.epoch == before.epoch:
        return None
    site = world.sites[before.node]
    # What has come and waits while the controller saves counts as heard when it came, if that takes long.
    until_ms = min(world.controller.waiting_ms.get(before.node, world.now_ms) + STOOD_STILL_MS, world.now_ms)
    silent_ms = until_ms - world.controller.heard_ms.get(before.node, 0)
    ref = Ref(before.id, before.task, before.epoch)
    held = next((one for one in (site.core.held.get(ref), site.held.get(ref)) if one is not None), None)
    container = site.engine.containers.get(ref)
    over = (held is not None and held.attempt.ended) or (container is not None and container.exit_code is not None)
    done = bool(before.gang) and before.attempt is not None and before.attempt.state is AttemptState.EXITED
    if over or done or silent_ms > max(before.spec.lost_after_ms, GIVEN_UP_MS) or before.node in world.past.forgetful:
        return None
    return f"{after.name} leaves {before.node} after {silent_ms} ms, and is {_state(held.attempt if held else None)}"


@at(Occurrence.JOB_SAVED)
def no_more_of_a_device_is_granted_to_jobs_than_there_is(world: "World", _before: Job | None, after: Job) -> str | None:
    """All that the jobs of a node have of a device, in their records, is no more than there is of it."""
    attempt = after.attempt
    # What a later record of the same transaction has replaced was never on the disk.
    replaced = world.controller.jobs.get(after.id) is not after
    if attempt is None or not attempt.devices or after.ended or replaced:
        return None
    here = [one for one in world.controller.jobs.values() if not one.ended and one.node == after.node]
    for device in attempt.devices:
        having = [one for one in here if one.attempt is not None and device in one.attempt.devices]
        if sum(_millis(one.spec) for one in having) > WHOLE_MILLIS:
            return f"{[one.name for one in having]} have {device}"
    return None


@at(Occurrence.NODE_SAVED)
def a_drained_node_runs_nothing(world: "World", _: object, node: Node) -> str | None:
    """A node is DRAINED once nothing is left on it, and not before."""
    site = world.sites[node.id]
    left = [one.ref for one in site.engine.containers.values() if one.is_alive]
    if node.drain is Drain.DRAINED and left and node.id not in world.past.forgetful:
        return f"{node.name} is drained and still has {left}"
    return None


def _millis(spec: JobSpec) -> int:
    """The part of each of its devices that a job has."""
    return part_of(spec.resources.accelerators, None).millis


def _age(checkpoint: Checkpoint | None) -> tuple[int, int]:
    return (checkpoint.epoch, checkpoint.sequence) if checkpoint is not None else (0, 0)


def _state(attempt: Attempt | None) -> str:
    return attempt.state.name if attempt is not None else "not there"


def _told(job: Job | None) -> str:
    return f"{job.state.name} on {job.node or 'no node'} in epoch {job.epoch}" if job is not None else "not known"
