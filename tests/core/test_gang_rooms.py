"""Laws of the room that is kept for gangs where nodes are many: found in columns, it is the room that `fit` finds."""

from collections.abc import Iterator
from contextlib import contextmanager
from unittest.mock import patch

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from agent.runtimes.runtime import Ref
from controller.core import backfill, gang_rooms, keeping, reading, together
from controller.core.backfill import Kept
from controller.core.book import Book
from controller.core.departures import NEVER, Departures
from controller.core.placement import gang as gang_places
from controller.core.seen import see_nodes
from controller.core.turns import Checked
from headrace.jobs import AcceleratorRequest, Job, JobState, Requests, Timeouts
from headrace.nodes import Capacity, Device, NodeDescription
from tests.core.lone_controller import Controller, wanted
from tests.core.small_world import AMD64, ARM64, GIB, PINS, World
from tests.core.test_gang_places import DOES

MINUTE_MS = 60_000
LARGE = NodeDescription(platforms=(AMD64,), capacity=Capacity(8_000, 64 * GIB))


@contextmanager
def in_columns() -> Iterator[None]:
    """As where nodes are many."""
    with patch.object(keeping, "is_wide", lambda _book, job: job.is_gang):
        yield


def asks(cores: int) -> Requests:
    return Requests(cores * 1000, GIB // 8)


def limit(minutes: int) -> Timeouts:
    return Timeouts(run_ms=minutes * MINUTE_MS)


def waiting(*, minutes: int | None = 10) -> World:
    """Four nodes of four cores, with a job of two on three of them; a gang of which a node has room for one waits."""
    world = World(**dict.fromkeys("abcd", AMD64))
    world.pass_time(2_000)
    for name in "abc":
        limits = Timeouts() if minutes is None else limit(minutes)
        world.submit(f"runs-{name}", resources=asks(2), timeouts=limits, where=f'node == "{name}"')
    world.submit("gang", resources=asks(4), task_count=4)
    world.pass_time(5_000)
    return world


def kept(world: World) -> list[str]:
    return list(world.cluster.book.turns.kept)


def test_a_job_without_a_limit_does_not_overtake_a_gang_that_it_would_delay() -> None:
    with in_columns():
        world = waiting()
        assert kept(world) == ["gang"]
        for number in range(5):
            world.submit(f"endless-{number}", resources=asks(1))
        world.pass_time(20_000)
        assert [world.job(f"endless-{number}").state for number in range(5)] == [JobState.QUEUED] * 5

        for name in "abc":
            world.exit(Ref(f"runs-{name}", 0, 1), 0)
        world.pass_time(3_000)

        assert world.job("gang").state is JobState.RUNNING


def test_one_that_has_ended_by_then_is_let_ahead() -> None:
    with in_columns():
        world = waiting()
        world.submit("short", resources=asks(4), timeouts=limit(5))
        world.submit("long", resources=asks(2), timeouts=limit(20))
        world.pass_time(2_000)

        assert (world.job("short").node, world.job("short").ahead_of) == ("d", ("gang",))
        assert world.job("long").state is JobState.QUEUED


def test_one_that_leaves_enough_for_it_elsewhere_or_beside_it_starts() -> None:
    with in_columns():
        world = World(**dict.fromkeys("abcde", AMD64))
        world.pass_time(2_000)
        for name in "abc":
            world.submit(f"runs-{name}", resources=asks(3), timeouts=limit(10), where=f'node == "{name}"')
        world.submit("gang", resources=asks(3), task_count=4, where='node != "e"')
        world.submit("elsewhere", resources=asks(4))
        for number in range(4):
            world.submit(f"beside-{number}", resources=asks(1))
        world.pass_time(10_000)

        assert kept(world) == ["gang"]
        assert world.job("elsewhere").node == "e"
        assert [world.job(f"beside-{number}").state for number in range(4)] == [JobState.RUNNING] * 4


def test_its_room_is_given_back_when_it_is_cancelled() -> None:
    with in_columns():
        world = waiting()
        world.submit("endless", resources=asks(4))
        assert world.job("endless").state is JobState.QUEUED

        world.cancel("gang")
        world.pass_time(2_000)

        assert kept(world) == []
        assert world.job("endless").state is JobState.RUNNING


def test_its_room_is_given_back_when_it_has_ended() -> None:
    with in_columns():
        world = waiting()
        world.submit("endless", resources=asks(2))
        for name in "abc":
            world.exit(Ref(f"runs-{name}", 0, 1), 0)
        world.pass_time(3_000)
        assert world.job("gang").state is JobState.RUNNING
        assert kept(world) == ["endless"]

        for number in range(4):
            world.exit(Ref(f"gang-{number}", number, 1), 0)
        world.pass_time(3_000)

        assert world.job("endless").state is JobState.RUNNING
        assert kept(world) == []


def test_where_nothing_tells_when_it_has_room_it_is_kept_once_it_has_waited_long() -> None:
    with in_columns():
        world = waiting(minutes=None)
        world.submit("early", resources=asks(1), where='node == "d"')
        assert world.job("early").state is JobState.RUNNING

        world.pass_time(10 * MINUTE_MS)
        world.submit("late", resources=asks(1), where='node == "d"')

        assert kept(world) == ["gang"]
        assert world.job("late").state is JobState.QUEUED


def test_who_was_let_ahead_makes_way_though_its_image_came_late() -> None:
    with in_columns():
        world = waiting()
        for site in world.sites.values():
            site.engine.pulls_slowly = True
        world.submit("short", resources=asks(4), timeouts=limit(5), where='node == "d"')
        world.pass_time(9 * MINUTE_MS)
        world.image_comes("d", "short")
        assert world.job("short").state is JobState.RUNNING

        for site in world.sites.values():
            site.engine.pulls_slowly = False
        world.pass_time(2 * MINUTE_MS)

        assert world.job("gang").state is JobState.RUNNING
        assert "JOB_MAKES_WAY" in world.happenings


@settings(max_examples=8, deadline=None)
@given(st.integers(1, 3), st.integers(2, 8), st.integers(10, 60), st.sampled_from((None, 10)))
def test_a_gang_starts_though_small_jobs_keep_coming(
    small: int, minutes: int, every_s: int, limit_minutes: int | None
) -> None:
    limits = Timeouts() if limit_minutes is None else limit(limit_minutes)
    with in_columns():
        world = World(a=AMD64, b=AMD64)
        world.submit("first", resources=asks(1), timeouts=limits)
        world.submit("gang", resources=asks(4), task_count=2)
        begun, ends, number = world.now_ms, {"first": world.now_ms + minutes * MINUTE_MS}, 0
        while world.job("gang").state is JobState.QUEUED:
            assert world.now_ms - begun <= (10 + minutes + 2) * MINUTE_MS
            number += 1
            world.submit(f"small-{number}", resources=asks(small), timeouts=limits)
            ends[f"small-{number}"] = world.now_ms + minutes * MINUTE_MS
            world.pass_time(every_s * 1_000)
            for name in [one for one, end_ms in ends.items() if end_ms <= world.now_ms]:
                job = world.job(name)
                if job.state is JobState.RUNNING:
                    world.exit(Ref(name, 0, job.epoch), 0)
                del ends[name]


def cards(models: tuple[str, ...]) -> tuple[Device, ...]:
    said = enumerate(models)
    return tuple(
        Device(f"card-{number}", "gpu", "nvidia", model, number, memory_bytes=80 * GIB, shareable=True)
        for number, model in said
    )


devices_asked = st.sampled_from(
    (
        None,
        None,
        AcceleratorRequest(1),
        AcceleratorRequest(2),
        AcceleratorRequest(1, 'model == "A100"'),
        AcceleratorRequest(1, share_millis=400),
    )
)
drawn_nodes = st.lists(
    st.tuples(st.integers(1, 8), st.lists(st.sampled_from(("A100", "H100")), max_size=3)), min_size=1, max_size=5
)
drawn_jobs = st.lists(
    st.tuples(st.integers(1, 4), devices_asked, st.sampled_from((None, 1, 2, 3, 9)), st.sampled_from((1, 1, 2))),
    max_size=10,
)


def ready(
    nodes: list[tuple[int, list[str]]], jobs: list[tuple[int, AcceleratorRequest | None, int | None, int]]
) -> Book:
    """The book of a controller to which these have come."""
    one = Controller()
    for number, (cores, models) in enumerate(nodes):
        said = NodeDescription(platforms=(AMD64,), capacity=Capacity(cores * 1000, 64 * GIB))
        one.node(f"n{number}", said, cards(tuple(models)))
    one.tick()
    for cores, devices, minutes, tasks in jobs:
        limits = Timeouts() if minutes is None else limit(minutes)
        one.submit(wanted(resources=Requests(cores * 1000, GIB, devices), timeouts=limits, task_count=tasks))
    see_nodes(one.book)
    # Devices that are promised are given when there are enough: then more that has gone may leave less for others.
    kept = [name for name in one.book.turns.kept if one.book.jobs[name].spec.resources.accelerators is None]
    one.book.turns.before = kept
    return one.book


def room_for(book: Book, gang: Job) -> tuple[Kept | None, Kept | None]:
    """By columns, and by looking at each node."""
    scene, tasks = keeping.scene(book, gang), keeping.alike(book, gang)
    checked: dict[str, Checked] = {}
    reading.read(book, book.turns.departures)
    is_all = False
    while not is_all:
        found, is_all = gang_rooms.found(book, tasks[0], scene, None, checked)
    return found, backfill.earliest(tasks, scene)


@settings(max_examples=150, deadline=None)
@given(drawn_nodes, drawn_jobs, st.integers(1, 4), devices_asked, st.integers(2, 9))
def test_in_columns_all_tasks_have_room_as_soon_as_node_by_node(
    nodes: list[tuple[int, list[str]]],
    jobs: list[tuple[int, AcceleratorRequest | None, int | None, int]],
    cores: int,
    devices: AcceleratorRequest | None,
    count: int,
) -> None:
    book = ready(nodes, jobs)
    gang = Job("jobs/gang", wanted(resources=Requests(cores * 1000, GIB, devices), task_count=count), images=PINS)

    found, by_hand = room_for(book, gang)

    assert (found is None) is (by_hand is None)
    if found is None or by_hand is None:
        return
    assert found.start_ms == by_hand.start_ms
    assert len(found.places) == count
    assert not backfill.lacks(found, keeping.one_of(book, gang), (), keeping.scene(book, gang))


@settings(max_examples=40, deadline=None)
@given(
    st.lists(st.tuples(st.sampled_from(tuple(DOES)), st.integers(0, 11), st.booleans()), max_size=20), st.integers(1, 9)
)
def test_whatever_happens_who_leaves_when_is_known_as_from_the_jobs_themselves(
    does: list[tuple[str, int, bool]], most: int
) -> None:
    world, departures = World(a=AMD64, b=ARM64, c=AMD64), Departures()
    for number, (what, which, reads) in enumerate(does):
        DOES[what](world, which)
        world.submit(f"single-{number}", timeouts=limit(1 + which))
        world.pass_time(1_000)
        book = world.cluster.book
        if what == "restart":
            departures = Departures()
        if not reads:
            continue
        see_nodes(book)
        with patch.object(reading, "READ_AT_ONCE", most):
            while not reading.read(book, departures):
                pass
        ends = departures.ends_ms(book.wall_ms, {})
        found = {}
        for row, (job, _) in enumerate(departures.jobs):
            if job:
                slot, amounts = int(departures.slot[row]), departures.amounts[:, row].tolist()
                found[job, slot] = (int(ends[row]), amounts)
        expected = {}
        for node in book.nodes:
            for job in book.jobs_at(node):
                end_ms = keeping.ends_ms(book, "", job, book.wall_ms)
                wants = job.spec.resources
                amounts = [wants.cpu_millis, wants.memory_bytes, 0, 0]
                expected[job.id, book.snapshot.slots[node]] = (NEVER if end_ms is None else end_ms, amounts)
        assert found == expected


def many(count: int) -> Controller:
    """So many nodes, one job with a limit on each second one."""
    one = Controller()
    for number in range(count):
        one.node(f"n{number:03d}", LARGE)
    one.tick()
    for number in range(0, count, 2):
        where = f'node == "n{number:03d}"'
        one.submit(wanted(resources=Requests(2_000, GIB), timeouts=limit(10), where=where))
    return one


def test_of_a_gang_that_needs_more_nodes_than_are_looked_at_one_by_one_room_is_kept() -> None:
    one = many(keeping.FEW + 40)
    gang = one.submit(wanted(resources=Requests(8_000, GIB), task_count=keeping.FEW + 40))
    one.settle()
    room = one.book.turns.kept[gang.id]
    assert len(room.nodes) == len(room.places) == keeping.FEW + 40

    behind = one.submit(wanted(resources=Requests(2_000, GIB)))
    short = one.submit(wanted(resources=Requests(2_000, GIB), timeouts=limit(5)))

    assert one.book.jobs[behind.id].state is JobState.QUEUED
    assert one.book.jobs[short.id].state is JobState.STARTING


def test_where_room_is_kept_on_many_nodes_a_job_that_would_be_in_the_way_goes_to_others() -> None:
    one = many(60)
    with in_columns():
        gang = one.submit(wanted(resources=Requests(8_000, GIB), task_count=50))
        one.settle()
        room = one.book.turns.kept[gang.id]
        behind = [one.submit(wanted(resources=Requests(6_000, GIB))) for _ in range(11)]

    at = [node for job in behind for node in one.at(job)]
    assert len(at) == 10
    assert not any(node in room.counts for node in at)


def test_jobs_of_one_line_go_past_it_together_to_the_places_that_they_have_one_by_one() -> None:
    found = []
    for few in (together.FEW, 10**9):
        one = many(60)
        with in_columns(), patch.object(together, "FEW", few):
            one.submit(wanted(resources=Requests(7_000, GIB), task_count=50))
            one.settle()
            array = one.submit(wanted(resources=Requests(1_000, GIB), element_count=100))
            one.settle()
        found.append({job.id: job.node for job in one.book.jobs.values() if job.array == array.id})
    assert found[0] == found[1]
    assert sum(bool(node) for node in found[0].values()) >= 80


def test_no_node_is_looked_at_of_which_amounts_tell_all(monkeypatch: pytest.MonkeyPatch) -> None:
    one, looks = many(keeping.FEW + 40), list[str]()
    fit = gang_places.fit

    def counted(*args: object, **named: object) -> object:
        looks.append("")
        return fit(*args, **named)  # type: ignore[arg-type]

    monkeypatch.setattr(gang_places, "fit", counted)
    gang = one.submit(wanted(resources=Requests(8_000, GIB), task_count=keeping.FEW + 20))
    one.settle()
    assert gang.id in one.book.turns.kept
    assert not looks

    one.submit(wanted(resources=Requests(2_000, GIB)))

    assert len(looks) <= 8
