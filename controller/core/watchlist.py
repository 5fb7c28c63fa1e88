"""Which live jobs time alone may change something for: found without a look at all that there are."""

import heapq
from collections.abc import Iterable
from dataclasses import dataclass

from controller.core import limits
from headrace.attempts import Attempt
from headrace.jobs import Job, JobState

# So many moments that are none any more are kept at least.
FEW = 1_000
_PLACED = (JobState.STARTING, JobState.RUNNING)

# What tells how far a job is: its epoch, its steps, and the digest of its checkpoint.
Mark = tuple[int, int | None, str]


@dataclass(frozen=True, slots=True)
class Seen:
    """How far a job, or each task of a gang, is, and since when that is so."""

    marks: dict[str, Mark | None]
    since_ms: int


@dataclass(frozen=True, slots=True)
class Unjudged:
    """A task's failure that is not judged yet, and the last report of each fellow's node as it was heard of."""

    seen: Attempt
    newest: dict[str, tuple[int, int]]


class Moments:
    """One moment of each job, told once it is over. It costs no look at those that are to come."""

    def __init__(self) -> None:
        self._at: dict[str, int] = {}
        # The same, the next one first, with what was one before.
        self._next: list[tuple[int, str]] = []

    def __contains__(self, job_id: str) -> bool:
        return job_id in self._at

    def put(self, job_id: str, moment: int | None) -> None:
        """That is the moment of the job; None: it has none."""
        if moment is None:
            self._at.pop(job_id, None)
        elif self._at.get(job_id) != moment:
            self._at[job_id] = moment
            heapq.heappush(self._next, (moment, job_id))
            if len(self._next) > 2 * len(self._at) + FEW:
                self._next = sorted((moment, job) for job, moment in self._at.items())

    def over(self, now: int) -> list[str]:
        """Jobs whose moment is over by now. Each is told once, until it has another one."""
        found = []
        while self._next and self._next[0][0] < now:
            moment, job_id = heapq.heappop(self._next)
            if self._at.get(job_id) == moment:
                del self._at[job_id]
                found.append(job_id)
        return found


class Watchlist:
    """Jobs by what may become of them. Each is as it was put last."""

    def __init__(self) -> None:
        # Those that are looked at each time: gangs, arrays with a limit, and jobs that move.
        self.limited: dict[str, Job] = {}
        # Of the others, when each of them reaches a limit, if it stays as it is.
        self._limits = Moments()
        # Those that run on devices; of these, those to be looked at, as they have just begun to or a device is not
        # well; nodes of which all are to be; and since when a job's device is in no report: job, device.
        self.on_devices: dict[str, Job] = {}
        self.doubtful: dict[str, None] = {}
        self._nodes_changed: dict[str, None] = {}
        self.missing_since_ms: dict[tuple[str, str], int] = {}
        # Those that run and have to get further, and how far each of them, or each gang, was when looked at last; when
        # each has to have got further; and those of which something has changed since.
        self.paced: dict[str, Job] = {}
        self.paces: dict[str, Seen] = {}
        self.stalls = Moments()
        self.repaced: dict[str, None] = {}
        # Tasks that have failed, until it is known whether a fellow's node was lost.
        self.unjudged: dict[str, Unjudged] = {}
        self._looked_ms: dict[str, int] = {}

    def put(self, job: Job) -> None:
        """The job is like this now."""
        attempt = job.attempt if job.state is JobState.RUNNING else None
        self._put_on_devices(job, holds=attempt is not None and bool(attempt.devices))
        is_looked_at = _is_looked_at(job) and not job.ended
        _keep(self.limited, job, holds=is_looked_at)
        self._limits.put(job.id, None if is_looked_at else _reached_ms(job))
        if job.spec.timeouts.progress_ms is not None:
            _keep(self.paced, job, holds=attempt is not None)
            self.repaced[job.gang or job.id] = None

    def touch(self, node: str, *, is_another: bool) -> None:
        """What may be had of a node is not as it was: if it is another one, so may its devices be."""
        if is_another:
            self._nodes_changed[node] = None

    def nodes_changed(self) -> list[str]:
        """The nodes whose devices may be others than at the last call."""
        found = list(self._nodes_changed)
        self._nodes_changed.clear()
        return found

    def take_over(self, jobs: Iterable[Job]) -> None:
        """The jobs are there as a controller starts: as if each was put."""
        for job in jobs:
            spec, attempts = job.spec, job.attempts
            limits_of = spec.timeouts
            if (
                job.migrations
                or spec.task_count > 1
                or limits_of.queue_ms is not None
                or limits_of.run_ms is not None
                or limits_of.progress_ms is not None
                or (attempts and attempts[-1].devices)
            ):
                self.put(job)

    def due(self, what: str, now_ms: int, *, every_ms: int) -> bool:
        """Whether something is to be looked at again, no more often than so: where much happens, time passes often."""
        if now_ms - self._looked_ms.get(what, 0) < every_ms:
            return False
        self._looked_ms[what] = now_ms
        return True

    def over(self, wall_ms: int) -> list[str]:
        """Jobs that have reached a limit by now. Each is told once, until it is put again."""
        return self._limits.over(wall_ms)

    def reaches(self, job_id: str, moment_ms: int) -> None:
        """The job reaches its limit only then."""
        self._limits.put(job_id, moment_ms)

    def _put_on_devices(self, job: Job, *, holds: bool) -> None:
        before = self.on_devices.get(job.id)
        _keep(self.on_devices, job, holds=holds)
        if holds and (before is None or before.epoch != job.epoch):
            self.doubtful[job.id] = None


def _keep(jobs: dict[str, Job], job: Job, *, holds: bool) -> None:
    if holds:
        jobs[job.id] = job
    elif jobs:
        jobs.pop(job.id, None)


def _is_looked_at(job: Job) -> bool:
    return job.is_gang or job.migration is not None or (job.is_array and job.spec.timeouts.queue_ms is not None)


def _reached_ms(job: Job) -> int | None:
    """After when it has waited, or run, for too long; None where it has no such limit now. A task's are its gang's."""
    if job.gang or job.is_array or job.waits_for:
        return None
    if job.state is JobState.QUEUED:
        return limits.queue_over_ms(job)
    return limits.run_over_ms(job) if job.state in _PLACED else None
