"""NVIDIA's GPUs and their MIG devices, by NVML. It may hang, so this runs in a process of its own (worker.py)."""

import contextlib
import importlib
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from agent.accelerators import giving, nvml, nvml_links, pci
from agent.accelerators.makers import nvidia as maker
from agent.accelerators.matching import Found, Place, is_unread, why_undriven
from agent.accelerators.nvml import Code
from agent.accelerators.nvml_events import Xids
from agent.accelerators.pci import Function, Machine
from agent.accelerators.vendor import Grant, Probe
from headrace.changes import replace
from headrace.nodes import Device, Health

_CLOSED: dict[int, tuple[str, str]] = {
    Code.DRIVER_NOT_LOADED: (
        "NVML's library is here, but the kernel driver is not loaded",
        "run `modprobe nvidia`; the kernel's log says why it does not load",
    ),
    Code.NO_PERMISSION: (
        "this user may not talk to the driver",
        "run the agent as root, or as a user who may open /dev/nvidiactl",
    ),
    Code.OPERATING_SYSTEM: (
        "the system or a control group keeps this process from the driver's device nodes",
        "give the agent's container /dev/nvidiactl and the cards' device nodes",
    ),
    Code.LIB_RM_VERSION_MISMATCH: (
        "NVML's library and the loaded kernel driver are of two versions, as after an upgrade",
        "restart the machine, or unload and load the nvidia kernel modules",
    ),
}


