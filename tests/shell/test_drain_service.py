"""Drains over the wire: what an operator asks for comes to the core, and outlasts the controller."""

from pathlib import Path

import pytest

from headrace.nodes import Drain
from headrace.refusals import Refusal
from headrace.units import MAX_DURATION_MS
from tests.shell.running_controller import SPEC, agent, attempt, controller


async def test_a_drain_with_nowhere_to_go_is_refused_unless_it_is_forced(tmp_path: Path) -> None:
    async with controller(tmp_path) as running, agent(running) as node:
        job = await running.client.create_job(SPEC)
        await node.say(attempt(await node.takes(job.id)))

        with pytest.raises(Refusal, match="has nowhere to go: there is no other node") as refused:
            await running.client.drain("n1", deadline_ms=60_000)
        forced = await running.client.drain("n1", deadline_ms=60_000, force=True)

    assert refused.value.reason == "NO_ROOM_ELSEWHERE"
    assert refused.value.metadata["jobs"] == job.id
    assert forced.drain is Drain.DRAINING


async def test_a_drain_and_its_deadline_outlast_the_controller(tmp_path: Path) -> None:
    async with controller(tmp_path) as running, agent(running) as node:
        job = await running.client.create_job(SPEC)
        await node.say(attempt(await node.takes(job.id)))
        before = await running.client.drain("n1", deadline_ms=60_000, force=True)
    async with controller(tmp_path) as running:
        after = await running.client.node("n1")

    assert after.drain is Drain.DRAINING
    assert after.drain_deadline_time_ms == before.drain_deadline_time_ms
    assert after.drain_deadline_time_ms is not None


@pytest.mark.parametrize("deadline_ms", [-1, MAX_DURATION_MS + 1])
async def test_a_deadline_that_is_none_is_refused(tmp_path: Path, deadline_ms: int) -> None:
    async with controller(tmp_path) as running, agent(running) as node:
        await node.say()
        with pytest.raises(Refusal) as refused:
            await running.client.drain("n1", deadline_ms=deadline_ms)

    assert refused.value.reason == "DEADLINE_INVALID"
