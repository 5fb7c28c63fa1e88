"""What a row of benchmarks comes to: series of measurements, ratios with what they have to reach, and notes."""

import math
import statistics
from collections.abc import Sequence
from dataclasses import dataclass, field

from headrace.cli.words import columns


@dataclass(frozen=True, slots=True)
class Series:
    """Measurements of one thing, in the order in which they were taken."""

    name: str
    unit: str
    values: tuple[float, ...]

    @property
    def p50(self) -> float:
        """The median."""
        return statistics.median(self.values)

    @property
    def p99(self) -> float:
        """The value that 99 of 100 do not exceed; the largest, where there are fewer than a hundred."""
        ordered = sorted(self.values)
        return ordered[math.ceil(0.99 * len(ordered)) - 1]


@dataclass(frozen=True, slots=True)
class Ratio:
    """Ours divided by another's. `bound` is what it has to reach; none where it is only told."""

    name: str
    value: float
    bound: float | None = None
    at_least: bool = False

    @property
    def reached(self) -> bool | None:
        """Whether it is as it should be; None where nothing is asked of it."""
        if self.bound is None:
            return None
        return self.value >= self.bound if self.at_least else self.value <= self.bound


@dataclass(frozen=True, slots=True)
class Row:
    """A row of the benchmarks, measured."""

    number: int
    title: str
    series: tuple[Series, ...]
    ratios: tuple[Ratio, ...]
    notes: tuple[str, ...] = ()


@dataclass(slots=True)
class Measured:
    """Measurements under way, by the name of what is measured."""

    unit: str
    values: dict[str, list[float]] = field(default_factory=dict)

    def add(self, name: str, value: float) -> None:
        """One more."""
        self.values.setdefault(name, []).append(value)

    def series(self) -> tuple[Series, ...]:
        """All of them, in the order in which their names came up."""
        return tuple(Series(name, self.unit, tuple(values)) for name, values in self.values.items())

    def __getitem__(self, name: str) -> Series:
        return Series(name, self.unit, tuple(self.values[name]))


def of_rounds(name: str, ours: Series, other: Series, bound: float | None = None, *, at_least: bool = False) -> Ratio:
    """The median of the rounds' ratios: what was measured side by side was under the same load."""
    rounds = [mine / theirs for mine, theirs in zip(ours.values, other.values, strict=True)]
    return Ratio(f"{name}, median of the rounds", statistics.median(rounds), bound, at_least)


def of_medians(name: str, ours: Series, other: Series) -> Ratio:
    """The ratio of the medians."""
    return Ratio(f"{name}, p50 / p50", ours.p50 / other.p50)


def of_tails(name: str, ours: Series, other: Series, bound: float | None = None) -> Ratio:
    """The ratio of the 99th percentiles."""
    return Ratio(f"{name}, p99 / p99", ours.p99 / other.p99, bound)


def lines(row: Row) -> list[str]:
    """The row for people."""
    found = [f"row {row.number}: {row.title}", ""]
    found += columns(("MEASURED", "UNIT", "N", "P50", "P99", "LEAST"), [_cells(series) for series in row.series])
    if row.ratios:
        found += ["", *columns(("RATIO", "IS", "TO REACH", ""), [_ratio_cells(ratio) for ratio in row.ratios])]
    return [*found, *(("", *row.notes) if row.notes else ())]


def _cells(series: Series) -> Sequence[str]:
    digits = 1 if series.p50 < 1000 else 0
    shown = (f"{value:.{digits}f}" for value in (series.p50, series.p99, min(series.values)))
    return (series.name, series.unit, str(len(series.values)), *shown)


def _ratio_cells(ratio: Ratio) -> Sequence[str]:
    if ratio.bound is None:
        return (ratio.name, f"{ratio.value:.2f}", "", "")
    sign = "≥" if ratio.at_least else "≤"
    return (ratio.name, f"{ratio.value:.2f}", f"{sign} {ratio.bound:g}", "reached" if ratio.reached else "not reached")
