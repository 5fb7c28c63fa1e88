"""Accelerators that nobody here knows: told with their PCI ids, so that somebody sees what the node has."""

from collections.abc import Sequence
from pathlib import Path

from agent.accelerators import pci
from agent.accelerators.matching import why_undriven
from agent.accelerators.pci import Function, Machine
from agent.accelerators.vendor import Grant, Probe, Vendor
from headrace.nodes import Device, Health
from headrace.refusals import Code, Refusal

# 3D controllers without a display, co-processors, processing accelerators.
_CLASSES = ("0302", "0b40", "12")
_DISPLAY = "0300"
# Displays of management controllers and of virtual machines: ASPEED, Matrox, QEMU, virtio, Red Hat, VMware,
# VirtualBox, Hyper-V, Cirrus, XGI, Silicon Motion, Huawei's, Xen.
_NO_ACCELERATORS = [
    "1a03",
    "102b",
    "1234",
    "1af4",
    "1b36",
    "15ad",
    "80ee",
    "1414",
    "1013",
    "18ca",
    "126f",
    "19e5",
    "5853",
]
# Of class 12 and yet nothing that a job would ask for: engines for compression, encryption and copying.
_ENGINES = ("8086", "19e5", "1af4")
_ROOT = Path("/")


class Unknown:
    """What the others do not claim."""

    name = "unknown"
    seconds = 5.0

    def __init__(self, others: Sequence[Vendor], root: Path = _ROOT) -> None:
        self._others = others
        self._root = root
        self._known: dict[str, Device] = {}

    def claims(self, function: Function) -> bool:
        """An accelerator by its class, or a display that has a node to compute by."""
        if any(other.claims(function) for other in self._others):
            return False
        if function.pci_class.startswith(_CLASSES):
            return function.vendor not in _ENGINES
        return (
            function.pci_class.startswith(_DISPLAY)
            and function.vendor not in _NO_ACCELERATORS
            and self._computes(function)
        )

    def is_in(self, machine: Machine) -> bool:
        """Whether there is any."""
        return any(self.claims(each) for each in machine.functions or ()) or bool(self._off_the_bus(machine))

    def probe(self) -> Probe:
        """All of them; none can be given to a job."""
        machine = pci.look(self._root)
        now = {card.address: _device(card) for card in machine.functions or () if self.claims(card)}
        now |= {name: Device(name, "accelerator", self.name, model) for name, model in self._off_the_bus(machine)}
        gone = {name: _lost(device) for name, device in self._known.items() if name not in now}
        self._known = {**gone, **now}
        devices = tuple(self._known[name] for name in sorted(self._known))
        message = f"the PCI bus and /sys/class/accel: {len(devices)} devices that no vendor here knows"
        remedy = "tell us of them: a vendor is one small file" if devices else ""
        return Probe(devices, found=bool(devices), message=message, remedy=remedy, is_degraded=bool(devices))

    def sample(self, devices: Sequence[Device]) -> tuple[Device, ...]:
        """They tell nothing but that they are there."""
        self.probe()
        return tuple(self._known.get(device.id) or _lost(device) for device in devices)

    def grant(self, device_ids: Sequence[str]) -> Grant:
        """How to give them is not known."""
        if not device_ids:
            return Grant()
        message = f"device {device_ids[0]} is of a maker that is not known: how a container gets it neither"
        raise Refusal(Code.NOT_FOUND, "DEVICE_UNKNOWN", message, device=device_ids[0])

    def _computes(self, function: Function) -> bool:
        return any((pci.folder_of(self._root, function.address) / "drm").glob("renderD*"))

    def _off_the_bus(self, machine: Machine) -> tuple[tuple[str, str], ...]:
        """Devices of the kernel's accel subsystem that are on no PCI bus: their names, and what they are."""
        found: list[tuple[str, str]] = []
        on_the_bus = {each.address for each in machine.functions or ()}
        for entry in sorted(
            (self._root / "sys/class/accel").glob("accel[0-9]*"), key=lambda one: pci.by_number(one.name)
        ):
            told = dict(line.partition("=")[::2] for line in pci.text_of(entry / "device/uevent").splitlines())
            if pci.address(told.get("PCI_SLOT_NAME", "")) not in on_the_bus:
                found.append((entry.name, told.get("OF_COMPATIBLE_0", told.get("DRIVER", ""))))
        return tuple(found)


def _device(card: Function) -> Device:
    why = why_undriven(card) or "no vendor here knows how to read it or give it to a job"
    return Device(
        id=card.address,
        kind="accelerator",
        vendor=Unknown.name,
        model="",
        pci_address=card.address,
        health=Health.UNHEALTHY,
        health_reason=why,
        pci_id=card.pci_id,
        numa_node=card.numa_node,
        pcie_root=card.root,
    )


def _lost(device: Device) -> Device:
    return Device(
        id=device.id,
        kind=device.kind,
        vendor=device.vendor,
        model=device.model,
        pci_address=device.pci_address,
        health=Health.UNHEALTHY,
        health_reason="it is gone",
        pci_id=device.pci_id,
    )
