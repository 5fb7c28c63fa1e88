"""Containers that are started ahead of the attempts that are likely to come, on the agent's side: one task each.

What becomes of one costs time only: whatever fails here is logged, and the attempt starts as any other does.
"""

import asyncio
import logging
from collections.abc import Callable
from importlib import resources
from pathlib import Path

from agent import contract
from agent.accelerators.grants import Granted
from agent.folders import Folders
from agent.runtimes.runtime import EngineUnreachable, Ref, Runtime, RuntimeRefused
from headrace.faultpoints import reached
from headrace.refusals import Refusal
from headrace.sessions import Placement

_log = logging.getLogger(__name__)


class _Standby:
    """One, from its making to its end."""

    def __init__(self) -> None:
        self.tried = asyncio.Event()
        self.dropped = asyncio.Event()
        self.waits = False
        self.task: asyncio.Task[None] | None = None


class Standbys:
    """Those that this process has made: `make` one, then `take` it, or `drop` it. None, where they are not `wanted`."""

    def __init__(
        self,
        state: Path,
        runtime: Runtime,
        granted: Callable[[tuple[str, ...]], Granted],
        *,
        wanted: bool = True,
    ) -> None:
        self._state = state
        self._wanted = wanted
        self._runtime = runtime
        self._granted = granted
        self._known: dict[Ref, _Standby] = {}

    async def make(self, placement: Placement, tasks: asyncio.TaskGroup) -> bool:
        """Starts a container that waits for this attempt, unless there is one; back when it waits, or never will."""
        ref = Ref(placement.job, placement.task, placement.epoch)
        standby = self._known.get(ref)
        if standby is None:
            standby = self._known[ref] = _Standby()
            standby.task = tasks.create_task(self._keep(ref, placement, standby))
        await standby.tried.wait()
        return standby.waits

    def folders(self, placement: Placement) -> Folders:
        """Those that what stands by for this attempt has mounted."""
        return Folders(self._state, Ref(placement.job, placement.task, placement.epoch))

    def take(self, ref: Ref) -> bool:
        """Whether one waits for this attempt. Container and folders are the attempt's from now on."""
        standby = self._known.get(ref)
        if standby is None or not standby.waits or standby.dropped.is_set() or standby.task is None:
            return False
        del self._known[ref]
        standby.task.cancel()
        return True

    def drop(self, ref: Ref) -> None:
        """Lets it go, if there is one."""
        standby = self._known.get(ref)
        if standby is not None:
            standby.dropped.set()

    async def without(self, ref: Ref) -> None:
        """Back when there is none for this attempt, nor its folders."""
        standby = self._known.get(ref)
        if standby is not None and standby.task is not None:
            standby.dropped.set()
            await asyncio.wait([standby.task])

    async def _keep(self, ref: Ref, placement: Placement, standby: _Standby) -> None:
        try:
            standby.waits = await self._is_made(ref, placement)
            standby.tried.set()
            await standby.dropped.wait()
            standby.waits = False
            await self._removed(ref)
        finally:
            standby.tried.set()
            if self._known.get(ref) is standby:
                del self._known[ref]

    async def _is_made(self, ref: Ref, placement: Placement) -> bool:
        program = init_for(placement.platform.architecture)
        if program is None or not self._wanted:
            return False
        try:
            folders = Folders(self._state, ref)
            await asyncio.to_thread(folders.make, placement, init=program)
            reached("agent.standby.folders.made", ref)
            await self._runtime.stand_by(
                contract.container(placement, folders, self._granted(placement.devices)), folders.waiting
            )
            reached("agent.standby.started", ref)
        except (RuntimeRefused, EngineUnreachable, Refusal, OSError) as error:
            _log.info("%s epoch %d: no container can be started ahead: %s", ref.job, ref.epoch, error)
            return False
        return True

    async def _removed(self, ref: Ref) -> None:
        try:
            await self._runtime.stand_down(ref)
            reached("agent.standby.removed", ref)
        except (RuntimeRefused, EngineUnreachable) as error:
            # The runtime finds it by its name, if it is still there. Of its folders nobody else knows, and they are of
            # no use to it: so they go now.
            _log.info("%s epoch %d: what was started ahead cannot be removed yet: %s", ref.job, ref.epoch, error)
        try:
            await asyncio.to_thread(Folders(self._state, ref).remove)
        except (Refusal, OSError) as error:
            _log.info("%s epoch %d: it has no folders that can be removed: %s", ref.job, ref.epoch, error)


def init_for(architecture: str) -> bytes | None:
    """The program by which containers of this architecture wait; `None` where there is none."""
    program = resources.files("agent") / "init" / architecture
    return program.read_bytes() if program.is_file() else None
