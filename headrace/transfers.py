"""Moves chunks and manifests between this program and the checkpoint store, whatever the connection does meanwhile."""

import asyncio
import logging
from collections.abc import Awaitable, Callable, Generator, Iterable, Iterator, Sequence
from contextlib import aclosing
from itertools import islice
from typing import ParamSpec, TypeVar

import grpc
from grpc import aio

from headrace.chunks import DIGESTS_MAX, ChunkCorrupt, digest_of
from headrace.manifests import Manifest, dump
from headrace.refusals import Code, Refusal
from headrace.status import refusal_of
from headrace.threads import ahead, finished, received
from headrace.v1 import checkpoint_service_pb2 as pb
from headrace.v1.checkpoint_service_pb2_grpc import CheckpointServiceStub

# Compressed chunks with their digests, as many as one message should hold.
Batch = Sequence[tuple[str, bytes]]
Pack = Callable[[Sequence[str]], Generator[Batch]]
Take = Callable[[str, bytes], None]
Paced = Callable[[int], Awaitable[None]]

_Params = ParamSpec("_Params")
_Answer = TypeVar("_Answer")

_log = logging.getLogger(__name__)

_CUT = (grpc.StatusCode.UNAVAILABLE, grpc.StatusCode.CANCELLED, grpc.StatusCode.DEADLINE_EXCEEDED)
# What gRPC says of a call that was cut at a bad moment; of anything else it may say so too, and would for ever.
_PERHAPS_CUT = ("INTERNAL", "UNKNOWN")
_PERHAPS_CUT_MAX = 10
_DELAYS_SECONDS = (0.1, 0.2, 0.5, 1, 2, 5, 10)


