"""Each rule that the protocol needs is missed by some seed: that keeps the invariants honest."""

from itertools import chain

import pytest

from tests.simulation.emphasis import EMPHASES, Emphasis
from tests.simulation.rules import BEGIN, END, PAGE, hints, look_without
from tests.simulation.rules_off import RULES, Rule
from tests.simulation.sim import look

# Where a core has changed, the seeds that missed a rule before may do without it now.
SEEDS = 1_500
WHOLE_SEEDS = 10


@pytest.mark.parametrize("rule", RULES, ids=lambda rule: rule.name)
def test_a_rule_that_is_off_is_missed(rule: Rule) -> None:
    seeds = chain(hints()[rule.name], range(SEEDS))

    assert any(look_without(RULES.index(rule), seed).wrong for seed in seeds)


@pytest.mark.parametrize("rule", RULES, ids=lambda rule: rule.name)
def test_a_world_that_misses_a_rule_ends_well_with_it(rule: Rule) -> None:
    for seed in hints()[rule.name]:
        assert not look(seed, rule.worlds).wrong


@pytest.mark.parametrize("emphasis", EMPHASES, ids=lambda emphasis: emphasis.name)
def test_worlds_in_which_some_faults_are_likelier_end_well_too(emphasis: Emphasis) -> None:
    for seed in range(WHOLE_SEEDS):
        assert not look(seed, emphasis).wrong


def test_the_page_has_a_row_for_each_rule() -> None:
    table = PAGE.read_text().partition(BEGIN)[2].partition(END)[0]
    rows = [line for line in table.splitlines() if line.startswith("| ") and not line.startswith("| rule ")]

    assert [row.split(" | ")[0].removeprefix("| ") for row in rows] == [rule.name for rule in RULES]
