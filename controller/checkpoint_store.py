"""The checkpoint store: chunks and manifests, named by their digests. Here in a folder.

Every implementation passes tests/contract/checkpoint_store_suite.py. Methods block; services call them in threads.
"""

import logging
import os
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from typing import Protocol

from headrace.chunks import ChunkCorrupt, check_digest, digest_of, expanded, is_digest
from headrace.disks import refused_when_full, sync_folder, write_whole
from headrace.faultpoints import reached
from headrace.manifests import Manifest, load
from headrace.refusals import Code, Refusal

# So many folders are synced at a time.
_SYNCERS = 4

_MANIFESTS = "manifests"

_log = logging.getLogger(__name__)


class CheckpointStore(Protocol):
    """Each method but `sweep` raises a Refusal (DIGEST_MALFORMED) for a name that is no digest.

    Another one, STORE_UNUSABLE, is for what fails behind the store: it says nothing of what is in there.
    """

    def missing(self, digests: Iterable[str]) -> list[str]:
        """Which of these chunks are not here. Those that are count as young from now on."""
        ...

    def put_chunk(self, digest: str, data: bytes) -> None:
        """Keeps a compressed chunk, for good. Refusals: CHUNK_CORRUPT, STORE_FULL. One that is here becomes young."""
        ...

    def get_chunk(self, digest: str) -> bytes:
        """A compressed chunk as it was put. Whoever asks verifies it. Refusal: CHUNKS_MISSING."""
        ...

    def check_chunk(self, digest: str) -> None:
        """Looks at a chunk that somebody found broken. Refusal: CHUNK_CORRUPT; then it is missing from now on."""
        ...

    def put_manifest(self, data: bytes) -> str:
        """Keeps a manifest; answers its digest. Once it has, manifest and chunks outlive a power cut.

        Refusals: MANIFEST_INVALID, CHUNKS_MISSING, STORE_FULL.
        """
        ...

    def get_manifest(self, digest: str) -> bytes:
        """A manifest as it was put, verified. Refusals: MANIFEST_MISSING, MANIFEST_CORRUPT."""
        ...

    def sweep(self, live_manifests: Iterable[str], older_than_seconds: float) -> int:
        """Deletes what neither a live nor a young manifest reaches and is not young itself; answers the bytes.

        Young is what was put, or asked after, less than `older_than_seconds` ago: an upload under way keeps its chunks.
        Deletes nothing where one of these manifests cannot be read, since anything may be its own: MANIFEST_CORRUPT.
        A live name that is no digest names nothing here.
        """
        ...


class _Claim:
    """The chunks of a manifest, until it is there for whoever looks for manifests."""

    def __init__(self, chunks: frozenset[str]) -> None:
        self.chunks = chunks
        self.is_over = False


