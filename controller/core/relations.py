"""Which live jobs are whose elements, and which wait for what becomes of which: found without a look at all."""

from collections.abc import Mapping

from headrace.jobs import Job, JobState

# So many elements of an array that were on no node yet wait beside each other.
FRESH_AT_ONCE = 64


class Family:
    """The elements of one array that have a record and have not ended, each as it was put last."""

    def __init__(self) -> None:
        self.live: dict[str, Job] = {}
        # How many of them wait; of these, how many were on no node yet.
        self.waiting_count = 0
        self.fresh_count = 0
        # Since when one of them has run.
        self.start_time_ms: int | None = None
        # Those that have ended since the array's own record was written.
        self.over: list[Job] = []

    @property
    def running_count(self) -> int:
        """How many are on a node, or are to be."""
        return len(self.live) - self.waiting_count

    def put(self, job: Job) -> None:
        """The element is like this now."""
        before = self.live.pop(job.id, None)
        if before is not None:
            self._count(before, -1)
        if job.ended:
            self.over.append(job)
        else:
            self.live[job.id] = job
            self._count(job, 1)
        if self.start_time_ms is None:
            self.start_time_ms = job.start_time_ms

    def _count(self, job: Job, one: int) -> None:
        if job.state is JobState.QUEUED:
            self.waiting_count += one
            self.fresh_count += one if not job.attempts else 0


class Relations:
    """Arrays with their elements, and jobs with those that wait for them."""

    def __init__(self) -> None:
        self.fresh_at_once = FRESH_AT_ONCE
        self.families: dict[str, Family] = {}
        # Arrays that have changed, or an element of theirs, and of which the counts are not written down yet.
        self.arrays_changed: dict[str, None] = {}
        self.miscounted: dict[str, None] = {}
        # By what they wait for.
        self.dependents: dict[str, dict[str, None]] = {}
        # What has changed that others wait for, as it was put last.
        self.news: dict[str, Job] = {}

    def put(self, job: Job) -> None:
        """The job is like this now."""
        if job.array:
            self.families.setdefault(job.array, Family()).put(job)
            self.arrays_changed[job.array] = None
        elif job.is_array:
            self._array(job)
        for one in job.waits_for:
            self.dependents.setdefault(one.job, {})[job.id] = None
        if job.id in self.dependents:
            self.news[job.id] = job

    def take_over(self, jobs: Mapping[str, Job]) -> None:
        """The jobs are there, by id, as a controller starts: as if each was put."""
        dependents = self.dependents
        for job_id, job in jobs.items():
            if job.array or job.waits_for or job.spec.element_count > 1 or job_id in dependents:
                self.put(job)

    def _array(self, job: Job) -> None:
        if job.ended:
            for known in (self.families, self.arrays_changed, self.miscounted):
                known.pop(job.id, None)
            return
        self.families.setdefault(job.id, Family())
        self.arrays_changed[job.id] = None
