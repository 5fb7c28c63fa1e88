"""An agent whose disk is full: it says so by name, does not die, and goes on once there is room."""

import asyncio
import logging
import os
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager, closing, suppress
from pathlib import Path

import pytest
from grpc import aio

from agent.checkpoints import Checkpoints
from agent.core.agent import AgentCore
from agent.core.model import (
    AskToLeave,
    Declined,
    Effect,
    Event,
    Held,
    Keep,
    Kill,
    NotStarted,
    Pause,
    Prepare,
    Prepared,
    Recollection,
    Start,
    Unpause,
)
from agent.daemon import Daemon, without_a_note
from agent.journal import Journal
from agent.prefetches import Prefetches
from agent.runtimes.runtime import ContainerSpec, ContainerState, Ref, Runtime
from agent.senses import NodeSenses
from agent.session import Session
from agent.works import Works
from headrace.attempts import Attempt, AttemptState
from headrace.nodes import Capacity
from headrace.refusals import Refusal
from headrace.v1.checkpoint_service_pb2_grpc import CheckpointServiceStub
from headrace.v1.node_service_pb2_grpc import NodeServiceStub
from tests.contract.fake_runtime import FakeRuntime
from tests.contract.programs import Program
from tests.core.one_agent import placement
from tests.core.small_world import AMD64, FIRST
from tests.shell.agent_parts import works_and_prefetches
from tests.shell.checkpoint_world import World
from tests.shell.running_controller import controller
from tests.small_disk import mounted

DISK_BYTES = 32 << 20
FEW_FILES = 12
# More attempts than a node holds.
MANY = 500
PATIENCE_SECONDS = 20.0


class WatchedRuntime(FakeRuntime):
    """An engine that tells what became of its containers."""

    def __init__(self) -> None:
        super().__init__()
        self.was_paused = asyncio.Event()
        self.was_removed = asyncio.Event()
        self.signals: list[str] = []

    async def pause(self, ref: Ref) -> None:
        await super().pause(ref)
        self.was_paused.set()

    async def remove(self, ref: Ref) -> None:
        await super().remove(ref)
        self.was_removed.set()

    async def signal(self, ref: Ref, name: str) -> None:
        self.signals.append(name)
        await super().signal(ref, name)


class Heard(logging.Handler):
    """Sets an event once the agent says that its disk is full."""

    def __init__(self) -> None:
        super().__init__(logging.ERROR)
        self.refused = asyncio.Event()
        self.said = ""

    def emit(self, record: logging.LogRecord) -> None:
        self.said = record.getMessage()
        self.refused.set()


@pytest.fixture
def disk(tmp_path: Path) -> Iterator[Path]:
    with mounted(tmp_path / "disk", DISK_BYTES):
        yield tmp_path / "disk"


@pytest.fixture
def heard() -> Iterator[Heard]:
    handler = Heard()
    logger = logging.getLogger("agent.daemon")
    logger.addHandler(handler)
    try:
        yield handler
    finally:
        logger.removeHandler(handler)


def test_a_journal_on_a_full_disk_still_takes_what_becomes_of_attempts(disk: Path) -> None:
    with closing(Journal(disk / "journal.db")) as journal:
        fill(disk)

        for epoch in range(1, MANY + 1):
            journal.write([kept(AttemptState.EXITED, epoch=epoch)])

        assert len(journal.recall().held) == MANY


def test_a_journal_that_has_no_room_left_names_its_folder_and_takes_the_same_once_it_has(disk: Path) -> None:
    with closing(Journal(disk / "journal.db")) as journal:
        fill(disk)

        with pytest.raises(Refusal, match=f"no room left in {disk}") as refused:
            journal.write([kept(AttemptState.RUNNING), TOO_MUCH])
        assert refused.value.reason == "NODE_DISK_FULL"
        assert journal.recall().held == ()
        make_room(disk)
        journal.write([kept(AttemptState.RUNNING), TOO_MUCH])

        assert journal.recall().held == (TOO_MUCH.held,)