class Nvidia:
    """They, as NVML tells. `library` is pynvml, imported late; `root` is where /sys and /dev are."""

    name = "nvidia"
    seconds = 2.0

    def __init__(self, library: Any = None, root: Path = Path("/")) -> None:
        self._library = library
        self._root = root
        self._open = False
        self._driver = ""
        self._xids: Xids | None = None
        # By id: the device nodes of those that answered; none where they are not known.
        self.nodes: dict[str, tuple[str, ...]] = {}
        # By PCI address, as last read: a card that is lost does not tell its uuid any more.
        self._known: dict[str, tuple[Device, ...]] = {}

    def claims(self, function: Function) -> bool:
        """Whether it is a GPU of NVIDIA's."""
        return maker.SPEC.presence.claims(function)

    def is_in(self, machine: Machine) -> bool:
        """Whether there is a card, or a driver's node of one."""
        return maker.SPEC.presence.is_in(machine)

    def probe(self) -> Probe:
        """All GPUs, those that do not answer among them, and MIG devices in place of the GPUs that hold them."""
        functions = pci.look(self._root).functions
        cards = None if functions is None else tuple(each for each in functions if self.claims(each))
        self.nodes = {}
        closed = self._opened()
        if closed is not None:
            return self._as_known(_nothing(closed, cards))
        try:
            count = self._library.nvmlDeviceGetCount()
            self._driver = self._library.nvmlSystemGetDriverVersion()
        except self._library.NVMLError as error:
            self._close()
            return self._as_known(_nothing(error.value, cards))
        self._hear()
        found = sorted(self._devices(count, cards or ()), key=lambda device: device.index)
        linked = nvml_links.linked(self._library, tuple(found))
        left_out = tuple(_left_out(found, cards or ()))
        devices = tuple(_on_the_bus(device, cards or ()) for device in (*linked, *left_out))
        message = f"NVML, driver {self._driver}: {len(found)} devices on {count} GPUs"
        message = "; ".join(
            [message, *self._without_partitions(found), *(f"{one.id}: {one.health_reason}" for one in left_out)]
        )
        return Probe(
            devices,
            found=bool(count or cards),
            message=message,
            remedy=_remedy(devices),
            is_degraded=any(is_unread(one) for one in devices),
        )

    def sample(self, devices: Sequence[Device]) -> tuple[Device, ...]:
        """The same devices with new readings; one that does not answer is UNHEALTHY and says why."""
        closed = self._opened()
        if closed is not None:
            return tuple(nvml.lost(device, closed) for device in devices)
        self._hear()
        return tuple(self._sampled(device) for device in devices)

    def grant(self, device_ids: Sequence[str]) -> Grant:
        """By uuid in all ways. A MIG device has no device node of its own that would do."""
        devices = {device.id: device for known in self._known.values() for device in known}
        found = {name: Found(Place("", 0), devices[name], nodes) for name, nodes in self.nodes.items()}
        return giving.grant(maker.SPEC.giving, found, device_ids, self._root)

    def _opened(self) -> int | None:
        """Opens NVML once; its error where it cannot be. It is tried anew each time: the driver may come later."""
        if self._open:
            return None
        if self._library is None:
            try:
                self._library = importlib.import_module("pynvml")
            except ImportError:
                return Code.LIBRARY_NOT_FOUND
        try:
            self._library.nvmlInit()
            self._xids = Xids(self._library)
        except self._library.NVMLError as error:
            return int(error.value)
        self._open = True
        return None

    def _hear(self) -> None:
        if self._xids is not None:
            self._xids.heard()

    def _with_xid(self, device: Device) -> Device:
        return device if self._xids is None else self._xids.told(device)

    def _close(self) -> None:
        """Lets the next call open it anew, as a driver that was loaded again needs it."""
        self._open = False
        self._xids = None
        with contextlib.suppress(self._library.NVMLError):
            self._library.nvmlShutdown()

    def _devices(self, count: int, cards: tuple[Function, ...]) -> Iterator[Device]:
        silent: list[tuple[int, int]] = []
        seen: set[str] = set()
        for index in range(count):
            address = ""
            try:
                handle = self._library.nvmlDeviceGetHandleByIndex(index)
                address = pci.address(self._library.nvmlDeviceGetPciInfo(handle).busId)
                found = self._read(handle, index, address)
            except self._library.NVMLError as error:
                if not address:
                    silent.append((index, error.value))
                    continue
                found = self._lost(index, address, error.value)
            seen.add(address)
            yield from found
        # NVML counts by address on the bus, so that those that tell no address are the cards that are left.
        rest = [card.address for card in cards if card.driver == "nvidia" and card.address not in seen]
        for place, (index, code) in enumerate(silent):
            yield from self._lost(index, rest[place] if len(rest) == len(silent) else "", code)
        if not silent:
            # It was here before: NVML leaves it out because it does not work, or is gone.
            for address, known in self._known.items():
                if address not in seen:
                    yield from self._lost(known[0].index if known else 0, address, Code.GPU_NOT_FOUND)

    def _read(self, handle: Any, index: int, address: str) -> tuple[Device, ...]:
        library = self._library
        device = self._described(handle, index, address)
        minor = nvml.ask(library, library.nvmlDeviceGetMinorNumber, handle)
        partitioned = nvml.ask(library, library.nvmlDeviceGetMigMode, handle)
        if partitioned and partitioned[0]:
            found = tuple(self._partitions(handle, index, address))
            self.nodes.update(dict.fromkeys((each.id for each in found), ()))
        else:
            if self._xids is not None:
                self._xids.watch(handle, device.id)
            found = (self._with_xid(nvml.read(library, handle, device)),)
            self.nodes[device.id] = () if minor is None else (f"/dev/nvidia{minor}",)
        self._known[address] = found
        return found

    def _partitions(self, handle: Any, index: int, address: str) -> Iterator[Device]:
        library = self._library
        for place in range(library.nvmlDeviceGetMaxMigDeviceCount(handle)):
            partition = nvml.ask(library, library.nvmlDeviceGetMigDeviceHandleByIndex, handle, place)
            if partition is not None:
                device = self._described(partition, index, address)
                yield nvml.read_partition(library, partition, replace(device, partition=_profile(device.model)))

    def _described(self, handle: Any, index: int, address: str) -> Device:
        library = self._library
        return Device(
            id=library.nvmlDeviceGetUUID(handle),
            kind="gpu",
            vendor=self.name,
            model=library.nvmlDeviceGetName(handle),
            index=index,
            pci_address=address,
            serial=nvml.ask(library, library.nvmlDeviceGetSerial, handle) or "",
            driver_version=self._driver,
        )

    def _as_known(self, probe: Probe) -> Probe:
        """With the ids that the devices had while NVML told of them."""
        devices = (
            replace(nvml.unread(known), health=card.health, health_reason=card.health_reason)
            for card in probe.devices
            for known in self._known.get(card.pci_address) or (card,)
        )
        return replace(probe, devices=tuple(devices))

    def _lost(self, index: int, address: str, code: int) -> tuple[Device, ...]:
        anonymous = Device(address or f"nvidia-{index}", "gpu", self.name, model="", index=index, pci_address=address)
        known = self._known.get(address) or (anonymous,)
        return tuple(nvml.lost(replace(device, index=index), code) for device in known)

    def _without_partitions(self, devices: Sequence[Device]) -> Iterator[str]:
        shown = [device.pci_address for device in devices]
        for address, known in self._known.items():
            if not known and address not in shown:
                make = "make some (`nvidia-smi mig -cgi`) or turn the mode off (`nvidia-smi -mig 0`)"
                yield f"the GPU at {address} is in MIG mode and has no MIG device: {make}"

    def _sampled(self, device: Device) -> Device:
        library = self._library
        if not self._is_answerable(device):
            return device
        try:
            handle = self._handle(device)
            if device.id.startswith("MIG-"):
                return nvml.read_partition(library, handle, device)
            return self._with_xid(nvml.read(library, handle, device))
        except library.NVMLError as error:
            if error.value in (Code.UNINITIALIZED, Code.DRIVER_NOT_LOADED):
                self._close()
            return nvml.lost(device, error.value)

    def _handle(self, device: Device) -> Any:
        if device.id.startswith(("GPU-", "MIG-")):
            return self._library.nvmlDeviceGetHandleByUUID(device.id)
        if device.pci_address:
            return self._library.nvmlDeviceGetHandleByPciBusId(device.pci_address)
        return self._library.nvmlDeviceGetHandleByIndex(device.index)

    def _is_answerable(self, device: Device) -> bool:
        """Whether NVML may know it: a card that is another driver's, it does not."""
        return device.pci_address in self._known or not device.health_reason


