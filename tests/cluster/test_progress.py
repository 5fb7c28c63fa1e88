"""A job that tells its steps: by a real agent, they come into its record, timed."""

import pytest

from headrace.jobs import Job
from tests.cluster.jobs import program
from tests.cluster.observer import Observer

pytestmark = [pytest.mark.engine, pytest.mark.timeout(600)]

AGENTS = ("one",)

# A hundred steps a second, of a million, counted by the clock: a machine that is busy skips some.
TELLS_STEPS = """
import os, time
begun = time.monotonic()
while True:
    with open(os.environ["HEADRACE_PROGRESS_FILE"] + ".new", "w") as file:
        file.write(f"{int(100 * (time.monotonic() - begun))} 1000000")
    os.replace(file.name, os.environ["HEADRACE_PROGRESS_FILE"])
    time.sleep(0.1)
"""


def timed_millis(job: Job) -> int:
    steps = job.attempt.steps if job.attempt is not None else None
    return 0 if steps is None else steps.timed_millis


async def test_the_steps_that_a_job_tells_are_in_its_record_with_its_pace(eyes: Observer) -> None:
    job = await eyes.client.create_job(program("steps", TELLS_STEPS))

    now = await eyes.until(job, lambda one: timed_millis(one) > 0, "its steps are timed", 240)
    await eyes.client.cancel(job.name)

    assert now.attempt is not None
    assert now.attempt.steps is not None
    assert now.attempt.steps.total_count == 1_000_000
    assert 8_000_000 < (now.attempt.steps.whole_millis or 0) < 12_000_000
