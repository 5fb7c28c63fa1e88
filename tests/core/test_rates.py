"""Laws of nodes of one make that differ by their own figures: who waits for the faster one."""

from dataclasses import replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from controller.core.patience import may_wait
from headrace.jobs import Job, JobState, Timeouts, Work
from headrace.nodes import Cpu, Figure, NodeDescription, Origin
from tests.core.lone_controller import MINUTE_MS, Controller, asks, wanted
from tests.core.small_world import description
from tests.core.test_patience import Mixed

WORK = Work(1e14, "fp32")


def measured(about: NodeDescription, gflops: float | None, model: str = "EPYC") -> NodeDescription:
    """A node with such a processor, that was measured to do so much."""
    figures = (Figure("fp32_gflops", gflops, Origin.MEASURED, "a trial"),) if gflops else ()
    return replace(about, cpu=Cpu(model, threads=4, figures=figures))


class Rated(Mixed):
    """Nodes of one make for one job each; of jobs called `wanted` it is known how long they run on the slow one."""

    def __init__(self, minutes: float = 60, **gflops: float | None) -> None:
        Controller.__init__(self)
        self.sequence = 1
        for name, does in (gflops or {"fast": 300.0, "slow": 100.0}).items():
            self.node(name, measured(description(cpu_millis=4_000), does))
        for _ in range(3):
            self.knows(wanted(resources=asks(4), work=WORK), "slow", minutes)

    def wanted(self, **changes: object) -> Job:
        return super().wanted(**{"work": WORK, **changes})


def test_a_job_that_declares_its_work_waits_for_a_node_of_the_same_make_that_is_faster_by_its_figures() -> None:
    rated = Rated()
    other = rated.full_for(5)
    job = rated.wanted()

    assert job.state is JobState.QUEUED
    assert job.reason.startswith("waits for fast, which should have room in 5m")
    rated.settle()
    rated.ends(other)
    assert rated.at(job) == ("fast",)


@pytest.mark.parametrize("why", ["it declares no work", "no job like it ran", "nothing was measured there"])
def test_else_it_does_not_wait_for_one_of_the_same_make(why: str) -> None:
    rated = Rated(fast=None if why == "nothing was measured there" else 300.0, slow=100.0)
    rated.full_for(5)
    changes: dict[str, object] = {
        "it declares no work": {"work": None},
        "no job like it ran": {"display_name": "new", "command": ("new",)},
    }.get(why, {})

    assert rated.at(rated.wanted(**changes)) == ("slow",)


@pytest.mark.parametrize("work", [None, WORK])
def test_it_does_not_wait_for_a_node_of_a_better_make_that_is_slower_by_its_figures(work: Work | None) -> None:
    mixed = Mixed(another=measured(description(cpu_millis=4_000), 300.0))
    mixed.node("lame", measured(description(cpu_millis=4_000), 30.0))
    for _ in range(20):
        mixed.knows(wanted(resources=asks(4), work=WORK), "another", 10)
    five = Timeouts(run_ms=5 * MINUTE_MS)
    mixed.submit(wanted(display_name="other", resources=asks(4), timeouts=five, where='name == "lame"'))

    job = mixed.wanted(where='name not in ("another", "fast")', work=work)

    assert mixed.at(job) == (() if work is None else ("slow",))


def test_a_gang_waits_for_the_faster_nodes_of_one_make() -> None:
    rated = Rated(**{"fast": 300.0, "fast-2": 290.0, "slow": 100.0, "slow-2": 100.0})
    for name in ("fast", "fast-2"):
        five = Timeouts(run_ms=5 * MINUTE_MS)
        rated.submit(wanted(display_name="other", resources=asks(4), timeouts=five, where=f'name == "{name}"'))

    gang = rated.wanted(task_count=2)

    assert gang.reason.startswith("waits for fast, fast-2, which should have room in 5m")


@pytest.mark.parametrize("fast", [300.0, 105.0, None])
def test_where_nodes_of_one_make_hardly_differ_nobody_is_asked_whether_to_wait(fast: float | None) -> None:
    rated = Rated(fast=fast, slow=100.0)

    assert may_wait(rated.book, rated.wanted()) == (fast == 300.0)


@settings(deadline=None, max_examples=40)
@given(wait=st.floats(0.1, 120), minutes=st.floats(0.5, 240), fast=st.sampled_from((None, 50.0, 120.0, 200.0, 800.0)))
def test_no_job_waits_for_longer_than_it_would_win_by_what_was_measured(
    wait: float, minutes: float, fast: float | None
) -> None:
    rated = Rated(minutes, fast=fast, slow=100.0)
    rated.full_for(wait)
    job = rated.wanted()
    since = rated.book.wall_ms

    known = rated.book.turns.patience.get(job.id)

    if known is None:
        assert rated.at(job) == ("slow",)
        return
    assert fast is not None
    there_ms = MINUTE_MS * minutes * 100 / fast
    # Figures that differ by less than a twentieth are one.
    assert known.done_ms - known.start_ms > there_ms * 0.95
    assert known.done_ms - since < MINUTE_MS * minutes
    assert known.until_ms - since < MINUTE_MS * minutes