def _nothing(code: int, cards: tuple[Function, ...] | None) -> Probe:
    on_the_bus = _seen(cards)
    if code in _CLOSED:
        message, remedy = _CLOSED[code]
        # A driver's library is at home on machines without a card too; there is nothing to be mended then.
        return _unread(cards, f"{message}; {on_the_bus}", remedy if cards != () else "", message)
    if code != Code.LIBRARY_NOT_FOUND:
        message, remedy = f"NVML does not open: {nvml.why(code)}", "look into the kernel's log; start the agent again"
        return _unread(cards, f"{message}; {on_the_bus}", remedy, message)
    message = "NVML's library (libnvidia-ml.so.1) is not here"
    return _unread(cards, f"{message}; {on_the_bus}", _install(cards or ()), f"driver library missing: {message}")


def _unread(cards: tuple[Function, ...] | None, message: str, remedy: str, reason: str) -> Probe:
    devices = tuple(_card(card, index, reason) for index, card in enumerate(cards or ()))
    return Probe(devices, found=bool(cards), message=message, remedy=remedy, is_degraded=bool(cards))


def _card(card: Function, index: int, reason: str) -> Device:
    """A card that NVML does not tell of."""
    device = Device(card.address, "gpu", Nvidia.name, model="", index=index, pci_address=card.address)
    why = why_undriven(card) or reason
    return _on_the_bus(replace(device, health=Health.UNHEALTHY, health_reason=why), (card,))


def _on_the_bus(device: Device, cards: tuple[Function, ...]) -> Device:
    """The device, with what the bus tells of it."""
    card = next((each for each in cards if each.address == device.pci_address), None)
    if card is None:
        return device
    return replace(device, pci_id=card.pci_id, numa_node=card.numa_node, pcie_root=card.root)


def _profile(model: str) -> str:
    """What part of a GPU a MIG device is: "3g.40gb" of "NVIDIA H100 80GB HBM3 MIG 3g.40gb"."""
    return model.rpartition(" MIG ")[2] or "MIG"


def _install(cards: tuple[Function, ...]) -> str:
    if not cards:
        return ""
    drivers = [card.driver for card in cards]
    if "nvidia" in drivers:
        return "the kernel driver is loaded: give the agent its libraries (in a container: the engine's nvidia runtime)"
    if all(driver == "vfio-pci" for driver in drivers):
        return "to use them here, take them from the virtual machine: unbind vfio-pci, then bind NVIDIA's driver"
    return "install NVIDIA's driver"


def _seen(cards: tuple[Function, ...] | None) -> str:
    if cards is None:
        return "the PCI bus cannot be seen (no /sys/bus/pci)"
    if not cards:
        return "no NVIDIA card on the PCI bus"
    each = [f"{card.address} ({card.pci_id}, driver {card.driver or 'none'})" for card in cards]
    return f"on the PCI bus: {', '.join(each)}"


def _left_out(devices: Sequence[Device], cards: tuple[Function, ...]) -> Iterator[Device]:
    shown = [device.pci_address for device in devices]
    for number, card in enumerate(cards):
        if card.driver != "nvidia" and card.address not in shown:
            yield _card(card, len(devices) + number, f"the driver {card.driver} holds it, and not NVIDIA's")


def _remedy(devices: tuple[Device, ...]) -> str:
    return "; ".join(f"{device.id}: {device.health_reason}" for device in devices if device.health_reason)
