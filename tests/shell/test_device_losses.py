"""A card that is lost under a job, by a real agent and a real controller."""

from dataclasses import replace
from pathlib import Path

from agent.accelerators.nvml import Code
from agent.runtimes.runtime import Ref
from headrace.jobs import CheckpointPolicy, Job, JobState, Retry, RetryCause
from tests.contract.fake_nvml import Gpu
from tests.contract.fake_runtime import FakeRuntime
from tests.contract.programs import AtSigterm, Program
from tests.shell.running_controller import controller
from tests.shell.test_device_ledger import NEEDS_ONE, agent, job_that, node_that


def in_epoch(number: int, job: Job) -> bool:
    return job.state is JobState.RUNNING and job.epoch == number


async def test_a_job_on_a_card_that_is_lost_saves_and_goes_on_with_another_card(tmp_path: Path) -> None:
    runtime, cards = FakeRuntime("n1"), (Gpu(0), Gpu(1))
    saves = Program(waits=True, exit_code=85, at_sigterm=AtSigterm.EXITS).command
    spec = replace(NEEDS_ONE, command=saves, checkpoint=CheckpointPolicy("/checkpoint", interval_ms=0))
    async with controller(tmp_path / "c") as running, agent(tmp_path / "a", runtime, running.address, cards):
        await node_that(running.client, lambda node: len(node.devices) == len(cards))
        job = await running.client.create_job(spec)
        before = await job_that(running.client, job, lambda job: in_epoch(1, job))
        (tmp_path / f"a/attempts/{job.id}-0-1/checkpoint/state").write_text("so far")
        cards[0].lost = Code.GPU_IS_LOST
        after = await job_that(running.client, job, lambda job: in_epoch(2, job))
        events = [event.reason async for event in running.client.events(job.name)]

    assert before.attempts[-1].devices == (cards[0].uuid,)
    assert (after.attempts[-1].devices, after.failures) == ((cards[1].uuid,), 0)
    assert after.checkpoint is not None
    assert events.count("DEVICE_LOST") == 1


async def test_a_job_that_fails_with_its_card_is_tried_again_where_it_names_that_cause(tmp_path: Path) -> None:
    runtime, cards = FakeRuntime("n1"), (Gpu(0), Gpu(1))
    spec = replace(NEEDS_ONE, retry=Retry(1, (RetryCause.DEVICE_ERROR,)))
    async with controller(tmp_path / "c") as running, agent(tmp_path / "a", runtime, running.address, cards):
        await node_that(running.client, lambda node: len(node.devices) == len(cards))
        job = await running.client.create_job(spec)
        await job_that(running.client, job, lambda job: in_epoch(1, job))
        cards[0].lost = Code.GPU_IS_LOST
        runtime.exit(Ref(job.id, 0, 1), 1)
        failed = await job_that(running.client, job, lambda job: in_epoch(2, job))

    assert failed.failures == 1
    assert (failed.attempts[0].reason, failed.attempts[0].exit_code) == ("DEVICE_LOST", 1)
    assert cards[0].uuid in failed.attempts[0].message
    # Its node has another one, and is not kept away from as a whole.
    assert failed.attempts[1].devices == (cards[1].uuid,)
