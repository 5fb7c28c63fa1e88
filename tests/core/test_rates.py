"""Laws of nodes of one make that differ by their own figures: who waits for the faster one, and who is moved there."""

from collections import Counter
from dataclasses import replace
from random import Random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from controller.core.improvements import improvement
from controller.core.improving import Improving
from controller.core.past_runs import PastRun
from controller.core.patience import may_wait
from controller.core.placement.profiles import profile_of
from controller.core.relocations import place_elsewhere
from headrace import units
from headrace.jobs import Job, JobState, MigrationCause, Requests, Timeouts, Work
from headrace.nodes import Cpu, Figure, Node, NodeDescription, Origin
from tests.core.lone_controller import MINUTE_MS, Controller, asks, candidates, wanted
from tests.core.paced_world import USUAL, PacedWorld, node
from tests.core.small_world import AMD64, GIB, PINS, description, spec
from tests.core.test_patience import Mixed

HOUR_MS = 60 * MINUTE_MS
WORK = Work(1e14, "fp32")


def measured(about: NodeDescription, gflops: float | None, model: str = "EPYC") -> NodeDescription:
    """A node with such a processor, that was measured to do so much."""
    figures = (Figure("fp32_gflops", gflops, Origin.MEASURED, "a trial"),) if gflops else ()
    return replace(about, cpu=Cpu(model, threads=4, figures=figures))


class Rated(Mixed):
    """Nodes of one make for one job each; of jobs called `wanted` it is known how long they run on one."""

    def __init__(self, minutes: float = 60, seen: str = "slow", **gflops: float | None) -> None:
        Controller.__init__(self)
        self.sequence = 1
        for name, does in (gflops or {"fast": 300.0, "slow": 100.0}).items():
            self.node(name, measured(description(cpu_millis=4_000), does))
        for _ in range(3):
            self.knows(wanted(resources=asks(4), work=WORK), seen, minutes)

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


@pytest.mark.parametrize("tasks", [1, 2])
@pytest.mark.parametrize(("fast", "slow"), [(300.0, None), (None, 100.0), (None, None), (300.0, 100.0)])
def test_nodes_of_the_same_make_are_told_apart_where_both_were_measured(
    fast: float | None, slow: float | None, tasks: int
) -> None:
    both = {"fast": fast, "fast-2": fast, "slow": slow, "slow-2": slow}
    # Such hardware is told to be as one of those that were measured: the one that is most unlike the other.
    seen, minutes = ("quick", 20) if slow else ("lame", 60)
    rated = Rated(minutes, seen, **both, quick=300.0, lame=100.0)
    for name in ("fast", "fast-2", "quick", "lame"):
        five = Timeouts(run_ms=(5 if name.startswith("fast") else 600) * MINUTE_MS)
        rated.submit(wanted(display_name="other", resources=asks(4), timeouts=five, where=f'name == "{name}"'))

    job = rated.wanted(where='name not in ("quick", "lame")', task_count=tasks)

    assert job.reason.startswith("waits for fast") == bool(fast and slow)
    assert any(rated.at(job)) == (not (fast and slow))


@pytest.mark.parametrize("why", ["it declares no work", "no job like it ran", "nothing was measured there"])
def test_else_it_does_not_wait_for_one_of_the_same_make(why: str) -> None:
    rated = Rated(fast=None if why == "nothing was measured there" else 300.0, slow=100.0)
    rated.full_for(5)
    changes: dict[str, object] = {
        "it declares no work": {"work": None},
        "no job like it ran": {"display_name": "new", "command": ("new",)},
    }.get(why, {})

    assert rated.at(rated.wanted(**changes)) == ("slow",)


@pytest.mark.parametrize(("work", "minutes"), [(WORK, 20), (None, 60)])
def test_when_a_node_has_room_is_told_by_runs_on_others_of_its_make_and_the_figures_of_both(
    work: Work | None, minutes: int
) -> None:
    rated = Rated(minutes=200)
    like = wanted(display_name="like", resources=asks(4), work=work, where='name == "fast"')
    for _ in range(3):
        rated.ran(like, "slow", 60)
    rated.submit(like)

    assert rated.wanted().reason.startswith(
        f"waits for fast, which should have room in {units.format_duration(minutes * MINUTE_MS)}"
    )


@pytest.mark.parametrize(("figures", "minutes"), [((300.0, 100.0), 20), ((None, 100.0), 60), ((300.0, None), 60)])
def test_how_long_it_runs_on_a_node_is_told_by_runs_on_others_of_its_make_and_the_figures_of_both(
    figures: tuple[float | None, float | None], minutes: int
) -> None:
    rated = Rated(fast=figures[0], slow=figures[1])
    for _ in range(3):
        rated.ran(wanted(resources=asks(4), work=WORK), "slow", 60)

    told = {
        one.node: one.run_millis
        for one in candidates(rated.book, Job("", wanted(work=WORK, resources=asks(4)), images=PINS))
    }

    assert told == {"slow": 60 * MINUTE_MS, "fast": pytest.approx(minutes * MINUTE_MS, rel=0.05)}


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


