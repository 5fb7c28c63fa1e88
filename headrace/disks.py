"""What every writer of files needs: whole files or none, and a full disk as a refusal."""

import contextlib
import errno
import os
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from headrace.faultpoints import reached
from headrace.refusals import Code, Refusal

_FULL = (errno.ENOSPC, errno.EDQUOT)


@contextmanager
def refused_when_full(folder: Path, reason: str, remedy: str) -> Iterator[None]:
    """Turns "no space left" and "over quota" into a Refusal that names the folder and says what to do."""
    try:
        yield
    except OSError as error:
        if error.errno not in _FULL:
            raise
        message = f"there is no room left in {folder} ({os.strerror(error.errno)}); {remedy}"
        raise Refusal(Code.RESOURCE_EXHAUSTED, reason, message) from error


@contextmanager
def refused_by_setting(name: str) -> Iterator[None]:
    """Turns what the disk has against a folder into a Refusal that names the setting it comes from."""
    try:
        yield
    except OSError as error:
        message = f"setting {name}: {error}; name a folder that this user may make and write to"
        raise Refusal(Code.FAILED_PRECONDITION, "FOLDER_UNUSABLE", message) from error


def write_whole(path: Path, data: bytes, *, aside: Path, time: float | None = None, durable: bool = True) -> None:
    """Writes a file that is there whole or not at all. `aside` is a folder of the same file system.

    With `durable`, its bytes outlive a power cut once it has its name; that the name does too needs
    `sync_folder(path.parent)`. `time` is its modification time, in seconds since 1970.
    """
    descriptor, name = tempfile.mkstemp(dir=aside)
    try:
        try:
            write_all(descriptor, data)
            if time is not None:
                os.utime(descriptor, (time, time))
            if durable:
                os.fsync(descriptor)
        finally:
            os.close(descriptor)
        reached("disk.aside", path)
        Path(name).rename(path)
    except BaseException:
        with contextlib.suppress(FileNotFoundError):
            Path(name).unlink()
        raise


def write_all(descriptor: int, data: bytes, offset: int = 0) -> None:
    """Writes all of the bytes at the offset: a single write may end early."""
    view = memoryview(data)
    while view:
        count = os.pwrite(descriptor, view, offset)
        view = view[count:]
        offset += count


def sync_folder(folder: Path) -> None:
    """Makes the names in a folder outlive a power cut."""
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
