"""Attempts, and what comes out of them: one run of a task on one node."""

from dataclasses import dataclass
from enum import Enum

# The job's contract. 85 is ERESTART: HTCondor's self-checkpointing jobs use it.
EXIT_DONE = 0
EXIT_SAVED = 85
EXIT_SIGTERM = 143
EXIT_SIGKILL = 137
# With these a job leaves by its own will: what it left is whole.
ORDERLY_EXIT_CODES = (EXIT_DONE, EXIT_SAVED, EXIT_SIGTERM)

# Of a job's attempts, and of its migrations, the first so many and the last so many are kept: how it began, and what
# it does now. A job that is started again for ever would otherwise grow without bound.
FIRST_KEPT = 10
LAST_KEPT = 100


@dataclass(frozen=True, slots=True)
class Platform:
    """A platform in the terms of the OCI image specification; `architecture` is GOARCH's spelling."""

    os: str
    architecture: str
    variant: str = ""
    emulated: bool = False

    def __str__(self) -> str:
        return "/".join(part for part in (self.os, self.architecture, self.variant) if part)


@dataclass(frozen=True, slots=True)
class Phase:
    """A measured step; `bytes` counts what it moved over the network."""

    name: str
    millis: int
    bytes: int = 0


@dataclass(frozen=True, slots=True)
class Checkpoint:
    """A checkpoint whose manifest (`digest`) and chunks are all in the checkpoint store."""

    digest: str
    epoch: int
    sequence: int
    size_bytes: int = 0
    sent_bytes: int = 0
    file_count: int = 0


@dataclass(frozen=True, slots=True)
class Outputs:
    """Results: the manifest in the store, and the digest over the canonical listing that users compare."""

    manifest: str
    digest: str
    size_bytes: int = 0
    file_count: int = 0


@dataclass(frozen=True, slots=True)
class Steps:
    """How far the job said that it is, and how fast that went: `timed_count` steps took `timed_millis`."""

    done_count: int
    total_count: int | None = None
    timed_count: int = 0
    timed_millis: int = 0

    @property
    def whole_millis(self) -> int | None:
        """How long all steps take at that speed; `None`: it is not known how many there are, or how fast."""
        if not self.total_count or self.timed_count <= 0 or self.timed_millis <= 0:
            return None
        return round(self.timed_millis * self.total_count / self.timed_count)


class AttemptState(Enum):
    """What a node saw. EXITED and REFUSED alone free a task."""

    PREPARING = 1
    STARTING = 2
    RUNNING = 3
    PAUSED = 4
    STOPPING = 5
    SAVING = 6
    EXITED = 7
    REFUSED = 8


ENDED_ATTEMPT = (AttemptState.EXITED, AttemptState.REFUSED)


@dataclass(frozen=True, slots=True)
class Attempt:
    """One run of a task on one node. Times are the controller's, in milliseconds since 1970."""

    job: str
    epoch: int
    node: str = ""
    task: int = 0
    state: AttemptState = AttemptState.PREPARING
    exit_code: int | None = None
    stop_requested: bool = False
    killed: bool = False
    saved_on_request: bool = False
    reason: str = ""
    message: str = ""
    checkpoint: Checkpoint | None = None
    outputs: Outputs | None = None
    phases: tuple[Phase, ...] = ()
    platform: Platform | None = None
    devices: tuple[str, ...] = ()
    start_time_ms: int | None = None
    end_time_ms: int | None = None
    image: str = ""
    variant: int = 0
    # None: the job tells of no steps.
    steps: Steps | None = None

    @property
    def ended(self) -> bool:
        """Whether it is over for good."""
        return self.state in ENDED_ATTEMPT
