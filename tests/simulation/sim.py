"""`python -m tests.simulation.sim --seeds 5000`: many seeds on all cores, how many a second, and which broke."""

import argparse
import multiprocessing
import os
import sys
import time
import traceback
from collections.abc import Iterable
from typing import NamedTuple

from agent.core.attempts import IllegalMove as IllegalAttemptMove
from controller.core.model import IllegalMove as IllegalJobMove
from tests.simulation.emphasis import ANY, Emphasis
from tests.simulation.invariants import Broken
from tests.simulation.run import run

BAR = 40
SHOWN = 10


class Found(NamedTuple):
    """What became of a seed: `wrong` is empty where it ended well."""

    seed: int
    wrong: str
    digest: str


def look(seed: int, emphasis: Emphasis = ANY) -> Found:
    """Runs a seed. Whatever a core raises is a finding."""
    try:
        return Found(seed, "", run(seed, emphasis=emphasis))
    except Broken as broken:
        return Found(seed, str(broken), "")
    except (IllegalJobMove, IllegalAttemptMove, LookupError, ValueError, TypeError, AttributeError, AssertionError):
        return Found(seed, traceback.format_exc(limit=-3), "")


def main(arguments: list[str]) -> int:
    """Runs them; 1 if any broke."""
    parser = argparse.ArgumentParser(prog="python -m tests.simulation.sim", description=__doc__)
    parser.add_argument("--seeds", type=int, default=1_000, help="how many")
    parser.add_argument("--first", type=int, default=0, help="the first one")
    parser.add_argument("--processes", type=int, default=os.cpu_count(), help="on so many cores")
    chosen = parser.parse_args(arguments)
    begun = time.monotonic()
    seeds = range(chosen.first, chosen.first + chosen.seeds)
    with multiprocessing.get_context("spawn").Pool(chosen.processes) as pool:
        broken = _watched(pool.imap_unordered(look, seeds, chunksize=8), len(seeds))
    seconds = time.monotonic() - begun
    rate = f"{len(seeds) / seconds:.0f} seeds a second on {chosen.processes} cores"
    for found in sorted(broken)[:SHOWN]:
        sys.stdout.write(f"seed {found.seed}: {found.wrong}\n  make replay SEED={found.seed}\n")
    sys.stdout.write(f"{len(seeds) - len(broken)} of {len(seeds)} seeds end well, {seconds:.0f} s, {rate}\n")
    return 1 if broken else 0


def _watched(results: Iterable[Found], total: int) -> list[Found]:
    """Those that broke; a bar shows how far it is, where somebody looks."""
    broken: list[Found] = []
    for done, found in enumerate(results, 1):
        if found.wrong:
            broken.append(found)
        if sys.stdout.isatty() and (done % 20 == 0 or done == total):
            filled = "█" * (done * BAR // total)
            end = " " if done < total else "\n"
            sys.stdout.write(f"\r{filled:<{BAR}} {done}/{total}, {len(broken)} broken{end}")
            sys.stdout.flush()
    return broken


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
