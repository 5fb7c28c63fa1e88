"""Checkpoints and outputs between this node's directories and the checkpoint store."""

import asyncio
import threading
from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import NamedTuple

from agent import scans
from agent.bandwidth import Bandwidth
from agent.chunk_cache import ChunkCache
from agent.scans import Changed, unstable
from agent.snapshots import Memo, Names, Snapshot, mark_of, memo_of
from headrace.attempts import Checkpoint, Outputs
from headrace.chunks import ChunkCorrupt, expanded
from headrace.faultpoints import reached
from headrace.manifests import Manifest, load, outputs_digest
from headrace.refusals import Refusal
from headrace.threads import finished, stoppable
from headrace.transfers import Transfer
from headrace.trees import Tree
from headrace.v1.checkpoint_service_pb2_grpc import CheckpointServiceStub

_TRIES = 5


class _Saved(NamedTuple):
    digest: str
    manifest: Manifest
    sent_bytes: int


class Checkpoints:
    """Moves directories of this node to the checkpoint store and back. Waits for a store that does not answer.

    Every method may be cancelled: what was moved by then is not moved again. `cache` is a folder of this agent's own.
    """

    def __init__(self, stub: CheckpointServiceStub, cache: Path, bandwidth: Bandwidth | None = None) -> None:
        self._stub = stub
        self._bandwidth = bandwidth or Bandwidth()
        self._cache = ChunkCache(cache)
        self._memos: dict[Path, Memo] = {}
        self._names: defaultdict[Path, Names] = defaultdict(dict)
        # Chunks of the manifest that was put last, which the store therefore has, unless it tidied up.
        self._stored: dict[Path, frozenset[str]] = {}
        self._ahead: dict[Path, Tree] = {}
        self._building: defaultdict[Path, asyncio.Lock] = defaultdict(asyncio.Lock)
        self._fetching: Counter[str] = Counter()

    async def fingerprint(self, directory: Path) -> str:
        """Another one after any change in the directory: tells whether the job has saved since."""
        return await finished(scans.fingerprint, directory)

    async def save(self, directory: Path, *, job: str, epoch: int, sequence: int) -> Checkpoint | None:
        """Puts a checkpoint directory into the store; None where the job has saved no file yet."""
        saved = await self._save(directory, job=job, epoch=epoch, outputs=False)
        if saved is None:
            return None
        size_bytes, file_count = saved.manifest.size_bytes, len(saved.manifest.files)
        return Checkpoint(saved.digest, epoch, sequence, size_bytes, saved.sent_bytes, file_count)

    async def save_outputs(self, directory: Path, *, job: str, epoch: int) -> Outputs | None:
        """Puts an output directory into the store, be it empty; None where there is no such directory."""
        if not await finished(directory.is_dir):
            return None
        saved = await self._save(directory, job=job, epoch=epoch, outputs=True)
        if saved is None:
            return None
        digest = await finished(outputs_digest, saved.manifest)
        return Outputs(saved.digest, digest, saved.manifest.size_bytes, len(saved.manifest.files))

    async def lay_down(self, digest: str, directory: Path) -> int:
        """Makes a directory what this manifest says; answers the bytes that had to be fetched.

        The directory must be empty or not there. One that is there is filled, since a container may have it mounted,
        which must not look into it before this is over.
        """
        with self._kept(digest):
            async with self._building[directory]:
                transfer = Transfer(self._stub, paced=self._bandwidth.take)
                manifest = await self._manifest(transfer, digest)
                tree = await self._built(transfer, manifest, directory)
                reached("agent.restore.fetched", directory)
                try:
                    await finished(tree.finish)
                    reached("agent.restore.laid", directory)
                finally:
                    await finished(tree.discard)
                # No job has seen it yet, so what is there is known without reading it.
                self._memos[directory] = await finished(memo_of, manifest, directory)
                self._stored[directory] = frozenset(manifest.chunks)
                return transfer.moved_bytes

    async def lay_ahead(self, digest: str, directory: Path) -> None:
        """Does all of a `lay_down` but for its end, so that one of another checkpoint has to do what differs alone."""
        with self._kept(digest):
            async with self._building[directory]:
                transfer = Transfer(self._stub, paced=self._bandwidth.take)
                manifest = await self._manifest(transfer, digest)
                self._ahead[directory] = await self._built(transfer, manifest, directory)

    async def prefetch(self, digest: str) -> int:
        """Fetches a manifest and its chunks into the cache, for a `lay_down` that may come; answers the bytes."""
        with self._kept(digest):
            transfer = Transfer(self._stub, paced=self._bandwidth.take)
            manifest = await self._manifest(transfer, digest)

            def take(chunk: str, data: bytes) -> None:
                expanded(chunk, data)
                self._cache.put_chunk(chunk, data)

            await transfer.download(await finished(self._cache.lacking, manifest.chunks), take)
            reached("agent.prefetched", digest)
            return transfer.moved_bytes

    async def release(self, keep: Iterable[str]) -> int:
        """Forgets what was fetched for other manifests than these; answers the bytes that this freed."""
        for known in (self._memos, self._names, self._stored, self._ahead, self._building):
            for directory in [directory for directory in known if not directory.exists()]:
                del known[directory]
        return await finished(self._cache.prune, (*keep, *self._fetching))

    async def _save(self, directory: Path, *, job: str, epoch: int, outputs: bool) -> _Saved | None:
        transfer = Transfer(self._stub, paced=self._bandwidth.take)
        trouble = unstable(directory)
        for _ in range(_TRIES):
            memo, names = self._memos.get(directory, {}), self._names[directory]
            snapshot = Snapshot(directory, memo, names, whole_digests=outputs)
            try:
                manifest = await stoppable(snapshot.take)
                self._memos[directory], self._names[directory] = snapshot.memo, snapshot.names
                if not (outputs or manifest.files or manifest.links):
                    return None
                stored = self._stored.get(directory, frozenset())
                await transfer.upload((chunk for chunk in manifest.chunks if chunk not in stored), snapshot.pack)
                reached("agent.chunks.sent", directory)
                digest = await transfer.create_manifest(manifest, job=job, epoch=epoch)
                reached("agent.manifest.sent", directory)
                self._stored[directory] = frozenset(manifest.chunks)
                return _Saved(digest, manifest, transfer.moved_bytes)
            except Changed:
                continue
            except Refusal as refusal:
                # The store tidied up during a long transfer, or a file was changed after it was read: look again.
                if refusal.reason not in ("CHUNKS_MISSING", "CHUNK_CORRUPT"):
                    raise
                trouble = refusal if refusal.reason == "CHUNKS_MISSING" else trouble
                for known in (self._memos, self._names, self._stored):
                    known.pop(directory, None)
            finally:
                snapshot.close()
        raise trouble

    async def _manifest(self, transfer: Transfer, digest: str) -> Manifest:
        data = await finished(self._cache.manifest, digest)
        if data is None:
            data = await transfer.manifest(digest)
            await finished(self._cache.put_manifest, digest, data)
        return await finished(load, data)

    async def _built(self, transfer: Transfer, manifest: Manifest, directory: Path) -> Tree:
        """The manifest's tree, complete and not finished: out of what was laid ahead, if anything was."""
        names = self._names[directory]
        tree, begin = await finished(self._begun, manifest, directory)

        def place(chunk: str, plain: bytes) -> None:
            names[mark_of(plain)] = chunk
            tree.place(chunk, plain)

        def take(chunk: str, data: bytes) -> None:
            plain = expanded(chunk, data)
            self._cache.put_chunk(chunk, data)
            place(chunk, plain)

        try:
            await finished(begin)
            lacking = await stoppable(self._place_cached, tree.lacking, place)
            await transfer.download(lacking, take)
        except BaseException:
            await finished(tree.discard)
            raise
        return tree

    def _begun(self, manifest: Manifest, directory: Path) -> tuple[Tree, Callable[[], None]]:
        """A tree, and what makes it one that has only to be filled."""
        ahead = self._ahead.pop(directory, None)
        # Its folder is made anew where a preparation was cut short.
        if ahead is not None and ahead.is_there:
            return ahead, partial(ahead.turn_into, manifest)
        tree = Tree(manifest, directory, mounted=directory.exists())
        return tree, tree.begin

    def _place_cached(
        self, stopped: threading.Event, wanted: Iterable[str], place: Callable[[str, bytes], None]
    ) -> list[str]:
        """Places what the cache has; answers what it has not, or has broken."""
        lacking: list[str] = []
        for digest in wanted:
            data = None if stopped.is_set() else self._cache.chunk(digest)
            if data is None:
                lacking.append(digest)
                continue
            try:
                place(digest, expanded(digest, data))
            except ChunkCorrupt:
                self._cache.drop_chunk(digest)
                lacking.append(digest)
        return lacking

    @contextmanager
    def _kept(self, digest: str) -> Iterator[None]:
        # What is being fetched must not be released, although no record may name it yet.
        self._fetching[digest] += 1
        try:
            yield
        finally:
            self._fetching[digest] -= 1
            if not self._fetching[digest]:
                del self._fetching[digest]
