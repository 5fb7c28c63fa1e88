"""A Runtime in memory, without time or chance: containers do what their Program says, or what the test tells them.

Several fakes may share one engine, as agents do: `FakeRuntime("b", engine=first.engine)`.
"""

import asyncio
from collections.abc import AsyncGenerator
from dataclasses import dataclass, field, replace

from agent.runtimes.runtime import (
    ContainerSpec,
    ContainerState,
    ContainerStatus,
    EngineUnreachable,
    Holder,
    LogChunk,
    Ref,
    RuntimeRefused,
    Waiting,
)
from agent.state_folders import NOWHERE, StateFolder
from headrace.attempts import Platform
from tests.contract.programs import NO_SUCH_PROGRAM, AtSigterm, program_of

# What a pull of any image brings.
IMAGE_BYTES = 1000

_OVER = (ContainerState.CREATED, ContainerState.EXITED)


@dataclass(slots=True)
class FakeContainer:
    """What the engine has of a container; `log` is all that it printed."""

    spec: ContainerSpec
    status: ContainerStatus
    log: bytearray = field(default_factory=bytearray)
    ticks: int = 0
    held: list[str] = field(default_factory=list)
    # The state folder of the agent that made it.
    folder: str = ""


class FakeEngine:
    """What the fakes of several nodes share."""

    def __init__(self) -> None:
        self.unreachable = False
        self.now = 0.0
        self.images: dict[str, Platform] = {}
        self.containers: dict[tuple[str, Ref], FakeContainer] = {}
        # Containers that are of no node, and hold devices.
        self.strangers: list[Holder] = []
        self.standbys: dict[tuple[str, Ref], ContainerSpec] = {}
        self.watchers: list[tuple[str, asyncio.Queue[ContainerStatus | None]]] = []
        self._changed = asyncio.Event()

    def change(self) -> None:
        """Wakes everyone who waits for something to happen."""
        self._changed.set()
        self._changed = asyncio.Event()

    async def changed(self) -> None:
        await self._changed.wait()


