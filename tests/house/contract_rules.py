"""Rules on the contract: units in names, comments on calls, and records that are their messages, field by field."""

import re
import types
import typing
from collections.abc import Iterable, Iterator
from dataclasses import fields, is_dataclass
from enum import Enum

from google.protobuf.descriptor import Descriptor, EnumDescriptor, FieldDescriptor

from tests.house.sources import Finding, Source

TIMES = ("google.protobuf.Timestamp", "google.protobuf.Duration")
ABSENT = ("UNKNOWN", "NONE")

_NUMBERS = (
    FieldDescriptor.CPPTYPE_INT32,
    FieldDescriptor.CPPTYPE_INT64,
    FieldDescriptor.CPPTYPE_UINT32,
    FieldDescriptor.CPPTYPE_UINT64,
    FieldDescriptor.CPPTYPE_DOUBLE,
    FieldDescriptor.CPPTYPE_FLOAT,
)
_UNIT = re.compile(r"(?:^|_)(?:bytes|millis|percent|celsius|watts|count)$")
# Numbers that count what they are named after, are a place in an order, or have a unit that stands beside them.
_PLAIN = re.compile(
    r"(?:^|_|\.)(?:epoch|sequence|session|generation|task|index|variant|exit_code|priority|weight|limit|failures|offset"
    r"|page_size|cores|threads|load_average|numa_node"
    r"|Use\.\w+_seconds|Figure\.value|FieldSum\.value|NodeDescription\.\w+_hour_price)$"
)
# Quantities of time are Timestamps and Durations, so that nobody can take seconds for milliseconds.
_TIME = re.compile(r"(?:_time|^interval|^grace|^timeout|_timeout|^lost_after)$")


def fields_without_unit(message: Descriptor) -> Iterator[str]:
    """Numbers that do not say what they count, and times that are numbers."""
    for field in message.fields:
        is_time = field.message_type is not None and field.message_type.full_name in TIMES
        if _TIME.search(field.name) and not is_time:
            yield f"{field.full_name}: a point or a length of time is a Timestamp or a Duration"
        elif field.cpp_type in _NUMBERS and not _UNIT.search(field.name) and not _PLAIN.search(field.full_name):
            yield f"{field.full_name}: a number without its unit (bytes, millis, percent, celsius, watts, count)"


def calls_without_comment(proto: Source) -> Iterator[Finding]:
    """Calls whose promise is written nowhere."""
    before = ""
    for number, line in enumerate(proto.lines, 1):
        if line.strip().startswith("rpc ") and not before.startswith("//"):
            yield Finding(proto.path, number, f"{line.strip()}: say what it promises")
        before = line.strip()


def all_messages(messages: Iterable[Descriptor]) -> Iterator[Descriptor]:
    """These messages and those in them."""
    for message in messages:
        yield message
        yield from all_messages(message.nested_types)


def differences(record: type, message: Descriptor) -> Iterator[str]:
    """What a record and its message do not both have, here and in everything that is nested in them."""
    yield from _differences(record, message, seen=[])


def _differences(record: type, message: Descriptor, *, seen: list[type]) -> Iterator[str]:
    if record in seen:
        return
    seen.append(record)
    hints = typing.get_type_hints(record)
    matched: dict[str, None] = {}
    for item in fields(record):
        field = message.fields_by_name.get(item.name) or message.fields_by_name.get(item.name.removesuffix("_ms"))
        if field is None:
            yield f"{record.__name__}.{item.name}: {message.full_name} has no such field"
            continue
        matched[field.name] = None
        yield from _field_differences(f"{record.__name__}.{item.name}", hints[item.name], field, seen)
    for field in message.fields:
        if field.name not in matched:
            yield f"{field.full_name}: {record.__name__} has no such field"


def _field_differences(name: str, hint: typing.Any, field: FieldDescriptor, seen: list[type]) -> Iterator[str]:
    inner, optional = inner_type(hint)
    is_time = field.message_type is not None and field.message_type.full_name in TIMES
    if name.endswith("_ms") is not is_time:
        yield f"{name}: a field x_ms is the Timestamp or Duration x, and the other way round"
    elif (typing.get_origin(hint) in (tuple, dict)) is not field.is_repeated:
        yield f"{name}: {field.full_name} and the record do not agree on whether there may be several"
    elif optional and not field.has_presence:
        yield f"{name}: None could not be told from {field.full_name}'s zero value; make that optional"
    if is_dataclass(inner) and isinstance(inner, type) and field.message_type is not None:
        yield from _differences(inner, field.message_type, seen=seen)
    elif isinstance(inner, type) and issubclass(inner, Enum):
        yield from _enum_differences(inner, field.enum_type)


def _enum_differences(kind: type[Enum], descriptor: EnumDescriptor | None) -> Iterator[str]:
    numbers = {value.name: value.number for value in descriptor.values} if descriptor else {}
    for member in kind:
        if member.name in ABSENT and member.name not in numbers:
            if member.value != 0:
                yield f"{kind.__name__}.{member.name} stands for the zero value, and must be 0"
        elif numbers.get(member.name) != member.value:
            yield f"{kind.__name__}.{member.name} is {member.value}, in the contract {numbers.get(member.name)}"
    for name, number in numbers.items():
        if number and name not in kind.__members__:
            yield f"{kind.__name__} lacks {name}"


def inner_type(hint: typing.Any) -> tuple[typing.Any, bool]:
    """The type of what a field holds, or of its items; and whether it may be None."""
    if typing.get_origin(hint) in (types.UnionType, typing.Union):
        return next(one for one in typing.get_args(hint) if one is not type(None)), True
    if typing.get_origin(hint) is tuple:
        return typing.get_args(hint)[0], False
    return hint, False
