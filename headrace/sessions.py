"""What agent and controller tell each other: a whole Report up, a whole Assignment down."""

from dataclasses import dataclass, field
from enum import Enum

from headrace.attempts import Attempt, Phase, Platform
from headrace.jobs import JobSpec
from headrace.nodes import Device, Engine, Load, NodeDescription


class PrefetchState(Enum):
    """How far the bringing of image and checkpoint has come."""

    FETCHING = 1
    READY = 2
    FAILED = 3


class Goal(Enum):
    """What is to become of a placed attempt."""

    RUN = 1
    FREEZE = 2
    CANCEL = 3


@dataclass(frozen=True, slots=True)
class Placement:
    """One attempt that a node should have; `restore` is a manifest's digest, or empty."""

    job: str
    epoch: int
    image: str
    platform: Platform
    spec: JobSpec
    goal: Goal = Goal.RUN
    task: int = 0
    restore: str = ""
    devices: tuple[str, ...] = ()
    gang: str = ""
    rendezvous: str = ""
    array: str = ""
    array_index: int = 0


@dataclass(frozen=True, slots=True)
class Prefetch:
    """A hint: bring these, a job may come. `standby` is the attempt that then comes, if all goes as planned."""

    job: str
    image: str
    platform: Platform
    checkpoint: str = ""
    # A placement has no hash.
    standby: Placement | None = field(default=None, hash=False)


@dataclass(frozen=True, slots=True)
class Prefetched:
    """What became of a hint."""

    job: str
    image: str
    checkpoint: str
    state: PrefetchState
    reason: str = ""
    message: str = ""
    phases: tuple[Phase, ...] = ()


# The numbers of one agent's sessions are never so far apart, though its controller be away for a week: each one is the
# next, and there is one at most each few seconds. An agent that finds no journal begins at a number that is not near to
# any other agent's.
FAR_APART = 100_000


@dataclass(frozen=True, slots=True)
class Report:
    """All that a node has and runs. `description` may be left out where it is as before in this session.

    `brief`: of each device there is its id and what sensors and engine tell; what it is, is as before in this session.
    `engine` is left out by an agent that has just started, and has not asked it yet.
    """

    node: str
    session: int
    sequence: int
    description: NodeDescription | None = None
    devices: tuple[Device, ...] = ()
    load: Load = field(default_factory=Load)
    engine: Engine | None = None
    attempts: tuple[Attempt, ...] = ()
    prefetched: tuple[Prefetched, ...] = ()
    brief: bool = False


@dataclass(frozen=True, slots=True)
class Assignment:
    """All that a node should run. Its meaning is in the rules of `NodeService.Session`."""

    cluster: str
    session: int
    generation: int
    acked_sequence: int
    lease_millis: int
    placements: tuple[Placement, ...] = ()
    prefetches: tuple[Prefetch, ...] = ()
