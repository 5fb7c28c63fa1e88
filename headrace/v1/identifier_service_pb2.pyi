import datetime

from google.protobuf import timestamp_pb2 as _timestamp_pb2
from headrace.v1 import node_pb2 as _node_pb2
from google.protobuf.internal import containers as _containers
from google.protobuf import descriptor as _descriptor
from google.protobuf import message as _message
from collections.abc import Iterable as _Iterable, Mapping as _Mapping
from typing import ClassVar as _ClassVar, Optional as _Optional, Union as _Union

DESCRIPTOR: _descriptor.FileDescriptor

class Delegation(_message.Message):
    __slots__ = ("prefix", "public_key", "create_time", "expire_time")
    PREFIX_FIELD_NUMBER: _ClassVar[int]
    PUBLIC_KEY_FIELD_NUMBER: _ClassVar[int]
    CREATE_TIME_FIELD_NUMBER: _ClassVar[int]
    EXPIRE_TIME_FIELD_NUMBER: _ClassVar[int]
    prefix: str
    public_key: bytes
    create_time: _timestamp_pb2.Timestamp
    expire_time: _timestamp_pb2.Timestamp
    def __init__(self, prefix: _Optional[str] = ..., public_key: _Optional[bytes] = ..., create_time: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ..., expire_time: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ...) -> None: ...

class SignedDelegation(_message.Message):
    __slots__ = ("delegation", "signature")
    DELEGATION_FIELD_NUMBER: _ClassVar[int]
    SIGNATURE_FIELD_NUMBER: _ClassVar[int]
    delegation: bytes
    signature: bytes
    def __init__(self, delegation: _Optional[bytes] = ..., signature: _Optional[bytes] = ...) -> None: ...

class Description(_message.Message):
    __slots__ = ("identifier", "create_time", "expire_time", "node", "devices", "load")
    IDENTIFIER_FIELD_NUMBER: _ClassVar[int]
    CREATE_TIME_FIELD_NUMBER: _ClassVar[int]
    EXPIRE_TIME_FIELD_NUMBER: _ClassVar[int]
    NODE_FIELD_NUMBER: _ClassVar[int]
    DEVICES_FIELD_NUMBER: _ClassVar[int]
    LOAD_FIELD_NUMBER: _ClassVar[int]
    identifier: str
    create_time: _timestamp_pb2.Timestamp
    expire_time: _timestamp_pb2.Timestamp
    node: _node_pb2.NodeDescription
    devices: _containers.RepeatedCompositeFieldContainer[_node_pb2.Device]
    load: _node_pb2.Load
    def __init__(self, identifier: _Optional[str] = ..., create_time: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ..., expire_time: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ..., node: _Optional[_Union[_node_pb2.NodeDescription, _Mapping]] = ..., devices: _Optional[_Iterable[_Union[_node_pb2.Device, _Mapping]]] = ..., load: _Optional[_Union[_node_pb2.Load, _Mapping]] = ...) -> None: ...

class SignedRecord(_message.Message):
    __slots__ = ("description", "signature", "delegations")
    DESCRIPTION_FIELD_NUMBER: _ClassVar[int]
    SIGNATURE_FIELD_NUMBER: _ClassVar[int]
    DELEGATIONS_FIELD_NUMBER: _ClassVar[int]
    description: bytes
    signature: bytes
    delegations: _containers.RepeatedCompositeFieldContainer[SignedDelegation]
    def __init__(self, description: _Optional[bytes] = ..., signature: _Optional[bytes] = ..., delegations: _Optional[_Iterable[_Union[SignedDelegation, _Mapping]]] = ...) -> None: ...

class ResolveIdentifierRequest(_message.Message):
    __slots__ = ("identifier",)
    IDENTIFIER_FIELD_NUMBER: _ClassVar[int]
    identifier: str
    def __init__(self, identifier: _Optional[str] = ...) -> None: ...

class ResolveIdentifierResponse(_message.Message):
    __slots__ = ("record", "description", "device")
    RECORD_FIELD_NUMBER: _ClassVar[int]
    DESCRIPTION_FIELD_NUMBER: _ClassVar[int]
    DEVICE_FIELD_NUMBER: _ClassVar[int]
    record: SignedRecord
    description: Description
    device: str
    def __init__(self, record: _Optional[_Union[SignedRecord, _Mapping]] = ..., description: _Optional[_Union[Description, _Mapping]] = ..., device: _Optional[str] = ...) -> None: ...

class PublishRecordRequest(_message.Message):
    __slots__ = ("record",)
    RECORD_FIELD_NUMBER: _ClassVar[int]
    record: SignedRecord
    def __init__(self, record: _Optional[_Union[SignedRecord, _Mapping]] = ...) -> None: ...

class PublishRecordResponse(_message.Message):
    __slots__ = ()
    def __init__(self) -> None: ...
