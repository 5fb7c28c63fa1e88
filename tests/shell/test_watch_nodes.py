"""Nodes that join, are lost or change, as those see it who watch: the real controller, and agents written by hand."""

import asyncio
import time
from collections.abc import AsyncGenerator, Callable
from contextlib import aclosing
from dataclasses import replace
from pathlib import Path

import pytest

from controller.core.leases import REPORTS_A_LEASE, lease_of
from controller.core.model import Event, SessionOver
from controller.core.policy import Policy
from headrace.nodes import Device, Health, Load, Node, NodeState
from headrace.refusals import Refusal
from tests.shell.controller_double import begin
from tests.shell.running_controller import LEASE_MS, SPEC, agent, controller

# A node that joins is to be seen within 2 s, and one that is lost within 10 s, with the lease that we are shipped with.
SEEN_SECONDS = 2.0

GPU = Device("GPU-1", "gpu", "nvidia", "H100", memory_bytes=80 << 30, busy_percent=1.0, health=Health.HEALTHY)


async def seen(watch: AsyncGenerator[Node], wanted: Callable[[Node], bool]) -> Node:
    """The next node in the watch that is as wanted."""
    while not wanted(node := await anext(watch)):
        pass
    return node


async def test_a_node_that_joins_is_seen_at_once(tmp_path: Path) -> None:
    async with (
        controller(tmp_path) as running,
        aclosing(running.client.watch_nodes()) as watch,
        agent(running, "other") as there,
        agent(running, "new") as joining,
    ):
        await there.say()
        await seen(watch, lambda node: node.id == "other")
        async with asyncio.timeout(SEEN_SECONDS):
            await joining.say()
            node = await seen(watch, lambda node: node.id == "new")

    assert node.state is NodeState.READY


async def test_a_node_that_is_lost_is_doubted(tmp_path: Path) -> None:
    async with (
        controller(tmp_path) as running,
        aclosing(running.client.watch_nodes()) as watch,
        agent(running, "lost") as there,
    ):
        await there.say()
        heard = time.monotonic()
        await seen(watch, lambda node: node.state is NodeState.READY)

        await seen(watch, lambda node: node.state is NodeState.SUSPECT)
        silent_seconds = time.monotonic() - heard

    # `say` repeats a report until it is answered: the last one may have come a moment later.
    assert silent_seconds > lease_of(Policy(lease_ms=LEASE_MS), 1).suspect_ms / 1000 - SEEN_SECONDS


async def test_a_job_whose_node_is_doubted_says_so_when_it_is_asked_for(tmp_path: Path) -> None:
    async with (
        controller(tmp_path) as running,
        aclosing(running.client.watch_nodes()) as watch,
        agent(running, "lost") as there,
    ):
        await there.say()
        job = await running.client.create_job(SPEC)
        await there.takes(job.id)

        await seen(watch, lambda node: node.state is NodeState.SUSPECT)
        shown, [listed] = await running.client.job(job.name), [one async for one in running.client.jobs()]

    assert shown.reason.startswith("lost does not report since ")
    assert listed.reason == shown.reason
    assert not running.parts.store.job(job.id).reason  # type: ignore[union-attr]


def test_with_the_lease_that_is_shipped_a_lost_node_is_doubted_within_ten_seconds_of_its_last_report() -> None:
    lease = lease_of(Policy(), 1)

    # The beat of ticks, and the time to save and to tell, come on top.
    assert lease.suspect_ms <= 9_000
    assert lease.suspect_ms < lease.node_ms
    # It reports three times a lease: one report may be late.
    assert lease.suspect_ms > 1.5 * lease.agent_ms / REPORTS_A_LEASE


