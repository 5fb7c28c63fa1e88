"""Reads and writes records as the bytes of their messages, as stores have them by the hundred thousand.

`wire.load` and `wire.dump` say what comes of it; this is faster where many records are alike, or have parts that stay.
A message is taken apart, and put together, one level deep: what is a record of its own is bytes at first, and bytes
that were read before are not read again, parts that were written before not written again.
"""

from collections.abc import Callable, Container
from dataclasses import fields
from functools import lru_cache
from sys import intern
from typing import Any, NamedTuple, TypeVar, cast

from google.protobuf import duration_pb2, timestamp_pb2
from google.protobuf.descriptor import Descriptor
from google.protobuf.descriptor_pb2 import DescriptorProto, FieldDescriptorProto, FileDescriptorProto
from google.protobuf.descriptor_pool import DescriptorPool
from google.protobuf.message import Message
from google.protobuf.message_factory import GetMessageClass

from headrace import wire
from headrace.jobs import JobSpec

Record = TypeVar("Record")

# What differs between records of a kind that are alike in all else. The rest is read once for all of them.
OWN: dict[type, tuple[str, ...]] = {JobSpec: ("display_name", "command", "env")}

# Fields with texts that many records have: one text for all of them.
INTERNED = ("node", "image", "project", "gang", "array")

# Bytes that were read before, and what was read. All of them go when there are too many.
_KEPT = 4096

# Parts of records that were written before, and records that several ask for one after the other: the store, and
# whoever watches. Of both the oldest half goes when there are too many.
_PARTS_KEPT, _RECENT_KEPT = 8192, 256
_parts: dict[int, tuple[object, bytes]] = {}
_recent: dict[int, tuple[object, bytes]] = {}


class _Reading(NamedTuple):
    """How messages of one class are read from bytes."""

    parse: Callable[[bytes], Message]
    fields: dict[Any, tuple[str, Callable[[Any], Any] | None]]
    draft: type
    # Of kinds in OWN: the fields by which records differ, and how the others are read.
    own: tuple[str, ...]
    rest: "_Reading | None"
    # By bytes: what they said; of kinds in OWN, the values of the other fields.
    known: dict[bytes, Any]


class _Field(NamedTuple):
    """How a record's field is written; what is empty is left out, unless that says something."""

    field: str
    make: Callable[[Any], Any] | None
    says_empty: bool


class _Writing(NamedTuple):
    """How records of one kind are written."""

    message: type[Message]
    values: Callable[[Any], tuple[Any, ...]]
    fields: tuple[_Field, ...]


_READINGS: dict[type, _Reading] = {}
_WRITINGS: dict[type, _Writing] = {}


def load(kind: type[Record], body: bytes) -> Record:
    """As `wire.load` of the message in those bytes. Raises DecodeError where there is none, and ValueError as that."""
    return _record(kind, _READINGS.get(kind) or _reading(kind, wire.MESSAGES[kind].DESCRIPTOR), body)


def dump(record: object) -> bytes:
    """The bytes of the message that `wire.dump` makes; once for all who ask for them within a short time."""
    return _once(_recent, _RECENT_KEPT, record, _written)


def message(record: object) -> Any:
    """The message itself: to read it from bytes that are there costs a tenth of making it."""
    return wire.MESSAGES[type(record)].FromString(dump(record))


def _written(record: object) -> bytes:
    kind = type(record)
    writing = _WRITINGS.get(kind) or _writing(kind, wire.MESSAGES[kind].DESCRIPTOR)
    values = {}
    for value, (field, make, says_empty) in zip(writing.values(record), writing.fields, strict=True):
        if value or (says_empty and value is not None):
            made = value if make is None else make(value)
            # The first word of an enum is as good as none.
            if made or says_empty:
                values[field] = made
    return writing.message(**values).SerializeToString()


def _record(kind: type[Record], reading: _Reading, body: bytes) -> Record:
    message = reading.parse(body)
    values = _values(reading, message)
    if reading.rest is not None:
        values = _others(reading, reading.rest, message) | values
    record: Any = reading.draft(**values)
    # A draft has the same slots.
    record.__class__ = kind
    return cast("Record", record)


def _values(reading: _Reading, message: Message) -> dict[str, Any]:
    values, readers = {}, reading.fields
    for field, value in message.ListFields():
        name, read = readers[field]
        values[name] = value if read is None else read(value)
    return values


def _others(reading: _Reading, rest: _Reading, message: Message) -> dict[str, Any]:
    """The values of the fields that are not the record's own: its own message knows of them by their bytes alone."""
    for name in reading.own:
        message.ClearField(name)
    body = message.SerializeToString()
    found: dict[str, Any] | None = reading.known.get(body)
    if found is None:
        found = _values(rest, rest.parse(body))
        _keep(reading.known, body, found)
    return found


def _keep(known: dict[bytes, Any], body: bytes, found: object) -> None:
    if len(known) >= _KEPT:
        known.clear()
    known[body] = found


def _reading(kind: type, descriptor: Any) -> _Reading:
    # A record's field by the message's.
    names = {wire.field_of(item.name, descriptor).name: item.name for item in fields(kind)}
    own = [name for name in names if names[name] in OWN.get(kind, names.values())]
    others = [name for name in names if name not in own]
    rest = _made(kind, descriptor, {name: names[name] for name in others}) if others else None
    made = _made(kind, descriptor, {name: names[name] for name in own})
    _READINGS[kind] = made._replace(own=tuple(own), rest=rest)
    return _READINGS[kind]