def rated(name: str, gflops: float | None, model: str = "EPYC", *, cores: int = 4) -> Node:
    """The same for a world in which jobs have steps."""
    one = node(name, model, cores=cores)
    return replace(one, description=measured(one.description, gflops, model))


def on_the_slow_one(fast: Node, steps: int = 40_000, **changes: object) -> PacedWorld:
    """A job of hours that runs on a slow node, since the fast one was full; now it is not."""
    speeds = {"slow": 1.0, fast.id: 3.0}
    world = PacedWorld([rated("slow", 100.0), fast], lambda _job, name, _now_ms: speeds[name])
    world.submit("full-1", 400, display_name="full", where=f'name == "{fast.id}"')
    world.submit("train-1", steps, **{"work": WORK, **changes})
    assert world.jobs["train-1"].node == "slow"
    return world


def test_a_job_that_declares_its_work_is_moved_to_a_node_of_the_same_make_that_is_faster_by_its_figures() -> None:
    world = on_the_slow_one(rated("fast", 300.0, cores=1))

    world.pass_time(30 * MINUTE_MS)

    ((_, move),) = world.moves()
    assert (move.cause, world.jobs["train-1"].node) == (MigrationCause.SPEED, "fast")
    assert move.expectation.startswith("speed: done ")


def better_than_here(nodes: list[Node], where: str, *, knows_of: str, seconds: float) -> str | None:
    """Where a job that runs on `here` would be moved for speed, once it may go where it says."""
    world = PacedWorld(nodes, lambda *_: 1.0)
    for _ in range(20):
        knows(world, knows_of, seconds)
    world.submit("train-1", 40_000, where='name == "here"', work=WORK)
    world.pass_time(12 * MINUTE_MS)
    job = world.jobs["train-1"]
    world.book.put(job := replace(job, spec=replace(job.spec, where=where)))
    found = improvement(world.book, job)
    return found.place.node if found is not None else None


@pytest.mark.parametrize(("here", "there"), [(None, 300.0), (100.0, None), (None, None), (100.0, 300.0)])
def test_nodes_of_the_same_make_are_told_apart_for_a_move_where_both_were_measured(
    here: float | None, there: float | None
) -> None:
    nodes = [rated("here", here), rated("there", there), rated("quick", 300.0), rated("lame", 100.0)]
    # Such hardware is told to be as one of those that were measured: the one that is most unlike the other.
    of, seconds = ("quick", 10_000) if here else ("lame", 30_000)

    found = better_than_here(nodes, 'name in ("here", "there")', knows_of=of, seconds=seconds)

    assert found == ("there" if here and there else None)


def test_a_node_that_was_not_measured_hides_none_that_is_told_to_be_faster() -> None:
    nodes = [rated("here", 100.0), rated("good", 200.0), rated("blank", None, cores=1), rated("quick", 300.0)]

    assert better_than_here(nodes, 'name != "quick"', knows_of="quick", seconds=10_000) == "good"


def test_of_nodes_of_another_make_one_that_was_not_measured_is_as_those_that_were_seen() -> None:
    nodes = [rated("here", None), rated("there", None, "Xeon"), rated("quick", 300.0, "Xeon")]

    assert better_than_here(nodes, 'name != "quick"', knows_of="quick", seconds=10_000) == "there"


@pytest.mark.parametrize("why", ["it declares no work", "it was not measured", "it is hardly faster"])
def test_else_it_stays_where_it_is(why: str) -> None:
    gflops = {"it was not measured": None, "it is hardly faster": 120.0}.get(why, 300.0)
    world = on_the_slow_one(rated("fast", gflops, cores=1), work=None if why == "it declares no work" else WORK)

    world.pass_time(HOUR_MS)

    assert world.moves() == []


def knows(world: PacedWorld, where: str, seconds: float, name: str = "train") -> None:
    profile = profile_of(spec(display_name=name))
    world.book.learned.observe(profile, PastRun(where, AMD64, (), round(1000 * seconds)), WORK)


@pytest.mark.parametrize("work", [None, WORK])
@pytest.mark.parametrize("name", ["train", "other {}"])
def test_it_is_not_moved_to_a_node_of_a_better_make_that_is_slower_by_its_figures(work: Work | None, name: str) -> None:
    nodes = [rated("slow", 100.0), rated("quick", 300.0, "Xeon"), rated("lame", 30.0, "Xeon")]
    world = PacedWorld(nodes, lambda *_: 1.0)
    for number in range(20):
        # It has run there itself; or others have, which were as much faster there than here.
        for where, seconds in (("quick", 10_000), ("slow", 40_000)):
            knows(world, where, seconds, name.format(number))
    knows(world, "slow", 40_000)
    world.submit("full-1", 400, display_name="full", where='name == "lame"', resources=Requests(4000, GIB))
    world.submit("train-1", 40_000, where='name != "quick"', work=work)
    assert world.jobs["train-1"].node == "slow"

    world.pass_time(30 * MINUTE_MS)

    assert world.jobs["train-1"].node == ("lame" if work is None else "slow")


