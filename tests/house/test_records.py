"""A record that travels arrives as it left."""

import typing
from dataclasses import fields, is_dataclass
from enum import Enum
from typing import Any

import pytest
from google.protobuf.descriptor import Descriptor, FieldDescriptor
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from headrace import many, stored, wire
from headrace.attempts import Platform
from headrace.jobs import Job, JobSpec
from headrace.nodes import Device, Health, Node
from headrace.v1 import job_pb2
from tests.house.contract_rules import inner_type

TEXTS = st.text(st.characters(exclude_categories=["Cs"]), max_size=8)
# Up to the year 9999, where a Timestamp ends.
MILLIS = st.integers(0, 253_402_300_799_999)
WIDTHS = {FieldDescriptor.CPPTYPE_INT32: 31, FieldDescriptor.CPPTYPE_INT64: 63}


def records(kind: type, message: Descriptor) -> st.SearchStrategy[Any]:
    """Records of a kind with everything in them that its message can carry."""
    hints = typing.get_type_hints(kind)
    return st.builds(
        kind,
        **{
            item.name: values(item.name, hints[item.name], message.fields_by_name[item.name.removesuffix("_ms")])
            for item in fields(kind)
        },
    )


def values(name: str, hint: Any, field: FieldDescriptor) -> st.SearchStrategy[Any]:
    """What such a field may hold."""
    inner, optional = inner_type(hint)
    if typing.get_origin(hint) is dict:
        return st.dictionaries(TEXTS, TEXTS, max_size=2)
    one: st.SearchStrategy[Any]
    if name.endswith("_ms"):
        one = MILLIS
    elif is_dataclass(inner) and isinstance(inner, type) and field.message_type is not None:
        one = records(inner, field.message_type)
    elif isinstance(inner, type) and issubclass(inner, Enum):
        one = st.sampled_from(inner)
    elif inner is int:
        width = WIDTHS[field.cpp_type]
        one = st.integers(-(2**width), 2**width - 1)
    else:
        one = {str: TEXTS, bytes: st.binary(max_size=8), bool: st.booleans(), float: st.floats(allow_nan=False)}[inner]
    if typing.get_origin(hint) is tuple:
        return st.lists(one, max_size=2).map(tuple)
    return st.none() | one if optional else one


@pytest.mark.parametrize("kind", wire.MESSAGES)
@settings(max_examples=10, suppress_health_check=list(HealthCheck))
@given(data=st.data())
def test_a_record_of_every_kind_arrives_as_it_left(kind: type, data: st.DataObject) -> None:
    message: Any = wire.MESSAGES[kind]
    record = data.draw(records(kind, message.DESCRIPTOR))

    raw = wire.dump(record).SerializeToString()

    assert wire.load(kind, message.FromString(raw)) == record
    assert stored.load(kind, raw) == record
    # What is read of many at once is that, or it is left.
    assert all(one in (record, None) for one in many.load(kind, [raw, raw]))
    # What was read before is not read again.
    assert stored.load(kind, raw) == record
    assert message.FromString(stored.dump(record)) == wire.dump(record)
    assert stored.message(record) == wire.dump(record)


def test_unknown_arrives_as_unknown_and_zero_as_zero() -> None:
    unknown = Device("gpu-1", "gpu", "nvidia", "H100", busy_percent=None, health=Health.UNKNOWN)
    idle = Device("gpu-1", "gpu", "nvidia", "H100", busy_percent=0.0, health=Health.HEALTHY)
    node = Node("nodes/a", devices=(unknown, idle))
    assert wire.load(Node, wire.dump(node)).devices == (unknown, idle)


def test_a_state_that_this_version_does_not_know_is_refused_with_the_fields_name() -> None:
    with pytest.raises(ValueError, match=r"headrace.v1.Job.state: 99 is not a known JobState"):
        wire.load(Job, job_pb2.Job.FromString(bytes([0x18, 99])))


def test_a_list_with_a_word_that_this_version_does_not_know_is_refused_with_the_fields_name() -> None:
    with pytest.raises(ValueError, match=r"headrace.v1.Retry.on: 9 is not a known RetryCause"):
        wire.load(JobSpec, job_pb2.JobSpec(retry=job_pb2.Retry(on=[9])))  # type: ignore[list-item]


def test_what_has_no_message_is_not_sent() -> None:
    with pytest.raises(KeyError):
        wire.dump(object())


def test_emulated_is_told() -> None:
    arm = Platform("linux", "arm64", "v8", emulated=True)
    assert wire.load(Platform, wire.dump(arm)) == arm
