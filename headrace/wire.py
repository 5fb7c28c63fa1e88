"""Turns records into protobuf messages and back: the only place that does.

A record and its message have the same field names; a test holds them to it. What differs is read from the types:
`x_ms: int` is the Timestamp or Duration `x`, an Enum is the enum's value of the same name (UNKNOWN and NONE are the
zero value), `None` is absence. The plans are made once a class, so that a report costs microseconds.
"""

import types
import typing
from collections.abc import Callable
from dataclasses import MISSING, fields
from enum import Enum
from typing import Any, NamedTuple, TypeVar

from google.protobuf.descriptor import EnumDescriptor, FieldDescriptor
from google.protobuf.message import Message
from google.protobuf.message_factory import GetMessageClass

from headrace.attempts import Attempt, Checkpoint, Outputs, Phase, Platform
from headrace.events import Event
from headrace.jobs import Candidate, Job, JobSpec, Migration, MigrationPlan
from headrace.nodes import Device, Load, Node, NodeDescription
from headrace.searches import Found, Search
from headrace.sessions import Assignment, Placement, Report
from headrace.v1 import attempt_pb2, event_pb2, find_service_pb2, job_pb2, node_pb2, session_pb2

Record = TypeVar("Record")

MESSAGES: dict[type, type[Message]] = {
    Platform: attempt_pb2.Platform,
    Phase: attempt_pb2.Phase,
    Checkpoint: attempt_pb2.Checkpoint,
    Outputs: attempt_pb2.Outputs,
    Attempt: attempt_pb2.Attempt,
    JobSpec: job_pb2.JobSpec,
    Placement: session_pb2.Placement,
    Job: job_pb2.Job,
    Candidate: job_pb2.Candidate,
    Migration: job_pb2.Migration,
    MigrationPlan: job_pb2.MigrationPlan,
    Device: node_pb2.Device,
    Load: node_pb2.Load,
    Node: node_pb2.Node,
    NodeDescription: node_pb2.NodeDescription,
    Report: session_pb2.Report,
    Assignment: session_pb2.Assignment,
    Event: event_pb2.Event,
    Search: find_service_pb2.FindCapacityRequest,
    Found: find_service_pb2.FindCapacityResponse,
}

_TIMES = ("google.protobuf.Timestamp", "google.protobuf.Duration")


class FieldPlan(NamedTuple):
    """How one field is read from a message (`load`) and written into one (`dump`).

    Where an empty value is what the message has anyway, `writes_empty` is false.
    """

    load: Callable[[Any], Any]
    dump: Callable[[Any, Any], None]
    writes_empty: bool = True


_PLANS: dict[type, dict[str, FieldPlan]] = {}

# What is part of many records and stays as it is, with its message: to copy a message costs a twentieth of making it.
# The oldest half goes when there are too many.
_SHARED = (JobSpec, NodeDescription)
_SHARED_KEPT = 512
_shared: dict[int, tuple[object, Message]] = {}

# Records that several ask for one after the other: the store, and whoever watches.
_RECENT_KEPT = 256
_recent: dict[int, tuple[object, Message]] = {}


def dump(record: object) -> Any:
    """The message of a record. Raises KeyError for a class that has none in MESSAGES."""
    return _dump(record, MESSAGES[type(record)])


def dump_once(record: object) -> Any:
    """The same, made once for all who ask for it within a short time: it is not to be changed."""
    return _known(_recent, _RECENT_KEPT, record, MESSAGES[type(record)])


def load(kind: type[Record], message: Message) -> Record:
    """The record of a message. Raises ValueError where an enum has a value that `kind` does not know."""
    plans = _plans(kind, message.DESCRIPTOR)
    return kind(**{name: plan.load(message) for name, plan in plans.items()})


def _dump(record: object, kind: type[Message]) -> Message:
    message = kind()
    _fill(record, message)
    return message


def _fill(record: object, message: Message) -> None:
    for name, (_, write, writes_empty) in _plans(type(record), message.DESCRIPTOR).items():
        value = getattr(record, name)
        if value or (writes_empty and value is not None):
            write(message, value)


