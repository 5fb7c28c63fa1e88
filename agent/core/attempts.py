"""What is to be done next with one attempt: a function of its record and of what is wanted of it."""

from collections.abc import Iterable
from dataclasses import dataclass
from enum import Enum
from typing import Self, assert_never

from agent.core import device_losses
from agent.core.lease import Lease
from agent.core.model import (
    AskToLeave,
    Collect,
    Effect,
    Fingerprint,
    Held,
    Keep,
    Kill,
    Pause,
    Prepare,
    Remove,
    Save,
    Start,
    Unpause,
)
from headrace.attempts import EXIT_DONE, EXIT_SAVED, Attempt, AttemptState
from headrace.changes import replace
from headrace.jobs import Partition
from headrace.sessions import Goal, Placement
from headrace.shares import WHOLE_MILLIS, part_of

MOVES: dict[AttemptState, tuple[AttemptState, ...]] = {
    AttemptState.PREPARING: (AttemptState.STARTING, AttemptState.REFUSED),
    AttemptState.STARTING: (AttemptState.RUNNING, AttemptState.REFUSED, AttemptState.SAVING),
    AttemptState.RUNNING: (AttemptState.PAUSED, AttemptState.STOPPING, AttemptState.SAVING),
    AttemptState.PAUSED: (AttemptState.RUNNING, AttemptState.SAVING),
    AttemptState.STOPPING: (AttemptState.PAUSED, AttemptState.SAVING),
    AttemptState.SAVING: (AttemptState.EXITED,),
    AttemptState.EXITED: (),
    AttemptState.REFUSED: (),
}

# Its container may be alive.
_MAY_RUN = (AttemptState.STARTING, AttemptState.RUNNING, AttemptState.PAUSED, AttemptState.STOPPING)

# Its container has begun to write a log.
FOLLOWED = (AttemptState.RUNNING, AttemptState.PAUSED, AttemptState.STOPPING, AttemptState.SAVING)

# What the engine tells again of a job's first attempt, of which nothing was saved, which nobody has asked to leave, and
# which left, if it did, with a code that is its own.
_FOUND_AGAIN = (AttemptState.PREPARING, AttemptState.RUNNING, AttemptState.SAVING, AttemptState.EXITED)

# An engine that is only started anew is back by then.
ENGINE_PATIENCE_MS = 30_000

# What was declined once is asked for again after so long, and ever later, up to the longest.
DECLINED_MS = 1_000
DECLINED_MS_MAX = 10_000


class IllegalMove(Exception):
    """A state does not follow on another one: a bug."""


def moved(attempt: Attempt, state: AttemptState, **changes: object) -> Attempt:
    """The attempt in its next state. Raises IllegalMove where the table has no such move."""
    if state not in MOVES[attempt.state]:
        raise IllegalMove(f"{attempt.job} epoch {attempt.epoch}: {attempt.state.name} -> {state.name}")
    return replace(attempt, state=state, **changes)  # type: ignore[arg-type]


def is_found_again(attempt: Attempt) -> bool:
    """Whether an agent that lost its note of this would come to the same: from the note before, and from the engine."""
    # An epoch whose container is there counts as taken, note or no note: a move would fail by that.
    touched = attempt.epoch > 1 or attempt.checkpoint is not None or attempt.stop_requested or attempt.killed
    left_at_will = attempt.exit_code is None or attempt.exit_code in (EXIT_DONE, EXIT_SAVED)
    return attempt.state in _FOUND_AGAIN and left_at_will and not (touched or attempt.reason)


class Desire(Enum):
    """What is wanted of an attempt: the assignment's word and the lease's, in one."""

    RUN = 1
    # Go on with what runs; start nothing.
    CONTINUE = 2
    # Hold still until the lease is back.
    HOLD = 3
    FREEZE = 4
    CANCEL = 5
    # Not wanted any more: this epoch is over.
    RELEASE = 6


@dataclass(slots=True)
class Progress:
    """What is under way with an attempt in this process; a restarted agent begins with none."""

    # The effect that was asked for and not answered yet.
    busy: type | None = None
    # Not wanted any more, and never again: what it ran may run elsewhere by now.
    released: bool = False
    removing: bool = False
    prepared: bool = False
    saving: bool = False
    sequence: int = 0
    save_due_ms: int | None = None
    leave_by_ms: int | None = None
    kill_sent: bool = False
    missing_once: bool = False
    followed: bool = False
    # Since its container was last seen alive the engine was away, or the agent was; or even the machine.
    unwatched: bool = False
    rebooted: bool = False
    # The effect that was declined, why, how often in a row, and when it is asked for again; whatever else goes on.
    put_off: type | None = None
    put_off_because: str = ""
    declined_times: int = 0
    again_ms: int = 0
    # How often its devices were read since it failed, and since when that is waited for.
    readings: int = 0
    failed_at_ms: int | None = None
    # Which of its devices was seen ill last.
    ill: device_losses.Ill | None = None

    @classmethod
    def recalled(cls, held: Held, boot_id: str) -> Self:
        """Of an attempt that an agent before this one held; `boot_id` is the kernel's now."""
        rebooted = "" not in (held.boot_id, boot_id) and held.boot_id != boot_id
        sequence = held.attempt.checkpoint.sequence if held.attempt.checkpoint is not None else 0
        return cls(sequence=sequence, unwatched=True, rebooted=rebooted)

    def declined(self, effect: type, because: str, now_ms: int) -> None:
        """Puts this effect off."""
        self.put_off_because = because
        self.declined_times = self.declined_times + 1 if effect is self.put_off else 1
        self.put_off = effect
        self.again_ms = now_ms + min(DECLINED_MS_MAX, DECLINED_MS << min(self.declined_times - 1, 10))

    def waits_with(self, effect: type, now_ms: int) -> bool:
        """Whether it is too early to ask for this effect."""
        return effect is self.put_off and now_ms < self.again_ms


