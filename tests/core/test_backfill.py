"""Who may start ahead of the job whose turn it is: nobody who would delay it."""

from collections.abc import Collection
from dataclasses import replace

from hypothesis import given
from hypothesis import strategies as st

from controller.core import assignments
from controller.core.backfill import Kept, Scene, delays, earliest, lacks
from controller.core.placement.fit import Place, Usage, choose
from headrace.attempts import Attempt
from headrace.ids import task_id
from headrace.jobs import Job, JobState, Requests, Timeouts
from headrace.nodes import Drain, Engine, Node, NodeState
from tests.core.small_world import GIB, PINS, description, spec

NOW_MS = 1_000_000
GRACE_MS = 5_000


def node(name: str, cores: int = 4) -> Node:
    said = description(cpu_millis=cores * 1000)
    return Node(f"nodes/{name}", NodeState.READY, description=said, engine=Engine(reachable=True))


def job(name: str, cores: int = 1, limit_s: int | None = None, **changes: object) -> Job:
    limits = Timeouts(run_ms=None if limit_s is None else limit_s * 1000)
    wanted = spec(resources=Requests(cores * 1000, GIB // 8), timeouts=limits)
    return replace(Job(f"jobs/{name}", wanted, images=PINS, epoch=1), **changes)  # type: ignore[arg-type]


def running(name: str, at: str, cores: int, limit_s: int | None, ran_s: int = 0) -> Job:
    attempt = Attempt(name, 1, at, start_time_ms=NOW_MS - ran_s * 1000)
    start_ms = NOW_MS - ran_s * 1000
    return job(name, cores, limit_s, state=JobState.RUNNING, node=at, attempts=(attempt,), start_time_ms=start_ms)


def scene(nodes: list[Node], jobs: list[Job], wall_ms: int = NOW_MS) -> Scene:
    def jobs_at(name: str) -> list[Job]:
        return [one for one in jobs if one.node == name]

    def usage(one: Node, gone: Collection[str]) -> Usage:
        return assignments.held(one, jobs_at(one.id), without=gone)

    return Scene({one.id: one for one in nodes}, jobs_at, wall_ms, usage)


def place_of(wanted: Job, seen: Scene) -> Place | None:
    found = choose(wanted, seen.nodes.values(), lambda name: seen.usage(seen.nodes[name], ()), now_wall_ms=seen.wall_ms)
    return found if isinstance(found, Place) else None


HEAD = job("head", cores=4)


def test_a_job_starts_first_where_the_limits_of_those_that_run_are_over_first() -> None:
    jobs = [running("slow", "a", 1, 100), running("fast", "b", 1, 30, ran_s=10)]
    kept = earliest([HEAD], scene([node("a"), node("b")], jobs))
    assert kept == Kept(("b",), ("fast",), NOW_MS + 20_000 + GRACE_MS)


def test_where_a_limit_is_known_comes_before_where_none_is() -> None:
    jobs = [running("endless", "a", 1, None), *(running(f"r{number}", "b", 1, 900) for number in range(3))]
    kept = earliest([HEAD], scene([node("a"), node("b")], jobs))
    assert kept is not None
    assert kept.nodes == ("b",)


def test_where_nothing_tells_when_it_is_kept_where_fewest_have_to_go() -> None:
    jobs = [running("one", "a", 1, None), running("two", "a", 1, None), running("three", "b", 1, None)]
    assert earliest([HEAD], scene([node("a"), node("b")], jobs)) == Kept(("b",), ("three",), None)


def test_for_a_job_that_no_node_could_ever_run_nothing_is_kept() -> None:
    assert earliest([job("huge", cores=5)], scene([node("a")], [])) is None


def test_no_room_is_kept_on_a_node_that_takes_no_jobs() -> None:
    closed = replace(node("a"), drain=Drain.CORDONED)
    assert earliest([HEAD], scene([closed], [running("one", "a", 1, 10)])) is None


def test_a_gang_starts_once_there_is_room_for_all_its_tasks() -> None:
    gang = job("gang", cores=3)
    tasks = [
        replace(gang, name=f"jobs/{task_id('gang', number)}", gang="gang", task=number, spec=gang.spec)
        for number in range(2)
    ]
    jobs = [running("one", "a", 2, 10), running("two", "b", 2, 40)]
    kept = earliest(tasks, scene([node("a"), node("b")], jobs))
    assert kept == Kept(("a", "b"), ("one", "two"), NOW_MS + 40_000 + GRACE_MS)


def test_who_has_gone_by_then_may_start_ahead() -> None:
    seen = scene([node("a")], [running("one", "a", 2, 60)])
    kept = earliest([HEAD], seen)
    assert kept is not None
    short, long = job("short", 1, limit_s=50), job("long", 1, limit_s=70)
    for wanted, is_late in ((short, False), (long, True), (job("endless", 1), True)):
        place = place_of(wanted, seen)
        assert place is not None
        assert delays(kept, HEAD, [wanted], [place], seen) is is_late


def test_who_leaves_enough_beside_it_may_start_ahead_without_a_limit() -> None:
    head, seen = job("head", cores=3), scene([node("a")], [running("one", "a", 2, 60)])
    kept, endless = earliest([head], seen), job("endless", 1)
    place = place_of(endless, seen)
    assert kept is not None
    assert place is not None
    assert not delays(kept, head, [endless], [place], seen)


drawn_jobs = st.lists(
    st.tuples(st.sampled_from("abc"), st.integers(1, 4), st.one_of(st.none(), st.integers(1, 300)), st.integers(0, 60)),
    max_size=10,
)


def some_that_fit(drawn: list[tuple[str, int, int | None, int]]) -> list[Job]:
    left, jobs = dict.fromkeys("abc", 4), []
    for number, (at, cores, limit_s, ran_s) in enumerate(drawn):
        if cores <= left[at]:
            left[at] -= cores
            jobs.append(running(f"r{number}", at, cores, limit_s, ran_s))
    return jobs


@given(
    drawn_jobs,
    st.integers(1, 4),
    st.lists(st.tuples(st.integers(1, 4), st.one_of(st.none(), st.integers(1, 300))), max_size=8),
)
def test_whoever_starts_ahead_the_head_does_not_start_later(
    drawn: list[tuple[str, int, int | None, int]], cores: int, behind: list[tuple[int, int | None]]
) -> None:
    nodes, jobs, head = [node(name) for name in "abc"], some_that_fit(drawn), job("head", cores)
    first = kept = earliest([head], scene(nodes, jobs))
    assert kept is not None
    for number, (its_cores, limit_s) in enumerate(behind):
        seen, wanted = scene(nodes, jobs), job(f"b{number}", its_cores, limit_s)
        place = place_of(wanted, seen)
        if place is None or delays(kept, head, [wanted], [place], seen):
            continue
        jobs.append(running(wanted.id, place.node, its_cores, limit_s))
        if kept.start_ms is None:
            # Where nothing tells when, there is as much room as before once the same have gone.
            assert not lacks(kept, head, (), scene(nodes, jobs))
        kept = earliest([head], scene(nodes, jobs))
        assert kept is not None
        if first is not None and first.start_ms is not None:
            assert kept.start_ms is not None
            assert kept.start_ms <= first.start_ms