def _known(kept: dict[int, tuple[object, Message]], most: int, record: object, kind: type[Message]) -> Message:
    # By identity, since to compare costs as much as to make; the record is kept, so that its id stays its own.
    found = kept.get(id(record))
    if found is None:
        found = (record, _dump(record, kind))
        if len(kept) >= most:
            for key in list(kept)[: most // 2]:
                kept.pop(key, None)
        kept[id(record)] = found
    return found[1]


def _plans(kind: type, descriptor: Any) -> dict[str, FieldPlan]:
    plans = _PLANS.get(kind)
    if plans is None:
        hints = typing.get_type_hints(kind)
        plans = {item.name: _plan(item.name, hints[item.name], descriptor, item.default) for item in fields(kind)}
        _PLANS[kind] = plans
    return plans


def _plan(name: str, hint: Any, descriptor: Any, default: object) -> FieldPlan:
    by_name = descriptor.fields_by_name
    field = by_name.get(name) or by_name.get(name.removesuffix("_ms"))
    if field is None:
        raise TypeError(f"{descriptor.full_name} has no field for {name}")
    inner, optional = _without_none(hint)
    origin = typing.get_origin(inner)
    if origin is tuple:
        return _repeated(field, typing.get_args(inner)[0])
    if origin is dict:
        return _mapping(field)
    if field.message_type is not None:
        if field.message_type.full_name in _TIMES:
            return _time(field, absent=None if optional else 0 if default is MISSING else default)
        return _message(field, inner, optional=optional)
    if isinstance(inner, type) and issubclass(inner, Enum):
        return _enum(field, inner, default)
    return _scalar(field, optional=optional)


def _without_none(hint: Any) -> tuple[Any, bool]:
    if typing.get_origin(hint) in (types.UnionType, typing.Union):
        inner = [arg for arg in typing.get_args(hint) if arg is not type(None)]
        return inner[0], True
    return hint, False


def _scalar(field: FieldDescriptor, *, optional: bool) -> FieldPlan:
    name = field.name

    def load_optional(message: Any) -> Any:
        return getattr(message, name) if message.HasField(name) else None

    def load_plain(message: Any) -> Any:
        return getattr(message, name)

    def dump_scalar(message: Any, value: Any) -> None:
        setattr(message, name, value)

    return FieldPlan(load_optional if optional else load_plain, dump_scalar, writes_empty=optional)


def _enum(field: FieldDescriptor, kind: type[Enum], default: object) -> FieldPlan:
    name = field.name
    to_record, to_message = _enum_tables(field.enum_type, kind, default)

    def load_enum(message: Any) -> Any:
        return _member(to_record, getattr(message, name), field, kind)

    def dump_enum(message: Any, value: Any) -> None:
        setattr(message, name, to_message[value])

    return FieldPlan(load_enum, dump_enum)


def _enum_tables(
    descriptor: EnumDescriptor | None, kind: type[Enum], default: object
) -> tuple[dict[int, Enum], dict[Enum, int]]:
    numbers = {value.name: value.number for value in descriptor.values} if descriptor else {}
    to_message = {member: numbers.get(member.name, 0) for member in kind}
    to_record = {number: member for member, number in to_message.items()}
    # A sender that leaves the field out means the default.
    if 0 not in to_record and isinstance(default, kind):
        to_record[0] = default
    return to_record, to_message


def _member(to_record: dict[int, Enum], number: int, field: FieldDescriptor, kind: type[Enum]) -> Enum:
    try:
        return to_record[number]
    except KeyError:
        raise ValueError(f"{field.full_name}: {number} is not a known {kind.__name__}") from None


def _time(field: FieldDescriptor, *, absent: Any) -> FieldPlan:
    name = field.name

    def load_time(message: Any) -> Any:
        if not message.HasField(name):
            return absent
        value = getattr(message, name)
        return value.seconds * 1000 + value.nanos // 1_000_000

    def dump_time(message: Any, millis: int) -> None:
        value = getattr(message, name)
        value.SetInParent()
        value.seconds, rest = divmod(millis, 1000)
        value.nanos = rest * 1_000_000

    return FieldPlan(load_time, dump_time)


def _message(field: FieldDescriptor, kind: type, *, optional: bool) -> FieldPlan:
    name = field.name

    def load_message(message: Any) -> Any:
        if optional and not message.HasField(name):
            return None
        return load(kind, getattr(message, name))

    def dump_message(message: Any, value: Any) -> None:
        inner = getattr(message, name)
        inner.SetInParent()
        _fill(value, inner)

    def copy_message(message: Any, value: Any) -> None:
        getattr(message, name).CopyFrom(_known(_shared, _SHARED_KEPT, value, MESSAGES[kind]))

    return FieldPlan(load_message, copy_message if kind in _SHARED else dump_message)


def _repeated(field: FieldDescriptor, kind: type) -> FieldPlan:
    name = field.name
    if field.message_type is not None:
        message_class = GetMessageClass(field.message_type)
        return FieldPlan(
            lambda message: tuple(load(kind, item) for item in getattr(message, name)),
            lambda message, values: getattr(message, name).extend([_dump(value, message_class) for value in values]),
            writes_empty=False,
        )
    if field.enum_type is not None:
        to_record, to_message = _enum_tables(field.enum_type, kind, MISSING)
        return FieldPlan(
            lambda message: tuple(_member(to_record, number, field, kind) for number in getattr(message, name)),
            lambda message, values: getattr(message, name).extend([to_message[value] for value in values]),
            writes_empty=False,
        )
    return FieldPlan(
        lambda message: tuple(getattr(message, name)),
        lambda message, values: getattr(message, name).extend(values),
        writes_empty=False,
    )


def _mapping(field: FieldDescriptor) -> FieldPlan:
    name = field.name
    return FieldPlan(
        lambda message: dict(getattr(message, name)),
        lambda message, values: getattr(message, name).update(values),
        writes_empty=False,
    )
