"""NVIDIA's GPUs, by NVML; whether a card is there at all, by the PCI bus."""

import contextlib
import importlib
from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from agent.accelerators import nvml, pci
from agent.accelerators.nvml import Code
from agent.accelerators.vendor import EngineRequest, Grant, Probe
from headrace.nodes import Device
from headrace.refusals import Code as RefusalCode
from headrace.refusals import Refusal

_PCI_VENDOR = "10de"
# Display controllers, and 3D controllers without a display.
_PCI_CLASSES = ("0300", "0302")
_SHARED_NODES = ("dev/nvidiactl", "dev/nvidia-uvm", "dev/nvidia-uvm-tools")
_VISIBLE = "NVIDIA_VISIBLE_DEVICES"

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
    """NVIDIA's GPUs and their MIG devices. `library` is pynvml, imported late; `root` is where /sys and /dev are."""

    name = "nvidia"

    def __init__(self, library: Any = None, root: Path = Path("/")) -> None:
        self._library = library
        self._root = root
        self._open = False
        # By id: the minor number of those that can be given to a container; `None` where it is not known.
        self._minors: dict[str, int | None] = {}
        # By PCI address, as last read: a card that is lost does not tell its uuid any more.
        self._known: dict[str, tuple[Device, ...]] = {}

    def probe(self) -> Probe:
        """All GPUs, those that do not answer among them, and MIG devices in place of the GPUs that hold them."""
        cards = pci.functions(self._root, _PCI_VENDOR, _PCI_CLASSES)
        closed = self._opened()
        if closed is not None:
            self._minors = {}
            return _nothing(closed, cards)
        try:
            count = self._library.nvmlDeviceGetCount()
            version = self._library.nvmlSystemGetDriverVersion()
        except self._library.NVMLError as error:
            self._close()
            return _nothing(error.value, cards)
        self._minors = {}
        devices = tuple(sorted(self._devices(count, cards or ()), key=lambda device: device.index))
        notes = [*self._without_partitions(devices), *_left_out(devices, cards or ())]
        message = "; ".join([f"NVML, driver {version}: {len(devices)} devices on {count} GPUs", *notes])
        return Probe(devices, found=bool(count or cards), message=message, remedy=_remedy(devices))

    def sample(self, devices: Sequence[Device]) -> tuple[Device, ...]:
        """The same devices with new readings; one that does not answer is UNHEALTHY and says why."""
        closed = self._opened()
        if closed is not None:
            return tuple(nvml.lost(device, closed) for device in devices)
        return tuple(self._sampled(device) for device in devices)

    def grant(self, device_ids: Sequence[str]) -> Grant:
        """By uuid in all ways. A MIG device has no device node of its own that would do."""
        ids = tuple(dict.fromkeys(device_ids))
        unknown = [each for each in ids if each not in self._minors]
        if unknown:
            raise Refusal(
                RefusalCode.NOT_FOUND,
                "DEVICE_UNKNOWN",
                f"NVIDIA device {unknown[0]} is not here or does not answer; see `headrace-agent doctor`",
                device=unknown[0],
            )
        hidden = {_VISIBLE: "void"}
        if not ids:
            return Grant(environment=hidden, environment_without_runtime=hidden)
        return Grant(
            environment={_VISIBLE: ",".join(ids), "NVIDIA_DRIVER_CAPABILITIES": "compute,utility"},
            environment_without_runtime=hidden,
            cdi=tuple(f"nvidia.com/gpu={each}" for each in ids),
            runtime="nvidia",
            request=EngineRequest("nvidia", ids, ("gpu",)),
            device_nodes=(own := self._device_nodes(ids)),
            shared_nodes=tuple(f"/{node}" for node in _SHARED_NODES if own and (self._root / node).exists()),
        )

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
        except self._library.NVMLError as error:
            return int(error.value)
        self._open = True
        return None

    def _close(self) -> None:
        """Lets the next call open it anew, as a driver that was loaded again needs it."""
        self._open = False
        with contextlib.suppress(self._library.NVMLError):
            self._library.nvmlShutdown()

    def _devices(self, count: int, cards: tuple[pci.Function, ...]) -> Iterator[Device]:
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
            # It was here before, and is on the bus still: NVML leaves it out because it does not work.
            for address in (each for each in rest if each in self._known):
                yield from self._lost(self._known[address][0].index, address, Code.GPU_NOT_FOUND)

    def _read(self, handle: Any, index: int, address: str) -> tuple[Device, ...]:
        library = self._library
        device = self._described(handle, index, address)
        minor = nvml.ask(library, library.nvmlDeviceGetMinorNumber, handle)
        partitioned = nvml.ask(library, library.nvmlDeviceGetMigMode, handle)
        if partitioned and partitioned[0]:
            found = tuple(self._partitions(handle, index, address))
            self._minors.update(dict.fromkeys((each.id for each in found), None))
        else:
            found = (nvml.read(library, handle, device),)
            self._minors[device.id] = minor
        self._known[address] = found
        return found

    def _partitions(self, handle: Any, index: int, address: str) -> Iterator[Device]:
        library = self._library
        for place in range(library.nvmlDeviceGetMaxMigDeviceCount(handle)):
            partition = nvml.ask(library, library.nvmlDeviceGetMigDeviceHandleByIndex, handle, place)
            if partition is not None:
                device = self._described(partition, index, address)
                yield nvml.read_partition(library, partition, device)

    def _described(self, handle: Any, index: int, address: str) -> Device:
        return Device(
            id=self._library.nvmlDeviceGetUUID(handle),
            kind="gpu",
            vendor=self.name,
            model=self._library.nvmlDeviceGetName(handle),
            index=index,
            pci_address=address,
        )

    def _lost(self, index: int, address: str, code: int) -> tuple[Device, ...]:
        anonymous = Device(address or f"nvidia-{index}", "gpu", self.name, model="", index=index, pci_address=address)
        known = self._known.get(address) or (anonymous,)
        return tuple(nvml.lost(replace(device, index=index), code) for device in known)

    def _without_partitions(self, devices: tuple[Device, ...]) -> Iterator[str]:
        shown = [device.pci_address for device in devices]
        for address, known in self._known.items():
            if not known and address not in shown:
                make = "make some (`nvidia-smi mig -cgi`) or turn the mode off (`nvidia-smi -mig 0`)"
                yield f"the GPU at {address} is in MIG mode and has no MIG device: {make}"

    def _sampled(self, device: Device) -> Device:
        library = self._library
        try:
            handle = self._handle(device)
            if device.id.startswith("MIG-"):
                return nvml.read_partition(library, handle, device)
            return nvml.read(library, handle, device)
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

    def _device_nodes(self, ids: tuple[str, ...]) -> tuple[str, ...]:
        minors = [minor for each in ids if (minor := self._minors[each]) is not None]
        nodes = [f"dev/nvidia{minor}" for minor in minors]
        if len(nodes) < len(ids) or not all((self._root / node).exists() for node in nodes):
            return ()
        return tuple(f"/{node}" for node in nodes)


