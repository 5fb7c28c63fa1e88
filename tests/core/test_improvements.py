"""Laws of moves for speed: when a job that runs is moved though nobody asked for it, and when not."""

import math
import random
from collections import Counter

from hypothesis import given, settings
from hypothesis import strategies as st

from controller.core import prospects
from controller.core.improving import Improving
from controller.core.model import DrainAsked, MoveAsked
from controller.core.past_runs import PastRun
from controller.core.placement.fit import Place, fit
from controller.core.placement.gains import Reluctance
from controller.core.placement.profiles import profile_of
from headrace.jobs import JobState, MigrationCause, MigrationState, Preference, Requests
from headrace.nodes import Drain
from tests.core.paced_world import USUAL, PacedWorld, node
from tests.core.small_world import AMD64, spec

MINUTE_MS, HOUR_MS = 60_000, 3_600_000
# Of the slow processor and the fast one.
SLOW, FAST = "EPYC", "Xeon"


def rate(paces: dict[str, float] | None = None):
    by_node = paces or {"slow": 1.0, "fast": 4.0}
    return lambda _job, name, _now_ms: by_node[name]


def knows_both(world: PacedWorld, name: str = "train") -> None:
    """Jobs of that name were seen on both kinds of hardware: four times as fast on one of them."""
    profile = profile_of(spec(display_name=name))
    for where, seconds in (("slow", 40_000), ("fast", 10_000)):
        world.book.learned.observe(profile, PastRun(where, AMD64, (), 1000 * seconds))


def on_the_slow_one(numbers: Improving = USUAL, *, steps: int = 20_000, **changes: object) -> PacedWorld:
    """A job of hours that runs on a slow node, since the fast one was full; now it is not."""
    world = PacedWorld([node("slow", SLOW), node("fast", FAST, cores=1)], rate(), numbers)
    knows_both(world)
    world.submit("full-1", 400, display_name="full", where='name == "fast"')
    world.submit("train-1", steps, **changes)
    assert world.jobs["train-1"].node == "slow"
    return world


def test_a_job_that_would_be_done_much_sooner_elsewhere_is_moved_there() -> None:
    world = on_the_slow_one()

    world.pass_time(30 * MINUTE_MS)

    job = world.jobs["train-1"]
    assert (job.node, job.state) == ("fast", JobState.RUNNING)
    (move,) = job.migrations
    assert (move.cause, move.state) == (MigrationCause.SPEED, MigrationState.SUCCEEDED)
    assert move.expectation.startswith("speed: done ")
    assert "are left on slow and " in move.expectation
    assert move.expectation in next(note for note in world.notes if note.startswith("MOVE_BEGUN"))
    assert move.request_time_ms is not None
    # The stay, the pace, and two looks.
    assert job.attempts[0].start_time_ms is not None
    assert move.request_time_ms - job.attempts[0].start_time_ms >= 1000 * USUAL.reluctance.stay_seconds


def test_a_job_without_a_contract_stays() -> None:
    world = on_the_slow_one(checkpoint=None)

    world.pass_time(HOUR_MS)

    assert world.moves() == []


def test_a_job_that_may_run_nowhere_else_stays() -> None:
    world = on_the_slow_one(where='name == "slow"')

    world.pass_time(HOUR_MS)

    assert world.moves() == []


def test_a_job_that_is_almost_done_stays() -> None:
    world = on_the_slow_one(steps=700)

    world.pass_time(HOUR_MS)

    assert world.jobs["train-1"].state is JobState.SUCCEEDED
    assert world.moves() == []


def test_no_job_is_moved_to_where_room_is_kept_for_one_that_waits() -> None:
    world = PacedWorld([node("slow", SLOW), node("fast", FAST, cores=2)], rate())
    knows_both(world)
    for number, steps in enumerate((400, 400_000)):
        world.submit(f"full-{number}", steps, display_name=f"full {number}", where='name == "fast"', checkpoint=None)
    world.submit("train-1", 20_000)
    world.submit("waits-1", 400, where='name == "fast"', display_name="waits", resources=_cores(2))

    world.pass_time(30 * MINUTE_MS)

    assert world.jobs["waits-1"].state is JobState.QUEUED
    assert world.jobs["full-0"].state is JobState.SUCCEEDED
    assert (world.jobs["train-1"].node, world.moves()) == ("slow", [])


