"""Reads records by the hundred thousand from the bytes of their messages: all of them together, column by column.

`stored.load` says what comes of each; where many are read at once, this takes less than half of its time. Records in
which anything is as a controller does not write it (see `headrace.located`), it leaves alone.
"""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import MISSING, Field, field, fields, make_dataclass
from functools import cache
from itertools import starmap
from operator import add, attrgetter
from sys import intern
from typing import Any, NamedTuple, TypeVar

import numpy as np
from google.protobuf.descriptor import Descriptor, FieldDescriptor
from google.protobuf.message import DecodeError

from headrace import stored, wire
from headrace.located import (
    FRACTION,
    FRACTION_BYTES,
    LENGTH,
    NUMBER,
    Booleans,
    Found,
    Integers,
    Messages,
    Spans,
    Tag,
    located,
    sliced,
    without,
)

Record = TypeVar("Record")

# So many records, of so many bytes, are read together: what is made for them meanwhile is to stay small.
AT_ONCE = 2048
BYTES_AT_ONCE = 16 << 20

# More seconds than that are milliseconds of more than 64 bits.
_MOST_SECONDS = 2**50
_SECONDS_AND_NANOS = (Tag.of(1, NUMBER), Tag.of(2, NUMBER))
_KEY_AND_VALUE = (Tag.of(1, LENGTH), Tag.of(2, LENGTH))

_MOST_32 = 2**31 - 1
# Types whose values are as they are in the bytes, and the highest that may be there.
_NUMBERS = {
    FieldDescriptor.TYPE_BOOL: 1,
    FieldDescriptor.TYPE_ENUM: _MOST_32,
    FieldDescriptor.TYPE_INT32: _MOST_32,
    FieldDescriptor.TYPE_UINT32: 2**32 - 1,
    FieldDescriptor.TYPE_INT64: 2**63 - 1,
    FieldDescriptor.TYPE_UINT64: 2**63 - 1,
}

# The values of a field where it was found, and those of them that are not what this reads.
_Values = tuple[Sequence[Any], Booleans | None]
_Read = Callable[[Messages, Found], _Values]


class _Column(NamedTuple):
    """How one field is read."""

    name: str
    tag: Tag
    read: _Read
    # Of what is repeated, what it becomes.
    collect: type | None
    # What records have, so many of them, where their messages have nothing; None where there has to be something.
    absent: Callable[[int], list[Any]] | None


class _Plan(NamedTuple):
    """How messages of one class are read: the columns in the order of the fields' numbers."""

    kind: type
    columns: tuple[_Column, ...]
    # What is there of a record while it is made, and the same by which fields come first.
    draft: type
    drafts: dict[tuple[str, ...], type]
    # Of kinds whose records differ by a few fields: these; and the others with what reads them from their bytes.
    own: tuple[str, ...]
    others: tuple[str, ...]
    read_others: Callable[[bytes], tuple[Any, ...]] | None


_PLANS: dict[type, _Plan] = {}


def load(kind: type[Record], bodies: Sequence[bytes]) -> list[Record | None]:
    """The record of each of these bytes; None for what has to be read, or refused, by `stored.load`."""
    descriptor: Any = wire.MESSAGES[kind].DESCRIPTOR
    plan = _plan(kind, descriptor)
    records: list[Record | None] = []
    for several in _together(bodies):
        lengths = np.array([len(one) for one in several], np.int64)
        ends = np.cumsum(lengths)
        found, is_other = _records(plan, Messages.of(several), Spans(ends - lengths, ends))
        for row in np.flatnonzero(is_other).tolist():
            found[row] = None
        records += found
    return records


def _together(bodies: Sequence[bytes]) -> Iterator[list[bytes]]:
    several: list[bytes] = []
    size = 0
    for body in bodies:
        if several and (len(several) == AT_ONCE or size + len(body) > BYTES_AT_ONCE):
            yield several
            several, size = [], 0
        several.append(body)
        size += len(body)
    if several:
        yield several


