"""Why a job is where it is, or waits; what would change that, and when it will start. `None` is unknown, never zero."""

from dataclasses import dataclass

from headrace.jobs import Candidate, Job


@dataclass(frozen=True, slots=True)
class Obstacle:
    """Why so many nodes cannot run a job now, as a clause after "the node …"."""

    reason: str
    node_count: int


@dataclass(frozen=True, slots=True)
class Change:
    """With this and nothing else different, a job would start at once, on `nodes` (one for each task).

    `field` is one of the job file, or "jobs/<id> priority", "jobs/<id> apart_from", "nodes/<id> drain", or
    "projects.<name>.quota". Values are written as in files; an empty one is that there is none.
    """

    field: str
    from_value: str
    to_value: str
    nodes: tuple[str, ...]
    start_time_ms: int
    # Jobs that would be asked to save and leave for it first: then it starts once they have.
    leaving: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Edit:
    """A field and its values, as in a `Change`: by itself it would not have the job start."""

    field: str
    from_value: str
    to_value: str


@dataclass(frozen=True, slots=True)
class JointChange:
    """With all of these, and with none of them left out, a job would start at once, on `nodes` (one for each task)."""

    edits: tuple[Edit, ...]
    nodes: tuple[str, ...]
    start_time_ms: int


@dataclass(frozen=True, slots=True)
class Outlook:
    """When a job will start, in milliseconds since 1970; `None` where nothing tells. `basis` is a sentence on that."""

    start_time_ms: int | None
    nodes: tuple[str, ...] = ()
    basis: str = ""
    # How many jobs that wait have their turn before it.
    jobs_before_count: int = 0


@dataclass(frozen=True, slots=True)
class Explanation:
    """All that is said of one job. `fitting_empty_count` is how many nodes it would fit if nothing else were there."""

    job: Job
    candidates: tuple[Candidate, ...]
    node_count: int
    fitting_count: int
    fitting_empty_count: int
    obstacles: tuple[Obstacle, ...] = ()
    changes: tuple[Change, ...] = ()
    outlook: Outlook | None = None
    standing: tuple[str, ...] = ()
    # Where no single change helps.
    joint_changes: tuple[JointChange, ...] = ()
