"""The history of what was measured: a line of JSON for each figure and each curve, the oldest first."""

import json
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any, Self

from benchmarks.figures import EXPONENT, GROWTH, TIMES, Curve, Ratio, Row
from deploy.local import places
from headrace.refusals import Code, Refusal

# Of this checkout, all that was measured; and what is published, which is committed.
LOCAL = places.STATE / "bench" / "history.jsonl"
PUBLISHED = places.ROOT / "docs" / "benchmarks.jsonl"


@dataclass(frozen=True, slots=True)
class Run:
    """Under which circumstances something was measured. `time` is RFC 3339; loads are averages of a minute."""

    time: str
    commit: str
    command: str
    cores: int
    machine: str
    load_before: float | None
    load_after: float | None


@dataclass(frozen=True, slots=True)
class Entry:
    """One figure of one row, or one curve, as it was measured once.

    `part` is what was measured together: what is new replaces all of it. `ours` and `anchor` are in `unit`. `ratio` is
    ours to the anchor of the same run; where there was none, ours to the goal. `x`, `y` and `points` are a curve's.
    """

    run: Run
    row: int | str
    part: str
    title: str
    figure: str
    goal: str = ""
    anchor: float | None = None
    anchor_name: str = ""
    ours: float | None = None
    unit: str = ""
    ratio: float | None = None
    reached: bool | None = None
    plot: str = ""
    x: str = ""
    y: str = ""
    points: tuple[tuple[float, float], ...] = ()

    def line(self) -> str:
        """The entry as it is kept: what is empty is left out."""
        told = {name: value for name, value in asdict(self).items() if value not in ("", None, ())}
        return json.dumps(told.pop("run") | told, ensure_ascii=False)

    @classmethod
    def read(cls, line: str) -> Self:
        """The entry of a line; raises ValueError, KeyError or TypeError where it is none."""
        told: dict[str, Any] = json.loads(line)
        run = Run(**{name: told.pop(name, None) for name in Run.__slots__})
        points = tuple((float(x), float(y)) for x, y in told.pop("points", ()))
        return cls(run, points=points, **told)

    @property
    def curve(self) -> Curve | None:
        """The curve that it is of, if it is of one."""
        if not self.points:
            return None
        name = self.figure.removesuffix(f"{GROWTH}{self.x}")
        return Curve(self.row, self.plot, name, self.x, self.y, self.points, grows=name != self.figure)


def entries(run: Run, row: Row, *, part: str) -> Iterator[Entry]:
    """What a measured row comes to: its ratios that have a goal (all, where none has), and its curves."""
    asked = [ratio for ratio in row.ratios if ratio.bound is not None]
    for ratio in asked or row.ratios:
        yield _entry(Entry(run, row.number, part, row.title, ratio.name), ratio)
    for curve in row.curves:
        blank = Entry(run, curve.row, part, row.title, curve.name)
        found = blank if curve.ratio is None else _entry(replace(blank, figure=curve.ratio.name), curve.ratio)
        points = tuple((_short(x), _short(y)) for x, y in curve.points)
        yield replace(found, plot=curve.plot, x=curve.x, y=curve.y, points=points)


def _entry(blank: Entry, ratio: Ratio) -> Entry:
    told = replace(blank, goal=ratio.goal, reached=ratio.reached)
    if ratio.pair is not None:
        pair = ratio.pair
        told = replace(told, ours=_short(pair.ours), anchor=_short(pair.anchor), anchor_name=pair.anchor_name)
        return replace(told, unit=pair.unit, ratio=_short(ratio.value))
    if ratio.unit == TIMES:
        return replace(told, ratio=_short(ratio.value))
    to_goal = _short(ratio.value / ratio.bound) if ratio.bound and ratio.unit != EXPONENT else None
    return replace(told, ours=_short(ratio.value), unit=ratio.unit, ratio=to_goal)


def _short(value: float) -> float:
    """Five digits: more were never measured."""
    return float(f"{value:.5g}")


def append(path: Path, found: Iterable[Entry]) -> None:
    """Adds to a history; what is in it stays as it is."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("a", encoding="utf-8") as file:
        file.writelines(entry.line() + "\n" for entry in found)


def read(*paths: Path) -> list[Entry]:
    """All entries of those files that are there, the oldest first, each once; raises Refusal for what is none."""
    found: dict[str, Entry] = {}
    for path in paths:
        if not path.exists():
            continue
        for number, line in enumerate(path.read_text(encoding="utf-8").splitlines(), 1):
            try:
                entry = Entry.read(line)
            except (ValueError, KeyError, TypeError) as error:
                message = f"{path.name}, line {number}: no entry of the history ({error}): mend or remove the line"
                raise Refusal(Code.INVALID_ARGUMENT, "BAD_HISTORY", message) from None
            found[entry.line()] = entry
    return sorted(found.values(), key=lambda entry: entry.run.time)


def latest(found: Sequence[Entry]) -> list[Entry]:
    """Of each part of each row what was measured last, in the order in which it was kept."""
    last = {(entry.row, entry.part): entry.run for entry in found}
    return [entry for entry in found if entry.run == last[entry.row, entry.part]]
