"""Disks, drivers and pools of threads that fail at the agent's edges: it is told, and the agent goes on."""

import asyncio
import logging
import shutil
import threading
from collections.abc import AsyncIterator, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import asynccontextmanager, closing, suppress
from pathlib import Path

import pytest
from grpc import aio

from agent import daemon as daemons
from agent.accelerators.pci import Function, Machine
from agent.accelerators.vendor import Probe
from agent.checkpoints import Checkpoints
from agent.chunk_cache import ChunkCache
from agent.core import model as agent
from agent.core.agent import AgentCore
from agent.daemon import Daemon
from agent.journal import Journal
from agent.senses import NodeSenses
from headrace.nodes import Capacity, Device, Load, NodeDescription
from headrace.sessions import Prefetch, PrefetchState, Report
from headrace.v1.checkpoint_service_pb2_grpc import CheckpointServiceStub
from headrace.v1.node_service_pb2_grpc import NodeServiceStub
from tests.contract.fake_runtime import FakeRuntime
from tests.core.small_world import AMD64, PINS, description
from tests.shell.agent_parts import works_and_prefetches

PATIENCE_SECONDS = 10.0
DIGEST = "sha256:" + "a" * 64
CARD = Device("GPU-1", "gpu", "acme", "Card")


class Acme:
    """A vendor whose driver may be one that its module does not understand."""

    name = "acme"
    seconds = 0.0

    def claims(self, _function: Function) -> bool:
        return False

    def is_in(self, _machine: Machine) -> bool:
        return True

    def __init__(self) -> None:
        self.broken = False

    def probe(self) -> Probe:
        return Probe(self.sample((CARD,)), found=True, message="by its library")

    def sample(self, devices: tuple[Device, ...]) -> tuple[Device, ...]:
        return (CARD,) if not self.broken else (Device(b"\xff".decode(), "gpu", "acme", ""),)


class Senses:
    """What a node says of itself, without threads."""

    async def describe(self) -> NodeDescription:
        return description()

    async def devices(self) -> tuple[Device, ...]:
        return ()

    async def load(self) -> Load:
        return Load()


class Stream:
    """A stream to a controller that is not there; says when it was opened."""

    def __init__(self) -> None:
        self.opened = asyncio.Event()

    def open(self, _number: int, _tasks: asyncio.TaskGroup) -> None:
        self.opened.set()

    def send(self, report: Report) -> None:
        raise AssertionError(f"nobody is connected, and {report} is sent")


class Heard(logging.Handler):
    """Sets an event at the first warning."""

    def __init__(self) -> None:
        super().__init__(logging.WARNING)
        self.warned = asyncio.Event()

    def emit(self, _record: logging.LogRecord) -> None:
        self.warned.set()


@pytest.fixture
def heard() -> Iterator[Heard]:
    handler = Heard()
    logger = logging.getLogger("agent.daemon")
    logger.addHandler(handler)
    yield handler
    logger.removeHandler(handler)


def senses(folder: Path, vendor: Acme) -> NodeSenses:
    none = Capacity()
    return NodeSenses(folder, (vendor,), region="", owner="", labels={}, host_network=False, reserved=none)  # type: ignore[arg-type]


@asynccontextmanager
async def running(state: Path) -> AsyncIterator[Stream]:
    """A daemon that works, and its stream."""
    stream = Stream()
    async with aio.insecure_channel("unix:/nowhere") as channel:
        checkpoints, runtime = Checkpoints(CheckpointServiceStub(channel), state / "chunks"), FakeRuntime()
        stub = NodeServiceStub(channel)
        with closing(Journal(state / "journal.db")) as journal:
            daemon = Daemon(
                AgentCore("node", journal.recall()),
                journal,
                runtime,
                Senses(),
                checkpoints,
                lambda tell: (  # type: ignore[arg-type, return-value]
                    stream,
                    *works_and_prefetches(state, runtime, checkpoints, stub, tell),
                ),
            )
            working = asyncio.create_task(daemon.run())
            try:
                yield stream
                assert not working.done()
            finally:
                working.cancel()
                with suppress(asyncio.CancelledError):
                    await working


