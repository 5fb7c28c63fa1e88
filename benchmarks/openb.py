"""`python -m benchmarks.openb`: the placement core over a trace, beside FGD and what could be given away at best."""

import argparse
import statistics
import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from benchmarks import openb_results, record, traces
from benchmarks.bounds import bound_percent, moved_percents
from benchmarks.openb_controller import PlacedByController
from benchmarks.traces import LEVELS, Trace
from controller.core.placement.columns import Columns, Shape, Spot
from controller.core.placement.defragmentation import Placed, move
from controller.core.placement.packing import Packing
from controller.core.placement.rooms import FGD, Mix
from headrace.cli.words import columns as lines_of

# Moves are looked for that often; until half of the devices are taken there is room enough without.
MOVES_EVERY = 100
MOVES_FROM = 0.5
Progress = Callable[[int], None]
Contender = Packing | PlacedByController


@dataclass(slots=True)
class Run:
    """What came of one sequence of arrivals: percent given away at each level, and how many moves were made by then."""

    percent: list[float] = field(default_factory=list)
    moves: list[int] = field(default_factory=list)


def run(packing: Contender, arrivals: Sequence[Shape], *, moves_per_100: float, progress: Progress) -> Run:
    """Places one after another; what does not fit is dropped."""
    room = packing.columns if isinstance(packing, Packing) else packing
    capacity = room.device_millis
    done = Run()
    placed: dict[int, Placed] = {}
    arrived = moves = 0
    for number, shape in enumerate(arrivals):
        _tell(done, arrived / capacity, room, moves)
        arrived += shape.millis
        spot = packing.place(shape)
        if isinstance(spot, Spot):
            placed[number] = Placed(number, shape, spot)
        if (number + 1) % MOVES_EVERY == 0:
            progress(number + 1)
            if isinstance(packing, Packing) and room.free_millis <= (1 - MOVES_FROM) * capacity:
                moves += _moved(packing, placed, int(moves_per_100 * (number + 1) / 100) - moves)
    _tell(done, float("inf"), room, moves)
    return done


def _moved(packing: Packing, placed: dict[int, Placed], most: int) -> int:
    for made in range(most):
        found = move(packing, list(placed.values()))
        if found is None:
            return made
        placed[found.placed.task] = Placed(found.placed.task, found.placed.shape, found.to)
    return max(most, 0)


def _tell(done: Run, arrived: float, room: Columns | PlacedByController, moves: int) -> None:
    while len(done.percent) < len(LEVELS) and arrived >= LEVELS[len(done.percent)] / 100:
        done.percent.append(100 * (room.device_millis - room.free_millis) / room.device_millis)
        done.moves.append(moves)


def policies(
    trace: Trace, moves_per_100: float, *, known: bool = False, controller: bool = False
) -> dict[str, Callable[[], tuple[Contender, float]]]:
    """How to begin with each: the columns of an empty cluster, and the moves that are allowed."""
    mix = Mix()
    for shape in trace.requests:
        mix.asked(shape)
    # FGD's authors let it know the whole workload. Ours learns from the arrivals so far, unless it is let know as well.
    told = mix if known else None
    begun: dict[str, Callable[[], tuple[Contender, float]]] = {
        "FGD": lambda: (Packing(Columns(trace.hosts), FGD, mix), 0.0),
        "ours": lambda: (Packing(Columns(trace.hosts), known=told), 0.0),
    }
    if controller:
        begun["controller"] = lambda: (PlacedByController(trace.hosts), 0.0)
    if moves_per_100:
        begun["with moves"] = lambda: (Packing(Columns(trace.hosts), known=told), moves_per_100)
    return begun


def table(runs: dict[str, list[Run]], bounds: Sequence[float], published: dict[int, float]) -> list[str]:
    """The lines of the table."""
    rows = []
    for index, level in enumerate(LEVELS):
        means = {name: statistics.fmean(one.percent[index] for one in some) for name, some in runs.items()}
        baseline = max(means["FGD"], published.get(level, 0.0))
        best = means.get("with moves", means["ours"])
        room = bounds[index] - baseline
        rows.append(
            [
                f"{level} %",
                f"{published[level]:.2f}" if level in published else "",
                *(_spread([one.percent[index] for one in some]) for some in runs.values()),
                f"{statistics.fmean(one.moves[index] for one in runs['with moves']):.0f}"
                if "with moves" in runs
                else "",
                f"{bounds[index]:.2f}",
                f"{(best - baseline) / room:.0%}" if room >= 0.1 else "",
            ]
        )
    headings = ["arrived", "FGD published", *(("FGD here" if name == "FGD" else name) for name in runs)]
    return lines_of([*headings, "moves", "LP bound", "won back"], rows)


