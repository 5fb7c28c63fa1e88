"""Moves that fail: before the commit the job stays, or starts again, where it was; after it, where there is room."""

from dataclasses import replace

import pytest

from deploy.local import cluster
from deploy.local.engine import OwnEngine
from headrace.jobs import Job, JobSpec, JobState, Level, MigrationState, Preference
from headrace.refusals import Refusal
from tests.cluster.jobs import program
from tests.cluster.observer import Observer
from tests.cluster.relay import relay_to

pytestmark = [pytest.mark.engine, pytest.mark.timeout(600)]

AGENTS = ("source", "target")
ENGINES = {"target": "tests-target"}

# Says how often it was begun, and leaves with that saved. Done when it may go on after a second beginning.
COUNTS_ITS_BEGINNINGS = """
import os, pathlib, signal
state, output = pathlib.Path("/checkpoint/state"), pathlib.Path("/output/result")
signal.pthread_sigmask(signal.SIG_BLOCK, [signal.SIGTERM, signal.SIGUSR1])
begun = int(state.read_text()) + 1 if state.exists() else 1
print(f"begun {begun} times", flush=True)
if begun == 1:
    signal.sigwait([signal.SIGTERM])
    state.write_text(str(begun))
    exit(85)
output.write_text(str(begun))
"""


async def test_a_target_that_cannot_have_the_image_leaves_the_job_running_where_it_is(eyes: Observer) -> None:
    async with relay_to(eyes.world.parts.registry) as relay:
        spec = program("stays", COUNTS_ITS_BEGINNINGS, image=f"{relay.address}/headrace/python")
        job = await begun_at_the_source(eyes, spec)
    move = await eyes.moved(job, "target")
    after = await eyes.client.job(job.name)

    assert (move.state, move.target_epoch) == (MigrationState.ABORTED, 0)
    assert "could not bring what it needs" in move.reason
    assert "the registry cannot be reached from the node" in move.reason
    assert "MOVE_ABORTED" in await eyes.events(job)
    assert (after.state, after.epoch, after.node) == (JobState.RUNNING, 1, eyes.world.node("source"))
    assert (await eyes.log(job)).splitlines() == ["begun 1 times"]
    await eyes.client.cancel(job.name)
    await eyes.ended(job, JobState.CANCELLED)


async def test_a_target_that_cannot_start_the_container_gives_the_job_back_with_its_checkpoint(eyes: Observer) -> None:
    job = await begun_at_the_source(eyes, program("comes-back", COUNTS_ITS_BEGINNINGS))
    # Everything can be made ready there, but no container can be connected to it, or to what was connected before.
    engine = OwnEngine(ENGINES["target"])
    bridge = engine._bridge
    bridge.remove()
    cluster.remove_containers(engine.host, [eyes.world.node("target")])
    try:
        move = await eyes.moved(job, "target")
    finally:
        bridge.make()
    job = await eyes.ended(job)

    assert (move.state, move.level, move.target_epoch) == (MigrationState.ABORTED, Level.CHECKPOINT, 2)
    assert "could not start it" in move.reason
    source, target = map(eyes.world.node, AGENTS)
    assert [(one.epoch, one.node) for one in job.attempts] == [(1, source), (2, target), (3, source)]
    assert (await eyes.log(job)).splitlines() == ["begun 1 times", "begun 2 times"]


async def test_a_target_whose_engine_does_not_answer_is_refused(eyes: Observer) -> None:
    job = await begun_at_the_source(eyes, program("waits", COUNTS_ITS_BEGINNINGS))
    without = eyes.world.start_agent("without", host=f"unix://{eyes.world.folder}/no-such-socket")
    await eyes.node_until("without", lambda node: not node.engine.reachable, "reports")

    with pytest.raises(Refusal, match="the node has an engine that does not answer") as refused:
        await eyes.client.migrate(job.name, target=without)

    assert refused.value.reason == "TARGET_UNFIT"
    eyes.world.stop("without")
    await eyes.client.cancel(job.name)
    await eyes.ended(job, JobState.CANCELLED)


async def begun_at_the_source(eyes: Observer, spec: JobSpec) -> Job:
    """The job, which runs at the source and can be asked to leave."""
    job = await eyes.client.create_job(
        replace(spec, prefer=(Preference(f'node == "{eyes.world.node("source")}"', 10),))
    )
    await eyes.said(job, "begun 1 times")
    return await eyes.running(job, on="source")
