"""Records that are read together: what is read of them is what is read of each alone."""

from collections.abc import Sequence
from typing import Any

import pytest
from google.protobuf.message import DecodeError
from hypothesis import given, settings
from hypothesis import strategies as st

from headrace import many, stored
from headrace.attempts import Attempt, AttemptState, Checkpoint, Phase, Platform, Steps
from headrace.changes import replace
from headrace.jobs import (
    CheckpointPolicy,
    Dependency,
    Elements,
    Exclusion,
    ImagePin,
    Job,
    JobSpec,
    JobState,
    Level,
    Migration,
    MigrationState,
    Preference,
    Requests,
    Retry,
    RetryCause,
    Timeouts,
    Variant,
    Work,
)
from headrace.located import Messages
from headrace.nodes import Capacity, Cpu, Device, Engine, Node, NodeDescription, NodeState

AMD64 = Platform("linux", "amd64")
# Field 999, of seven.
UNKNOWN = bytes([0xBA, 0x3E, 1, 7])


def attempt(job: str, epoch: int) -> Attempt:
    return Attempt(
        job,
        epoch,
        "sim-1",
        state=AttemptState.EXITED,
        exit_code=0,
        checkpoint=Checkpoint("sha256:1", epoch, 1, 1 << 40),
        phases=(Phase("pull", 20, 1 << 30), Phase("start", 0)),
        platform=AMD64,
        devices=("gpu-0", "gpu-1"),
        start_time_ms=1_790_000_000_123,
        image="image",
        steps=Steps(0),
    )


PLAIN = Job("jobs/a", JobSpec("a", "image"), create_time_ms=0)
RUNNING = Job(
    "jobs/b",
    JobSpec("b", "image", ("train", "--seed", "1"), {"SEED": "1", "": ""}, Requests(2000, 1 << 30)),
    JobState.RUNNING,
    epoch=3,
    node="sim-1",
    images=(ImagePin(AMD64, "image@sha256:1", "image", 1 << 30),),
    attempts=(attempt("b", 1), attempt("b", 3)),
    request_id="request",
    create_time_ms=1_790_000_000_000,
)
RICH = Job(
    "jobs/ü",
    JobSpec(
        "ä",
        "image",
        where="kind == 'gpu'",
        prefer=(Preference("x", 0.5),),
        variants=(Variant("y", env={"A": "1"}),),
        checkpoint=CheckpointPolicy("/out"),
        timeouts=Timeouts(run_ms=0),
        retry=Retry(3, (RetryCause.NODE_LOST, RetryCause.DEVICE_ERROR)),
        work=Work(1e15, "bf16"),
        after=(Dependency("jobs/a"),),
    ),
    reason="waits\N{SNOWMAN}",
    migrations=(
        Migration(MigrationState.SUCCEEDED, Level.RESTART, "sim-1", "sim-2", 1, "image", AMD64, request_time_ms=5),
    ),
    exclusions=(Exclusion("sim-3", "full", 1_790_000_000_000),),
    exit_code=-1,
    elements=Elements(b"\xff\x00", failed_count=1),
    ahead_of=("a", "b"),
    uncounted_ms=1,
)
BODIES = [stored.dump(one) for one in (PLAIN, RUNNING, RICH)]


def alone(kind: type, body: bytes) -> Any:
    """The record, or the class of what is raised in place of it."""
    try:
        return stored.load(kind, body)
    except (DecodeError, LookupError, ValueError) as error:
        return type(error)


def test_of_what_a_controller_wrote_all_is_read_but_negative_numbers() -> None:
    bodies = BODIES * 2_000

    found = many.load(Job, bodies)

    assert found[:2] == [PLAIN, RUNNING]
    # An exit code below 0.
    assert found[2] is None
    assert found == found[:3] * 2_000


