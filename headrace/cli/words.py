"""Figures and times in words that people read, and rows in columns. Nothing to say is "-"."""

import time
from collections.abc import Sequence
from typing import Any

from google.protobuf.timestamp_pb2 import Timestamp

NOTHING = "-"
_CELL_MAX = 60


def columns(headings: Sequence[str], rows: Sequence[Sequence[str]]) -> list[str]:
    """Lines in which each column is as wide as its widest cell; an empty cell is "-"."""
    cells = [list(headings), *([one_line(cell) or NOTHING for cell in row] for row in rows)]
    widths = [max(len(row[index]) for row in cells) for index in range(len(headings))]
    return ["  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip() for row in cells]


def pairs(facts: Sequence[tuple[str, str]]) -> list[str]:
    """Lines "Heading:  fact"; those with nothing to say are left out."""
    told = [(heading, one_line(fact)) for heading, fact in facts if fact]
    width = max((len(heading) for heading, _ in told), default=0) + 2
    return [f"{heading + ':':{width}} {fact}" for heading, fact in told]


def counted(count: int, noun: str) -> str:
    """How many: "1 job", "2 jobs"."""
    return f"{count} {noun}" if count == 1 else f"{count} {noun}s"


def files(count: int) -> str:
    """How many files."""
    return counted(count, "file")


def indented(texts: Sequence[str]) -> list[str]:
    """Lines set in by two."""
    return [f"  {text}" for text in texts]


def one_line(text: str) -> str:
    """A text without its line breaks."""
    return " ".join(text.split())


def shortened(text: str) -> str:
    """A sentence in one cell of a table."""
    text = one_line(text)
    return text if len(text) <= _CELL_MAX else text[: _CELL_MAX - 1] + "…"


def id_of(name: str) -> str:
    """A resource's name without its collection."""
    return name.partition("/")[2] or name


def enum_name(enum: Any, number: int) -> str:
    """The name of an enum's value; of one that a newer controller knows, its number."""
    try:
        name: str = enum.Name(number)
    except ValueError:
        return str(number)
    return name


def millis_of(timestamp: Timestamp) -> int:
    """Milliseconds since 1970."""
    return timestamp.seconds * 1000 + timestamp.nanos // 1_000_000


def now_ms() -> int:
    """The clock of this machine, for ages."""
    return time.time_ns() // 1_000_000


def age(message: Any, field: str, *, now: int) -> str:
    """How long ago a time field of a message was, or "" where it is absent."""
    return span(now - millis_of(getattr(message, field))) if message.HasField(field) else ""


def moment(message: Any, field: str) -> str:
    """A time field of a message as a date and a time of day in the user's zone, or "" where it is absent."""
    if not message.HasField(field):
        return ""
    return time.strftime("%Y-%m-%d %H:%M:%S", time.localtime(getattr(message, field).seconds))


def span(millis: int) -> str:
    """About how long: "42s", "12m", "7h", "3d"."""
    # Clocks differ: what the controller's clock puts into our future was just now.
    seconds = max(millis, 0) // 1000
    if seconds < 120:
        return f"{seconds}s"
    if seconds < 120 * 60:
        return f"{seconds // 60}m"
    if seconds < 48 * 3600:
        return f"{seconds // 3600}h"
    return f"{seconds // 86400}d"


def millis(count: int) -> str:
    """A measured time: "704 ms", "12.3 s"."""
    return f"{count} ms" if count < 10_000 else f"{count / 1000:.1f} s"


def platform(message: Any) -> str:
    """A platform: "arm64/v8 (emulated)"."""
    text = "/".join(part for part in (message.architecture, message.variant) if part)
    return f"{text} (emulated)" if message.emulated else text
