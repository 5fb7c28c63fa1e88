import datetime

from google.protobuf import timestamp_pb2 as _timestamp_pb2
from headrace.v1 import attempt_pb2 as _attempt_pb2
from google.protobuf.internal import containers as _containers
from google.protobuf.internal import enum_type_wrapper as _enum_type_wrapper
from google.protobuf import descriptor as _descriptor
from google.protobuf import message as _message
from collections.abc import Iterable as _Iterable, Mapping as _Mapping
from typing import ClassVar as _ClassVar, Optional as _Optional, Union as _Union

DESCRIPTOR: _descriptor.FileDescriptor

class Device(_message.Message):
    __slots__ = ("id", "kind", "vendor", "model", "index", "pci_address", "memory_bytes", "memory_used_bytes", "busy_percent", "temperature_celsius", "power_watts", "health", "health_reason", "holders", "serial", "pci_id", "board", "partition", "driver_version", "power_limit_watts", "busy_name", "unified_memory", "numa_node", "pcie_root", "links", "figures", "shareable")
    class Health(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
        __slots__ = ()
        HEALTH_UNSPECIFIED: _ClassVar[Device.Health]
        HEALTHY: _ClassVar[Device.Health]
        DEGRADED: _ClassVar[Device.Health]
        UNHEALTHY: _ClassVar[Device.Health]
    HEALTH_UNSPECIFIED: Device.Health
    HEALTHY: Device.Health
    DEGRADED: Device.Health
    UNHEALTHY: Device.Health
    ID_FIELD_NUMBER: _ClassVar[int]
    KIND_FIELD_NUMBER: _ClassVar[int]
    VENDOR_FIELD_NUMBER: _ClassVar[int]
    MODEL_FIELD_NUMBER: _ClassVar[int]
    INDEX_FIELD_NUMBER: _ClassVar[int]
    PCI_ADDRESS_FIELD_NUMBER: _ClassVar[int]
    MEMORY_BYTES_FIELD_NUMBER: _ClassVar[int]
    MEMORY_USED_BYTES_FIELD_NUMBER: _ClassVar[int]
    BUSY_PERCENT_FIELD_NUMBER: _ClassVar[int]
    TEMPERATURE_CELSIUS_FIELD_NUMBER: _ClassVar[int]
    POWER_WATTS_FIELD_NUMBER: _ClassVar[int]
    HEALTH_FIELD_NUMBER: _ClassVar[int]
    HEALTH_REASON_FIELD_NUMBER: _ClassVar[int]
    HOLDERS_FIELD_NUMBER: _ClassVar[int]
    SERIAL_FIELD_NUMBER: _ClassVar[int]
    PCI_ID_FIELD_NUMBER: _ClassVar[int]
    BOARD_FIELD_NUMBER: _ClassVar[int]
    PARTITION_FIELD_NUMBER: _ClassVar[int]
    DRIVER_VERSION_FIELD_NUMBER: _ClassVar[int]
    POWER_LIMIT_WATTS_FIELD_NUMBER: _ClassVar[int]
    BUSY_NAME_FIELD_NUMBER: _ClassVar[int]
    UNIFIED_MEMORY_FIELD_NUMBER: _ClassVar[int]
    NUMA_NODE_FIELD_NUMBER: _ClassVar[int]
    PCIE_ROOT_FIELD_NUMBER: _ClassVar[int]
    LINKS_FIELD_NUMBER: _ClassVar[int]
    FIGURES_FIELD_NUMBER: _ClassVar[int]
    SHAREABLE_FIELD_NUMBER: _ClassVar[int]
    id: str
    kind: str
    vendor: str
    model: str
    index: int
    pci_address: str
    memory_bytes: int
    memory_used_bytes: int
    busy_percent: float
    temperature_celsius: float
    power_watts: float
    health: Device.Health
    health_reason: str
    holders: _containers.RepeatedScalarFieldContainer[str]
    serial: str
    pci_id: str
    board: str
    partition: str
    driver_version: str
    power_limit_watts: float
    busy_name: str
    unified_memory: bool
    numa_node: int
    pcie_root: str
    links: _containers.RepeatedCompositeFieldContainer[Link]
    figures: _containers.RepeatedCompositeFieldContainer[Figure]
    shareable: bool
    def __init__(self, id: _Optional[str] = ..., kind: _Optional[str] = ..., vendor: _Optional[str] = ..., model: _Optional[str] = ..., index: _Optional[int] = ..., pci_address: _Optional[str] = ..., memory_bytes: _Optional[int] = ..., memory_used_bytes: _Optional[int] = ..., busy_percent: _Optional[float] = ..., temperature_celsius: _Optional[float] = ..., power_watts: _Optional[float] = ..., health: _Optional[_Union[Device.Health, str]] = ..., health_reason: _Optional[str] = ..., holders: _Optional[_Iterable[str]] = ..., serial: _Optional[str] = ..., pci_id: _Optional[str] = ..., board: _Optional[str] = ..., partition: _Optional[str] = ..., driver_version: _Optional[str] = ..., power_limit_watts: _Optional[float] = ..., busy_name: _Optional[str] = ..., unified_memory: bool = ..., numa_node: _Optional[int] = ..., pcie_root: _Optional[str] = ..., links: _Optional[_Iterable[_Union[Link, _Mapping]]] = ..., figures: _Optional[_Iterable[_Union[Figure, _Mapping]]] = ..., shareable: bool = ...) -> None: ...

class Link(_message.Message):
    __slots__ = ("peer", "kind", "count")
    PEER_FIELD_NUMBER: _ClassVar[int]
    KIND_FIELD_NUMBER: _ClassVar[int]
    COUNT_FIELD_NUMBER: _ClassVar[int]
    peer: str
    kind: str
    count: int
    def __init__(self, peer: _Optional[str] = ..., kind: _Optional[str] = ..., count: _Optional[int] = ...) -> None: ...

class Figure(_message.Message):
    __slots__ = ("name", "value", "origin", "source")
    class Origin(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
        __slots__ = ()
        ORIGIN_UNSPECIFIED: _ClassVar[Figure.Origin]
        DECLARED: _ClassVar[Figure.Origin]
        SPEC: _ClassVar[Figure.Origin]
        MEASURED: _ClassVar[Figure.Origin]
    ORIGIN_UNSPECIFIED: Figure.Origin
    DECLARED: Figure.Origin
    SPEC: Figure.Origin
    MEASURED: Figure.Origin
    NAME_FIELD_NUMBER: _ClassVar[int]
    VALUE_FIELD_NUMBER: _ClassVar[int]
    ORIGIN_FIELD_NUMBER: _ClassVar[int]
    SOURCE_FIELD_NUMBER: _ClassVar[int]
    name: str
    value: float
    origin: Figure.Origin
    source: str
    def __init__(self, name: _Optional[str] = ..., value: _Optional[float] = ..., origin: _Optional[_Union[Figure.Origin, str]] = ..., source: _Optional[str] = ...) -> None: ...

class VendorReport(_message.Message):
    __slots__ = ("vendor", "state", "message", "remedy")
    class State(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
        __slots__ = ()
        STATE_UNSPECIFIED: _ClassVar[VendorReport.State]
        ABSENT: _ClassVar[VendorReport.State]
        WELL: _ClassVar[VendorReport.State]
        DEGRADED: _ClassVar[VendorReport.State]
    STATE_UNSPECIFIED: VendorReport.State
    ABSENT: VendorReport.State
    WELL: VendorReport.State
    DEGRADED: VendorReport.State
    VENDOR_FIELD_NUMBER: _ClassVar[int]
    STATE_FIELD_NUMBER: _ClassVar[int]
    MESSAGE_FIELD_NUMBER: _ClassVar[int]
    REMEDY_FIELD_NUMBER: _ClassVar[int]
    vendor: str
    state: VendorReport.State
    message: str
    remedy: str
    def __init__(self, vendor: _Optional[str] = ..., state: _Optional[_Union[VendorReport.State, str]] = ..., message: _Optional[str] = ..., remedy: _Optional[str] = ...) -> None: ...

class Cpu(_message.Message):
    __slots__ = ("model", "features", "cores", "threads", "figures")
    MODEL_FIELD_NUMBER: _ClassVar[int]
    FEATURES_FIELD_NUMBER: _ClassVar[int]
    CORES_FIELD_NUMBER: _ClassVar[int]
    THREADS_FIELD_NUMBER: _ClassVar[int]
    FIGURES_FIELD_NUMBER: _ClassVar[int]
    model: str
    features: _containers.RepeatedScalarFieldContainer[str]
    cores: int
    threads: int
    figures: _containers.RepeatedCompositeFieldContainer[Figure]
    def __init__(self, model: _Optional[str] = ..., features: _Optional[_Iterable[str]] = ..., cores: _Optional[int] = ..., threads: _Optional[int] = ..., figures: _Optional[_Iterable[_Union[Figure, _Mapping]]] = ...) -> None: ...

class NodeDescription(_message.Message):
    __slots__ = ("hostname", "agent_version", "kernel", "region", "owner", "labels", "cpu", "platforms", "capacity", "host_network", "vendors", "identifier", "address", "device_hour_price", "core_hour_price")
    class LabelsEntry(_message.Message):
        __slots__ = ("key", "value")
        KEY_FIELD_NUMBER: _ClassVar[int]
        VALUE_FIELD_NUMBER: _ClassVar[int]
        key: str
        value: str
        def __init__(self, key: _Optional[str] = ..., value: _Optional[str] = ...) -> None: ...
    HOSTNAME_FIELD_NUMBER: _ClassVar[int]
    AGENT_VERSION_FIELD_NUMBER: _ClassVar[int]
    KERNEL_FIELD_NUMBER: _ClassVar[int]
    REGION_FIELD_NUMBER: _ClassVar[int]
    OWNER_FIELD_NUMBER: _ClassVar[int]
    LABELS_FIELD_NUMBER: _ClassVar[int]
    CPU_FIELD_NUMBER: _ClassVar[int]
    PLATFORMS_FIELD_NUMBER: _ClassVar[int]
    CAPACITY_FIELD_NUMBER: _ClassVar[int]
    HOST_NETWORK_FIELD_NUMBER: _ClassVar[int]
    VENDORS_FIELD_NUMBER: _ClassVar[int]
    IDENTIFIER_FIELD_NUMBER: _ClassVar[int]
    ADDRESS_FIELD_NUMBER: _ClassVar[int]
    DEVICE_HOUR_PRICE_FIELD_NUMBER: _ClassVar[int]
    CORE_HOUR_PRICE_FIELD_NUMBER: _ClassVar[int]
    hostname: str
    agent_version: str
    kernel: str
    region: str
    owner: str
    labels: _containers.ScalarMap[str, str]
    cpu: Cpu
    platforms: _containers.RepeatedCompositeFieldContainer[_attempt_pb2.Platform]
    capacity: Capacity
    host_network: bool
    vendors: _containers.RepeatedCompositeFieldContainer[VendorReport]
    identifier: str
    address: str
    device_hour_price: float
    core_hour_price: float
    def __init__(self, hostname: _Optional[str] = ..., agent_version: _Optional[str] = ..., kernel: _Optional[str] = ..., region: _Optional[str] = ..., owner: _Optional[str] = ..., labels: _Optional[_Mapping[str, str]] = ..., cpu: _Optional[_Union[Cpu, _Mapping]] = ..., platforms: _Optional[_Iterable[_Union[_attempt_pb2.Platform, _Mapping]]] = ..., capacity: _Optional[_Union[Capacity, _Mapping]] = ..., host_network: bool = ..., vendors: _Optional[_Iterable[_Union[VendorReport, _Mapping]]] = ..., identifier: _Optional[str] = ..., address: _Optional[str] = ..., device_hour_price: _Optional[float] = ..., core_hour_price: _Optional[float] = ...) -> None: ...

class Capacity(_message.Message):
    __slots__ = ("cpu_millis", "memory_bytes", "disk_bytes")
    CPU_MILLIS_FIELD_NUMBER: _ClassVar[int]
    MEMORY_BYTES_FIELD_NUMBER: _ClassVar[int]
    DISK_BYTES_FIELD_NUMBER: _ClassVar[int]
    cpu_millis: int
    memory_bytes: int
    disk_bytes: int
    def __init__(self, cpu_millis: _Optional[int] = ..., memory_bytes: _Optional[int] = ..., disk_bytes: _Optional[int] = ...) -> None: ...

class Load(_message.Message):
    __slots__ = ("cpu_percent", "memory_available_bytes", "disk_free_bytes", "load_average")
    CPU_PERCENT_FIELD_NUMBER: _ClassVar[int]
    MEMORY_AVAILABLE_BYTES_FIELD_NUMBER: _ClassVar[int]
    DISK_FREE_BYTES_FIELD_NUMBER: _ClassVar[int]
    LOAD_AVERAGE_FIELD_NUMBER: _ClassVar[int]
    cpu_percent: float
    memory_available_bytes: int
    disk_free_bytes: int
    load_average: float
    def __init__(self, cpu_percent: _Optional[float] = ..., memory_available_bytes: _Optional[int] = ..., disk_free_bytes: _Optional[int] = ..., load_average: _Optional[float] = ...) -> None: ...

class Engine(_message.Message):
    __slots__ = ("reachable", "message")
    REACHABLE_FIELD_NUMBER: _ClassVar[int]
    MESSAGE_FIELD_NUMBER: _ClassVar[int]
    reachable: bool
    message: str
    def __init__(self, reachable: bool = ..., message: _Optional[str] = ...) -> None: ...

class Node(_message.Message):
    __slots__ = ("name", "state", "drain", "description", "devices", "load", "engine", "free", "jobs", "create_time", "report_time", "session", "generation", "blockers", "drain_deadline_time", "drifts", "drift_count", "forgotten")
    class State(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
        __slots__ = ()
        STATE_UNSPECIFIED: _ClassVar[Node.State]
        READY: _ClassVar[Node.State]
        SUSPECT: _ClassVar[Node.State]
    STATE_UNSPECIFIED: Node.State
    READY: Node.State
    SUSPECT: Node.State
    class Drain(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
        __slots__ = ()
        DRAIN_UNSPECIFIED: _ClassVar[Node.Drain]
        CORDONED: _ClassVar[Node.Drain]
        DRAINING: _ClassVar[Node.Drain]
        DRAINED: _ClassVar[Node.Drain]
    DRAIN_UNSPECIFIED: Node.Drain
    CORDONED: Node.Drain
    DRAINING: Node.Drain
    DRAINED: Node.Drain
    NAME_FIELD_NUMBER: _ClassVar[int]
    STATE_FIELD_NUMBER: _ClassVar[int]
    DRAIN_FIELD_NUMBER: _ClassVar[int]
    DESCRIPTION_FIELD_NUMBER: _ClassVar[int]
    DEVICES_FIELD_NUMBER: _ClassVar[int]
    LOAD_FIELD_NUMBER: _ClassVar[int]
    ENGINE_FIELD_NUMBER: _ClassVar[int]
    FREE_FIELD_NUMBER: _ClassVar[int]
    JOBS_FIELD_NUMBER: _ClassVar[int]
    CREATE_TIME_FIELD_NUMBER: _ClassVar[int]
    REPORT_TIME_FIELD_NUMBER: _ClassVar[int]
    SESSION_FIELD_NUMBER: _ClassVar[int]
    GENERATION_FIELD_NUMBER: _ClassVar[int]
    BLOCKERS_FIELD_NUMBER: _ClassVar[int]
    DRAIN_DEADLINE_TIME_FIELD_NUMBER: _ClassVar[int]
    DRIFTS_FIELD_NUMBER: _ClassVar[int]
    DRIFT_COUNT_FIELD_NUMBER: _ClassVar[int]
    FORGOTTEN_FIELD_NUMBER: _ClassVar[int]
    name: str
    state: Node.State
    drain: Node.Drain
    description: NodeDescription
    devices: _containers.RepeatedCompositeFieldContainer[Device]
    load: Load
    engine: Engine
    free: Capacity
    jobs: _containers.RepeatedScalarFieldContainer[str]
    create_time: _timestamp_pb2.Timestamp
    report_time: _timestamp_pb2.Timestamp
    session: int
    generation: int
    blockers: _containers.RepeatedScalarFieldContainer[str]
    drain_deadline_time: _timestamp_pb2.Timestamp
    drifts: _containers.RepeatedScalarFieldContainer[str]
    drift_count: int
    forgotten: bool
    def __init__(self, name: _Optional[str] = ..., state: _Optional[_Union[Node.State, str]] = ..., drain: _Optional[_Union[Node.Drain, str]] = ..., description: _Optional[_Union[NodeDescription, _Mapping]] = ..., devices: _Optional[_Iterable[_Union[Device, _Mapping]]] = ..., load: _Optional[_Union[Load, _Mapping]] = ..., engine: _Optional[_Union[Engine, _Mapping]] = ..., free: _Optional[_Union[Capacity, _Mapping]] = ..., jobs: _Optional[_Iterable[str]] = ..., create_time: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ..., report_time: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ..., session: _Optional[int] = ..., generation: _Optional[int] = ..., blockers: _Optional[_Iterable[str]] = ..., drain_deadline_time: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ..., drifts: _Optional[_Iterable[str]] = ..., drift_count: _Optional[int] = ..., forgotten: bool = ...) -> None: ...
