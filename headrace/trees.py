"""A manifest's tree of files, laid down in a folder: whole, or not there."""

import os
import shutil
import stat
from collections.abc import Mapping
from pathlib import Path

from headrace.chunks import CHUNK_BYTES, ZEROS
from headrace.disks import refused_when_full, write_all
from headrace.manifests import Directory, File, Manifest, raw
from headrace.refusals import Code, Refusal

_DISK_FULL = "NODE_DISK_FULL"
_REMEDY = "free some, or choose a node with more disk"


class Tree:
    """Lays a manifest down in `directory`: `begin`, `place` each chunk, `finish`; `discard` in any case at the end.

    Once every chunk is placed, `turn_into` makes it the tree of another manifest, of which it lacks what is different.

    It is built beside, under a name of its own, and renamed when it is complete, so that nobody sees half of it. The
    directory may be there if it is empty: then its own mode and owner are kept. One that is `mounted` somewhere must be
    there, and is filled instead, entry by entry, since who has mounted it would not see another one: nobody may look
    before `finish` is over. Methods block and may be called from any thread, one at a time.

    Nothing is synced: what is laid down can be laid down again. After a crash of the machine (not of this program) it
    must be, because files may then be there without their contents.
    """

    def __init__(self, manifest: Manifest, directory: Path, *, mounted: bool = False) -> None:
        self._directory = directory
        self._mounted = mounted
        self._aside = directory.with_name(f".{directory.name}.partial")
        # Where the files are: aside, until they are in the directory that is mounted.
        self._top = self._aside
        self._owners = os.geteuid() == 0
        self._lay(manifest, {})

    @property
    def lacking(self) -> tuple[str, ...]:
        """The chunks that have to be placed, each once, in the order of their places."""
        return tuple(self._places)

    @property
    def is_there(self) -> bool:
        """Nobody has removed what is not finished."""
        return self._aside.is_dir()

    def begin(self) -> None:
        """Makes directories, and files of the right size without contents."""
        if self._directory.exists() and any(self._directory.iterdir()):
            message = f"{self._directory} is not empty; name a new or an empty directory"
            raise Refusal(Code.FAILED_PRECONDITION, "DIRECTORY_NOT_EMPTY", message)
        self.discard()
        with refused_when_full(self._aside.parent, _DISK_FULL, _REMEDY):
            self._aside.mkdir(mode=0o700, parents=True)
            for directory in self._manifest.directories:
                self._path(directory.path).mkdir(mode=0o700)
            for file in self._manifest.files:
                self._make(file)

    def turn_into(self, manifest: Manifest) -> None:
        """Makes of a tree that is complete and not finished that of another manifest; see `lacking`."""
        files = {file.path: file for file in self._manifest.files}
        directories = {directory.path for directory in self._manifest.directories}
        with refused_when_full(self._aside.parent, _DISK_FULL, _REMEDY):
            for path in files.keys() - {file.path for file in manifest.files}:
                self._path(path).unlink()
            for path in sorted(directories - {directory.path for directory in manifest.directories}, reverse=True):
                self._path(path).rmdir()
            for directory in manifest.directories:
                if directory.path not in directories:
                    self._path(directory.path).mkdir(mode=0o700)
            for file in manifest.files:
                if file.path not in files:
                    self._make(file)
                elif file.size != files[file.path].size:
                    os.truncate(self._path(file.path), file.size)
        self._lay(manifest, files)

    def place(self, digest: str, plain: bytes) -> None:
        """Writes the bytes of a chunk, which were verified, to wherever they belong."""
        for file, offset in self._places.get(digest, ()):
            expected = min(CHUNK_BYTES, file.size - offset)
            if len(plain) != expected:
                message = f"file {file.path!r} has a chunk of {len(plain)} bytes where {expected} belong"
                raise Refusal(Code.INVALID_ARGUMENT, "MANIFEST_INVALID", message)
            if digest == ZEROS and file.path not in self._reused:
                continue  # The file has a hole there.
            with refused_when_full(self._aside.parent, _DISK_FULL, _REMEDY):
                descriptor = os.open(self._path(file.path), os.O_WRONLY | os.O_NOFOLLOW | os.O_CLOEXEC)
                try:
                    write_all(descriptor, plain, offset)
                finally:
                    os.close(descriptor)

    def finish(self) -> None:
        """Sets links, times, owners and modes, and gives the tree its name. Every chunk must have been placed."""
        with refused_when_full(self._aside.parent, _DISK_FULL, _REMEDY):
            for link in self._manifest.links:
                # pathlib would tidy the target up.
                os.symlink(raw(link.target), self._path(link.path))  # noqa: PTH211
            for file in self._manifest.files:
                os.utime(self._path(file.path), ns=(file.mtime_ns, file.mtime_ns))
                self._give(file)
            if self._mounted:
                self._move_into()
            # The deepest first: a directory may forbid to look into it, or to be moved.
            for directory in reversed(self._manifest.directories):
                self._give(directory)
            if not self._mounted:
                self._take_over_top()
                self._aside.rename(self._directory)

    def discard(self) -> None:
        """Removes what is not finished."""
        if self._aside.exists():
            shutil.rmtree(self._aside)

    def _lay(self, manifest: Manifest, reused: Mapping[str, File]) -> None:
        """`reused` are files that are there, with their former contents."""
        self._manifest = manifest
        self._reused = reused
        self._places: dict[str, list[tuple[File, int]]] = {}
        for file in manifest.files:
            former = reused[file.path].chunks if file.path in reused else ()
            for index, chunk in enumerate(file.chunks):
                if index >= len(former) or chunk != former[index]:
                    self._places.setdefault(chunk, []).append((file, index * CHUNK_BYTES))

    def _make(self, file: File) -> None:
        descriptor = os.open(self._path(file.path), os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
        try:
            os.truncate(descriptor, file.size)
        finally:
            os.close(descriptor)

    def _path(self, path: str) -> Path:
        return self._top / os.fsdecode(raw(path))

    def _move_into(self) -> None:
        for entry in list(self._aside.iterdir()):
            entry.rename(self._directory / entry.name)
        self._aside.rmdir()
        self._top = self._directory

    def _give(self, entry: File | Directory) -> None:
        path = self._path(entry.path)
        # Only root may give files away. The mode comes after the owner, since a change of owner clears bits of it.
        if self._owners:
            os.chown(path, entry.uid, entry.gid, follow_symlinks=False)
        path.chmod(entry.mode)

    def _take_over_top(self) -> None:
        mode, owner = 0o755, None
        if self._directory.exists():
            status = self._directory.stat()
            mode, owner = stat.S_IMODE(status.st_mode), (status.st_uid, status.st_gid)
        if owner and self._owners:
            os.chown(self._aside, *owner)
        self._aside.chmod(mode)
