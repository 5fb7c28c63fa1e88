"""Devices by a real agent and a real controller, over an engine at which a test meddles: all within thirty seconds."""

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager, closing, suppress
from dataclasses import replace
from pathlib import Path

from grpc import aio

from agent.accelerators.nvidia import Nvidia
from agent.checkpoints import Checkpoints
from agent.core.agent import AgentCore
from agent.core.model import Event, Recollection
from agent.daemon import Daemon
from agent.journal import Journal
from agent.prefetches import Prefetches
from agent.runtimes.runtime import Holder, Ref
from agent.senses import NodeSenses
from agent.session import Session
from agent.works import Works
from headrace.client import Client
from headrace.jobs import AcceleratorRequest, Job, JobState, Requests
from headrace.nodes import Capacity, Node
from headrace.v1.checkpoint_service_pb2_grpc import CheckpointServiceStub
from headrace.v1.node_service_pb2_grpc import NodeServiceStub
from tests.contract.fake_nvml import Gpu, Nvml
from tests.contract.fake_runtime import FakeRuntime
from tests.shell.agent_parts import works_and_prefetches
from tests.shell.running_controller import SPEC, controller

CARD = Gpu(0)
NEEDS_ONE = replace(SPEC, resources=Requests(100, 64 << 20, AcceleratorRequest(1)))
REPAIRED_SECONDS = 30.0


async def test_a_container_that_somebody_started_on_a_card_is_told_and_no_job_gets_that_card(tmp_path: Path) -> None:
    runtime = FakeRuntime("n1")
    runtime.engine.strangers.append(Holder("by-hand", None, "nvidia", ("all",)))
    async with controller(tmp_path / "c") as running, agent(tmp_path / "a", runtime, running.address):
        client = running.client
        node = await node_that(client, lambda node: bool(node.drifts))
        job = await client.create_job(NEEDS_ONE)
        runtime.engine.strangers.clear()
        freed = await node_that(client, lambda node: not node.drifts)
        later = await job_that(client, job, lambda job: job.state is JobState.RUNNING)
        events = [event.reason async for event in client.events("nodes/n1")]

    assert node.drifts == (f"{CARD.uuid} is held by container by-hand, which is no job that was placed here",)
    assert (job.state, job.reason) == (JobState.QUEUED, "waits: 1 node: has no device free")
    assert freed.drift_count == 1
    assert later.attempts[-1].devices == (CARD.uuid,)
    assert [reason for reason in events if "DRIFT" in reason] == ["DEVICE_DRIFT", "DEVICE_DRIFT_ENDED"]


async def test_a_container_that_somebody_removed_gives_its_card_to_the_next_job_and_is_told(tmp_path: Path) -> None:
    runtime = FakeRuntime("n1")
    async with controller(tmp_path / "c") as running, agent(tmp_path / "a", runtime, running.address):
        client = running.client
        await node_that(client, lambda node: bool(node.devices))
        first = await client.create_job(NEEDS_ONE)
        await job_that(client, first, lambda job: job.state is JobState.RUNNING)
        second = await client.create_job(NEEDS_ONE)
        await FakeRuntime("n1", engine=runtime.engine).remove(Ref(first.id, 0, 1))
        after = await job_that(client, second, lambda job: job.state is JobState.RUNNING)
        node = await client.node("n1")

    assert second.state is JobState.QUEUED
    assert after.attempts[-1].devices == (CARD.uuid,)
    assert node.drift_count == 1


async def node_that(client: Client, holds: Callable[[Node], bool]) -> Node:
    async with asyncio.timeout(REPAIRED_SECONDS):
        async for node in client.watch_nodes():
            if holds(node):
                return node
    raise AssertionError("nobody tells of nodes any more")


async def job_that(client: Client, job: Job, holds: Callable[[Job], bool]) -> Job:
    async with asyncio.timeout(REPAIRED_SECONDS):
        async for now in client.watch_job(job.name):
            if holds(now):
                return now
    raise AssertionError(f"{job.name} ended")


@asynccontextmanager
async def agent(
    state: Path, runtime: FakeRuntime, address: str, cards: tuple[Gpu, ...] = (CARD,)
) -> AsyncIterator[None]:
    """The agent of node n1, which has these cards."""
    await asyncio.to_thread((state / "dev").mkdir, parents=True)
    await asyncio.to_thread((state / "dev/nvidia0").touch)
    card = Nvidia(Nvml(list(cards)), state)
    senses = NodeSenses(state, (card,), region="", owner="", labels={}, host_network=False, reserved=Capacity())
    senses.root = state
    with closing(Journal(state / "journal.db")) as journal:
        async with aio.insecure_channel(address) as channel:
            stub, checkpoints = NodeServiceStub(channel), Checkpoints(CheckpointServiceStub(channel), state / "chunks")

            def make(tell: Callable[[Event], None]) -> tuple[Session, Works, Prefetches]:
                parts = works_and_prefetches(state, runtime, checkpoints, stub, tell, node="n1", vendor="nvidia")
                return Session(stub, tell, address=address), *parts

            core = AgentCore("n1", Recollection())
            running = asyncio.create_task(Daemon(core, journal, runtime, senses, checkpoints, make).run())
            try:
                yield
            finally:
                running.cancel()
                with suppress(asyncio.CancelledError):
                    await running
