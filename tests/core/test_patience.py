"""Laws of jobs that had better wait: for a faster node, where a start now could not be taken back."""

from dataclasses import replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from controller.core import model
from controller.core.past_runs import PastRun
from controller.core.placement.profiles import profile_of
from headrace.attempts import Attempt, AttemptState
from headrace.jobs import Job, JobSpec, JobState, Preference, Timeouts
from headrace.neighbours import Neighbours
from headrace.nodes import Cpu, Engine, NodeDescription
from headrace.projects import Declared, Quota
from headrace.sessions import Report
from tests.core.lone_controller import MINUTE_MS, Controller, asks, wanted
from tests.core.small_world import AMD64, CONTRACT, description

STARTS_SOON = Timeouts(start_ms=15 * MINUTE_MS)


class Mixed(Controller):
    """Two nodes for one job each, of two makes; of jobs called `wanted` it is known how long they run there."""

    def __init__(
        self,
        fast: float = 10,
        slow: float = 60,
        *,
        core_price: float = 0.0,
        declared: dict[str, Declared] | None = None,
        another: NodeDescription | None = None,
    ) -> None:
        super().__init__(declared)
        self.sequence = 1
        if another is not None:
            self.node("another", another)
        for name, cpu, minutes, price in (("fast", "EPYC", fast, core_price), ("slow", "Atom", slow, 0.0)):
            about = replace(description(cpu_millis=4_000), cpu=Cpu(cpu, threads=4), core_hour_price=price)
            self.node(name, about)
            for _ in range(3):
                self.knows(wanted(resources=asks(4)), name, minutes)

    def knows(self, spec: JobSpec, node: str, minutes: float) -> None:
        self.book.learned.observe(profile_of(spec), PastRun(node, AMD64, (), round(MINUTE_MS * minutes)), spec.work)
        self.book.learned.renew()

    def ran(self, spec: JobSpec, node: str, minutes: float) -> None:
        """A job like that has run there, and succeeded."""
        attempt = Attempt(node, 1, node, platform=AMD64, start_time_ms=1, state=AttemptState.EXITED, exit_code=0)
        end_ms = 1 + round(MINUTE_MS * minutes)
        over = Job(f"jobs/{node}", spec, JobState.SUCCEEDED, epoch=2, attempts=(attempt,), end_time_ms=end_ms)
        self.book.past_runs.ended(over)

    def full_for(self, minutes: float) -> Job:
        """The fast node is full, by a job that will have gone after so long."""
        long = Timeouts(run_ms=round(MINUTE_MS * minutes))
        return self.submit(wanted(display_name="other", resources=asks(4), timeouts=long, where='name == "fast"'))

    def ends(self, job: Job) -> None:
        """The node says that the job has ended."""
        self.sequence += 1
        now = self.book.jobs[job.id]
        seen = Attempt(job.id, now.epoch, now.node, state=AttemptState.EXITED, exit_code=0)
        told = Report(now.node, 1, self.sequence, attempts=(seen,), engine=Engine(reachable=True))
        self.cluster.handle(model.Reported(told))
        self.tick()

    def wanted(self, **changes: object) -> Job:
        return self.submit(wanted(resources=asks(4), **changes))

    def now(self, job: Job) -> Job:
        return self.book.jobs[job.id]


@pytest.fixture
def mixed() -> Mixed:
    return Mixed()


def test_a_job_that_cannot_be_moved_waits_for_a_faster_node_where_it_is_done_sooner(mixed: Mixed) -> None:
    other = mixed.full_for(5)
    job = mixed.wanted()

    assert job.state is JobState.QUEUED
    assert job.reason.startswith("waits for fast, which should have room in 5m")
    assert "sooner there than where it could start now, and could not be moved later" in job.reason

    mixed.settle()
    assert mixed.now(job).reason == job.reason
    mixed.ends(other)
    assert mixed.at(job) == ("fast",)


def test_when_the_faster_node_has_room_is_told_by_runs_there_and_not_by_those_on_the_slow_one() -> None:
    mixed = Mixed(fast=5)
    like = wanted(resources=asks(4), where='name == "fast"')
    for node, minutes in (("fast", 5), ("slow", 60), ("slow", 60)):
        mixed.ran(like, node, minutes)
    mixed.submit(like)

    job = mixed.wanted()

    assert job.reason.startswith("waits for fast, which should have room in 5m")


def test_it_starts_where_it_can_once_it_has_waited_for_longer_than_was_thought(mixed: Mixed) -> None:
    mixed.full_for(5)
    job = mixed.wanted()
    for _ in range(6):
        mixed.tick(MINUTE_MS)
    assert mixed.now(job).state is JobState.QUEUED
    mixed.tick(MINUTE_MS)
    mixed.settle()

    assert mixed.at(job) == ("slow",)


