"""Laws of moves that make room: for a job on devices that waits, and never at the cost of a job's speed or work."""

from collections import Counter
from dataclasses import replace

from hypothesis import given, settings
from hypothesis import strategies as st

from controller.core import prospects, relocations
from controller.core.improving import Improving
from controller.core.model import CancelAsked
from controller.core.past_runs import PastRun
from controller.core.placement.fit import Unfit, fit
from controller.core.placement.profiles import profile_of
from headrace.jobs import AcceleratorRequest, Job, JobState, MigrationCause, Requests
from tests.core.paced_world import USUAL, PacedWorld, node
from tests.core.small_world import AMD64, GIB, spec

MINUTE_MS, HOUR_MS = 60_000, 3_600_000


def cards(count: int, where: str = "") -> Requests:
    return Requests(500, GIB // 4, AcceleratorRequest(count, where))


def scattered(numbers: Improving = USUAL, *, model: str = "H100", **changes: object) -> PacedWorld:
    """Two nodes of two devices, on each of which one is held, and a job that waits for two on one node."""
    world = PacedWorld([node("a", "EPYC", "H100", "H100"), node("b", "EPYC", model, model)], lambda *_: 1.0, numbers)
    for name in ("a", "b"):
        # Nothing but its name keeps each where it is; that is given up once it runs.
        world.submit(f"small-{name}", 900_000, resources=cards(1), where=f'name in ("{name}")', **changes)
    world.pass_time(MINUTE_MS)
    for name in ("a", "b"):
        job = world.jobs[f"small-{name}"]
        assert job.node == name
        world.book.put(_anywhere(job))
    world.submit("large-1", 1_000, resources=cards(2), display_name="large")
    assert world.jobs["large-1"].state is JobState.QUEUED
    return world


def _anywhere(job: Job) -> Job:
    return replace(job, spec=replace(job.spec, where=""))


def test_a_job_is_moved_where_another_one_gets_room_by_it() -> None:
    world = scattered()

    world.pass_time(20 * MINUTE_MS)

    assert world.jobs["large-1"].attempts
    ((mover, move),) = world.moves()
    assert move.cause is MigrationCause.ROOM
    assert move.expectation.startswith(f"room: jobs/large-1 waits, and would have a place on {move.source}; ")
    assert world.jobs[mover].state is JobState.RUNNING


def test_an_operator_can_forbid_it() -> None:
    world = scattered(Improving(room_moves_per_hour=0))

    world.pass_time(HOUR_MS)

    assert world.moves() == []
    assert world.jobs["large-1"].state is JobState.QUEUED


def test_a_job_without_a_contract_is_not_moved_for_others() -> None:
    world = scattered(checkpoint=None)

    world.pass_time(HOUR_MS)

    assert world.moves() == []


def test_nothing_is_moved_while_no_job_on_devices_waits() -> None:
    world = scattered()
    world.ask(CancelAsked(1, "large-1"))

    world.pass_time(HOUR_MS)

    assert world.moves() == []


def test_a_job_is_not_moved_for_others_to_where_it_would_be_slower_or_may_be() -> None:
    world = scattered(model="K80")
    profile = profile_of(spec(resources=cards(1)))
    unknown = world.book
    world.pass_time(20 * MINUTE_MS)
    assert world.moves() == []

    for where, seconds in (("a", 900), ("b", 9_000)):
        unknown.learned.observe(profile, PastRun(where, AMD64, (f"{where}-0",), 1000 * seconds))
    world.pass_time(20 * MINUTE_MS)

    for _, move in world.moves(MigrationCause.ROOM):
        assert (move.source, move.target) == ("b", "a")


def test_where_no_move_helps_a_job_that_waits_room_is_made_for_what_is_usually_asked_for() -> None:
    world = PacedWorld([node(name, "EPYC", *["H100"] * 4) for name in "abc"], lambda *_: 1.0)
    world.submit("stays-1", 900_000, resources=cards(4), where='name == "c"', checkpoint=None)
    for name in "ab":
        world.submit(f"small-{name}", 900_000, resources=cards(1), where=f'name in ("{name}")')
    world.pass_time(MINUTE_MS)
    for name in "ab":
        world.book.put(_anywhere(world.jobs[f"small-{name}"]))
    for number in range(8):
        world.submit(f"large-{number}", 1_000, resources=cards(4), display_name="large", where='name == "c"')

    world.pass_time(20 * MINUTE_MS)

    ((_, move),) = world.moves()
    assert move.cause is MigrationCause.ROOM
    assert "devices more for what is usually asked for; the move costs " in move.expectation


drawn_sizes = st.lists(st.integers(1, 3), min_size=1, max_size=6)


@settings(max_examples=40, deadline=None)
@given(st.lists(st.sampled_from(("H100", "A10")), min_size=2, max_size=4), drawn_sizes, drawn_sizes, st.data())
def test_whatever_runs_and_waits_jobs_are_moved_for_room_seldom_and_only_to_where_they_fit(
    models: list[str], first: list[int], then: list[int], data: st.DataObject
) -> None:
    nodes = [node(f"n{number}", "EPYC", *[model] * 4) for number, model in enumerate(models)]
    world = PacedWorld(nodes, lambda *_: 1.0, Improving(room_moves_per_hour=100))
    for number, size in enumerate(first):
        steps = data.draw(st.sampled_from((400, 1_500, 90_000)))
        world.submit(f"first-{number}", steps, resources=cards(size), display_name=f"first of {size}")
    world.pass_time(2 * MINUTE_MS)
    for number, size in enumerate(then):
        world.submit(f"then-{number}", 90_000, resources=cards(size), display_name=f"then of {size}")

    for _ in range(40):
        world.pass_time(MINUTE_MS)
        for one in world.book.nodes.values():
            held = world.book.usage(one.id).devices
            assert len(held) == len(dict.fromkeys(held))
        for job in world.book.jobs.values():
            move = job.migration
            if move is not None and move.cause is MigrationCause.ROOM and job.node == move.source:
                target = world.book.nodes[move.target]
                found = fit(job, target, world.book.usage(target.id, without=job.id), now_wall_ms=0)
                assert not isinstance(found, Unfit)
        for job in [one for one in world.book.jobs.values() if prospects.may_improve(world.book, one)]:
            place, prospect = relocations.place_elsewhere(world.book, job), prospects.of(world.book, job)
            if place is not None and prospect is not None:
                (there,) = prospects.judged(world.book, prospect, [place])
                assert place.node != job.node
                if there.hardware != prospect.hardware:
                    assert there.speed is not None
                    assert prospect.speed is not None
                    assert there.speed.per_second >= prospect.speed.per_second

    counts = Counter(job for job, move in world.moves() if move.cause is MigrationCause.ROOM)
    assert max(counts.values(), default=0) <= 2
