"""What is kept for jobs whose turn it is, until they have it: of no consequence for what is written down."""

from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Self

from controller.core.backfill import Kept
from controller.core.copies import with_its_own
from controller.core.departures import Departures
from controller.core.placement.demand import Demand
from controller.core.placement.snapshot import Booleans
from headrace.jobs import Exclusion, Job, JobSpec, JobState


@dataclass(frozen=True, slots=True)
class Claim:
    """Room that others leave for a job: on `nodes`, one for each task, where each is as its spec of `specs` says.

    `at` has these specs by node.
    That has the one of its alternatives that was found there. Room is kept for it until `until_ms`, and it is looked at
    whether that is there from `look_ms` on, by the clock of ticks. `leaving` are the jobs, and tasks of gangs, that
    leave.
    """

    nodes: tuple[str, ...]
    specs: tuple[JobSpec, ...]
    at: Mapping[str, Sequence[JobSpec]]
    until_ms: int
    leaving: tuple[str, ...] = ()
    look_ms: int = 0


@dataclass(frozen=True, slots=True)
class Sought:
    """How room was looked for last: after how many changes of nodes, and beside what; first among all, last at all."""

    touches: int
    beside: tuple[tuple[str, tuple[str, ...]], ...]
    first_ms: int
    last_ms: int


@dataclass(frozen=True, slots=True)
class Patience:
    """A job that could start waits for nodes that should have room at `start_ms`; no longer than until `until_ms`.

    It would be done there by `done_ms`. Times are in milliseconds since 1970. For a gang that room is kept; a job comes
    first where it has its turn.
    """

    kept: Kept
    start_ms: int
    until_ms: int
    done_ms: int
    reason: str


@dataclass(frozen=True, slots=True)
class Checked:
    """For how many tasks of a gang a node has room, by how many of its jobs have gone; as of so many changes."""

    touches: int
    rooms: Mapping[int, int]


# What is kept for others: of each what a task asks for, and for how many at each node.
Promised = Sequence[tuple[JobSpec, Mapping[str, int]]]


