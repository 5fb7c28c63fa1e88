"""An engine that takes its jobs along when it goes: the jobs have not failed, and go on elsewhere."""

from dataclasses import replace

import pytest

from headrace.attempts import AttemptState
from headrace.jobs import CheckpointPolicy, JobSpec, Preference
from tests.cluster import fragile
from tests.cluster.jobs import SAVES_AT_FIRST, program
from tests.cluster.observer import Observer

pytestmark = [pytest.mark.engine, pytest.mark.timeout(600)]

AGENTS = ("weak", "strong")
ENGINES = {"weak": fragile.NAME}

WAITS_AT_FIRST = """
import os, time
print("waits", flush=True)
while os.environ["HEADRACE_EPOCH"] == "1":
    time.sleep(1)
"""


@pytest.mark.parametrize("how", ["leaves in order", "dies", "loses its power"])
async def test_a_job_that_went_down_with_its_engine_starts_again_elsewhere(eyes: Observer, how: str) -> None:
    job = await eyes.client.create_job(preferring_the_weak(eyes, replace(a_program(WAITS_AT_FIRST), checkpoint=None)))
    await eyes.said(job, "waits")
    if how == "leaves in order":
        fragile.dockerd().stop()
    else:
        fragile.dockerd().kill()
    if how == "loses its power":
        # containerd and what it had started outlive a dockerd that was killed.
        fragile.engine().stop()
    await eyes.node_until("weak", lambda node: not node.engine.reachable, "says that its engine is away")
    fragile.start_again()
    job = await eyes.ended(job)

    lost, last = job.attempts
    assert (lost.exit_code, lost.reason) == (None, "ENGINE_STOPPED")
    assert (last.epoch, last.node, last.exit_code) == (2, eyes.world.node("strong"), 0)


async def test_a_job_that_went_down_with_its_engine_goes_on_with_what_it_had_saved(eyes: Observer) -> None:
    job = await eyes.client.create_job(preferring_the_weak(eyes, a_program(SAVES_AT_FIRST)))
    await eyes.said(job, "has saved")
    fragile.dockerd().stop()
    await eyes.node_until("weak", lambda node: not node.engine.reachable, "says that its engine is away")
    fragile.start_again()
    job = await eyes.ended(job)

    assert job.attempts[0].reason == "ENGINE_STOPPED"
    assert "goes on with all" in await eyes.log(job)


async def test_what_an_engine_was_to_start_when_it_hung_is_started_elsewhere(eyes: Observer) -> None:
    with fragile.held_still(fragile.dockerd()):
        job = await eyes.client.create_job(preferring_the_weak(eyes, replace(a_program("print()"), checkpoint=None)))
        await eyes.node_until("weak", lambda node: not node.engine.reachable, "notices within seconds", seconds=20)
        job = await eyes.ended(job)

    refused, last = job.attempts
    assert (refused.state, refused.reason) == (AttemptState.REFUSED, "ENGINE_UNREACHABLE")
    assert (last.node, last.exit_code) == (eyes.world.node("strong"), 0)
    assert eyes.world.starts(job.id) == [2]


def a_program(text: str) -> JobSpec:
    # It is long until its checkpoint is taken without need.
    policy = CheckpointPolicy("/checkpoint", interval_ms=0, grace_ms=20_000)
    return replace(program("lost", text), checkpoint=policy, output_path="")


def preferring_the_weak(eyes: Observer, spec: JobSpec) -> JobSpec:
    return replace(spec, prefer=(Preference(f'name == "{eyes.world.node("weak")}"', 1),))
