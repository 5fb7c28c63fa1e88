import datetime

from google.protobuf import timestamp_pb2 as _timestamp_pb2
from google.protobuf.internal import containers as _containers
from google.protobuf.internal import enum_type_wrapper as _enum_type_wrapper
from google.protobuf import descriptor as _descriptor
from google.protobuf import message as _message
from collections.abc import Iterable as _Iterable, Mapping as _Mapping
from typing import ClassVar as _ClassVar, Optional as _Optional, Union as _Union

DESCRIPTOR: _descriptor.FileDescriptor

class Platform(_message.Message):
    __slots__ = ("os", "architecture", "variant", "emulated")
    OS_FIELD_NUMBER: _ClassVar[int]
    ARCHITECTURE_FIELD_NUMBER: _ClassVar[int]
    VARIANT_FIELD_NUMBER: _ClassVar[int]
    EMULATED_FIELD_NUMBER: _ClassVar[int]
    os: str
    architecture: str
    variant: str
    emulated: bool
    def __init__(self, os: _Optional[str] = ..., architecture: _Optional[str] = ..., variant: _Optional[str] = ..., emulated: bool = ...) -> None: ...

class Phase(_message.Message):
    __slots__ = ("name", "millis", "bytes")
    NAME_FIELD_NUMBER: _ClassVar[int]
    MILLIS_FIELD_NUMBER: _ClassVar[int]
    BYTES_FIELD_NUMBER: _ClassVar[int]
    name: str
    millis: int
    bytes: int
    def __init__(self, name: _Optional[str] = ..., millis: _Optional[int] = ..., bytes: _Optional[int] = ...) -> None: ...

class Checkpoint(_message.Message):
    __slots__ = ("digest", "epoch", "sequence", "size_bytes", "sent_bytes", "file_count")
    DIGEST_FIELD_NUMBER: _ClassVar[int]
    EPOCH_FIELD_NUMBER: _ClassVar[int]
    SEQUENCE_FIELD_NUMBER: _ClassVar[int]
    SIZE_BYTES_FIELD_NUMBER: _ClassVar[int]
    SENT_BYTES_FIELD_NUMBER: _ClassVar[int]
    FILE_COUNT_FIELD_NUMBER: _ClassVar[int]
    digest: str
    epoch: int
    sequence: int
    size_bytes: int
    sent_bytes: int
    file_count: int
    def __init__(self, digest: _Optional[str] = ..., epoch: _Optional[int] = ..., sequence: _Optional[int] = ..., size_bytes: _Optional[int] = ..., sent_bytes: _Optional[int] = ..., file_count: _Optional[int] = ...) -> None: ...

class Outputs(_message.Message):
    __slots__ = ("manifest", "digest", "size_bytes", "file_count")
    MANIFEST_FIELD_NUMBER: _ClassVar[int]
    DIGEST_FIELD_NUMBER: _ClassVar[int]
    SIZE_BYTES_FIELD_NUMBER: _ClassVar[int]
    FILE_COUNT_FIELD_NUMBER: _ClassVar[int]
    manifest: str
    digest: str
    size_bytes: int
    file_count: int
    def __init__(self, manifest: _Optional[str] = ..., digest: _Optional[str] = ..., size_bytes: _Optional[int] = ..., file_count: _Optional[int] = ...) -> None: ...

class Steps(_message.Message):
    __slots__ = ("done_count", "total_count", "timed_count", "timed_millis")
    DONE_COUNT_FIELD_NUMBER: _ClassVar[int]
    TOTAL_COUNT_FIELD_NUMBER: _ClassVar[int]
    TIMED_COUNT_FIELD_NUMBER: _ClassVar[int]
    TIMED_MILLIS_FIELD_NUMBER: _ClassVar[int]
    done_count: int
    total_count: int
    timed_count: int
    timed_millis: int
    def __init__(self, done_count: _Optional[int] = ..., total_count: _Optional[int] = ..., timed_count: _Optional[int] = ..., timed_millis: _Optional[int] = ...) -> None: ...

