"""What an agent's core remembers, hears and asks for."""

from dataclasses import dataclass, field

from agent.core.steps import Progressed
from agent.runtimes.runtime import ContainerStatus, Holder, Ref
from headrace.attempts import Attempt, Checkpoint, Outputs, Phase
from headrace.nodes import Device, Load, NodeDescription
from headrace.sessions import Assignment, Placement, Prefetch, Prefetched, Report


@dataclass(frozen=True, slots=True)
class Memory:
    """What must outlive the agent besides its attempts. `cluster` is empty before the first assignment."""

    session: int = 0
    cluster: str = ""


@dataclass(frozen=True, slots=True)
class Held:
    """An attempt that this node holds, as the journal keeps it.

    `fingerprint` is the checkpoint directory's when the job was asked to leave: whether it changed since tells,
    without comparing clocks, if the job saved on request. `boot_id` is the kernel's, from when it was not started yet;
    empty where it is not known.
    """

    placement: Placement
    attempt: Attempt
    fingerprint: str = ""
    boot_id: str = ""

    @property
    def ref(self) -> Ref:
        """Which container it is."""
        return Ref(self.placement.job, self.placement.task, self.placement.epoch)


# Events: what the shell tells the core.


@dataclass(frozen=True, slots=True)
class Ticked:
    """Time has passed; `now_ms` is monotonic and of this process alone."""

    now_ms: int


@dataclass(frozen=True, slots=True)
class Connected:
    """The stream of this session is open."""

    session: int


@dataclass(frozen=True, slots=True)
class Disconnected:
    """The stream of this session ended, or was refused: to be heard, this node must go above `newest`, if given."""

    session: int
    newest: int = 0


@dataclass(frozen=True, slots=True)
class Assigned:
    """An assignment came."""

    assignment: Assignment


@dataclass(frozen=True, slots=True)
class Sensed:
    """What the sensors saw."""

    description: NodeDescription
    devices: tuple[Device, ...]
    load: Load


@dataclass(frozen=True, slots=True)
class EngineFound:
    """The engine answers; these are its containers, and those of whoever that hold devices (`None`: not asked for)."""

    version: str
    containers: tuple[ContainerStatus, ...]
    holders: tuple[Holder, ...] | None = ()


@dataclass(frozen=True, slots=True)
class EngineLost:
    """The engine does not answer. Nothing is known of the containers; nothing is concluded."""

    message: str


@dataclass(frozen=True, slots=True)
class Prepared:
    """Image, checkpoint and container are there."""

    ref: Ref
    phases: tuple[Phase, ...] = ()


@dataclass(frozen=True, slots=True)
class Started:
    """The container runs."""

    ref: Ref
    phases: tuple[Phase, ...] = ()


@dataclass(frozen=True, slots=True)
class NotStarted:
    """Preparing or starting was refused; nothing ran."""

    ref: Ref
    reason: str
    message: str


@dataclass(frozen=True, slots=True)
class Interrupted:
    """An effect (`asked`) was not carried out, because the engine does not answer. It is asked for again later."""

    ref: Ref
    message: str
    asked: type


@dataclass(frozen=True, slots=True)
class Declined:
    """An effect (`asked`) was not carried out, for a reason of this attempt alone. It is asked for again, later."""

    ref: Ref
    message: str
    asked: type


@dataclass(frozen=True, slots=True)
class Fingerprinted:
    """The state of the checkpoint directory before the job is asked to leave."""

    ref: Ref
    fingerprint: str


@dataclass(frozen=True, slots=True)
class PauseEnded:
    """A pause (`paused`) or its end was carried out."""

    ref: Ref
    paused: bool


@dataclass(frozen=True, slots=True)
class Exited:
    """The container is over; `stop_millis` since it was asked to leave, where it was."""

    ref: Ref
    exit_code: int | None
    reason: str = ""
    message: str = ""
    stop_millis: int | None = None


@dataclass(frozen=True, slots=True)
class Saved:
    """A periodic checkpoint is stored, or (`None`) could not be, or there is nothing to store."""

    ref: Ref
    checkpoint: Checkpoint | None
    message: str = ""


@dataclass(frozen=True, slots=True)
class Collected:
    """What an attempt left behind is stored: its last checkpoint, its outputs, its log."""

    ref: Ref
    checkpoint: Checkpoint | None = None
    outputs: Outputs | None = None
    changed: bool = False
    reason: str = ""
    message: str = ""
    phases: tuple[Phase, ...] = ()