async def test_a_vendor_that_fails_leaves_its_devices_as_they_last_were(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    vendor = Acme()
    node = senses(tmp_path, vendor)
    with caplog.at_level(logging.INFO):
        assert await node.devices() == (CARD,)
        vendor.broken = True

        assert await node.devices() == (CARD,)
    assert "acme: looking for devices failed" in caplog.text


async def test_a_vendor_that_fails_from_the_first_has_no_devices(tmp_path: Path) -> None:
    vendor = Acme()
    vendor.broken = True

    assert await senses(tmp_path, vendor).devices() == ()


async def test_a_hint_that_the_nodes_disk_fails_is_told_as_failed(tmp_path: Path) -> None:
    told: list[agent.Event] = []
    async with aio.insecure_channel("unix:/nowhere") as channel:
        checkpoints = Checkpoints(CheckpointServiceStub(channel), tmp_path)
        spoil(tmp_path / "manifests")
        async with asyncio.TaskGroup() as tasks:
            hint = Prefetch("train-1", PINS[0].image, AMD64, DIGEST)
            stub = NodeServiceStub(channel)
            _, prefetches = works_and_prefetches(tmp_path, FakeRuntime(), checkpoints, stub, told.append)
            prefetches.begin(hint, tasks)

    [fetched] = told
    assert isinstance(fetched, agent.Fetched)
    assert (fetched.prefetched.state, fetched.prefetched.reason) == (PrefetchState.FAILED, "NODE_DISK")


async def test_what_cannot_be_tidied_up_is_logged_and_the_agent_goes_on(
    tmp_path: Path, heard: Heard, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(daemons, "RELEASE_SECONDS", 0.05)
    async with running(tmp_path) as stream:
        spoil(tmp_path / "chunks" / "chunks")

        await asyncio.wait_for(heard.warned.wait(), PATIENCE_SECONDS)
        await asyncio.wait_for(stream.opened.wait(), PATIENCE_SECONDS)


async def test_what_must_be_noted_is_noted_while_every_thread_of_the_pool_is_busy(tmp_path: Path) -> None:
    done = threading.Event()
    loop = asyncio.get_running_loop()
    pool = ThreadPoolExecutor(1)
    loop.set_default_executor(pool)
    saving = loop.run_in_executor(None, done.wait, PATIENCE_SECONDS)
    try:
        async with running(tmp_path) as stream:
            await asyncio.wait_for(stream.opened.wait(), PATIENCE_SECONDS / 2)
    finally:
        done.set()
        await saving


def test_a_folder_in_the_cache_is_no_reason_not_to_start_or_to_tidy_up(tmp_path: Path) -> None:
    ChunkCache(tmp_path)
    (tmp_path / "aside" / "folder").mkdir()
    (tmp_path / "chunks" / "folder").mkdir()
    (tmp_path / "chunks" / "of-no-manifest").write_bytes(b"12345")

    ChunkCache(tmp_path).prune(())

    assert list((tmp_path / "aside").iterdir()) == list((tmp_path / "chunks").iterdir()) == []


def test_a_disk_that_is_full_for_long_collects_no_reports_and_no_sessions() -> None:
    def session(number: int) -> list[agent.Effect]:
        memory = agent.Memory(number)
        return [agent.Remember(memory), agent.OpenSession(number), agent.Relist(), agent.Send(Report("a", number, 1))]

    note = agent.Warn("the controller is of another cluster")

    assert daemons.newest([*session(1), note, *session(2)]) == [note, *session(2)]


def spoil(folder: Path) -> None:
    """Puts a file in the folder's place, so that whatever is looked for in it is an error."""
    shutil.rmtree(folder)
    folder.write_bytes(b"")
