"""`make down` has jobs save before it ends what runs, and `make up` opens the nodes again."""

import asyncio
from dataclasses import replace
from pathlib import Path

from deploy.local.saving import reopened, saved
from headrace.attempts import AttemptState, Checkpoint
from headrace.jobs import CheckpointPolicy, JobState
from headrace.nodes import Drain
from headrace.sessions import Goal
from tests.shell.running_controller import SPEC, agent, attempt, controller
from tests.shell.test_controller import placed

SAVING = replace(SPEC, checkpoint=CheckpointPolicy("/checkpoint"))


async def test_jobs_save_and_leave_before_all_ends_and_go_on_once_all_is_back(tmp_path: Path) -> None:
    record = tmp_path / "drained"
    async with controller(tmp_path / "c") as running, agent(running) as node:
        job, placement = await placed(running, node, SAVING)
        await node.say(attempt(placement))

        leaving = asyncio.create_task(saved(running.address, ["n1", "n2"], record))
        await node.hears(lambda told: any(one.goal is Goal.FREEZE for one in told.placements))
        checkpoint = Checkpoint("sha256:" + "a" * 64, 1, 1)
        exited = {"exit_code": 85, "checkpoint": checkpoint, "saved_on_request": True}
        await node.say(attempt(placement, AttemptState.EXITED, **exited))
        await node.say()

        assert await leaving == []
        now = await running.client.job(job.name)
        assert (now.state, now.checkpoint) == (JobState.QUEUED, checkpoint)
        assert (await running.client.node("n1")).drain is Drain.DRAINED

        await reopened(running.address, record)
        assert (await node.takes(job.id)).restore == checkpoint.digest
        assert not record.exists()


async def test_a_job_that_does_not_save_in_time_is_named(tmp_path: Path) -> None:
    async with controller(tmp_path / "c") as running, agent(running) as node:
        job, placement = await placed(running, node, SAVING)
        await node.say(attempt(placement))

        assert await saved(running.address, ["n1"], tmp_path / "drained", seconds=0.1) == [job.id]


async def test_a_node_that_took_no_jobs_before_takes_none_again_though_it_was_asked_twice(tmp_path: Path) -> None:
    record = tmp_path / "drained"
    async with controller(tmp_path / "c") as running, agent(running, "a") as open_one, agent(running, "b") as closed:
        await open_one.say()
        await closed.say()
        await running.client.cordon("b")
        for _ in range(2):
            assert await saved(running.address, ["a", "b"], record) == []

        await reopened(running.address, record)

        assert {node.id: node.drain async for node in running.client.nodes()} == {"a": Drain.NONE, "b": Drain.CORDONED}
