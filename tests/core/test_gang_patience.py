"""Laws of gangs that had better wait: for faster nodes, where a start now could not be taken back."""

from dataclasses import replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from headrace.jobs import Job, JobState, Timeouts
from headrace.nodes import Cpu
from tests.core.lone_controller import MINUTE_MS, asks, wanted
from tests.core.small_world import CONTRACT, description
from tests.core.test_patience import Mixed


class Pairs(Mixed):
    """Two nodes of each of two makes, for one task each; of gangs it is known how long they run there."""

    def __init__(self, fast: float = 10, slow: float = 60) -> None:
        super().__init__(fast, slow)
        for name, cpu in (("fast-2", "EPYC"), ("slow-2", "Atom")):
            self.node(name, replace(description(cpu_millis=4_000), cpu=Cpu(cpu, threads=4)))

    def full(self, node: str, minutes: float) -> Job:
        """The node is full, by a job that will have gone after so long."""
        long = Timeouts(run_ms=round(MINUTE_MS * minutes))
        return self.submit(wanted(display_name="other", resources=asks(4), timeouts=long, where=f'name == "{node}"'))

    def gang(self, **changes: object) -> Job:
        return self.wanted(task_count=2, **changes)


@pytest.fixture
def pairs() -> Pairs:
    return Pairs()


def test_a_gang_waits_for_faster_nodes_where_all_its_tasks_are_done_sooner(pairs: Pairs) -> None:
    others = [pairs.full("fast", 5), pairs.full("fast-2", 3)]
    gang = pairs.gang()

    assert gang.state is JobState.QUEUED
    assert gang.reason.startswith("waits for fast, fast-2, which should have room in 5m")

    pairs.settle()
    for other in others:
        pairs.ends(other)
    assert sorted(pairs.at(gang)) == ["fast", "fast-2"]


def test_it_waits_for_the_last_of_them_where_others_are_free(pairs: Pairs) -> None:
    other = pairs.full("fast-2", 5)
    gang = pairs.gang()
    pairs.settle()
    assert pairs.now(gang).state is JobState.QUEUED

    pairs.ends(other)
    assert sorted(pairs.at(gang)) == ["fast", "fast-2"]


def test_of_what_it_waits_for_the_first_node_that_is_free_is_kept_and_what_it_could_have_others_may_have(
    pairs: Pairs,
) -> None:
    pairs.full("fast", 5)
    other = pairs.full("fast-2", 3)
    gang = pairs.gang()
    pairs.ends(other)
    behind = pairs.submit(wanted(display_name="behind", resources=asks(4)))
    short = pairs.full("fast-2", 1)

    assert pairs.now(gang).state is JobState.QUEUED
    assert pairs.at(behind)[0].startswith("slow")
    assert pairs.at(short) == ("fast-2",)


def test_it_starts_where_it_can_once_it_has_waited_for_longer_than_was_thought(pairs: Pairs) -> None:
    pairs.full("fast", 5)
    pairs.full("fast-2", 5)
    gang = pairs.gang()
    for _ in range(6):
        pairs.tick(MINUTE_MS)
    assert pairs.now(gang).state is JobState.QUEUED
    pairs.tick(MINUTE_MS)
    pairs.settle()

    assert sorted(pairs.at(gang)) == ["slow", "slow-2"]


def test_once_others_have_what_it_could_have_it_waits_as_any_job(pairs: Pairs) -> None:
    pairs.full("fast", 5)
    pairs.full("fast-2", 5)
    gang = pairs.gang()
    pairs.submit(wanted(display_name="third", resources=asks(4), where='name == "slow"'))
    pairs.settle()

    assert pairs.now(gang).reason.startswith("waits for places for its 2 tasks at once")
    assert gang.id in pairs.book.turns.kept


@pytest.mark.parametrize("why", ["it saves", "the wait is too long", "one of its tasks would be on a slow node anyway"])
def test_else_it_starts_at_once(pairs: Pairs, why: str) -> None:
    pairs.full("fast", 55 if why == "the wait is too long" else 5)
    if why == "one of its tasks would be on a slow node anyway":
        pairs.submit(wanted(display_name="endless", resources=asks(4), where='name == "fast-2"'))
    else:
        pairs.full("fast-2", 5)

    gang = pairs.gang(checkpoint=CONTRACT if why == "it saves" else None)

    assert sorted(pairs.at(gang)) == ["slow", "slow-2"]


def test_explain_tells_for_what_it_waits(pairs: Pairs) -> None:
    pairs.full("fast", 5)
    pairs.full("fast-2", 5)
    gang = pairs.gang()
    outlook = pairs.explain(pairs.now(gang)).outlook

    assert outlook is not None
    assert sorted(outlook.nodes) == ["fast", "fast-2"]
    assert outlook.basis == gang.reason


@settings(deadline=None, max_examples=40)
@given(waits=st.tuples(st.floats(0.1, 120), st.floats(0.1, 120)), fast=st.floats(0.5, 60), slow=st.floats(0.5, 240))
def test_no_gang_waits_for_longer_than_it_would_win_by_it(waits: tuple[float, float], fast: float, slow: float) -> None:
    pairs = Pairs(fast, slow)
    for node, minutes in zip(("fast", "fast-2"), waits, strict=True):
        pairs.full(node, minutes)
    gang = pairs.gang()
    since = pairs.book.wall_ms
    known = pairs.book.turns.patience.get(gang.id)

    if gang.state is not JobState.QUEUED:
        assert known is None
        assert sorted(pairs.at(gang)) == ["slow", "slow-2"]
        return
    assert known is not None
    assert known.start_ms - since >= max(waits) * MINUTE_MS
    assert known.done_ms - since < MINUTE_MS * slow
    assert known.until_ms - since < MINUTE_MS * slow
    # It starts at the latest then, whatever became of what it waited for.
    pairs.tick(known.until_ms - since + 1)
    pairs.settle()
    assert len(pairs.at(gang)) == 2
