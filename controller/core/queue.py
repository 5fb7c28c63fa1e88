"""The jobs that wait, in lines: those of a line are alike in what decides on their places."""

from bisect import bisect_left, insort
from collections import Counter, deque
from collections.abc import Collection, Container, Iterable, Iterator
from heapq import heappop, heappush
from itertools import islice
from operator import le

import numpy as np

from controller.core import backoff
from controller.core.fairness import Rank, rank
from controller.core.placement.demand import Demand, demand_of, least
from controller.core.placement.names import Name, kept_apart, name_of
from controller.core.placement.snapshot import Integers, Snapshot
from headrace.jobs import Exclusion, Job, JobState

# Where more nodes have changed, each line is looked at.
MANY_NODES = 64
# With so many that have just come, lines are sorted as a whole.
MANY_JOBS = 32
FIRST_WANTS = 64


class Line:
    """Jobs of one project and shape that keep away from the same nodes: where the first has no place, none has one.

    They have the same limit, by which they may start ahead of others, and may have others leave, or may not. A gang is
    a line of its own.
    """

    def __init__(self, key: "LineKey", number: int) -> None:
        self.key = key
        self.demand = key[0]
        self.number = number
        self.ranks: list[Rank] = []
        # What its jobs wait for, and those that do not say so yet.
        self.reason = ""
        self.untold: deque[str] = deque()
        # When it was looked at last, by how often there was more room until then.
        self.looked_at = -1
        # When its first job that could have begun found no place on any node, by the same count.
        self.fruitless_at = -1
        self.is_choosy = self.demand.is_choosy

    def first(self, count: int, *, without: Container[str]) -> list[str]:
        """The ids of the first jobs of it."""
        return list(islice((one[3] for one in self.ranks if one[3] not in without), count))


LineKey = tuple[Demand, tuple[Exclusion, ...], str, str, tuple[int | None, int, int]]