@pytest.mark.parametrize(
    "why",
    [
        "it can be moved later",
        "the wait is too long",
        "nothing says when there will be room",
        "nothing is known of it",
        "its limit would be over by then",
        "it prefers the other one",
    ],
)
def test_else_it_starts_at_once(mixed: Mixed, why: str) -> None:
    minutes = 55 if why == "the wait is too long" else 5
    if why == "nothing says when there will be room":
        mixed.submit(wanted(display_name="other", resources=asks(4), where='name == "fast"'))
    else:
        mixed.full_for(minutes)
    changes: dict[str, object] = {
        "it can be moved later": {"checkpoint": CONTRACT},
        "nothing is known of it": {"display_name": "new", "command": ("new",)},
        "its limit would be over by then": {"timeouts": Timeouts(queue_ms=6 * MINUTE_MS)},
        "it prefers the other one": {"prefer": (Preference('name == "slow"', 1.0),)},
    }.get(why, {})

    assert mixed.at(mixed.wanted(**changes)) == ("slow",)


def test_a_node_of_the_same_make_that_is_none_for_it_changes_nothing() -> None:
    mixed = Mixed(another=replace(description(cpu_millis=4_000), cpu=Cpu("EPYC", threads=4), region="west"))
    mixed.full_for(5)

    assert mixed.wanted(where='region != "west"').reason.startswith("waits for fast")


def test_of_nodes_that_one_end_frees_it_has_the_one_where_it_is_done_soonest() -> None:
    mixed = Mixed()
    both = wanted(
        display_name="both", resources=asks(3), task_count=2, neighbours=Neighbours(("both",)), timeouts=STARTS_SOON
    )
    gang = mixed.submit(both)
    mixed.submit(wanted(display_name="other", resources=asks(1), where='name == "fast"'))
    mixed.settle()
    like = wanted(resources=asks(3))
    for node, minutes in (("fast", 10), ("slow", 60)):
        mixed.knows(like, node, minutes)
    job = mixed.submit(like)
    mixed.settle()
    assert sorted(mixed.at(gang)) == ["fast", "slow"]
    assert mixed.at(job) == ()

    for task in mixed.book.tasks(mixed.now(gang)):
        mixed.ends(task)

    assert mixed.at(job) == ("fast",)


def test_one_node_is_waited_for_by_one_job(mixed: Mixed) -> None:
    mixed.full_for(5)
    first, second = mixed.wanted(), mixed.wanted()

    assert mixed.now(first).state is JobState.QUEUED
    assert mixed.at(second) == ("slow",)


def test_once_others_have_what_it_could_have_it_waits_as_any_job(mixed: Mixed) -> None:
    mixed.full_for(5)
    job = mixed.wanted()
    mixed.submit(wanted(display_name="third", resources=asks(4), where='name == "slow"'))
    mixed.settle()

    assert mixed.now(job).reason.startswith("waits: ")
    assert job.id in mixed.book.turns.kept


def test_a_quota_is_said_before_what_is_better() -> None:
    mixed = Mixed(declared={"small": Declared(quota=Quota(cpu_millis=2_000), borrows=False)})
    mixed.full_for(5)
    job = mixed.wanted(project="small")

    assert "quota" in job.reason


def test_where_another_fast_node_comes_it_goes_there(mixed: Mixed) -> None:
    mixed.full_for(5)
    job = mixed.wanted()
    mixed.node("new", replace(description(cpu_millis=4_000), cpu=Cpu("EPYC", threads=4)))
    mixed.settle()

    assert mixed.at(job) == ("new",)


def test_a_price_is_as_good_as_time() -> None:
    mixed = Mixed(core_price=1.0)
    mixed.book.policy = replace(mixed.book.policy, ms_per_price=100 * MINUTE_MS)
    mixed.full_for(5)

    assert mixed.at(mixed.wanted()) == ("slow",)


def test_explain_tells_for_what_it_waits(mixed: Mixed) -> None:
    mixed.full_for(5)
    job = mixed.wanted()
    outlook = mixed.explain(mixed.now(job)).outlook

    assert outlook is not None
    assert outlook.nodes == ("fast",)
    assert outlook.basis == job.reason
    assert outlook.start_time_ms is not None
    # What is there may have its grace, too.
    assert outlook.start_time_ms - mixed.book.wall_ms == 5 * MINUTE_MS + wanted().grace_ms


@settings(deadline=None, max_examples=40)
@given(wait=st.floats(0.1, 120), fast=st.floats(0.5, 60), slow=st.floats(0.5, 240))
def test_no_job_waits_for_longer_than_it_would_win_by_it(wait: float, fast: float, slow: float) -> None:
    mixed = Mixed(fast, slow)
    mixed.full_for(wait)
    job = mixed.wanted()
    since = mixed.book.wall_ms
    known = mixed.book.turns.patience.get(job.id)

    if job.state is not JobState.QUEUED:
        assert known is None
        assert mixed.at(job) == ("slow",)
        return
    assert known is not None
    assert known.done_ms - since < MINUTE_MS * slow
    assert known.until_ms - since < MINUTE_MS * slow
    # It starts at the latest then, whatever became of what it waited for.
    mixed.tick(known.until_ms - since + 1)
    mixed.settle()
    assert mixed.at(job)
