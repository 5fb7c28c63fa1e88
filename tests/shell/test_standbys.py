"""What an agent does with the attempt that a hint names: a container waits for it, or nothing is lost but time."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, replace
from pathlib import Path

import pytest
from grpc import aio

from agent import elf
from agent.checkpoints import Checkpoints
from agent.core.model import Event, Fetched, Interrupted, NotStarted, Prepare, Prepared
from agent.folders import Folders
from agent.prefetches import Prefetches
from agent.runtimes.runtime import ContainerSpec, ContainerState, EngineUnreachable, Ref, RuntimeRefused, Waiting
from agent.standbys import init_for
from agent.works import Works
from headrace.attempts import Platform
from headrace.platforms import of_machine
from headrace.sessions import Placement, Prefetch, PrefetchState
from headrace.v1.checkpoint_service_pb2_grpc import CheckpointServiceStub
from headrace.v1.node_service_pb2_grpc import NodeServiceStub
from tests.contract.fake_runtime import FakeRuntime
from tests.core.one_agent import placement
from tests.core.small_world import AMD64, PINS
from tests.shell.agent_parts import works_and_prefetches

COMING = placement(epoch=2)
REF = Ref("train-1", 0, 2)
HINT = Prefetch("train-1", PINS[0].image, AMD64, standby=COMING)
KEY = ("node", REF)


class RefusingRuntime(FakeRuntime):
    """An engine on which nothing can stand by."""

    async def stand_by(self, spec: ContainerSpec, waiting: Waiting) -> None:
        raise RuntimeRefused("STANDBY_FAILED", "the engine will not")


class SilentRuntime(FakeRuntime):
    """An engine that stops answering when something is to stand by."""

    async def stand_by(self, spec: ContainerSpec, waiting: Waiting) -> None:
        raise EngineUnreachable("no answer")


class SlowRuntime(FakeRuntime):
    """An engine that takes its time until the test lets it go on."""

    def __init__(self, node: str = "node") -> None:
        super().__init__(node)
        self.asked, self.go_on = asyncio.Event(), asyncio.Event()

    async def stand_by(self, spec: ContainerSpec, waiting: Waiting) -> None:
        self.asked.set()
        await self.go_on.wait()
        await super().stand_by(spec, waiting)


@dataclass
class Bench:
    """An agent's works and prefetches in a task group, and what they tell, in order."""

    works: Works
    prefetches: Prefetches
    runtime: FakeRuntime
    tasks: asyncio.TaskGroup
    told: asyncio.Queue[Event]
    state: Path

    @property
    def folders(self) -> Folders:
        return Folders(self.state, REF)

    def waits(self) -> bool:
        return KEY in self.runtime.engine.standbys

    async def stands_by(self, hint: Prefetch = HINT) -> Fetched:
        self.prefetches.begin(hint, self.tasks)
        event = await self.told.get()
        assert isinstance(event, Fetched)
        return event

    async def prepared(self, coming: Placement = COMING) -> Event:
        self.works.begin(Prepare(coming), self.tasks)
        return await self.told.get()

    async def settled(self) -> None:
        """Until what was decided has begun, and what is to go is gone."""
        await asyncio.sleep(0)
        known = self.works._preparations._standbys._known.values()
        going = [one.task for one in known if one.task is not None and one.dropped.is_set()]
        if going:
            await asyncio.wait(going)


@asynccontextmanager
async def bench(state: Path, runtime: FakeRuntime | None = None) -> AsyncIterator[Bench]:
    engine = runtime or FakeRuntime()
    # Nobody answers there, and nobody is asked.
    async with aio.insecure_channel("unix:/nowhere") as channel:
        told: asyncio.Queue[Event] = asyncio.Queue()
        checkpoints = Checkpoints(CheckpointServiceStub(channel), state / "chunks")
        parts = works_and_prefetches(state, engine, checkpoints, NodeServiceStub(channel), told.put_nowait)
        async with asyncio.TaskGroup() as tasks:
            try:
                yield Bench(*parts, engine, tasks, told, state)
            finally:
                # What waits, waits for ever: as when an agent ends.
                for task in list(tasks._tasks):
                    task.cancel()


async def test_a_target_is_ready_once_a_container_waits_with_its_folders(tmp_path: Path) -> None:
    async with bench(tmp_path) as target:
        fetched = await target.stands_by()

        assert fetched.prefetched.state is PrefetchState.READY
        assert [phase.name for phase in fetched.prefetched.phases] == ["pull", "standby"]
        assert target.waits()
        assert await target.runtime.containers() == ()
        assert list(target.folders.checkpoint.iterdir()) == []


async def test_the_attempt_has_what_stood_by_for_it_and_its_folders(tmp_path: Path) -> None:
    async with bench(tmp_path) as target:
        await target.stands_by()
        before = target.folders.checkpoint.stat().st_ino
        target.prefetches.drop(HINT)

        assert isinstance(await target.prepared(), Prepared)

        assert target.folders.checkpoint.stat().st_ino == before
        [status] = await target.runtime.containers()
        assert (status.ref, status.state) == (REF, ContainerState.CREATED)
        await target.settled()
        assert target.folders.checkpoint.stat().st_ino == before


