"""The bench of the runtime's suite: an engine under test, and shorthands for what the laws do with it."""

from contextlib import aclosing
from dataclasses import dataclass
from typing import Protocol

from agent.runtimes.runtime import ContainerSpec, ContainerStatus, Ref, Runtime
from agent.state_folders import StateFolder
from headrace.attempts import Platform
from headrace.jobs import Network
from tests.contract.programs import Program

REF = Ref("job", 0, 1)
WAITS = Program(waits=True)
TICKS = Program(waits=True, ticks=True)
MISSING_IMAGE = f"sha256:{'0' * 64}"


class Engine(Protocol):
    """An engine under test: two nodes' runtimes on it, an image that holds Python, and a way to it that can be cut."""

    image: str
    missing_image: str
    platform: Platform

    @property
    def runtime(self) -> Runtime: ...

    @property
    def other(self) -> Runtime: ...

    def now(self) -> float: ...

    def of(self, folder: StateFolder) -> Runtime:
        """A runtime of the same node as `runtime`, for an agent that has this state folder."""
        ...

    async def cut(self) -> None: ...

    async def mend(self) -> None: ...


@dataclass(frozen=True, slots=True)
class Bench:
    """Shorthands of the suite."""

    engine: Engine

    @property
    def runtime(self) -> Runtime:
        return self.engine.runtime

    def spec(self, program: Program | tuple[str, ...], ref: Ref = REF) -> ContainerSpec:
        command = program.command if isinstance(program, Program) else program
        return ContainerSpec(
            ref, self.engine.image, self.engine.platform, command, memory_bytes=64 << 20, network=Network.NONE
        )

    async def created(self, program: Program | tuple[str, ...], ref: Ref = REF) -> None:
        await self.runtime.pull(self.engine.image, self.engine.platform)
        await self.runtime.create(self.spec(program, ref))

    async def started(self, program: Program | tuple[str, ...], ref: Ref = REF) -> None:
        await self.created(program, ref)
        await self.runtime.start(ref)

    async def ready(self, program: Program, ref: Ref = REF) -> None:
        """Started, and past its preparations."""
        await self.started(program, ref)
        await self.read_until(b"ready\n", ref=ref)

    async def read_until(self, text: bytes, *, cursor: str = "", ref: Ref = REF) -> tuple[str, bytes]:
        """The log after the cursor, as far as a chunk in which `text` has come; and the cursor there."""
        data = b""
        async with aclosing(self.runtime.log(ref, cursor)) as log:
            async for chunk in log:
                data += chunk.data
                if text in data:
                    return chunk.cursor, data
        raise AssertionError(f"the log ended without {text!r}: {data!r}")

    async def read_all(self, *, cursor: str = "", ref: Ref = REF) -> tuple[str, bytes]:
        data = b""
        async with aclosing(self.runtime.log(ref, cursor)) as log:
            async for chunk in log:
                cursor, data = chunk.cursor, data + chunk.data
        return cursor, data

    async def status(self, ref: Ref = REF) -> ContainerStatus:
        return next(status for status in await self.runtime.containers() if status.ref == ref)

    async def ended(self, ref: Ref = REF) -> ContainerStatus:
        await self.read_all(ref=ref)
        return await self.status(ref)
