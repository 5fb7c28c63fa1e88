"""The PCI bus and the device nodes as the kernel shows them: a card is there or not, whatever its driver says."""

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path

# A virtual machine's: the card is passed to it, and nobody else's meanwhile.
PASSED_ON = "vfio-pci"
# Displays, peripherals, processors, accelerators, and what has no class: a maker's accelerator is in one of them.
_CLASSES = ("02", "03", "08", "0b", "12", "ff")
# Where Intel's graphics are that are part of a processor. Their memory and power are its own: they are no device.
_BUILT_IN = ("8086", "0000:00:02.0")
# Where device nodes of accelerators lie.
_FOLDERS = ("", "accel", "dri", "vfio")


@dataclass(frozen=True, slots=True)
class Function:
    """One function of a card. `driver` is empty where no kernel driver holds it; `root` is the top of its PCI tree."""

    address: str
    vendor: str
    device: str
    driver: str
    pci_class: str = ""
    root: str = ""
    numa_node: int | None = None

    @property
    def pci_id(self) -> str:
        """Vendor and device: "10de:20b5"."""
        return f"{self.vendor}:{self.device}"


@dataclass(frozen=True, slots=True)
class Machine:
    """What can be seen without asking any driver. `functions` is `None` where no PCI bus can be seen.

    `nodes` are the names below /dev: "davinci0", "accel/accel0".
    """

    functions: tuple[Function, ...] | None
    nodes: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Presence:
    """How one maker's cards are told from all others.

    `classes` are PCI classes by their first digits; `devices` the only ids that count, for makers of many things, and
    `without` ids that do not. `within` are, for a class, the only ids of it that count. `nodes` are names of device
    nodes that no other maker has, without their numbers.
    """

    vendor: str = ""
    classes: tuple[str, ...] = ()
    devices: tuple[str, ...] = ()
    without: tuple[str, ...] = ()
    within: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    nodes: tuple[str, ...] = ()

    def claims(self, function: Function) -> bool:
        """Whether it is one of this maker's."""
        return (
            function.vendor == self.vendor
            and function.pci_class.startswith(self.classes)
            and (not self.devices or function.device in self.devices)
            and function.device not in self.without
            and function.device in self.within.get(function.pci_class[:4], (function.device,))
        )

    def cards(self, machine: Machine) -> tuple[Function, ...]:
        """Those on the bus, by address."""
        return tuple(one for one in machine.functions or () if self.claims(one))

    def nodes_in(self, machine: Machine) -> tuple[str, ...]:
        """Its device nodes."""
        if not self.nodes:
            return ()
        named = (node for node in machine.nodes if node.startswith(self.nodes))
        return tuple(node for node in named if node.rstrip("0123456789").rstrip(".") in self.nodes)

    def is_in(self, machine: Machine) -> bool:
        """Whether there is anything to ask its tools for."""
        return bool(self.cards(machine) or self.nodes_in(machine))


def look(root: Path) -> Machine:
    """The machine whose /sys and /dev are below `root`, now."""
    return Machine(_functions(root), tuple(_nodes(root / "dev")))


def folder_of(root: Path, place: str) -> Path:
    """Where the kernel tells of a function."""
    return root / "sys/bus/pci/devices" / place


def address(text: str) -> str:
    """An address in the kernel's spelling: vendors' tools write longer domains, capitals, or no domain."""
    parts = text.strip().lower().split(":")
    domain = parts[0] if len(parts) == 3 else "0"
    try:
        return f"{int(domain, 16):04x}:{':'.join(parts[-2:])}"
    except ValueError:
        return text


def by_number(name: str) -> tuple[str | int, ...]:
    """A key that sorts "card10" after "card9"."""
    return tuple(int(part) if part.isdigit() else part for part in re.split(r"(\d+)", name))


def text_of(path: Path) -> str:
    """What a file of the kernel says, without blanks at its ends; empty where it says nothing."""
    try:
        return path.read_text(encoding="utf-8", errors="replace").strip()
    except OSError:
        # Not there, or its driver does not answer just now: EBUSY, EINVAL, ENODEV.
        return ""


def _functions(root: Path) -> tuple[Function, ...] | None:
    bus = root / "sys/bus/pci/devices"
    try:
        names = sorted(entry.name for entry in bus.iterdir())
    except OSError:
        return None
    return tuple(found for name in names if (found := _function(bus / name)) is not None)


def _function(folder: Path) -> Function | None:
    pci_class = text_of(folder / "class").removeprefix("0x")
    if not pci_class.startswith(_CLASSES):
        return None
    vendor, place = text_of(folder / "vendor").removeprefix("0x"), address(folder.name)
    if (vendor, place) == _BUILT_IN:
        return None
    node = text_of(folder / "numa_node")
    return Function(
        address=place,
        vendor=vendor,
        device=text_of(folder / "device").removeprefix("0x"),
        driver=_linked(folder / "driver").name,
        pci_class=pci_class,
        root=next((part for part in _linked(folder).parts if re.fullmatch(r"pci[0-9a-f]{4,}:[0-9a-f]{2}", part)), ""),
        # -1 is the kernel's word for a machine that does not tell.
        numa_node=int(node) if node.isdigit() else None,
    )


def _nodes(folder: Path) -> Iterator[str]:
    for name in _FOLDERS:
        try:
            entries = sorted(entry.name for entry in (folder / name).iterdir())
        except OSError:
            continue
        yield from (f"{name}/{entry}" if name else entry for entry in entries)


def _linked(path: Path) -> Path:
    try:
        return path.readlink()
    except OSError:
        return Path()