def _spread(values: Sequence[float]) -> str:
    return f"{statistics.fmean(values):.2f} ± {statistics.stdev(values) if len(values) > 1 else 0.0:.2f}"


def main() -> int:
    """Runs all seeds, and prints the table."""
    arguments = _parser().parse_args()
    before = record.load()[0]
    trace = traces.read(arguments.pods, arguments.nodes)
    begun = policies(trace, arguments.moves_per_100, known=arguments.known, controller=arguments.controller)
    runs: dict[str, list[Run]] = {name: [] for name in begun}
    for seed in range(arguments.seeds):
        arrivals = traces.arrivals(trace, seed)
        for name, begin in begun.items():
            packing, moves = begin()
            shown = _shown(f"seed {seed + 1} of {arguments.seeds}, {name}", len(arrivals))
            runs[name].append(run(packing, arrivals, moves_per_100=moves, progress=shown))
    first = traces.arrivals(trace, 0)
    bounds = []
    for level in LEVELS:
        _shown("LP bound at percent arrived", LEVELS[-1])(level)
        count = traces.arrived_by(first, level, trace.capacity_millis)
        bounds.append(bound_percent(trace.hosts, first[:count]))
    _clear()
    title = openb_results.title(arguments.pods.stem, trace.capacity_millis // 1000, arguments.seeds)
    lines = [title, *table(runs, bounds, traces.published(arguments.pods))]
    print("\n".join(lines))
    print(
        "mean ± standard deviation; the bound is that of the first seed; won back: the share of what lies between the"
    )
    print("better of the two FGD figures and the bound; empty where FGD reaches the bound, but for 0.1 percent")
    if arguments.any_moves:
        moved = moved_percents(trace.hosts, first, LEVELS)
        levels = ", ".join(f"{level} %: {percent:.2f}" for level, percent in zip(LEVELS, moved, strict=True))
        print(
            f"all moved at will with each request, tasks split, none turned away that fits then, first seed: {levels}"
        )
    told = record.run(record.command("benchmarks.openb", sys.argv[1:]), before, record.load()[0])
    openb_results.keep(lines, told, publish=arguments.publish)
    return 0


def _shown(what: str, end: int) -> Progress:
    def show(number: int) -> None:
        if sys.stderr.isatty():
            sys.stderr.write(f"\r\x1b[K{what}: {number} of {end}")
            sys.stderr.flush()

    return show


def _clear() -> None:
    if sys.stderr.isatty():
        sys.stderr.write("\r\x1b[K")


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.openb", description=__doc__)
    parser.add_argument(
        "--pods", type=Path, required=True, metavar="FILE", help="requests, in the form of openb's pods-*.csv"
    )
    parser.add_argument("--nodes", type=Path, required=True, metavar="FILE", help="nodes, in the form of nodes-gpu.csv")
    parser.add_argument("--seeds", type=_above_zero, default=10, help="orders of arrival (10)")
    parser.add_argument(
        "--moves-per-100", type=float, default=2.0, metavar="N", help="moves for 100 arrivals (2); 0: none"
    )
    parser.add_argument(
        "--known", action="store_true", help="ours knows the workload, as FGD does, and does not learn from arrivals"
    )
    parser.add_argument(
        "--controller", action="store_true", help="the controller's own way of placing as well, which learns"
    )
    parser.add_argument("--any-moves", action="store_true", help="what moving all at will comes to; takes minutes")
    record.add_publish(parser)
    return parser


def _above_zero(text: str) -> int:
    if not text.isdigit() or not int(text):
        raise argparse.ArgumentTypeError(f"{text!r} is no number above 0")
    return int(text)


if __name__ == "__main__":
    sys.exit(main())