class FakeRuntime:
    """The Runtime of `node`.

    A test may set `unknown_images`, which no registry has. A command that is no Program's runs until the test says
    `exit`; of signals only SIGKILL ends it.
    """

    def __init__(self, node: str = "node", *, engine: FakeEngine | None = None, folder: StateFolder = NOWHERE) -> None:
        self.node = node
        self.folder = folder
        self.engine = engine or FakeEngine()
        self.unknown_images: tuple[str, ...] = ()
        # What another runtime of this node made is removed, as an agent's that is gone.
        self.stands_by: set[Ref] = set()

    @property
    def unreachable(self) -> bool:
        """Whether the engine is silent; set, it breaks off what is being read as well."""
        return self.engine.unreachable

    @unreachable.setter
    def unreachable(self, unreachable: bool) -> None:
        self.engine.unreachable = unreachable
        if unreachable:
            for _, queue in self.engine.watchers:
                queue.put_nowait(None)
        self.engine.change()

    def container(self, ref: Ref) -> FakeContainer:
        """What the engine has of it. Raises KeyError."""
        return self.engine.containers[self.node, ref]

    def output(self, ref: Ref, data: bytes) -> None:
        """Lets the container print."""
        self.container(ref).log += data
        self.engine.change()

    def exit(self, ref: Ref, code: int, *, out_of_memory: bool = False, exec_failed: str = "") -> None:
        """Lets the container end, which runs or is paused."""
        container = self.container(ref)
        if container.status.state in _OVER:
            raise ValueError(f"{ref} does not run: {container.status}")
        container.status = ContainerStatus(
            ref, ContainerState.EXITED, code, out_of_memory=out_of_memory, exec_failed=exec_failed
        )
        for node, queue in self.engine.watchers:
            if node == self.node:
                queue.put_nowait(container.status)
        self.engine.change()

    async def version(self) -> str:
        await self._reach()
        return "Fake Engine 1.0"

    async def pull(self, image: str, platform: Platform) -> int:
        await self._reach()
        if image in self.engine.images:
            return 0
        if image in self.unknown_images:
            raise RuntimeRefused("IMAGE_PULL_FAILED", f"image {image}: no registry has it; push it")
        self.engine.images[image] = platform
        return IMAGE_BYTES

    async def stand_by(self, spec: ContainerSpec, waiting: Waiting) -> None:
        await self._reach()
        if spec.image not in self.engine.images:
            raise RuntimeRefused("STANDBY_FAILED", f"image {spec.image} is not there; pull it")
        self.engine.standbys[self.node, spec.ref] = spec
        self.stands_by.add(spec.ref)

    async def stand_down(self, ref: Ref) -> None:
        await self._reach()
        self.stands_by.discard(ref)
        self.engine.standbys.pop((self.node, ref), None)

    async def create(self, spec: ContainerSpec) -> None:
        await self._reach()
        self.stands_by.discard(spec.ref)
        # What differs, but for variables' values, would be made anew: in a fake that comes to the same.
        self.engine.standbys.pop((self.node, spec.ref), None)
        if (self.node, spec.ref) in self.engine.containers:
            return
        platform = self.engine.images.get(spec.image)
        if platform is None:
            raise RuntimeRefused("CREATE_FAILED", f"image {spec.image} is not there; pull it")
        if (platform.os, platform.architecture) != (spec.platform.os, spec.platform.architecture):
            raise RuntimeRefused("IMAGE_NOT_RUNNABLE", f"image {spec.image} is for {platform}; build it again")
        status = ContainerStatus(spec.ref, ContainerState.CREATED)
        self.engine.containers[self.node, spec.ref] = FakeContainer(spec, status, folder=self.folder.name)

    async def start(self, ref: Ref) -> None:
        await self._reach()
        container = self._find(ref)
        if container.status.state is not ContainerState.CREATED:
            return
        self._move(container, ContainerState.RUNNING)
        command = container.spec.command
        program = program_of(command)
        if command[:1] == (NO_SUCH_PROGRAM,):
            self.exit(ref, 127, exec_failed="COMMAND_NOT_FOUND")
        elif program is not None:
            self.output(ref, program.err + program.out)
            if not program.waits:
                self.exit(ref, program.exit_code)

    async def signal(self, ref: Ref, name: str) -> None:
        await self._reach()
        container = self.engine.containers.get((self.node, ref))
        if container is None or container.status.state in _OVER:
            return
        if container.status.state is ContainerState.PAUSED and name not in ("SIGKILL", "SIGTERM"):
            container.held.append(name)
            return
        self._swap(ref, ContainerState.PAUSED, ContainerState.RUNNING)
        self._deliver(ref, name)

    def _deliver(self, ref: Ref, name: str) -> None:
        program = program_of(self.container(ref).spec.command)
        if name == "SIGKILL":
            self.exit(ref, 137)
        elif program is None:
            return
        elif name == "SIGUSR1":
            self.output(ref, b"SIGUSR1\n")
        elif name == "SIGTERM" and program.at_sigterm is AtSigterm.DIES:
            self.exit(ref, 143)
        elif name == "SIGTERM" and program.at_sigterm is AtSigterm.EXITS:
            self.exit(ref, program.exit_code)

    async def pause(self, ref: Ref) -> None:
        await self._reach()
        self._swap(ref, ContainerState.RUNNING, ContainerState.PAUSED)

    async def unpause(self, ref: Ref) -> None:
        await self._reach()
        self._swap(ref, ContainerState.PAUSED, ContainerState.RUNNING)
        container = self.engine.containers.get((self.node, ref))
        while container is not None and container.held:
            self._deliver(ref, container.held.pop(0))

    async def remove(self, ref: Ref) -> None:
        await self._reach()
        container = self.engine.containers.get((self.node, ref))
        if container is None:
            return
        if container.status.state not in _OVER:
            self.exit(ref, 137)
        del self.engine.containers[self.node, ref]
        self.engine.change()

    async def containers(self) -> tuple[ContainerStatus, ...]:
        await self._reach()
        mine = [container for (node, _), container in self.engine.containers.items() if node == self.node]
        await self.folder.refuse_others(one.folder for one in mine)
        for node, ref in list(self.engine.standbys):
            if node == self.node and ref not in self.stands_by:
                del self.engine.standbys[node, ref]
        return tuple(sorted((container.status for container in mine), key=lambda status: status.ref))

    async def holders(self) -> tuple[Holder, ...]:
        await self._reach()
        found = [
            Holder(f"{node}-{ref.job}", ref if node == self.node else None, "nvidia", container.spec.devices)
            for (node, ref), container in self.engine.containers.items()
            if container.spec.devices and container.status.state not in _OVER
        ]
        return (*found, *self.engine.strangers)

    def exits(self) -> AsyncGenerator[ContainerStatus, None]:
        queue: asyncio.Queue[ContainerStatus | None] = asyncio.Queue()
        self.engine.watchers.append((self.node, queue))
        return self._exits(queue)

    async def _exits(self, queue: asyncio.Queue[ContainerStatus | None]) -> AsyncGenerator[ContainerStatus, None]:
        try:
            await self._reach()
            while (status := await queue.get()) is not None:
                yield status
            raise EngineUnreachable("the fake engine went away")
        finally:
            self.engine.watchers.remove((self.node, queue))

    async def log(self, ref: Ref, cursor: str) -> AsyncGenerator[LogChunk, None]:
        await self._reach()
        if cursor and not cursor.isdecimal():
            raise RuntimeRefused("LOG_CURSOR_INVALID", f"log cursor {cursor!r}: leave it empty")
        container = self._find(ref)
        if container.status.state is ContainerState.CREATED:
            raise RuntimeRefused("CONTAINER_NOT_STARTED", f"{ref} has no log yet; start it first")
        read = int(cursor or 0)
        while True:
            self._tick(container)
            while chunk := bytes(container.log[read : read + 64 * 1024]):
                read += len(chunk)
                yield LogChunk(str(read), chunk)
                await self._reach()
            if container.status.state is ContainerState.EXITED:
                return
            program = program_of(container.spec.command)
            if program is None or not program.ticks or container.status.state is ContainerState.PAUSED:
                await self.engine.changed()
            await self._reach()

    def _tick(self, container: FakeContainer) -> None:
        """One that ticks does so when someone looks, or the fake would need time of its own."""
        program = program_of(container.spec.command)
        if program is not None and program.ticks and container.status.state is ContainerState.RUNNING:
            self.engine.now += 1
            container.log += f"tick {container.ticks} {self.engine.now}\n".encode()
            container.ticks += 1

    def _find(self, ref: Ref) -> FakeContainer:
        container = self.engine.containers.get((self.node, ref))
        if container is None:
            raise RuntimeRefused("CONTAINER_MISSING", f"{ref} is not there; it was removed or never made")
        return container

    def _swap(self, ref: Ref, old: ContainerState, new: ContainerState) -> None:
        container = self.engine.containers.get((self.node, ref))
        if container is not None and container.status.state is old:
            self._move(container, new)

    def _move(self, container: FakeContainer, state: ContainerState) -> None:
        container.status = replace(container.status, state=state)
        self.engine.change()

    async def _reach(self) -> None:
        # As with an engine, others run meanwhile.
        await asyncio.sleep(0)
        if self.engine.unreachable:
            raise EngineUnreachable("the fake engine does not answer")
        self.engine.now += 1