def _nothing(code: int, cards: tuple[pci.Function, ...] | None) -> Probe:
    on_the_bus = _on_the_bus(cards)
    if code in _CLOSED:
        message, remedy = _CLOSED[code]
        # A driver's library is at home on machines without a card too; there is nothing to be mended then.
        return Probe((), found=bool(cards), message=f"{message}; {on_the_bus}", remedy=remedy if cards != () else "")
    if code != Code.LIBRARY_NOT_FOUND:
        message, remedy = f"NVML does not open: {nvml.why(code)}", "look into the kernel's log; start the agent again"
        return Probe((), found=bool(cards), message=f"{message}; {on_the_bus}", remedy=remedy)
    message = f"NVML's library (libnvidia-ml.so.1) is not here; {on_the_bus}"
    return Probe((), found=bool(cards), message=message, remedy=_install(cards or ()))


def _install(cards: tuple[pci.Function, ...]) -> str:
    if not cards:
        return ""
    drivers = [card.driver for card in cards]
    if "nvidia" in drivers:
        return "the kernel driver is loaded: give the agent its libraries (in a container: the engine's nvidia runtime)"
    if all(driver == "vfio-pci" for driver in drivers):
        return "to use them here, take them from the virtual machine: unbind vfio-pci, then bind NVIDIA's driver"
    return "install NVIDIA's driver"


def _on_the_bus(cards: tuple[pci.Function, ...] | None) -> str:
    if cards is None:
        return "the PCI bus cannot be seen (no /sys/bus/pci)"
    if not cards:
        return "no NVIDIA card on the PCI bus"
    each = [f"{card.address} ({_PCI_VENDOR}:{card.device}, driver {card.driver or 'none'})" for card in cards]
    return f"on the PCI bus: {', '.join(each)}"


def _left_out(devices: tuple[Device, ...], cards: tuple[pci.Function, ...]) -> Iterator[str]:
    shown = [device.pci_address for device in devices]
    for card in cards:
        if card.driver != "nvidia" and card.address not in shown:
            yield f"the card at {card.address} is not the driver's (held by {card.driver or 'no driver'})"


def _remedy(devices: tuple[Device, ...]) -> str:
    return "; ".join(f"{device.id}: {device.health_reason}" for device in devices if device.health_reason)
