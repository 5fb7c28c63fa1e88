"""Turns records into protobuf messages and back: what `stored` and `many` read and write faster is as it says.

A record and its message have the same field names; a test holds them to it. What differs is read from the types:
`x_ms: int` is the Timestamp or Duration `x`, an Enum is the enum's value of the same name (UNKNOWN and NONE are the
zero value), `None` is absence. The plans are made once a class, so that a report costs microseconds.
"""

import contextlib
import dataclasses
import operator
import types
import typing
from collections.abc import Callable
from dataclasses import MISSING, fields, is_dataclass
from enum import Enum
from typing import Any, NamedTuple, TypeVar

from google.protobuf.descriptor import Descriptor, EnumDescriptor, FieldDescriptor
from google.protobuf.message import Message
from google.protobuf.message_factory import GetMessageClass

from headrace.attempts import Attempt, Checkpoint, Outputs, Phase, Platform
from headrace.events import Event
from headrace.explanations import Explanation
from headrace.jobs import Candidate, ImagePin, Job, JobSpec, Migration, MigrationPlan, Requests, Retry, Timeouts
from headrace.nodes import Capacity, Cpu, Device, Engine, Load, Node, NodeDescription
from headrace.projects import Project, Use
from headrace.searches import Found, Search
from headrace.sessions import Assignment, Placement, Report
from headrace.v1 import (
    attempt_pb2,
    event_pb2,
    find_service_pb2,
    job_pb2,
    job_service_pb2,
    node_pb2,
    project_pb2,
    session_pb2,
)

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
    Project: project_pb2.Project,
    Use: project_pb2.Use,
    Report: session_pb2.Report,
    Assignment: session_pb2.Assignment,
    Event: event_pb2.Event,
    Search: find_service_pb2.FindCapacityRequest,
    Found: find_service_pb2.FindCapacityResponse,
    Explanation: job_service_pb2.ExplainJobResponse,
}

_TIMES = ("google.protobuf.Timestamp", "google.protobuf.Duration")


class FieldPlan(NamedTuple):
    """How one field's value is made of a message's (`load`), and the other way round; `absent` makes the value of none.

    Where an empty value is what the message has anyway, `writes_empty` is false.
    """

    load: Callable[[Any], Any]
    dump: Callable[[Any], Any]
    absent: Callable[[], Any]
    writes_empty: bool = True


class LoadPlan(NamedTuple):
    """How messages of one class are read. Most fields of most are empty: only the others are looked at."""

    # By the field's number: the record's name, and how the value is read if it is not taken as it is.
    fields: dict[int, tuple[str, Callable[[Any], Any] | None]]
    # What the record is while it is made.
    draft: type


class FieldDump(NamedTuple):
    """How a field of a record is written: the message's name for it, and how its value is made, if it is."""

    field: str
    make: Callable[[Any], Any] | None
    writes_empty: bool


class DumpPlan(NamedTuple):
    """How records of one class are written: their fields, the values of all at once, and what becomes of each."""

    names: tuple[str, ...]
    values: Callable[[Any], tuple[Any, ...]]
    fields: tuple[FieldDump, ...]


_PLANS: dict[type, dict[str, FieldPlan]] = {}
_LOADS: dict[type, LoadPlan] = {}
_DUMPS: dict[type, DumpPlan] = {}

# Small parts that are the same in many records: read once, and shared. All of them go when there are too many.
ALIKE = (Capacity, Cpu, Engine, ImagePin, Platform, Requests, Retry, Timeouts)
_ALIKE_KEPT = 4096
_alike: dict[tuple[type, bytes], Any] = {}


def dump(record: object) -> Any:
    """The message of a record. Raises KeyError for a class that has none in MESSAGES."""
    return written(record, MESSAGES[type(record)])


def load(kind: type[Record], message: Message) -> Record:
    """The record of a message. Raises ValueError where an enum has a value that `kind` does not know."""
    plan = _LOADS.get(kind) or load_plan(kind, message.DESCRIPTOR)
    known = plan.fields
    values = {}
    for one, value in message.ListFields():
        if one.number in known:
            name, read = known[one.number]
            values[name] = value if read is None else read(value)
    record: Any = plan.draft(**values)
    # A draft has the same slots.
    record.__class__ = kind
    return typing.cast("Record", record)


def written(record: object, kind: type[Message]) -> Message:
    """The message of that kind of a record, which may be part of another one."""
    plan = _DUMPS.get(type(record)) or dump_plan(type(record), kind.DESCRIPTOR)
    values = {}
    for value, (field, make, writes_empty) in zip(plan.values(record), plan.fields, strict=True):
        if value or (writes_empty and value is not None):
            values[field] = make(value) if make is not None else value
    return kind(**values)


def dump_plan(kind: type, descriptor: Any) -> DumpPlan:
    """How records of that kind are written as messages of that descriptor."""
    found = _DUMPS.get(kind)
    if found is None:
        plans = _plans(kind, descriptor)
        fields_of = tuple(
            FieldDump(field_of(name, descriptor).name, None if plan.dump is _same else plan.dump, plan.writes_empty)
            for name, plan in plans.items()
        )
        found = _DUMPS[kind] = DumpPlan(tuple(plans), _values_of(tuple(plans)), fields_of)
    return found


def _values_of(names: tuple[str, ...]) -> Callable[[Any], tuple[Any, ...]]:
    """The values of these fields of a record, at once: one by one they take a fifth of what a record costs."""
    if len(names) > 1:
        return operator.attrgetter(*names)
    return lambda record: tuple(getattr(record, name) for name in names)


