"""Where a reader is in a container's log, so that the next one goes on without a hole and without a word twice.

The engine numbers nothing. It can be asked for what was written since a time, so a cursor is such a time, at which a
line was written, and how many lines from that time on have been read. The time lies a little back, because the order
of lines is not that of their times: stdout and stderr are stamped before they queue for the file, and all 16 KiB
pieces of a long line bear the time of the first one. (A clock that is set back hides lines from `since`; only a
reader that began before sees them.)
"""

import asyncio
from collections.abc import AsyncGenerator, Iterator
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import NamedTuple

from agent.runtimes.docker_stream import READ_BYTES, Answer
from agent.runtimes.runtime import LogChunk, RuntimeRefused

# A chunk waits for more until it has so many bytes, or for so long.
CHUNK_BYTES = READ_BYTES
CHUNK_SECONDS = 0.05

# How far the times of lines may be out of order. Long against what locks and disks do, short to read again.
SLACK = timedelta(seconds=1)

_HEADER_BYTES = 8
_STAMP_BYTES = len(b"2026-11-23T04:28:24.422405165Z")
_ENGINE = 3


class Entry(NamedTuple):
    """A line, or a piece of a long one, as the engine keeps it; `stamp` is text that sorts as the times do."""

    stream: int
    stamp: bytes
    data: bytes


class Cursor(NamedTuple):
    """`seen` entries of those that bear the time `since` or a later one have been read; no time: from the beginning."""

    since: bytes = b""
    seen: int = 0

    def __str__(self) -> str:
        return f"{self.since.decode()}#{self.seen}"

    @property
    def seconds(self) -> str:
        """`since` as the engine takes it: seconds since 1970, with nanoseconds."""
        return f"{int(_time(self.since).timestamp())}.{self.since[20:29].decode()}" if self.since else "0"


def cursor_of(text: str) -> Cursor:
    """The cursor that was written so; empty text is the beginning."""
    since, _, seen = text.rpartition("#")
    try:
        cursor = Cursor(since.encode(), int(seen) if text else 0)
        if cursor.since:
            _time(cursor.since)
    except ValueError:
        message = f"log cursor {text!r}: not one of this engine's; leave it empty to read from the beginning"
        raise RuntimeRefused("LOG_CURSOR_INVALID", message) from None
    return cursor


@dataclass(slots=True)
class Frames:
    """Takes the engine's multiplexed stream apart, however the network cut it."""

    _rest: bytes = b""

    def entries(self, data: bytes) -> Iterator[Entry]:
        """The entries that `data` completes. RuntimeRefused: LOG_UNREADABLE."""
        buffer = self._rest + data if self._rest else data
        start, length = 0, len(buffer)
        while start + _HEADER_BYTES <= length:
            end = start + _HEADER_BYTES + int.from_bytes(buffer[start + 4 : start + _HEADER_BYTES], "big")
            if end > length:
                break
            stream = buffer[start]
            stamp_end = start + _HEADER_BYTES + _STAMP_BYTES
            if stream == _ENGINE:
                message = buffer[start + _HEADER_BYTES : end].decode(errors="replace").strip()
                raise RuntimeRefused("LOG_UNREADABLE", f"{message}; see the log of the node's engine")
            yield Entry(stream, buffer[start + _HEADER_BYTES : stamp_end], buffer[stamp_end + 1 : end])
            start = end
        self._rest = buffer[start:]


@dataclass(slots=True)
class _Anchor:
    """A time that a cursor may bear, and how many entries of that time or a later one were read."""

    stamp: bytes
    seen: int


@dataclass(slots=True)
class Position:
    """Follows a stream that was asked for at `start`: which entries are new, and the cursor after them.

    `lost` tells that the engine has rotated away where `start` was, and with it, perhaps, what nobody has read.
    """

    start: Cursor
    lost: bool = False
    _seen: int = 0
    _newest: bytes = b""
    _newest_count: int = 0
    _anchor: _Anchor | None = None
    _next: _Anchor | None = None
    _orderly: bool = True
    _open: dict[int, bytes] = field(default_factory=dict)

    def is_new(self, entry: Entry) -> bool:
        """Counts an entry; whether it has not been read before."""
        stamp = entry.stamp
        if not self._seen and self.start.since and stamp != self.start.since:
            # A cursor is set at an entry. It is gone, so none of those that are left is known to have been read.
            self.lost = True
            self.start = Cursor(stamp)
        if stamp >= self.start.since:
            self._seen += 1
        if stamp > self._newest:
            self._newest, self._newest_count = stamp, 1
        elif stamp == self._newest:
            self._newest_count += 1
        if self._anchor is not None:
            if stamp >= self._anchor.stamp:
                self._anchor.seen += 1
            else:
                # Out of order beyond all slack: from now on, only the beginning of this stream is a safe time.
                self._orderly, self._anchor, self._next = False, None, None
        if self._next is not None and stamp >= self._next.stamp:
            self._next.seen += 1
        self._note_open_line(entry)
        return self._seen > self.start.seen

    def cursor(self) -> Cursor:
        """The cursor after the entries so far; set as late as is safe, since what follows its time is read again."""
        if self._seen < self.start.seen:
            return self.start
        if self._orderly and self._is_due():
            self._anchor, self._next = self._next, _Anchor(self._newest, self._newest_count)
        if self._anchor is not None:
            return Cursor(self._anchor.stamp, self._anchor.seen)
        return Cursor(self.start.since, self._seen)

    def _is_due(self) -> bool:
        if self._next is None:
            return bool(self._newest)
        return self._newest >= _later(self._next.stamp) or all(
            stamp >= self._next.stamp for stamp in self._open.values()
        )

    def _note_open_line(self, entry: Entry) -> None:
        # What follows in this line will bear its first piece's time, hours later perhaps.
        if not entry.data.endswith(b"\n"):
            self._open.setdefault(entry.stream, entry.stamp)
        elif self._open:
            self._open.pop(entry.stream, None)


async def chunks(answer: Answer, position: Position) -> AsyncGenerator[LogChunk, None]:
    """What is new in the engine's answer, many lines together; a line is never cut by a chunk's end."""
    frames, pending = Frames(), bytearray()
    time = asyncio.get_running_loop().time
    deadline: float | None = None
    more = True
    while more:
        try:
            async with asyncio.timeout_at(deadline):
                data = await answer.read()
        except TimeoutError:
            pass
        else:
            more = bool(data)
            for entry in frames.entries(data):
                if position.is_new(entry):
                    pending += entry.data
        if not pending:
            continue
        if deadline is None:
            deadline = time() + CHUNK_SECONDS
        if not more or len(pending) >= CHUNK_BYTES or time() >= deadline:
            yield LogChunk(str(position.cursor()), bytes(pending))
            pending.clear()
            deadline = None


def _time(stamp: bytes) -> datetime:
    text = stamp.decode()
    if len(stamp) != _STAMP_BYTES or not text.endswith("Z") or not text[20:29].isdigit():
        raise ValueError(text)
    return datetime.fromisoformat(f"{text[:19]}+00:00")


def _later(stamp: bytes) -> bytes:
    """The stamp that is SLACK after this one."""
    return f"{(_time(stamp) + SLACK).strftime('%Y-%m-%dT%H:%M:%S')}.{stamp[20:29].decode()}Z".encode()