class Attempt(_message.Message):
    __slots__ = ("job", "task", "epoch", "node", "state", "exit_code", "stop_requested", "killed", "saved_on_request", "reason", "message", "checkpoint", "outputs", "phases", "platform", "devices", "start_time", "end_time", "image", "variant", "steps")
    class State(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
        __slots__ = ()
        STATE_UNSPECIFIED: _ClassVar[Attempt.State]
        PREPARING: _ClassVar[Attempt.State]
        STARTING: _ClassVar[Attempt.State]
        RUNNING: _ClassVar[Attempt.State]
        PAUSED: _ClassVar[Attempt.State]
        STOPPING: _ClassVar[Attempt.State]
        SAVING: _ClassVar[Attempt.State]
        EXITED: _ClassVar[Attempt.State]
        REFUSED: _ClassVar[Attempt.State]
    STATE_UNSPECIFIED: Attempt.State
    PREPARING: Attempt.State
    STARTING: Attempt.State
    RUNNING: Attempt.State
    PAUSED: Attempt.State
    STOPPING: Attempt.State
    SAVING: Attempt.State
    EXITED: Attempt.State
    REFUSED: Attempt.State
    JOB_FIELD_NUMBER: _ClassVar[int]
    TASK_FIELD_NUMBER: _ClassVar[int]
    EPOCH_FIELD_NUMBER: _ClassVar[int]
    NODE_FIELD_NUMBER: _ClassVar[int]
    STATE_FIELD_NUMBER: _ClassVar[int]
    EXIT_CODE_FIELD_NUMBER: _ClassVar[int]
    STOP_REQUESTED_FIELD_NUMBER: _ClassVar[int]
    KILLED_FIELD_NUMBER: _ClassVar[int]
    SAVED_ON_REQUEST_FIELD_NUMBER: _ClassVar[int]
    REASON_FIELD_NUMBER: _ClassVar[int]
    MESSAGE_FIELD_NUMBER: _ClassVar[int]
    CHECKPOINT_FIELD_NUMBER: _ClassVar[int]
    OUTPUTS_FIELD_NUMBER: _ClassVar[int]
    PHASES_FIELD_NUMBER: _ClassVar[int]
    PLATFORM_FIELD_NUMBER: _ClassVar[int]
    DEVICES_FIELD_NUMBER: _ClassVar[int]
    START_TIME_FIELD_NUMBER: _ClassVar[int]
    END_TIME_FIELD_NUMBER: _ClassVar[int]
    IMAGE_FIELD_NUMBER: _ClassVar[int]
    VARIANT_FIELD_NUMBER: _ClassVar[int]
    STEPS_FIELD_NUMBER: _ClassVar[int]
    job: str
    task: int
    epoch: int
    node: str
    state: Attempt.State
    exit_code: int
    stop_requested: bool
    killed: bool
    saved_on_request: bool
    reason: str
    message: str
    checkpoint: Checkpoint
    outputs: Outputs
    phases: _containers.RepeatedCompositeFieldContainer[Phase]
    platform: Platform
    devices: _containers.RepeatedScalarFieldContainer[str]
    start_time: _timestamp_pb2.Timestamp
    end_time: _timestamp_pb2.Timestamp
    image: str
    variant: int
    steps: Steps
    def __init__(self, job: _Optional[str] = ..., task: _Optional[int] = ..., epoch: _Optional[int] = ..., node: _Optional[str] = ..., state: _Optional[_Union[Attempt.State, str]] = ..., exit_code: _Optional[int] = ..., stop_requested: bool = ..., killed: bool = ..., saved_on_request: bool = ..., reason: _Optional[str] = ..., message: _Optional[str] = ..., checkpoint: _Optional[_Union[Checkpoint, _Mapping]] = ..., outputs: _Optional[_Union[Outputs, _Mapping]] = ..., phases: _Optional[_Iterable[_Union[Phase, _Mapping]]] = ..., platform: _Optional[_Union[Platform, _Mapping]] = ..., devices: _Optional[_Iterable[str]] = ..., start_time: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ..., end_time: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ..., image: _Optional[str] = ..., variant: _Optional[int] = ..., steps: _Optional[_Union[Steps, _Mapping]] = ...) -> None: ...
