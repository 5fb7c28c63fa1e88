"""What is in a directory that a container may be changing: looked at without following a single link of its."""

import errno
import hashlib
import os
import stat
from collections.abc import Iterable, Iterator
from enum import Enum
from pathlib import Path
from typing import NamedTuple

from headrace.manifests import DEPTH_MAX, PATH_BYTES_MAX, leads_outside, raw
from headrace.refusals import Code, Refusal

_LOOK = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC
# Not blocking: a fifo may have taken the file's place, and would wait for a writer.
_READ = os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC

_TRIES = 5


class Changed(Exception):
    """The directory was changed while it was looked at."""


class Kind(Enum):
    """What travels. Sockets, fifos and device nodes do not: what is behind them stays on this node."""

    DIRECTORY = "d"
    FILE = "f"
    LINK = "l"


class Identity(NamedTuple):
    """While it stays the same, a file's bytes do. Of directories and links the fields are zero."""

    inode: int = 0
    size: int = 0
    mtime_ns: int = 0
    ctime_ns: int = 0

    @classmethod
    def of(cls, status: os.stat_result) -> "Identity":
        """The identity of a regular file."""
        return cls(status.st_ino, status.st_size, status.st_mtime_ns, status.st_ctime_ns)


class Seen(NamedTuple):
    """One entry of a directory, as it was when it was looked at. The path is as manifests have it."""

    path: str
    kind: Kind
    mode: int
    uid: int
    gid: int
    identity: Identity = Identity()
    target: str = ""


def scan(directory: Path) -> list[Seen]:
    """All that is in a directory, at any depth; nothing, where there is none. Raises Changed, or a Refusal."""
    try:
        top = os.open(directory, _LOOK)
    except FileNotFoundError:
        return []
    except PermissionError as error:
        raise _explained(error, str(directory)) from error
    try:
        return list(_below(top, ""))
    finally:
        os.close(top)


def fingerprint_of(seen: Iterable[Seen]) -> str:
    """A digest that is another one after any change of what would travel."""
    listing = hashlib.sha256()
    for entry in seen:
        listing.update(repr(tuple(entry)).encode())
    return listing.hexdigest()


def fingerprint(directory: Path) -> str:
    """Tells whether anything in a directory was changed, without reading files and without comparing clocks."""
    for _ in range(_TRIES):
        try:
            return fingerprint_of(scan(directory))
        except Changed:
            continue
    raise unstable(directory)


def unstable(directory: Path) -> Refusal:
    """The refusal for a directory that was changed each time that it was looked at."""
    message = f"{directory} is changed faster than it can be read; save aside and rename, and less often"
    return Refusal(Code.FAILED_PRECONDITION, "CHECKPOINT_UNSTABLE", message)


def open_beneath(directory: Path, path: str) -> int:
    """Opens a file for reading, by a way without links. Raises Changed if it is not there, or no regular file."""
    *parents, name = raw(path).split(b"/")
    try:
        folder = os.open(directory, _LOOK)
        try:
            for parent in parents:
                inner = os.open(parent, _LOOK, dir_fd=folder)
                os.close(folder)
                folder = inner
            descriptor = os.open(name, _READ, dir_fd=folder)
        finally:
            os.close(folder)
    except OSError as error:
        raise _explained(error, path) from error
    if not stat.S_ISREG(os.fstat(descriptor).st_mode):
        os.close(descriptor)
        raise Changed(path)
    return descriptor


def _below(folder: int, prefix: str) -> Iterator[Seen]:
    # Names as the file system has them; os.listdir() decodes them by the locale.
    for name in sorted(os.fsencode(name) for name in os.listdir(folder)):
        path = prefix + name.decode("utf-8", "surrogateescape")
        try:
            entry = _seen(folder, name, path)
            if entry is None:
                continue
            yield entry
            if entry.kind is Kind.DIRECTORY:
                inner = os.open(name, _LOOK, dir_fd=folder)
                try:
                    yield from _below(inner, f"{path}/")
                finally:
                    os.close(inner)
        except OSError as error:
            raise _explained(error, path) from error


def _seen(folder: int, name: bytes, path: str) -> Seen | None:
    status = os.stat(name, dir_fd=folder, follow_symlinks=False)
    # Set-user-id bits stay behind: a checkpoint must not bring a program with powers to another node.
    mode = stat.S_IMODE(status.st_mode) & 0o777
    owner = status.st_uid, status.st_gid
    match stat.S_IFMT(status.st_mode):
        case stat.S_IFDIR:
            if len(raw(path)) > PATH_BYTES_MAX or path.count("/") >= DEPTH_MAX - 1:
                raise _unsafe(f"{path[:200]!r}… is nested too deep; {DEPTH_MAX} levels are allowed")
            return Seen(path, Kind.DIRECTORY, mode, *owner)
        case stat.S_IFREG:
            return Seen(path, Kind.FILE, mode, *owner, Identity.of(status))
        case stat.S_IFLNK:
            target = os.readlink(name, dir_fd=folder).decode("utf-8", "surrogateescape")
            if leads_outside(path, target):
                message = f"{path!r} points to {target!r}, outside of the checkpoint directory"
                raise _unsafe(f"{message}; save files, or relative links that stay inside")
            return Seen(path, Kind.LINK, 0, 0, 0, target=target)
        case _:
            return None


def _unsafe(message: str) -> Refusal:
    return Refusal(Code.FAILED_PRECONDITION, "CHECKPOINT_UNSAFE", message)


def _explained(error: OSError, path: str) -> Exception:
    if isinstance(error, PermissionError):
        message = (
            f"the agent may not read {path!r}; let the job save files that others may read, or run the agent as root"
        )
        return Refusal(Code.FAILED_PRECONDITION, "CHECKPOINT_UNREADABLE", message)
    if error.errno in (errno.ENOENT, errno.ENOTDIR, errno.ELOOP, errno.ENXIO):
        return Changed(path)
    return error
