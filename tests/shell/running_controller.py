"""The real controller on loopback, and an agent whose reports a test writes by hand."""

import asyncio
import contextlib
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from grpc import aio

from agent.assembly import channel_to
from controller.daemon import SERVER_OPTIONS, Parts, add_services, assemble
from controller.listening import listen
from controller.permissions import permit
from headrace import wire
from headrace.attempts import Attempt, AttemptState, Platform
from headrace.client import Client
from headrace.jobs import JobSpec, Requests
from headrace.nodes import Capacity, Engine, NodeDescription
from headrace.projects import Declared
from headrace.sessions import Assignment, Placement, Report
from headrace.settings import ControllerSettings, ImageSettings
from headrace.v1.node_service_pb2_grpc import NodeServiceStub
from tests.shell.registry_double import AMD64, ARM64, Registry, serving

PATIENCE_SECONDS = 10.0
REPEAT_SECONDS = 0.1
LEASE_MS = 5_000
SPEC = JobSpec("train", "team/train:1", resources=Requests(1000, 1 << 30))


@dataclass
class Running:
    """A controller that serves, its registry, and a client of it."""

    address: str
    parts: Parts
    registry: Registry
    client: Client


@asynccontextmanager
async def registry_with_an_image() -> AsyncIterator[Registry]:
    """A registry that has team/train:1 for amd64 and arm64."""
    async with serving() as registry:
        registry.index(registry.image(AMD64), registry.image(ARM64))
        yield registry


@asynccontextmanager
async def controller(
    state: Path,
    *,
    projects: dict[str, Declared] | None = None,
    tls: Path | None = None,
    client_tls: Path | None = None,
    store: str = "",
) -> AsyncIterator[Running]:
    """A controller on this state folder; a second one on the same folder is the first one, restarted.

    Its store is in that folder, unless there is a URL of another. With the folders of a certificate of its own and of
    one for its client, it takes nobody without.
    """
    async with registry_with_an_image() as registry:
        images = ImageSettings(default_registry=registry.host)
        settings = ControllerSettings(
            state=state, lease_ms=LEASE_MS, images=images, projects=projects or {}, store=store
        )
        parts = assemble(settings)
        await parts.earlier.learn()
        server = aio.server(options=SERVER_OPTIONS)
        await add_services(server, parts, permit=permit if tls else None)
        address = f"127.0.0.1:{listen(server, '127.0.0.1:0', tls)}"
        judging = asyncio.create_task(parts.shell.run())
        await server.start()
        try:
            async with parts.images, Client(address, tls=client_tls) as client:
                yield Running(address, parts, registry, client)
        finally:
            await server.stop(None)
            judging.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await judging
            parts.reads.close()
            parts.store.close()


@dataclass
class HandWritten:
    """An agent of one session. It says what the test lets it say."""

    stub: NodeServiceStub
    report: Report
    stream: Any = None
    heard: list[Assignment] = field(default_factory=list)

    async def say(self, *attempts: Attempt, **changes: Any) -> Assignment:
        """Sends the next report; answers with the assignment that acknowledges it."""
        sequence = self.report.sequence + 1
        self.report = replace(self.report, sequence=sequence, attempts=attempts, **changes)
        if self.stream is None:
            self.stream = self.stub.Session()
        heard = asyncio.Event()
        repeating = asyncio.create_task(self._repeat_until(heard))
        try:
            return await self.hears(lambda assignment: assignment.acked_sequence >= sequence)
        finally:
            heard.set()
            await asyncio.wait([repeating])

    async def _repeat_until(self, heard: asyncio.Event) -> None:
        """As an agent does whose report has no answer of its own, but more often."""
        while not heard.is_set():
            with contextlib.suppress(aio.AioRpcError, asyncio.InvalidStateError):  # It is over: `hears` says why.
                await self.stream.write(wire.dump(self.report))
            self.report = replace(self.report, sequence=self.report.sequence + 1)
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(REPEAT_SECONDS):
                    await heard.wait()

    async def hears(self, wanted: Any) -> Assignment:
        """The next assignment that is as wanted."""
        async with asyncio.timeout(PATIENCE_SECONDS):
            while True:
                message = await self.stream.read()
                assert message is not aio.EOF, "the controller ended the session"
                assignment = wire.load(Assignment, message)
                self.heard.append(assignment)
                if wanted(assignment):
                    return assignment

    async def takes(self, job: str) -> Placement:
        """The placement of a job, once it is assigned."""
        assignment = self.heard[-1] if self.heard else await self.say()
        while not any(one.job == job for one in assignment.placements):
            assignment = await self.hears(lambda one: any(each.job == job for each in one.placements))
        return next(one for one in assignment.placements if one.job == job)


@asynccontextmanager
async def agent(
    running: Running, node: str = "n1", session: int = 1, *, tls: Path | None = None
) -> AsyncIterator[HandWritten]:
    """An agent of four cores; its node is READY once it has said something."""
    description = NodeDescription(platforms=(Platform("linux", "amd64"),), capacity=Capacity(4000, 8 << 30, 100 << 30))
    report = Report(node, session, 0, description, engine=Engine(reachable=True, message="test"))
    async with channel_to(running.address, tls) as channel:
        hand_written = HandWritten(NodeServiceStub(channel), report)
        try:
            yield hand_written
        finally:
            if hand_written.stream is not None:
                hand_written.stream.cancel()


def attempt(placement: Placement, state: AttemptState = AttemptState.RUNNING, **changes: Any) -> Attempt:
    """What a node says of a placement."""
    return Attempt(placement.job, placement.epoch, state=state, **changes)
