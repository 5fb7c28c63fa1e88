"""Jobs as users describe them and as the controller keeps them."""

from dataclasses import dataclass, field
from enum import Enum

from headrace.attempts import Attempt, Checkpoint, Outputs, Phase, Platform
from headrace.neighbours import Neighbours

# A job without a contract has nothing to save; what it needs to end in order is short.
GRACE_MS_WITHOUT_CONTRACT = 10_000

# Of a gang whose file does not say otherwise: as long as a move's target may take to bring an image.
GANG_STARTS_WITHIN_MS = 900_000


class Emulation(Enum):
    """Whether emulated nodes are candidates, after native ones."""

    NEVER = 1
    ALLOWED = 2


class Network(Enum):
    """What network the container has."""

    BRIDGE = 1
    NONE = 2
    HOST = 3


class Partition(Enum):
    """What an agent does with the job when its lease lapses."""

    PAUSE = 1
    STOP = 2
    KEEP = 3


class ExitZero(Enum):
    """What exit code 0 means after a request to leave that brought no newer checkpoint."""

    DONE = 1
    RESUME = 2


class RetryCause(Enum):
    """Why an attempt failed, as far as retry rules tell causes apart."""

    NODE_LOST = 1
    DEVICE_ERROR = 2
    EXIT_NONZERO = 3
    NO_PROGRESS = 4


class Condition(Enum):
    """What has to have become of a job on which another one depends."""

    SUCCEEDED = 1
    FAILED = 2
    ENDED = 3
    STARTED = 4


@dataclass(frozen=True, slots=True)
class Dependency:
    """`job` is the other one's id."""

    job: str
    condition: Condition = Condition.SUCCEEDED


@dataclass(frozen=True, slots=True)
class AcceleratorRequest:
    """`count` devices for each of which `where` (query language, over one device) holds.

    Or a part of one: `share_millis` thousandths of it (0: as its memory), and so much of its memory (0: as its share).
    """

    count: int
    where: str = ""
    share_millis: int = 0
    memory_bytes: int = 0

    @property
    def is_part(self) -> bool:
        """Whether it is a part of a device that is asked for."""
        return bool(self.share_millis or self.memory_bytes)


@dataclass(frozen=True, slots=True)
class Requests:
    """What one task needs; of devices `accelerators`, else the first of `alternatives` that a node can give."""

    cpu_millis: int = 1000
    memory_bytes: int = 1 << 30
    accelerators: AcceleratorRequest | None = None
    alternatives: tuple[AcceleratorRequest, ...] = ()


@dataclass(frozen=True, slots=True)
class Preference:
    """Nodes for which `where` holds are liked by `weight`."""

    where: str
    weight: float


