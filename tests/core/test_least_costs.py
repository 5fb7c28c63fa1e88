"""Laws of whom others have leave where nodes are many: found in columns, it is who is found node by node."""

from contextlib import AbstractContextManager
from itertools import count
from unittest.mock import patch

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from controller.core import keeping, making_room, model, reading
from controller.core.book import Book
from controller.core.whom_to_ask import is_ready, sought
from headrace.changes import replace
from headrace.jobs import AcceleratorRequest, Job, JobState, Requests
from headrace.nodes import Capacity, NodeDescription
from headrace.projects import Declared, Quota
from tests.core.lone_controller import Controller, wanted
from tests.core.small_world import AMD64, GIB, PINS, World
from tests.core.test_gang_rooms import cards, devices_asked

SECOND_MS = 1_000
QUOTAS = {
    "a": Declared(quota=Quota(cpu_millis=5_000, device_millis=2_000)),
    "b": Declared(quota=Quota(cpu_millis=2_000, device_millis=1_000)),
    "c": Declared(quota=Quota(cpu_millis=6_000), borrows=False),
}

some_nodes = st.lists(
    st.tuples(st.integers(2, 6), st.lists(st.sampled_from(("A100", "H100")), max_size=3)), min_size=2, max_size=5
)
some_jobs = st.lists(
    st.tuples(
        st.integers(1, 3),
        devices_asked,
        st.sampled_from((10, 50)),
        st.sampled_from(("a", "b")),
        st.sampled_from((1, 1, 1, 2)),
        st.integers(0, 40),
    ),
    min_size=12,
    max_size=20,
)
priorities, projects = st.sampled_from((90, 90, 80)), st.sampled_from("aaac")
asking = st.tuples(st.integers(1, 4), devices_asked, priorities, projects, st.integers(1, 2))
Drawn = tuple[int, AcceleratorRequest | None, int, str, int, int]


def many(above: int = 0) -> AbstractContextManager[object]:
    """As where there are more nodes than that are looked at one by one."""
    return patch.object(keeping, "FEW", above)


def full(nodes: list[tuple[int, list[str]]], jobs: list[Drawn], declared: dict[str, Declared], leaving: int) -> Book:
    """The book of a controller to which these have come; each job loses what it has done, some are told to end."""
    one = Controller(declared)
    for number, (cores, models) in enumerate(nodes):
        said = NodeDescription(platforms=(AMD64,), capacity=Capacity(cores * 1000, 64 * GIB))
        one.node(f"n{number}", said, cards(tuple(models)))
    one.tick()
    for cores, asked, priority, project, tasks, ran_s in jobs:
        spec = wanted(resources=Requests(cores * 1000, GIB, asked), priority=priority, project=project)
        job = one.submit(replace(spec, task_count=tasks))
        for task in one.book.tasks(job) if job.is_gang else [job]:
            if task.attempt is not None:
                begun = replace(task.attempt, start_time_ms=one.book.wall_ms - ran_s * SECOND_MS)
                one.book.put(replace(task, attempts=(begun,)))
    placed = [job for job in one.book.jobs.values() if job.state is JobState.STARTING and not job.gang]
    for token, job in zip(count(1_000), placed[:leaving], strict=False):
        one.cluster.handle(model.CancelAsked(token, job.id))
    # For which others leave, perhaps: that is for whoever comes before it.
    one.submit(wanted(resources=Requests(2_000, GIB), priority=85, project="a", task_count=2))
    one.tick()
    return one.book


def urgent(cores: int, asked: AcceleratorRequest | None, priority: int, project: str, tasks: int) -> Job:
    spec = wanted(resources=Requests(cores * 1000, GIB, asked), priority=priority, project=project)
    return Job("jobs/urgent", replace(spec, task_count=tasks), images=PINS)


@settings(max_examples=150, deadline=None)
@given(some_nodes, some_jobs, asking, st.sampled_from((QUOTAS, {})), st.integers(0, 2))
def test_of_many_nodes_those_leave_who_are_the_cheapest_of_all(
    nodes: list[tuple[int, list[str]]],
    jobs: list[Drawn],
    who: tuple[int, AcceleratorRequest | None, int, str, int],
    declared: dict[str, Declared],
    leaving: int,
) -> None:
    book = full(nodes, jobs, declared, leaving)
    by_hand = sought(book, urgent(*who))
    with many():
        assert sought(book, urgent(*who)) == by_hand


def held(count: int) -> Controller:
    """So many nodes of four cores, on each of which is a job of two with a low priority."""
    one = Controller()
    for number in range(count):
        one.node(f"n{number:03}", NodeDescription(platforms=(AMD64,), capacity=Capacity(4_000, 64 * GIB)))
    one.tick()
    for _ in range(count):
        one.submit(wanted(resources=Requests(3_000, GIB), priority=10))
    return one


def test_for_a_gang_others_leave_more_nodes_than_are_looked_at_one_by_one() -> None:
    one = held(12)
    with many(4):
        gang = one.submit(wanted(resources=Requests(3_000, GIB), priority=90, task_count=10))
        one.settle()
        assert len(one.book.turns.claims[gang.id].leaving) == 10


@pytest.mark.parametrize("few", [2, keeping.FEW])
@pytest.mark.parametrize("tasks", [1, 3])
def test_where_amounts_do_not_tell_all_nodes_are_looked_at_some_at_a_time_and_none_is_forgotten_where_there_is_room(
    few: int, tasks: int
) -> None:
    one = Controller()
    for number in range(24):
        model_there = "H100" if number in (9, 15, 22) else "A100"
        said = NodeDescription(platforms=(AMD64,), capacity=Capacity(4_000, 64 * GIB))
        one.node(f"n{number:03}", said, cards((model_there,)))
    one.tick()
    for _ in range(24):
        one.submit(wanted(resources=Requests(1_000, GIB, AcceleratorRequest(1)), priority=10))
    asked = Requests(1_000, GIB, AcceleratorRequest(1, 'model == "H100"'))
    with many(few), patch.object(making_room, "MOST_NODES", 4):
        gang = one.submit(wanted(resources=asked, priority=90, task_count=tasks))
        looks = 0
        while gang.id not in one.book.turns.claims and looks < 60:
            one.settle()
            looks += 1

    assert len(one.book.turns.claims[gang.id].leaving) == tasks


def test_a_still_reads_who_is_where_and_the_controller_reads_on() -> None:
    one = held(6)
    with many(2), patch.object(reading, "READ_AT_ONCE", 3):
        assert not is_ready(one.book)
        twin = one.book.turns.departures.copy()
        job = one.submit(wanted(resources=Requests(3_000, GIB), priority=90))
        told = one.explain(job).outlook
        assert told is not None
        one.settle()
        assert one.book.turns.claims[job.id].nodes == told.nodes
        assert twin.jobs != one.book.turns.departures.jobs


def test_a_gang_begins_where_others_have_left_many_nodes_for_it() -> None:
    world = World(a=AMD64, b=AMD64, c=AMD64)
    for number in range(3):
        world.submit(f"low-{number}", resources=Requests(4_000, GIB), priority=10)
    world.pass_time(5_000)
    with patch.object(keeping, "FEW_KEPT", 1):
        world.submit("gang", resources=Requests(4_000, GIB), priority=90, task_count=2)
        world.pass_time(30_000)
    assert world.job("gang").state is JobState.RUNNING
