"""A directory's manifest, taken while a container may be writing there, and its chunks."""

import hashlib
import os
import threading
import time
from collections.abc import Callable, Generator, Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from pathlib import Path
from typing import NamedTuple

import xxhash

from agent.scans import Changed, Identity, Kind, Seen, fingerprint_of, open_beneath, scan, unstable
from headrace.chunks import CHUNK_BYTES, MESSAGE_BYTES, compressed, digest_of
from headrace.manifests import Directory, File, Link, Manifest, manifest_of

_TRIES = 5
_PAUSE_SECONDS = 0.05

# The kernel's stamps move on every few milliseconds: a file that was changed just before it was read may have been
# changed once more under the same stamp. Only what has rested for this long is remembered.
_REST_NS = 100_000_000

# Large files stay open until they are sent, so that a job that replaces one meanwhile does not make it vanish.
_HELD_FILES_MAX = 128

# Large files are read by two threads, so many chunks at a time: reading and hashing leave Python to the others.
_READERS = 2
_PART_CHUNKS = 64


class Known(NamedTuple):
    """A file's chunks, as they were read under this identity. `sha256` is of the whole file, or empty."""

    identity: Identity
    chunks: tuple[str, ...]
    sha256: str


Memo = dict[str, Known]
# The names of chunks by their marks (`mark_of`), so that of bytes that were seen before no sha256 has to be made.
Names = dict[bytes, str]


def mark_of(plain: bytes | bytearray | memoryview) -> bytes:
    """Tells bytes apart as sha256 does, twenty times as fast, but for who looks for two that it does not.

    A job that found such would harm its own checkpoint alone. Marks never leave this process.
    """
    return xxhash.xxh3_128_digest(plain)


