"""Who has to leave, of all that run on several nodes: the cheapest set of them, found without a look at each set."""

from collections.abc import Sequence
from dataclasses import replace
from itertools import chain, combinations
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from controller.core import making_room, moves, preemption
from controller.core.book import Book, Policy
from controller.core.cluster import Cluster
from controller.core.fairness import Fading
from controller.core.model import Submitted, Ticked
from controller.core.placement.fit import Place, Unfit, Usage, fit
from controller.core.preemption import Victim, at_least, gives_back_no_more_than_borrowed
from controller.core.projects import Projects
from headrace.attempts import Attempt, AttemptState
from headrace.jobs import Exclusion, Job, JobState, Requests
from headrace.nodes import Engine, Node, NodeState
from headrace.projects import Declared, Quota
from tests.core.small_world import AMD64, GIB, PINS, description, spec

CORES = 6
WALL_MS = 1_700_000_000_000


def node(name: str) -> Node:
    said = description(cpu_millis=CORES * 1000)
    return Node(f"nodes/{name}", NodeState.READY, description=said, engine=Engine(reachable=True))


def running(name: str, at: str, cores: int, ran_s: int) -> Job:
    """One that loses what it has done since its start."""
    start_ms = WALL_MS - ran_s * 1000
    attempt = Attempt(
        name, 1, at, state=AttemptState.RUNNING, start_time_ms=start_ms, image=PINS[0].image, platform=AMD64
    )
    wanted = spec(resources=Requests(cores * 1000, GIB // 64), checkpoint=None)
    return Job(f"jobs/{name}", wanted, state=JobState.RUNNING, images=PINS, epoch=1, node=at, attempts=(attempt,))


def cluster(*nodes: list[tuple[int, int]], idle: tuple[Node, ...] = ()) -> Cluster:
    """Nodes with jobs of so many cores, which have run for so many seconds, and others without any."""
    names = [f"n{number:03}" for number in range(len(nodes))]
    jobs = tuple(
        running(f"{name}-{number}", name, cores, ran_s)
        for name, some in zip(names, nodes, strict=True)
        for number, (cores, ran_s) in enumerate(some)
    )
    found = Cluster(Book("cluster-1", Policy(), jobs, (*(node(name) for name in names), *idle)))
    found.handle(Ticked(1_000, WALL_MS))
    return found


def asked(world: Cluster, cores: int, tasks: int = 1) -> list[Job]:
    """Who has to leave for an urgent job."""
    wanted = spec(resources=Requests(cores * 1000, GIB // 64), priority=90, task_count=tasks)
    world.handle(Submitted(1, "urgent", wanted, PINS))
    return [job for job in world.book.jobs.values() if job.preemptor == "urgent"]


def core_seconds(jobs: list[tuple[int, int]]) -> int:
    return sum(cores * (10 + ran_s) for cores, ran_s in jobs)


drawn = st.lists(
    st.lists(st.tuples(st.integers(1, 3), st.integers(0, 50)), max_size=5).filter(
        lambda some: sum(cores for cores, _ in some) <= CORES
    ),
    min_size=1,
    max_size=4,
)


@settings(deadline=None)
@given(drawn, st.integers(1, CORES))
def test_they_are_the_cheapest_set_of_all_nodes(nodes: list[list[tuple[int, int]]], cores: int) -> None:
    leave = asked(cluster(*nodes), cores)
    enough = [
        core_seconds(list(some))
        for here in nodes
        for some in chain.from_iterable(combinations(here, count) for count in range(len(here) + 1))
        if CORES - sum(one[0] for one in here) + sum(one[0] for one in some) >= cores
    ]
    cost = sum(job.spec.resources.cpu_millis // 1000 * _seconds(job) for job in leave)
    assert cost == min(enough)


@settings(deadline=None)
@given(drawn, st.integers(1, CORES), st.integers(2, 5))
def test_nobody_leaves_for_a_gang_without_whom_all_its_tasks_find_room(
    nodes: list[list[tuple[int, int]]], cores: int, tasks: int
) -> None:
    found = cluster(*nodes)
    leave = asked(found, cores, tasks)

    def room(gone: list[Job]) -> int:
        names = dict.fromkeys(one.id for one in gone)
        stay = [job for job in found.book.jobs.values() if job.node and job.id not in names]
        cpu = dict.fromkeys(found.book.nodes, CORES * 1000)
        for job in stay:
            cpu[job.node] -= job.spec.resources.cpu_millis
        return sum(left // (cores * 1000) for left in cpu.values())

    assert not leave or room(leave) >= tasks
    for one in leave:
        assert room([other for other in leave if other is not one]) < tasks


def _seconds(job: Job) -> int:
    assert job.attempt is not None
    assert job.attempt.start_time_ms is not None
    return 10 + (WALL_MS - job.attempt.start_time_ms) // 1000


@given(
    st.lists(st.tuples(st.integers(1, 50), st.tuples(st.integers(0, 4), st.integers(0, 4))), max_size=6),
    st.tuples(st.integers(0, 9), st.integers(0, 9)),
)
def test_no_set_that_is_enough_costs_less_than_what_it_costs_at_least(
    frees: list[tuple[float, tuple[int, int]]], lacks: tuple[int, int]
) -> None:
    least = at_least(lacks, frees)
    for some in chain.from_iterable(combinations(frees, count) for count in range(len(frees) + 1)):
        if all(sum(has[what] for _, has in some) >= lack for what, lack in enumerate(lacks)):
            assert least <= sum(cost for cost, _ in some) + 1e-6


@pytest.fixture
def looks(monkeypatch: pytest.MonkeyPatch) -> list[object]:
    """One for each closer look at a node."""
    found: list[object] = []

    def counted(job: Job, at: Node, usage: Usage, *, now_wall_ms: int) -> Place | Unfit:
        found.append(at)
        return fit(job, at, usage, now_wall_ms=now_wall_ms)

    monkeypatch.setattr(making_room, "fit", counted)
    return found


def test_most_nodes_need_no_closer_look(looks: list[object]) -> None:
    assert len(asked(cluster(*[[(1, 5)] * CORES] * 100), 4)) == 4
    assert len(looks) < 100


def test_a_gang_needs_no_look_at_each_node_for_each_task(looks: list[object]) -> None:
    assert len(asked(cluster(*[[(3, 5)] * 2] * 50), 3, tasks=20)) == 20
    # One for each task, where amounts tell who has to leave.
    assert len(looks) == 20


def test_for_those_who_leave_that_are_alike_it_is_found_out_once_that_there_is_no_room_elsewhere(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    small = replace(node("small"), description=description(cpu_millis=3000))
    world, sought, elsewhere = cluster(*[[(3, 5)] * 2] * 6, idle=(small,)), list[str](), moves.elsewhere

    def counted(book: Book, job: Job, **others: Any) -> Place | str:
        sought.append(job.id)
        return elsewhere(book, job, **others)

    monkeypatch.setattr(moves, "elsewhere", counted)
    leave = asked(world, CORES, tasks=6)

    assert len(leave) == 12
    assert [job.migration.target for job in leave if job.migration is not None] == ["small"]
    assert len(sought) == 2


def test_one_that_keeps_away_from_the_room_that_there_is_elsewhere_leaves_it_to_the_next_one() -> None:
    small = replace(node("small"), description=description(cpu_millis=3000))
    worlds = [cluster(*[[(3, 5)] * 2] * 6, idle=(small,)) for _ in range(2)]
    [first] = [job for job in asked(worlds[0], CORES, tasks=6) if job.migration is not None]
    away = (Exclusion("small", "failed there", WALL_MS + 10**9),)
    worlds[1].book.put(replace(worlds[1].book.jobs[first.id], exclusions=away))

    [other] = [job for job in asked(worlds[1], CORES, tasks=6) if job.migration is not None]

    assert other.id != first.id


def test_of_very_many_sets_some_are_looked_at(monkeypatch: pytest.MonkeyPatch) -> None:
    sets: list[object] = []

    def counted(chosen: Sequence[Victim], *others: Any) -> bool:
        sets.append(chosen)
        return gives_back_no_more_than_borrowed(chosen, *others)

    monkeypatch.setattr(preemption, "gives_back_no_more_than_borrowed", counted)
    names = [f"n{number:03}" for number in range(60)]
    jobs = tuple(running(f"{name}-{number}", name, 1, 5) for name in names for number in range(CORES))
    # Of the cores that are lent, there are too few for a whole node.
    lender = Declared(quota=Quota(cpu_millis=1000 * (len(jobs) - CORES + 1)))
    projects = Projects({"p": Declared(quota=Quota(cpu_millis=10**6)), "default": lender}, Fading(1_000, 1_000))
    found = Cluster(Book("cluster-1", Policy(), jobs, tuple(map(node, names)), projects))
    found.handle(Ticked(1_000, WALL_MS))

    found.handle(Submitted(1, "owner", spec(project="p", resources=Requests(CORES * 1000, GIB // 64)), PINS))

    assert sets
    assert len(sets) < making_room.MOST_SETS + 60 * (CORES + 1) * 2
