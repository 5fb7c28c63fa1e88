"""Keeps the memory of messages from one to the next while many bytes move, and gives it back when they have."""

import ctypes
import threading
from types import TracebackType
from typing import Self

# Until so many have moved nothing is kept: to give back all that is free takes as long as moving some of them.
MANY_BYTES = 16 << 20

# <malloc.h>: M_TRIM_THRESHOLD, M_MMAP_THRESHOLD.
_TRIM, _MMAP = -1, -3
# What a message and its copies take is asked of the kernel anew each time, page by page, unless glibc keeps it.
_MOVING = ((_MMAP, 8 << 20), (_TRIM, 64 << 20))
# As glibc sets them itself once a mebibyte was freed.
_AT_REST = ((_MMAP, 1 << 20), (_TRIM, 2 << 20))


class _Allocator:
    """The malloc of this process. One that is not of glibc is left alone."""

    def __init__(self) -> None:
        libc = ctypes.CDLL(None)
        self._set = getattr(libc, "mallopt", None)
        self._give_back = getattr(libc, "malloc_trim", None)
        self._users = 0
        self._lock = threading.Lock()

    def keep(self) -> None:
        with self._lock:
            self._users += 1
            if self._users == 1:
                self._tell(_MOVING)

    def let_go(self) -> None:
        with self._lock:
            self._users -= 1
            if not self._users:
                self._tell(_AT_REST)
                if self._give_back is not None:
                    self._give_back(0)

    def _tell(self, thresholds: tuple[tuple[int, int], ...]) -> None:
        for name, value in thresholds:
            if self._set is not None:
                self._set(name, value)


_ALLOCATOR = _Allocator()


class Moving:
    """A context in which bytes move; `add` what has."""

    def __init__(self) -> None:
        self._moved_bytes = 0
        self._keeps = False

    def __enter__(self) -> Self:
        return self

    def add(self, size: int) -> None:
        """So many more bytes have moved."""
        self._moved_bytes += size
        if not self._keeps and self._moved_bytes >= MANY_BYTES:
            self._keeps = True
            _ALLOCATOR.keep()

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._keeps:
            self._keeps = False
            self._moved_bytes = 0
            _ALLOCATOR.let_go()