async def test_of_a_move_that_is_given_up_nothing_is_left(tmp_path: Path) -> None:
    async with bench(tmp_path) as target:
        await target.stands_by()

        target.prefetches.drop(HINT)
        await target.settled()

        assert not target.waits()
        assert not target.folders.path.exists()


async def test_what_stood_by_leaves_no_folders_though_its_engine_does_not_answer(tmp_path: Path) -> None:
    async with bench(tmp_path) as target:
        await target.stands_by()
        target.runtime.unreachable = True

        target.prefetches.drop(HINT)
        await target.settled()

        assert not target.folders.path.exists()


async def test_a_hint_that_is_given_up_while_the_engine_works_leaves_nothing(tmp_path: Path) -> None:
    slow = SlowRuntime()
    async with bench(tmp_path, slow) as target:
        target.prefetches.begin(HINT, target.tasks)
        await slow.asked.wait()

        target.prefetches.drop(HINT)
        slow.go_on.set()
        await target.settled()

        assert not target.waits()
        assert not target.folders.path.exists()


async def test_an_attempt_that_comes_while_the_engine_works_starts_as_any_other(tmp_path: Path) -> None:
    slow = SlowRuntime()
    async with bench(tmp_path, slow) as target:
        target.prefetches.begin(HINT, target.tasks)
        await slow.asked.wait()
        target.prefetches.drop(HINT)
        target.works.begin(Prepare(COMING), target.tasks)
        slow.go_on.set()

        assert isinstance(await target.told.get(), Prepared)

        assert not target.waits()
        assert [status.ref for status in await target.runtime.containers()] == [REF]
        assert not (target.folders.control / "init").exists()


async def test_a_checkpoint_that_the_job_takes_meanwhile_leaves_what_stands_by(tmp_path: Path) -> None:
    async with bench(tmp_path) as target:
        await target.stands_by()
        before = target.folders.path.stat().st_ino

        target.prefetches.drop(HINT)
        await target.stands_by(replace(HINT, platform=Platform("linux", "amd64", "v1")))
        await target.settled()

        assert target.waits()
        assert target.folders.path.stat().st_ino == before


async def test_what_stands_by_for_one_epoch_is_not_anothers(tmp_path: Path) -> None:
    async with bench(tmp_path) as target:
        await target.stands_by()
        target.prefetches.drop(HINT)

        assert isinstance(await target.prepared(placement(epoch=3)), Prepared)
        await target.settled()

        assert not target.waits()
        assert not target.folders.path.exists()
        assert [status.ref.epoch for status in await target.runtime.containers()] == [3]


@pytest.mark.parametrize("runtime", [RefusingRuntime, SilentRuntime])
async def test_no_move_fails_for_a_container_that_cannot_be_started_ahead(
    tmp_path: Path, runtime: type[FakeRuntime]
) -> None:
    async with bench(tmp_path, runtime()) as target:
        fetched = await target.stands_by()
        target.prefetches.drop(HINT)

        assert fetched.prefetched.state is PrefetchState.READY
        assert isinstance(await target.prepared(), Prepared)


async def test_a_processor_without_an_init_has_nothing_started_ahead(tmp_path: Path) -> None:
    other = Platform("linux", "s390x")
    async with bench(tmp_path) as target:
        fetched = await target.stands_by(replace(HINT, platform=other, standby=replace(COMING, platform=other)))

        assert fetched.prefetched.state is PrefetchState.READY
        assert not target.waits()


@pytest.mark.parametrize("architecture", ["amd64", "arm64", "riscv64"])
def test_each_init_is_a_program_of_its_architecture(architecture: str) -> None:
    program = init_for(architecture)

    assert program is not None
    assert elf.platform_of(program) == of_machine(architecture)


async def test_a_preparation_that_was_cut_short_makes_all_anew(tmp_path: Path) -> None:
    async with bench(tmp_path) as target:
        await target.stands_by()
        target.prefetches.drop(HINT)
        target.runtime.unreachable = True
        assert isinstance(await target.prepared(), Interrupted)
        (target.folders.checkpoint / "half").touch()
        target.runtime.unreachable = False

        assert isinstance(await target.prepared(), Prepared)

        assert list(target.folders.checkpoint.iterdir()) == []


async def test_an_attempt_whose_job_has_no_name_of_ours_is_not_started_ahead(tmp_path: Path) -> None:
    async with bench(tmp_path) as target:
        wrong = replace(COMING, job="../train-1")
        fetched = await target.stands_by(replace(HINT, standby=wrong))

        assert fetched.prefetched.state is PrefetchState.READY
        assert isinstance(await target.prepared(wrong), NotStarted)