def desire(held: Held, wanted: Placement | None, *, assigned: bool, lease: Lease, now_ms: int) -> Desire:
    """What is wanted: `wanted` is the placement of the present assignment, which there may be none of (`assigned`)."""
    if assigned:
        if wanted is None:
            return Desire.RELEASE
        if wanted.goal is Goal.FREEZE:
            return Desire.FREEZE
        if wanted.goal is Goal.CANCEL:
            return Desire.CANCEL
    if lease.valid(now_ms):
        return Desire.RUN if assigned else Desire.CONTINUE
    match held.placement.spec.partition:
        case Partition.PAUSE:
            return Desire.HOLD
        case Partition.STOP:
            # An agent that has just started is not cut off: it has not asked yet. And what is held still is not let
            # go on to leave: it may have been too long for that.
            held_still = held.attempt.state is AttemptState.PAUSED
            return Desire.FREEZE if lease.lapsed(now_ms) and not held_still else Desire.HOLD
        case Partition.KEEP:
            return Desire.CONTINUE
        case other:
            assert_never(other)


def allowed(wish: Desire, held: Held, others: Iterable[Held]) -> Desire:
    """The wish; but nothing starts while another attempt that may still run has one of its devices.

    That one is about to be removed, or nobody would have given the device to this one.
    """
    mine = held.placement.devices
    if wish is not Desire.RUN or not mine or held.attempt.state not in (AttemptState.PREPARING, AttemptState.STARTING):
        return wish
    alive = [one for one in others if one.attempt.state in _MAY_RUN and one.ref != held.ref]
    return wish if all(_has_room(device, held, alive) for device in mine) else Desire.CONTINUE


def _has_room(device: str, held: Held, others: Iterable[Held]) -> bool:
    """Whether a device is nobody else's, or shared, and what all have of it together is no more than there is."""
    sharing = [one for one in others if device in one.placement.devices]
    # The controller has made a number of every part.
    parts = [part_of(one.placement.spec.resources.accelerators, None).millis for one in (held, *sharing)]
    return sum(parts) <= WHOLE_MILLIS


def told(attempt: Attempt, progress: Progress) -> Attempt:
    """The attempt as it is reported: with what its end waits for, which is of now alone and not kept."""
    if attempt.state is not AttemptState.SAVING or progress.put_off is not Collect:
        return attempt
    return replace(attempt, message=progress.put_off_because)


def step(held: Held, wish: Desire, progress: Progress, now_ms: int) -> tuple[Held, list[Effect]]:
    """The record after the next step, and that step's effects; none while one is under way."""
    attempt = held.attempt
    if progress.released:
        return held, _removal(held, progress, now_ms)
    if progress.missing_once:
        # Perhaps it has no container any more; the next list tells.
        return held, []
    match attempt.state:
        case AttemptState.PREPARING | AttemptState.STARTING:
            return _before_start(held, wish, progress, now_ms)
        case AttemptState.RUNNING:
            return _while_running(held, wish, progress, now_ms)
        case AttemptState.PAUSED:
            if wish is Desire.HOLD or progress.busy:
                return held, []
            return _begun(held, progress, Unpause(held.ref), now_ms)
        case AttemptState.STOPPING:
            return _while_stopping(held, wish, progress, now_ms)
        case AttemptState.SAVING:
            if progress.busy or (wish is not Desire.CANCEL and _waits_for_devices(attempt, progress, now_ms)):
                return held, []
            return _begun(held, progress, Collect(held, progress.sequence + 1), now_ms)
        case AttemptState.EXITED | AttemptState.REFUSED:
            return held, []
        case other:
            assert_never(other)


def _waits_for_devices(attempt: Attempt, progress: Progress, now_ms: int) -> bool:
    if not device_losses.is_suspected(attempt) or progress.readings >= device_losses.READINGS:
        return False
    if progress.failed_at_ms is None:
        progress.failed_at_ms = now_ms
    return now_ms < progress.failed_at_ms + device_losses.PATIENCE_MS