class Snapshot:
    """What was in a directory at one moment. `take` it, `pack` its chunks, and in any case `close` it.

    Files that `memo` knows are not read again, and chunks that `names` knows are not named again; after `take` they
    are what the next snapshot may rely on. With `whole_digests`, which somebody will compare, every chunk is. Methods
    block, and may be called from any thread, one at a time.
    """

    def __init__(
        self,
        directory: Path,
        memo: Memo,
        names: Names | None = None,
        *,
        whole_digests: bool = False,
        clock_ns: Callable[[], int] = time.time_ns,
    ) -> None:
        self.memo = memo
        self.names = names or {}
        self._clock_ns = clock_ns
        self._directory = directory
        self._whole_digests = whole_digests
        self._files: Sequence[File] = ()
        self._held: dict[str, int] = {}

    def take(self, stopped: threading.Event) -> Manifest:
        """Reads the directory until it was the same before and after; ends with Changed once `stopped` is set.

        Raises a Refusal: CHECKPOINT_UNSTABLE, CHECKPOINT_UNSAFE, CHECKPOINT_UNREADABLE.
        """
        for _ in range(_TRIES):
            with suppress(Changed):
                manifest = self._take(stopped)
                self._files = manifest.files
                return manifest
            self.close()
            if stopped.wait(_PAUSE_SECONDS):
                raise Changed(str(self._directory))
        raise unstable(self._directory)

    def pack(self, digests: Iterable[str]) -> Generator[list[tuple[str, bytes]]]:
        """Compressed chunks, a message's worth at a time. Raises Changed where a file is not as it was."""
        batch: list[tuple[str, bytes]] = []
        batch_bytes = 0
        for digest, plain in self._plain(digests):
            data = compressed(plain)
            if batch and batch_bytes + len(data) > MESSAGE_BYTES:
                yield batch
                batch, batch_bytes = [], 0
            batch.append((digest, data))
            batch_bytes += len(data)
        if batch:
            yield batch

    def close(self) -> None:
        """Lets go of the files."""
        while self._held:
            os.close(self._held.popitem()[1])

    def _take(self, stopped: threading.Event) -> Manifest:
        rested_ns = self._clock_ns() - _REST_NS
        before = scan(self._directory)
        known: Memo = {}
        for seen in before:
            if seen.kind is Kind.FILE:
                old = self.memo.get(seen.path)
                usable = old is not None and old.identity == seen.identity and (old.sha256 or not self._whole_digests)
                known[seen.path] = old if old and usable else self._read(seen, stopped)
        if fingerprint_of(scan(self._directory)) != fingerprint_of(before):
            raise Changed(str(self._directory))
        self.memo = {path: file for path, file in known.items() if file.identity.ctime_ns < rested_ns}
        chunks = {chunk for file in known.values() for chunk in file.chunks}
        self.names = {mark: name for mark, name in self.names.items() if name in chunks}
        return _manifest(before, known, whole_digests=self._whole_digests)

    def _read(self, seen: Seen, stopped: threading.Event) -> Known:
        descriptor = open_beneath(self._directory, seen.path)
        held = False
        try:
            known = self._known(descriptor, stopped)
            if known.identity != seen.identity:
                raise Changed(seen.path)
            held = len(known.chunks) > 1 and len(self._held) < _HELD_FILES_MAX
            if held:
                self._held[seen.path] = descriptor
            return known
        finally:
            if not held:
                os.close(descriptor)

    def _known(self, descriptor: int, stopped: threading.Event) -> Known:
        before = Identity.of(os.fstat(descriptor))
        whole = hashlib.sha256() if self._whole_digests else None
        starts = range(0, before.size, _PART_CHUNKS * CHUNK_BYTES)

        def part(start: int) -> list[str]:
            return self._named(descriptor, start, min(start + starts.step, before.size), stopped, whole)

        if whole is not None or len(starts) < _READERS:
            parts = [part(start) for start in starts]
        else:
            with ThreadPoolExecutor(_READERS) as readers:
                parts = list(readers.map(part, starts))
        if Identity.of(os.fstat(descriptor)) != before:
            raise Changed
        return Known(before, tuple(name for some in parts for name in some), whole.hexdigest() if whole else "")

    def _named(
        self, descriptor: int, start: int, end: int, stopped: threading.Event, whole: "hashlib._Hash | None"
    ) -> list[str]:
        """The chunks' names from `start` to `end`; `whole`, if there is one, sees all of their bytes."""
        names: list[str] = []
        buffer = memoryview(bytearray(CHUNK_BYTES))
        for offset in range(start, end, CHUNK_BYTES):
            size = min(CHUNK_BYTES, end - offset)
            # A short read: the file was made shorter while it was read.
            if stopped.is_set() or os.preadv(descriptor, [buffer[:size]], offset) != size:
                raise Changed
            plain = buffer[:size]
            mark = mark_of(plain)
            name = None if whole is not None else self.names.get(mark)
            if name is None:
                name = self.names[mark] = digest_of(plain)
            if whole is not None:
                whole.update(plain)
            names.append(name)
        return names

    def _plain(self, digests: Iterable[str]) -> Generator[tuple[str, bytes]]:
        wanted = dict.fromkeys(digests)
        for file in self._files:
            places = {chunk: index for index, chunk in enumerate(file.chunks) if chunk in wanted}
            if not places:
                continue
            held = self._held.get(file.path)
            descriptor = open_beneath(self._directory, file.path) if held is None else held
            try:
                for chunk, index in places.items():
                    plain = os.pread(descriptor, CHUNK_BYTES, index * CHUNK_BYTES)
                    # The store looks at the bytes themselves; this finds most changes before they travel.
                    status = os.fstat(descriptor)
                    if (status.st_size, status.st_mtime_ns) != (file.size, file.mtime_ns):
                        raise Changed(file.path)
                    del wanted[chunk]
                    yield chunk, plain
            finally:
                if held is None:
                    os.close(descriptor)


def memo_of(manifest: Manifest, directory: Path) -> Memo:
    """What is known of a directory in which this manifest was just laid down, and that no job has seen yet."""
    files = {file.path: file for file in manifest.files}
    return {
        seen.path: Known(seen.identity, files[seen.path].chunks, files[seen.path].sha256)
        for seen in scan(directory)
        if seen.path in files
    }


def _manifest(entries: Iterable[Seen], known: Memo, *, whole_digests: bool) -> Manifest:
    directories: list[Directory] = []
    files: list[File] = []
    links: list[Link] = []
    for path, kind, mode, uid, gid, identity, target in entries:
        match kind:
            case Kind.DIRECTORY:
                directories.append(Directory(path, mode, uid, gid))
            case Kind.FILE:
                file = known[path]
                sha256 = file.sha256 if whole_digests else ""
                files.append(File(path, mode, uid, gid, identity.mtime_ns, identity.size, file.chunks, sha256))
            case Kind.LINK:
                links.append(Link(path, target))
    return manifest_of(directories, files, links)
