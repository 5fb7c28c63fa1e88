"""Laws of room that a job has only because of its limit: it is given back in time, however late the job began."""

from hypothesis import given, settings
from hypothesis import strategies as st

from agent.runtimes.runtime import Ref
from headrace.jobs import JobState, Requests, Timeouts
from tests.core.small_world import AMD64, CONTRACT, GIB, World

MINUTE_MS = 60_000
# Both cores run in each.
EXAMPLES = 30
# Of a tick, and of what has to be told and done.
SOON_MS = 3_000


def asks(count: int) -> Requests:
    return Requests(count * 1000, GIB // 8)


def limit(minutes: int) -> Timeouts:
    return Timeouts(run_ms=minutes * MINUTE_MS)


def crowded(*nodes: str, **short: object) -> World:
    """On each node one runs for ten minutes at most; the head waits for all of one, `short` is let ahead of it."""
    world = World(**dict.fromkeys(nodes, AMD64))
    for name in nodes:
        world.submit(f"runs-{name}", resources=asks(2), timeouts=limit(10), where=f'node == "{name}"')
    world.submit("head", resources=asks(4), where='node == "a"')
    world.pass_time(1_000)
    for site in world.sites.values():
        site.engine.pulls_slowly = True
    world.submit("short", **{"resources": asks(2), "timeouts": limit(5), "where": 'node == "a"', **short})
    return world


def starts_ms(world: World) -> int:
    kept = world.cluster.book.turns.kept["head"]
    assert kept.start_ms is not None
    return kept.start_ms - 1_700_000_000_000


def pass_until(world: World, moment_ms: int) -> None:
    world.pass_time(moment_ms - world.now_ms)


def test_the_head_starts_in_time_though_who_was_let_ahead_began_late() -> None:
    world = crowded("a")
    due_ms = starts_ms(world)
    assert world.job("short").state is JobState.STARTING
    assert world.job("short").ahead_of == ("head",)

    world.pass_time(8 * MINUTE_MS)
    world.image_comes("a", "short")
    assert world.job("short").state is JobState.RUNNING
    world.sites["a"].engine.pulls_slowly = False
    pass_until(world, due_ms + SOON_MS)

    assert world.job("head").state is JobState.RUNNING
    short = world.job("short")
    assert (short.state, short.ahead_of, short.leave_by_time_ms) == (JobState.QUEUED, (), None)
    assert short.checkpoint is not None
    assert "JOB_MAKES_WAY" in world.happenings


def test_who_was_let_ahead_and_has_not_begun_by_then_waits_anew() -> None:
    world = crowded("a")
    due_ms = starts_ms(world)

    world.sites["a"].engine.pulls_slowly = True
    pass_until(world, due_ms - CONTRACT.grace_ms - 2_000)
    assert world.job("short").state is JobState.STARTING
    pass_until(world, due_ms + SOON_MS)

    assert world.job("short").state is JobState.QUEUED
    assert world.job("head").state is JobState.STARTING


def test_to_make_way_is_no_failure_and_nobody_else_had_it_leave() -> None:
    world = crowded("a")
    due_ms = starts_ms(world)
    world.pass_time(8 * MINUTE_MS)
    world.image_comes("a", "short")
    pass_until(world, due_ms + SOON_MS)
    short = world.job("short")
    assert (short.failures, short.preemption_count, short.preemptor, short.exclusions) == (0, 0, "", ())


def test_where_nobody_waits_any_more_it_stays() -> None:
    world = crowded("a")
    due_ms = starts_ms(world)
    world.pass_time(8 * MINUTE_MS)
    world.image_comes("a", "short")
    world.cancel("head")
    pass_until(world, due_ms + SOON_MS)
    assert (world.job("short").state, world.job("short").epoch) == (JobState.RUNNING, 1)


def test_one_that_leaves_enough_beside_it_is_not_asked_to_leave() -> None:
    world = World(a=AMD64)
    world.submit("runs", resources=asks(2), timeouts=limit(10))
    world.submit("head", resources=asks(3))
    world.sites["a"].engine.pulls_slowly = True
    world.submit("small", resources=asks(1), timeouts=limit(5))
    world.pass_time(8 * MINUTE_MS)
    world.image_comes("a", "small")
    world.pass_time(3 * MINUTE_MS)
    assert (world.job("small").state, world.job("small").epoch) == (JobState.RUNNING, 1)
    assert world.job("head").state is JobState.STARTING


def test_it_goes_on_elsewhere_where_there_is_room() -> None:
    world = crowded("a", "b", where="")
    due_ms = starts_ms(world)
    assert world.job("short").ahead_of == ("head",)
    world.pass_time(8 * MINUTE_MS)
    world.image_comes("a", "short")
    world.exit(Ref("runs-b", 0, 1), 0)
    pass_until(world, due_ms + SOON_MS)

    assert world.job("head").node == "a"
    short = world.job("short")
    assert (short.node, short.epoch) == ("b", 2)
    world.image_comes("b", "short")
    short = world.job("short")
    assert (short.state, short.ahead_of, short.leave_by_time_ms) == (JobState.RUNNING, (), None)


def test_a_move_that_fails_takes_it_back_only_while_it_may_still_be_there() -> None:
    for minutes, comes_back in ((3, True), (8, False)):
        world = crowded("a", "b", where="")
        world.pass_time(minutes * MINUTE_MS)
        world.image_comes("a", "short")
        world.exit(Ref("runs-b", 0, 1), 0)
        by_ms = world.job("short").leave_by_time_ms
        world.move("short", target="b")
        world.pass_time(1_000)
        assert world.job("short").node == "b"
        world.sites["b"].engine.pulls_slowly = False
        world.image_cannot_come("b", "short")
        short = world.job("short")
        assert (short.node == "a") is comes_back
        assert short.leave_by_time_ms == (by_ms if comes_back else None)


def test_what_was_promised_outlasts_the_controller() -> None:
    world = crowded("a")
    due_ms = starts_ms(world)
    world.pass_time(8 * MINUTE_MS)
    world.image_comes("a", "short")
    world.restart_controller()
    pass_until(world, due_ms + SOON_MS)
    assert world.job("short").state is JobState.QUEUED
    assert world.job("head").node == "a"


def test_who_is_over_its_time_makes_way_where_others_have_room_by_that_before_what_is_kept_for_them_is_free() -> None:
    world = World(a=AMD64, b=AMD64)
    world.sites["a"].engine.pulls_slowly = True
    world.submit("never-begins", resources=asks(2), timeouts=Timeouts(run_ms=5_000), where='node == "a"')
    world.submit("runs", resources=asks(2), timeouts=Timeouts(run_ms=30_000), where='node == "b"')
    world.submit("head", resources=asks(4))
    world.sites["b"].engine.pulls_slowly = True
    world.submit("short", resources=asks(2), timeouts=Timeouts(run_ms=20_000), where='node == "b"')
    assert world.cluster.book.turns.kept["head"].nodes == ("a",)
    assert world.job("short").ahead_of == ("head",)

    world.pass_time(25_000)
    world.image_comes("b", "short")
    world.sites["b"].engine.pulls_slowly = False
    world.pass_time(12_000)

    assert world.job("head").node == "b"
    assert world.job("short").state is JobState.QUEUED


def test_a_gang_that_was_let_ahead_makes_way_as_a_whole() -> None:
    world = crowded("a", resources=asks(1), task_count=2)
    due_ms = starts_ms(world)
    gang = world.job("short")
    assert (gang.state, gang.ahead_of) == (JobState.STARTING, ("head",))
    pass_until(world, due_ms + SOON_MS)
    assert world.job("short").state is JobState.QUEUED
    assert world.job("head").node == "a"


def test_where_its_room_is_not_enough_for_the_head_it_stays_until_it_is() -> None:
    world = crowded("a")
    due_ms = starts_ms(world)
    world.pass_time(8 * MINUTE_MS)
    world.image_comes("a", "short")
    world.exit(Ref("runs-a", 0, 1), 0)
    world.sites["a"].engine.pulls_slowly = False
    assert world.job("head").state is JobState.QUEUED
    world.submit("urgent", resources=asks(2), priority=79, timeouts=limit(15), where='node == "a"')
    assert world.job("urgent").state is JobState.RUNNING

    pass_until(world, due_ms + SOON_MS)

    short = world.job("short")
    assert (short.state, short.epoch, short.ahead_of) == (JobState.RUNNING, 1, ("head",))


def test_its_wait_for_another_place_does_not_count_as_time_that_it_ran() -> None:
    world = World(a=AMD64)
    world.submit("low", resources=asks(4), timeouts=limit(10))
    world.pass_time(8 * MINUTE_MS)
    world.submit("urgent", resources=asks(4), priority=90, timeouts=limit(30))
    world.pass_time(29 * MINUTE_MS)
    assert world.job("low").state is JobState.QUEUED
    world.exit(Ref("urgent", 0, 1), 0)
    world.pass_time(MINUTE_MS)
    assert world.job("low").state is JobState.RUNNING
    world.pass_time(2 * MINUTE_MS)
    assert world.job("low").state is JobState.FAILED


def test_work_that_is_lost_by_leaving_does_not_count_either() -> None:
    world = World(a=AMD64)
    world.submit("low", resources=asks(4), timeouts=limit(10), checkpoint=None)
    world.pass_time(8 * MINUTE_MS)
    world.submit("urgent", resources=asks(4), priority=90)
    world.pass_time(MINUTE_MS)
    world.exit(Ref("urgent", 0, 1), 0)
    world.pass_time(9 * MINUTE_MS)
    assert world.job("low").state is JobState.RUNNING
    world.pass_time(2 * MINUTE_MS)
    assert world.job("low").state is JobState.FAILED


those_behind = st.lists(
    st.tuples(
        st.integers(1, 2),
        st.sampled_from((None, 1, 2, 4, 6)),
        # By when its image is there, in minutes.
        st.sampled_from((None, 0, 1, 3, 5, 9)),
        st.sampled_from((1, 1, 2)),
        st.booleans(),
    ),
    max_size=8,
)


@settings(max_examples=EXAMPLES, deadline=None)
@given(those_behind, st.lists(st.integers(2, 10), min_size=2, max_size=2), st.integers(3, 4), st.integers(1, 2))
def test_whoever_is_let_ahead_and_however_late_it_begins_the_head_starts_by_when_it_was_reckoned_to(
    behind: list[tuple[int, int | None, int | None, int, bool]], minutes: list[int], cores: int, tasks: int
) -> None:
    world = World(a=AMD64, b=AMD64)
    for number, limit_minutes in enumerate(minutes):
        world.submit(f"runs-{number}", resources=asks(2), timeouts=limit(limit_minutes))
    world.submit("head", resources=asks(cores), task_count=tasks)
    world.pass_time(1_000)
    if world.job("head").state is not JobState.QUEUED:
        return
    due_ms = starts_ms(world)
    for site in world.sites.values():
        site.engine.pulls_slowly = True
    comes_ms: dict[str, int] = {}
    for number, (wanted, limit_minutes, pull_minutes, task_count, saves) in enumerate(behind):
        contract = CONTRACT if saves else None
        limits = Timeouts(run_ms=None if limit_minutes is None else limit_minutes * MINUTE_MS)
        name = f"behind-{number}"
        world.submit(name, resources=asks(wanted), timeouts=limits, task_count=task_count, checkpoint=contract)
        for one in [f"{name}-{task}" for task in range(task_count)] if task_count > 1 else [name]:
            comes_ms[one] = world.now_ms + (pull_minutes or 100) * MINUTE_MS
    while world.now_ms < due_ms + SOON_MS and world.job("head").state is JobState.QUEUED:
        world.pass_time(min(10_000, due_ms + SOON_MS - world.now_ms))
        for name, moment_ms in comes_ms.items():
            job = world.job(name)
            if moment_ms <= world.now_ms and job.state is JobState.STARTING:
                world.image_comes(job.node, name)
    assert world.job("head").state is not JobState.QUEUED