def _removal(held: Held, progress: Progress, now_ms: int) -> list[Effect]:
    if progress.removing:
        return []
    if not progress.waits_with(Remove, now_ms):
        # It ends what else is under way, of which no word comes then: a pause, too, which is to be asked for anew.
        progress.removing, progress.busy = True, None
        return [Remove(held.ref)]
    if progress.busy or held.attempt.state not in (AttemptState.RUNNING, AttemptState.STOPPING):
        return []
    # The job may run elsewhere by now, so what cannot be removed yet is held still at least.
    progress.busy = Pause
    return [Pause(held.ref)]


def step_without_engine(held: Held, wish: Desire, *, away_ms: int) -> tuple[Held, list[Effect]]:
    """The same while the engine does not answer, for `away_ms` by now: what was never started need not wait for it.

    In PREPARING, and there alone, no start was ever asked for; once it is REFUSED, none will be.
    """
    if held.attempt.state is not AttemptState.PREPARING or wish is Desire.RELEASE:
        return held, []
    if wish in (Desire.FREEZE, Desire.CANCEL):
        return _refused(held, "LEFT_BEFORE_START", "asked to leave before it had started")
    if away_ms < ENGINE_PATIENCE_MS:
        return held, []
    message = f"the node's engine has not answered for {away_ms / 1000:.0f} s, and had not started it yet"
    return _refused(held, "ENGINE_UNREACHABLE", message)


def _before_start(held: Held, wish: Desire, progress: Progress, now_ms: int) -> tuple[Held, list[Effect]]:
    starting = held.attempt.state is AttemptState.STARTING
    if wish in (Desire.FREEZE, Desire.CANCEL) and not (starting and progress.busy):
        return _refused(held, "LEFT_BEFORE_START", "asked to leave before it had started")
    if wish is not Desire.RUN or progress.busy:
        return held, []
    if starting:
        return _begun(held, progress, Start(held.placement), now_ms)
    if not progress.prepared:
        return _begun(held, progress, Prepare(held.placement), now_ms)
    held = replace(held, attempt=moved(held.attempt, AttemptState.STARTING))
    progress.busy = Start
    return held, [Keep(held), Start(held.placement)]


def _refused(held: Held, reason: str, message: str) -> tuple[Held, list[Effect]]:
    held = replace(held, attempt=moved(held.attempt, AttemptState.REFUSED, reason=reason, message=message))
    return held, [Keep(held)]


def _while_running(held: Held, wish: Desire, progress: Progress, now_ms: int) -> tuple[Held, list[Effect]]:
    if progress.busy and not (wish is Desire.HOLD and progress.busy is Fingerprint):
        return held, []
    if wish is Desire.HOLD:
        return _begun(held, progress, Pause(held.ref), now_ms)
    if wish not in (Desire.FREEZE, Desire.CANCEL) and held.fingerprint and not held.attempt.stop_requested:
        # It was not asked after all. What it saves from here on was not on request.
        held = replace(held, fingerprint="")
    if wish in (Desire.FREEZE, Desire.CANCEL):
        if wish is Desire.FREEZE and not held.fingerprint:
            return _begun(held, progress, Fingerprint(held.placement), now_ms)
        # Written down before the job is asked: an exit that follows must be known as one that was asked for.
        held = replace(held, attempt=moved(held.attempt, AttemptState.STOPPING, stop_requested=True))
        progress.leave_by_ms = now_ms + held.placement.spec.grace_ms
        return held, [Keep(held), AskToLeave(held.placement)]
    policy = held.placement.spec.checkpoint
    if policy is None or policy.interval_ms == 0 or progress.saving:
        return held, []
    if progress.save_due_ms is None:
        progress.save_due_ms = now_ms + policy.interval_ms
    if now_ms < progress.save_due_ms:
        return held, []
    progress.saving = True
    progress.save_due_ms = now_ms + policy.interval_ms
    progress.sequence += 1
    return held, [Save(held.placement, progress.sequence)]


def _while_stopping(held: Held, wish: Desire, progress: Progress, now_ms: int) -> tuple[Held, list[Effect]]:
    overdue = progress.leave_by_ms is not None and now_ms >= progress.leave_by_ms
    if wish is Desire.HOLD and not overdue:
        if progress.busy:
            return held, []
        # It is asked anew once the lease is back: the controller may give the job to another node before its grace
        # is over.
        progress.leave_by_ms, progress.kill_sent = None, False
        return _begun(held, progress, Pause(held.ref), now_ms)
    if progress.busy and not overdue:
        return held, []
    if progress.leave_by_ms is None:
        if progress.waits_with(AskToLeave, now_ms):
            return held, []
        # This process did not ask it: the one before it may have been killed between its note and the signal.
        progress.leave_by_ms = now_ms + held.placement.spec.grace_ms
        return held, [AskToLeave(held.placement)]
    if not overdue or progress.kill_sent or progress.waits_with(Kill, now_ms):
        return held, []
    progress.kill_sent = True
    held = replace(held, attempt=replace(held.attempt, killed=True))
    return held, [Keep(held), Kill(held.ref)]


def _begun(held: Held, progress: Progress, effect: Effect, now_ms: int) -> tuple[Held, list[Effect]]:
    if progress.waits_with(type(effect), now_ms):
        return held, []
    progress.busy = type(effect)
    return held, [effect]
