"""Use that fades, and turns that are given by it."""

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from controller.core.fairness import POINT_MS, Account, Fading, behind, due, in_turn, rank
from controller.core.projects import NOTHING
from headrace.jobs import Job
from headrace.projects import Amount, Use
from tests.core.small_world import spec

HOUR_MS = 3_600_000
DAY_MS = 24 * HOUR_MS
FADING = Fading(DAY_MS, HOUR_MS)


def use(recent: float = 0.0, time_ms: int = 0) -> Use:
    return Use("projects/a", time_ms, recent)


def job(name: str, project: str = "a", *, priority: int = 50, queued_ms: int = 0) -> Job:
    return Job(f"jobs/{name}", spec(project=project, priority=priority), queue_time_ms=queued_ms)


def turns(*jobs: Job, own: int | None = None, **accounts: Account) -> list[str]:
    """The ids in turn; each job is of one unit, and each project has `own` units as its own."""
    found = in_turn(
        jobs,
        account=lambda project: accounts.get(project, Account(1.0, use(), NOTHING)),
        expected=lambda _job: Amount(1000, 0, 1000),
        own=lambda _project, held, _more: own is None or held.unit_millis <= own * 1000,
        fading=FADING,
    )
    return [one.id for one in found]


def test_use_fades_by_half_in_a_half_life() -> None:
    assert FADING.later(use(100.0), NOTHING, DAY_MS).recent_unit_seconds == pytest.approx(50.0)


def test_what_was_held_in_all_does_not_fade() -> None:
    later = FADING.later(use(), Amount(2000, 3000, 4000), HOUR_MS)
    assert (later.unit_seconds, later.device_seconds, later.cpu_seconds) == (7200.0, 10_800.0, 14_400.0)


def test_what_is_held_for_ever_is_in_the_end_the_mean() -> None:
    assert FADING.mean_units(FADING.later(use(), Amount(5000), 40 * DAY_MS)) == pytest.approx(5.0)


@given(st.integers(1, DAY_MS), st.integers(1, DAY_MS), st.floats(0, 1e6), st.integers(0, 10**6))
def test_use_is_the_same_however_often_it_is_looked_at(first: int, second: int, had: float, held: int) -> None:
    once = FADING.later(use(had), Amount(held), first + second)
    twice = FADING.later(FADING.later(use(had), Amount(held), first), Amount(held), first + second)
    assert twice.recent_unit_seconds == pytest.approx(once.recent_unit_seconds)
    assert twice.unit_seconds == pytest.approx(once.unit_seconds)


def test_a_clock_that_was_put_back_takes_nothing_and_counts_on_from_there() -> None:
    put_back = FADING.later(use(10.0, time_ms=DAY_MS), Amount(1000), HOUR_MS)
    assert put_back == use(10.0, time_ms=HOUR_MS)


def test_in_one_project_the_more_urgent_go_first_and_then_the_older() -> None:
    jobs = job("new", queued_ms=2), job("old", queued_ms=1), job("urgent", priority=60)
    assert turns(*jobs) == ["urgent", "old", "new"]


def test_a_point_of_priority_is_worth_some_waiting_and_no_more() -> None:
    late = job("late", priority=60, queued_ms=10 * POINT_MS + 1)
    assert turns(job("early"), late) == ["early", "late"]
    assert turns(job("early"), replace(late, queue_time_ms=10 * POINT_MS - 1)) == ["late", "early"]


@given(st.integers(0, 100), st.integers(0, 100), st.integers(0, DAY_MS), st.integers(0, DAY_MS))
def test_who_is_put_behind_another_is_so_and_loses_no_more_than_that(one: int, other: int, came: int, its: int) -> None:
    first, second = job("first", priority=one, queued_ms=its), job("second", priority=other, queued_ms=came)
    put = behind(second, first)
    assert turns(put, first) == ["first", "second"]
    assert rank(put)[0] == max(rank(second)[0], rank(first)[0] + 1)


def test_the_project_that_has_had_least_for_its_weight_goes_first() -> None:
    had = {"a": Account(1.0, use(1000.0), NOTHING), "b": Account(3.0, use(2000.0), NOTHING)}
    assert turns(job("one", "a"), job("two", "b"), **had) == ["two", "one"]


def test_what_was_just_given_counts_before_any_time_has_passed() -> None:
    assert turns(job("one", "a"), job("two", "b"), a=Account(1.0, use(), Amount(1000))) == ["two", "one"]


def test_turns_go_round_by_weight() -> None:
    weights = {"a": Account(1.0, use(), NOTHING), "b": Account(2.0, use(), NOTHING)}
    jobs = [job(f"{project}{number}", project) for project in "ab" for number in range(6)]
    first = turns(*jobs, **weights)[:6]
    assert sorted(one[0] for one in first) == ["a", "a", "b", "b", "b", "b"]


def test_who_stays_within_its_quota_goes_before_who_borrows() -> None:
    had = {"a": Account(1.0, use(), Amount(2000)), "b": Account(1.0, use(10**9), NOTHING)}
    assert turns(job("borrows", "a"), job("owns", "b"), own=2, **had) == ["owns", "borrows"]


@given(st.dictionaries(st.sampled_from("abcd"), st.floats(0.1, 100.0), min_size=1))
def test_what_projects_are_due_is_all(weights: dict[str, float]) -> None:
    assert sum(due(weights).values()) == pytest.approx(100.0)


@given(
    st.lists(st.tuples(st.sampled_from("abc"), st.integers(0, 100), st.integers(0, DAY_MS)), max_size=20),
    st.dictionaries(st.sampled_from("abc"), st.tuples(st.floats(0.1, 10.0), st.floats(0, 1e6), st.integers(0, 10**5))),
)
def test_every_job_has_one_turn_and_within_a_project_all_keep_their_order(
    drawn: list[tuple[str, int, int]], had: dict[str, tuple[float, float, int]]
) -> None:
    jobs = [
        job(f"j{number}", project, priority=priority, queued_ms=ms)
        for number, (project, priority, ms) in enumerate(drawn)
    ]
    accounts = {name: Account(weight, use(recent), Amount(held)) for name, (weight, recent, held) in had.items()}
    order = turns(*jobs, own=3, **accounts)
    assert sorted(order) == sorted(one.id for one in jobs)
    for project in "abc":
        own = [one for one in jobs if one.spec.project == project]
        alone = sorted(own, key=lambda one: ((one.queue_time_ms or 0) - one.spec.priority * POINT_MS, one.id))
        assert [one for one in order if one in {job.id: None for job in own}] == [one.id for one in alone]
