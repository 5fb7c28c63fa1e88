"""A disk that is soon full: a file system in memory, mounted for a block."""

import os
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import pytest


@contextmanager
def mounted(folder: Path, size_bytes: int, *, files: int = 0) -> Iterator[None]:
    """Skips the test where mounting is not permitted. `files` is how many there may be; 0: as many as fit."""
    folder.mkdir(parents=True, exist_ok=True)
    options = f"size={size_bytes},mode=0700" + (f",nr_inodes={files}" if files else "")
    command = ["mount", "-t", "tmpfs", "-o", options, "headrace-test", str(folder)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode:
        pytest.skip(f"a small disk cannot be mounted here: {done.stderr.strip()}; run as root")
    try:
        yield
    finally:
        subprocess.run(["umount", "--lazy", str(folder)], capture_output=True, check=True)


def fill(disk: Path) -> Path:
    """Takes all the room that is left; answers the file that does, which may be removed."""
    path = disk / "filler"
    with path.open("wb", buffering=0) as filler, suppress(OSError):
        while True:
            filler.write(os.urandom(1 << 16))
    return path