class FolderStore:
    """A checkpoint store in a folder, which belongs to one process at a time."""

    def __init__(self, folder: Path, clock: Callable[[], float] = time.time) -> None:
        self._folder = folder
        self._clock = clock
        self._aside = folder / "aside"
        self._chunks = folder / "chunks"
        self._manifests = folder / _MANIFESTS
        # Copies that were found broken. They are an operator's to delete, who may want to know what the disk did.
        self._broken = folder / "broken"
        # Held while a file's age is looked at or changed, so that none is swept that has just become young; and while
        # one is put aside, so that this is none that was put since.
        self._ages = threading.Lock()
        # What manifests name that are being put, and also, while there is a sweep, those that were put since it began:
        # it may have looked for manifests before. Held as well while one of these is added or looked at: `_ages`.
        self._claims: list[_Claim] = []
        self._sweeps = 0
        # How many names have begun to come into each folder, how many have come, and how many outlive a power cut.
        self._naming = threading.Lock()
        self._begun: Counter[str] = Counter()
        self._named: Counter[str] = Counter()
        self._synced: dict[str, int] = {}
        # Of a disk that fails the log tells once, until a manifest was put there again.
        self._has_failed = False
        for part in (self._aside, self._chunks, self._manifests):
            part.mkdir(parents=True, exist_ok=True)
        sync_folder(folder)
        for leftover in self._aside.iterdir():
            if not leftover.is_dir():
                leftover.unlink()

    @staticmethod
    def is_in(folder: Path) -> bool:
        """Whether a store was made in this folder. Raises OSError."""
        return (folder / _MANIFESTS).is_dir()

    def missing(self, digests: Iterable[str]) -> list[str]:
        """Which of these chunks are not here."""
        with self._usable():
            missing = [digest for digest in digests if not self._touch(_path(self._chunks, digest))]
            if missing:
                self._must_be_there()
            return missing

    def put_chunk(self, digest: str, data: bytes) -> None:
        """Keeps a compressed chunk."""
        path = _path(self._chunks, digest)
        with self._usable():
            if self._touch(path):
                return
        try:
            expanded(digest, data)
        except ChunkCorrupt as error:
            message = f"{error}; send it again, from the file as it is now"
            raise Refusal(Code.INVALID_ARGUMENT, "CHUNK_CORRUPT", message, chunk=digest) from error
        self._write(path, data)
        reached("controller.chunk.put", digest)

    def get_chunk(self, digest: str) -> bytes:
        """A compressed chunk as it was put."""
        try:
            with self._usable():
                return Path(_path(self._chunks, digest)).read_bytes()
        except FileNotFoundError:
            message = f"the checkpoint store has no chunk {digest}; its checkpoint was deleted, use a newer one"
            raise Refusal(Code.NOT_FOUND, "CHUNKS_MISSING", message) from None

    def check_chunk(self, digest: str) -> None:
        """Puts a chunk aside that is not what its name says."""
        path = Path(_path(self._chunks, digest))
        with self._ages, self._usable():
            try:
                expanded(digest, path.read_bytes())
            except FileNotFoundError:
                return
            except ChunkCorrupt as error:
                aside = self._put_aside(path)
                message = (
                    f"the checkpoint store holds a broken copy of {error}; it is put aside as {aside}, and comes anew"
                    " with the job's next checkpoint: wait for that, or use an older checkpoint, and check the disk"
                )
                raise Refusal(Code.INTERNAL, "CHUNK_CORRUPT", message, chunk=digest) from error

    def _is_broken(self, path: Path, data: bytes) -> bool:
        """Whether a file is not what was put there; it is put aside then, by the first who sees that."""
        with self._ages:
            broken = path.exists() and path.read_bytes() != data
            if broken:
                self._put_aside(path)
            return broken

    def _put_aside(self, path: Path) -> Path:
        self._broken.mkdir(exist_ok=True)
        aside = self._broken / f"{path.parent.parent.name}-{path.name}"
        path.rename(aside)
        sync_folder(self._broken)
        sync_folder(path.parent)
        _log.error("%s is not what its name says; it is put aside as %s", path, aside)
        return aside

    def put_manifest(self, data: bytes) -> str:
        """Keeps a manifest whose chunks are all here."""
        manifest = load(data)
        with self._claimed(manifest.chunks), self._usable():
            return self._put_manifest(manifest, data)

    def _put_manifest(self, manifest: Manifest, data: bytes) -> str:
        # Their ages stay as they are, which saves a write for each: from now on the manifest keeps them.
        missing = [digest for digest in manifest.chunks if not os.path.exists(_path(self._chunks, digest))]  # noqa: PTH110 - pathlib is slow.
        if missing:
            self._must_be_there()
            message = (
                f"{len(missing)} chunks of this manifest are not in the store, {missing[0]} first; upload them first"
            )
            raise Refusal(Code.FAILED_PRECONDITION, "CHUNKS_MISSING", message)
        # The chunks' bytes were synced as they came; their names are here, once for all.
        self._sync_names(self._chunks, manifest.chunks)
        reached("controller.manifest.chunked", manifest)
        digest = digest_of(data)
        path = _path(self._manifests, digest)
        if not self._touch(path) or self._is_broken(Path(path), data):
            self._write(path, data)
        self._sync_names(self._manifests, (digest,))
        self._has_failed = False
        reached("controller.manifest.put", manifest)
        return digest

    def get_manifest(self, digest: str) -> bytes:
        """A manifest as it was put."""
        try:
            with self._usable():
                data = Path(_path(self._manifests, digest)).read_bytes()
        except FileNotFoundError:
            message = f"the checkpoint store has no manifest {digest}; it was deleted, or never put: use a newer one"
            raise Refusal(Code.NOT_FOUND, "MANIFEST_MISSING", message) from None
        if digest_of(data) != digest:
            message = f"the checkpoint store's copy of manifest {digest} is broken; check the disk of {self._folder}"
            raise Refusal(Code.INTERNAL, "MANIFEST_CORRUPT", message)
        return data

    def sweep(self, live_manifests: Iterable[str], older_than_seconds: float) -> int:
        """Deletes what nothing needs. Before it deletes anything it reads every manifest that it keeps."""
        young_since = self._clock() - older_than_seconds
        with self._sweeping():
            return self._sweep(live_manifests, young_since)

    def _sweep(self, live_manifests: Iterable[str], young_since: float) -> int:
        manifests = list(_files(self._manifests))
        kept = dict.fromkeys(live_manifests)
        for path in manifests:
            if path.stat().st_mtime >= young_since:
                kept[_digest(path)] = None
        for path in manifests:
            if _digest(path) in kept:
                kept.update(dict.fromkeys(load(self.get_manifest(_digest(path))).chunks))
        freed = 0
        for path in (*manifests, *_files(self._chunks)):
            if _digest(path) not in kept:
                freed += self._delete(path, young_since)
        return freed

    def _delete(self, path: Path, young_since: float) -> int:
        with self._ages:
            status = path.stat()
            if status.st_mtime >= young_since or any(_digest(path) in claim.chunks for claim in self._claims):
                return 0
            path.unlink()
            return status.st_size

    @contextmanager
    def _usable(self) -> Iterator[None]:
        """Turns what the disk has against the folder into a Refusal; a file that is not there, only where all are."""
        try:
            yield
        except FileNotFoundError:
            self._must_be_there()
            raise
        except OSError as error:
            raise self._unusable(error) from error

    def _must_be_there(self) -> None:
        """A disk that is not mounted looks like one that has nothing: nobody may conclude that checkpoints are lost."""
        for part in (self._chunks, self._manifests, self._aside):
            try:
                part.stat()
            except OSError as error:
                raise self._unusable(error) from error

    def _unusable(self, error: OSError) -> Refusal:
        message = (
            f"the checkpoint folder {self._folder} cannot be used ({error}); see whether its disk is mounted and may be"
            " written to: what waits for it goes on then. If it was emptied, start the controller again"
        )
        if not self._has_failed:
            _log.error("%s", message)
            self._has_failed = True
        return Refusal(Code.FAILED_PRECONDITION, "STORE_UNUSABLE", message)

    @contextmanager
    def _claimed(self, chunks: Iterable[str]) -> Iterator[None]:
        """No sweep deletes these until their manifest is here, or has failed."""
        claim = _Claim(frozenset(chunks))
        with self._ages:
            self._claims.append(claim)
        try:
            yield
        finally:
            with self._ages:
                claim.is_over = True
                self._forget_claims()

    @contextmanager
    def _sweeping(self) -> Iterator[None]:
        with self._ages:
            self._sweeps += 1
        try:
            yield
        finally:
            with self._ages:
                self._sweeps -= 1
                self._forget_claims()

    def _forget_claims(self) -> None:
        if not self._sweeps:
            self._claims = [claim for claim in self._claims if not claim.is_over]

    def _sync_names(self, part: Path, digests: Iterable[str]) -> None:
        """Makes names outlive a power cut: of the folders, those that got any since they were synced here."""
        folders = dict.fromkeys(os.path.dirname(_path(part, digest)) for digest in digests)  # noqa: PTH120 - pathlib is slow.
        with self._naming:
            named = [one for one in (*folders, str(part)) if self._synced.get(one) != self._begun[one]]
        if len(named) < _SYNCERS:
            for folder in named:
                self._sync_folder(folder)
        else:
            # The disk syncs many in the time of a few, and a job stands still meanwhile.
            with ThreadPoolExecutor(_SYNCERS) as syncers:
                list(syncers.map(self._sync_folder, named))

    def _sync_folder(self, folder: str) -> None:
        with self._naming:
            named = self._named[folder]
        sync_folder(Path(folder))
        with self._naming:
            self._synced[folder] = max(named, self._synced.get(folder, 0))

    @contextmanager
    def _name_in(self, folder: str) -> Iterator[None]:
        """A name comes into a folder: until it is there, nobody may take the folder to be synced."""
        with self._naming:
            self._begun[folder] += 1
        try:
            yield
        finally:
            with self._naming:
                self._named[folder] += 1

    def _touch(self, path: str) -> bool:
        """Makes a file young; whether there is one."""
        now = self._clock()
        with self._ages:
            try:
                os.utime(path, (now, now))
            except FileNotFoundError:
                return False
            return True

    def _write(self, path: str, data: bytes) -> None:
        remedy = "give the controller a checkpoint folder with more room, or let it keep fewer checkpoints"
        with self._usable(), refused_when_full(self._folder, "STORE_FULL", remedy):
            folder = Path(path).parent
            if not folder.is_dir():
                with self._name_in(str(folder.parent)):
                    folder.mkdir(exist_ok=True)
            with self._name_in(str(folder)):
                write_whole(Path(path), data, aside=self._aside, time=self._clock())


def _path(part: Path, digest: str) -> str:
    # No Path: a checkpoint has thousands of chunks, and each is asked after while its job stands still.
    name = check_digest(digest).removeprefix("sha256:")
    return f"{part}/{name[:2]}/{name}"


def _digest(path: Path) -> str:
    return f"sha256:{path.name}"


def _files(part: Path) -> Iterator[Path]:
    """What the store has put there. Whatever else lies there is not the store's to read or to delete."""
    for folder in sorted(part.iterdir()):
        if folder.is_dir():
            with os.scandir(folder) as entries:
                ours = [entry.name for entry in entries if is_digest(f"sha256:{entry.name}") and _is_file(entry)]
            yield from (folder / name for name in sorted(ours))


def _is_file(entry: os.DirEntry[str]) -> bool:
    return entry.is_file(follow_symlinks=False)