def _records(plan: _Plan, messages: Messages, spans: Spans) -> tuple[list[Any], Booleans]:
    """The records of the messages there, and which of them are not what this reads."""
    places, is_other = located([one.tag for one in plan.columns], messages, spans)
    values: dict[str, Sequence[Any]] = {}
    for column, found in zip(plan.columns, places, strict=True):
        if plan.own and column.name not in plan.own:
            continue
        if found is not None:
            values[column.name] = _filled(column, found, messages, is_other)
        elif column.absent is None or plan.own:
            values[column.name] = _absent(column, is_other)
    if plan.read_others is not None:
        cut = [
            one for column, one in zip(plan.columns, places, strict=True) if one is not None and column.name in plan.own
        ]
        others, failed = _read_once(plan.read_others, without(cut, messages, spans), (None,) * len(plan.others))
        is_other |= failed if failed is not None else False
        own = zip(*(values[name] for name in plan.own), strict=True)
        records = list(starmap(_draft(plan, plan.own), map(add, own, others)))
    elif values:
        records = list(map(_draft(plan, tuple(values)), *values.values()))
    else:
        records = [plan.draft() for _ in is_other]
    kind = plan.kind
    for record in records:
        # A draft has the same slots.
        record.__class__ = kind
    return records, is_other


def _filled(column: _Column, found: Found, messages: Messages, is_other: Booleans) -> Sequence[Any]:
    """The values of a field, one for each message."""
    values, failed = column.read(messages, found)
    if failed is not None:
        is_other[found.rows[failed]] = True
    count = len(is_other)
    if column.collect is not None:
        several = _several(values, np.bincount(found.rows, minlength=count))
        return several if column.collect is tuple else list(map(column.collect, several))
    if len(values) == count:
        return values
    lacks = np.ones(count, np.bool_)
    lacks[found.rows] = False
    filled = _absent(column, is_other, lacks)
    for row, value in zip(found.rows.tolist(), values, strict=True):
        filled[row] = value
    return filled


def _several(values: Sequence[Any], counts: Integers) -> list[tuple[Any, ...]]:
    """So many of the values for each message."""
    if (counts == counts[0]).all():
        return list(zip(*[iter(values)] * int(counts[0]), strict=True))
    ends = np.cumsum(counts)
    return sliced(tuple(values), Spans(ends - counts, ends))


def _absent(column: _Column, is_other: Booleans, lacks: Booleans | None = None) -> list[Any]:
    """What messages (all, or those that lack it) have of a field that is not there."""
    if column.absent is not None:
        return column.absent(len(is_other))
    is_other |= True if lacks is None else lacks
    return [None] * len(is_other)


def _read_once(read: Callable[[Any], Any], bodies: list[Any], instead: Any) -> _Values:
    """What is read from each of these bytes, or numbers, of those that are alike once; `instead` of what is refused."""
    known: dict[Any, Any] = dict.fromkeys(bodies)
    torn: dict[Any, None] = {}
    for body in known:
        try:
            known[body] = read(body)
        except (DecodeError, LookupError, ValueError):
            known[body], torn[body] = instead, None
    failed = np.array([body in torn for body in bodies]) if torn else None
    return [known[body] for body in bodies], failed


def _draft(plan: _Plan, first: tuple[str, ...]) -> type:
    """What a record is while it is made, with these of its fields as the first."""
    found = plan.drafts.get(first)
    if found is None:
        its = {one.name: one for one in fields(plan.draft)}
        order = (*first, *plan.others, *its)
        made = [(name, Any, _again(its[name])) for name in dict.fromkeys(order)]
        found = make_dataclass(plan.kind.__name__, made, slots=True, eq=False, repr=False)
        plan.drafts[first] = found
    return found


def _again(one: "Field[Any]") -> Any:
    if one.default_factory is not MISSING:
        return field(default_factory=one.default_factory)
    return field(default=one.default)


def _plan(kind: type, descriptor: Descriptor) -> _Plan:
    if kind not in _PLANS:
        loads, own = wire.load_plan(kind, descriptor), stored.OWN.get(kind, ())
        others = tuple(one.name for one in fields(kind) if one.name not in own) if own else ()
        its = {one.name: one for one in fields(loads.draft)}
        columns = [
            _column(kind, descriptor.fields_by_number[number], its[name], load_one)
            for number, (name, load_one) in sorted(loads.fields.items())
        ]
        _PLANS[kind] = _Plan(
            kind,
            tuple(one for one in columns if one is not None),
            loads.draft,
            {},
            own,
            others,
            _values_read(stored.part_reader(kind, descriptor), others) if own else None,
        )
    return _PLANS[kind]


def _values_read(read: Callable[[bytes], Any], names: tuple[str, ...]) -> Callable[[bytes], tuple[Any, ...]]:
    values = attrgetter(*names)
    return lambda body: values(read(body))


