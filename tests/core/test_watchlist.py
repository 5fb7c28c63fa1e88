"""Laws of what time may change: whoever looks only there misses nothing."""

from dataclasses import replace

import pytest

from controller.core.watchlist import Watchlist
from headrace.attempts import Attempt, AttemptState, Platform
from headrace.jobs import AcceleratorRequest, Exclusion, Job, JobSpec, JobState, Requests, Timeouts

PLAIN = Job("jobs/a", JobSpec("a", "image"), epoch=1)
ON_A_CARD = Attempt("a", 1, "n", state=AttemptState.RUNNING, platform=Platform("linux", "amd64"), devices=("GPU-1",))
RUNNING = replace(PLAIN, state=JobState.RUNNING, node="n", attempts=(ON_A_CARD,))


def lists(job: Job) -> dict[str, bool]:
    """In which of the lists a job is that is put after others of its name."""
    watchlist = Watchlist()
    watchlist.put(replace(RUNNING, spec=replace(RUNNING.spec, timeouts=Timeouts(1, 1))))
    watchlist.put(job)
    return {
        name: job.id in getattr(watchlist, name) for name in ("waiting", "choosy", "pausing", "limited", "on_devices")
    }


def test_a_job_that_waits_is_among_those_that_wait_alone() -> None:
    assert [name for name, holds in lists(PLAIN).items() if holds] == ["waiting"]


@pytest.mark.parametrize(
    "spec",
    [
        replace(PLAIN.spec, where='region == "west"'),
        replace(PLAIN.spec, resources=Requests(accelerators=AcceleratorRequest(1, where='vendor == "amd"'))),
    ],
)
def test_a_job_whose_place_depends_on_readings_is_choosy_while_it_waits(spec: JobSpec) -> None:
    assert lists(replace(PLAIN, spec=spec))["choosy"]
    assert not lists(replace(RUNNING, spec=spec))["choosy"]


def test_a_job_that_keeps_away_from_a_node_is_looked_at_when_that_is_over() -> None:
    assert lists(replace(PLAIN, exclusions=(Exclusion("n", "failed there", 5),)))["pausing"]


@pytest.mark.parametrize("limits", [Timeouts(queue_ms=1), Timeouts(run_ms=1)])
def test_a_job_with_a_limit_is_looked_at_until_it_has_ended(limits: Timeouts) -> None:
    limited = replace(RUNNING, spec=replace(RUNNING.spec, timeouts=limits))

    assert lists(limited)["limited"]
    assert not any(lists(replace(limited, state=JobState.SUCCEEDED)).values())


def test_a_job_that_runs_on_a_device_is_looked_at_and_one_that_runs_on_none_is_not() -> None:
    assert lists(RUNNING)["on_devices"]
    assert not any(lists(replace(RUNNING, attempts=(replace(ON_A_CARD, devices=()),))).values())