def test_an_agent_is_not_started_on_a_full_disk(disk: Path) -> None:
    fill(disk)

    with pytest.raises(Refusal, match=f"no room left in {disk}"):
        Journal(disk / "journal.db")


async def test_a_checkpoint_that_does_not_fit_is_refused_by_name_and_laid_down_once_it_fits(
    disk: Path, world: World
) -> None:
    source = world.directory()
    (source / "state").write_bytes(os.urandom(2 << 20))
    saved = await world.agent("elsewhere").save(source, job="train", epoch=3, sequence=1)
    assert saved is not None
    fill(disk)
    work = Prepare(placement(restore=saved.digest))

    async with works(disk, FakeRuntime(), world.stub) as (agent, told):
        await over(agent, work)
        make_room(disk)
        await over(agent, work)

    refused, prepared = told
    assert isinstance(refused, NotStarted)
    assert "NODE_DISK" in refused.reason
    assert str(disk) in refused.message
    assert isinstance(prepared, Prepared)
    laid_down = disk / "attempts" / "train-1-0-1" / "checkpoint" / "state"
    assert laid_down.read_bytes() == (source / "state").read_bytes()


async def test_a_job_is_asked_to_leave_though_its_stop_file_finds_no_room(tmp_path: Path) -> None:
    runtime = WatchedRuntime()
    with mounted(tmp_path / "disk", DISK_BYTES, files=FEW_FILES):
        async with works(tmp_path / "disk", runtime) as (agent, told):
            (tmp_path / "disk" / "attempts" / "train-1-0-1" / "control").mkdir(parents=True)
            with suppress(OSError):
                for number in range(FEW_FILES):
                    (tmp_path / "disk" / str(number)).touch()

            await over(agent, AskToLeave(placement()))

    assert runtime.signals == ["SIGTERM"]
    assert told == []


async def test_an_agent_that_cannot_write_down_what_it_sees_does_nothing_about_it_until_it_can(
    disk: Path, tmp_path: Path, heard: Heard
) -> None:
    runtime = await running_container()
    async with controller(tmp_path / "controller") as there, daemon(disk, runtime, there.address) as agent:
        # The controller knows of no such job, so that its container is to go.
        await soon(heard.refused.wait())
        assert not runtime.was_removed.is_set()
        make_room(disk)
        await soon(runtime.was_removed.wait())

        assert not agent.done()
    assert str(disk) in heard.said


async def test_an_agent_that_cannot_write_anything_down_holds_still_what_it_has_no_lease_for(
    disk: Path, heard: Heard
) -> None:
    runtime = await running_container()

    async with daemon(disk, runtime, "unix:/nowhere"):
        await soon(runtime.was_paused.wait())

    assert heard.refused.is_set()


async def test_an_agent_that_cannot_write_anything_down_holds_still_what_it_would_ask_to_leave(
    disk: Path, heard: Heard
) -> None:
    runtime = await running_container()
    core = ScriptedCore(TOO_MUCH, AskToLeave(placement()))

    async with daemon(disk, runtime, "unix:/nowhere", core=core):
        await soon(runtime.was_paused.wait())

    assert runtime.signals == []
    assert heard.refused.is_set()


@pytest.mark.parametrize("asked", [AskToLeave(placement()), Kill(FIRST), Unpause(FIRST)])
def test_what_was_to_leave_or_to_go_on_with_a_lease_is_held_still_once_there_is_none(
    asked: AskToLeave | Kill | Unpause,
) -> None:
    kept_note = kept(AttemptState.STOPPING)

    with_lease = without_a_note([], [kept_note, asked], alone=False)
    done, overtaken, waiting = without_a_note(with_lease[2], [], alone=True)

    assert with_lease == ([], [], [kept_note, asked])
    assert (done, overtaken, waiting) == ([Pause(FIRST)], [asked], [kept_note])


