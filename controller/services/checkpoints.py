"""CheckpointService: agents and users put and get what the checkpoint store holds."""

# gRPC's classes take type parameters in their stubs alone.
from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import AsyncIterator, Callable, Generator, Iterable
from concurrent.futures import ThreadPoolExecutor
from contextlib import aclosing
from typing import Any, NamedTuple

from grpc import aio

from controller.checkpoint_store import CheckpointStore
from controller.permissions import permit_checkpoint
from headrace.chunks import DIGESTS_MAX, MESSAGE_BYTES
from headrace.memory import Moving
from headrace.refusals import Code, Refusal
from headrace.threads import ahead, finished, received
from headrace.v1 import checkpoint_service_pb2 as pb
from headrace.v1.checkpoint_service_pb2_grpc import CheckpointServiceServicer

# An attempt puts one manifest after the other, and at its end two: its last checkpoint and its outputs.
_UNREPORTED_MAX = 2

# How many chunks are written at the same time: a disk syncs many files in the time of a few.
_WRITERS = 16


class _Put(NamedTuple):
    """The newest manifests that were put for an epoch of a job."""

    epoch: int
    digests: tuple[str, ...]


class CheckpointService(CheckpointServiceServicer):
    """Serves a store.

    `epochs` answers a job's present epoch, None for a job that is not known; `nodes` on which node that is.
    """

    def __init__(
        self,
        store: CheckpointStore,
        epochs: Callable[[str], int | None],
        nodes: Callable[[str], str] = lambda _job: "",
    ) -> None:
        self._store = store
        self._epochs = epochs
        self._nodes = nodes
        self._put_for: dict[str, _Put] = {}
        self._writers = ThreadPoolExecutor(_WRITERS, "chunks")

    def pinned(self) -> list[str]:
        """Manifests that no record may name yet, because an attempt that is not over has still to report them."""
        pinned = [digest for put in self._put_for.values() for digest in put.digests]
        # Not before the next time: the record that names them may be about to be saved.
        self._put_for = {job: put for job, put in self._put_for.items() if self._epochs(job) == put.epoch}
        return pinned

    async def FindMissingChunks(  # noqa: N802 - gRPC's name
        self,
        request: pb.FindMissingChunksRequest,
        context: aio.ServicerContext[Any, Any],  # noqa: ARG002
    ) -> pb.FindMissingChunksResponse:
        """Which of these the store lacks."""
        digests = _few_enough(request.digests)
        return pb.FindMissingChunksResponse(digests=await finished(self._store.missing, digests))

    async def UploadChunks(  # noqa: N802
        self,
        request_iterator: AsyncIterator[pb.UploadChunksRequest],
        context: aio.ServicerContext[Any, Any],  # noqa: ARG002
    ) -> pb.UploadChunksResponse:
        """Keeps each chunk as it comes: those that came before a cut stay."""
        response = pb.UploadChunksResponse()
        loop, writing = asyncio.get_running_loop(), deque[asyncio.Future[None]]()
        with Moving() as moving:
            try:
                async with aclosing(received(request_iterator)) as requests:
                    async for request in requests:
                        size = 0
                        for chunk in request.chunks:
                            # Each time that a message is asked for its bytes it makes a copy of them.
                            digest, data = chunk.digest, chunk.data
                            size += len(data)
                            if len(writing) == _WRITERS:
                                await writing.popleft()
                            writing.append(loop.run_in_executor(self._writers, self._store.put_chunk, digest, data))
                        response.chunk_count += len(request.chunks)
                        response.received_bytes += size
                        moving.add(size)
                while writing:
                    await writing.popleft()
            finally:
                # Nothing is written for a call that is over.
                await asyncio.gather(*writing, return_exceptions=True)
        return response

    async def DownloadChunks(  # noqa: N802
        self,
        request: pb.DownloadChunksRequest,
        context: aio.ServicerContext[Any, Any],  # noqa: ARG002
    ) -> AsyncIterator[pb.DownloadChunksResponse]:
        """The chunks in this order, a message's worth at a time."""
        digests = _few_enough(request.digests)
        await finished(self._check, _few_enough(request.suspects))
        missing = await finished(self._store.missing, digests)
        if missing:
            message = (
                f"the checkpoint store lacks {len(missing)} of these chunks, {missing[0]} first; use a newer checkpoint"
            )
            raise Refusal(Code.NOT_FOUND, "CHUNKS_MISSING", message)
        with Moving() as moving:
            async with aclosing(ahead(self._get(digests, moving))) as responses:
                async for response in responses:
                    yield response

    async def CreateManifest(  # noqa: N802
        self,
        request: pb.CreateManifestRequest,
        context: aio.ServicerContext[Any, Any],
    ) -> pb.CreateManifestResponse:
        """Keeps a manifest, if the epoch that it was made in is not over."""
        self._check_epoch(request.job, request.epoch)
        permit_checkpoint(context, request.job, self._nodes(request.job))
        digest = await finished(self._store.put_manifest, request.manifest)
        before = self._put_for.get(request.job)
        if before is not None and before.epoch > request.epoch:
            # Meanwhile the job has come to another epoch, and put one there.
            return pb.CreateManifestResponse(digest=digest)
        earlier = before.digests if before is not None and before.epoch == request.epoch else ()
        others = (one for one in earlier if one != digest)
        self._put_for[request.job] = _Put(request.epoch, (*others, digest)[-_UNREPORTED_MAX:])
        return pb.CreateManifestResponse(digest=digest)

    async def GetManifest(  # noqa: N802
        self,
        request: pb.GetManifestRequest,
        context: aio.ServicerContext[Any, Any],  # noqa: ARG002
    ) -> pb.GetManifestResponse:
        """A manifest, to the byte."""
        return pb.GetManifestResponse(manifest=await finished(self._store.get_manifest, request.digest))

    def _check_epoch(self, job: str, epoch: int) -> None:
        present = self._epochs(job)
        if present is None:
            raise Refusal(Code.NOT_FOUND, "JOB_NOT_FOUND", f"no job has the id {job!r}; see: headrace jobs")
        if epoch < present:
            message = f"epoch {epoch} of job {job} is over, it is in epoch {present} now: this attempt must end"
            raise Refusal(Code.ABORTED, "STALE_EPOCH", message, epoch=str(present))
        if epoch > present:
            message = f"epoch: job {job} has not come to epoch {epoch}, it is in epoch {present}"
            raise Refusal(Code.INVALID_ARGUMENT, "EPOCH_UNKNOWN", message, epoch=str(present))

    def _check(self, digests: Iterable[str]) -> None:
        broken = [refusal for digest in digests if (refusal := self._refused(digest)) is not None]
        if broken:
            # All are put aside by now; of one is told.
            raise broken[0]

    def _refused(self, digest: str) -> Refusal | None:
        try:
            self._store.check_chunk(digest)
        except Refusal as refusal:
            return refusal
        return None

    def _get(self, digests: Iterable[str], moving: Moving) -> Generator[pb.DownloadChunksResponse]:
        response, response_bytes = pb.DownloadChunksResponse(), 0
        for digest in digests:
            data = self._store.get_chunk(digest)
            moving.add(len(data))
            if response.chunks and response_bytes + len(data) > MESSAGE_BYTES:
                yield response
                response, response_bytes = pb.DownloadChunksResponse(), 0
            response.chunks.add(digest=digest, data=data)
            response_bytes += len(data)
        if response.chunks:
            yield response


def _few_enough(digests: Iterable[str]) -> list[str]:
    some = list(digests)
    if len(some) > DIGESTS_MAX:
        message = f"digests: {len(some)} are too many; ask for at most {DIGESTS_MAX} at a time"
        raise Refusal(Code.INVALID_ARGUMENT, "TOO_MANY_DIGESTS", message)
    return some