def _made(kind: type, descriptor: Descriptor, names: dict[str, str]) -> _Reading:
    plan, shallow = wire.load_plan(kind, descriptor), _shallow(descriptor, names)
    readers: dict[Any, tuple[str, Callable[[Any], Any] | None]] = {}
    for name, its_name in names.items():
        its = shallow.DESCRIPTOR.fields_by_name[name]
        field = descriptor.fields_by_name[name]
        part = wire.part_of(kind, its_name)
        if its_name in INTERNED:
            readers[its] = (its_name, intern)
        elif part is None or field.message_type is None:
            readers[its] = plan.fields[field.number]
        else:
            read = part_reader(part, field.message_type)
            readers[its] = (its_name, _several(read) if field.is_repeated else read)
    return _Reading(shallow.FromString, readers, plan.draft, (), None, {})


def part_reader(kind: type, descriptor: Descriptor) -> Callable[[bytes], Any]:
    """What reads records of that kind which are parts of others."""
    reading = _READINGS.get(kind) or _reading(kind, descriptor)
    if kind not in wire.ALIKE:
        return lambda body: _record(kind, reading, body)
    known: dict[bytes, Any] = {}

    def read(body: bytes) -> Any:
        found = known.get(body)
        if found is None:
            found = _record(kind, reading, body)
            _keep(known, body, found)
        return found

    return read


def _several(read: Callable[[bytes], Any]) -> Callable[[list[bytes]], Any]:
    return lambda bodies: (read(bodies[0]),) if len(bodies) == 1 else tuple([read(one) for one in bodies])


def _once(kept: dict[int, tuple[object, bytes]], most: int, record: object, make: Callable[[Any], bytes]) -> bytes:
    """The bytes that are made of a record, once for all who ask before so many others are `kept`."""
    # By identity, since to compare costs as much as to make; the record is kept, so that its id stays its own.
    found = kept.get(id(record))
    if found is None:
        found = (record, make(record))
        if len(kept) >= most:
            for key in list(kept)[: most // 2]:
                kept.pop(key, None)
        kept[id(record)] = found
    return found[1]


def _writing(kind: type, descriptor: Any) -> _Writing:
    plan, made = wire.dump_plan(kind, descriptor), []
    for name, (field_name, make, _) in zip(plan.names, plan.fields, strict=True):
        field = descriptor.fields_by_name[field_name]
        if make is not None and field.message_type is not None:
            is_part = wire.part_of(kind, name) is not None
            write = _part_written(field.message_type) if is_part else _time_written(make)
            made.append(_Field(field_name, _each(write) if field.is_repeated else write, field.has_presence))
        else:
            made.append(_Field(field_name, make, field.has_presence))
    message_class = _shallow(descriptor, [one.field for one in plan.fields], reads_times=False)
    _WRITINGS[kind] = _Writing(message_class, plan.values, tuple(made))
    return _WRITINGS[kind]


def _time_written(make: Callable[[int], Message]) -> Callable[[int], bytes]:
    # A record has the same times when it is written again.
    return lru_cache(_KEPT)(lambda millis: make(millis).SerializeToString())


def _part_written(descriptor: Descriptor) -> Callable[[Any], bytes]:
    message_class = GetMessageClass(descriptor)

    def write(part: object) -> bytes:
        return wire.written(part, message_class).SerializeToString()

    return lambda part: _once(_parts, _PARTS_KEPT, part, write)


def _each(write: Callable[[Any], bytes]) -> Callable[[tuple[Any, ...]], list[bytes]]:
    return lambda parts: [write(one) for one in parts]


def _shallow(descriptor: Descriptor, chosen: Container[str], *, reads_times: bool = True) -> type[Message]:
    """A class for the same bytes in which parts that are records are bytes, and fields not chosen are unknown.

    Times are bytes, too, unless it reads them.
    """
    whole, made = DescriptorProto(), DescriptorProto(name="Shallow")
    descriptor.CopyToProto(whole)
    for field in whole.field:
        if field.name in chosen:
            made.field.append(_taken_as_it_is(field, whole, made, reads_times=reads_times))
    # Of this syntax texts are checked.
    file = FileDescriptorProto(name="shallow.proto", package="shallow", syntax="proto3", message_type=[made])
    pool = DescriptorPool()
    for common in (timestamp_pb2, duration_pb2):
        pool.AddSerializedFile(common.DESCRIPTOR.serialized_pb)
        file.dependency.append(common.DESCRIPTOR.name)
    pool.AddSerializedFile(file.SerializeToString())
    found: type[Message] = GetMessageClass(pool.FindMessageTypeByName("shallow.Shallow"))
    return found


def _taken_as_it_is(
    field: FieldDescriptorProto, whole: DescriptorProto, made: DescriptorProto, *, reads_times: bool
) -> FieldDescriptorProto:
    taken = FieldDescriptorProto(name=field.name, number=field.number, label=field.label, type=field.type)
    if field.label != FieldDescriptorProto.LABEL_REPEATED:
        # Each field is either there or not: an empty part is not the same as none.
        taken.proto3_optional, taken.oneof_index = True, len(made.oneof_decl)
        made.oneof_decl.add(name=f"_{field.name}")
    if field.type == FieldDescriptorProto.TYPE_ENUM:
        taken.type = FieldDescriptorProto.TYPE_INT32
    elif field.type == FieldDescriptorProto.TYPE_MESSAGE:
        entry = next((one for one in whole.nested_type if field.type_name.endswith(f".{whole.name}.{one.name}")), None)
        if entry is not None:
            made.nested_type.append(entry)
            taken.type_name = f".shallow.Shallow.{entry.name}"
        elif reads_times and field.type_name.startswith(".google.protobuf."):
            taken.type_name = field.type_name
        else:
            taken.type = FieldDescriptorProto.TYPE_BYTES
    return taken
