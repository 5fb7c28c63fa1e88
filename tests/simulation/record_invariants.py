"""What must hold of checkpoints, and of the records of jobs and nodes; in the form of `invariants.py`."""

from typing import TYPE_CHECKING

from agent.core.device_losses import DEVICE_LOST
from agent.core.model import Held
from agent.runtimes.runtime import Ref
from controller.core.absences import STOOD_STILL_MS
from headrace.attempts import AttemptState, Checkpoint
from headrace.ids import task_id
from headrace.jobs import Job, JobState, RetryCause
from headrace.nodes import Drain, Node
from headrace.shares import WHOLE_MILLIS
from tests.simulation.invariants import PROGRESS, at, millis_of, state_of, told_of
from tests.simulation.occurrences import Occurrence
from tests.simulation.programs import FAILED
from tests.simulation.timeline import EPOCH_BEGAN_MS

if TYPE_CHECKING:
    from tests.simulation.node import SimulatedNode
    from tests.simulation.world import World

# Until then no job is anybody else's, however short its `lost_after` is; and where leases become shorter.
_GIVEN_UP_MS, _GIVEN_UP_SOONER_MS = 9_000, 4_500
_PLACED = (JobState.STARTING, JobState.RUNNING)


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
    return f"{ref} was stored, the job is {told_of(job)}" if job is None or ref.epoch < job.epoch else None


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
def a_job_waits_in_vain_only_while_there_is_a_controller(world: "World", before: Job | None, after: Job) -> str | None:
    """A job that `timeouts.queue` ends has waited for so long with somebody there to give it a place."""
    limit_ms, since_ms = after.spec.timeouts.queue_ms, after.queue_time_ms
    timed_out = after.state is JobState.FAILED and after.reason.startswith("timeouts.queue")
    if not timed_out or after.is_array or before is None or before.ended or limit_ms is None or since_ms is None:
        return None
    began_ms = since_ms - EPOCH_BEGAN_MS
    away_ms = sum(max(0, back_ms - max(left_ms, began_ms)) for left_ms, back_ms in world.controller.away)
    waited_ms = world.now_ms - began_ms - away_ms
    return None if waited_ms > limit_ms else f"{after.name} waited for {waited_ms} ms of {limit_ms}"


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
            return f"{gang.name} is {gang.state.name} in epoch {gang.epoch}, and its task {number} is {told_of(task)}"
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
    """A job whose node was silent for less than `lost_after`, or has a lease, is still there, unless it is done."""
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
    if over or done or before.node in world.past.forgetful:
        return None
    # By its own clock, and by what it was told, however long that is.
    goes_on = site.is_up and site.core.lease.valid(site.core.now_ms)
    given_up_ms = _GIVEN_UP_SOONER_MS if world.policy.reports_per_second else _GIVEN_UP_MS
    if silent_ms > max(before.spec.lost_after_ms, given_up_ms) and not goes_on:
        return None
    return f"{after.name} leaves {before.node} after {silent_ms} ms, and is {state_of(held.attempt if held else None)}"


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
        if sum(millis_of(one.spec) for one in having) > WHOLE_MILLIS:
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


def _age(checkpoint: Checkpoint | None) -> tuple[int, int]:
    return (checkpoint.epoch, checkpoint.sequence) if checkpoint is not None else (0, 0)
