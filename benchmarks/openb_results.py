"""`python -m benchmarks.openb_results FILE …`: what `benchmarks.openb` printed, into the history."""

import argparse
import re
import sys
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path

from benchmarks import history, record
from benchmarks.figures import Curve, Pair, Ratio, Row
from benchmarks.history import Run
from headrace.refusals import Code, Refusal

ROW = PLOT = "openb"
FGD = ("FGD published", "FGD here")
BOUND, MOVES, OURS = "LP bound", "with moves", "ours"
# What has no curve: the level itself, a count, and what follows from the others.
NO_CURVE = ("arrived", "moves", "won back")
# Of what lies between FGD and the bound; where less than 0.1 percent does, nothing is to be won.
TO_WIN_BACK = 0.3333
LEAST_ROOM = 0.1
_TITLE = re.compile(r"(?P<workload>\S+): percent of (?P<devices>\d+) devices given away, (?P<seeds>\d+) seeds")
_LEVEL = re.compile(r"(\d+) %\s")


def title(workload: str, devices: int, seeds: int) -> str:
    """The line above a table."""
    return f"{workload}: percent of {devices} devices given away, {seeds} seeds"


def keep(lines: Iterable[str], run: Run, *, publish: bool) -> None:
    """Keeps each table of these lines; raises Refusal where there is none."""
    found = list(rows(lines))
    if not found:
        message = "no table of benchmarks.openb: name files that hold what it printed"
        raise Refusal(Code.INVALID_ARGUMENT, "NO_TABLE", message)
    for workload, row in found:
        record.keep(list(history.entries(run, row, part=workload)), publish=publish)


def rows(lines: Iterable[str]) -> Iterator[tuple[str, Row]]:
    """The workload and what came of it, of each table."""
    workload = told = ""
    headings: Sequence[str] = ()
    levels: list[dict[str, float]] = []
    for line in (*lines, ""):
        cells = re.split(r"\s{2,}", line.strip())
        if found := _TITLE.fullmatch(line.strip()):
            workload, told, headings, levels = found["workload"].removeprefix("pods-"), line.strip(), (), []
        elif workload and not headings:
            headings = cells
        elif workload and _LEVEL.match(line):
            levels.append(dict(_numbers(headings, cells)))
        elif workload:
            yield workload, _row(workload, told, levels)
            workload = ""


def _numbers(headings: Sequence[str], cells: Sequence[str]) -> Iterator[tuple[str, float]]:
    """What is a number: means without their spread, percents without their sign."""
    for heading, cell in zip(headings, cells, strict=True):
        if found := re.match(r"-?\d+(\.\d+)?", cell):
            yield heading, float(found[0])


def _row(workload: str, told: str, levels: Sequence[dict[str, float]]) -> Row:
    names = dict.fromkeys(name for level in levels for name in level if name not in NO_CURVE)
    curves = (
        Curve(
            ROW,
            PLOT,
            f"{workload}: {name}",
            "arrived, % of the devices",
            "given away, %",
            tuple((level["arrived"], level[name]) for level in levels if name in level),
            grows=False,
        )
        for name in names
    )
    return Row(ROW, told, (), tuple(_ratios(levels)), curves=tuple(curves))


def _ratios(levels: Sequence[dict[str, float]]) -> Iterator[Ratio]:
    """Ours over FGD, and what moves win back: each at the level where it is least."""
    pairs = [(level, _fgd(level)) for level in levels]
    level, fgd = min(pairs, key=lambda pair: pair[0][OURS] / pair[1])
    pair = Pair(level[OURS], fgd, "%", "FGD")
    yield Ratio(f"ours / FGD, at {level['arrived']:g} %", level[OURS] / fgd, 1.0, at_least=True, pair=pair)
    won = [
        ((level[MOVES] - fgd) / (level[BOUND] - fgd), level["arrived"])
        for level, fgd in pairs
        if MOVES in level and level[BOUND] - fgd >= LEAST_ROOM
    ]
    if won:
        share, at = min(won)
        yield Ratio(f"won back by moves, at {at:g} %", share, TO_WIN_BACK, at_least=True, unit="of what FGD leaves")


def _fgd(level: dict[str, float]) -> float:
    """The better of what was published and what it does here; no more than can be given away at all."""
    return min(max(level[name] for name in FGD if name in level), level[BOUND])


def main() -> int:
    """Keeps what those files hold; 2 where one holds nothing."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.openb_results", description=__doc__)
    parser.add_argument("files", nargs="+", type=Path, metavar="FILE", help="what `python -m benchmarks.openb` printed")
    record.add_publish(parser)
    arguments = parser.parse_args()
    for path in arguments.files:
        # When it was printed, and of this commit; under what load nobody knows any more.
        run = record.run("python -m benchmarks.openb", None, None, at=path.stat().st_mtime)
        try:
            keep(path.read_text().splitlines(), run, publish=arguments.publish)
        except Refusal as refusal:
            sys.stderr.write(f"{path.name}: refused: {refusal.message} [{refusal.reason}]\n")
            return 2
    return 0


if __name__ == "__main__":
    sys.exit(main())