def test_an_operator_can_forbid_it() -> None:
    world = on_the_slow_one(Improving(speed_moves_per_hour=0))

    world.pass_time(HOUR_MS)

    assert world.moves() == []


def test_of_a_job_of_which_nothing_is_known_where_it_runs_nothing_is_concluded() -> None:
    world = PacedWorld([node("slow", SLOW), node("fast", FAST, cores=1)], rate())
    world.submit("train-1", 20_000, where='name == "slow" or name == "fast"', tells=False)

    world.pass_time(HOUR_MS)

    assert world.moves() == []


def test_a_job_that_tells_of_no_steps_is_moved_by_what_jobs_like_it_took() -> None:
    world = PacedWorld([node("slow", SLOW), node("fast", FAST, cores=1)], rate())
    world.submit("full-1", 400, display_name="full", where='name == "fast"')
    knows_both(world)
    world.submit("train-1", 40_000, tells=False)

    world.pass_time(30 * MINUTE_MS)

    assert world.jobs["train-1"].node == "fast"


def test_what_users_prefer_is_not_given_up_for_speed() -> None:
    world = on_the_slow_one(prefer=(Preference('name == "slow"', 1.0),))

    world.pass_time(HOUR_MS)

    assert world.moves() == []


def test_after_a_move_a_job_is_left_alone_for_a_while_after_a_restart_too() -> None:
    world = on_the_slow_one(steps=40_000)
    world.pass_time(15 * MINUTE_MS)
    assert world.jobs["train-1"].node == "fast"
    profile = profile_of(world.jobs["train-1"].spec)
    for _ in range(100):
        # All is the other way round by now.
        world.book.learned.observe(profile, PastRun("fast", AMD64, (), 900_000_000))

    world.pass_time(10 * MINUTE_MS)
    world.restart()
    for _ in range(100):
        world.book.learned.observe(profile, PastRun("fast", AMD64, (), 900_000_000))
    world.pass_time(13 * MINUTE_MS)
    assert len(world.moves()) == 1

    world.pass_time(10 * MINUTE_MS)
    assert len(world.moves()) == 2


def test_a_move_that_a_user_wanted_is_not_undone_at_once() -> None:
    world = PacedWorld([node("slow", SLOW), node("fast", FAST)], rate())
    knows_both(world)
    world.submit("train-1", 40_000)
    world.pass_time(MINUTE_MS)
    assert world.jobs["train-1"].node == "fast"
    world.ask(MoveAsked(1, "train-1", target="slow"))

    world.pass_time(20 * MINUTE_MS)

    assert world.jobs["train-1"].node == "slow"
    assert [move.cause for _, move in world.moves()] == [MigrationCause.NEEDED]


def test_a_node_that_is_being_drained_gets_none() -> None:
    world = on_the_slow_one()
    world.ask(DrainAsked(1, "fast", Drain.CORDONED))

    world.pass_time(HOUR_MS)

    assert world.moves() == []


def test_no_more_begin_in_an_hour_than_an_operator_allows() -> None:
    world = PacedWorld(
        [node("slow", SLOW, cores=12), node("fast", FAST, cores=1)], rate(), Improving(speed_moves_per_hour=3)
    )
    knows_both(world)
    world.submit("full-1", 4_000, display_name="full", where='name == "fast"')
    for number in range(10):
        world.submit(f"train-{number}", 50_000)
    world.sites["fast"].node = node("fast", FAST, cores=12)

    world.pass_time(HOUR_MS)
    within = len(world.moves(MigrationCause.SPEED))
    world.restart()
    world.pass_time(5 * MINUTE_MS)

    assert within == 3
    assert len(world.moves(MigrationCause.SPEED)) == 3
    world.pass_time(HOUR_MS)
    assert len(world.moves(MigrationCause.SPEED)) > 3


def test_what_was_learned_of_a_running_job_is_recalled_after_a_restart() -> None:
    world = PacedWorld([node("slow", SLOW)], rate())
    world.submit("train-1", 40_000)
    world.pass_time(10 * MINUTE_MS)
    (before,) = world.book.learned.speeds(spec(), [_place(world, "slow")])

    world.restart()
    (after,) = world.book.learned.speeds(spec(), [_place(world, "slow")])

    assert before is not None
    assert after is not None
    assert before.runs_here == after.runs_here == 1
    assert math.isclose(after.per_second, 1 / 40_000, rel_tol=0.1)


