"""Exits that say nothing of a job: its engine or its machine went down, and took the container along."""

from agent.core.model import Exited
from headrace.attempts import EXIT_DONE, EXIT_SAVED, EXIT_SIGKILL, EXIT_SIGTERM, Attempt
from headrace.changes import replace

ENGINE_STOPPED = "ENGINE_STOPPED"
NODE_REBOOTED = "NODE_REBOOTED"

# The last one is what an engine says of a container that it finds dead and knows no exit code of.
_BY_SIGNAL = (EXIT_SIGTERM, EXIT_SIGKILL, 255)
# With these a job says itself that it is done, or has saved.
_AT_WILL = (EXIT_DONE, EXIT_SAVED)


def is_doubtful(attempt: Attempt, event: Exited) -> bool:
    """Whether the engine may have ended it: it has a signal's code, and this agent had not sent the signal.

    An engine that is going down tells of these exits like of any other, as long as its events last.
    """
    return event.exit_code in _BY_SIGNAL and not event.reason and not _is_ours(attempt, event)


def attributed(attempt: Attempt, event: Exited, *, unwatched: bool, rebooted: bool) -> Exited:
    """The exit without a code, as of a node that was lost, where the job had no part in it; else as it is.

    `unwatched`: the engine was away, or the agent was, since the container was last seen alive. `rebooted`: so was
    the machine.
    """
    if not unwatched or event.reason or _is_ours(attempt, event):
        return event
    if rebooted and event.exit_code not in _AT_WILL:
        # Whatever a machine that goes down does to a job, the job has not failed.
        return _lost(event, NODE_REBOOTED, "the node was started anew")
    if event.exit_code in _BY_SIGNAL:
        return _lost(event, ENGINE_STOPPED, "the node's engine was stopped or died")
    return event


def _is_ours(attempt: Attempt, event: Exited) -> bool:
    asked = attempt.stop_requested and event.exit_code == EXIT_SIGTERM
    return asked or (attempt.killed and event.exit_code == EXIT_SIGKILL)


def _lost(event: Exited, reason: str, what: str) -> Exited:
    message = f"{what}, and the container with it (it left with code {event.exit_code})"
    return replace(event, exit_code=None, reason=reason, message=message)
