"""Daemons that show each other certificates: jobs move, and go on while certificates are replaced."""

import pytest

from headrace.jobs import JobState, MigrationState
from tests.cluster.jobs import Tokenized, tokenizer
from tests.cluster.observer import Observer

pytestmark = [pytest.mark.engine, pytest.mark.timeout(600)]

AGENTS = ("amd64", "arm64")
CERTIFIED = True


async def test_a_job_moves_and_gives_the_result_of_one_that_did_not(eyes: Observer, unmoved: Tokenized) -> None:
    job = await eyes.client.create_job(tokenizer(last_epoch=3))
    said = await eyes.said(job, "\nmerge ")
    for epoch, target in enumerate(("arm64", "amd64"), 2):
        move = await eyes.moved(job, target)
        assert (move.state, move.reason) == (MigrationState.SUCCEEDED, "")
        said = await eyes.said(job, f"epoch {epoch} on {target}: goes on after merge", after=said)
    job = await eyes.ended(job)

    assert job.outputs is not None
    assert job.outputs.digest == unmoved.digest


async def test_a_job_goes_on_while_its_agent_takes_over_another_certificate(eyes: Observer, unmoved: Tokenized) -> None:
    job = await eyes.client.create_job(tokenizer(f'where=name == "{eyes.world.node("amd64")}"'))
    await eyes.said(job, "\nmerge ")

    eyes.world.certify("amd64")
    log = eyes.world.folder / "amd64" / "agent.log"
    await eyes.comes(lambda: "has another certificate" in log.read_text(), "the agent begins anew")
    job = await eyes.ended(job)

    assert (job.state, job.epoch) == (JobState.SUCCEEDED, 1)
    assert job.outputs is not None
    assert job.outputs.digest == unmoved.digest
    assert eyes.world.starts(job.id) == [1]
