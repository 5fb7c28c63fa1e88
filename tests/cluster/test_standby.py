"""Moves to a container that was started ahead: it runs the job once, after its checkpoint is there, or not at all."""

from contextlib import closing
from dataclasses import replace
from typing import Any

import docker
import pytest

from headrace.jobs import Job, JobState, Migration, MigrationState, Preference
from tests.cluster.jobs import program
from tests.cluster.observer import Observer

pytestmark = [pytest.mark.engine, pytest.mark.timeout(600)]

AGENTS = ("amd64", "arm64", "other")

# Says how it finds things. The first attempt takes its time to leave; the second one is done once it is told to go on.
TAKES_ITS_TIME = """
import os, pathlib, signal, time
state, output = pathlib.Path("/checkpoint/state"), pathlib.Path("/output/result")
signal.pthread_sigmask(signal.SIG_BLOCK, [signal.SIGTERM, signal.SIGUSR1])
found = state.read_text() if state.exists() else "nothing"
print("epoch", os.environ["HEADRACE_EPOCH"], "restored", os.environ["HEADRACE_RESTORED"], "finds", found, flush=True)
if found == "nothing":
    signal.sigwait([signal.SIGTERM])
    time.sleep(2)
    state.write_text("all")
    exit(85)
signal.sigwait([signal.SIGTERM])
output.write_text(found)
"""


@pytest.mark.parametrize("target", ["other", "arm64"])
async def test_a_move_ends_in_the_container_that_was_started_ahead_and_finds_its_checkpoint_there(
    eyes: Observer, target: str
) -> None:
    job = await begun(eyes)

    move = await eyes.moved(job, target)
    await eyes.said(job, "epoch 2")

    assert (move.state, move.reason) == (MigrationState.SUCCEEDED, "")
    assert "prefetch-standby" in [phase.name for phase in move.phases]
    assert container_of(eyes, job, epoch=2)["Args"][0] == "python3"
    assert container_of(eyes, job, epoch=2)["Path"] == "/headrace/init"
    assert eyes.world.starts(job.id) == [1, 2]
    assert (await eyes.log(job)).splitlines() == ["epoch 1 restored 0 finds nothing", "epoch 2 restored 1 finds all"]
    await cancelled(eyes, job)


async def test_an_agent_that_is_killed_while_a_container_waits_starts_its_job_all_the_same_and_once(
    eyes: Observer,
) -> None:
    job = await begun(eyes)
    await eyes.client.migrate(job.name, target=eyes.world.node("other"))
    await freezing(eyes, job)
    eyes.world.kill("other")
    eyes.world.start_agent("other")
    move = await moved(eyes, job)
    await eyes.said(job, "epoch 2")

    assert move.state is MigrationState.SUCCEEDED
    assert eyes.world.starts(job.id) == [1, 2]
    assert "epoch 2 restored 1 finds all" in await eyes.log(job)
    await eyes.comes(lambda: not standbys(eyes), "nothing waits any more")
    await cancelled(eyes, job)


async def test_a_job_that_is_cancelled_while_a_container_waits_for_it_leaves_none(eyes: Observer) -> None:
    job = await begun(eyes)
    await eyes.client.migrate(job.name, target=eyes.world.node("other"))
    await freezing(eyes, job)
    assert standbys(eyes)

    await cancelled(eyes, job)

    await eyes.comes(lambda: not standbys(eyes), "nothing waits any more")
    assert eyes.world.starts(job.id) == [1]


async def test_an_agent_that_is_stopped_while_a_container_waits_leaves_none(eyes: Observer) -> None:
    job = await begun(eyes)
    await eyes.client.migrate(job.name, target=eyes.world.node("other"))
    await freezing(eyes, job)

    eyes.world.stop("other")

    assert not standbys(eyes)
    eyes.world.start_agent("other")
    await moved(eyes, job)
    await cancelled(eyes, job)
    assert eyes.world.starts(job.id) == [1, 2]


async def begun(eyes: Observer) -> Job:
    """A job that runs on amd64, and can be asked to leave."""
    first = Preference(f'node == "{eyes.world.node("amd64")}"', 10)
    job = await eyes.client.create_job(replace(program("ahead", TAKES_ITS_TIME), prefer=(first,)))
    await eyes.said(job, "epoch 1")
    return await eyes.running(job, on="amd64")


async def freezing(eyes: Observer, job: Job) -> None:
    await eyes.until(job, lambda now: now.state is JobState.FREEZING, "is asked to leave")


async def moved(eyes: Observer, job: Job) -> Migration:
    return (await eyes.until(job, lambda now: now.migration is None, "has moved")).migrations[-1]


async def cancelled(eyes: Observer, job: Job) -> None:
    await eyes.client.cancel(job.name)
    await eyes.until(job, lambda now: now.ended, "has ended")


def container_of(eyes: Observer, job: Job, *, epoch: int) -> dict[str, Any]:
    """What the engine knows of the container of an attempt."""
    with closing(docker.APIClient(base_url=eyes.world.parts.engine)) as client:
        wanted = [f"headrace.job={job.id}", f"headrace.epoch={epoch}"]
        [found] = client.containers(all=True, filters={"label": wanted})
        details: dict[str, Any] = client.inspect_container(found["Id"])
        return details


def standbys(eyes: Observer) -> list[str]:
    return [name for name in eyes.world.containers() if name.endswith(".standby")]
