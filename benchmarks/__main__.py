"""`python -m benchmarks [ROW …]`: measures, prints each row and the table of all, and keeps the history."""

import argparse
import asyncio
import sys
from collections.abc import Callable, Coroutine
from typing import Any

from benchmarks import (
    commands,
    finding,
    flights,
    hop_states,
    hops,
    job_systems,
    placements,
    predictions,
    record,
    resolutions,
    rest,
    starts,
    table,
    transfers,
)
from benchmarks import setting as settings
from benchmarks.figures import Row
from headrace.refusals import Refusal

ROWS: dict[int, Callable[[settings.Setting], Coroutine[Any, Any, Row]]] = {
    1: starts.measure,
    2: flights.measure,
    4: placements.measure,
    8: rest.measure,
    11: transfers.measure,
    12: hops.measure,
    13: hop_states.measure,
    14: commands.measure,
    15: predictions.measure,
    16: hop_states.measure_large,
    17: job_systems.measure,
    18: resolutions.measure,
    19: finding.measure,
}


def main() -> int:
    """Measures the rows that were named, or all; 0 if each reached what it has to."""
    arguments = _parser().parse_args()
    try:
        with settings.prepare() as setting:
            return _measure(setting, arguments.rows or list(ROWS), publish=arguments.publish)
    except Refusal as refusal:
        sys.stderr.write(f"refused: {refusal.message} [{refusal.reason}]\n")
        return 2


def _measure(setting: settings.Setting, numbers: list[int], *, publish: bool) -> int:
    kept = record.Record("benchmarks", sys.argv[1:], setting.engine, publish)
    for number in numbers:
        before = record.load()
        kept.add(asyncio.run(ROWS[number](setting)), before, part=f"row {number}")
    path = kept.write()
    table.show(kept.runs)
    print(f"all measurements: {path}")
    return 1 if kept.missed else 0


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks",
        description="Measures Headrace against what else would do the same on this machine, in turn, as ratios.",
        epilog="example: python -m benchmarks 1 14",
    )
    record.add_publish(parser)
    known = ", ".join(map(str, ROWS))
    parser.add_argument("rows", nargs="*", type=_row, metavar="ROW", help=f"{known}; none: all of them")
    return parser


def _row(text: str) -> int:
    # Not by `choices`: with those, argparse refuses that no row is named.
    if text not in map(str, ROWS):
        raise argparse.ArgumentTypeError(f"{text!r} is no row that is measured; there are {', '.join(map(str, ROWS))}")
    return int(text)


if __name__ == "__main__":
    sys.exit(main())