def test_of_nodes_of_one_make_it_is_moved_to_the_one_that_is_fastest_by_its_figures() -> None:
    nodes = [rated("slow", 100.0), *(rated(f"n{number}", 150.0 + 50 * number, cores=2) for number in range(4))]
    world = PacedWorld(nodes, lambda *_: 1.0)
    for number in range(4):
        full = {"where": f'name == "n{number}"', "resources": Requests(2000, GIB)}
        world.submit(f"full-{number}", 400, display_name="full", **full)
    world.submit("train-1", 40_000, work=WORK)
    world.submit("small-1", 40_000, display_name="small", where='name == "n3"')
    assert world.jobs["train-1"].node == "slow"

    world.pass_time(30 * MINUTE_MS)

    assert world.jobs["train-1"].node == "n3"


def test_for_the_room_of_others_it_is_not_moved_to_a_node_of_the_same_make_that_is_slower_by_its_figures() -> None:
    world = PacedWorld([rated("here", 300.0), rated("near", 290.0), rated("lame", 100.0)], lambda *_: 1.0)
    job = world.submit("train-1", 40_000, where='name == "here"', work=WORK)
    world.pass_time(10 * MINUTE_MS)
    job = replace(world.jobs["train-1"], spec=replace(job.spec, where='name != "near"'))
    world.book.put(job)
    assert place_elsewhere(world.book, job) is None

    world.book.put(job := replace(job, spec=replace(job.spec, where="")))
    found = place_elsewhere(world.book, job)
    assert found is not None
    assert found.node == "near"


@settings(max_examples=60, deadline=None)
@given(
    st.lists(st.tuples(st.sampled_from((None, 40.0, 100.0, 300.0)), st.integers(1, 4)), min_size=2, max_size=5),
    st.integers(1, 3),
    st.integers(0, 4),
    st.integers(0, 5_000),
)
def test_a_move_goes_where_the_job_fits_and_never_to_where_less_was_measured(
    drawn: list[tuple[float | None, int]], full: int, seen: int, done: int
) -> None:
    nodes = [rated(f"n{number}", gflops, cores=cores) for number, (gflops, cores) in enumerate(drawn)]
    # Those that have the best nodes at first are done, and nobody has moved there yet; a job like it ran on one before.
    world = PacedWorld(nodes, lambda *_: 1.0, Improving(speed_moves_per_hour=0))
    knows(world, f"n{min(seen, len(drawn) - 1)}", 10_000)
    for number in sorted(range(len(drawn)), key=lambda number: -(drawn[number][0] or 0))[:full]:
        where, resources = f'name == "n{number}"', Requests(1000 * drawn[number][1], GIB)
        world.submit(f"o-{number}", 300, tells=False, display_name="other", resources=resources, where=where)
    world.submit("train-1", 10_000, work=WORK)
    world.done["train-1"] = done
    world.pass_time(12 * MINUTE_MS)

    there = world.better_place("train-1")

    if there is not None:
        before, after = (drawn[int(one.removeprefix("n"))][0] for one in (world.jobs["train-1"].node, there.node))
        assert before is not None
        assert after is not None
        assert after > before


def replayed(seed: int, numbers: Improving = USUAL) -> Counter[str]:
    """How often each job moved in half a day of arrivals, on nodes of one make of which some were measured to do more.

    That is so of half of these alone; what is read of a pace is off by a fifth, and some nodes are measured anew.
    """
    chance = Random(seed)
    speeds = {f"n{number}": chance.choice((1.0, 1.3, 2.0, 3.0)) for number in range(4)}

    def pace(_job: str, name: str, _now_ms: int) -> float:
        return speeds[name] if name < "n2" else 1.0

    nodes = [rated(name, 100 * speed) for name, speed in speeds.items()]
    world = PacedWorld(nodes, pace, numbers, noise=0.2, seed=seed)
    arrives, number = 0.0, 0
    for minute in range(12 * 60):
        while arrives <= world.now_ms / 1000:
            world.submit(f"train-{number}", int(chance.uniform(600, 40_000)), work=WORK)
            number += 1
            arrives += chance.expovariate(1 / 1_500)
        if minute % 180 == 0:
            name = chance.choice(list(speeds))
            world.sites[name].node = rated(name, 100 * speeds[name] * chance.uniform(0.8, 1.25))
        world.pass_time(MINUTE_MS)
    assert number > 20
    return Counter(job for job, _ in world.moves(MigrationCause.SPEED))


def test_in_half_a_day_in_which_figures_are_often_wrong_no_job_goes_to_and_fro() -> None:
    counts = [replayed(seed) for seed in range(2)]

    assert 0 < sum(one.total() for one in counts) <= 20
    assert max(max(one.values(), default=0) for one in counts) <= 2