def _plans(kind: type, descriptor: Any) -> dict[str, FieldPlan]:
    plans = _PLANS.get(kind)
    if plans is None:
        hints = typing.get_type_hints(kind)
        plans = {item.name: _plan(item.name, hints[item.name], descriptor, item.default) for item in fields(kind)}
        _PLANS[kind] = plans
    return plans


def load_alike(kind: type[Record], message: Message) -> Record:
    """As `load`, for one of the ALIKE: the one that was read from such bytes before, if any."""
    key = (kind, message.SerializeToString())
    found: Record | None = _alike.get(key)
    if found is None:
        found = load(kind, message)
        if len(_alike) >= _ALIKE_KEPT:
            _alike.clear()
        _alike[key] = found
    return found


def load_plan(kind: type, descriptor: Any) -> LoadPlan:
    """How messages of that descriptor are read as records of that kind."""
    plans = _plans(kind, descriptor)
    reads = {
        field_of(name, descriptor).number: (name, None if plan.load is _same else plan.load)
        for name, plan in plans.items()
    }
    _LOADS[kind] = LoadPlan(reads, _draft(kind, plans))
    return _LOADS[kind]


def _draft(kind: type, plans: dict[str, FieldPlan]) -> type:
    """The same class, but not frozen, and with what a record has where its message has nothing.

    What is frozen writes each field by a call, which was half of what it took to read a record.
    """
    made: list[tuple[str, Any, Any]] = []
    for name, plan in plans.items():
        # Anew for each record: dicts can be changed, and what has to be there is refused.
        absent = dataclasses.field(default_factory=plan.absent)
        if plan.absent is not dict:
            with contextlib.suppress(ValueError):
                absent = dataclasses.field(default=plan.absent())
        made.append((name, Any, absent))
    return dataclasses.make_dataclass(kind.__name__, made, slots=True, eq=False, repr=False)


def field_of(name: str, descriptor: Any) -> FieldDescriptor:
    """The field of a message for a record's field. Raises TypeError where there is none."""
    by_name = descriptor.fields_by_name
    field: FieldDescriptor | None = by_name.get(name) or by_name.get(name.removesuffix("_ms"))
    if field is None:
        raise TypeError(f"{descriptor.full_name} has no field for {name}")
    return field


def part_of(kind: type, name: str) -> type | None:
    """Of what kind the records are that a record's field has, one or several; None where it has no records."""
    inner, _ = _without_none(typing.get_type_hints(kind)[name])
    one = typing.get_args(inner)[0] if typing.get_origin(inner) is tuple else inner
    return one if isinstance(one, type) and is_dataclass(one) else None


def _plan(name: str, hint: Any, descriptor: Any, default: object) -> FieldPlan:
    field = field_of(name, descriptor)
    inner, optional = _without_none(hint)
    origin = typing.get_origin(inner)
    if origin is tuple:
        return _repeated(field, typing.get_args(inner)[0])
    if origin is dict:
        return FieldPlan(dict, _same, dict, writes_empty=False)
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
    return FieldPlan(_same, _same, lambda: None if optional else field.default_value, writes_empty=optional)


def _same(value: Any) -> Any:
    return value


def _enum(field: FieldDescriptor, kind: type[Enum], default: object) -> FieldPlan:
    to_record, to_message = _enum_tables(field.enum_type, kind, default)

    def load_enum(number: Any) -> Any:
        return _member(to_record, number, field, kind)

    return FieldPlan(load_enum, to_message.__getitem__, lambda: load_enum(0))


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
    message_class: Any = GetMessageClass(_message_type(field))

    def load_time(value: Any) -> Any:
        return value.seconds * 1000 + value.nanos // 1_000_000

    def dump_time(millis: int) -> Any:
        seconds, rest = divmod(millis, 1000)
        return message_class(seconds=seconds, nanos=rest * 1_000_000)

    return FieldPlan(load_time, dump_time, lambda: absent)


def _message(field: FieldDescriptor, kind: type, *, optional: bool) -> FieldPlan:
    load_one, dump_one = _of_one(field, kind)

    def absent() -> Any:
        return None if optional else load(kind, GetMessageClass(_message_type(field))())

    return FieldPlan(load_one, dump_one, absent)


def _of_one(field: FieldDescriptor, kind: type) -> tuple[Callable[[Any], Any], Callable[[Any], Any]]:
    """How a record that is part of another one is read and written."""
    message_class, read = GetMessageClass(_message_type(field)), load_alike if kind in ALIKE else load

    def load_one(message: Any) -> Any:
        return read(kind, message)

    def dump_one(value: Any) -> Any:
        return written(value, message_class)

    return load_one, dump_one


def _message_type(field: FieldDescriptor) -> Descriptor:
    if field.message_type is None:
        raise TypeError(f"{field.full_name} is no message")
    return field.message_type


def _repeated(field: FieldDescriptor, kind: type) -> FieldPlan:
    if field.message_type is not None:
        load_one, dump_one = _of_one(field, kind)
        return FieldPlan(
            lambda items: tuple([load_one(item) for item in items]),
            lambda values: [dump_one(value) for value in values],
            tuple,
            writes_empty=False,
        )
    if field.enum_type is not None:
        to_record, to_message = _enum_tables(field.enum_type, kind, MISSING)
        return FieldPlan(
            lambda numbers: tuple(_member(to_record, number, field, kind) for number in numbers),
            lambda values: [to_message[value] for value in values],
            tuple,
            writes_empty=False,
        )
    return FieldPlan(tuple, _same, tuple, writes_empty=False)
