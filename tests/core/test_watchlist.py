"""Laws of what time may change: whoever looks only there misses nothing."""

import sys
from dataclasses import replace

from hypothesis import given
from hypothesis import strategies as st

from controller.core.watchlist import FEW, Watchlist
from headrace.attempts import Attempt, AttemptState, Platform
from headrace.jobs import Job, JobSpec, JobState, Timeouts

PLAIN = Job("jobs/a", JobSpec("a", "image"), epoch=1)
ON_A_CARD = Attempt("a", 1, "n", state=AttemptState.RUNNING, platform=Platform("linux", "amd64"), devices=("GPU-1",))
RUNNING = replace(PLAIN, state=JobState.RUNNING, node="n", attempts=(ON_A_CARD,))


def lists(job: Job) -> dict[str, bool]:
    """In which of the lists a job is that is put after others of its name."""
    watchlist = Watchlist()
    watchlist.put(replace(RUNNING, spec=replace(RUNNING.spec, task_count=2)))
    watchlist.put(job)
    return {name: job.id in getattr(watchlist, name) for name in ("limited", "on_devices")}


def test_a_job_that_waits_without_a_limit_is_in_no_list() -> None:
    assert not any(lists(PLAIN).values())


def limited(job: Job, **limits: int) -> Job:
    return replace(job, spec=replace(job.spec, timeouts=Timeouts(**limits)))


@given(
    st.lists(
        st.tuples(
            st.sampled_from("abc"),
            st.sampled_from((JobState.QUEUED, JobState.RUNNING, JobState.FREEZING, JobState.SUCCEEDED)),
            st.integers(0, 30),
        ),
        max_size=40,
    )
)
def test_a_job_is_told_once_when_it_has_reached_a_limit_as_it_is(puts: list[tuple[str, JobState, int]]) -> None:
    watchlist, reached = Watchlist(), dict[str, int]()
    for now, (name, state, since) in enumerate(puts):
        started = None if state is JobState.QUEUED else since
        job = replace(PLAIN, name=f"jobs/{name}", state=state, queue_time_ms=since, start_time_ms=started)
        watchlist.put(limited(job, queue_ms=5, run_ms=9))
        limit = {JobState.QUEUED: 5, JobState.RUNNING: 9}.get(state)
        reached.pop(name, None)
        if limit is not None:
            reached[name] = since + limit
        over = {one for one, moment in reached.items() if moment < now}
        assert set(watchlist.over(now)) == over
        for one in over:
            del reached[one]


def test_moments_that_are_none_any_more_are_forgotten() -> None:
    watchlist = Watchlist()
    for since in range(10 * FEW):
        watchlist.put(limited(replace(PLAIN, queue_time_ms=since), queue_ms=1_000_000))
    assert sys.getsizeof(watchlist._limits._next) < 20 * FEW


def test_a_job_that_runs_on_a_device_is_looked_at_and_one_that_runs_on_none_is_not() -> None:
    assert lists(RUNNING)["on_devices"]
    assert not any(lists(replace(RUNNING, attempts=(replace(ON_A_CARD, devices=()),))).values())