class Turns:
    """Forgotten when the controller starts anew: then it is found again who comes first."""

    def __init__(self) -> None:
        # Room for the first jobs that found none, by job; those of them that come before the jobs that are looked at
        # now, in their order; and how that room was looked for.
        self.kept: dict[str, Kept] = {}
        self.before: list[str] = []
        self.sought: dict[str, Sought] = {}
        # Where nodes are many, what is looked at for gangs: who leaves which of them when, and by gang and node what
        # amounts do not tell.
        self.departures = Departures()
        # By shape, on which nodes a task could be, were nothing else there; and as of when.
        self.able: dict[Demand, tuple[int, Booleans]] = {}
        self.checked: dict[str, dict[str, Checked]] = {}
        # By gang, its task then, and what was kept for those before it: where that is another now, it holds no more.
        self.checked_for: dict[str, tuple[JobSpec, tuple[Exclusion, ...], Promised]] = {}
        # What the tasks of gangs keep away from, and until when one of them pauses.
        self.tasks: dict[str, tuple[tuple[Exclusion, ...], int]] = {}
        # When many nodes were last looked at, for room or for whom to ask, and by whom.
        self.looked_ms, self.looked_last = 0, ""
        # Who wanted to look at many nodes and could not yet, the first one first; and when each did last.
        self.wishes: dict[str, int] = {}
        # How often a job looked at many nodes.
        self.looks: dict[str, int] = {}
        # By job, the slots where it was asked for nothing whom it might have leave, if that was not everywhere.
        self.asked: dict[str, Mapping[int, None]] = {}
        # By project, jobs that wait: the first of some lines; and when that was found out.
        self.short: dict[str, list[Job]] = {}
        self.short_ms = 0
        # Jobs that would have had places but for room that is kept, or a quota; whether any room was let go since, and
        # when they were last looked at though none was.
        self.blocked: dict[str, None] = {}
        self.released = False
        self.reviewed_ms = 0
        # By job: what others were asked to leave for it.
        self.claims: dict[str, Claim] = {}
        # Jobs for which others may have to leave, in their order, and until when which of them look no more.
        self.asking: dict[str, None] = {}
        self.rests_until_ms: dict[str, int] = {}
        # Jobs that wait for what is better than what they could have, and those that do so no more.
        self.patience: dict[str, Patience] = {}
        # The job that was last found a place where it is not in the way of others, and the nodes where it would be.
        self.avoided: tuple[str, dict[str, None]] = "", {}
        # Jobs and gangs that were let ahead of others that waited.
        self.ahead: dict[str, None] = {}
        # Since when jobs are asked to end, or to save and leave.
        self.leaving_since_ms: dict[str, int] = {}
        # Those that save and leave, or end: also those that did as the controller started.
        self.leaving: dict[str, None] = {}
        # When a node, or what is held of it, was last another one, counted; those that were last come last.
        self.touches = 0
        self.touched: dict[str, int] = {}

    def copy(self) -> Self:
        """The same as of now."""
        short = {project: jobs.copy() for project, jobs in self.short.items()}
        checked = {job: its.copy() for job, its in self.checked.items()}
        return with_its_own(self, short=short, checked=checked, departures=self.departures.copy())

    def patient(self, job: str, wall_ms: int) -> Patience | None:
        """For what a job waits that could start; None where it does not, or does no more."""
        found = self.patience.get(job)
        return found if found is not None and wall_ms < found.until_ms else None

    def touch(self, node: str) -> None:
        """What may be had of a node is not as it was."""
        self.touches += 1
        self.touched.pop(node, None)
        self.touched[node] = self.touches

    def touched_since(self, touches: int) -> Iterator[str]:
        """Nodes that are not as they were when there had been so many changes."""
        for node, last in reversed(self.touched.items()):
            if last <= touches:
                return
            yield node

    def put(self, job: Job) -> None:
        """The job is like this now."""
        self.tasks.pop(job.gang or job.id, None)
        if job.ahead_of and not job.gang and not job.ended:
            self.ahead[job.id] = None
        else:
            self.ahead.pop(job.id, None)

    def take_over(self, jobs: Iterable[Job]) -> None:
        """The jobs are there as a controller starts: as if each was put."""
        for job in jobs:
            if job.ahead_of:
                self.put(job)
            if job.state is JobState.CANCELLING or job.state is JobState.FREEZING:
                self.leaving[job.id] = None

    def promised(self, node: str, *, waiting: str, gone: Collection[str]) -> list[JobSpec]:
        """For whom others were asked to leave room at a node, but the one that is `waiting` and those that are gone."""
        claims = [claim for job, claim in self.claims.items() if job != waiting and job not in gone]
        return [spec for claim in claims for spec in claim.at.get(node, ())]

    def waits_no_more(self, job: Job, wall_ms: int) -> tuple[str, ...]:
        """The job has a place, or is over; the same. `wall_ms` is 0 before the first tick."""
        if job.state is JobState.CANCELLING or job.state is JobState.FREEZING:
            self.leaving[job.id] = None
            # What had to leave before a restart may have been told a moment ago: that time is not known.
            if wall_ms:
                self.leaving_since_ms.setdefault(job.id, wall_ms)
        elif self.leaving:
            self.leaving.pop(job.id, None)
            self.leaving_since_ms.pop(job.id, None)
        return self.forget(job.id)

    def forget(self, job: str) -> tuple[str, ...]:
        """It waits no more. Answers where it needs no more what was kept for it alone."""
        self.asking.pop(job, None)
        self.blocked.pop(job, None)
        self.rests_until_ms.pop(job, None)
        self.sought.pop(job, None)
        self.checked.pop(job, None)
        self.checked_for.pop(job, None)
        self.looks.pop(job, None)
        self.asked.pop(job, None)
        self.patience.pop(job, None)
        self.wishes.pop(job, None)
        if job in self.before:
            self.before.remove(job)
        if self.kept.pop(job, None) is not None:
            self.released = True
        claim = self.claims.pop(job, None)
        return claim.nodes if claim is not None else ()