@dataclass(frozen=True, slots=True)
class Removed:
    """Container and folders of an attempt are gone."""

    ref: Ref


@dataclass(frozen=True, slots=True)
class Fetched:
    """What became of a hint."""

    prefetched: Prefetched


AttemptEvent = (
    Prepared
    | Started
    | NotStarted
    | Interrupted
    | Declined
    | Fingerprinted
    | PauseEnded
    | Exited
    | Saved
    | Progressed
    | Collected
    | Removed
)
Event = Ticked | Connected | Disconnected | Assigned | Sensed | EngineFound | EngineLost | AttemptEvent | Fetched


# Effects: what the core asks the shell to do. The first three are saved before any of the others is done. But what is
# to be saved `soon` may wait for the next that may not, or for a moment: if a crash takes it, it is found out again.
# What concerns one attempt may be answered by Interrupted or Declined.


@dataclass(frozen=True, slots=True)
class Remember:
    """Write down."""

    memory: Memory


@dataclass(frozen=True, slots=True)
class Keep:
    """Write down; once it is, this epoch counts as taken."""

    held: Held
    soon: bool = False


@dataclass(frozen=True, slots=True)
class Forget:
    """Strike out, if it is there; once it is, this epoch counts as taken."""

    ref: Ref
    soon: bool = False


@dataclass(frozen=True, slots=True)
class OpenSession:
    """Leave the present stream, if any, and open one for this session."""

    session: int


@dataclass(frozen=True, slots=True)
class Send:
    """Send; a report that was not sent yet is replaced."""

    report: Report


@dataclass(frozen=True, slots=True)
class Warn:
    """Tell the operator."""

    message: str


@dataclass(frozen=True, slots=True)
class Prepare:
    """Pull, lay down, make. Answered by Prepared or NotStarted."""

    placement: Placement


@dataclass(frozen=True, slots=True)
class Start:
    """Run the container. Answered by Started or NotStarted."""

    placement: Placement


@dataclass(frozen=True, slots=True)
class Follow:
    """Carry the container's log to the controller until it ends, and say when it exited."""

    placement: Placement


@dataclass(frozen=True, slots=True)
class Fingerprint:
    """Answered by Fingerprinted."""

    placement: Placement


@dataclass(frozen=True, slots=True)
class AskToLeave:
    """Lay down the stop file and send SIGTERM."""

    placement: Placement


@dataclass(frozen=True, slots=True)
class Kill:
    """Send SIGKILL."""

    ref: Ref


@dataclass(frozen=True, slots=True)
class Pause:
    """Answered by PauseEnded."""

    ref: Ref


@dataclass(frozen=True, slots=True)
class Unpause:
    """Answered by PauseEnded."""

    ref: Ref


@dataclass(frozen=True, slots=True)
class Save:
    """Take a periodic checkpoint. Answered by Saved."""

    placement: Placement
    sequence: int


@dataclass(frozen=True, slots=True)
class Collect:
    """Store what the attempt left. Answered by Collected, however long it takes."""

    held: Held
    sequence: int


@dataclass(frozen=True, slots=True)
class Remove:
    """Delete container and folders. Answered by Removed."""

    ref: Ref


@dataclass(frozen=True, slots=True)
class Relist:
    """Ask the engine for its containers now. Answered by EngineFound or EngineLost."""


@dataclass(frozen=True, slots=True)
class Fetch:
    """Bring image and checkpoint. Answered by Fetched, perhaps several times."""

    prefetch: Prefetch


@dataclass(frozen=True, slots=True)
class DropFetched:
    """The hint is gone: stop bringing it, let go of what came and no attempt needs."""

    prefetch: Prefetch


Effect = (
    Remember
    | Keep
    | Forget
    | OpenSession
    | Send
    | Warn
    | Prepare
    | Start
    | Follow
    | Fingerprint
    | AskToLeave
    | Kill
    | Pause
    | Unpause
    | Save
    | Collect
    | Remove
    | Relist
    | Fetch
    | DropFetched
)


@dataclass(frozen=True, slots=True)
class Recollection:
    """What the journal holds when an agent starts: `epochs` are the highest taken, by job."""

    memory: Memory = field(default_factory=Memory)
    held: tuple[Held, ...] = ()
    epochs: dict[str, int] = field(default_factory=dict)
