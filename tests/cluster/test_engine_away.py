"""An engine that does not answer is unreachable, which is not failed: nothing is concluded until it is back."""

import os
import signal
from collections.abc import Iterator
from contextlib import contextmanager

import pytest

from deploy.local.engine import OwnEngine
from deploy.local.processes import Process
from headrace.jobs import Job, JobState
from tests.cluster.jobs import Tokenized, goes_on_where_it_left, tokenizer, work_in
from tests.cluster.observer import Observer

pytestmark = [pytest.mark.engine, pytest.mark.timeout(600)]

AGENTS = ("alone",)
ENGINES = {"alone": "tests-away"}


async def test_an_engine_that_hangs_for_a_while_costs_a_job_nothing(eyes: Observer, unmoved: Tokenized) -> None:
    job = await eyes.client.create_job(tokenizer())
    await eyes.said(job, "\nmerge ")
    with held_still(dockerd()):
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
        dockerd().kill()
    else:
        dockerd().stop()
    node = await eyes.node_until("alone", lambda node: not node.engine.reachable, "says that its engine is away")
    meanwhile = await eyes.client.job(job.name)
    start_again()
    job = await eyes.ended(job)

    assert node.engine.message
    assert not meanwhile.ended
    assert same_result(job, unmoved)
    assert work_in(await eyes.log(job)) == unmoved.log
    assert goes_on_where_it_left(await eyes.log(job))


def dockerd() -> Process:
    process = OwnEngine(ENGINES["alone"]).process()
    assert process is not None
    return process


def start_again() -> None:
    """Starts the engine on what it left."""
    engine = OwnEngine(ENGINES["alone"])
    # containerd dies with it. Where nobody reaps it, dockerd would take its zombie for the living, and wait.
    (engine._sockets / "exec" / "containerd" / "containerd.pid").unlink(missing_ok=True)
    engine.start()


@contextmanager
def held_still(process: Process) -> Iterator[None]:
    os.kill(process.pid, signal.SIGSTOP)
    try:
        yield
    finally:
        os.kill(process.pid, signal.SIGCONT)


def same_result(job: Job, unmoved: Tokenized) -> bool:
    return job.outputs is not None and job.outputs.digest == unmoved.digest
