"""What a vendor's tool printed of its devices, before it is matched with the bus and the library. `None`: not told."""

from collections.abc import Callable
from dataclasses import dataclass
from re import Pattern

from headrace.nodes import Health, Link


class Unreadable(Exception):
    """An output that is not what its command prints: cut short, of an unknown version, or of another program."""


@dataclass(frozen=True, slots=True)
class Process:
    """A process that uses a device; `memory_bytes` is what it has of the device's."""

    pid: int
    name: str = ""
    memory_bytes: int | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Reading:
    """One device, or one partition of a device, as one output tells.

    `index` is the tool's own number for it. `board`: devices with the same share a board. `links` name their peers as
    the tool does. `busy_name` is what the tool calls the figure in `busy_percent`.
    """

    vendor: str
    kind: str
    index: int | None = None
    model: str | None = None
    uuid: str | None = None
    serial: str | None = None
    pci_address: str | None = None
    pci_id: str | None = None
    board: str | None = None
    partition: str | None = None
    partition_of: str | None = None
    driver_version: str | None = None
    memory_bytes: int | None = None
    memory_used_bytes: int | None = None
    busy_percent: float | None = None
    busy_name: str | None = None
    temperature_celsius: float | None = None
    power_watts: float | None = None
    power_limit_watts: float | None = None
    health: Health = Health.UNKNOWN
    health_reason: str = ""
    numa_node: int | None = None
    unified_memory: bool = False
    device_nodes: tuple[str, ...] = ()
    links: tuple[Link, ...] = ()
    processes: tuple[Process, ...] = ()


@dataclass(frozen=True, slots=True)
class Command:
    """A command of a vendor's tool, and what reads its output.

    `shown` is how people are told of it ("npu-smi info -t board -i N"). `pattern` matches whole command lines, blanks
    squeezed, without the program's folder. `parse` raises Unreadable; where two vendors' programs have one name, each
    refuses the other's output. `parse_line`, where it is given, is asked instead, with the command line before the
    output: some outputs are only to be understood by what was asked for.
    """

    shown: str
    pattern: Pattern[str]
    parse: Callable[[str], tuple[Reading, ...]]
    parse_line: Callable[[str, str], tuple[Reading, ...]] | None = None
