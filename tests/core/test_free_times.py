"""Laws of when capacity would be free."""

from dataclasses import replace

from hypothesis import given
from hypothesis import strategies as st

from controller.core.capacity import Site
from controller.core.free_times import free_time, free_times, gone_by_ms
from headrace import query
from headrace.attempts import Attempt
from headrace.jobs import CheckpointPolicy, Job, JobSpec, JobState, Requests, Timeouts
from headrace.nodes import Drain, Node, NodeState
from headrace.searches import FreeTime
from tests.core.test_searches import GIB, gpu, node

NOW_MS = 10_000_000
HOUR_MS = 3_600_000
GRACE_MS = 30_000


def job(
    name: str,
    *devices: str,
    cpu_millis: int = 4_000,
    limit_ms: int | None = HOUR_MS,
    start_ms: int | None = NOW_MS - 60_000,
    state: JobState = JobState.RUNNING,
) -> Job:
    spec = JobSpec(
        name,
        "x",
        resources=Requests(cpu_millis, GIB),
        timeouts=Timeouts(run_ms=limit_ms),
        checkpoint=CheckpointPolicy("/checkpoint", grace_ms=GRACE_MS),
    )
    attempts = (Attempt(name, 1, devices=devices),)
    return Job(f"jobs/{name}", spec, state, node="a", epoch=1, attempts=attempts, start_time_ms=start_ms)


def when(text: str, *jobs: Job, here: Node | None = None) -> FreeTime | None:
    site = Site(here or node("a", gpu("g1"), gpu("g2")), jobs)
    return free_time(query.parse(text, query.NODE_FIELDS), site, wall_ms=NOW_MS)


def test_what_is_free_is_free_now() -> None:
    assert when("capacity.cpu >= 4", job("x")) == FreeTime("a", NOW_MS, (), "free now")


def test_what_a_job_has_is_free_once_its_limit_and_its_grace_are_over() -> None:
    running = job("x", start_ms=NOW_MS - 60_000)

    found = when("capacity.cpu >= 8", running)

    assert found == FreeTime("a", NOW_MS - 60_000 + HOUR_MS + GRACE_MS, ("x",), "once x has ended")


def test_only_those_jobs_are_waited_for_that_must_end_first() -> None:
    early, late = job("early", "g1", start_ms=NOW_MS - 500_000), job("late", "g2", start_ms=NOW_MS - 100_000)

    one = when("gpu.count >= 1", early, late)
    both = when("gpu.count >= 2", early, late)

    assert one is not None
    assert one.jobs == ("early",)
    assert both == FreeTime("a", gone_by_ms(late, NOW_MS), ("early", "late"), "once early, late have ended")


def test_behind_a_job_without_a_limit_the_time_is_unknown_and_that_is_said() -> None:
    found = when("gpu.count >= 2", job("endless", "g1", limit_ms=None), job("ends", "g2"))

    assert found == FreeTime("a", None, ("endless",), "endless has no timeouts.run")


def test_behind_a_job_that_has_not_started_the_time_is_unknown_and_that_is_said() -> None:
    found = when("gpu.count >= 2", job("new", "g1", start_ms=None, state=JobState.STARTING))

    assert found == FreeTime("a", None, ("new",), "new has not started yet")


def test_a_job_without_a_limit_that_is_not_in_the_way_is_no_matter() -> None:
    found = when("gpu.count >= 1", job("endless", "g1", cpu_millis=1, limit_ms=None), job("ends", "g2"))

    assert found is not None
    assert found.jobs == ("ends",)


def test_a_job_that_was_asked_to_leave_has_its_grace() -> None:
    leaving = job("x", "g1", limit_ms=None, state=JobState.CANCELLING)

    found = when("gpu.count >= 2", leaving)

    assert found is not None
    assert found.free_time_ms == NOW_MS + GRACE_MS


def test_a_device_that_is_held_by_what_is_no_job_is_not_waited_for() -> None:
    held = node("a", gpu("g1", holders=("container jupyter", "jobs/x")), gpu("g2", holders=("jobs/x",)))

    assert when("gpu.count >= 2", job("x", "g1", "g2"), here=held) is None
    assert when("gpu.count >= 1", job("x", "g1", "g2"), here=held) is not None


def test_what_a_node_does_not_have_it_will_never_have() -> None:
    assert when("gpu.count >= 3", job("x", "g1")) is None


def test_the_earliest_comes_first_and_the_unknown_last_and_closed_nodes_are_left_out() -> None:
    sites = [
        Site(node("unknown", gpu("1")), [replace(job("x", "1", limit_ms=None), node="unknown")]),
        Site(node("late", gpu("2")), [replace(job("y", "2"), node="late")]),
        Site(node("now", gpu("3")), []),
        Site(node("cordoned", gpu("4"), drain=Drain.CORDONED), []),
        Site(node("doubted", gpu("5"), state=NodeState.SUSPECT), []),
    ]

    found = free_times(query.parse("gpu.count >= 1", query.NODE_FIELDS), sites, wall_ms=NOW_MS, limit=10)

    assert [one.node for one in found] == ["now", "late", "unknown"]


JOBS = st.lists(
    st.builds(
        job,
        st.uuids().map(str),
        cpu_millis=st.integers(0, 3_000),
        limit_ms=st.none() | st.integers(0, 10 * HOUR_MS),
        start_ms=st.none() | st.integers(0, NOW_MS),
        state=st.sampled_from([JobState.STARTING, JobState.RUNNING, JobState.FREEZING, JobState.CANCELLING]),
    ),
    max_size=6,
)


@given(JOBS, st.integers(1, 8_000))
def test_it_is_never_before_the_end_of_any_job_that_must_end_nor_later_than_needed(
    jobs: list[Job], wanted: int
) -> None:
    # How much is free without any of those that stay.
    def left(gone: tuple[str, ...]) -> int:
        return max(0, 8_000 - sum(one.spec.resources.cpu_millis for one in jobs if one.id not in gone))

    found = when(f"capacity.cpu >= {wanted}m", *jobs)

    if found is None:
        assert left(tuple(one.id for one in jobs)) < wanted
    elif found.free_time_ms is None:
        assert left(tuple(one.id for one in jobs if gone_by_ms(one, NOW_MS) is not None)) < wanted
        assert all(gone_by_ms(one, NOW_MS) is None for one in jobs if one.id in found.jobs)
    else:
        ends = [gone_by_ms(one, NOW_MS) for one in jobs if one.id in found.jobs]
        assert all(end is not None and end <= found.free_time_ms for end in ends)
        assert left(found.jobs) >= wanted
        assert not found.jobs or left(found.jobs[:-1]) < wanted
        assert found.free_time_ms == max([NOW_MS, *(end for end in ends if end is not None)])


@given(JOBS)
def test_no_job_is_gone_before_its_own_time_is_over(jobs: list[Job]) -> None:
    for one in jobs:
        end, limit = gone_by_ms(one, NOW_MS), one.spec.timeouts.run_ms
        assert end is None or end >= NOW_MS
        if one.state is not JobState.CANCELLING and end is not None:
            assert limit is not None
            assert one.start_time_ms is not None
            assert end >= one.start_time_ms + limit
