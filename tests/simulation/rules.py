"""`python -m tests.simulation.rules`: what breaks without each rule, in how many seeds; a table for ARCHITECTURE.md."""

import argparse
import multiprocessing
import os
import sys
from collections import Counter
from functools import partial
from pathlib import Path

from tests.simulation import rules_of_leases, rules_of_turns, rules_unasked  # noqa: F401 - they add rules.
from tests.simulation.rules_off import RULES, Rule
from tests.simulation.sim import Found, look

SEEDS = 400
PAGE = Path(__file__).parents[2] / "ARCHITECTURE.md"
BEGIN, END = "<!-- rules: begin -->", "<!-- rules: end -->"
# Which seeds break without a rule: where tests look first.
HINTS = Path(__file__).with_name("rule_seeds.txt")
HINTS_A_RULE = 5


def look_without(number: int, seed: int) -> Found:
    """Runs a seed without one of the rules."""
    with RULES[number].off():
        return look(seed, RULES[number].worlds)


def hints() -> dict[str, list[int]]:
    """Seeds that broke without each rule, when it was looked last."""
    lines = HINTS.read_text().splitlines() if HINTS.exists() else []
    return {name: [int(one) for one in seeds.split()] for name, _, seeds in (line.partition(": ") for line in lines)}


def main(arguments: list[str]) -> int:
    """Runs all seeds without each rule in turn, and writes down what broke; 1 if a rule is not missed by any."""
    parser = argparse.ArgumentParser(prog="python -m tests.simulation.rules", description=__doc__)
    parser.add_argument("--seeds", type=int, default=SEEDS, help="how many, for each rule")
    parser.add_argument("--processes", type=int, default=os.cpu_count(), help="on so many cores")
    parser.add_argument("--only", default="", help="this rule alone; nothing is written")
    chosen = parser.parse_args(arguments)
    rows, seeds_of, unmissed = [], [], 0
    with multiprocessing.get_context("spawn").Pool(chosen.processes) as pool:
        for number, rule in enumerate(RULES):
            if chosen.only not in ("", rule.name):
                continue
            found = pool.map(partial(look_without, number), range(chosen.seeds), chunksize=8)
            broken = [one for one in found if one.wrong]
            unmissed += not broken
            rows.append(_row(rule, broken, chosen.seeds))
            seeds_of.append(f"{rule.name}: {' '.join(str(one.seed) for one in broken[:HINTS_A_RULE])}")
            sys.stdout.write(rows[-1] + "\n")
            sys.stdout.flush()
    if not chosen.only:
        _written(rows)
        HINTS.write_text("\n".join(seeds_of) + "\n")
    return 1 if unmissed else 0


def _row(rule: Rule, broken: list[Found], seeds: int) -> str:
    kinds = Counter(_kind(one.wrong) for one in broken)
    what = "; ".join(kind for kind, _ in sorted(kinds.items(), key=lambda one: (-one[1], one[0]))[:2])
    return f"| {rule.name} | {rule.says} | {what or 'nothing'} | {rule.worlds.name} | {len(broken)} of {seeds} |"


def _kind(wrong: str) -> str:
    """The invariant, or the exception, as the opposite of what should be."""
    lines = wrong.strip().splitlines()
    if len(lines) > 1:
        return f"a core raises {lines[-1].partition(':')[0].rpartition('.')[2]}"
    return f"not so: {wrong.partition(':')[0]}"


def _written(rows: list[str]) -> None:
    page = PAGE.read_text()
    if BEGIN not in page or END not in page:
        raise ValueError(f"{PAGE} has no place for the table: {BEGIN} and {END}")
    before, _, rest = page.partition(BEGIN)
    _, _, after = rest.partition(END)
    table = "\n".join(("| rule | says | without it | worlds | seeds |", "|---|---|---|---|---|", *rows))
    PAGE.write_text(f"{before}{BEGIN}\n{table}\n{END}{after}")


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