async def test_a_change_of_a_device_is_seen_with_the_report_that_tells_it(tmp_path: Path) -> None:
    ill = replace(GPU, health=Health.UNHEALTHY, health_reason="Xid 79")
    async with (
        controller(tmp_path) as running,
        aclosing(running.client.watch_nodes()) as watch,
        agent(running, "a") as there,
    ):
        await there.say(devices=(GPU,))
        await seen(watch, lambda node: node.devices == (GPU,))
        await there.say(devices=(ill,))
        async with asyncio.timeout(SEEN_SECONDS):
            node = await seen(watch, lambda node: node.devices != (GPU,))

    assert node.devices == (ill,)


async def test_readings_alone_are_told_only_to_those_who_ask_for_them(tmp_path: Path) -> None:
    warm = replace(GPU, busy_percent=99.0, temperature_celsius=80.0)
    async with (
        controller(tmp_path) as running,
        aclosing(running.client.watch_nodes()) as watch,
        aclosing(running.client.watch_nodes(readings=True)) as close_watch,
        agent(running, "a") as there,
    ):
        await there.say(devices=(GPU,))
        await seen(watch, lambda node: node.devices == (GPU,))
        await seen(close_watch, lambda node: node.devices == (GPU,))
        await there.say(devices=(warm,), load=Load(cpu_percent=5.0))
        async with asyncio.timeout(SEEN_SECONDS):
            told = await seen(close_watch, lambda node: node.devices == (warm,))
        await there.say(devices=())
        next_told = await anext(watch)

    assert told.load.cpu_percent == 5.0
    assert next_told.devices == ()


async def test_the_program_shows_who_joins_and_what_is_wrong_with_devices(tmp_path: Path) -> None:
    ill = replace(GPU, health=Health.DEGRADED, health_reason="ECC")
    async with controller(tmp_path) as running, agent(running, "a") as there:
        await there.say(devices=(GPU,))
        process = await begin("nodes", "--watch", controller=running.address)
        assert process.stdout is not None
        first = await process.stdout.readline()
        await there.say(devices=(replace(GPU, busy_percent=50.0),))
        await there.say(devices=(ill,))
        second = await process.stdout.readline()
        process.terminate()
        await process.wait()

    assert first.decode() == "a READY; 1 x H100\n"
    assert second.decode() == "a READY; 1 x H100; nvidia H100 GPU-1 DEGRADED: ECC\n"


async def test_a_node_that_is_forgotten_is_told_of_once_more_and_what_happened_to_it_stays(tmp_path: Path) -> None:
    async with controller(tmp_path) as running, agent(running, "other") as other:
        async with agent(running, "gone") as there:
            await there.say()
        await other.say()
        async with aclosing(running.client.watch_nodes('name != "nobody"')) as watch:
            await seen(watch, lambda node: node.id == "other")
            with pytest.raises(Refusal, match="gone is not gone: it has been silent for"):
                await running.client.forget("gone")
            running.parts.shell.cluster.book.heard_ms["gone"] -= 10 * LEASE_MS

            assert (await running.client.forget("gone")).forgotten
            told = await seen(watch, lambda node: node.id == "gone" and node.forgotten)

        assert told == Node("nodes/gone", forgotten=True)
        assert await running.client.forget("gone") == told
        assert [node.id async for node in running.client.nodes()] == ["other"]
        happened = [event.reason async for event in running.client.events("nodes/gone")]
        assert (happened[0], happened[-1]) == ("NODE_READY", "NODE_FORGOTTEN")


async def test_that_a_nodes_stream_is_over_is_judged_at_once_and_forgotten_with_its_next_report(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with controller(tmp_path) as running:
        told: asyncio.Queue[Event] = asyncio.Queue()
        shell, book = running.parts.shell, running.parts.shell.cluster.book
        judge = shell.tell
        monkeypatch.setattr(shell, "tell", lambda event: (judge(event), told.put_nowait(event)))
        async with agent(running, "left") as there:
            await there.say()
        async with asyncio.timeout(SEEN_SECONDS):
            while await told.get() != SessionOver("left", 1):
                pass
        async with agent(running, "other") as other, agent(running, "left", session=2) as again:
            await other.say()
            assert list(book.left_ms) == ["left"]
            await again.say()
            assert list(book.left_ms) == []
