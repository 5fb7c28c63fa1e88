"""Reads records from the bytes of their messages, as stores have them by the hundred thousand.

`wire.load` says what comes of it; this is faster where many records are alike. A message is taken apart one level deep:
what is a record of its own stays bytes at first, and bytes that were read before are not read again.
"""

from collections.abc import Callable, Container
from dataclasses import fields
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
_OWN: dict[type, tuple[str, ...]] = {JobSpec: ("display_name", "command", "env")}

# Fields with texts that many records have: one text for all of them.
_INTERNED = ("node", "image", "project", "gang", "array")

# Bytes that were read before, and what was read. All of them go when there are too many.
_KEPT = 4096


class _Reading(NamedTuple):
    """How messages of one class are read from bytes."""

    parse: Callable[[bytes], Message]
    fields: dict[Any, tuple[str, Callable[[Any], Any] | None]]
    draft: type
    # Of kinds in _OWN: the fields by which records differ, and how the others are read.
    own: tuple[str, ...]
    rest: "_Reading | None"
    # By bytes: what they said; of kinds in _OWN, the values of the other fields.
    known: dict[bytes, Any]


_READINGS: dict[type, _Reading] = {}


def load(kind: type[Record], body: bytes) -> Record:
    """As `wire.load` of the message in those bytes. Raises DecodeError where there is none, and ValueError as that."""
    return _record(kind, _READINGS.get(kind) or _reading(kind, wire.MESSAGES[kind].DESCRIPTOR), body)


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
    own = [name for name in names if names[name] in _OWN.get(kind, names.values())]
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
        if its_name in _INTERNED:
            readers[its] = (its_name, intern)
        elif part is None or field.message_type is None:
            readers[its] = plan.fields[field.number]
        else:
            read = _part(part, field.message_type)
            readers[its] = (its_name, _several(read) if field.is_repeated else read)
    return _Reading(shallow.FromString, readers, plan.draft, (), None, {})


def _part(kind: type, descriptor: Descriptor) -> Callable[[bytes], Any]:
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


def _shallow(descriptor: Descriptor, chosen: Container[str]) -> type[Message]:
    """A class for the same bytes in which parts that are records are bytes, and fields not chosen are unknown."""
    whole, made = DescriptorProto(), DescriptorProto(name="Shallow")
    descriptor.CopyToProto(whole)
    for field in whole.field:
        if field.name in chosen:
            made.field.append(_taken_as_it_is(field, whole, made))
    file = FileDescriptorProto(name="shallow.proto", package="shallow", message_type=[made])
    pool = DescriptorPool()
    for common in (timestamp_pb2, duration_pb2):
        pool.AddSerializedFile(common.DESCRIPTOR.serialized_pb)
        file.dependency.append(common.DESCRIPTOR.name)
    pool.AddSerializedFile(file.SerializeToString())
    found: type[Message] = GetMessageClass(pool.FindMessageTypeByName("shallow.Shallow"))
    return found


def _taken_as_it_is(field: FieldDescriptorProto, whole: DescriptorProto, made: DescriptorProto) -> FieldDescriptorProto:
    # Of this older syntax each field is either there or not: an empty part is not the same as none.
    taken = FieldDescriptorProto(name=field.name, number=field.number, label=field.label, type=field.type)
    if field.type == FieldDescriptorProto.TYPE_ENUM:
        taken.type = FieldDescriptorProto.TYPE_INT32
    elif field.type == FieldDescriptorProto.TYPE_MESSAGE:
        entry = next((one for one in whole.nested_type if field.type_name.endswith(f".{whole.name}.{one.name}")), None)
        if entry is not None:
            made.nested_type.append(entry)
            taken.type_name = f".shallow.Shallow.{entry.name}"
        elif field.type_name.startswith(".google.protobuf."):
            taken.type_name = field.type_name
        else:
            taken.type = FieldDescriptorProto.TYPE_BYTES
    return taken
