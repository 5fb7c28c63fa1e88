"""A node whose disk is full: what it cannot hold goes elsewhere or fails by name; with room again, it goes on."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import replace
from pathlib import Path

import pytest

from headrace.jobs import JobSpec, JobState, MigrationState, Preference
from tests.cluster.jobs import program
from tests.cluster.observer import Observer
from tests.small_disk import fill, mounted

pytestmark = [pytest.mark.engine, pytest.mark.timeout(300)]

AGENTS = ("roomy",)

DISK_BYTES = 16 << 20

HOLDS_MUCH = """
import os, time
from pathlib import Path
Path(os.environ["HEADRACE_CHECKPOINT_DIR"], "state").write_bytes(os.urandom(4 << 20))
print("holds much", flush=True)
while True:
    time.sleep(1)
"""
TAKES_ALL = """
import os
from pathlib import Path
with Path(os.environ["HEADRACE_CHECKPOINT_DIR"], "state").open("wb") as state:
    while True:
        state.write(os.urandom(1 << 16))
"""


async def test_a_job_that_fills_its_nodes_disk_fails_by_name_and_the_node_goes_on(eyes: Observer) -> None:
    async with small_node(eyes, "small"):
        job = await eyes.ended(await eyes.client.create_job(on_node(eyes, "small", TAKES_ALL)), JobState.FAILED)
        after = await eyes.ended(await eyes.client.create_job(on_node(eyes, "small", "print('fits')")))

    assert "exited with code 1 while the node's disk was full" in job.reason
    assert job.attempts[-1].reason == "NODE_DISK"
    assert after.attempts[-1].node == eyes.world.node("small")


async def test_a_move_to_a_node_whose_disk_is_full_is_given_up_by_name_and_the_job_runs_on(eyes: Observer) -> None:
    async with small_node(eyes, "little") as disk:
        spec = replace(program("much", HOLDS_MUCH), prefer=(Preference(f'name == "{eyes.world.node("roomy")}"', 1),))
        spec = replace(spec, checkpoint=replace(spec.checkpoint, interval_ms=1000))
        job = await eyes.client.create_job(spec)
        job = await eyes.until(job, lambda now: now.checkpoint is not None, "has a checkpoint")
        fill(disk)

        await eyes.client.migrate(job.name, target=eyes.world.node("little"))
        job = await eyes.until(job, lambda now: now.migration is None, "its move has ended")
        (disk / "filler").unlink()
        await eyes.ended(await eyes.client.create_job(on_node(eyes, "little", "print('fits')")))
        await eyes.client.cancel(job.name)

    assert job.migrations[-1].state is MigrationState.ABORTED
    assert "there is no room left in" in job.migrations[-1].reason
    assert (job.state, job.epoch) == (JobState.RUNNING, 1)


@asynccontextmanager
async def small_node(eyes: Observer, name: str) -> AsyncIterator[Path]:
    """A node whose agent keeps all that it has on a small disk; answers the agent's folder there.

    Each test takes a name of its own: one that has just left is taken to be ready for some seconds still.
    """
    state = eyes.world.folder / name / "state"
    with mounted(state, DISK_BYTES):
        eyes.world.start_agent(name)
        await eyes.ready(name)
        yield state
        await eyes.comes(lambda: not any((state / "attempts").iterdir()), "no attempt is left on the small disk")
        eyes.world.stop(name)


def on_node(eyes: Observer, name: str, text: str) -> JobSpec:
    return replace(program("fills", text), where=f'name == "{eyes.world.node(name)}"', output_path="")
