"""What benchmarks stand on: an engine, a registry, a controller and agents of their own, ended afterwards."""

import asyncio
import contextlib
import os
import tempfile
from collections.abc import AsyncIterator, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from deploy.local import cluster, daemon_images, images, places, prepared
from headrace.client import Client
from headrace.nodes import NodeState
from headrace.refusals import Code, Refusal

READY_SECONDS = 90.0


@dataclass(frozen=True, slots=True)
class Setting:
    """An engine, a registry with the base image in it, and a folder for everything that is written."""

    engine: str
    registry: str
    folder: Path

    def image(self) -> str:
        """A small image with a shell, as a job names it."""
        return f"{self.registry}/{images.PYTHON}:latest"

    def pinned(self) -> str:
        """The same by the digest of this machine's platform, as the agent asks the engine for it."""
        return images.base(self.registry).on("amd64")


@contextlib.contextmanager
def prepare() -> Iterator[Setting]:
    """The engine and registry that the environment names, as for the tests; else those that set-up makes."""
    engine, registry = (os.environ.get(f"HEADRACE_TEST_{name}", "") for name in ("ENGINE", "REGISTRY"))
    with contextlib.ExitStack() as stack:
        if not (engine and registry):
            local = stack.enter_context(prepared.prepare())
            engine, registry = local.engine, local.registry
        places.STATE.mkdir(exist_ok=True)
        folder = stack.enter_context(tempfile.TemporaryDirectory(prefix="bench-", dir=places.STATE))
        yield Setting(engine, registry, Path(folder))


@dataclass(frozen=True, slots=True)
class Member:
    """A node to start: its name, the engine that it drives, and whether its agent is an arm64 program.

    `networks` is how many it makes ahead; not given, as many as an agent that is not told. `standby` is whether it
    starts containers ahead.
    """

    node: str
    engine: str
    arm64: bool = False
    networks: int | None = None
    standby: bool = True


@contextlib.asynccontextmanager
async def daemons(setting: Setting, *members: Member) -> AsyncIterator[tuple[str, Client]]:
    """A controller with these nodes, all of which report: its address, and a client of it."""
    started: list[cluster.Daemon] = []
    address = cluster.free_address()
    with tempfile.TemporaryDirectory(prefix="daemons-", dir=setting.folder) as name:
        folder = Path(name)
        try:
            started.append(cluster.start_controller(folder / "controller", registry=setting.registry, address=address))
            for member in members:
                agent = await asyncio.to_thread(_agent, setting, member, folder, address)
                started.append(agent)
            async with Client(address) as client:
                await _ready(client, started, members)
                yield address, client
        finally:
            for daemon in reversed(started):
                daemon.stop()


def _agent(setting: Setting, member: Member, folder: Path, address: str) -> cluster.Daemon:
    home = folder / member.node
    told: dict[str, Any] = {"standby": member.standby}
    if member.networks is not None:
        told["networks"] = member.networks
    added = {"engine": told}
    if not member.arm64:
        return cluster.start_agent(home, node=member.node, engine=member.engine, controller=address, settings=added)
    image = daemon_images.image(setting.registry, "agent", (cluster.ARM64,))
    return cluster.start_arm64_agent(
        home, node=member.node, engine=member.engine, image=image, controller=address, settings=added
    )


async def _ready(client: Client, started: list[cluster.Daemon], members: tuple[Member, ...]) -> None:
    missing = {member.node: None for member in members}
    if not missing:
        return
    try:
        async with asyncio.timeout(READY_SECONDS), contextlib.aclosing(client.watch_nodes()) as nodes:
            async for node in nodes:
                if node.state is NodeState.READY and node.engine.reachable:
                    missing.pop(node.id, None)
                if not missing:
                    return
    except TimeoutError:
        logs = "\n".join(daemon.log.read_text(errors="replace")[-2000:] for daemon in started)
        message = f"{', '.join(missing)}: no report after {READY_SECONDS:.0f} s\n{logs}"
        raise Refusal(Code.UNAVAILABLE, "NODES_NOT_READY", message) from None
