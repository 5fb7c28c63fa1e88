"""Laws of submissions as callers meet them: one request is one job, and what no node can run is refused."""

import asyncio
from dataclasses import replace
from pathlib import Path

import pytest

from controller.submissions import Submissions
from headrace.attempts import AttemptState, Platform
from headrace.jobs import Job, JobState
from headrace.refusals import Code, Refusal
from tests.shell.running_controller import SPEC, HandWritten, Running, agent, attempt, controller

S390X = Platform("linux", "s390x")


async def ended_job(running: Running, node: HandWritten, request_id: str = "r") -> Job:
    """A job of that request, which has run and succeeded."""
    await node.say()
    job = await running.client.create_job(SPEC, request_id=request_id)
    placement = await node.takes(job.id)
    await node.say(attempt(placement))
    await node.say(attempt(placement, AttemptState.EXITED, exit_code=0))
    return await running.client.job(job.name)


async def jobs(running: Running) -> list[Job]:
    return [job async for job in running.client.jobs()]


async def test_a_request_that_is_repeated_answers_with_its_job_that_has_ended(tmp_path: Path) -> None:
    async with controller(tmp_path) as running, agent(running) as node:
        ended = await ended_job(running, node)

        assert await running.client.create_job(SPEC, request_id="r") == ended
        assert await jobs(running) == [ended]


async def test_a_request_that_is_repeated_after_a_restart_answers_with_its_job_that_has_ended(tmp_path: Path) -> None:
    async with controller(tmp_path) as running, agent(running) as node:
        ended = await ended_job(running, node)

    async with controller(tmp_path) as again:
        assert await again.client.create_job(SPEC, request_id="r") == ended
        assert await jobs(again) == [ended]


async def test_a_request_that_is_repeated_is_answered_without_the_registry(tmp_path: Path) -> None:
    async with controller(tmp_path) as running:
        first = await running.client.create_job(SPEC, request_id="r")
        running.registry.contents.clear()

        assert await running.client.create_job(SPEC, request_id="r") == first


async def test_a_creation_goes_on_when_its_caller_has_left_and_the_next_caller_shares_it() -> None:
    submissions = Submissions()
    begun, go_on = asyncio.Event(), asyncio.Event()
    made = Job(name="jobs/first", spec=SPEC)

    async def create() -> Job:
        assert not begun.is_set()
        begun.set()
        await go_on.wait()
        return made

    left = asyncio.create_task(submissions.once("r", create))
    await begun.wait()
    left.cancel()
    again = asyncio.create_task(submissions.once("r", create))
    await asyncio.wait([left])
    go_on.set()

    assert await again is made


async def test_a_creation_that_is_over_is_not_shared() -> None:
    submissions = Submissions()
    names = iter(("jobs/first", "jobs/second"))

    async def create() -> Job:
        return Job(name=next(names), spec=SPEC)

    assert [(await submissions.once("r", create)).name for _ in range(2)] == ["jobs/first", "jobs/second"]


async def test_two_requests_at_once_with_one_id_and_two_names_are_one_job(tmp_path: Path) -> None:
    async with controller(tmp_path) as running:
        specs = [SPEC, replace(SPEC, display_name="other")]

        first, second = await asyncio.gather(*(running.client.create_job(spec, request_id="r") for spec in specs))

        assert first == second
        assert await jobs(running) == [first]


@pytest.mark.parametrize("how", ["create_job", "check_job"])
async def test_an_image_that_no_node_can_run_is_refused_and_nothing_is_created(tmp_path: Path, how: str) -> None:
    async with controller(tmp_path) as running, agent(running) as node:
        await node.say()
        running.registry.image(S390X, tag="far")

        with pytest.raises(Refusal, match="for linux/s390x; the nodes that there are run linux/amd64; ") as refused:
            await getattr(running.client, how)(replace(SPEC, image="team/train:far"))

        assert (refused.value.code, refused.value.reason) == (Code.FAILED_PRECONDITION, "IMAGE_NO_NODE")
        assert await jobs(running) == []


async def test_an_image_is_taken_on_while_no_node_is_known(tmp_path: Path) -> None:
    async with controller(tmp_path) as running:
        running.registry.image(S390X, tag="far")

        job = await running.client.create_job(replace(SPEC, image="team/train:far"))

        assert job.state is JobState.QUEUED
