"""What comes before a start: folders, image, checkpoint, container; or what was started ahead, made the attempt's."""

import asyncio
import logging
from collections.abc import Callable
from pathlib import Path

from agent import contract
from agent.accelerators.grants import Granted
from agent.checkpoints import Checkpoints
from agent.core.model import NotStarted, Prepared
from agent.folders import Folders
from agent.phases import timed
from agent.runtimes.runtime import ContainerSpec, Ref, Runtime, RuntimeRefused
from agent.standbys import Standbys, init_for
from headrace.attempts import Phase
from headrace.faultpoints import reached
from headrace.refusals import Refusal
from headrace.sessions import Placement

_log = logging.getLogger(__name__)


class Preparations:
    """Prepares attempts."""

    def __init__(
        self,
        state: Path,
        runtime: Runtime,
        checkpoints: Checkpoints,
        standbys: Standbys,
        granted: Callable[[tuple[str, ...]], Granted],
    ) -> None:
        self._state = state
        self._runtime = runtime
        self._checkpoints = checkpoints
        self._standbys = standbys
        self._granted = granted
        self._taken: dict[Ref, None] = {}

    def claim(self, ref: Ref) -> None:
        """Takes what stands by for an attempt that will be prepared, before the end of its hint is heard of."""
        if self._standbys.take(ref):
            self._taken[ref] = None

    async def prepare(self, ref: Ref, placement: Placement) -> Prepared | NotStarted:
        """What it comes to. An engine that does not answer is EngineUnreachable, in a group."""
        phases: list[Phase] = []
        answer: Prepared | NotStarted = Prepared(ref)
        try:
            folders = Folders(self._state, ref)
            if ref in self._taken:
                # Its folders are mounted already. Should this be cut short, the next time all is made anew.
                del self._taken[ref]
            else:
                await self._standbys.without(ref)
                await asyncio.to_thread(folders.make, placement)
                reached("agent.folders.made", ref)
            async with asyncio.TaskGroup() as bringing:
                bringing.create_task(self._make_container(placement, folders, phases))
                bringing.create_task(self._lay_down(placement, folders, phases))
            answer = Prepared(ref, tuple(phases))
        except* (RuntimeRefused, Refusal) as group:
            answer = not_started(ref, group)
        except* OSError as group:
            message = f"the node's disk: {group.exceptions[0]}; free space under {self._state}"
            answer = NotStarted(ref, "NODE_DISK", message)
        return answer

    async def _make_container(self, placement: Placement, folders: Folders, phases: list[Phase]) -> None:
        await timed(phases, "pull", self._runtime.pull(placement.image, placement.platform))
        spec = contract.container(placement, folders, self._granted(placement.devices))
        program = init_for(placement.platform.architecture) if placement.devices else None
        if program is not None:
            # Nothing of the job runs before it is known that its devices are there.
            await timed(phases, "devices", self._wait_with_devices(spec, folders, program))
        await timed(phases, "create", self._runtime.create(spec))
        reached("agent.container.created", placement)

    async def _wait_with_devices(self, spec: ContainerSpec, folders: Folders, program: bytes) -> None:
        try:
            await asyncio.to_thread(folders.lay_init, program)
            await self._runtime.stand_by(spec, folders.waiting)
        except RuntimeRefused as refused:
            if refused.reason != "STANDBY_FAILED":
                raise
            # It cannot wait here, as where no program may be run from the state folder: it is looked into later.
            _log.info("%s epoch %d: %s", spec.ref.job, spec.ref.epoch, refused.message)

    async def _lay_down(self, placement: Placement, folders: Folders, phases: list[Phase]) -> None:
        if placement.restore:
            await timed(phases, "restore", self._checkpoints.lay_down(placement.restore, folders.checkpoint))


def not_started(ref: Ref, group: BaseExceptionGroup[RuntimeRefused | Refusal]) -> NotStarted:
    """What is told of the first refusal of a group."""
    error = first(group)
    if not isinstance(error, (RuntimeRefused, Refusal)):
        raise TypeError(f"not a refusal: {error!r}")
    return NotStarted(ref, error.reason, error.message)


def first(group: BaseExceptionGroup[BaseException]) -> BaseException:
    """The first error of a group, whatever groups it is in."""
    error: BaseException = group
    while isinstance(error, BaseExceptionGroup):
        error = error.exceptions[0]
    return error
