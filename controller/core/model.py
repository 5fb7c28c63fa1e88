"""What the controller's core hears and asks for, and which moves between a job's states are legal."""

from dataclasses import dataclass

from controller.core.absences import Presence
from headrace.changes import replace
from headrace.events import Event as Happening
from headrace.jobs import ImagePin, Job, JobSpec, JobState, MigrationPlan, MigrationState
from headrace.nodes import Drain, Node
from headrace.projects import Use
from headrace.refusals import Refusal
from headrace.sessions import Assignment, Report

MOVES: dict[JobState, tuple[JobState, ...]] = {
    JobState.QUEUED: (JobState.STARTING, JobState.CANCELLED, JobState.FAILED),
    JobState.STARTING: (
        JobState.RUNNING,
        JobState.FREEZING,
        JobState.QUEUED,
        JobState.CANCELLING,
        JobState.SUCCEEDED,
        JobState.FAILED,
    ),
    JobState.RUNNING: (
        JobState.FREEZING,
        JobState.QUEUED,
        JobState.CANCELLING,
        JobState.SUCCEEDED,
        JobState.FAILED,
    ),
    JobState.FREEZING: (
        JobState.STARTING,
        JobState.QUEUED,
        JobState.CANCELLING,
        JobState.SUCCEEDED,
        JobState.FAILED,
    ),
    JobState.CANCELLING: (JobState.CANCELLED, JobState.FAILED),
    JobState.SUCCEEDED: (),
    JobState.FAILED: (),
    JobState.CANCELLED: (),
}


class IllegalMove(Exception):
    """A state does not follow on another one: a bug."""


def moved(job: Job, state: JobState, **changes: object) -> Job:
    """The job in its next state. Raises IllegalMove where the table has no such move."""
    if state not in MOVES[job.state]:
        raise IllegalMove(f"{job.name}: {job.state.name} -> {state.name}")
    if state is JobState.QUEUED and job.leave_by_time_ms is not None:
        # By when it has to be gone is a matter of the room that it had.
        job = replace(job, ahead_of=(), leave_by_time_ms=None)
    return replace(job, state=state, **changes)  # type: ignore[arg-type]


def begun(job: Job, wall_ms: int, **changes: object) -> Job:
    """A job that waited, at its place. Raises IllegalMove where it did not wait.

    If it had run before, that it waited for another place does not count for its `timeouts.run`.
    """
    if job.start_time_ms is not None and job.leave_time_ms is not None:
        waited_ms = max(0, wall_ms - job.leave_time_ms)
        job = replace(job, uncounted_ms=(job.uncounted_ms or 0) + waited_ms) if waited_ms else job
    return moved(job, JobState.STARTING, reason="", **changes)


def aborted(job: Job, wall_ms: int, reason: str) -> Job:
    """The job without the move that is under way, if there is one."""
    move = job.migration
    if move is None:
        return job
    move = replace(move, state=MigrationState.ABORTED, reason=reason, end_time_ms=wall_ms)
    return replace(job, migrations=(*job.migrations[:-1], move))


# Events: what the shell tells the core. `token` names the caller who waits for the Answer.


@dataclass(frozen=True, slots=True)
class Ticked:
    """Time has passed: `now_ms` is monotonic, for leases; `wall_ms` is since 1970, for records.

    One that comes `between` two beats, before the events of a batch, may leave to the next what time brings.
    """

    now_ms: int
    wall_ms: int
    between: bool = False


@dataclass(frozen=True, slots=True)
class Reported:
    """A node's report came."""

    report: Report


@dataclass(frozen=True, slots=True)
class SessionOver:
    """The stream of a node's session is over; what the node runs goes on, and so does its lease."""

    node: str
    session: int


@dataclass(frozen=True, slots=True)
class Submitted:
    """A user wants a job, or wants to know what it would be; its images are pinned already.

    `earlier` is what the store has under this request or this id: the core knows of live jobs alone.
    """

    token: int
    id: str
    spec: JobSpec
    images: tuple[ImagePin, ...]
    request_id: str = ""
    dry_run: bool = False
    earlier: Job | None = None
    # The jobs that the spec is to run after, as the store has them.
    awaited: tuple[Job, ...] = ()


@dataclass(frozen=True, slots=True)
class SubmittedTogether:
    """A user wants all of these jobs, or none of them; all have other ids and other requests."""

    token: int
    jobs: tuple[Submitted, ...]


def made_before(request_id: str, known: Job | None) -> Job | None:
    """The job that is known by this request's id, or by the id of the job that it asks for, if it made that job.

    A request is heard more than once where its answer was lost; an id that another request took is no answer to it.
    """
    return known if known is not None and known.request_id == request_id else None


@dataclass(frozen=True, slots=True)
class CancelAsked:
    """A user wants an end of a job."""

    token: int
    id: str


@dataclass(frozen=True, slots=True)
class MoveAsked:
    """A user wants a job to move: to `target`, or to any node that `where` allows."""

    token: int
    id: str
    target: str = ""
    where: str = ""
    dry_run: bool = False


@dataclass(frozen=True, slots=True)
class DrainAsked:
    """An operator wants a node to take no new jobs, or no jobs at all, or jobs again.

    `force` drains a node though some of its jobs have nowhere to go; after `deadline_ms` they are asked to leave.
    """

    token: int
    node: str
    drain: Drain
    deadline_ms: int | None = None
    force: bool = False


@dataclass(frozen=True, slots=True)
class ForgetAsked:
    """An operator says that the node of this id is gone for good."""

    token: int
    node: str


Asked = Submitted | SubmittedTogether | CancelAsked | MoveAsked | DrainAsked | ForgetAsked
Event = Ticked | Reported | SessionOver | Asked


# Effects: what the core asks the shell to do. Saves come first, in one transaction for the batch.


@dataclass(frozen=True, slots=True)
class LeaseTold:
    """The longest lease that nodes may have been told of: the next process has to know it."""

    agent_ms: int


# What outlives the process.
Record = Job | Node | Use | Happening | LeaseTold | Presence


@dataclass(frozen=True, slots=True)
class Save:
    """Write down."""

    record: Record


@dataclass(frozen=True, slots=True)
class Changed:
    """Tell who watches that a node is not as it was, in what its next report tells again: it is not written down."""

    node: str


@dataclass(frozen=True, slots=True)
class Assign:
    """Tell a node all that it should run."""

    node: str
    assignment: Assignment


@dataclass(frozen=True, slots=True)
class Reject:
    """End a session that another one has replaced."""

    node: str
    session: int
    refusal: Refusal


@dataclass(frozen=True, slots=True)
class MoveAnswer:
    """What a move is or would be, and the job."""

    plan: MigrationPlan
    job: Job


# What callers are answered with.
Value = Job | Node | MoveAnswer | tuple[Job, ...]


@dataclass(frozen=True, slots=True)
class Answer:
    """Tell the caller who waits."""

    token: int
    value: Value | Refusal


Effect = Save | Changed | Assign | Reject | Answer
