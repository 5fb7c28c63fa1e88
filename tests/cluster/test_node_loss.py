"""A machine that is gone, or a container: the job goes on from what it had committed, on another architecture, once."""

from dataclasses import replace

import pytest

from headrace.jobs import CheckpointPolicy, JobState, Preference
from headrace.nodes import NodeState
from tests.cluster.jobs import SAVES_AT_FIRST, Tokenized, program, tokenizer
from tests.cluster.observer import Observer

pytestmark = [pytest.mark.engine, pytest.mark.timeout(600)]

AGENTS = ("amd64", "arm64")
CONTROLLER = {"lease": "5s"}


async def test_a_job_whose_machine_is_gone_goes_on_from_its_checkpoint_on_another_architecture_once(
    eyes: Observer, unmoved: Tokenized
) -> None:
    amd64, arm64 = map(eyes.world.node, AGENTS)
    job = await eyes.client.create_job(tokenizer("checkpoint.interval=1s", "lost_after=12s", last_epoch=2))
    await eyes.running(job, on="amd64")
    # The first may have found nothing but the file that is written aside, on a slow disk.
    await eyes.until(job, lambda now: now.checkpoint is not None and now.checkpoint.sequence > 1, "saves")
    eyes.world.lose("amd64")
    node = await eyes.node_until("amd64", lambda node: node.state is NodeState.SUSPECT, "is doubted")
    meanwhile = await eyes.client.job(job.name)
    said = await eyes.said(job, "on arm64: goes on after merge")
    eyes.world.start_agent("amd64")
    await eyes.ready("amd64")
    job = await eyes.ended(job, seconds=400)

    assert said
    assert node.jobs == (job.id,)
    assert (meanwhile.state, meanwhile.epoch) == (JobState.RUNNING, 1)
    assert [(one.epoch, one.node) for one in job.attempts] == [(1, amd64), (2, arm64)]
    assert job.outputs is not None
    assert job.outputs.digest == unmoved.digest
    starts = eyes.world.starts(job.id)
    assert len(starts) == len(set(starts))


async def test_a_job_whose_container_somebody_removed_goes_on_within_thirty_seconds(eyes: Observer) -> None:
    amd64 = eyes.world.node("amd64")
    policy = CheckpointPolicy("/checkpoint", interval_ms=1_000, grace_ms=20_000)
    spec = replace(program("removed", SAVES_AT_FIRST), checkpoint=policy, output_path="")
    job = await eyes.client.create_job(replace(spec, prefer=(Preference(f'name == "{amd64}"', 1),)))
    await eyes.running(job, on="amd64")
    await eyes.until(job, lambda now: now.checkpoint is not None, "has a checkpoint")
    eyes.world.remove_containers("amd64")
    again = await eyes.until(job, lambda now: now.epoch == 2 and bool(now.node), "goes on", seconds=30)
    job = await eyes.ended(job)

    assert job.attempts[0].reason == "CONTAINER_MISSING"
    assert again.node != amd64
    assert job.failures == 0
    assert "goes on with all" in await eyes.log(job)
