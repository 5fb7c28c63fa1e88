"""A checkpoint store behind a real gRPC server on loopback, and agents' ends of it."""

import asyncio
import os
from collections.abc import AsyncIterator, Callable, Iterable, Sequence
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

from grpc import StatusCode, aio

from agent.checkpoints import Checkpoints
from controller.checkpoint_store import CheckpointStore, FolderStore
from controller.services.checkpoints import CheckpointService
from headrace.attempts import Checkpoint
from headrace.refusals import Code, Refusal
from headrace.status import RefusingServer
from headrace.v1.checkpoint_service_pb2_grpc import CheckpointServiceStub, add_CheckpointServiceServicer_to_server

# As the daemons set it: manifests travel in one message.
OPTIONS = (("grpc.max_receive_message_length", 64 << 20),)

EPOCHS = {"train": 3}


class CutService(CheckpointService):
    """Cuts the stream of the next `cuts` uploads and downloads after a message."""

    cuts = 0
    # What gRPC says of the next uploads, each.
    gives_up: Sequence[StatusCode] = ()

    def __init__(self, store: CheckpointStore, epochs: Callable[[str], int | None]) -> None:
        super().__init__(store, epochs)
        self.was_cut = asyncio.Semaphore(0)
        self.arrived: list[str] = []

    async def UploadChunks(self, request_iterator: AsyncIterator[Any], context: Any) -> Any:  # noqa: N802 - gRPC's name
        if self.gives_up:
            code, *self.gives_up = self.gives_up
            await context.abort(code, "Internal error from Core")
        return await super().UploadChunks(self._cut(self._noted(request_iterator)), context)

    async def DownloadChunks(self, request: Any, context: Any) -> AsyncIterator[Any]:  # noqa: N802 - gRPC's name
        async for response in self._cut(super().DownloadChunks(request, context)):
            yield response

    async def _noted(self, requests: AsyncIterator[Any]) -> AsyncIterator[Any]:
        async for request in requests:
            self.arrived += [chunk.digest for chunk in request.chunks]
            yield request

    async def _cut(self, messages: AsyncIterator[Any]) -> AsyncIterator[Any]:
        async for message in messages:
            yield message
            if self.cuts:
                self.cuts -= 1
                self.was_cut.release()
                raise Refusal(Code.UNAVAILABLE, "CUT", "the cable was pulled")


class World:
    """The store, its service, and a folder for each agent."""

    def __init__(self, folder: Path, channel: aio.Channel, service: CutService, store: FolderStore) -> None:
        self.folder = folder
        self.channel = channel
        self.stub = CheckpointServiceStub(channel)
        self.service = service
        self.store = store

    def agent(self, name: str = "a") -> Checkpoints:
        return Checkpoints(self.stub, self.folder / name / "cache")

    def directory(self, name: str = "source") -> Path:
        path = self.folder / name
        path.mkdir(exist_ok=True)
        return path

    def stored_chunks(self) -> list[Path]:
        return [path for path in (self.folder / "store" / "chunks").rglob("*") if path.is_file()]

    def cached_chunks(self, name: str = "a") -> list[Path]:
        return list((self.folder / name / "cache" / "chunks").iterdir())


@asynccontextmanager
async def world_in(folder: Path) -> AsyncIterator[World]:
    store = FolderStore(folder / "store")
    service = CutService(store, EPOCHS.get)
    server = aio.server(options=OPTIONS)
    add_CheckpointServiceServicer_to_server(service, RefusingServer(server))
    port = server.add_insecure_port("127.0.0.1:0")
    await server.start()
    async with aio.insecure_channel(f"127.0.0.1:{port}", options=OPTIONS) as channel:
        yield World(folder, channel, service, store)
    await server.stop(None)


def flip_a_bit(paths: Iterable[Path]) -> None:
    """As a bad disk does, in the middle of each file."""
    for path in paths:
        data = bytearray(path.read_bytes())
        data[len(data) // 2] ^= 1
        path.write_bytes(data)


def contents(directory: Path) -> dict[str, Any]:
    """All that a job could see in a directory: kinds, modes, owners, times of files, links, bytes."""
    found: dict[str, Any] = {}
    for path in sorted(directory.rglob("*")):
        status = path.lstat()
        name = os.fsencode(path.relative_to(directory)).decode("latin-1")
        if path.is_symlink():
            found[name] = ("link", os.readlink(path))  # noqa: PTH115 - pathlib would tidy the target up.
        elif path.is_dir():
            found[name] = ("directory", status.st_mode, status.st_uid, status.st_gid)
        else:
            found[name] = ("file", status.st_mode, status.st_uid, status.st_gid, status.st_mtime_ns, path.read_bytes())
    return found


async def saved(world: World, directory: Path, *, sequence: int = 1, agent: str = "a") -> Checkpoint:
    """A checkpoint of the directory, saved by an agent that remembers none."""
    checkpoint = await world.agent(agent).save(directory, job="train", epoch=3, sequence=sequence)
    assert checkpoint is not None
    return checkpoint