class Transfer:
    """One transfer, up or down. A cut is no end: it asks again what is missing, until it is done or cancelled.

    With `attempts`, so many calls in a row that moved nothing are an end too, and raise a Refusal. `paced` waits until
    so many bytes may go, or have come.

    `moved_bytes` counts the chunks' bytes that went over the network, those of cut calls too. A connection that is
    dead without saying so is for the channel's keepalive to find out.
    """

    def __init__(self, stub: CheckpointServiceStub, *, attempts: int | None = None, paced: Paced | None = None) -> None:
        self._stub = stub
        self._attempts = attempts
        self._paced = paced
        self.moved_bytes = 0

    async def upload(self, digests: Iterable[str], pack: Pack) -> None:
        """Sends what the store lacks. `pack` gives the chunks of these digests; it is run in a thread."""
        for some in _slices(digests):
            await self._persist(self._upload, some, pack)

    async def download(self, digests: Iterable[str], take: Take) -> None:
        """Fetches chunks. `take` keeps a compressed chunk, in a thread, or raises ChunkCorrupt.

        A chunk that came corrupt is asked for once more, and the store looks at its own copy before it sends that.
        """
        for some in _slices(digests):
            await self._persist(self._download, _Wanted(some, take))

    async def create_manifest(self, manifest: Manifest, *, job: str, epoch: int) -> str:
        """Puts a manifest whose chunks are all there; answers its digest."""
        request = pb.CreateManifestRequest(job=job, epoch=epoch, manifest=await finished(dump, manifest))
        return (await self._persist(self._stub.CreateManifest, request)).digest

    async def manifest(self, digest: str) -> bytes:
        """A manifest's canonical form, which is what its name says. `headrace.manifests.load` checks and reads it."""
        data = (await self._persist(self._stub.GetManifest, pb.GetManifestRequest(digest=digest))).manifest
        if await finished(digest_of, data) != digest:
            message = f"the checkpoint store's manifest {digest} is not what its name says; use an older checkpoint"
            raise Refusal(Code.INTERNAL, "MANIFEST_CORRUPT", message)
        return data

    async def _upload(self, digests: Sequence[str], pack: Pack) -> None:
        missing = await self._stub.FindMissingChunks(pb.FindMissingChunksRequest(digests=digests))
        if not missing.digests:
            return
        call = self._stub.UploadChunks()
        try:
            async with aclosing(ahead(pack(missing.digests))) as batches:
                async for batch in batches:
                    chunks = [pb.Chunk(digest=digest, data=data) for digest, data in batch]
                    await self._pace(chunks)
                    try:
                        await call.write(pb.UploadChunksRequest(chunks=chunks))
                    except (asyncio.InvalidStateError, aio.AioRpcError):
                        break  # The store ended the call. Why is said by the call itself, below, not by the write.
                    self.moved_bytes += sum(len(data) for _, data in batch)
            await call.done_writing()
            await call
        finally:
            call.cancel()

    async def _download(self, wanted: "_Wanted") -> None:
        while wanted.left:
            before = wanted.progress
            call = self._stub.DownloadChunks(pb.DownloadChunksRequest(digests=wanted.left, suspects=wanted.suspects))
            try:
                async with aclosing(received(call)) as responses:
                    async for response in responses:
                        self.moved_bytes += sum(len(chunk.data) for chunk in response.chunks)
                        await finished(wanted.keep, response.chunks)
                        await self._pace(response.chunks)
            finally:
                call.cancel()
            if wanted.progress == before:
                message = (
                    "the checkpoint store sent nothing of what it was asked for; bring it to this program's version"
                )
                raise Refusal(Code.INTERNAL, "CHUNKS_MISSING", message)

    async def _pace(self, chunks: Iterable[pb.Chunk]) -> None:
        if self._paced is not None:
            await self._paced(sum(len(chunk.data) for chunk in chunks))

    async def _persist(
        self, step: Callable[_Params, Awaitable[_Answer]], *args: _Params.args, **kwargs: _Params.kwargs
    ) -> _Answer:
        failures = perhaps_cut = 0
        while True:
            moved_before = self.moved_bytes
            try:
                return await step(*args, **kwargs)
            except aio.AioRpcError as error:
                failures = failures + 1 if self.moved_bytes == moved_before else 1
                refusal = refusal_of(error)
                # A refusal of ours has a reason of its own; that of a foreign error is its code.
                perhaps_cut += refusal.reason in _PERHAPS_CUT
                is_cut = error.code() in _CUT or (refusal.reason in _PERHAPS_CUT and perhaps_cut <= _PERHAPS_CUT_MAX)
                if not is_cut or failures == self._attempts:
                    raise refusal from error
                if failures == 1:
                    _log.warning("the checkpoint store does not answer, trying again: %s", error.details())
            await asyncio.sleep(_DELAYS_SECONDS[min(failures, len(_DELAYS_SECONDS)) - 1])


class _Wanted:
    """The chunks of a download that are still to come."""

    def __init__(self, digests: Iterable[str], take: Take) -> None:
        self.left = dict.fromkeys(digests)
        self.suspects: dict[str, None] = {}
        self._take = take

    @property
    def progress(self) -> tuple[int, int]:
        """Another one after every call that was not in vain."""
        return len(self.left), len(self.suspects)

    def keep(self, chunks: Iterable[pb.Chunk]) -> None:
        for chunk in chunks:
            if chunk.digest not in self.left:
                continue
            try:
                self._take(chunk.digest, chunk.data)
            except ChunkCorrupt as error:
                if chunk.digest in self.suspects:
                    raise _corrupt(error) from error
                self.suspects[chunk.digest] = None
            else:
                del self.left[chunk.digest]
                self.suspects.pop(chunk.digest, None)


def _slices(digests: Iterable[str]) -> Iterator[tuple[str, ...]]:
    left = iter(digests)
    while some := tuple(islice(left, DIGESTS_MAX)):
        yield some


def _corrupt(error: ChunkCorrupt) -> Refusal:
    message = f"{error}, twice, and the checkpoint store's copy is whole; check this machine's memory and network"
    return Refusal(Code.INTERNAL, "CHUNK_CORRUPT", message, chunk=error.digest)
