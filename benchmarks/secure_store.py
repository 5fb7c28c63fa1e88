"""The checkpoint store's service behind mutual TLS, in a process of its own: what that costs."""

import asyncio
import contextlib
import datetime as dt
import multiprocessing
from collections.abc import AsyncIterator
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any

from grpc import aio

from agent.assembly import channel_to
from controller.checkpoint_store import FolderStore
from controller.daemon import SERVER_OPTIONS
from controller.listening import listen
from controller.services.checkpoints import CheckpointService
from headrace import certificates
from headrace.peers import Peer, Role
from headrace.status import RefusingServer
from headrace.v1.checkpoint_service_pb2_grpc import CheckpointServiceStub, add_CheckpointServiceServicer_to_server


@contextlib.asynccontextmanager
async def served(folder: Path, *, job: str) -> AsyncIterator[CheckpointServiceStub]:
    """A store of its own in `folder`, in a process of its own, that knows of one job; and an end of a channel to it."""
    certificates.create_authority(folder / "authority")
    authority = certificates.read_authority(folder / "authority", key="folder")
    for role in (Role.CONTROLLER, Role.AGENT):
        certificates.write(authority.issue(Peer(role, "store"), life=dt.timedelta(days=1)), folder / role.value)
    ours, theirs = multiprocessing.Pipe()
    context = multiprocessing.get_context("spawn")
    process = context.Process(target=_serve, args=(folder, job, theirs), daemon=True)
    process.start()
    # Ours is not to keep the pipe open for one that has ended without a word.
    theirs.close()
    try:
        port = await asyncio.to_thread(ours.recv)
        async with channel_to(f"127.0.0.1:{port}", folder / Role.AGENT.value) as channel:
            yield CheckpointServiceStub(channel)
    finally:
        process.terminate()
        process.join()


def _serve(folder: Path, job: str, told: Connection) -> None:
    async def forever() -> None:
        server = aio.server(options=SERVER_OPTIONS)
        service = CheckpointService(FolderStore(folder / "store"), {job: 1}.get)
        refusing: Any = RefusingServer(server)
        add_CheckpointServiceServicer_to_server(service, refusing)
        port = listen(server, "127.0.0.1:0", folder / Role.CONTROLLER.value)
        await server.start()
        told.send(port)
        await server.wait_for_termination()

    asyncio.run(forever())
