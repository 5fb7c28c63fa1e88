"""An engine that does not answer is unreachable, which is not failed: nothing is concluded until it is back."""

import pytest

from headrace.jobs import Job, JobState
from tests.cluster import fragile
from tests.cluster.jobs import Tokenized, goes_on_where_it_left, tokenizer, work_in
from tests.cluster.observer import Observer

pytestmark = [pytest.mark.engine, pytest.mark.timeout(600)]

AGENTS = ("alone",)
ENGINES = {"alone": fragile.NAME}


async def test_an_engine_that_hangs_for_a_while_costs_a_job_nothing(eyes: Observer, unmoved: Tokenized) -> None:
    job = await eyes.client.create_job(tokenizer())
    await eyes.said(job, "\nmerge ")
    with fragile.held_still(fragile.dockerd()):
        # Its agent reports on, at its usual pace.
        since = (await eyes.client.node(eyes.world.node("alone"))).report_time_ms or 0
        await eyes.node_until("alone", lambda node: (node.report_time_ms or 0) > since + 6000, "reports on")
        meanwhile = await eyes.client.job(job.name)
    job = await eyes.ended(job)

    assert (meanwhile.state, meanwhile.epoch) == (JobState.RUNNING, 1)
    assert eyes.world.starts(job.id) == [1]
    assert same_result(job, unmoved)
    assert work_in(await eyes.log(job)) == unmoved.log


@pytest.mark.parametrize("how", ["leaves in order", "dies"])
async def test_an_engine_that_is_gone_is_unreachable_and_its_job_goes_on_once_it_is_back(
    eyes: Observer, unmoved: Tokenized, how: str
) -> None:
    job = await eyes.client.create_job(tokenizer())
    await eyes.said(job, "\nmerge ")
    if how == "dies":
        fragile.dockerd().kill()
    else:
        fragile.dockerd().stop()
    node = await eyes.node_until("alone", lambda node: not node.engine.reachable, "says that its engine is away")
    meanwhile = await eyes.client.job(job.name)
    fragile.start_again()
    job = await eyes.ended(job)

    assert node.engine.message
    assert not meanwhile.ended
    assert same_result(job, unmoved)
    assert work_in(await eyes.log(job)) == unmoved.log
    assert goes_on_where_it_left(await eyes.log(job))


def same_result(job: Job, unmoved: Tokenized) -> bool:
    return job.outputs is not None and job.outputs.digest == unmoved.digest