@dataclass(frozen=True, slots=True)
class Variant:
    """Bound when the node is known: the first whose `where` holds there."""

    where: str
    image: str = ""
    command: tuple[str, ...] = ()
    env: dict[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class CheckpointPolicy:
    """The job's side of the contract. Times in milliseconds."""

    path: str
    interval_ms: int = 60_000
    grace_ms: int = 60_000
    live: bool = False
    exit_zero: ExitZero = ExitZero.DONE


@dataclass(frozen=True, slots=True)
class Timeouts:
    """Limits in milliseconds; `None` is none. `start` is of a gang: from its placement until all its tasks run."""

    queue_ms: int | None = None
    run_ms: int | None = None
    start_ms: int | None = None
    # Without a new step and without a new checkpoint.
    progress_ms: int | None = None


@dataclass(frozen=True, slots=True)
class Retry:
    """How often, `within` a time if one is given, a failed attempt is followed by another, and after which failures."""

    limit: int = 0
    on: tuple[RetryCause, ...] = (RetryCause.NODE_LOST,)
    within_ms: int | None = None


@dataclass(frozen=True, slots=True)
class Work:
    """What a whole job has to compute: operations of one precision ("bf16", "int8", …)."""

    operation_count: float
    precision: str


@dataclass(frozen=True, slots=True)
class JobSpec:
    """What a job asks for: the job file, field by field."""

    display_name: str
    image: str
    command: tuple[str, ...] = ()
    env: dict[str, str] = field(default_factory=dict)
    resources: Requests = field(default_factory=Requests)
    where: str = ""
    prefer: tuple[Preference, ...] = ()
    variants: tuple[Variant, ...] = ()
    checkpoint: CheckpointPolicy | None = None
    emulation: Emulation = Emulation.NEVER
    network: Network = Network.BRIDGE
    partition: Partition = Partition.PAUSE
    lost_after_ms: int = 300_000
    priority: int = 50
    project: str = "default"
    timeouts: Timeouts = field(default_factory=Timeouts)
    retry: Retry = field(default_factory=Retry)
    output_path: str = ""
    work: Work | None = None
    # Records from before there were gangs, or arrays, have 0.
    task_count: int = 1
    element_count: int = 1
    after: tuple[Dependency, ...] = ()
    neighbours: Neighbours | None = None

    @property
    def grace_ms(self) -> int:
        """Between the request to leave and the kill."""
        return self.checkpoint.grace_ms if self.checkpoint is not None else GRACE_MS_WITHOUT_CONTRACT


@dataclass(frozen=True, slots=True)
class Candidate:
    """What a node is for a job: why it cannot run it, or for how long it would, and what that is told from."""

    node: str
    reason: str = ""
    platform: Platform | None = None
    devices: tuple[str, ...] = ()
    run_millis: int | None = None
    run_basis: str = ""


class JobState(Enum):
    """What the controller wants and knows of a job."""

    QUEUED = 1
    STARTING = 2
    RUNNING = 3
    FREEZING = 4
    CANCELLING = 5
    SUCCEEDED = 6
    FAILED = 7
    CANCELLED = 8


ENDED_JOB = (JobState.SUCCEEDED, JobState.FAILED, JobState.CANCELLED)


@dataclass(frozen=True, slots=True)
class ImagePin:
    """One platform's image of `reference` (as the user wrote it), fixed by digest in `image`."""

    platform: Platform
    image: str
    reference: str
    size_bytes: int = 0


@dataclass(frozen=True, slots=True)
class Exclusion:
    """A node that a job keeps away from until `expire_time_ms`; or only a device of it, where one is named."""

    node: str
    reason: str
    expire_time_ms: int
    device: str = ""


class MigrationState(Enum):
    """How far a move has come."""

    PREFETCHING = 1
    FREEZING = 2
    STARTING = 3
    SUCCEEDED = 4
    ABORTED = 5


class Level(Enum):
    """How a job is moved: L0 starts again, L1 goes on from a checkpoint by contract."""

    RESTART = 1
    CHECKPOINT = 2


class MigrationCause(Enum):
    """Why a move was begun: it had to be (or somebody asked for it), or it brings something."""

    NEEDED = 1
    SPEED = 2
    ROOM = 3


@dataclass(frozen=True, slots=True)
class Migration:
    """One move of a job between two nodes; times are the controller's."""

    state: MigrationState
    level: Level
    source: str
    target: str
    source_epoch: int
    image: str
    platform: Platform
    target_epoch: int = 0
    phases: tuple[Phase, ...] = ()
    downtime_millis: int = 0
    reason: str = ""
    request_time_ms: int | None = None
    freeze_time_ms: int | None = None
    end_time_ms: int | None = None
    variant: int = 0
    cause: MigrationCause = MigrationCause.NEEDED
    # What was foretold that it brings and costs, where nobody asked for it.
    expectation: str = ""

    @property
    def ended(self) -> bool:
        """Whether nothing more will come of it."""
        return self.state in (MigrationState.SUCCEEDED, MigrationState.ABORTED)


@dataclass(frozen=True, slots=True)
class MigrationPlan:
    """What a move would be, found without touching the job."""

    level: Level
    source: str
    target: str
    level_reason: str = ""
    loss: str = ""
    lost_millis: int = 0
    bytes: int = 0
    downtime_millis: int | None = None
    downtime_basis: str = ""


@dataclass(frozen=True, slots=True)
class Elements:
    """What became of an array's elements: three sets of numbers, as bits (bit i % 8 of byte i // 8 is element i's)."""

    succeeded: bytes = b""
    failed: bytes = b""
    cancelled: bytes = b""
    unfolded_count: int = 0
    running_count: int = 0
    succeeded_count: int = 0
    failed_count: int = 0
    cancelled_count: int = 0


@dataclass(frozen=True, slots=True)
class Job:
    """A job as the controller keeps it. `name` is "jobs/<id>"; times are milliseconds since 1970."""

    name: str
    spec: JobSpec
    state: JobState = JobState.QUEUED
    reason: str = ""
    epoch: int = 0
    node: str = ""
    images: tuple[ImagePin, ...] = ()
    checkpoint: Checkpoint | None = None
    outputs: Outputs | None = None
    attempts: tuple[Attempt, ...] = ()
    migrations: tuple[Migration, ...] = ()
    omitted_migration_count: int = 0
    failures: int = 0
    exit_code: int | None = None
    exclusions: tuple[Exclusion, ...] = ()
    request_id: str = ""
    create_time_ms: int | None = None
    start_time_ms: int | None = None
    end_time_ms: int | None = None
    queue_time_ms: int | None = None
    gang: str = ""
    task: int = 0
    rendezvous: str = ""
    # For whom it had to leave its node last, and how often for jobs of higher priority.
    preemptor: str = ""
    preemption_count: int = 0
    array: str = ""
    array_index: int = 0
    elements: Elements | None = None
    waits_for: tuple[Dependency, ...] = ()
    failing_since_time_ms: int | None = None
    # With a limit: who waited before it as it began, by when it is gone for them; what the limit does not count.
    ahead_of: tuple[str, ...] = ()
    leave_by_time_ms: int | None = None
    uncounted_ms: int | None = None
    leave_time_ms: int | None = None

    @property
    def is_array(self) -> bool:
        """Whether it has elements that run, each a job in its record, and runs nothing itself."""
        return self.spec.element_count > 1 and not self.array

    @property
    def waits_for_place(self) -> bool:
        """Whether places are looked for: not for an array, which runs nothing, nor before what it follows has come."""
        return self.state is JobState.QUEUED and not self.is_array and not self.waits_for

    @property
    def is_gang(self) -> bool:
        """Whether it has tasks that run, each a job in its record, and runs nothing itself."""
        return self.spec.task_count > 1 and not self.gang

    @property
    def id(self) -> str:
        """The name without its collection."""
        return self.name.removeprefix("jobs/")

    @property
    def ended(self) -> bool:
        """Whether it is over for good."""
        return self.state in ENDED_JOB

    @property
    def attempt(self) -> Attempt | None:
        """The attempt of the present epoch."""
        last = self.attempts[-1] if self.attempts else None
        return last if last is not None and last.epoch == self.epoch else None

    @property
    def migration(self) -> Migration | None:
        """The move that is under way."""
        last = self.migrations[-1] if self.migrations else None
        return last if last is not None and not last.ended else None
