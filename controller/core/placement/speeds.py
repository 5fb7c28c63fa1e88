"""Learned speeds: how fast jobs of each profile get on with each hardware; what was not seen is told by similar rows.

A table of logarithms, a row for each profile and a column for each hardware. A missing figure is the job's own scale
and a relative speed, which is the mean of what other rows show, the more alike they are the heavier; the figures of
makers are one more row.
"""

from collections.abc import Hashable, Sequence
from dataclasses import dataclass
from functools import cached_property
from math import exp, log, sqrt
from typing import Self

import numpy as np
from numpy.typing import NDArray

from controller.core.copies import with_its_own
from controller.core.placement.profiles import Profile

# Standard deviations of logarithms. Two runs of one job on one hardware;
NOISE = 0.1
# the relative speed of two kinds of hardware, from a job to one of the same repository, to any other, and to what
# makers' figures say.
SPREAD_KIN = 0.4
SPREAD_OTHER = 0.8
SPREAD_FIGURES = 0.8
# So many rows and columns are kept. The profile of which none was observed for the longest time gives way to a new one;
# of more kinds of hardware than a large cluster has, the first are told of.
MOST_PROFILES, MOST_KINDS = 1_000, 256
# So many observations of a cell count alike; after them, each new one takes the weight of the oldest.
KEPT = 20

_Table = NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class Speed:
    """How fast a job gets on with some hardware, and how certain that is.

    `per_second` is in units of what was observed; where the job itself was never seen (`runs` is 0), only the ratios
    between kinds of hardware tell anything.
    """

    per_second: float
    # The standard deviation of its logarithm: it is right within a factor of exp(spread), two times in three.
    spread: float
    # Observations of the job's own profile, on how many kinds of hardware; and on this one.
    runs: int
    kinds: int
    runs_here: int
    # Other profiles whose rows told the rest.
    alike: int

    @property
    def pessimistic(self) -> float:
        """What it is at least, five times in six."""
        return self.per_second * exp(-self.spread)

    @property
    def optimistic(self) -> float:
        """What it may well be. Where a wrong place can be left again, to choose by it is how speeds are learned."""
        return self.per_second * exp(self.spread)


