"""What jobs have of nodes, by when they have gone as far as limits tell, and who may have them leave: in columns.

They are up to date node by node.
"""

from collections.abc import Iterable, Mapping
from typing import Any, NamedTuple, Self

import numpy as np
from numpy.typing import NDArray

from controller.core import limits
from controller.core.copies import with_its_own
from controller.core.placement.snapshot import Booleans, Integers
from headrace.jobs import Job, JobState

# Nothing tells when it goes.
NEVER = np.iinfo(np.int64).max
_FIRST_ROWS, _NO_SLOT = 256, -1
# Whether a job may be asked to leave a node, or leaves it anyway.
STAYS, MAY_LEAVE, LEAVES = 0, 1, 2
# Rows of `Departures.traits`.
PROJECT, PRIORITY, TIMES, LEAVING, UNITS, SINCE, GANG = range(7)
NO_GANG = 0


class End(NamedTuple):
    """By when a job has gone, in milliseconds since 1970; or, `from_now`, how long after now. NEVER: nothing tells."""

    millis: int
    from_now: bool


class Part(NamedTuple):
    """What a job, or a task of the gang `whole`, has of a node: cores in millis, bytes of memory, devices.

    Of the devices so many are parts. It is `leaving` as one of STAYS, MAY_LEAVE and LEAVES; if it has to leave that
    costs its `unit_millis` for a standstill, and for the time `since_ms` (NEVER: it loses nothing).
    """

    job: str
    whole: Job
    amounts: tuple[int, int, int, int]
    end: End
    leaving: int
    unit_millis: int
    since_ms: int


def end_of(whole: Job, leaving_since_ms: int | None) -> End:
    """What `controller.core.backfill.ends_ms` says, but that time passes. Whom it was let ahead of is no matter."""
    grace_ms, run_ms = whole.spec.grace_ms, whole.spec.timeouts.run_ms
    if whole.state in (JobState.CANCELLING, JobState.FREEZING):
        return End(grace_ms + (leaving_since_ms or 0), from_now=leaving_since_ms is None)
    if run_ms is None:
        return End(NEVER, from_now=False)
    over_ms = limits.run_over_ms(whole)
    return End(grace_ms + (run_ms if over_ms is None else over_ms), from_now=over_ms is None)


class Departures:
    """A row for each job of each node that it was told of."""

    def __init__(self) -> None:
        # How often nodes had changed when it was last asked which have, None before it ever was; and those to be read.
        self.touches: int | None = None
        self.unread: dict[str, None] = {}
        # Gangs as they were when the ends of their tasks were worked out last.
        self.gangs: dict[str, Job] = {}
        # Numbers of projects, and of these gangs.
        self.projects: dict[str, int] = {}
        self._numbers: dict[str, int] = {}
        self._gang_count = NO_GANG
        self._rows_at: dict[str, list[int]] = {}
        # None: to be found in the jobs of rows.
        self._rows_of_each: dict[str, dict[int, None]] | None = {}
        self._vacant: list[int] = []
        # By row: the job or task, and the whole of it.
        self.jobs: list[tuple[str, str]] = []
        self._allocate(0)

    def copy(self) -> Self:
        """The same as of now."""
        # There are as many small dicts as jobs: whoever reads on in the copy makes them.
        return with_its_own(self, _rows_of_each=None)

    @property
    def is_begun(self) -> bool:
        """Whether anybody has wanted to know of it."""
        return self.touches is not None

    def _allocate(self, rows: int) -> None:
        def column(kind: Any, fill: int = 0) -> NDArray[Any]:
            return np.full(rows, fill, dtype=kind)

        self.slot: Integers = column(np.int64, _NO_SLOT)
        self.amounts: Integers = np.zeros((4, rows), dtype=np.int64)
        self.traits: Integers = np.zeros((7, rows), dtype=np.int64)
        self._end: Integers = column(np.int64, NEVER)
        self._from_now: Booleans = column(np.bool_)

    def put(self, node: str, slot: int, parts: Iterable[Part]) -> int:
        """These are what jobs have of the node now; answers how many rows were written or given up."""
        before = self._rows_at.pop(node, [])
        for row in before:
            self._remove(row)
        rows = [self._added(slot, part) for part in parts]
        if rows:
            self._rows_at[node] = rows
        return len(before) + len(rows)

    def forget(self, node: str) -> None:
        """The node is no more."""
        self.put(node, _NO_SLOT, ())
        self.unread.pop(node, None)

    def gang_changed(self, gang: Job, end: End) -> None:
        """The gang is this now, and all its tasks go by then."""
        rows = list(self._rows_of[gang.id])
        self.gangs[gang.id] = gang
        self._end[rows], self._from_now[rows] = end

    def ends_ms(self, wall_ms: int, given_back_ms: Mapping[str, int]) -> Integers:
        """By when each row's job has gone, in milliseconds since 1970; NEVER where nothing tells.

        Of those in `given_back_ms`, or of a gang there, by then at the latest.
        """
        ends: Integers = np.maximum(np.where(self._from_now, self._end + wall_ms, self._end), wall_ms)
        for one, millis in given_back_ms.items():
            rows = list(self._rows_of.get(one, ()))
            ends[rows] = np.minimum(ends[rows], max(wall_ms, millis))
        return ends

    def _added(self, slot: int, part: Part) -> int:
        if not self._vacant:
            self._grow()
        row, whole = self._vacant.pop(), part.whole.id
        self.slot[row], self.amounts[:, row] = slot, part.amounts
        self._end[row], self._from_now[row] = part.end
        self.traits[:, row] = self._traits(part)
        self.jobs[row] = (part.job, whole)
        self._rows_of.setdefault(whole, {})[row] = None
        if part.whole.is_gang and self.gangs.get(whole) is not part.whole:
            # It is another one now for its other tasks, too.
            self.gang_changed(part.whole, part.end)
        return row

    def _traits(self, part: Part) -> tuple[int, ...]:
        whole, gang = part.whole, NO_GANG
        project = self.projects.setdefault(whole.spec.project, len(self.projects))
        if whole.is_gang:
            if whole.id not in self._numbers:
                self._gang_count += 1
                self._numbers[whole.id] = self._gang_count
            gang = self._numbers[whole.id]
        who = project, whole.spec.priority, whole.preemption_count
        return *who, part.leaving, part.unit_millis, part.since_ms, gang

    @property
    def _rows_of(self) -> dict[str, dict[int, None]]:
        if self._rows_of_each is None:
            self._rows_of_each = {}
            for row, (_, whole) in enumerate(self.jobs):
                if whole:
                    self._rows_of_each.setdefault(whole, {})[row] = None
        return self._rows_of_each

    def _remove(self, row: int) -> None:
        whole = self.jobs[row][1]
        rows = self._rows_of[whole]
        del rows[row]
        if not rows:
            del self._rows_of[whole]
            self.gangs.pop(whole, None)
            self._numbers.pop(whole, None)
        self.slot[row], self.jobs[row] = _NO_SLOT, ("", "")
        self._vacant.append(row)

    def _grow(self) -> None:
        columns = {name: value for name, value in vars(self).items() if isinstance(value, np.ndarray)}
        before = len(self.jobs)
        rows = 2 * before or _FIRST_ROWS
        self._allocate(rows)
        for name, value in columns.items():
            vars(self)[name][..., :before] = value
        self.jobs += [("", "")] * (rows - before)
        self._vacant += range(rows - 1, before - 1, -1)
