"""A busy controller judges together what comes together, and keeps nobody waiting for that."""

import asyncio
from dataclasses import replace
from pathlib import Path

import pytest

from controller.core.model import CancelAsked, Effect, Event, Reported, Ticked
from headrace.jobs import JobState
from headrace.refusals import Refusal
from tests.shell.running_controller import SPEC, Running, agent, attempt, controller


async def asked(running: Running) -> None:
    """Somebody wants an answer, and has it."""
    with pytest.raises(Refusal, match="no job"):
        await running.parts.shell.ask(lambda token: CancelAsked(token, "nobody"))


async def test_a_busy_controller_judges_a_report_with_what_comes_next_and_at_once_where_somebody_waits(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with controller(tmp_path) as running, agent(running) as node:
        await node.say()
        placement = await node.takes((await running.client.create_job(SPEC)).id)
        monkeypatch.setattr("controller.shell.BUSY_MS", 60_000)
        await asked(running)

        report = replace(node.report, sequence=node.report.sequence + 100, attempts=(attempt(placement),))
        running.parts.shell.tell(Reported(report))
        assert (await running.client.job(placement.job)).state is JobState.STARTING

        await asked(running)
        assert (await running.client.job(placement.job)).state is JobState.RUNNING


async def test_between_two_beats_the_core_is_told_no_more_than_how_late_it_is(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("controller.shell.TICK_SECONDS", 60)
    async with controller(tmp_path) as running:
        await asked(running)
        cluster, told = running.parts.shell.cluster, []
        handle = cluster.handle

        def handled(event: Event) -> list[Effect]:
            told.append(event)
            return handle(event)

        monkeypatch.setattr(cluster, "handle", handled)
        await asked(running)
        running.parts.shell.tell(running.parts.shell._clock.now())
        await asked(running)

        assert [one.between for one in told if isinstance(one, Ticked)] == [True, False]


async def test_what_comes_turn_by_turn_is_judged_together(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    async with controller(tmp_path) as running:
        shell, together = running.parts.shell, []
        judge = shell._judge

        async def judged(batch: list[Event]) -> None:
            together.append(len([one for one in batch if not isinstance(one, Ticked)]))
            await judge(batch)

        monkeypatch.setattr(shell, "_judge", judged)
        asking = []
        for _ in range(5):
            asking.append(asyncio.create_task(asked(running)))
            await asyncio.sleep(0)
        await asyncio.gather(*asking)

        assert max(together) == 5
