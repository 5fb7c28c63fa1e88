"""Which live jobs are whose elements, and which wait for what becomes of which: found without a look at all."""

from collections.abc import Mapping

from headrace.jobs import Condition, Dependency, Job, JobState

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
        # Those that wait, by what they wait for; of these, those that wait for its start.
        self.dependents: dict[str, dict[str, None]] = {}
        self._for_start: dict[str, dict[str, None]] = {}
        self._waits_for: dict[str, tuple[Dependency, ...]] = {}
        # What has started or ended that others wait for, as it was put last.
        self.news: dict[str, Job] = {}

    def put(self, job: Job) -> None:
        """The job is like this now."""
        if job.array:
            self.families.setdefault(job.array, Family()).put(job)
            self.arrays_changed[job.array] = None
        elif job.is_array:
            self._array(job)
        if job.waits_for or job.id in self._waits_for:
            self._register(job)
        # Whatever else becomes of it is no news: it may report many times a second, and thousands may wait for it.
        if job.id in self.dependents if job.ended else job.start_time_ms is not None and job.id in self._for_start:
            self.news[job.id] = job

    def followers(self, job: Job) -> list[str]:
        """Those that wait for what has become of it: for its start alone as long as it has not ended."""
        return list((self.dependents if job.ended else self._for_start).get(job.id, {}))

    def _register(self, job: Job) -> None:
        """What has ended, or is to end, waits for nothing any more."""
        before = self._waits_for.pop(job.id, ())
        now = job.waits_for if job.state is JobState.QUEUED else ()
        if now:
            self._waits_for[job.id] = now
        for one in before:
            if one not in now:
                _forget(self.dependents, one.job, job.id)
                _forget(self._for_start, one.job, job.id)
        for one in now:
            self.dependents.setdefault(one.job, {})[job.id] = None
            if one.condition is Condition.STARTED:
                self._for_start.setdefault(one.job, {})[job.id] = None

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


def _forget(followers: dict[str, dict[str, None]], awaited: str, job: str) -> None:
    some = followers.get(awaited, {})
    some.pop(job, None)
    if not some:
        followers.pop(awaited, None)
