from headrace.v1 import attempt_pb2 as _attempt_pb2
from headrace.v1 import job_pb2 as _job_pb2
from headrace.v1 import node_pb2 as _node_pb2
from google.protobuf.internal import containers as _containers
from google.protobuf.internal import enum_type_wrapper as _enum_type_wrapper
from google.protobuf import descriptor as _descriptor
from google.protobuf import message as _message
from collections.abc import Iterable as _Iterable, Mapping as _Mapping
from typing import ClassVar as _ClassVar, Optional as _Optional, Union as _Union

DESCRIPTOR: _descriptor.FileDescriptor

class Report(_message.Message):
    __slots__ = ("node", "session", "sequence", "description", "devices", "load", "engine", "attempts", "prefetched", "brief")
    NODE_FIELD_NUMBER: _ClassVar[int]
    SESSION_FIELD_NUMBER: _ClassVar[int]
    SEQUENCE_FIELD_NUMBER: _ClassVar[int]
    DESCRIPTION_FIELD_NUMBER: _ClassVar[int]
    DEVICES_FIELD_NUMBER: _ClassVar[int]
    LOAD_FIELD_NUMBER: _ClassVar[int]
    ENGINE_FIELD_NUMBER: _ClassVar[int]
    ATTEMPTS_FIELD_NUMBER: _ClassVar[int]
    PREFETCHED_FIELD_NUMBER: _ClassVar[int]
    BRIEF_FIELD_NUMBER: _ClassVar[int]
    node: str
    session: int
    sequence: int
    description: _node_pb2.NodeDescription
    devices: _containers.RepeatedCompositeFieldContainer[_node_pb2.Device]
    load: _node_pb2.Load
    engine: _node_pb2.Engine
    attempts: _containers.RepeatedCompositeFieldContainer[_attempt_pb2.Attempt]
    prefetched: _containers.RepeatedCompositeFieldContainer[Prefetched]
    brief: bool
    def __init__(self, node: _Optional[str] = ..., session: _Optional[int] = ..., sequence: _Optional[int] = ..., description: _Optional[_Union[_node_pb2.NodeDescription, _Mapping]] = ..., devices: _Optional[_Iterable[_Union[_node_pb2.Device, _Mapping]]] = ..., load: _Optional[_Union[_node_pb2.Load, _Mapping]] = ..., engine: _Optional[_Union[_node_pb2.Engine, _Mapping]] = ..., attempts: _Optional[_Iterable[_Union[_attempt_pb2.Attempt, _Mapping]]] = ..., prefetched: _Optional[_Iterable[_Union[Prefetched, _Mapping]]] = ..., brief: bool = ...) -> None: ...

class Assignment(_message.Message):
    __slots__ = ("cluster", "session", "generation", "acked_sequence", "lease_millis", "placements", "prefetches")
    CLUSTER_FIELD_NUMBER: _ClassVar[int]
    SESSION_FIELD_NUMBER: _ClassVar[int]
    GENERATION_FIELD_NUMBER: _ClassVar[int]
    ACKED_SEQUENCE_FIELD_NUMBER: _ClassVar[int]
    LEASE_MILLIS_FIELD_NUMBER: _ClassVar[int]
    PLACEMENTS_FIELD_NUMBER: _ClassVar[int]
    PREFETCHES_FIELD_NUMBER: _ClassVar[int]
    cluster: str
    session: int
    generation: int
    acked_sequence: int
    lease_millis: int
    placements: _containers.RepeatedCompositeFieldContainer[Placement]
    prefetches: _containers.RepeatedCompositeFieldContainer[Prefetch]
    def __init__(self, cluster: _Optional[str] = ..., session: _Optional[int] = ..., generation: _Optional[int] = ..., acked_sequence: _Optional[int] = ..., lease_millis: _Optional[int] = ..., placements: _Optional[_Iterable[_Union[Placement, _Mapping]]] = ..., prefetches: _Optional[_Iterable[_Union[Prefetch, _Mapping]]] = ...) -> None: ...

