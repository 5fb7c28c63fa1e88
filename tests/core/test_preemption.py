"""Whom another job may have leave, and which set of them is the cheapest."""

from collections.abc import Sequence
from dataclasses import replace
from itertools import chain, combinations

from hypothesis import given
from hypothesis import strategies as st

from controller.core.fairness import Fading
from controller.core.preemption import (
    EXACT,
    Rules,
    Victim,
    cheapest,
    claims_its_own,
    cost,
    gives_back_no_more_than_borrowed,
    has_borrowed,
    is_lower,
    may_ask,
    needed,
)
from controller.core.projects import Projects
from controller.core.units import Yardstick
from headrace.attempts import Attempt, AttemptState
from headrace.jobs import Job, JobState, Requests
from headrace.projects import Amount, Declared, Quota
from tests.core.small_world import CONTRACT, GIB, spec
from tests.core.test_units import node

RULES = Rules(priority=80, most_times=3, standstill_ms=10_000)
FADING = Fading(86_400_000, 3_600_000)


def job(name: str, project: str = "a", *, priority: int = 50, cores: int = 1) -> Job:
    return Job(f"jobs/{name}", spec(project=project, priority=priority, resources=Requests(cores * 1000, GIB)))


def running(name: str, project: str = "a", *, priority: int = 50, cores: int = 1) -> Job:
    attempt = Attempt(name, 1, "n", state=AttemptState.RUNNING, start_time_ms=0)
    wanted = job(name, project, priority=priority, cores=cores)
    return replace(wanted, state=JobState.RUNNING, epoch=1, node="n", attempts=(attempt,))


def projects(*jobs: Job, **quotas: int | None) -> Projects:
    """With a quota of so many units each; None: without."""
    declared = {name: Declared(quota=Quota(None if units is None else units * 1000)) for name, units in quotas.items()}
    found = Projects(declared, FADING)
    found.yardstick = Yardstick([node("n", cores=64)])
    for one in jobs:
        found.job_put(one, {}, 1)
    return found


def gives_back(claimant: Job, victim: Job, known: Projects) -> bool:
    """Whether the victim has borrowed what the other asks for."""
    return has_borrowed(claimant, victim, known, has=known.holding(victim.id), asks=known.expected(claimant))


def test_an_urgent_job_has_one_of_lower_priority_leave() -> None:
    assert is_lower(job("j", priority=80), running("v", priority=79), RULES)


def test_a_job_that_is_not_urgent_has_nobody_leave() -> None:
    assert not is_lower(job("j", priority=79), running("v", priority=0), RULES)
    assert not may_ask(job("j", priority=79), projects(), RULES)


@given(st.integers(0, 100), st.integers(0, 100))
def test_of_two_jobs_at_most_one_may_have_the_other_leave_for_its_priority(one: int, other: int) -> None:
    first, second = running("f", priority=one), running("s", priority=other)
    assert not (is_lower(first, second, RULES) and is_lower(second, first, RULES))


def test_priorities_are_a_projects_own_word() -> None:
    assert not is_lower(job("j", "a", priority=100), running("v", "b", priority=0), RULES)


def test_a_job_that_had_to_leave_too_often_stays() -> None:
    victim = replace(running("v"), preemption_count=RULES.most_times)
    assert not is_lower(job("j", priority=100), victim, RULES)


def test_who_asks_for_its_own_has_those_leave_that_borrowed() -> None:
    borrower = running("v", "b", priority=100, cores=2)
    known = projects(borrower, a=4, b=1)
    assert claims_its_own(job("j", "a", priority=0, cores=4), known)
    assert gives_back(job("j", "a", priority=0), borrower, known)


def test_who_would_borrow_itself_has_nobody_leave() -> None:
    assert not claims_its_own(job("j", "a", cores=5), projects(a=4, b=1))


def test_who_keeps_to_its_quota_has_not_borrowed() -> None:
    keeps = running("v", "b", cores=2)
    assert not gives_back(job("j", "a"), keeps, projects(keeps, a=4, b=2))


def test_where_nobody_has_a_quota_nobody_has_borrowed() -> None:
    victim = running("v", "b", cores=60)
    known = projects(victim, a=None, b=None)
    assert not claims_its_own(job("j", "a"), known)
    assert not gives_back(job("j", "a"), victim, known)


def test_of_three_jobs_that_borrow_together_only_so_many_go_as_are_beyond_the_quota() -> None:
    jobs = [running(f"v{number}", "b", cores=2) for number in range(3)]
    known = projects(*jobs, a=9, b=3)
    victims = [Victim(one.id, (one.id,), 1.0, "b", known.holding(one.id)) for one in jobs]
    asks = known.expected(job("j", "a"))
    assert gives_back_no_more_than_borrowed(victims[:2], known, asks)
    assert not gives_back_no_more_than_borrowed(victims, known, asks)


def test_a_job_that_cannot_save_costs_what_it_has_done() -> None:
    saves, loses = running("s"), running("l")
    loses = replace(loses, spec=replace(loses.spec, checkpoint=None))
    assert saves.spec.checkpoint == CONTRACT
    assert cost(saves, Amount(2000), wall_ms=60_000, rules=RULES) == 20.0
    assert cost(loses, Amount(2000), wall_ms=60_000, rules=RULES) == 140.0


sizes = st.lists(st.tuples(st.integers(1, 8), st.integers(0, 50)), min_size=1, max_size=EXACT)


def room(victims: Sequence[Victim]) -> int:
    return sum(one.amount.cpu_millis for one in victims)


