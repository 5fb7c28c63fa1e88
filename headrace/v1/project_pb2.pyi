import datetime

from google.protobuf import timestamp_pb2 as _timestamp_pb2
from google.protobuf import descriptor as _descriptor
from google.protobuf import message as _message
from collections.abc import Mapping as _Mapping
from typing import ClassVar as _ClassVar, Optional as _Optional, Union as _Union

DESCRIPTOR: _descriptor.FileDescriptor

class Project(_message.Message):
    __slots__ = ("name", "weight", "quota", "borrows", "held", "borrowing", "running_job_count", "waiting_job_count", "use", "due_percent", "used_percent")
    NAME_FIELD_NUMBER: _ClassVar[int]
    WEIGHT_FIELD_NUMBER: _ClassVar[int]
    QUOTA_FIELD_NUMBER: _ClassVar[int]
    BORROWS_FIELD_NUMBER: _ClassVar[int]
    HELD_FIELD_NUMBER: _ClassVar[int]
    BORROWING_FIELD_NUMBER: _ClassVar[int]
    RUNNING_JOB_COUNT_FIELD_NUMBER: _ClassVar[int]
    WAITING_JOB_COUNT_FIELD_NUMBER: _ClassVar[int]
    USE_FIELD_NUMBER: _ClassVar[int]
    DUE_PERCENT_FIELD_NUMBER: _ClassVar[int]
    USED_PERCENT_FIELD_NUMBER: _ClassVar[int]
    name: str
    weight: float
    quota: Quota
    borrows: bool
    held: Amount
    borrowing: bool
    running_job_count: int
    waiting_job_count: int
    use: Use
    due_percent: float
    used_percent: float
    def __init__(self, name: _Optional[str] = ..., weight: _Optional[float] = ..., quota: _Optional[_Union[Quota, _Mapping]] = ..., borrows: bool = ..., held: _Optional[_Union[Amount, _Mapping]] = ..., borrowing: bool = ..., running_job_count: _Optional[int] = ..., waiting_job_count: _Optional[int] = ..., use: _Optional[_Union[Use, _Mapping]] = ..., due_percent: _Optional[float] = ..., used_percent: _Optional[float] = ...) -> None: ...

class Amount(_message.Message):
    __slots__ = ("unit_millis", "device_millis", "cpu_millis")
    UNIT_MILLIS_FIELD_NUMBER: _ClassVar[int]
    DEVICE_MILLIS_FIELD_NUMBER: _ClassVar[int]
    CPU_MILLIS_FIELD_NUMBER: _ClassVar[int]
    unit_millis: int
    device_millis: int
    cpu_millis: int
    def __init__(self, unit_millis: _Optional[int] = ..., device_millis: _Optional[int] = ..., cpu_millis: _Optional[int] = ...) -> None: ...

class Quota(_message.Message):
    __slots__ = ("unit_millis", "device_millis", "cpu_millis")
    UNIT_MILLIS_FIELD_NUMBER: _ClassVar[int]
    DEVICE_MILLIS_FIELD_NUMBER: _ClassVar[int]
    CPU_MILLIS_FIELD_NUMBER: _ClassVar[int]
    unit_millis: int
    device_millis: int
    cpu_millis: int
    def __init__(self, unit_millis: _Optional[int] = ..., device_millis: _Optional[int] = ..., cpu_millis: _Optional[int] = ...) -> None: ...

class Use(_message.Message):
    __slots__ = ("name", "use_time", "recent_unit_seconds", "unit_seconds", "device_seconds", "cpu_seconds")
    NAME_FIELD_NUMBER: _ClassVar[int]
    USE_TIME_FIELD_NUMBER: _ClassVar[int]
    RECENT_UNIT_SECONDS_FIELD_NUMBER: _ClassVar[int]
    UNIT_SECONDS_FIELD_NUMBER: _ClassVar[int]
    DEVICE_SECONDS_FIELD_NUMBER: _ClassVar[int]
    CPU_SECONDS_FIELD_NUMBER: _ClassVar[int]
    name: str
    use_time: _timestamp_pb2.Timestamp
    recent_unit_seconds: float
    unit_seconds: float
    device_seconds: float
    cpu_seconds: float
    def __init__(self, name: _Optional[str] = ..., use_time: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ..., recent_unit_seconds: _Optional[float] = ..., unit_seconds: _Optional[float] = ..., device_seconds: _Optional[float] = ..., cpu_seconds: _Optional[float] = ...) -> None: ...