class Placement(_message.Message):
    __slots__ = ("job", "task", "epoch", "goal", "image", "platform", "spec", "restore", "devices", "gang", "rendezvous", "array", "array_index")
    class Goal(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
        __slots__ = ()
        GOAL_UNSPECIFIED: _ClassVar[Placement.Goal]
        RUN: _ClassVar[Placement.Goal]
        FREEZE: _ClassVar[Placement.Goal]
        CANCEL: _ClassVar[Placement.Goal]
    GOAL_UNSPECIFIED: Placement.Goal
    RUN: Placement.Goal
    FREEZE: Placement.Goal
    CANCEL: Placement.Goal
    JOB_FIELD_NUMBER: _ClassVar[int]
    TASK_FIELD_NUMBER: _ClassVar[int]
    EPOCH_FIELD_NUMBER: _ClassVar[int]
    GOAL_FIELD_NUMBER: _ClassVar[int]
    IMAGE_FIELD_NUMBER: _ClassVar[int]
    PLATFORM_FIELD_NUMBER: _ClassVar[int]
    SPEC_FIELD_NUMBER: _ClassVar[int]
    RESTORE_FIELD_NUMBER: _ClassVar[int]
    DEVICES_FIELD_NUMBER: _ClassVar[int]
    GANG_FIELD_NUMBER: _ClassVar[int]
    RENDEZVOUS_FIELD_NUMBER: _ClassVar[int]
    ARRAY_FIELD_NUMBER: _ClassVar[int]
    ARRAY_INDEX_FIELD_NUMBER: _ClassVar[int]
    job: str
    task: int
    epoch: int
    goal: Placement.Goal
    image: str
    platform: _attempt_pb2.Platform
    spec: _job_pb2.JobSpec
    restore: str
    devices: _containers.RepeatedScalarFieldContainer[str]
    gang: str
    rendezvous: str
    array: str
    array_index: int
    def __init__(self, job: _Optional[str] = ..., task: _Optional[int] = ..., epoch: _Optional[int] = ..., goal: _Optional[_Union[Placement.Goal, str]] = ..., image: _Optional[str] = ..., platform: _Optional[_Union[_attempt_pb2.Platform, _Mapping]] = ..., spec: _Optional[_Union[_job_pb2.JobSpec, _Mapping]] = ..., restore: _Optional[str] = ..., devices: _Optional[_Iterable[str]] = ..., gang: _Optional[str] = ..., rendezvous: _Optional[str] = ..., array: _Optional[str] = ..., array_index: _Optional[int] = ...) -> None: ...

class Prefetch(_message.Message):
    __slots__ = ("job", "image", "platform", "checkpoint", "standby")
    JOB_FIELD_NUMBER: _ClassVar[int]
    IMAGE_FIELD_NUMBER: _ClassVar[int]
    PLATFORM_FIELD_NUMBER: _ClassVar[int]
    CHECKPOINT_FIELD_NUMBER: _ClassVar[int]
    STANDBY_FIELD_NUMBER: _ClassVar[int]
    job: str
    image: str
    platform: _attempt_pb2.Platform
    checkpoint: str
    standby: Placement
    def __init__(self, job: _Optional[str] = ..., image: _Optional[str] = ..., platform: _Optional[_Union[_attempt_pb2.Platform, _Mapping]] = ..., checkpoint: _Optional[str] = ..., standby: _Optional[_Union[Placement, _Mapping]] = ...) -> None: ...

class Prefetched(_message.Message):
    __slots__ = ("job", "image", "checkpoint", "state", "reason", "message", "phases")
    class State(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
        __slots__ = ()
        STATE_UNSPECIFIED: _ClassVar[Prefetched.State]
        FETCHING: _ClassVar[Prefetched.State]
        READY: _ClassVar[Prefetched.State]
        FAILED: _ClassVar[Prefetched.State]
    STATE_UNSPECIFIED: Prefetched.State
    FETCHING: Prefetched.State
    READY: Prefetched.State
    FAILED: Prefetched.State
    JOB_FIELD_NUMBER: _ClassVar[int]
    IMAGE_FIELD_NUMBER: _ClassVar[int]
    CHECKPOINT_FIELD_NUMBER: _ClassVar[int]
    STATE_FIELD_NUMBER: _ClassVar[int]
    REASON_FIELD_NUMBER: _ClassVar[int]
    MESSAGE_FIELD_NUMBER: _ClassVar[int]
    PHASES_FIELD_NUMBER: _ClassVar[int]
    job: str
    image: str
    checkpoint: str
    state: Prefetched.State
    reason: str
    message: str
    phases: _containers.RepeatedCompositeFieldContainer[_attempt_pb2.Phase]
    def __init__(self, job: _Optional[str] = ..., image: _Optional[str] = ..., checkpoint: _Optional[str] = ..., state: _Optional[_Union[Prefetched.State, str]] = ..., reason: _Optional[str] = ..., message: _Optional[str] = ..., phases: _Optional[_Iterable[_Union[_attempt_pb2.Phase, _Mapping]]] = ...) -> None: ...
