import datetime

from google.protobuf import duration_pb2 as _duration_pb2
from google.protobuf import timestamp_pb2 as _timestamp_pb2
from headrace.v1 import attempt_pb2 as _attempt_pb2
from google.protobuf.internal import containers as _containers
from google.protobuf.internal import enum_type_wrapper as _enum_type_wrapper
from google.protobuf import descriptor as _descriptor
from google.protobuf import message as _message
from collections.abc import Iterable as _Iterable, Mapping as _Mapping
from typing import ClassVar as _ClassVar, Optional as _Optional, Union as _Union

DESCRIPTOR: _descriptor.FileDescriptor

class JobSpec(_message.Message):
    __slots__ = ("display_name", "image", "command", "env", "resources", "where", "prefer", "variants", "checkpoint", "emulation", "network", "partition", "lost_after", "priority", "project", "timeouts", "retry", "output_path", "work", "task_count", "element_count", "after", "neighbours")
    class Emulation(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
        __slots__ = ()
        EMULATION_UNSPECIFIED: _ClassVar[JobSpec.Emulation]
        NEVER: _ClassVar[JobSpec.Emulation]
        ALLOWED: _ClassVar[JobSpec.Emulation]
    EMULATION_UNSPECIFIED: JobSpec.Emulation
    NEVER: JobSpec.Emulation
    ALLOWED: JobSpec.Emulation
    class Network(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
        __slots__ = ()
        NETWORK_UNSPECIFIED: _ClassVar[JobSpec.Network]
        BRIDGE: _ClassVar[JobSpec.Network]
        NONE: _ClassVar[JobSpec.Network]
        HOST: _ClassVar[JobSpec.Network]
    NETWORK_UNSPECIFIED: JobSpec.Network
    BRIDGE: JobSpec.Network
    NONE: JobSpec.Network
    HOST: JobSpec.Network
    class Partition(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
        __slots__ = ()
        PARTITION_UNSPECIFIED: _ClassVar[JobSpec.Partition]
        PAUSE: _ClassVar[JobSpec.Partition]
        STOP: _ClassVar[JobSpec.Partition]
        KEEP: _ClassVar[JobSpec.Partition]
    PARTITION_UNSPECIFIED: JobSpec.Partition
    PAUSE: JobSpec.Partition
    STOP: JobSpec.Partition
    KEEP: JobSpec.Partition
    class EnvEntry(_message.Message):
        __slots__ = ("key", "value")
        KEY_FIELD_NUMBER: _ClassVar[int]
        VALUE_FIELD_NUMBER: _ClassVar[int]
        key: str
        value: str
        def __init__(self, key: _Optional[str] = ..., value: _Optional[str] = ...) -> None: ...
    DISPLAY_NAME_FIELD_NUMBER: _ClassVar[int]
    IMAGE_FIELD_NUMBER: _ClassVar[int]
    COMMAND_FIELD_NUMBER: _ClassVar[int]
    ENV_FIELD_NUMBER: _ClassVar[int]
    RESOURCES_FIELD_NUMBER: _ClassVar[int]
    WHERE_FIELD_NUMBER: _ClassVar[int]
    PREFER_FIELD_NUMBER: _ClassVar[int]
    VARIANTS_FIELD_NUMBER: _ClassVar[int]
    CHECKPOINT_FIELD_NUMBER: _ClassVar[int]
    EMULATION_FIELD_NUMBER: _ClassVar[int]
    NETWORK_FIELD_NUMBER: _ClassVar[int]
    PARTITION_FIELD_NUMBER: _ClassVar[int]
    LOST_AFTER_FIELD_NUMBER: _ClassVar[int]
    PRIORITY_FIELD_NUMBER: _ClassVar[int]
    PROJECT_FIELD_NUMBER: _ClassVar[int]
    TIMEOUTS_FIELD_NUMBER: _ClassVar[int]
    RETRY_FIELD_NUMBER: _ClassVar[int]
    OUTPUT_PATH_FIELD_NUMBER: _ClassVar[int]
    WORK_FIELD_NUMBER: _ClassVar[int]
    TASK_COUNT_FIELD_NUMBER: _ClassVar[int]
    ELEMENT_COUNT_FIELD_NUMBER: _ClassVar[int]
    AFTER_FIELD_NUMBER: _ClassVar[int]
    NEIGHBOURS_FIELD_NUMBER: _ClassVar[int]
    display_name: str
    image: str
    command: _containers.RepeatedScalarFieldContainer[str]
    env: _containers.ScalarMap[str, str]
    resources: Requests
    where: str
    prefer: _containers.RepeatedCompositeFieldContainer[Preference]
    variants: _containers.RepeatedCompositeFieldContainer[Variant]
    checkpoint: CheckpointPolicy
    emulation: JobSpec.Emulation
    network: JobSpec.Network
    partition: JobSpec.Partition
    lost_after: _duration_pb2.Duration
    priority: int
    project: str
    timeouts: Timeouts
    retry: Retry
    output_path: str
    work: Work
    task_count: int
    element_count: int
    after: _containers.RepeatedCompositeFieldContainer[Dependency]
    neighbours: Neighbours
    def __init__(self, display_name: _Optional[str] = ..., image: _Optional[str] = ..., command: _Optional[_Iterable[str]] = ..., env: _Optional[_Mapping[str, str]] = ..., resources: _Optional[_Union[Requests, _Mapping]] = ..., where: _Optional[str] = ..., prefer: _Optional[_Iterable[_Union[Preference, _Mapping]]] = ..., variants: _Optional[_Iterable[_Union[Variant, _Mapping]]] = ..., checkpoint: _Optional[_Union[CheckpointPolicy, _Mapping]] = ..., emulation: _Optional[_Union[JobSpec.Emulation, str]] = ..., network: _Optional[_Union[JobSpec.Network, str]] = ..., partition: _Optional[_Union[JobSpec.Partition, str]] = ..., lost_after: _Optional[_Union[datetime.timedelta, _duration_pb2.Duration, _Mapping]] = ..., priority: _Optional[int] = ..., project: _Optional[str] = ..., timeouts: _Optional[_Union[Timeouts, _Mapping]] = ..., retry: _Optional[_Union[Retry, _Mapping]] = ..., output_path: _Optional[str] = ..., work: _Optional[_Union[Work, _Mapping]] = ..., task_count: _Optional[int] = ..., element_count: _Optional[int] = ..., after: _Optional[_Iterable[_Union[Dependency, _Mapping]]] = ..., neighbours: _Optional[_Union[Neighbours, _Mapping]] = ...) -> None: ...

class Neighbours(_message.Message):
    __slots__ = ("apart_from", "spread", "pack", "near")
    APART_FROM_FIELD_NUMBER: _ClassVar[int]
    SPREAD_FIELD_NUMBER: _ClassVar[int]
    PACK_FIELD_NUMBER: _ClassVar[int]
    NEAR_FIELD_NUMBER: _ClassVar[int]
    apart_from: _containers.RepeatedScalarFieldContainer[str]
    spread: str
    pack: str
    near: _containers.RepeatedScalarFieldContainer[str]
    def __init__(self, apart_from: _Optional[_Iterable[str]] = ..., spread: _Optional[str] = ..., pack: _Optional[str] = ..., near: _Optional[_Iterable[str]] = ...) -> None: ...

class Dependency(_message.Message):
    __slots__ = ("job", "condition")
    class Condition(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
        __slots__ = ()
        CONDITION_UNSPECIFIED: _ClassVar[Dependency.Condition]
        SUCCEEDED: _ClassVar[Dependency.Condition]
        FAILED: _ClassVar[Dependency.Condition]
        ENDED: _ClassVar[Dependency.Condition]
        STARTED: _ClassVar[Dependency.Condition]
    CONDITION_UNSPECIFIED: Dependency.Condition
    SUCCEEDED: Dependency.Condition
    FAILED: Dependency.Condition
    ENDED: Dependency.Condition
    STARTED: Dependency.Condition
    JOB_FIELD_NUMBER: _ClassVar[int]
    CONDITION_FIELD_NUMBER: _ClassVar[int]
    job: str
    condition: Dependency.Condition
    def __init__(self, job: _Optional[str] = ..., condition: _Optional[_Union[Dependency.Condition, str]] = ...) -> None: ...

class Work(_message.Message):
    __slots__ = ("operation_count", "precision")
    OPERATION_COUNT_FIELD_NUMBER: _ClassVar[int]
    PRECISION_FIELD_NUMBER: _ClassVar[int]
    operation_count: float
    precision: str
    def __init__(self, operation_count: _Optional[float] = ..., precision: _Optional[str] = ...) -> None: ...

class Requests(_message.Message):
    __slots__ = ("cpu_millis", "memory_bytes", "accelerators", "alternatives")
    CPU_MILLIS_FIELD_NUMBER: _ClassVar[int]
    MEMORY_BYTES_FIELD_NUMBER: _ClassVar[int]
    ACCELERATORS_FIELD_NUMBER: _ClassVar[int]
    ALTERNATIVES_FIELD_NUMBER: _ClassVar[int]
    cpu_millis: int
    memory_bytes: int
    accelerators: AcceleratorRequest
    alternatives: _containers.RepeatedCompositeFieldContainer[AcceleratorRequest]
    def __init__(self, cpu_millis: _Optional[int] = ..., memory_bytes: _Optional[int] = ..., accelerators: _Optional[_Union[AcceleratorRequest, _Mapping]] = ..., alternatives: _Optional[_Iterable[_Union[AcceleratorRequest, _Mapping]]] = ...) -> None: ...

class AcceleratorRequest(_message.Message):
    __slots__ = ("count", "where", "share_millis", "memory_bytes")
    COUNT_FIELD_NUMBER: _ClassVar[int]
    WHERE_FIELD_NUMBER: _ClassVar[int]
    SHARE_MILLIS_FIELD_NUMBER: _ClassVar[int]
    MEMORY_BYTES_FIELD_NUMBER: _ClassVar[int]
    count: int
    where: str
    share_millis: int
    memory_bytes: int
    def __init__(self, count: _Optional[int] = ..., where: _Optional[str] = ..., share_millis: _Optional[int] = ..., memory_bytes: _Optional[int] = ...) -> None: ...

class Preference(_message.Message):
    __slots__ = ("where", "weight")
    WHERE_FIELD_NUMBER: _ClassVar[int]
    WEIGHT_FIELD_NUMBER: _ClassVar[int]
    where: str
    weight: float
    def __init__(self, where: _Optional[str] = ..., weight: _Optional[float] = ...) -> None: ...

class Variant(_message.Message):
    __slots__ = ("where", "image", "command", "env")
    class EnvEntry(_message.Message):
        __slots__ = ("key", "value")
        KEY_FIELD_NUMBER: _ClassVar[int]
        VALUE_FIELD_NUMBER: _ClassVar[int]
        key: str
        value: str
        def __init__(self, key: _Optional[str] = ..., value: _Optional[str] = ...) -> None: ...
    WHERE_FIELD_NUMBER: _ClassVar[int]
    IMAGE_FIELD_NUMBER: _ClassVar[int]
    COMMAND_FIELD_NUMBER: _ClassVar[int]
    ENV_FIELD_NUMBER: _ClassVar[int]
    where: str
    image: str
    command: _containers.RepeatedScalarFieldContainer[str]
    env: _containers.ScalarMap[str, str]
    def __init__(self, where: _Optional[str] = ..., image: _Optional[str] = ..., command: _Optional[_Iterable[str]] = ..., env: _Optional[_Mapping[str, str]] = ...) -> None: ...

class CheckpointPolicy(_message.Message):
    __slots__ = ("path", "interval", "grace", "live", "exit_zero")
    class ExitZero(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
        __slots__ = ()
        EXIT_ZERO_UNSPECIFIED: _ClassVar[CheckpointPolicy.ExitZero]
        DONE: _ClassVar[CheckpointPolicy.ExitZero]
        RESUME: _ClassVar[CheckpointPolicy.ExitZero]
    EXIT_ZERO_UNSPECIFIED: CheckpointPolicy.ExitZero
    DONE: CheckpointPolicy.ExitZero
    RESUME: CheckpointPolicy.ExitZero
    PATH_FIELD_NUMBER: _ClassVar[int]
    INTERVAL_FIELD_NUMBER: _ClassVar[int]
    GRACE_FIELD_NUMBER: _ClassVar[int]
    LIVE_FIELD_NUMBER: _ClassVar[int]
    EXIT_ZERO_FIELD_NUMBER: _ClassVar[int]
    path: str
    interval: _duration_pb2.Duration
    grace: _duration_pb2.Duration
    live: bool
    exit_zero: CheckpointPolicy.ExitZero
    def __init__(self, path: _Optional[str] = ..., interval: _Optional[_Union[datetime.timedelta, _duration_pb2.Duration, _Mapping]] = ..., grace: _Optional[_Union[datetime.timedelta, _duration_pb2.Duration, _Mapping]] = ..., live: bool = ..., exit_zero: _Optional[_Union[CheckpointPolicy.ExitZero, str]] = ...) -> None: ...

class Timeouts(_message.Message):
    __slots__ = ("queue", "run", "start", "progress")
    QUEUE_FIELD_NUMBER: _ClassVar[int]
    RUN_FIELD_NUMBER: _ClassVar[int]
    START_FIELD_NUMBER: _ClassVar[int]
    PROGRESS_FIELD_NUMBER: _ClassVar[int]
    queue: _duration_pb2.Duration
    run: _duration_pb2.Duration
    start: _duration_pb2.Duration
    progress: _duration_pb2.Duration
    def __init__(self, queue: _Optional[_Union[datetime.timedelta, _duration_pb2.Duration, _Mapping]] = ..., run: _Optional[_Union[datetime.timedelta, _duration_pb2.Duration, _Mapping]] = ..., start: _Optional[_Union[datetime.timedelta, _duration_pb2.Duration, _Mapping]] = ..., progress: _Optional[_Union[datetime.timedelta, _duration_pb2.Duration, _Mapping]] = ...) -> None: ...

class Retry(_message.Message):
    __slots__ = ("limit", "on", "within")
    class Cause(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
        __slots__ = ()
        CAUSE_UNSPECIFIED: _ClassVar[Retry.Cause]
        NODE_LOST: _ClassVar[Retry.Cause]
        DEVICE_ERROR: _ClassVar[Retry.Cause]
        EXIT_NONZERO: _ClassVar[Retry.Cause]
        NO_PROGRESS: _ClassVar[Retry.Cause]
    CAUSE_UNSPECIFIED: Retry.Cause
    NODE_LOST: Retry.Cause
    DEVICE_ERROR: Retry.Cause
    EXIT_NONZERO: Retry.Cause
    NO_PROGRESS: Retry.Cause
    LIMIT_FIELD_NUMBER: _ClassVar[int]
    ON_FIELD_NUMBER: _ClassVar[int]
    WITHIN_FIELD_NUMBER: _ClassVar[int]
    limit: int
    on: _containers.RepeatedScalarFieldContainer[Retry.Cause]
    within: _duration_pb2.Duration
    def __init__(self, limit: _Optional[int] = ..., on: _Optional[_Iterable[_Union[Retry.Cause, str]]] = ..., within: _Optional[_Union[datetime.timedelta, _duration_pb2.Duration, _Mapping]] = ...) -> None: ...

class Job(_message.Message):
    __slots__ = ("name", "spec", "state", "reason", "epoch", "node", "images", "checkpoint", "outputs", "attempts", "migrations", "failures", "exit_code", "exclusions", "request_id", "create_time", "start_time", "end_time", "queue_time", "omitted_migration_count", "gang", "task", "rendezvous", "preemptor", "preemption_count", "array", "array_index", "elements", "waits_for", "failing_since_time", "ahead_of", "leave_by_time", "uncounted", "leave_time")
    class State(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
        __slots__ = ()
        STATE_UNSPECIFIED: _ClassVar[Job.State]
        QUEUED: _ClassVar[Job.State]
        STARTING: _ClassVar[Job.State]
        RUNNING: _ClassVar[Job.State]
        FREEZING: _ClassVar[Job.State]
        CANCELLING: _ClassVar[Job.State]
        SUCCEEDED: _ClassVar[Job.State]
        FAILED: _ClassVar[Job.State]
        CANCELLED: _ClassVar[Job.State]
    STATE_UNSPECIFIED: Job.State
    QUEUED: Job.State
    STARTING: Job.State
    RUNNING: Job.State
    FREEZING: Job.State
    CANCELLING: Job.State
    SUCCEEDED: Job.State
    FAILED: Job.State
    CANCELLED: Job.State
    NAME_FIELD_NUMBER: _ClassVar[int]
    SPEC_FIELD_NUMBER: _ClassVar[int]
    STATE_FIELD_NUMBER: _ClassVar[int]
    REASON_FIELD_NUMBER: _ClassVar[int]
    EPOCH_FIELD_NUMBER: _ClassVar[int]
    NODE_FIELD_NUMBER: _ClassVar[int]
    IMAGES_FIELD_NUMBER: _ClassVar[int]
    CHECKPOINT_FIELD_NUMBER: _ClassVar[int]
    OUTPUTS_FIELD_NUMBER: _ClassVar[int]
    ATTEMPTS_FIELD_NUMBER: _ClassVar[int]
    MIGRATIONS_FIELD_NUMBER: _ClassVar[int]
    FAILURES_FIELD_NUMBER: _ClassVar[int]
    EXIT_CODE_FIELD_NUMBER: _ClassVar[int]
    EXCLUSIONS_FIELD_NUMBER: _ClassVar[int]
    REQUEST_ID_FIELD_NUMBER: _ClassVar[int]
    CREATE_TIME_FIELD_NUMBER: _ClassVar[int]
    START_TIME_FIELD_NUMBER: _ClassVar[int]
    END_TIME_FIELD_NUMBER: _ClassVar[int]
    QUEUE_TIME_FIELD_NUMBER: _ClassVar[int]
    OMITTED_MIGRATION_COUNT_FIELD_NUMBER: _ClassVar[int]
    GANG_FIELD_NUMBER: _ClassVar[int]
    TASK_FIELD_NUMBER: _ClassVar[int]
    RENDEZVOUS_FIELD_NUMBER: _ClassVar[int]
    PREEMPTOR_FIELD_NUMBER: _ClassVar[int]
    PREEMPTION_COUNT_FIELD_NUMBER: _ClassVar[int]
    ARRAY_FIELD_NUMBER: _ClassVar[int]
    ARRAY_INDEX_FIELD_NUMBER: _ClassVar[int]
    ELEMENTS_FIELD_NUMBER: _ClassVar[int]
    WAITS_FOR_FIELD_NUMBER: _ClassVar[int]
    FAILING_SINCE_TIME_FIELD_NUMBER: _ClassVar[int]
    AHEAD_OF_FIELD_NUMBER: _ClassVar[int]
    LEAVE_BY_TIME_FIELD_NUMBER: _ClassVar[int]
    UNCOUNTED_FIELD_NUMBER: _ClassVar[int]
    LEAVE_TIME_FIELD_NUMBER: _ClassVar[int]
    name: str
    spec: JobSpec
    state: Job.State
    reason: str
    epoch: int
    node: str
    images: _containers.RepeatedCompositeFieldContainer[ImagePin]
    checkpoint: _attempt_pb2.Checkpoint
    outputs: _attempt_pb2.Outputs
    attempts: _containers.RepeatedCompositeFieldContainer[_attempt_pb2.Attempt]
    migrations: _containers.RepeatedCompositeFieldContainer[Migration]
    failures: int
    exit_code: int
    exclusions: _containers.RepeatedCompositeFieldContainer[Exclusion]
    request_id: str
    create_time: _timestamp_pb2.Timestamp
    start_time: _timestamp_pb2.Timestamp
    end_time: _timestamp_pb2.Timestamp
    queue_time: _timestamp_pb2.Timestamp
    omitted_migration_count: int
    gang: str
    task: int
    rendezvous: str
    preemptor: str
    preemption_count: int
    array: str
    array_index: int
    elements: Elements
    waits_for: _containers.RepeatedCompositeFieldContainer[Dependency]
    failing_since_time: _timestamp_pb2.Timestamp
    ahead_of: _containers.RepeatedScalarFieldContainer[str]
    leave_by_time: _timestamp_pb2.Timestamp
    uncounted: _duration_pb2.Duration
    leave_time: _timestamp_pb2.Timestamp
    def __init__(self, name: _Optional[str] = ..., spec: _Optional[_Union[JobSpec, _Mapping]] = ..., state: _Optional[_Union[Job.State, str]] = ..., reason: _Optional[str] = ..., epoch: _Optional[int] = ..., node: _Optional[str] = ..., images: _Optional[_Iterable[_Union[ImagePin, _Mapping]]] = ..., checkpoint: _Optional[_Union[_attempt_pb2.Checkpoint, _Mapping]] = ..., outputs: _Optional[_Union[_attempt_pb2.Outputs, _Mapping]] = ..., attempts: _Optional[_Iterable[_Union[_attempt_pb2.Attempt, _Mapping]]] = ..., migrations: _Optional[_Iterable[_Union[Migration, _Mapping]]] = ..., failures: _Optional[int] = ..., exit_code: _Optional[int] = ..., exclusions: _Optional[_Iterable[_Union[Exclusion, _Mapping]]] = ..., request_id: _Optional[str] = ..., create_time: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ..., start_time: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ..., end_time: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ..., queue_time: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ..., omitted_migration_count: _Optional[int] = ..., gang: _Optional[str] = ..., task: _Optional[int] = ..., rendezvous: _Optional[str] = ..., preemptor: _Optional[str] = ..., preemption_count: _Optional[int] = ..., array: _Optional[str] = ..., array_index: _Optional[int] = ..., elements: _Optional[_Union[Elements, _Mapping]] = ..., waits_for: _Optional[_Iterable[_Union[Dependency, _Mapping]]] = ..., failing_since_time: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ..., ahead_of: _Optional[_Iterable[str]] = ..., leave_by_time: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ..., uncounted: _Optional[_Union[datetime.timedelta, _duration_pb2.Duration, _Mapping]] = ..., leave_time: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ...) -> None: ...

class Elements(_message.Message):
    __slots__ = ("succeeded", "failed", "cancelled", "unfolded_count", "running_count", "succeeded_count", "failed_count", "cancelled_count")
    SUCCEEDED_FIELD_NUMBER: _ClassVar[int]
    FAILED_FIELD_NUMBER: _ClassVar[int]
    CANCELLED_FIELD_NUMBER: _ClassVar[int]
    UNFOLDED_COUNT_FIELD_NUMBER: _ClassVar[int]
    RUNNING_COUNT_FIELD_NUMBER: _ClassVar[int]
    SUCCEEDED_COUNT_FIELD_NUMBER: _ClassVar[int]
    FAILED_COUNT_FIELD_NUMBER: _ClassVar[int]
    CANCELLED_COUNT_FIELD_NUMBER: _ClassVar[int]
    succeeded: bytes
    failed: bytes
    cancelled: bytes
    unfolded_count: int
    running_count: int
    succeeded_count: int
    failed_count: int
    cancelled_count: int
    def __init__(self, succeeded: _Optional[bytes] = ..., failed: _Optional[bytes] = ..., cancelled: _Optional[bytes] = ..., unfolded_count: _Optional[int] = ..., running_count: _Optional[int] = ..., succeeded_count: _Optional[int] = ..., failed_count: _Optional[int] = ..., cancelled_count: _Optional[int] = ...) -> None: ...

class Candidate(_message.Message):
    __slots__ = ("node", "reason", "platform", "devices", "run_millis", "run_basis")
    NODE_FIELD_NUMBER: _ClassVar[int]
    REASON_FIELD_NUMBER: _ClassVar[int]
    PLATFORM_FIELD_NUMBER: _ClassVar[int]
    DEVICES_FIELD_NUMBER: _ClassVar[int]
    RUN_MILLIS_FIELD_NUMBER: _ClassVar[int]
    RUN_BASIS_FIELD_NUMBER: _ClassVar[int]
    node: str
    reason: str
    platform: _attempt_pb2.Platform
    devices: _containers.RepeatedScalarFieldContainer[str]
    run_millis: int
    run_basis: str
    def __init__(self, node: _Optional[str] = ..., reason: _Optional[str] = ..., platform: _Optional[_Union[_attempt_pb2.Platform, _Mapping]] = ..., devices: _Optional[_Iterable[str]] = ..., run_millis: _Optional[int] = ..., run_basis: _Optional[str] = ...) -> None: ...

class ImagePin(_message.Message):
    __slots__ = ("platform", "image", "size_bytes", "reference")
    PLATFORM_FIELD_NUMBER: _ClassVar[int]
    IMAGE_FIELD_NUMBER: _ClassVar[int]
    SIZE_BYTES_FIELD_NUMBER: _ClassVar[int]
    REFERENCE_FIELD_NUMBER: _ClassVar[int]
    platform: _attempt_pb2.Platform
    image: str
    size_bytes: int
    reference: str
    def __init__(self, platform: _Optional[_Union[_attempt_pb2.Platform, _Mapping]] = ..., image: _Optional[str] = ..., size_bytes: _Optional[int] = ..., reference: _Optional[str] = ...) -> None: ...

class Exclusion(_message.Message):
    __slots__ = ("node", "reason", "expire_time", "device")
    NODE_FIELD_NUMBER: _ClassVar[int]
    REASON_FIELD_NUMBER: _ClassVar[int]
    EXPIRE_TIME_FIELD_NUMBER: _ClassVar[int]
    DEVICE_FIELD_NUMBER: _ClassVar[int]
    node: str
    reason: str
    expire_time: _timestamp_pb2.Timestamp
    device: str
    def __init__(self, node: _Optional[str] = ..., reason: _Optional[str] = ..., expire_time: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ..., device: _Optional[str] = ...) -> None: ...

class Migration(_message.Message):
    __slots__ = ("state", "level", "source", "target", "source_epoch", "target_epoch", "phases", "downtime_millis", "reason", "request_time", "freeze_time", "end_time", "image", "platform", "variant", "cause", "expectation")
    class State(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
        __slots__ = ()
        STATE_UNSPECIFIED: _ClassVar[Migration.State]
        PREFETCHING: _ClassVar[Migration.State]
        FREEZING: _ClassVar[Migration.State]
        STARTING: _ClassVar[Migration.State]
        SUCCEEDED: _ClassVar[Migration.State]
        ABORTED: _ClassVar[Migration.State]
    STATE_UNSPECIFIED: Migration.State
    PREFETCHING: Migration.State
    FREEZING: Migration.State
    STARTING: Migration.State
    SUCCEEDED: Migration.State
    ABORTED: Migration.State
    class Level(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
        __slots__ = ()
        LEVEL_UNSPECIFIED: _ClassVar[Migration.Level]
        RESTART: _ClassVar[Migration.Level]
        CHECKPOINT: _ClassVar[Migration.Level]
    LEVEL_UNSPECIFIED: Migration.Level
    RESTART: Migration.Level
    CHECKPOINT: Migration.Level
    class Cause(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
        __slots__ = ()
        CAUSE_UNSPECIFIED: _ClassVar[Migration.Cause]
        NEEDED: _ClassVar[Migration.Cause]
        SPEED: _ClassVar[Migration.Cause]
        ROOM: _ClassVar[Migration.Cause]
    CAUSE_UNSPECIFIED: Migration.Cause
    NEEDED: Migration.Cause
    SPEED: Migration.Cause
    ROOM: Migration.Cause
    STATE_FIELD_NUMBER: _ClassVar[int]
    LEVEL_FIELD_NUMBER: _ClassVar[int]
    SOURCE_FIELD_NUMBER: _ClassVar[int]
    TARGET_FIELD_NUMBER: _ClassVar[int]
    SOURCE_EPOCH_FIELD_NUMBER: _ClassVar[int]
    TARGET_EPOCH_FIELD_NUMBER: _ClassVar[int]
    PHASES_FIELD_NUMBER: _ClassVar[int]
    DOWNTIME_MILLIS_FIELD_NUMBER: _ClassVar[int]
    REASON_FIELD_NUMBER: _ClassVar[int]
    REQUEST_TIME_FIELD_NUMBER: _ClassVar[int]
    FREEZE_TIME_FIELD_NUMBER: _ClassVar[int]
    END_TIME_FIELD_NUMBER: _ClassVar[int]
    IMAGE_FIELD_NUMBER: _ClassVar[int]
    PLATFORM_FIELD_NUMBER: _ClassVar[int]
    VARIANT_FIELD_NUMBER: _ClassVar[int]
    CAUSE_FIELD_NUMBER: _ClassVar[int]
    EXPECTATION_FIELD_NUMBER: _ClassVar[int]
    state: Migration.State
    level: Migration.Level
    source: str
    target: str
    source_epoch: int
    target_epoch: int
    phases: _containers.RepeatedCompositeFieldContainer[_attempt_pb2.Phase]
    downtime_millis: int
    reason: str
    request_time: _timestamp_pb2.Timestamp
    freeze_time: _timestamp_pb2.Timestamp
    end_time: _timestamp_pb2.Timestamp
    image: str
    platform: _attempt_pb2.Platform
    variant: int
    cause: Migration.Cause
    expectation: str
    def __init__(self, state: _Optional[_Union[Migration.State, str]] = ..., level: _Optional[_Union[Migration.Level, str]] = ..., source: _Optional[str] = ..., target: _Optional[str] = ..., source_epoch: _Optional[int] = ..., target_epoch: _Optional[int] = ..., phases: _Optional[_Iterable[_Union[_attempt_pb2.Phase, _Mapping]]] = ..., downtime_millis: _Optional[int] = ..., reason: _Optional[str] = ..., request_time: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ..., freeze_time: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ..., end_time: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ..., image: _Optional[str] = ..., platform: _Optional[_Union[_attempt_pb2.Platform, _Mapping]] = ..., variant: _Optional[int] = ..., cause: _Optional[_Union[Migration.Cause, str]] = ..., expectation: _Optional[str] = ...) -> None: ...

class MigrationPlan(_message.Message):
    __slots__ = ("level", "source", "target", "level_reason", "loss", "lost_millis", "bytes", "downtime_millis", "downtime_basis")
    LEVEL_FIELD_NUMBER: _ClassVar[int]
    SOURCE_FIELD_NUMBER: _ClassVar[int]
    TARGET_FIELD_NUMBER: _ClassVar[int]
    LEVEL_REASON_FIELD_NUMBER: _ClassVar[int]
    LOSS_FIELD_NUMBER: _ClassVar[int]
    LOST_MILLIS_FIELD_NUMBER: _ClassVar[int]
    BYTES_FIELD_NUMBER: _ClassVar[int]
    DOWNTIME_MILLIS_FIELD_NUMBER: _ClassVar[int]
    DOWNTIME_BASIS_FIELD_NUMBER: _ClassVar[int]
    level: Migration.Level
    source: str
    target: str
    level_reason: str
    loss: str
    lost_millis: int
    bytes: int
    downtime_millis: int
    downtime_basis: str
    def __init__(self, level: _Optional[_Union[Migration.Level, str]] = ..., source: _Optional[str] = ..., target: _Optional[str] = ..., level_reason: _Optional[str] = ..., loss: _Optional[str] = ..., lost_millis: _Optional[int] = ..., bytes: _Optional[int] = ..., downtime_millis: _Optional[int] = ..., downtime_basis: _Optional[str] = ...) -> None: ...
