"""Brings what may soon be needed: images and checkpoints, ahead of the job."""

import asyncio
import time
from collections.abc import Callable

from agent.checkpoints import Checkpoints
from agent.core.model import Event, Fetched
from agent.runtimes.runtime import EngineUnreachable, Runtime, RuntimeRefused
from headrace.attempts import Phase
from headrace.refusals import Refusal
from headrace.sessions import Prefetch, Prefetched, PrefetchState


class Prefetches:
    """Hints under way. Losing one costs time only."""

    def __init__(self, runtime: Runtime, checkpoints: Checkpoints, tell: Callable[[Event], None]) -> None:
        self._runtime = runtime
        self._checkpoints = checkpoints
        self._tell = tell
        self._tasks: dict[Prefetch, asyncio.Task[None]] = {}

    def begin(self, prefetch: Prefetch, tasks: asyncio.TaskGroup) -> None:
        """Begins to bring what the hint names."""
        self._tasks[prefetch] = tasks.create_task(self._bring(prefetch))

    def drop(self, prefetch: Prefetch) -> None:
        """Stops bringing it."""
        task = self._tasks.pop(prefetch, None)
        if task is not None:
            task.cancel()

    @property
    def checkpoints(self) -> tuple[str, ...]:
        """The manifests that hints name."""
        return tuple(hint.checkpoint for hint in self._tasks if hint.checkpoint)

    async def _bring(self, prefetch: Prefetch) -> None:
        try:
            begun = time.monotonic()
            image_bytes = await self._runtime.pull(prefetch.image, prefetch.platform)
            phases = [_phase("pull", begun, image_bytes)]
            if prefetch.checkpoint:
                begun = time.monotonic()
                phases.append(_phase("restore", begun, await self._checkpoints.prefetch(prefetch.checkpoint)))
            self._tell(Fetched(_prefetched(prefetch, PrefetchState.READY, phases=tuple(phases))))
        except (RuntimeRefused, Refusal) as error:
            self._tell(Fetched(_prefetched(prefetch, PrefetchState.FAILED, error.reason, error.message)))
        except EngineUnreachable as error:
            self._tell(Fetched(_prefetched(prefetch, PrefetchState.FAILED, "ENGINE_UNREACHABLE", str(error))))
        except OSError as error:
            message = f"the node's disk: {error}"
            self._tell(Fetched(_prefetched(prefetch, PrefetchState.FAILED, "NODE_DISK", message)))


def _phase(name: str, begun: float, moved_bytes: int) -> Phase:
    return Phase(name, int((time.monotonic() - begun) * 1000), moved_bytes)


def _prefetched(
    prefetch: Prefetch,
    state: PrefetchState,
    reason: str = "",
    message: str = "",
    *,
    phases: tuple[Phase, ...] = (),
) -> Prefetched:
    return Prefetched(prefetch.job, prefetch.image, prefetch.checkpoint, state, reason, message, phases)
