"""What an agent asks of whatever runs containers. Every implementation passes tests/contract/runtime_suite.py."""

from collections.abc import AsyncGenerator
from dataclasses import dataclass, field
from enum import Enum
from typing import NamedTuple, Protocol

from agent.accelerators.vendor import Grant
from headrace.attempts import Platform
from headrace.jobs import Network


class EngineUnreachable(Exception):
    """The engine does not answer. Nothing is known of its containers: unreachable is not failed."""


class RuntimeRefused(Exception):
    """The engine answered no. `reason` is in upper snake case, the message says what to do."""

    def __init__(self, reason: str, message: str) -> None:
        super().__init__(message)
        self.reason = reason
        self.message = message


class Ref(NamedTuple):
    """Which attempt a container is. The runtime keeps it with the container, with the node's id."""

    job: str
    task: int
    epoch: int


class ContainerState(Enum):
    """CREATED has never run."""

    CREATED = 1
    RUNNING = 2
    PAUSED = 3
    EXITED = 4


@dataclass(frozen=True, slots=True)
class ContainerStatus:
    """A container as the engine tells of it; `exit_code` is `None` unless it exited and the engine knows.

    `exec_failed` is why the init could not run the image's program, which shows only after the start: one of start's
    reasons (IMAGE_NOT_RUNNABLE, COMMAND_NOT_FOUND, START_FAILED), empty where the program ran. `severed`: the runtime
    ended it, since its network had been taken from it.
    """

    ref: Ref
    state: ContainerState
    exit_code: int | None = None
    out_of_memory: bool = False
    exec_failed: str = ""
    severed: bool = False


# A claim on all devices of a vendor.
EVERY_DEVICE = "all"


@dataclass(frozen=True, slots=True)
class Holder:
    """A container that runs or is paused, and that devices of `vendor` were given to, whoever made it.

    `claims` are devices' ids or numbers, or EVERY_DEVICE. `ref` is `None` where it is no attempt of this node.
    """

    name: str
    ref: Ref | None
    vendor: str
    claims: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Mount:
    """A folder of this node, made visible in a container."""

    source: str
    target: str
    read_only: bool = False


@dataclass(frozen=True, slots=True)
class ContainerSpec:
    """What to run. An empty command is the image's own; `image` is "registry/repository@sha256:<hex>".

    `devices` are given to it by the `grant`, which also hides all others; `withheld` are the nodes of those.
    """

    ref: Ref
    image: str
    platform: Platform
    command: tuple[str, ...] = ()
    env: dict[str, str] = field(default_factory=dict)
    cpu_millis: int = 1000
    memory_bytes: int = 1 << 30
    mounts: tuple[Mount, ...] = ()
    devices: tuple[str, ...] = ()
    grant: Grant = field(default_factory=Grant)
    withheld: tuple[str, ...] = ()
    network: Network = Network.BRIDGE


@dataclass(frozen=True, slots=True)
class Waiting:
    """How a container waits: by `program`, a path in it, and for the file `word` of this node."""

    program: str
    word: str


@dataclass(frozen=True, slots=True)
class LogChunk:
    """Bytes of a container's log, stdout and stderr as they came, and where the log is after them."""

    cursor: str
    data: bytes


class Runtime(Protocol):
    """Every method raises EngineUnreachable where the engine does not answer, RuntimeRefused where it answers no.

    Consume `exits` and `log` within `contextlib.aclosing`: what is left half read stays open.
    """

    async def version(self) -> str:
        """The engine's name and version: that it answers, and takes new questions. One that goes down does not."""
        ...

    async def pull(self, image: str, platform: Platform) -> int:
        """Brings an image; answers how many bytes came, 0 if it was there. RuntimeRefused: IMAGE_PULL_FAILED."""
        ...

    async def create(self, spec: ContainerSpec) -> None:
        """Makes the container, with an init as PID 1 and no restart policy. One that is there already is kept.

        One that stands by is taken over, if it is as this one is to be but for the values of variables; else it goes.
        Until it gets its word it is CREATED; if another process had taken it over, it is made anew.
        RuntimeRefused: CREATE_FAILED, IMAGE_NOT_RUNNABLE where the image says that it is for another platform, and
        DEVICE_NOT_GIVEN.
        """
        ...

    async def start(self, ref: Ref) -> None:
        """Runs a CREATED container; one that ran already is left as it is. One that waits gets its word.

        RuntimeRefused: IMAGE_NOT_RUNNABLE where the processor cannot run the image's program, COMMAND_NOT_FOUND,
        START_FAILED, CONTAINER_MISSING, DEVICE_NOT_THERE. What the engine learns later is in
        ContainerStatus.exec_failed.
        """
        ...

    async def stand_by(self, spec: ContainerSpec, waiting: Waiting) -> None:
        """Makes and starts a container ahead of its attempt: it waits, until `create` takes it over and `start` it.

        Before that it is no attempt's: nothing but `stand_down` concerns it, and nothing tells of it. One that another
        process made is removed when `containers` finds it. Its devices, if it has any, are looked for in it.
        RuntimeRefused: STANDBY_FAILED, DEVICE_NOT_GIVEN, DEVICE_NOT_THERE.
        """
        ...

    async def stand_down(self, ref: Ref) -> None:
        """Removes what stands by for an attempt that has no container yet. None there is no error."""
        ...

    async def signal(self, ref: Ref, name: str) -> None:
        """Sends "SIGTERM", "SIGUSR1", "SIGKILL" to the job. A container that does not run is left as it is."""
        ...

    async def pause(self, ref: Ref) -> None:
        """Holds every process of it still. One that is paused, or does not run, is left as it is."""
        ...

    async def unpause(self, ref: Ref) -> None:
        """Lets it go on. One that is not paused is left as it is."""
        ...

    async def remove(self, ref: Ref) -> None:
        """Ends and deletes it. One that is not there is no error."""
        ...

    async def containers(self) -> tuple[ContainerStatus, ...]:
        """All containers of this node, whatever their state; never those of another node on the same engine.

        Raises a Refusal (NODE_IN_USE) where another agent that is there made some of them: whatever this one does not
        know of would be that one's.
        """
        ...

    async def holders(self) -> tuple[Holder, ...]:
        """All containers of the engine that hold devices now, those of nobody and of other nodes among them."""
        ...

    def exits(self) -> AsyncGenerator[ContainerStatus, None]:
        """Each container of this node as it exits, from now on. Ends with EngineUnreachable; a hint, not the truth."""
        ...

    def log(self, ref: Ref, cursor: str) -> AsyncGenerator[LogChunk, None]:
        """The log after `cursor` (empty: from its beginning), as it comes; ends when the container is over.

        RuntimeRefused: CONTAINER_MISSING, CONTAINER_NOT_STARTED, LOG_CURSOR_INVALID, LOG_UNREADABLE.
        """
        ...
