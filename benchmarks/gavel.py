"""`python -m benchmarks.gavel --throughputs FILE`: mean completion times in Gavel's simulated cluster, by arrival rate.

Each rate and seed is one list of jobs; every policy gets the same lists, and the same luck.
"""

import argparse
import statistics
import sys
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from benchmarks import gavel_jobs, history, record
from benchmarks.figures import Curve, Pair, Ratio, Row
from benchmarks.gavel_world import Knowledge, Policy, World
from headrace.refusals import Refusal

# Over agnostic least-loaded placement.
TO_REACH = 1.5
# What the paper says of its policies against those that know nothing of speeds, at most.
PUBLISHED = 3.5
POLICIES = (
    Policy(Knowledge.NONE),
    Policy(Knowledge.FIGURES),
    Policy(Knowledge.KNOWN),
    Policy(Knowledge.KNOWN, moves=True),
    Policy(Knowledge.LEARNED, moves=True),
)
OURS = POLICIES[-2:]
# From a cluster that is nearly idle to one that is full.
RATES = (1.0, 2.0, 3.0, 4.0, 4.5, 5.0)


@dataclass(frozen=True, slots=True)
class Figure:
    """One policy at one rate: the mean over all seeds, of jobs that came into a busy cluster and of the first ones."""

    steady_hours: float
    first_hours: float
    moves: float
    most_moves: int


def main() -> int:
    """Simulates, and prints a table; 0 if ours reach what they have to, at each rate, in the steady window."""
    arguments = _parser().parse_args()
    try:
        throughputs = gavel_jobs.read(arguments.throughputs)
    except Refusal as refusal:
        sys.stderr.write(f"refused: {refusal.message} [{refusal.reason}]\n")
        return 2
    print(f"{len(throughputs.by_type)} job types; {_cluster()}; one device a job")
    windows = f"steady: {arguments.jobs} jobs after {arguments.after}; first: jobs 1 to {arguments.jobs}"
    print(f"{arguments.seeds} seeds; {windows}; a move stops a job for about {arguments.downtime:g} s")
    before = record.load()[0]
    by_rate: dict[float, dict[Policy, Figure]] = {}
    for rate in arguments.rates or RATES:
        found = by_rate[rate] = {policy: _measured(throughputs, policy, rate, arguments) for policy in POLICIES}
        print("\n".join(["", f"{rate:g} jobs an hour", *_lines(found)]), flush=True)
    print(f"\nto reach: {TO_REACH:g} x; the paper's best: {PUBLISHED:g} x over policies that know nothing of speeds")
    title = f"mean completion time in Gavel's cluster, {_cluster()}, {arguments.seeds} seeds"
    row = Row("gavel", title, (), tuple(_ratios(by_rate)), curves=tuple(_curves(by_rate)))
    run = record.run(record.command("benchmarks.gavel", sys.argv[1:]), before, record.load()[0])
    record.keep(list(history.entries(run, row, part="gavel")), publish=arguments.publish)
    return 1 if row.missed else 0


def _ratios(by_rate: dict[float, dict[Policy, Figure]]) -> Iterator[Ratio]:
    """How much sooner jobs of ours end, in the steady window, at the rate where that is least."""
    for policy in OURS:
        value, rate = min((_ratio(found, policy), rate) for rate, found in by_rate.items())
        base, ours = by_rate[rate][POLICIES[0]].steady_hours, by_rate[rate][policy].steady_hours
        name = f"{POLICIES[0].name} / {policy.name}, {rate:g} an hour"
        yield Ratio(name, value, TO_REACH, at_least=True, pair=Pair(ours, base, "h", POLICIES[0].name))


def _curves(by_rate: dict[float, dict[Policy, Figure]]) -> Iterator[Curve]:
    for policy in POLICIES:
        points = tuple((rate, found[policy].steady_hours) for rate, found in by_rate.items())
        yield Curve("gavel", "gavel", policy.name, "jobs an hour", "mean completion time, h", points, grows=False)


def _measured(
    throughputs: gavel_jobs.Throughputs, policy: Policy, rate: float, arguments: argparse.Namespace
) -> Figure:
    steady: list[float] = []
    first: list[float] = []
    moves: list[int] = []
    for seed in range(arguments.seeds):
        count = arguments.after + arguments.jobs
        jobs = gavel_jobs.arrivals(throughputs, rate_per_hour=rate, count=count, seed=seed)
        world = World(throughputs, jobs, policy, seed=seed, downtime_seconds=arguments.downtime)
        outcome = world.run(_Progress(f"{rate:g}/h, {policy.name}, seed {seed}", count))
        steady += outcome.seconds[arguments.after :]
        first += outcome.seconds[: arguments.jobs]
        moves += outcome.moves
    return Figure(statistics.fmean(steady) / 3600, statistics.fmean(first) / 3600, statistics.fmean(moves), max(moves))


def _ratio(found: dict[Policy, Figure], policy: Policy) -> float:
    return found[POLICIES[0]].steady_hours / found[policy].steady_hours


def _lines(found: dict[Policy, Figure]) -> Sequence[str]:
    base = found[POLICIES[0]]
    lines = [f"{'policy':<18}{'steady':>10}{'ratio':>8}{'first':>10}{'ratio':>8}{'moves a job':>13}{'at most':>9}"]
    for policy, one in found.items():
        lines.append(
            f"{policy.name:<18}{one.steady_hours:>8.2f} h{_ratio(found, policy):>8.2f}{one.first_hours:>8.2f} h"
            f"{base.first_hours / one.first_hours:>8.2f}{one.moves:>13.2f}{one.most_moves:>9}"
        )
    return lines


def _cluster() -> str:
    return ", ".join(f"{count} {kind}" for kind, count in gavel_jobs.CLUSTER.items())


class _Progress:
    """How far a simulation is, for people who wait for it."""

    def __init__(self, name: str, count: int) -> None:
        self._name = name
        self._count = count
        self._shown_at = 0.0

    def __call__(self, ended: int) -> None:
        if not sys.stderr.isatty() or (time.monotonic() < self._shown_at + 0.2 and ended < self._count):
            return
        self._shown_at = time.monotonic()
        text = "" if ended == self._count else f"{self._name}: {ended} of {self._count} jobs have ended"
        sys.stderr.write(f"\r{text:<79}" + ("\r" if not text else ""))
        sys.stderr.flush()


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.gavel",
        description="Simulates a cluster of unequal devices, with jobs placed and moved by Headrace's own functions.",
        epilog="example: python -m benchmarks.gavel --throughputs throughputs.json --seeds 1 --rate 2 --rate 4",
    )
    parser.add_argument(
        "--throughputs", type=Path, required=True, help="steps a second by device and job type, as JSON"
    )
    parser.add_argument("--jobs", type=_positive, default=1000, help="jobs whose times count (default 1000)")
    parser.add_argument("--after", type=int, default=1000, help="jobs that come before those (default 1000)")
    parser.add_argument("--seeds", type=_positive, default=3, help="lists of jobs for each rate (default 3)")
    parser.add_argument("--rate", dest="rates", type=float, action="append", help="jobs an hour; may be given again")
    parser.add_argument("--downtime", type=float, default=30.0, help="seconds a move stops a job, about (default 30)")
    record.add_publish(parser)
    return parser


def _positive(text: str) -> int:
    if int(text) < 1:
        raise argparse.ArgumentTypeError("has to be 1 at least")
    return int(text)


if __name__ == "__main__":
    sys.exit(main())