class Queue:
    """Keeps the lines. Which jobs are looked at is decided by which nodes have changed since they were."""

    def __init__(self, urgent: int) -> None:
        """Jobs of the priority `urgent` or more may have others leave."""
        self._urgent = urgent
        self._fresh: dict[str, Job] = {}
        self._entries: dict[str, tuple[Line, Job]] = {}
        self._lines: dict[LineKey, Line] = {}
        # How many lines each project has.
        self.projects: Counter[str] = Counter()
        self._numbers: dict[int, Line] = {}
        self._vacant: list[int] = []
        # Jobs of these names have lines of their own: there are these that keep apart from them.
        self._shunned: dict[Name, dict[str, None]] = {}
        # The jobs in lines, by their names.
        self._named: dict[Name, dict[str, None]] = {}
        # What a job of each line takes of a node at least (see `least`).
        self._wants: Integers = np.zeros((4, FIRST_WANTS), dtype=np.int64)
        self._choosy: dict[Line, None] = {}
        self._due: dict[Line, None] = {}
        self._untold: dict[Line, None] = {}
        # Nodes where there may be more room than there was.
        self.gained: dict[int, None] = {}
        # When lines were looked at last whose places depend on what sensors read.
        self.readings_ms = 0
        # When the last round began, and whether the event at hand has begun one.
        self.round_ms = 0
        self.in_round = False
        # When jobs may start that wait a while, or may go where they could not.
        self._moments: list[tuple[int, str]] = []

    def put(self, job: Job) -> None:
        """The job is like this now."""
        if job.spec.neighbours is not None:
            self._shun(job)
        if not job.waits_for_place:
            self._remove(job.id)
            return
        entry = self._entries.get(job.id)
        if entry is not None and _is_alike(entry[1], job):
            return
        if job.exclusions or job.attempts:
            # What an attempt came to decides on a pause.
            for moment in (backoff.until_ms(job), *(one.expire_time_ms for one in job.exclusions)):
                if moment:
                    heappush(self._moments, (moment, job.gang or job.id))
        if not job.gang:
            self._remove(job.id)
            self._fresh[job.id] = job

    def take_over(self, jobs: Iterable[Job]) -> None:
        """The jobs are there as a controller starts: as if each was put."""
        for job in [one for one in jobs if one.state is JobState.QUEUED or one.spec.neighbours is not None]:
            self.put(job)

    def __bool__(self) -> bool:
        return bool(self._fresh or self._entries)

    def lines(self) -> Collection[Line]:
        """All lines."""
        return self._lines.values()

    def line(self, job_id: str) -> Line:
        """The line that the job waits in."""
        return self._entries[job_id][0]

    def due(self, job_id: str) -> None:
        """The line of the job is to be looked at."""
        if job_id in self._entries:
            self._due[self._entries[job_id][0]] = None

    def look_again(self, job_id: str, wall_ms: int) -> None:
        """The line of the job is to be looked at, at that moment."""
        heappush(self._moments, (wall_ms, job_id))

    def group(self, *, without: Container[str] = ()) -> None:
        """Puts the jobs that have come into their lines, which are due by that (but for these jobs)."""
        many, grouped = len(self._fresh) > MANY_JOBS, dict[Line, None]()
        for job in self._fresh.values():
            line = self._line_for(job)
            grouped[line] = None
            if many:
                line.ranks.append(rank(job))
            else:
                insort(line.ranks, rank(job))
            self._entries[job.id] = (line, job)
            self._named.setdefault(name_of(job.spec), {})[job.id] = None
            if job.id not in without:
                self._due[line] = None
                if line.reason and line.reason != job.reason:
                    # What the others of the line say by now is no news to it.
                    line.untold.append(job.id)
                    self._untold[line] = None
        if many:
            for line in grouped:
                line.ranks.sort()
        self._fresh = {}

    def moments_passed(self, wall_ms: int) -> bool:
        """Has those looked at for which a moment has come; answers whether there are any."""
        any_due = False
        while self._moments and self._moments[0][0] <= wall_ms:
            _, job_id = heappop(self._moments)
            entry = self._entries.get(job_id)
            if entry is not None:
                self._due[entry[0]] = None
                any_due = True
        return any_due

    def choosy_due(self) -> bool:
        """Has the lines looked at whose places depend on what sensors read; answers whether there are any."""
        self._due |= self._choosy
        return bool(self._choosy)

    def all_due(self) -> None:
        """Each line is to be looked at."""
        self._due = dict.fromkeys(self._lines.values())

    def some_due(self, gains: int, most: int) -> bool:
        """Has a few lines looked at that were not since there was more room; answers whether there are any."""
        behind = dict.fromkeys(islice((line for line in self._lines.values() if line.looked_at < gains), most))
        for line in behind:
            # The others come first next time.
            self._lines[line.key] = self._lines.pop(line.key)
        self._due |= behind
        return bool(behind)

    def taken_due(self, snapshot: Snapshot) -> dict[Line, list[int]]:
        """The lines to be looked at now, and on which nodes alone: those that have more room. None is all."""
        if len(self.gained) > MANY_NODES:
            self.all_due()
            self.gained = {}
        due: dict[Line, list[int]] = {line: [] for line in self._due}
        for slot in self.gained:
            for line in self._that_may_go_to(snapshot, slot):
                if line not in self._due:
                    due.setdefault(line, []).append(slot)
        self.gained, self._due = {}, {}
        return due

    def put_back(self, due: dict[Line, list[int]]) -> None:
        """These are to be looked at still."""
        for line, slots in due.items():
            if not slots:
                self._due[line] = None
            self.gained |= dict.fromkeys(slots)

    @property
    def has_due(self) -> bool:
        """Whether there are lines to be looked at already."""
        return bool(self._due or self.gained)

    def may_go_to(self, line: Line, snapshot: Snapshot, slot: int) -> bool:
        """Whether a node has as much free of all as a job of the line asks for at least."""
        wants = self._wants[:, line.number].tolist()
        return not snapshot.standing[slot] and all(map(le, wants, _has(snapshot, slot)))

    def said(self, line: Line, reason: str, *, by: str, gains: int) -> None:
        """A job of a line has found no place, for that reason: so have the others."""
        line.fruitless_at = gains
        if line.reason != reason:
            line.reason = reason
            line.untold = deque(one[3] for one in line.ranks if one[3] != by)
            if line.untold:
                self._untold[line] = None

    def untold(self, most: int) -> Iterator[tuple[Line, str]]:
        """Jobs that may not say yet why they wait, and their lines; so many at a time."""
        for _ in range(most):
            if not self._untold:
                return
            line = next(iter(self._untold))
            if not line.untold:
                del self._untold[line]
                continue
            job_id = line.untold.popleft()
            entry = self._entries.get(job_id)
            if entry is not None and entry[0] is line:
                yield line, job_id

    @property
    def has_untold(self) -> bool:
        """Whether there are such."""
        return bool(self._untold)

    def _that_may_go_to(self, snapshot: Snapshot, slot: int) -> list[Line]:
        if snapshot.standing[slot]:
            return []
        able = (self._wants <= np.array(_has(snapshot, slot), dtype=np.int64)[:, None]).all(axis=0)
        return [self._numbers[number] for number in np.flatnonzero(able).tolist() if number in self._numbers]

    def _shun(self, job: Job) -> None:
        """Keeps who keeps apart from whom. Jobs that wait in lines of a name that nobody shuns any more stay there."""
        for name in kept_apart(job.spec):
            shunning = self._shunned.setdefault(name, {})
            if not (shunning or job.ended):
                self._line_anew(name)
            if not job.ended:
                shunning[job.id] = None
                continue
            shunning.pop(job.id, None)
            if not shunning:
                del self._shunned[name]

    def _line_anew(self, name: Name) -> None:
        for job_id in list(self._named.get(name, ())):
            line, job = self._entries[job_id]
            if not line.demand.company:
                self._remove(job_id)
                self._fresh[job_id] = job

    def _line_for(self, job: Job) -> Line:
        spec = job.spec
        turn = (spec.timeouts.run_ms, spec.grace_ms, max(spec.priority, self._urgent - 1))
        # Where the first of a line has no place, none has: not so where some are kept apart from, and others are not.
        shunned = f"named {spec.display_name}" if self._shunned and name_of(spec) in self._shunned else ""
        key = (demand_of(job), job.exclusions, spec.project, job.id if job.is_gang else shunned, turn)
        line = self._lines.get(key)
        if line is None:
            number = self._vacant.pop() if self._vacant else len(self._numbers)
            line = self._lines[key] = self._numbers[number] = Line(key, number)
            self.projects[spec.project] += 1
            if number >= self._wants.shape[1]:
                self._wants = np.concatenate([self._wants, np.zeros_like(self._wants)], axis=1)
            self._wants[:, number] = least(job)
            if line.is_choosy:
                self._choosy[line] = None
        return line

    def _remove(self, job_id: str) -> None:
        if self._fresh.pop(job_id, None) is not None:
            return
        entry = self._entries.pop(job_id, None)
        if entry is None:
            return
        line, job = entry
        name = name_of(job.spec)
        del self._named[name][job_id]
        if not self._named[name]:
            del self._named[name]
        del line.ranks[bisect_left(line.ranks, rank(job))]
        if not line.ranks:
            del self._lines[line.key], self._numbers[line.number]
            self.projects[line.key[2]] -= 1
            if not self.projects[line.key[2]]:
                del self.projects[line.key[2]]
            self._vacant.append(line.number)
            self._choosy.pop(line, None)
            self._due.pop(line, None)
            self._untold.pop(line, None)


def _is_alike(one: Job, other: Job) -> bool:
    """Whether a job is as it was in all that decides on its place and its turn."""
    same = one.spec is other.spec and one.images is other.images
    return same and one.exclusions == other.exclusions and one.queue_time_ms == other.queue_time_ms


def _has(snapshot: Snapshot, slot: int) -> tuple[int, int, int, int]:
    return (
        int(snapshot.cpu_millis[slot]),
        int(snapshot.memory_bytes[slot]),
        int(snapshot.untouched_count[slot]),
        int(snapshot.roomiest_millis[slot]),
    )
