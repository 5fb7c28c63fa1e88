"""How far jobs say that they are: their progress files, read without believing anything that is not two numbers."""

import os
import stat
from pathlib import Path

from agent.runtimes.runtime import Ref
from headrace.attempts import Steps

# Not blocking: a fifo would wait for a writer; and no link is followed out of the job's own folder.
_READ = os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC
_BYTES = 64
# What the wire carries.
_MOST = 1 << 53


def parse(text: str) -> tuple[int, int | None] | None:
    """Steps that are done, and how many there are where that is said; `None`: it is no progress."""
    words = text.split()
    if not 1 <= len(words) <= 2 or not all(word.isascii() and word.isdigit() for word in words):
        return None
    done, *total = (int(word) for word in words)
    if done > _MOST or any(one > _MOST or one < done for one in total):
        return None
    return done, total[0] if total else None


class ProgressFiles:
    """What was read of each attempt, since this process began."""

    def __init__(self) -> None:
        self._first: dict[Ref, tuple[int, int]] = {}

    def read(self, ref: Ref, file: Path, *, now_ms: int) -> Steps | None:
        """How far the job is by now; `None`: it says nothing. Steps are timed from when the file was first read."""
        found = parse(_text(file))
        if found is None:
            return None
        done, total = found
        begun, since_ms = self._first.setdefault(ref, (done, now_ms))
        if done < begun:
            # It counts anew.
            begun, since_ms = self._first[ref] = done, now_ms
        return Steps(done, total, done - begun, now_ms - since_ms)

    def forget(self, ref: Ref) -> None:
        """The attempt is over."""
        self._first.pop(ref, None)


def _text(file: Path) -> str:
    try:
        descriptor = os.open(file, _READ)
    except OSError:
        # There is none; or the job has put there what is no file.
        return ""
    try:
        if not stat.S_ISREG(os.fstat(descriptor).st_mode):
            return ""
        return os.read(descriptor, _BYTES).decode("ascii", "replace")
    except OSError:
        return ""
    finally:
        os.close(descriptor)
