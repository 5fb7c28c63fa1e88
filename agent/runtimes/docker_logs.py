"""Where a reader is in a container's log, so that the next one goes on without a hole and without a word twice.

The engine numbers nothing. It can be asked for what was written since a time, so a cursor is such a time, at which a
line was written, and how many lines from that time on have been read. The time lies a little back, because the order
of lines is not that of their times: stdout and stderr are stamped before they queue for the file, and all 16 KiB
pieces of a long line bear the time of the first one. (Lines that are written after the clock was set back are seen
by who reads along, but not by who asks since a later time.)

Engines before version 23 are at a loss where a log grows faster than they can read it out: at a rotation they leave
out a file, which nobody can mend, or tell one again, which is noticed here.
"""

import asyncio
from collections.abc import AsyncGenerator, Callable, Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
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
    """`seen` entries of those that bear the time `since` or a later one have been read; no time: from the beginning.

    `newest` is the latest time that was read. It is what is left to go by where the engine has rotated `since` away.
    """

    since: bytes = b""
    newest: bytes = b""
    seen: int = 0

    def __str__(self) -> str:
        return f"{self.since.decode()}/{self.newest.decode()}#{self.seen}"

    @property
    def seconds(self) -> str:
        """`since` as the engine takes it: seconds since 1970, with nanoseconds."""
        return f"{int(_time(self.since).timestamp())}.{self.since[20:29].decode()}" if self.since else "0"


def cursor_of(text: str) -> Cursor:
    """The cursor that was written so; empty text is the beginning."""
    if not text:
        return Cursor()
    try:
        times, seen = text.split("#")
        since, newest = times.encode().split(b"/")
        for stamp in filter(None, (since, newest)):
            _time(stamp)
        return Cursor(since, newest, int(seen))
    except ValueError:
        message = f"log cursor {text!r}: not one of this engine's; leave it empty to read from the beginning"
        raise RuntimeRefused("LOG_CURSOR_INVALID", message) from None


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
    now: Callable[[], datetime] = lambda: datetime.now(UTC)
    lost: bool = False
    last: Entry | None = None
    _base: _Anchor = field(init=False)
    _anchor: _Anchor | None = None
    _next: _Anchor | None = None
    _newest: bytes = b""
    _newest_count: int = 0
    _to_skip: int = field(init=False)
    _told_until: bytes = b""
    _open: dict[int, bytes] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self._base = _Anchor(self.start.since, 0)
        self._to_skip = self.start.seen

    def is_new(self, entry: Entry) -> bool:
        """Counts an entry; whether it has not been read before."""
        stamp = entry.stamp
        if self.last is None and stamp != self._base.stamp and self._base.stamp:
            # A cursor's time is an entry's, and that entry is gone.
            self.lost = True
            self._base.stamp = stamp
        if (stamp < self._newest or self._told_until) and self._is_told_again(entry):
            return False
        self.last = entry
        for anchor in (self._base, self._anchor, self._next):
            if anchor is not None and stamp >= anchor.stamp:
                anchor.seen += 1
        if stamp > self._newest:
            self._newest, self._newest_count, self._told_until = stamp, 1, b""
        elif stamp == self._newest:
            self._newest_count += 1
        self._note_open_line(entry)
        return self._is_past(stamp)

    def _is_told_again(self, entry: Entry) -> bool:
        """Whether an entry out of order has come before: it is older than SLACK allows, and no clock explains it."""
        if self._open.get(entry.stream) == entry.stamp:
            return False
        return entry.stamp <= self._told_until or self._begins_again(entry.stamp)

    def _begins_again(self, stamp: bytes) -> bool:
        if self._newest <= _later(stamp) or self.now() < _time(self._newest):
            return False
        self._told_until = self._newest
        return True

    def _is_past(self, stamp: bytes) -> bool:
        """Whether all that was read before has been skipped."""
        if not self._to_skip:
            return True
        if stamp > self.start.newest:
            # Whatever the count says: an engine that rotates may have told some entries twice, and they were counted.
            self._to_skip = 0
        elif not self.lost:
            # Where the count's beginning is gone, all that is no later than the latest that was read counts as read.
            self._to_skip -= 1
            return False
        return not self._to_skip

    def cursor(self) -> Cursor:
        """The cursor after the entries so far; set as late as is safe, since what follows its time is read again."""
        if self._to_skip:
            return self.start
        if self._is_due():
            self._anchor, self._next = self._next, _Anchor(self._newest, self._newest_count)
        anchor = self._anchor or self._base
        return Cursor(anchor.stamp, max(self._newest, self.start.newest), anchor.seen)

    def is_at(self, entry: Entry) -> bool:
        """Whether this is certainly the entry that was read last: of pieces of one line, nobody can tell."""
        return entry == self.last and entry.stamp == self._newest and self._newest_count == 1

    def _is_due(self) -> bool:
        if self._next is None:
            return bool(self._newest)
        return self._newest >= _later(self._next.stamp) and all(
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
