"""What an engine's list of containers says of the attempts that a node holds: after a restart, and now and then."""

from collections.abc import Iterator
from typing import NamedTuple

from agent.core.attempts import Progress
from agent.core.model import Exited, Held, Relist, Remove
from agent.runtimes.runtime import ContainerState, ContainerStatus, Ref
from headrace.attempts import AttemptState


class Runs(NamedTuple):
    """The container is there and alive."""

    ref: Ref
    paused: bool


class Wanted(NamedTuple):
    """Something has to be asked of the engine."""

    effect: Remove | Relist


Finding = Runs | Wanted

_HAD_CONTAINER = (
    AttemptState.STARTING,
    AttemptState.RUNNING,
    AttemptState.PAUSED,
    AttemptState.STOPPING,
)


# What the engine found out only after the start, and the remedy.
_NEVER_RAN = {
    "COMMAND_NOT_FOUND": "the image holds no such program; check the job's command",
    "IMAGE_NOT_RUNNABLE": "the image's program is for another processor than the image says; build it for this one",
}


def exited(status: ContainerStatus, stop_millis: int | None = None) -> Exited:
    """What an engine's word of an exit means."""
    reason = message = ""
    if status.severed:
        message = "somebody removed the container that held its network"
        return Exited(status.ref, None, reason="NETWORK_LOST", message=message, stop_millis=stop_millis)
    if status.exec_failed:
        reason = status.exec_failed
        message = _NEVER_RAN.get(reason, "the image's program could not be run; see the job's log")
    elif status.out_of_memory:
        reason, message = "OUT_OF_MEMORY", "the container used more memory than resources.memory allows"
    return Exited(status.ref, status.exit_code, reason=reason, message=message, stop_millis=stop_millis)


def compare(
    held: dict[Ref, Held], containers: tuple[ContainerStatus, ...], progress: dict[Ref, Progress]
) -> Iterator[Finding | Exited]:
    """Findings, each of which must be true however old the list is by now."""
    seen = {status.ref: status for status in containers}
    for ref, status in seen.items():
        if ref not in held:
            # A container that was started is in the journal: what is not there is nobody's any more.
            yield Wanted(Remove(ref))
        elif status.state is ContainerState.EXITED:
            yield exited(status)
        elif status.state is not ContainerState.CREATED:
            progress[ref].unwatched = False
            if not progress[ref].busy:
                yield Runs(ref, paused=status.state is ContainerState.PAUSED)
    for ref in list(held):
        if held[ref].attempt.state in _HAD_CONTAINER:
            yield from _missing(ref, progress[ref], present=ref in seen)


def _missing(ref: Ref, progress: Progress, *, present: bool) -> Iterator[Finding | Exited]:
    if present or progress.busy:
        progress.missing_once = False
    elif not progress.missing_once:
        # The list may be older than the container: it takes two lists to know that a container is gone.
        progress.missing_once = True
        yield Wanted(Relist())
    else:
        message = "the container is gone; somebody removed it by hand"
        yield Exited(ref, None, reason="CONTAINER_MISSING", message=message)
