"""The agent's shell: one queue in; written down what the core says to write; and only then, done."""

import asyncio
import logging
import time
from collections.abc import Callable
from typing import Protocol, assert_never, get_args

from agent.checkpoints import Checkpoints
from agent.core.adoption import exited
from agent.core.agent import AgentCore
from agent.core.model import (
    DropFetched,
    Effect,
    EngineFound,
    EngineLost,
    Event,
    Fetch,
    Forget,
    Keep,
    OpenSession,
    Relist,
    Remember,
    Send,
    Sensed,
    Ticked,
    Warn,
)
from agent.journal import Journal
from agent.prefetches import Prefetches
from agent.runtimes.runtime import EngineUnreachable, Runtime
from agent.session import Session
from agent.works import Work, Works
from headrace.nodes import Device, Load, NodeDescription

TICK_SECONDS = 0.2
SENSE_SECONDS = 5.0
RELIST_SECONDS = 10.0
ENGINE_RETRY_SECONDS = 1.0
RELEASE_SECONDS = 600.0

_log = logging.getLogger(__name__)


class Senses(Protocol):
    """What the node is, has and does."""

    async def describe(self) -> NodeDescription:
        """What it is."""
        ...

    async def devices(self) -> tuple[Device, ...]:
        """What accelerators it has."""
        ...

    async def load(self) -> Load:
        """What it does."""
        ...


class Daemon:
    """One task group; no task outlives it."""

    def __init__(
        self,
        core: AgentCore,
        journal: Journal,
        runtime: Runtime,
        senses: Senses,
        checkpoints: Checkpoints,
        make: Callable[[Callable[[Event], None]], tuple[Session, Works, Prefetches]],
    ) -> None:
        self._core = core
        self._journal = journal
        self._runtime = runtime
        self._senses = senses
        self._checkpoints = checkpoints
        self._queue: asyncio.Queue[Event] = asyncio.Queue()
        self._relist = asyncio.Event()
        self._session, self._works, self._prefetches = make(self._queue.put_nowait)

    async def run(self) -> None:
        """Works until cancelled. A bug ends it; the journal and the engine's labels rebuild its state."""
        async with asyncio.TaskGroup() as tasks:
            for task in (self._tick(), self._sense(), self._watch_engine(), self._release()):
                tasks.create_task(task)
            while True:
                batch = [await self._queue.get()]
                while not self._queue.empty():
                    batch.append(self._queue.get_nowait())
                await self._judge(batch, tasks)

    async def _judge(self, batch: list[Event], tasks: asyncio.TaskGroup) -> None:
        effects: list[Effect] = []
        for event in [_now(), *(one for one in batch if not isinstance(one, Ticked))]:
            effects += self._core.handle(event)
        records = [effect for effect in effects if isinstance(effect, (Remember, Keep, Forget))]
        if records:
            await asyncio.to_thread(self._journal.write, records)
        for effect in effects:
            self._do(effect, tasks)

    def _do(self, effect: Effect, tasks: asyncio.TaskGroup) -> None:
        match effect:
            case Remember() | Keep() | Forget():
                pass
            case OpenSession(session):
                self._session.open(session, tasks)
            case Send(report):
                self._session.send(report)
            case Warn(message):
                _log.warning("%s", message)
            case Relist():
                self._relist.set()
            case Fetch(prefetch):
                self._prefetches.begin(prefetch, tasks)
            case DropFetched(prefetch):
                self._prefetches.drop(prefetch)
            case _ if isinstance(effect, get_args(Work)):
                self._works.begin(effect, tasks)
            case other:
                assert_never(other)  # type: ignore[arg-type]

    async def _tick(self) -> None:
        while True:
            self._queue.put_nowait(_now())
            await asyncio.sleep(TICK_SECONDS)

    async def _sense(self) -> None:
        description = await self._senses.describe()
        while True:
            devices = await self._senses.devices()
            load = await self._senses.load()
            self._queue.put_nowait(Sensed(description, devices, load))
            await asyncio.sleep(SENSE_SECONDS)

    async def _watch_engine(self) -> None:
        while True:
            try:
                async with asyncio.TaskGroup() as watching:
                    watching.create_task(self._watch_exits())
                    watching.create_task(self._list_containers())
            except* EngineUnreachable as group:
                self._queue.put_nowait(EngineLost(str(group.exceptions[0])))
                await asyncio.sleep(ENGINE_RETRY_SECONDS)

    async def _watch_exits(self) -> None:
        async for status in self._runtime.exits():
            self._queue.put_nowait(exited(status, self._works.stop_millis(status.ref)))

    async def _list_containers(self) -> None:
        version = await self._runtime.version()
        while True:
            self._relist.clear()
            self._queue.put_nowait(EngineFound(version, await self._runtime.containers()))
            try:
                async with asyncio.timeout(RELIST_SECONDS):
                    await self._relist.wait()
            except TimeoutError:
                continue

    async def _release(self) -> None:
        while True:
            await asyncio.sleep(RELEASE_SECONDS)
            restoring = [held.placement.restore for held in self._core.held.values() if held.placement.restore]
            await self._checkpoints.release([*restoring, *self._prefetches.checkpoints])


def _now() -> Ticked:
    return Ticked(time.monotonic_ns() // 1_000_000)
