"""Nodes and their devices. `None` is unknown, never zero."""

from collections.abc import Iterable
from dataclasses import dataclass, field, fields
from enum import Enum
from operator import attrgetter
from typing import NamedTuple

from headrace.attempts import Platform

# More than anybody asks for an hour of anything, in whatever unit; and more than such a unit is worth, in seconds.
MOST_PRICE = 1e9


class Health(Enum):
    """What a device says of itself."""

    UNKNOWN = 0
    HEALTHY = 1
    DEGRADED = 2
    UNHEALTHY = 3


class Origin(Enum):
    """How a figure is known: its owner says so, its maker does of the model, or it was measured there."""

    DECLARED = 1
    SPEC = 2
    MEASURED = 3


@dataclass(frozen=True, slots=True)
class Figure:
    """What a node or device can do of one kind. The name has the unit: "fp16_tflops", "memory_gb_per_second"."""

    name: str
    value: float
    origin: Origin
    source: str = ""


@dataclass(frozen=True, slots=True)
class Link:
    """A device that another one reaches without the processor; `peer` is its id, `kind` "nvlink" or the like."""

    peer: str
    kind: str
    count: int | None = None


class VendorState(Enum):
    """What came of looking for a vendor's devices."""

    ABSENT = 1
    WELL = 2
    DEGRADED = 3


@dataclass(frozen=True, slots=True)
class VendorReport:
    """How a vendor's devices were looked for; `remedy` is what an operator should do, empty for nothing."""

    vendor: str
    state: VendorState
    message: str = ""
    remedy: str = ""


@dataclass(frozen=True, slots=True)
class Device:
    """A GPU, NPU or other accelerator; `id` is the vendor's uuid, else the PCI address."""

    id: str
    kind: str
    vendor: str
    model: str
    index: int = 0
    pci_address: str = ""
    memory_bytes: int | None = None
    memory_used_bytes: int | None = None
    busy_percent: float | None = None
    temperature_celsius: float | None = None
    power_watts: float | None = None
    health: Health = Health.UNKNOWN
    health_reason: str = ""
    holders: tuple[str, ...] = ()
    serial: str = ""
    pci_id: str = ""
    board: str = ""
    partition: str = ""
    driver_version: str = ""
    power_limit_watts: float | None = None
    busy_name: str = ""
    unified_memory: bool = False
    numa_node: int | None = None
    pcie_root: str = ""
    links: tuple[Link, ...] = ()
    figures: tuple[Figure, ...] = ()
    shareable: bool = False


class Reading(NamedTuple):
    """What a brief report has of a device: made of thousands of reports a second, and faster than a whole device."""

    id: str
    memory_used_bytes: int | None = None
    busy_percent: float | None = None
    temperature_celsius: float | None = None
    power_watts: float | None = None
    health: Health = Health.UNKNOWN
    health_reason: str = ""
    holders: tuple[str, ...] = ()


# What of a device is read anew for each report. The rest is told again only once it has changed.
READ_ANEW = (
    "memory_used_bytes",
    "busy_percent",
    "temperature_celsius",
    "power_watts",
    "health",
    "health_reason",
    "holders",
)

# Of these, what never rests; and all else.
_READINGS = ("memory_used_bytes", "busy_percent", "temperature_celsius", "power_watts")
_STILL = attrgetter(*(one.name for one in fields(Device) if one.name not in _READINGS))


def still(devices: Iterable[Device]) -> list[object]:
    """What devices are, and how they are, without the readings of sensors."""
    return [_STILL(device) for device in devices]


@dataclass(frozen=True, slots=True)
class Cpu:
    """The processors of a node; `cores` are physical."""

    model: str = ""
    features: tuple[str, ...] = ()
    cores: int | None = None
    threads: int = 1
    figures: tuple[Figure, ...] = ()


@dataclass(frozen=True, slots=True)
class Capacity:
    """What jobs may use, or what is free of it."""

    cpu_millis: int = 0
    memory_bytes: int = 0
    disk_bytes: int = 0


@dataclass(frozen=True, slots=True)
class NodeDescription:
    """What a node is: changes seldom."""

    hostname: str = ""
    agent_version: str = ""
    kernel: str = ""
    region: str = ""
    owner: str = ""
    labels: dict[str, str] = field(default_factory=dict)
    cpu: Cpu = field(default_factory=Cpu)
    platforms: tuple[Platform, ...] = ()
    capacity: Capacity = field(default_factory=Capacity)
    host_network: bool = False
    vendors: tuple[VendorReport, ...] = ()
    identifier: str = ""
    address: str = ""
    device_hour_price: float = 0.0
    core_hour_price: float = 0.0


@dataclass(frozen=True, slots=True)
class Load:
    """What a node does just now."""

    cpu_percent: float | None = None
    memory_available_bytes: int | None = None
    disk_free_bytes: int | None = None
    load_average: float | None = None


@dataclass(frozen=True, slots=True)
class Engine:
    """Whether the container engine answers; `message` is its version, or why it does not."""

    reachable: bool = False
    message: str = ""


class NodeState(Enum):
    """Whether a node reports. SUSPECT is not failed: its jobs are still its own."""

    READY = 1
    SUSPECT = 2


class Drain(Enum):
    """Whether a node takes jobs, and what becomes of those it has."""

    NONE = 0
    CORDONED = 1
    DRAINING = 2
    DRAINED = 3


@dataclass(frozen=True, slots=True)
class Node:
    """A node as its last report told. `name` is "nodes/<id>"."""

    name: str
    state: NodeState = NodeState.SUSPECT
    drain: Drain = Drain.NONE
    description: NodeDescription = field(default_factory=NodeDescription)
    devices: tuple[Device, ...] = ()
    load: Load = field(default_factory=Load)
    engine: Engine = field(default_factory=Engine)
    free: Capacity = field(default_factory=Capacity)
    jobs: tuple[str, ...] = ()
    create_time_ms: int | None = None
    report_time_ms: int | None = None
    session: int = 0
    generation: int = 0
    blockers: tuple[str, ...] = ()
    drain_deadline_time_ms: int | None = None
    drifts: tuple[str, ...] = ()
    drift_count: int = 0
    forgotten: bool = False

    @property
    def id(self) -> str:
        """The name without its collection."""
        return self.name.removeprefix("nodes/")
