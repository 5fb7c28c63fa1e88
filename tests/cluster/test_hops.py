"""A job that moves again and again between architectures: its result is that of one that never moved."""

import pytest

from headrace.jobs import Level, MigrationState
from tests.cluster.jobs import Tokenized, goes_on_where_it_left, tokenizer, work_in
from tests.cluster.observer import Observer

pytestmark = [pytest.mark.engine, pytest.mark.timeout(600)]

AGENTS = ("amd64", "arm64")
HOPS = 10


async def test_the_arm64_node_is_an_arm64_program(eyes: Observer) -> None:
    node = await eyes.client.node(eyes.world.node("arm64"))

    assert [platform.architecture for platform in node.description.platforms] == ["arm64"]


async def test_a_job_that_moved_ten_times_gives_the_result_and_the_log_of_one_that_never_moved(
    eyes: Observer, unmoved: Tokenized
) -> None:
    job = await eyes.client.create_job(tokenizer(last_epoch=HOPS + 1))
    said = await eyes.said(job, "\nmerge ")
    for hop in range(HOPS):
        target = AGENTS[(hop + 1) % 2]
        move = await eyes.moved(job, target)
        assert (move.state, move.level, move.reason) == (MigrationState.SUCCEEDED, Level.CHECKPOINT, "")
        said = await eyes.said(job, f"epoch {hop + 2} on {target}: goes on after merge", after=said)
    job = await eyes.ended(job)

    assert job.outputs is not None
    assert job.outputs.digest == unmoved.digest
    assert [one.platform.architecture for one in job.attempts if one.platform] == [*AGENTS * (HOPS // 2), "amd64"]
    log = await eyes.log(job)
    assert work_in(log) == unmoved.log
    assert goes_on_where_it_left(log)
