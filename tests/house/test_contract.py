"""The contract and the records: units, comments, and one and the same fields on both sides."""

from dataclasses import dataclass
from enum import Enum
from typing import Any

import pytest
from google.protobuf import descriptor_pb2, descriptor_pool
from google.protobuf.descriptor import Descriptor

from headrace import wire
from headrace.v1 import (
    attempt_pb2,
    checkpoint_service_pb2,
    event_pb2,
    find_service_pb2,
    identifier_service_pb2,
    job_pb2,
    job_service_pb2,
    node_pb2,
    node_service_pb2,
    project_pb2,
    project_service_pb2,
    session_pb2,
)
from tests.house import contract_rules
from tests.house.sources import Source, paths, texts

CONTRACT = (
    attempt_pb2,
    checkpoint_service_pb2,
    event_pb2,
    find_service_pb2,
    identifier_service_pb2,
    job_pb2,
    job_service_pb2,
    node_pb2,
    node_service_pb2,
    project_pb2,
    project_service_pb2,
    session_pb2,
)


class Mood(Enum):
    UNKNOWN = 1
    GOOD = 2
    BAD = 3


@dataclass(frozen=True)
class Weather:
    mood: Mood
    wind_ms: int
    clouds: int | None
    names: str


def weather() -> Descriptor:
    """A message that goes against every rule."""
    kind = descriptor_pb2.FieldDescriptorProto
    proto = descriptor_pb2.FileDescriptorProto(name="weather.proto", syntax="proto3")
    mood = proto.enum_type.add(name="Mood")
    for number, name in enumerate(("MOOD_UNSPECIFIED", "BAD", "GOOD", "FOUL")):
        mood.value.add(name=name, number=number)
    message = proto.message_type.add(name="Weather")
    for number, (name, of_type) in enumerate(
        [
            ("mood", kind.TYPE_ENUM),
            ("wind", kind.TYPE_INT64),
            ("clouds", kind.TYPE_INT32),
            ("rain", kind.TYPE_DOUBLE),
            ("start_time", kind.TYPE_INT64),
        ],
        1,
    ):
        message.field.add(
            name=name,
            number=number,
            type=of_type,
            label=kind.LABEL_OPTIONAL,
            type_name=".Mood" if name == "mood" else None,
        )
    pool = descriptor_pool.DescriptorPool()
    pool.Add(proto)
    return pool.FindMessageTypeByName("Weather")


def test_every_file_of_the_contract_is_looked_at() -> None:
    written = {path.removeprefix("proto/") for path in paths() if path.endswith(".proto")}
    assert written == {module.DESCRIPTOR.name for module in CONTRACT}


def test_every_number_of_the_contract_says_what_it_counts() -> None:
    messages = [message for module in CONTRACT for message in module.DESCRIPTOR.message_types_by_name.values()]
    found = [
        complaint
        for message in contract_rules.all_messages(messages)
        for complaint in contract_rules.fields_without_unit(message)
    ]
    assert found == []


def test_every_call_says_what_it_promises() -> None:
    protos = [one for one in texts() if one.path.endswith(".proto")]
    assert [one for proto in protos for one in contract_rules.calls_without_comment(proto)] == []


@pytest.mark.parametrize("record", wire.MESSAGES)
def test_a_record_is_its_message_field_by_field(record: type) -> None:
    message: Any = wire.MESSAGES[record]
    assert list(contract_rules.differences(record, message.DESCRIPTOR)) == []


def test_a_number_without_its_unit_is_found() -> None:
    found = list(contract_rules.fields_without_unit(weather()))
    assert [complaint.partition(":")[0] for complaint in found] == [
        "Weather.wind",
        "Weather.clouds",
        "Weather.rain",
        "Weather.start_time",
    ]


def test_a_call_without_a_comment_is_found() -> None:
    proto = Source("x.proto", "service S {\n  // Says.\n  rpc A(B) returns (C);\n  rpc D(E) returns (F);\n}")
    assert [one.line for one in contract_rules.calls_without_comment(proto)] == [4]


def test_fields_that_differ_between_record_and_message_are_found() -> None:
    assert list(contract_rules.differences(Weather, weather())) == [
        "Mood.UNKNOWN stands for the zero value, and must be 0",
        "Mood.BAD is 3, in the contract 1",
        "Mood lacks FOUL",
        "Weather.wind_ms: a field x_ms is the Timestamp or Duration x, and the other way round",
        "Weather.clouds: None could not be told from Weather.clouds's zero value; make that optional",
        "Weather.names: Weather has no such field",
        "Weather.rain: Weather has no such field",
        "Weather.start_time: Weather has no such field",
    ]
