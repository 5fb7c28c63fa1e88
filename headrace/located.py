"""Finds where fields are in the bytes of many messages: with one step of NumPy's for that field of all of them.

It finds what a controller writes: fields in the order of their numbers, each once unless it is repeated, none that it
does not know. Messages in which anything is otherwise, or very much, are told apart.
"""

from collections.abc import Sequence
from typing import Any, NamedTuple, Self

import numpy as np
from numpy.typing import NDArray

Integers = NDArray[np.int64]
Booleans = NDArray[np.bool_]

# Of a byte of a number: that there is another one.
_MORE = 0x80
# A number of more bytes is negative, or none.
_LONGEST = 9
# A message in which a field is there more often is told apart: each time is a step for all.
_MOST_TIMES = 256
# So much is looked at beyond the last message.
_MARGIN = bytes(_LONGEST + 2)
# Two bytes are enough for the tags of fields up to this number.
_HIGHEST = 2047

# What a tag says of the value behind it: a number, a fraction, or so many bytes.
NUMBER, FRACTION, LENGTH = 0, 1, 2
FRACTION_BYTES = 8

_ALL = slice(None)


class Messages(NamedTuple):
    """The bytes of many messages, one after the other: as numbers, as they are, and as text with a letter for each."""

    numbers: NDArray[np.uint8]
    body: bytes
    text: str

    @classmethod
    def of(cls, bodies: Sequence[bytes]) -> Self:
        """These."""
        body = b"".join((*bodies, _MARGIN))
        return cls(np.frombuffer(body, np.uint8), body, body.decode("latin-1"))


class Spans(NamedTuple):
    """From where to where messages, or values, are."""

    starts: Integers
    ends: Integers


class Found(NamedTuple):
    """In which messages a field is, by the order of those: where it begins; and its value, which may be a number."""

    rows: Integers
    tags: Integers
    starts: Integers
    ends: Integers
    numbers: Integers


class Tag(NamedTuple):
    """What precedes a field's value; `written` is its bytes, as a number with the first of them lowest."""

    written: int
    length: int
    what: int
    is_repeated: bool

    @classmethod
    def of(cls, field: int, what: int, *, is_repeated: bool = False) -> Self:
        """The tag of the field with that number. Raises ValueError where it has more than two bytes."""
        if field > _HIGHEST:
            raise ValueError(f"fields up to {_HIGHEST} can be found, not {field}")
        tag = field << 3 | what
        is_short = tag < _MORE
        written = tag if is_short else (tag & (_MORE - 1) | _MORE) + (tag >> 7 << 8)
        return cls(written, 1 if is_short else 2, what, is_repeated)


def located(tags: Sequence[Tag], messages: Messages, spans: Spans) -> tuple[list[Found | None], Booleans]:
    """Where the fields with these tags are, in the order of their numbers; and which messages have something else."""
    places: list[Found | None] = []
    at, (_, ends) = spans.starts.copy(), spans
    next_tags = _tags(messages.numbers, at, ends)
    is_other = np.zeros(len(at), np.bool_)
    for tag in tags:
        parts: list[Found] = []
        rows = np.flatnonzero(next_tags == tag.written)
        while rows.size and len(parts) < _MOST_TIMES:
            # All of them are had without a look at each.
            these: Integers | slice = rows if rows.size < at.size else _ALL
            begins, last = at[these].copy(), ends[these]
            numbers, after, fits = _values(tag, messages.numbers, begins + tag.length, last)
            if not fits.all():
                is_other[rows[~fits]] = True
                these = rows = rows[fits]
                begins, last, numbers, after = begins[fits], last[fits], numbers[fits], after[fits]
            beyond = after if tag.what == NUMBER else after + numbers
            parts.append(Found(rows, begins, after, beyond, numbers))
            following = _tags(messages.numbers, beyond, last)
            at[these], next_tags[these] = beyond, following
            rows = rows[following == tag.written] if tag.is_repeated else rows[:0]
        places.append(_by_message(parts))
    # What is left is not known, or is there twice, or too often, or in another order.
    is_other |= at < ends
    return places, is_other


def without(cut: Sequence[Found], messages: Messages, spans: Spans) -> list[bytes]:
    """The bytes of each message but for those of some fields, which are given in the order of their numbers."""
    left: list[Spans] = []
    begins = spans.starts
    for one in cut:
        until, beyond = begins.copy(), begins.copy()
        # Of a field that is repeated the first one counts here, and there the last.
        until[one.rows[::-1]], beyond[one.rows] = one.tags[::-1], one.ends
        left.append(Spans(begins, until))
        begins = beyond
    left.append(Spans(begins, spans.ends))
    parts = [sliced(messages.body, each) for each in left if (each.ends > each.starts).any()]
    return list(map(b"".join, zip(*parts, strict=True))) if parts else [b""] * len(begins)


def sliced(whole: Any, spans: Spans | Found) -> list[Any]:
    """The parts of a text, bytes or a tuple."""
    return [whole[start:end] for start, end in zip(spans.starts.tolist(), spans.ends.tolist(), strict=True)]


def _values(tag: Tag, numbers: NDArray[np.uint8], at: Integers, last: Integers) -> tuple[Integers, Integers, Booleans]:
    """The numbers, or lengths, that are there, where each of them is over, and whether all is before `last`."""
    if tag.what == FRACTION:
        return np.full_like(at, FRACTION_BYTES), at, last - at >= FRACTION_BYTES
    values, after = _numbers(numbers, at)
    fits = after <= last
    return values, after, fits if tag.what == NUMBER else fits & (values <= last - after)


def _by_message(parts: list[Found]) -> Found | None:
    if len(parts) < 2:
        return parts[0] if parts and parts[0].rows.size else None
    whole = Found(*(np.concatenate(column) for column in zip(*parts, strict=True)))
    order = np.argsort(whole.rows, kind="stable")
    return Found(*(column[order] for column in whole))


def _tags(numbers: NDArray[np.uint8], at: Integers, ends: Integers) -> Integers:
    """The tags that begin there, as `Tag.written`; 0 where the message is over."""
    tags = numbers[at].astype(np.int64)
    is_long = tags >= _MORE
    if is_long.any():
        tags += (numbers[at + 1].astype(np.int64) << 8) * is_long
    tags *= at < ends
    return tags


def _numbers(numbers: NDArray[np.uint8], at: Integers) -> tuple[Integers, Integers]:
    """The numbers that begin there, and where each of them is over: beyond all where it is too long."""
    byte = numbers[at]
    values, after = (byte & (_MORE - 1)).astype(np.int64), at + 1
    goes_on = byte >= _MORE
    for shift in range(7, 7 * _LONGEST, 7):
        if not goes_on.any():
            return values, after
        byte = numbers[after]
        values |= ((byte & (_MORE - 1)).astype(np.int64) << shift) * goes_on
        after += goes_on
        goes_on &= byte >= _MORE
    after[goes_on] = np.iinfo(np.int64).max
    return values, after
