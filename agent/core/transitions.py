"""What the answer to an effect, or an exit, makes of an attempt."""

from agent.core import losses
from agent.core.attempts import Progress, moved
from agent.core.model import (
    AskToLeave,
    AttemptEvent,
    Collect,
    Collected,
    Declined,
    Exited,
    Fingerprint,
    Fingerprinted,
    Follow,
    Held,
    Interrupted,
    Kill,
    NotStarted,
    Pause,
    PauseEnded,
    Prepare,
    Prepared,
    Remove,
    Save,
    Saved,
    Start,
    Started,
    Unpause,
)
from agent.core.steps import Progressed
from headrace.attempts import EXIT_SAVED, Attempt, AttemptState, Phase
from headrace.changes import replace

_ANSWERS: dict[type, tuple[type, ...]] = {
    Prepared: (Prepare,),
    Started: (Start,),
    NotStarted: (Prepare, Start),
    Fingerprinted: (Fingerprint,),
    PauseEnded: (Pause, Unpause),
    Collected: (Collect,),
}

_ALIVE = (AttemptState.STARTING, AttemptState.RUNNING, AttemptState.PAUSED, AttemptState.STOPPING)


def heard(held: Held, event: AttemptEvent, progress: Progress) -> Held:
    """The record after the event; the same one where the event comes too late to matter."""
    # A late answer to something else must not end the wait for this one.
    undone = event.asked if isinstance(event, (Interrupted, Declined)) else None
    answered = _ANSWERS.get(type(event), ()) if undone is None else (undone,)
    asked = progress.busy in answered
    if asked:
        progress.busy = None
        progress.put_off = None if undone is None else progress.put_off
    attempt = held.attempt
    match event:
        case Interrupted(asked=asked_for) | Declined(asked=asked_for):
            _undone(asked_for, progress)
        case Prepared(phases=phases) if attempt.state is AttemptState.PREPARING:
            progress.prepared = True
            return replace(held, attempt=replace(attempt, phases=phases))
        case Started(phases=phases) if attempt.state is AttemptState.STARTING:
            started = moved(attempt, AttemptState.RUNNING, phases=attempt.phases + phases)
            return replace(held, attempt=started)
        case NotStarted() if attempt.state in (AttemptState.PREPARING, AttemptState.STARTING):
            refused = moved(attempt, AttemptState.REFUSED, reason=event.reason, message=event.message)
            return replace(held, attempt=refused)
        case Fingerprinted(fingerprint=fingerprint) if asked:
            return replace(held, fingerprint=fingerprint)
        case PauseEnded(paused=paused):
            return replace(held, attempt=_paused(attempt, paused=paused))
        case Exited() if attempt.state in _ALIVE:
            # An exit overtakes what was under way: a pause of a container that is gone is not waited for.
            progress.busy, progress.missing_once = None, False
            unwatched, rebooted = progress.unwatched, progress.rebooted
            event = losses.attributed(attempt, event, unwatched=unwatched, rebooted=rebooted)
            return replace(held, attempt=_exited(attempt, event))
        case Saved():
            progress.saving = False
            return replace(held, attempt=_saved(attempt, event))
        case Progressed(steps=steps) if attempt.state is AttemptState.RUNNING:
            return replace(held, attempt=replace(attempt, steps=steps))
        case Collected() if attempt.state is AttemptState.SAVING:
            return replace(held, attempt=_collected(attempt, event))
        case _:
            pass
    return held


def _undone(asked: type, progress: Progress) -> None:
    """What was asked for and not done is asked for again."""
    if asked is Remove:
        progress.removing = False
    elif asked is AskToLeave:
        progress.leave_by_ms = None
    elif asked is Kill:
        progress.kill_sent = False
    elif asked is Follow:
        progress.followed = False
    elif asked is Save:
        progress.saving = False


def _paused(attempt: Attempt, *, paused: bool) -> Attempt:
    if paused and attempt.state in (AttemptState.RUNNING, AttemptState.STOPPING):
        return moved(attempt, AttemptState.PAUSED)
    if not paused and attempt.state is AttemptState.PAUSED:
        return moved(attempt, AttemptState.RUNNING)
    return attempt


def _exited(attempt: Attempt, event: Exited) -> Attempt:
    phases = attempt.phases
    if event.stop_millis is not None:
        phases = (*phases, Phase("stop", event.stop_millis))
    return moved(
        attempt,
        AttemptState.SAVING,
        exit_code=event.exit_code,
        reason=event.reason or attempt.reason,
        message=event.message or attempt.message,
        phases=phases,
    )


def _saved(attempt: Attempt, event: Saved) -> Attempt:
    saved, known = event.checkpoint, attempt.checkpoint
    if saved is not None and (known is None or saved.sequence > known.sequence):
        attempt = replace(attempt, checkpoint=saved)
    if attempt.state not in _ALIVE or (saved is None and not event.message):
        # Why it ended matters more by then than what became of a periodic checkpoint.
        return attempt
    return replace(attempt, message=event.message)


def _collected(attempt: Attempt, event: Collected) -> Attempt:
    return moved(
        attempt,
        AttemptState.EXITED,
        checkpoint=event.checkpoint or attempt.checkpoint,
        outputs=event.outputs,
        saved_on_request=_saved_on_request(attempt, event),
        reason=event.reason or attempt.reason,
        message=event.message or attempt.message,
        phases=attempt.phases + event.phases,
    )


def _saved_on_request(attempt: Attempt, event: Collected) -> bool:
    """Whether all is saved that the job had: its directory changed since it was asked, or its exit code says so."""
    if not attempt.stop_requested or event.checkpoint is None:
        return False
    return event.changed or attempt.exit_code == EXIT_SAVED