def _place(world: PacedWorld, name: str) -> Place:
    book = world.book
    found = fit(next(iter(book.jobs.values())), book.nodes[name], book.usage(name, without="train-1"), now_wall_ms=0)
    assert isinstance(found, Place)
    return found


drawn_nodes = st.lists(st.tuples(st.sampled_from((SLOW, FAST, "ARM")), st.integers(1, 4)), min_size=2, max_size=5)
drawn_runs = st.dictionaries(st.sampled_from((SLOW, FAST, "ARM")), st.integers(100, 1_000_000), min_size=1)


@settings(max_examples=60, deadline=None)
@given(drawn_nodes, drawn_runs, st.lists(st.integers(1, 4), max_size=5), st.integers(0, 9_999))
def test_a_move_for_speed_goes_where_the_job_fits_and_never_to_a_slower_place(
    drawn: list[tuple[str, int]], seconds: dict[str, int], others: list[int], done: int
) -> None:
    nodes = [node(f"n{number}", cpu, cores=cores) for number, (cpu, cores) in enumerate(drawn)]
    # Those that have the better nodes at first are done, and nobody has moved there yet.
    world = PacedWorld(nodes, lambda *_: 1.0, Improving(speed_moves_per_hour=0))
    for number, cores in enumerate(others):
        world.submit(f"other-{number}", 300, tells=False, display_name="other", resources=_cores(cores))
    job = world.submit("train-1", 10_000)
    world.done["train-1"] = done
    for one in nodes:
        took = seconds.get(one.description.cpu.model)
        if took is not None:
            world.book.learned.observe(profile_of(job.spec), PastRun(one.id, AMD64, (), 1000 * took))
    world.pass_time(12 * MINUTE_MS)

    place = world.better_place("train-1")

    if place is not None:
        prospect = prospects.of(world.book, world.jobs["train-1"])
        assert prospect is not None
        here, (there,) = prospect.speed, world.book.learned.speeds(job.spec, [place])
        assert here is not None
        assert there is not None
        assert there.per_second > here.per_second


def _cores(count: int):
    return Requests(1000 * count, 1 << 30)


def replayed_day(seed: int, numbers: Improving) -> Counter[str]:
    """How often each job moved in a day of arrivals, on two kinds of hardware that are all but equally fast.

    What is read of a pace is off by a fifth, and what else runs there slows both down by turns.
    """
    chance = random.Random(seed)

    def pace(_job: str, name: str, now_ms: int) -> float:
        turn = math.sin(now_ms / (4_000 * 1000) + (name < "c") * math.pi)
        return (1.0 if name < "c" else 1.05) * (1 + 0.6 * turn)

    nodes = [node("a", SLOW), node("b", SLOW), node("c", FAST), node("d", FAST)]
    world = PacedWorld(nodes, pace, numbers, noise=0.2, seed=seed)
    arrives, number = 0.0, 0
    for _ in range(24 * 60):
        while arrives <= world.now_ms / 1000:
            kind = f"kind-{chance.randrange(3)}"
            world.submit(f"train-{number}", int(chance.uniform(600, 60_000)), display_name=kind)
            number += 1
            arrives += chance.expovariate(1 / 3_000)
        world.pass_time(MINUTE_MS)
    counts = Counter(job for job, _ in world.moves(MigrationCause.SPEED))
    assert number > 20
    return counts


def test_in_a_day_of_arrivals_and_noise_no_job_goes_to_and_fro() -> None:
    for seed in range(2):
        counts = replayed_day(seed, USUAL)

        assert 0 < counts.total() <= 20
        assert max(counts.values()) <= 2


def test_without_reluctance_jobs_would_go_to_and_fro() -> None:
    eager = Reluctance(gain_ratio=1.0, return_ratio=1.0, gain_seconds=0.0, stay_seconds=0.0, at_once=100)

    counts = replayed_day(0, Improving(reluctance=eager, rest_ms=0, pace_ms=0, speed_moves_per_hour=10_000))

    assert max(counts.values()) > 4
