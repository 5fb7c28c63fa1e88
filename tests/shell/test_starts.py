"""What a controller loads, and does not, until it answers; and what it says of what it found."""

import logging
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest

from tests.shell.running_controller import SPEC, agent, controller

LOADS_ALL_BUT = """
import sys
from controller import daemon
print(*({"alembic", "httpx", "starlette", "uvicorn"} & sys.modules.keys()))
"""


def test_what_is_not_needed_to_answer_is_not_loaded_before() -> None:
    done = subprocess.run([sys.executable, "-c", LOADS_ALL_BUT], capture_output=True, check=True, text=True)

    assert done.stdout.strip() == ""


async def test_a_controller_that_starts_counts_the_jobs_that_have_not_ended_and_a_gang_as_one(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    async with controller(tmp_path) as running, agent(running, "a") as node:
        await node.say()
        await running.client.create_job(replace(SPEC, task_count=2))
        # So large that it waits.
        ended = await running.client.create_job(replace(SPEC, resources=replace(SPEC.resources, cpu_millis=4000)))
        await running.client.cancel(ended.id)

    with caplog.at_level(logging.INFO):
        async with controller(tmp_path):
            pass

    assert ": 1 live jobs, 1 nodes" in caplog.text
