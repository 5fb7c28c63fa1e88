"""Chunks and manifests that this node has: fetched ahead, or left by a transfer that was cut."""

import shutil
from collections.abc import Iterable
from contextlib import suppress
from pathlib import Path

from headrace.chunks import check_digest, digest_of
from headrace.disks import refused_when_full, write_whole
from headrace.manifests import load
from headrace.refusals import Refusal


class ChunkCache:
    """A folder of compressed chunks and of manifests. Losing any of it costs time only, so nothing is synced."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._aside = folder / "aside"
        self._chunks = folder / "chunks"
        self._manifests = folder / "manifests"
        for part in (self._aside, self._chunks, self._manifests):
            part.mkdir(parents=True, exist_ok=True)
        for leftover in self._aside.iterdir():
            _delete(leftover)

    def chunk(self, digest: str) -> bytes | None:
        """A compressed chunk, not verified."""
        return _read(self._chunks / check_digest(digest))

    def put_chunk(self, digest: str, data: bytes) -> None:
        """Keeps a compressed chunk, which was verified."""
        self._write(self._chunks / check_digest(digest), data)

    def drop_chunk(self, digest: str) -> None:
        """Forgets a chunk."""
        (self._chunks / check_digest(digest)).unlink(missing_ok=True)

    def lacking(self, digests: Iterable[str]) -> list[str]:
        """Which of these are not here."""
        return [digest for digest in digests if not (self._chunks / check_digest(digest)).exists()]

    def manifest(self, digest: str) -> bytes | None:
        """A manifest's canonical form, verified."""
        data = _read(self._manifests / check_digest(digest))
        return data if data is not None and digest_of(data) == digest else None

    def put_manifest(self, digest: str, data: bytes) -> None:
        """Keeps a manifest's canonical form, which was verified."""
        self._write(self._manifests / check_digest(digest), data)

    def prune(self, keep: Iterable[str]) -> int:
        """Forgets all but these manifests and their chunks; answers how many bytes that freed."""
        kept = set(keep)
        for digest in tuple(kept):
            data = self.manifest(digest)
            with suppress(Refusal):  # One that is broken keeps nothing; it is fetched anew when it is needed.
                kept.update(load(data).chunks if data is not None else ())
        freed = 0
        for folder in (self._manifests, self._chunks):
            for path in folder.iterdir():
                if path.name not in kept:
                    freed += path.lstat().st_size
                    _delete(path)
        return freed

    def _write(self, path: Path, data: bytes) -> None:
        with refused_when_full(self._folder, "NODE_DISK_FULL", "free some, or choose a node with more disk"):
            write_whole(path, data, aside=self._aside, durable=False)


def _delete(path: Path) -> None:
    if path.is_dir() and not path.is_symlink():
        shutil.rmtree(path)  # Somebody else's; it must not keep ours from being tidied up.
    else:
        path.unlink()


def _read(path: Path) -> bytes | None:
    try:
        return path.read_bytes()
    except FileNotFoundError:
        return None
