"""A machine that is gone: its job goes on from what it had committed, on another architecture, once."""

import pytest

from headrace.jobs import JobState
from headrace.nodes import NodeState
from tests.cluster.jobs import Tokenized, tokenizer
from tests.cluster.observer import Observer

pytestmark = [pytest.mark.engine, pytest.mark.timeout(600)]

AGENTS = ("amd64", "arm64")
CONTROLLER = {"lease": "5s"}


async def test_a_job_whose_machine_is_gone_goes_on_from_its_checkpoint_on_another_architecture_once(
    eyes: Observer, unmoved: Tokenized
) -> None:
    amd64, arm64 = map(eyes.world.node, AGENTS)
    job = await eyes.client.create_job(tokenizer("checkpoint.interval=1s", "lost_after=12s"))
    await eyes.running(job, on="amd64")
    await eyes.until(job, lambda now: now.checkpoint is not None, "has a checkpoint")
    eyes.world.lose("amd64")
    node = await eyes.node_until("amd64", lambda node: node.state is NodeState.SUSPECT, "is doubted")
    meanwhile = await eyes.client.job(job.name)
    said = await eyes.said(job, "on arm64: goes on after merge")
    eyes.world.start_agent("amd64")
    await eyes.ready("amd64")
    job = await eyes.ended(job)

    assert said
    assert node.jobs == (job.id,)
    assert (meanwhile.state, meanwhile.epoch) == (JobState.RUNNING, 1)
    assert [(one.epoch, one.node) for one in job.attempts] == [(1, amd64), (2, arm64)]
    assert job.outputs is not None
    assert job.outputs.digest == unmoved.digest
    assert eyes.world.starts(job.id) == [1, 2]
