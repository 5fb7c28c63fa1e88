import datetime

from google.protobuf import timestamp_pb2 as _timestamp_pb2
from headrace.v1 import job_pb2 as _job_pb2
from headrace.v1 import node_pb2 as _node_pb2
from google.protobuf.internal import containers as _containers
from google.protobuf.internal import enum_type_wrapper as _enum_type_wrapper
from google.protobuf import descriptor as _descriptor
from google.protobuf import message as _message
from collections.abc import Iterable as _Iterable, Mapping as _Mapping
from typing import ClassVar as _ClassVar, Optional as _Optional, Union as _Union

DESCRIPTOR: _descriptor.FileDescriptor

class FindCapacityRequest(_message.Message):
    __slots__ = ("filter", "over", "free_only", "order_by", "sums", "group_by", "limit", "when")
    class Over(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
        __slots__ = ()
        OVER_UNSPECIFIED: _ClassVar[FindCapacityRequest.Over]
        NODES: _ClassVar[FindCapacityRequest.Over]
        DEVICES: _ClassVar[FindCapacityRequest.Over]
        JOBS: _ClassVar[FindCapacityRequest.Over]
    OVER_UNSPECIFIED: FindCapacityRequest.Over
    NODES: FindCapacityRequest.Over
    DEVICES: FindCapacityRequest.Over
    JOBS: FindCapacityRequest.Over
    FILTER_FIELD_NUMBER: _ClassVar[int]
    OVER_FIELD_NUMBER: _ClassVar[int]
    FREE_ONLY_FIELD_NUMBER: _ClassVar[int]
    ORDER_BY_FIELD_NUMBER: _ClassVar[int]
    SUMS_FIELD_NUMBER: _ClassVar[int]
    GROUP_BY_FIELD_NUMBER: _ClassVar[int]
    LIMIT_FIELD_NUMBER: _ClassVar[int]
    WHEN_FIELD_NUMBER: _ClassVar[int]
    filter: str
    over: FindCapacityRequest.Over
    free_only: bool
    order_by: str
    sums: _containers.RepeatedScalarFieldContainer[str]
    group_by: str
    limit: int
    when: bool
    def __init__(self, filter: _Optional[str] = ..., over: _Optional[_Union[FindCapacityRequest.Over, str]] = ..., free_only: bool = ..., order_by: _Optional[str] = ..., sums: _Optional[_Iterable[str]] = ..., group_by: _Optional[str] = ..., limit: _Optional[int] = ..., when: bool = ...) -> None: ...

class FindCapacityResponse(_message.Message):
    __slots__ = ("nodes", "devices", "jobs", "order_values", "match_count", "group_count", "groups", "sums", "free_times")
    NODES_FIELD_NUMBER: _ClassVar[int]
    DEVICES_FIELD_NUMBER: _ClassVar[int]
    JOBS_FIELD_NUMBER: _ClassVar[int]
    ORDER_VALUES_FIELD_NUMBER: _ClassVar[int]
    MATCH_COUNT_FIELD_NUMBER: _ClassVar[int]
    GROUP_COUNT_FIELD_NUMBER: _ClassVar[int]
    GROUPS_FIELD_NUMBER: _ClassVar[int]
    SUMS_FIELD_NUMBER: _ClassVar[int]
    FREE_TIMES_FIELD_NUMBER: _ClassVar[int]
    nodes: _containers.RepeatedCompositeFieldContainer[_node_pb2.Node]
    devices: _containers.RepeatedCompositeFieldContainer[FoundDevice]
    jobs: _containers.RepeatedCompositeFieldContainer[_job_pb2.Job]
    order_values: _containers.RepeatedScalarFieldContainer[str]
    match_count: int
    group_count: int
    groups: _containers.RepeatedCompositeFieldContainer[CapacityGroup]
    sums: _containers.RepeatedCompositeFieldContainer[FieldSum]
    free_times: _containers.RepeatedCompositeFieldContainer[FreeTime]
    def __init__(self, nodes: _Optional[_Iterable[_Union[_node_pb2.Node, _Mapping]]] = ..., devices: _Optional[_Iterable[_Union[FoundDevice, _Mapping]]] = ..., jobs: _Optional[_Iterable[_Union[_job_pb2.Job, _Mapping]]] = ..., order_values: _Optional[_Iterable[str]] = ..., match_count: _Optional[int] = ..., group_count: _Optional[int] = ..., groups: _Optional[_Iterable[_Union[CapacityGroup, _Mapping]]] = ..., sums: _Optional[_Iterable[_Union[FieldSum, _Mapping]]] = ..., free_times: _Optional[_Iterable[_Union[FreeTime, _Mapping]]] = ...) -> None: ...

class FoundDevice(_message.Message):
    __slots__ = ("node", "device", "free", "jobs", "region", "owner")
    NODE_FIELD_NUMBER: _ClassVar[int]
    DEVICE_FIELD_NUMBER: _ClassVar[int]
    FREE_FIELD_NUMBER: _ClassVar[int]
    JOBS_FIELD_NUMBER: _ClassVar[int]
    REGION_FIELD_NUMBER: _ClassVar[int]
    OWNER_FIELD_NUMBER: _ClassVar[int]
    node: str
    device: _node_pb2.Device
    free: bool
    jobs: _containers.RepeatedScalarFieldContainer[str]
    region: str
    owner: str
    def __init__(self, node: _Optional[str] = ..., device: _Optional[_Union[_node_pb2.Device, _Mapping]] = ..., free: bool = ..., jobs: _Optional[_Iterable[str]] = ..., region: _Optional[str] = ..., owner: _Optional[str] = ...) -> None: ...

class CapacityGroup(_message.Message):
    __slots__ = ("key", "match_count", "sums")
    KEY_FIELD_NUMBER: _ClassVar[int]
    MATCH_COUNT_FIELD_NUMBER: _ClassVar[int]
    SUMS_FIELD_NUMBER: _ClassVar[int]
    key: str
    match_count: int
    sums: _containers.RepeatedCompositeFieldContainer[FieldSum]
    def __init__(self, key: _Optional[str] = ..., match_count: _Optional[int] = ..., sums: _Optional[_Iterable[_Union[FieldSum, _Mapping]]] = ...) -> None: ...

class FieldSum(_message.Message):
    __slots__ = ("field", "value", "text", "unknown_count")
    FIELD_FIELD_NUMBER: _ClassVar[int]
    VALUE_FIELD_NUMBER: _ClassVar[int]
    TEXT_FIELD_NUMBER: _ClassVar[int]
    UNKNOWN_COUNT_FIELD_NUMBER: _ClassVar[int]
    field: str
    value: float
    text: str
    unknown_count: int
    def __init__(self, field: _Optional[str] = ..., value: _Optional[float] = ..., text: _Optional[str] = ..., unknown_count: _Optional[int] = ...) -> None: ...

class FreeTime(_message.Message):
    __slots__ = ("node", "free_time", "jobs", "reason")
    NODE_FIELD_NUMBER: _ClassVar[int]
    FREE_TIME_FIELD_NUMBER: _ClassVar[int]
    JOBS_FIELD_NUMBER: _ClassVar[int]
    REASON_FIELD_NUMBER: _ClassVar[int]
    node: str
    free_time: _timestamp_pb2.Timestamp
    jobs: _containers.RepeatedScalarFieldContainer[str]
    reason: str
    def __init__(self, node: _Optional[str] = ..., free_time: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ..., jobs: _Optional[_Iterable[str]] = ..., reason: _Optional[str] = ...) -> None: ...
