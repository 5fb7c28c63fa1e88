"""The agent's shell: one queue in; written down what the core says to write; and only then, done."""

import asyncio
import contextlib
import logging
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import assert_never

from agent.checkpoints import Checkpoints
from agent.core.adoption import exited
from agent.core.agent import AgentCore
from agent.core.model import (
    AskToLeave,
    Declined,
    DropFetched,
    Effect,
    EngineFound,
    EngineLost,
    Event,
    Fetch,
    Fingerprint,
    Forget,
    Keep,
    Kill,
    OpenSession,
    Pause,
    Relist,
    Remember,
    Remove,
    Send,
    Sensed,
    Ticked,
    Unpause,
    Warn,
)
from agent.journal import Journal
from agent.prefetches import Prefetches
from agent.runtimes.runtime import EngineUnreachable, Ref, Runtime
from agent.senses import Senses
from agent.session import Session
from agent.works import Work, Works, ref_of
from headrace.refusals import Refusal

TICK_SECONDS = 0.2
SENSE_SECONDS = 5.0
RELIST_SECONDS = 5.0
ENGINE_RETRY_SECONDS = 1.0
RELEASE_SECONDS = 600.0

# To do these is safe whatever becomes of the note; and after these a job runs, or leaves.
SAFE = (Pause, Fingerprint)
HASTY = (AskToLeave, Kill, Unpause)

# Of these the newest says all.
_REPLACED = (Remember, OpenSession, Send, Relist)

_log = logging.getLogger(__name__)


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
        self._unwritten: list[Effect] = []
        # What is to be written down, of each thing the newest; what is written at one time costs the disk once.
        self._notes: dict[Ref | None, Remember | Keep | Forget] = {}
        self._full = False
        # Of its own: what waits for a note must not wait for checkpoints, which keep a pool's threads busy for minutes.
        self._writer = ThreadPoolExecutor(1, "journal")
        self._session, self._works, self._prefetches = make(self._queue.put_nowait)

    async def run(self) -> None:
        """Works until cancelled. A bug ends it; the journal and the engine's labels rebuild its state."""
        try:
            with self._writer:
                await self._judge_all()
        finally:
            with contextlib.suppress(Refusal):
                self._journal.write(list(self._notes.values()))

    async def _judge_all(self) -> None:
        async with asyncio.TaskGroup() as tasks:
            for task in (self._tick(), self._sense(), self._watch_engine(), self._release()):
                tasks.create_task(task)
            while True:
                batch = [await self._queue.get()]
                while not self._queue.empty():
                    batch.append(self._queue.get_nowait())
                await self._judge(batch, tasks)

    async def _judge(self, batch: list[Event], tasks: asyncio.TaskGroup) -> None:
        late = self._unwritten
        effects: list[Effect] = []
        for event in [_now(), *(one for one in batch if not isinstance(one, Ticked))]:
            effects += self._core.handle(event)
        if not await self._written([*late, *effects], all_of_it=any(isinstance(one, Ticked) for one in batch)):
            alone = not self._core.lease.valid(self._core.now_ms)
            done, overtaken, self._unwritten = without_a_note(late, effects, alone=alone)
            for work in done:
                self._do(work, tasks)
            for work in overtaken:
                self._queue.put_nowait(too_late(work))
            return
        self._unwritten = []
        for effect in late:
            if isinstance(effect, Work):
                self._queue.put_nowait(too_late(effect))
            else:
                self._do(effect, tasks)
        for effect in effects:
            self._do(effect, tasks)

    async def _written(self, effects: list[Effect], *, all_of_it: bool) -> bool:
        """Whether it is written down; where the disk is full, nothing is done until it can be.

        What need only be written soon waits for the next that may not wait, or until `all_of_it` is to be written.
        """
        waits = True
        for effect in effects:
            if isinstance(effect, (Remember, Keep, Forget)):
                self._notes[_subject(effect)] = effect
                waits = waits and not isinstance(effect, Remember) and effect.soon
        if not self._notes or (waits and not all_of_it and not self._full):
            return True
        try:
            notes = list(self._notes.values())
            await asyncio.get_running_loop().run_in_executor(self._writer, self._journal.write, notes)
        except Refusal as refusal:
            if not self._full:
                _log.error("%s; until then this node does nothing new and reports nothing", refusal.message)
            self._full = True
            return False
        self._full = False
        self._notes.clear()
        return True

    def _do(self, effect: Effect, tasks: asyncio.TaskGroup) -> None:
        if isinstance(effect, Work):
            self._works.begin(effect, tasks)
            return
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
            case other:
                assert_never(other)

    async def _tick(self) -> None:
        while True:
            self._queue.put_nowait(_now())
            await asyncio.sleep(TICK_SECONDS)

    async def _sense(self) -> None:
        while True:
            description = await self._senses.describe()
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
        while True:
            self._relist.clear()
            containers = await self._runtime.containers()
            # Where there are no devices, the engine is spared the question.
            holders = await self._runtime.holders() if self._core.devices else None
            # Asked afterwards: an engine that is going down has ended containers of which nothing must be concluded,
            # and tells of them on connections that it has, but takes no new one.
            self._queue.put_nowait(EngineFound(await self._runtime.version(), containers, holders))
            try:
                async with asyncio.timeout(RELIST_SECONDS):
                    await self._relist.wait()
            except TimeoutError:
                continue

    async def _release(self) -> None:
        while True:
            await asyncio.sleep(RELEASE_SECONDS)
            restoring = [held.placement.restore for held in self._core.held.values() if held.placement.restore]
            try:
                await self._checkpoints.release([*restoring, *self._prefetches.checkpoints])
            except (Refusal, OSError) as error:
                _log.warning("what was fetched and is not needed any more cannot all be deleted: %s", error)


def without_a_note(
    late: list[Effect], effects: list[Effect], *, alone: bool
) -> tuple[list[Work], list[Work], list[Effect]]:
    """What is done though nothing can be written down, what is not done at all, and what waits for room.

    `alone`: this node has no lease. Then what was to go on, or to leave, is held still instead: the controller may give
    it to another node, and an exit that nobody noted as asked for would look like a failure.
    """
    overtaken: list[Work] = [one for one in (*late, *effects) if alone and isinstance(one, HASTY)]
    done: list[Work] = [one for one in effects if isinstance(one, SAFE)]
    # What is to be removed may run elsewhere by now.
    removals = [one for one in effects if isinstance(one, Remove)]
    done += [Pause(ref_of(one)) for one in (*overtaken, *removals)]
    return done, overtaken, newest([one for one in (*late, *effects) if one not in (*done, *overtaken)])


def too_late(work: Work) -> Declined:
    """What is told of a work that a full disk held up: what was wanted then may not be wanted, or allowed, any more."""
    return Declined(ref_of(work), "the node's disk was full", type(work))


def newest(effects: list[Effect]) -> list[Effect]:
    """The effects without those that a later one replaces: a disk may be full for days."""
    last = {type(effect): effect for effect in effects}
    return [effect for effect in effects if not isinstance(effect, _REPLACED) or effect is last[type(effect)]]


def _subject(note: Remember | Keep | Forget) -> Ref | None:
    match note:
        case Remember():
            return None
        case Keep(held):
            return held.ref
        case Forget(ref):
            return ref


def _now() -> Ticked:
    return Ticked(time.monotonic_ns() // 1_000_000)
