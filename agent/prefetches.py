"""Brings what may soon be needed: images and checkpoints, ahead of the job, and a container that waits for it."""

import asyncio
import logging
import time
from collections.abc import Callable

from agent.checkpoints import Checkpoints
from agent.core.model import Event, Fetched
from agent.phases import phase, timed
from agent.runtimes.runtime import EngineUnreachable, Ref, Runtime, RuntimeRefused
from agent.standbys import Standbys
from headrace.attempts import Phase
from headrace.refusals import Refusal
from headrace.sessions import Placement, Prefetch, Prefetched, PrefetchState

_log = logging.getLogger(__name__)

_Key = tuple[str, str, str]


class Prefetches:
    """Hints under way. Losing one costs time only."""

    def __init__(
        self, runtime: Runtime, checkpoints: Checkpoints, standbys: Standbys, tell: Callable[[Event], None]
    ) -> None:
        self._runtime = runtime
        self._checkpoints = checkpoints
        self._standbys = standbys
        self._tell = tell
        self._hints: dict[_Key, Prefetch] = {}
        self._tasks: dict[_Key, asyncio.Task[None]] = {}

    def begin(self, prefetch: Prefetch, tasks: asyncio.TaskGroup) -> None:
        """Begins to bring what the hint names."""
        self._hints[_key(prefetch)] = prefetch
        self._tasks[_key(prefetch)] = tasks.create_task(self._bring(prefetch, tasks))

    def drop(self, prefetch: Prefetch) -> None:
        """Stops bringing it."""
        hint = self._hints.pop(_key(prefetch), None)
        task = self._tasks.pop(_key(prefetch), None)
        if task is not None:
            task.cancel()
        if hint is not None and hint.standby is not None:
            # Not before all is begun that was decided at this time: the attempt itself may follow on its hint, or
            # another hint that differs in the checkpoint alone.
            asyncio.get_running_loop().call_soon(self._drop_standby, _ref(hint.standby))

    def _drop_standby(self, ref: Ref) -> None:
        if not any(hint.standby is not None and _ref(hint.standby) == ref for hint in self._hints.values()):
            self._standbys.drop(ref)

    @property
    def checkpoints(self) -> tuple[str, ...]:
        """The manifests that hints name."""
        return tuple(hint.checkpoint for hint in self._hints.values() if hint.checkpoint)

    async def _bring(self, prefetch: Prefetch, tasks: asyncio.TaskGroup) -> None:
        phases: list[Phase] = []
        try:
            await timed(phases, "pull", self._runtime.pull(prefetch.image, prefetch.platform))
            if prefetch.checkpoint:
                await timed(phases, "restore", self._checkpoints.prefetch(prefetch.checkpoint))
            if prefetch.standby is not None:
                begun = time.monotonic()
                if await self._standbys.make(prefetch.standby, tasks):
                    await self._lay_ahead(prefetch.checkpoint, prefetch.standby)
                    phases.append(phase("standby", begun, 0))
            self._tell(Fetched(_prefetched(prefetch, PrefetchState.READY, phases=tuple(phases))))
        except (RuntimeRefused, Refusal) as error:
            self._tell(Fetched(_prefetched(prefetch, PrefetchState.FAILED, error.reason, error.message)))
        except EngineUnreachable as error:
            self._tell(Fetched(_prefetched(prefetch, PrefetchState.FAILED, "ENGINE_UNREACHABLE", str(error))))
        except OSError as error:
            message = f"the node's disk: {error}"
            self._tell(Fetched(_prefetched(prefetch, PrefetchState.FAILED, "NODE_DISK", message)))

    async def _lay_ahead(self, checkpoint: str, placement: Placement) -> None:
        if not checkpoint:
            return
        directory = self._standbys.folders(placement).checkpoint
        try:
            await self._checkpoints.lay_ahead(checkpoint, directory)
        except (Refusal, OSError) as error:
            # The attempt's own preparation lays it down, or says what is wrong.
            _log.info("%s epoch %d: its checkpoint cannot be laid ahead: %s", placement.job, placement.epoch, error)


def _key(prefetch: Prefetch) -> _Key:
    return prefetch.job, prefetch.image, prefetch.checkpoint


def _ref(placement: Placement) -> Ref:
    return Ref(placement.job, placement.task, placement.epoch)


def _prefetched(
    prefetch: Prefetch,
    state: PrefetchState,
    reason: str = "",
    message: str = "",
    *,
    phases: tuple[Phase, ...] = (),
) -> Prefetched:
    return Prefetched(prefetch.job, prefetch.image, prefetch.checkpoint, state, reason, message, phases)