def test_nodes_are_read_too() -> None:
    description = NodeDescription(
        hostname="sim-1", labels={"zone": "a"}, cpu=Cpu("x86", ("avx",)), capacity=Capacity(8000), core_hour_price=0.5
    )
    cold = Device("gpu-0", "gpu", "nvidia", "H100", memory_bytes=80 << 30, busy_percent=0.0, numa_node=0)
    hot = Device("gpu-1", "gpu", "nvidia", "H100", temperature_celsius=81.5, holders=("jobs/a",))
    nodes = [
        Node("nodes/sim-1", NodeState.READY, engine=Engine(True), description=description, devices=(cold, hot)),
        Node("nodes/sim-2", devices=(hot,)),
    ]

    assert many.load(Node, [stored.dump(node) for node in nodes]) == nodes


def test_no_record_is_read_of_nothing_at_all_and_one_of_an_empty_message() -> None:
    assert many.load(Job, []) == []
    assert many.load(Attempt, [b""]) == [alone(Attempt, b"")]


def test_what_may_be_changed_of_a_record_is_its_own() -> None:
    for body in BODIES[:2]:
        one, other = many.load(Job, [body, body])
        assert one is not None
        assert other is not None

        one.spec.env["SEED"] = "3"

        assert other.spec.env == stored.load(Job, body).spec.env


@pytest.mark.parametrize(
    "other",
    [
        pytest.param(BODIES[1] + UNKNOWN, id="a field that is not known"),
        pytest.param(BODIES[1] + BODIES[0], id="fields that are there twice"),
        pytest.param(BODIES[1][:-1], id="less than was written"),
        pytest.param(b"\x18\x63", id="a state that is not known"),
        pytest.param(b"\x12\x02\xff\xff", id="a part that is none"),
        pytest.param(b"\x0a\x01\xff", id="a text that is none"),
        pytest.param(b"\x0a\xff\xff\xff\xff\xff\xff\xff\xff\x7f", id="a length beyond all"),
    ],
)
def test_what_is_otherwise_is_left_and_those_beside_it_are_read(other: bytes) -> None:
    assert many.load(Job, [BODIES[0], other, BODIES[1]]) == [PLAIN, None, RUNNING]


def test_of_what_is_there_very_often_the_rest_is_read_alone() -> None:
    many_words = replace(PLAIN, spec=replace(PLAIN.spec, command=("x",) * 100_000))

    assert many.load(Job, [BODIES[0], stored.dump(many_words), BODIES[1]]) == [PLAIN, None, RUNNING]


def test_records_are_read_some_at_a_time_by_their_bytes(monkeypatch: pytest.MonkeyPatch) -> None:
    sizes: list[int] = []

    def counted(bodies: Sequence[bytes]) -> Messages:
        sizes.append(len(bodies))
        return of(bodies)

    of = Messages.of
    monkeypatch.setattr(many.Messages, "of", counted)
    monkeypatch.setattr(many, "BYTES_AT_ONCE", 2 * len(BODIES[0]))

    assert many.load(Job, BODIES[:1] * 5 + BODIES[1:2]) == [PLAIN] * 5 + [RUNNING]
    assert sizes == [2, 2, 1, 1]


@settings(max_examples=300)
@given(st.data())
def test_whatever_is_read_of_torn_bytes_is_what_is_read_of_them_alone(data: st.DataObject) -> None:
    bodies = [*BODIES]
    for _ in range(data.draw(st.integers(1, 8))):
        body = bytearray(data.draw(st.sampled_from(BODIES)))
        place = data.draw(st.integers(0, len(body) - 1))
        change = data.draw(st.sampled_from(("other", "gone", "more", "end")))
        if change == "other":
            body[place] = data.draw(st.integers(0, 255))
        elif change == "gone":
            del body[place]
        elif change == "more":
            body[place:place] = data.draw(st.binary(min_size=1, max_size=3))
        else:
            del body[place:]
        bodies.append(bytes(body))

    for body, found in zip(bodies, many.load(Job, bodies), strict=True):
        assert found is None or found == alone(Job, body)
