"""Laws of what time may change: whoever looks only there misses nothing."""

from dataclasses import replace

import pytest

from controller.core.watchlist import Watchlist
from headrace.attempts import Attempt, AttemptState, Platform
from headrace.jobs import Job, JobSpec, JobState, Timeouts

PLAIN = Job("jobs/a", JobSpec("a", "image"), epoch=1)
ON_A_CARD = Attempt("a", 1, "n", state=AttemptState.RUNNING, platform=Platform("linux", "amd64"), devices=("GPU-1",))
RUNNING = replace(PLAIN, state=JobState.RUNNING, node="n", attempts=(ON_A_CARD,))


def lists(job: Job) -> dict[str, bool]:
    """In which of the lists a job is that is put after others of its name."""
    watchlist = Watchlist()
    watchlist.put(replace(RUNNING, spec=replace(RUNNING.spec, timeouts=Timeouts(1, 1))))
    watchlist.put(job)
    return {name: job.id in getattr(watchlist, name) for name in ("limited", "on_devices")}


def test_a_job_that_waits_without_a_limit_is_in_no_list() -> None:
    assert not any(lists(PLAIN).values())


@pytest.mark.parametrize("limits", [Timeouts(queue_ms=1), Timeouts(run_ms=1)])
def test_a_job_with_a_limit_is_looked_at_until_it_has_ended(limits: Timeouts) -> None:
    limited = replace(RUNNING, spec=replace(RUNNING.spec, timeouts=limits))

    assert lists(limited)["limited"]
    assert not any(lists(replace(limited, state=JobState.SUCCEEDED)).values())


def test_a_job_that_runs_on_a_device_is_looked_at_and_one_that_runs_on_none_is_not() -> None:
    assert lists(RUNNING)["on_devices"]
    assert not any(lists(replace(RUNNING, attempts=(replace(ON_A_CARD, devices=()),))).values())
