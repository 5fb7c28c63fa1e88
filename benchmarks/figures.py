"""What a row of benchmarks comes to: series of measurements, ratios with what they have to reach, and notes."""

import math
import statistics
from collections.abc import Sequence
from dataclasses import dataclass, field

from headrace.cli.words import columns

# What a value is of which no unit is told: a ratio.
TIMES = "×"
EXPONENT = "exponent"
OF_ROUNDS = ", median of the rounds"
# So many are shown on a screen.
MOST_POINTS = 8
# What stands between a curve's name and what it grows with.
GROWTH = ", by "


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
class Pair:
    """What a ratio was made of: ours and the other's, medians or tails, and what the other is called."""

    ours: float
    anchor: float
    unit: str
    anchor_name: str


@dataclass(frozen=True, slots=True)
class Ratio:
    """Ours divided by another's; or, where `unit` names one, a figure of ours alone.

    `bound` is what it has to reach; none where it is only told.
    """

    name: str
    value: float
    bound: float | None = None
    at_least: bool = False
    unit: str = TIMES
    pair: Pair | None = None

    @property
    def reached(self) -> bool | None:
        """Whether it is as it should be; None where nothing is asked of it."""
        if self.bound is None:
            return None
        return self.value >= self.bound if self.at_least else self.value <= self.bound

    @property
    def goal(self) -> str:
        """What it has to reach, as people write it; empty where nothing is asked."""
        if self.bound is None:
            return ""
        return f"{'≥' if self.at_least else '≤'} {with_unit(f'{self.bound:,.9g}', self.unit)}"


@dataclass(frozen=True, slots=True)
class Curve:
    """How something grows: points in the order of x.

    `row` is the row of the table of goals that it is of, and `plot` the picture that it is drawn in. `x` and `y` are
    what the axes are, with units. `bound` is for the exponent of its last decade, of which a curve that only goes
    with time has none (`grows`).
    """

    row: int | str
    plot: str
    name: str
    x: str
    y: str
    points: tuple[tuple[float, float], ...]
    bound: float | None = None
    at_least: bool = False
    grows: bool = True

    @property
    def exponent(self) -> float | None:
        """The slope by least squares, both axes as logarithms, from a tenth of the largest x on.

        None where there are fewer than two such points above zero. 0: costs do not grow; 1: they grow with x.
        """
        if not self.grows:
            return None
        above = [(x, y) for x, y in self.points if x > 0 and y > 0]
        last = max((x for x, _ in above), default=0.0)
        logs = [(math.log(x), math.log(y)) for x, y in above if x >= last / 10 * (1 - 1e-9)]
        if len({x for x, _ in logs}) < 2:
            return None
        return statistics.linear_regression(*zip(*logs, strict=True)).slope

    @property
    def ratio(self) -> Ratio | None:
        """The exponent, as figures are told."""
        found = self.exponent
        if found is None:
            return None
        return Ratio(f"{self.name}{GROWTH}{self.x}", found, self.bound, self.at_least, unit=EXPONENT)


@dataclass(frozen=True, slots=True)
class Row:
    """A row of the benchmarks, measured."""

    number: int | str
    title: str
    series: tuple[Series, ...]
    ratios: tuple[Ratio, ...]
    notes: tuple[str, ...] = ()
    curves: tuple[Curve, ...] = ()

    @property
    def missed(self) -> bool:
        """Whether something does not reach what it has to."""
        growth = (curve.ratio for curve in self.curves)
        return any(one.reached is False for one in (*self.ratios, *(one for one in growth if one is not None)))


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


def with_unit(number: str, unit: str) -> str:
    """A number as people write it; an exponent as what it is the exponent of."""
    return f"x^{number}" if unit == EXPONENT else f"{number} {unit}".rstrip()


def of_rounds(name: str, ours: Series, other: Series, bound: float | None = None, *, at_least: bool = False) -> Ratio:
    """The median of the rounds' ratios: what was measured side by side was under the same load."""
    rounds = [mine / theirs for mine, theirs in zip(ours.values, other.values, strict=True)]
    pair = Pair(ours.p50, other.p50, ours.unit, other.name)
    return Ratio(f"{name}{OF_ROUNDS}", statistics.median(rounds), bound, at_least, pair=pair)


def of_medians(name: str, ours: Series, other: Series) -> Ratio:
    """The ratio of the medians."""
    return Ratio(f"{name}, p50 / p50", ours.p50 / other.p50, pair=Pair(ours.p50, other.p50, ours.unit, other.name))


def of_tails(name: str, ours: Series, other: Series, bound: float | None = None) -> Ratio:
    """The ratio of the 99th percentiles."""
    pair = Pair(ours.p99, other.p99, ours.unit, other.name)
    return Ratio(f"{name}, p99 / p99", ours.p99 / other.p99, bound, pair=pair)


def lines(row: Row) -> list[str]:
    """The row for people."""
    found = [f"row {row.number}: {row.title}", ""]
    if row.series:
        found += columns(("MEASURED", "UNIT", "N", "P50", "P99", "LEAST"), [_cells(series) for series in row.series])
    if row.curves:
        found += [
            *([""] if row.series else []),
            *columns(("CURVE", "BY", "POINTS", "EXPONENT"), [_curve_cells(curve) for curve in row.curves]),
        ]
    if row.ratios:
        found += ["", *columns(("RATIO", "IS", "TO REACH", ""), [_ratio_cells(ratio) for ratio in row.ratios])]
    return [*found, *(("", *row.notes) if row.notes else ())]


def _cells(series: Series) -> Sequence[str]:
    digits = 1 if series.p50 < 1000 else 0
    shown = (f"{value:.{digits}f}" for value in (series.p50, series.p99, min(series.values)))
    return (series.name, series.unit, str(len(series.values)), *shown)


def _ratio_cells(ratio: Ratio) -> Sequence[str]:
    reached = {True: "reached", False: "not reached", None: ""}[ratio.reached]
    return (ratio.name, f"{ratio.value:.2f}", ratio.goal, reached)


def _curve_cells(curve: Curve) -> Sequence[str]:
    shown = [f"{x:g}: {y:.3g}" for x, y in curve.points]
    points = ", ".join(shown if len(shown) <= MOST_POINTS else [*shown[: MOST_POINTS - 1], "…", shown[-1]])
    return (f"{curve.name}, {curve.y}", curve.x, points, "" if curve.exponent is None else f"{curve.exponent:.2f}")