async def test_what_an_agent_could_not_do_in_time_is_not_done_but_asked_for_anew(disk: Path, heard: Heard) -> None:
    runtime = WatchedRuntime()
    await runtime.pull("image", AMD64)
    await runtime.create(ContainerSpec(FIRST, "image", AMD64, Program(waits=True).command))
    core = ScriptedCore(TOO_MUCH, Start(placement()))

    async with daemon(disk, runtime, "unix:/nowhere", core=core):
        await soon(heard.refused.wait())
        make_room(disk)
        await soon(core.was_declined.wait())

    assert [one.state for one in await runtime.containers()] == [ContainerState.CREATED]


class ScriptedCore(AgentCore):
    """Says once what it is told to say."""

    def __init__(self, *effects: Effect) -> None:
        super().__init__("node", Recollection())
        self.effects = [*effects]
        self.was_declined = asyncio.Event()

    def handle(self, event: Event) -> list[Effect]:
        if isinstance(event, Declined):
            self.was_declined.set()
        said, self.effects = self.effects, []
        return said


async def running_container() -> WatchedRuntime:
    runtime = WatchedRuntime()
    await runtime.pull("image", AMD64)
    await runtime.create(ContainerSpec(FIRST, "image", AMD64, Program(waits=True).command))
    await runtime.start(FIRST)
    return runtime


@asynccontextmanager
async def daemon(
    disk: Path, runtime: Runtime, address: str, core: AgentCore | None = None
) -> AsyncIterator[asyncio.Task[None]]:
    """An agent's daemon that has started FIRST, and finds no room to note that it runs."""
    none = Capacity()
    senses = NodeSenses(disk, (), region="", owner="", labels={}, host_network=False, reserved=none)
    with closing(Journal(disk / "journal.db")) as journal:
        async with aio.insecure_channel(address) as channel:
            stub, checkpoints = NodeServiceStub(channel), Checkpoints(CheckpointServiceStub(channel), disk / "chunks")

            def make(tell: Callable[[Event], None]) -> tuple[Session, Works, Prefetches]:
                works, prefetches = works_and_prefetches(disk, runtime, checkpoints, stub, tell)
                return Session(stub, tell, address=address), works, prefetches

            recalled = AgentCore("node", Recollection(held=(TOO_MUCH.held,)))
            fill(disk)
            running = asyncio.create_task(Daemon(core or recalled, journal, runtime, senses, checkpoints, make).run())
            try:
                yield running
            finally:
                running.cancel()
                with suppress(asyncio.CancelledError):
                    await running


@asynccontextmanager
async def works(
    disk: Path, runtime: Runtime, store: CheckpointServiceStub | None = None
) -> AsyncIterator[tuple[Works, list[Event]]]:
    """Works whose folders are on the disk, and what they tell. Nobody but the store is asked."""
    told: list[Event] = []
    async with aio.insecure_channel("unix:/nowhere") as channel:
        checkpoints = Checkpoints(store or CheckpointServiceStub(channel), disk / "chunks")
        stub = NodeServiceStub(channel)
        agent, _ = works_and_prefetches(disk, runtime, checkpoints, stub, told.append)
        yield agent, told


async def over(agent: Works, work: Prepare | AskToLeave) -> None:
    async with asyncio.TaskGroup() as tasks:
        agent.begin(work, tasks)


async def soon(waiting: object) -> None:
    await asyncio.wait_for(waiting, PATIENCE_SECONDS)  # type: ignore[arg-type]


def kept(state: AttemptState, message: str = "", *, epoch: int = 1) -> Keep:
    return Keep(Held(placement(epoch), Attempt("train-1", epoch, state=state, message=message)))


# More than the journal has set aside.
TOO_MUCH = kept(AttemptState.STARTING, "x" * (4 << 20))


def fill(disk: Path) -> None:
    with (disk / "filler").open("wb", buffering=0) as filler, suppress(OSError):
        while True:
            filler.write(bytes(1 << 12))


def make_room(disk: Path) -> None:
    (disk / "filler").unlink()