class Speeds:
    """What was observed. Observations change it; nothing else does."""

    def __init__(self) -> None:
        self._rows: dict[Profile, int] = {}
        self._columns: dict[Hashable, int] = {}
        self._kin: dict[Hashable, list[int]] = {}
        self._logs: _Table = np.zeros((0, 0))
        self._counts: _Table = np.zeros((0, 0))
        self._told: dict[tuple[Hashable, ...], list[Speed | None]] = {}

    def copy(self) -> Self:
        """The same as of now."""
        return with_its_own(self, _kin={repository: rows.copy() for repository, rows in self._kin.items()})

    def observe(self, profile: Profile, hardware: Hashable, per_second: float) -> bool:
        """A job of that profile got on with that speed. False: that is more hardware than is kept."""
        if hardware not in self._columns and len(self._columns) >= MOST_KINDS:
            return False
        row, column = self._cell(profile, hardware)
        count = self._counts[row, column]
        weight = 1.0 / (min(count, KEPT - 1) + 1.0)
        self._logs[row, column] += weight * (log(per_second) - self._logs[row, column])
        self._counts[row, column] = count + 1
        self._told.clear()
        return True

    def knows(self, profile: Profile) -> bool:
        """Whether a job of that profile was observed anywhere."""
        return profile in self._rows

    def told(
        self, profile: Profile, wanted: Sequence[Hashable], figures: Sequence[float | None] = ()
    ) -> list[Speed | None]:
        """The speed with each hardware that is wanted; `figures`: what makers or owners say of each, in any one unit.

        `None`: nothing tells.
        """
        key = (profile, tuple(wanted), tuple(figures))
        if key not in self._told:
            self._told[key] = self._tell(profile, wanted, list(figures) or [None] * len(wanted))
        return self._told[key]

    def _tell(self, profile: Profile, wanted: Sequence[Hashable], figures: list[float | None]) -> list[Speed | None]:
        at = [self._columns.get(one) for one in wanted]
        rows = len(self._rows)
        # The columns that are wanted come first, then the others: those are compared by, and not told.
        others = [column for column in range(len(self._columns)) if column not in at]
        logs, counts = np.full((rows, len(at) + len(others)), np.nan), np.zeros((rows, len(at) + len(others)))
        for index, column in enumerate((*at, *others)):
            if column is not None:
                counts[:, index] = self._counts[:rows, column]
                logs[:, index] = np.where(counts[:, index] > 0, self._logs[:rows, column], np.nan)
        stated = np.array([np.nan if one is None else log(one) for one in figures] + [np.nan] * len(others))
        row = self._rows.get(profile)
        own, seen = (
            (logs[row].copy(), counts[row]) if row is not None else (np.full(len(stated), np.nan), counts.sum(0) * 0)
        )
        spreads = np.full(rows, SPREAD_OTHER)
        spreads[self._kin.get(profile.repository, [])] = SPREAD_KIN
        if row is not None:
            logs[row] = np.nan
        guess = _Guess(own, np.vstack([logs, stated]), np.append(spreads, SPREAD_FIGURES))
        return [guess.speed(index, seen) for index in range(len(wanted))]

    def _cell(self, profile: Profile, hardware: Hashable) -> tuple[int, int]:
        row = self._rows.pop(profile, None)
        if row is None:
            row = len(self._rows) if len(self._rows) < MOST_PROFILES else self._forgotten()
            self._kin.setdefault(profile.repository, []).append(row)
        # Those that were observed last come last.
        self._rows[profile] = row
        column = self._columns.setdefault(hardware, len(self._columns))
        height, width = self._logs.shape
        if row >= height or column >= width:
            # About twice as large, so that a growing table is not copied for each new row.
            more = ((0, height + 8 if row >= height else 0), (0, width + 8 if column >= width else 0))
            self._logs, self._counts = np.pad(self._logs, more), np.pad(self._counts, more)
        return row, column

    def _forgotten(self) -> int:
        """The row of the profile that was observed least lately, which is empty now."""
        profile = next(iter(self._rows))
        row = self._rows.pop(profile)
        self._kin[profile.repository].remove(row)
        if not self._kin[profile.repository]:
            del self._kin[profile.repository]
        self._logs[row], self._counts[row] = 0.0, 0.0
        return row


class _Guess:
    """One job's row, and the others by which it is completed; the last of those is that of the figures."""

    def __init__(self, own: _Table, others: _Table, spreads: _Table) -> None:
        self._own = own
        self._others = others
        self._spreads = spreads

    @cached_property
    def _aligned(self) -> tuple[_Table, _Table]:
        """The other rows in this job's scale, and how much each is worth."""
        own, never_seen = self._own, bool(np.isnan(self._own).all())
        if never_seen:
            # The rows are brought to one scale by the figures, or else as if all hardware were alike.
            figures = self._others[-1]
            own = np.where(np.isnan(figures), 0.0 if np.isnan(figures).all() else np.nan, figures)
        differences = own - self._others
        both = ~np.isnan(differences)
        overlap = both.sum(1)
        scale = np.where(both, differences, 0.0).sum(1) / np.maximum(overlap, 1)
        unlike = (np.where(both, differences - scale[:, None], 0.0) ** 2).sum(1)
        # As many columns as agree, so much more alike they are than was to be expected. A job that was never seen is
        # like none so far.
        variances = self._spreads**2 if never_seen else (self._spreads**2 + unlike) / np.maximum(overlap, 1)
        return self._others + scale[:, None], np.where(overlap > 0, 1.0 / variances, 0.0)

    def speed(self, index: int, seen: _Table) -> Speed | None:
        """The speed in one column."""
        runs, kinds, here = int(seen.sum()), int((seen > 0).sum()), int(seen[index])
        if here:
            return Speed(exp(self._own[index]), NOISE / sqrt(min(here, KEPT)), runs, kinds, here, alike=0)
        rows, weights = self._aligned
        tells = ~np.isnan(rows[:, index]) & (weights > 0)
        if not tells.any():
            return None
        said, weights = rows[tells, index], weights[tells]
        total = float(weights.sum())
        mean = float((weights * said).sum()) / total
        variance = float((weights * (said - mean) ** 2).sum()) / total + 1.0 / total
        return Speed(exp(mean), sqrt(variance), runs, kinds, 0, alike=int(tells[:-1].sum()))