def victims_of(drawn: list[tuple[int, int]]) -> list[Victim]:
    return [
        Victim(f"v{number}", (f"v{number}",), float(price), amount=Amount(0, 0, size))
        for number, (size, price) in enumerate(drawn)
    ]


@given(sizes, st.integers(1, 40), st.integers(1, 12))
def test_of_few_the_cheapest_set_is_found(drawn: list[tuple[int, int]], wanted: int, most: int) -> None:
    victims = victims_of(drawn)
    found = cheapest(victims, enough=lambda chosen: room(chosen) >= wanted, allowed=lambda chosen: len(chosen) <= most)
    sets = chain.from_iterable(combinations(victims, count) for count in range(1, len(victims) + 1))
    good = [sum(one.cost for one in chosen) for chosen in sets if room(chosen) >= wanted and len(chosen) <= most]
    assert (found is None) is (not good)
    if found is not None:
        assert room(found) >= wanted
        assert len(found) <= most
        assert sum(one.cost for one in found) == min(good)


@given(st.lists(st.tuples(st.integers(1, 8), st.integers(0, 50)), min_size=EXACT + 1, max_size=40), st.integers(1, 100))
def test_of_many_nobody_goes_needlessly(drawn: list[tuple[int, int]], wanted: int) -> None:
    victims = victims_of(drawn)
    found = cheapest(victims, enough=lambda chosen: room(chosen) >= wanted, allowed=lambda _chosen: True)
    assert (found is None) is (room(victims) < wanted)
    for one in found or ():
        assert room([other for other in found or () if other is not one]) < wanted


@given(st.lists(st.integers(1, 8), min_size=1, max_size=EXACT), st.integers(1, 40))
def test_of_few_sets_that_cost_the_same_the_smallest_leaves(drawn: list[int], wanted: int) -> None:
    victims = victims_of([(size, 10 * size) for size in drawn])
    found = cheapest(victims, enough=lambda chosen: room(chosen) >= wanted, allowed=lambda _chosen: True)
    sets = chain.from_iterable(combinations(victims, count) for count in range(1, len(victims) + 1))
    good = [(sum(one.cost for one in chosen), len(chosen)) for chosen in sets if room(chosen) >= wanted]
    assert (found is None) is (not good)
    if found is not None:
        assert (sum(one.cost for one in found), len(found)) == min(good)


def test_costs_that_are_the_same_are_so_however_they_are_added() -> None:
    costs = {1: 0.3, 2: 0.6, 3: 0.9}
    assert costs[1] + costs[2] < costs[3]
    victims = [Victim(str(size), (), cost, amount=Amount(0, 0, size)) for size, cost in costs.items()]
    found = cheapest(victims, enough=lambda chosen: room(chosen) >= 3, allowed=lambda _chosen: True)
    assert found == (victims[2],)


def test_of_many_none_leave_that_cost_as_much_as_one_that_is_enough_alone() -> None:
    victims = victims_of([(1, 10)] * 12 + [(12, 120)])
    found = cheapest(victims, enough=lambda chosen: room(chosen) >= 12, allowed=lambda _chosen: True)
    assert found == (victims[12],)


def test_of_many_one_that_is_enough_alone_is_found_where_more_may_not_leave() -> None:
    victims = victims_of([(1, 1)] * 12 + [(12, 120)])
    found = cheapest(victims, enough=lambda chosen: room(chosen) >= 12, allowed=lambda chosen: len(chosen) <= 5)
    assert found == (victims[12],)


@given(
    st.lists(st.lists(st.integers(1, 3), max_size=4), min_size=1, max_size=3),
    st.integers(1, 12),
    st.integers(0, 30),
    st.integers(0, 2),
)
def test_of_those_who_leave_several_nodes_nobody_does_needlessly(
    drawn: list[list[int]], count: int, most_looks: int, more: int
) -> None:
    nodes = {
        f"n{number}": [Victim(f"n{number}-{which}", (), float(size)) for which, size in enumerate(some)]
        for number, some in enumerate(drawn)
    }
    chosen = list(chain.from_iterable(nodes.values()))
    looks = []

    def room(name: str, leaving: Sequence[Victim]) -> int:
        looks.append(name)
        return sum(int(one.cost) for one in leaving if one in nodes[name])

    def at_most(name: str, leaving: Sequence[Victim]) -> int:
        return more + sum(int(one.cost) for one in leaving if one in nodes[name])

    def all_room(leaving: Sequence[Victim]) -> int:
        return sum(room(name, leaving) for name in nodes)

    count = min(count, all_room(chosen))
    looks.clear()
    found = needed(chosen, count, nodes=nodes, room=room, at_most=at_most, most_looks=1_000)
    # Where it is told as it is, nobody is looked at who stays.
    assert more or len(looks) == len(nodes) + len(chosen) - len(found)
    assert all_room(found) >= count
    assert not any(all_room([one for one in found if one is not other]) >= count for other in found)

    looks.clear()
    found = needed(chosen, count, nodes=nodes, room=room, at_most=at_most, most_looks=most_looks)
    assert len(looks) <= max(most_looks, len(nodes))
    assert all_room(found) >= count


def test_what_is_not_allowed_is_not_looked_at_with_more() -> None:
    victims, seen = victims_of([(1, 1)] * EXACT), list[int]()

    def allowed(chosen: Sequence[Victim]) -> bool:
        seen.append(len(chosen))
        return len(chosen) <= 1

    assert cheapest(victims, enough=lambda chosen: room(chosen) >= 2, allowed=allowed) is None
    assert max(seen) == 2