def _column(
    kind: type, its: FieldDescriptor, one: "Field[Any]", load_one: Callable[[Any], Any] | None
) -> _Column | None:
    """None for what is not read here: numbers of fixed length, and several numbers in one field."""
    what = LENGTH
    read: _Read | None = None
    if its.message_type is not None:
        read = _messages_read(its.message_type, wire.part_of(kind, one.name))
    elif its.type == FieldDescriptor.TYPE_STRING:
        read = _interned if one.name in stored.INTERNED else _texts
    elif its.type == FieldDescriptor.TYPE_BYTES:
        read = _bytes
    elif its.type == FieldDescriptor.TYPE_DOUBLE and not its.is_repeated:
        what, read = FRACTION, _fractions
    elif its.type in _NUMBERS and not its.is_repeated:
        what, read = NUMBER, _numbers_read(its, load_one)
    if read is None:
        return None
    collect = None if not its.is_repeated else dict if read is _entries else tuple
    return _Column(one.name, Tag.of(its.number, what, is_repeated=its.is_repeated), read, collect, _absence(one))


def _absence(one: "Field[Any]") -> Callable[[int], list[Any]] | None:
    make: Any = one.default_factory
    if make is MISSING:
        return lambda count: [one.default] * count
    try:
        make()
    except ValueError:
        return None
    return lambda count: [make() for _ in range(count)]


def _messages_read(descriptor: Descriptor, part: type | None) -> _Read | None:
    if descriptor.GetOptions().map_entry:
        are_texts = all(one.type == FieldDescriptor.TYPE_STRING for one in descriptor.fields)
        return _entries if are_texts else None
    if part is None:
        return _times
    return _alike_read(part, descriptor) if part in wire.ALIKE else _parts_read(part, descriptor)


def _numbers_read(its: FieldDescriptor, load_one: Callable[[Any], Any] | None) -> _Read:
    most = _NUMBERS[its.type]

    def read(_: Messages, found: Found) -> _Values:
        is_higher = found.numbers > most
        return found.numbers.tolist(), is_higher if is_higher.any() else None

    def read_enum(_: Messages, found: Found) -> _Values:
        return _read_once(load_one or int, found.numbers.tolist(), None)

    def read_bool(_: Messages, found: Found) -> _Values:
        return (found.numbers != 0).tolist(), None

    if its.type == FieldDescriptor.TYPE_ENUM:
        return read_enum
    return read_bool if its.type == FieldDescriptor.TYPE_BOOL else read


def _alike_read(part: type, descriptor: Descriptor) -> _Read:
    @cache
    def reader() -> Callable[[bytes], Any]:
        return stored.part_reader(part, descriptor)

    return lambda messages, found: _read_once(reader(), sliced(messages.body, found), None)


def _parts_read(part: type, descriptor: Descriptor) -> _Read:
    return lambda messages, found: _records(_plan(part, descriptor), messages, Spans(found.starts, found.ends))


def _times(messages: Messages, found: Found) -> _Values:
    (seconds, nanos), failed = located(_SECONDS_AND_NANOS, messages, Spans(found.starts, found.ends))
    millis = np.zeros(len(failed), np.int64)
    if seconds is not None:
        failed[seconds.rows[seconds.numbers > _MOST_SECONDS]] = True
        millis[seconds.rows] = seconds.numbers * 1000
    if nanos is not None:
        failed[nanos.rows[nanos.numbers > _MOST_32]] = True
        millis[nanos.rows] += nanos.numbers // 1_000_000
    return millis.tolist(), failed


def _texts(messages: Messages, found: Found) -> _Values:
    values = sliced(messages.text, found)
    if "".join(values).isascii():
        return values, None
    return _read_once(bytes.decode, sliced(messages.body, found), "")


def _interned(messages: Messages, found: Found) -> _Values:
    values, failed = _texts(messages, found)
    return list(map(intern, values)), failed


def _fractions(messages: Messages, found: Found) -> _Values:
    places = found.starts[:, np.newaxis] + np.arange(FRACTION_BYTES)
    return messages.numbers[places].view("<f8")[:, 0].tolist(), None


def _bytes(messages: Messages, found: Found) -> _Values:
    return sliced(messages.body, found), None


def _entries(messages: Messages, found: Found) -> _Values:
    """Keys with their values, which are texts."""
    places, failed = located(_KEY_AND_VALUE, messages, Spans(found.starts, found.ends))
    columns = []
    for place in places:
        texts = [""] * len(failed)
        if place is not None:
            values, is_torn = _texts(messages, place)
            if is_torn is not None:
                failed[place.rows[is_torn]] = True
            for row, value in zip(place.rows.tolist(), values, strict=True):
                texts[row] = value
        columns.append(texts)
    return list(zip(*columns, strict=True)), failed
