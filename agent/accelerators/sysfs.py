"""What sysfs tells of cards of which no tool need be asked, or none can be."""

from pathlib import Path

from agent.accelerators import pci
from agent.accelerators.parsers.table import readings_of
from agent.accelerators.pci import Function
from agent.accelerators.readings import Reading
from headrace.nodes import Health, Link
from headrace.refusals import Refusal

_LOAD = "sys/kernel/debug/rknpu/load"
_LOAD_COMMAND = f"cat /{_LOAD}"
_NEURON = Path("sys/devices/virtual/neuron_device")


def neuron(root: Path, cards: tuple[Function, ...]) -> tuple[Reading, ...]:
    """AWS Neuron devices: their driver tells nearly all."""
    folders = sorted((root / _NEURON).glob("neuron[0-9]*"), key=lambda each: pci.by_number(each.name))
    folders = [each for each in folders if each.name.removeprefix("neuron").isdigit()]
    # The driver counts its devices by their place on the bus where it does not say which is which.
    places = [card.address for card in cards] if len(cards) == len(folders) else []
    return tuple(_neuron(folder, places[at] if places else None) for at, folder in enumerate(folders))


def _neuron(folder: Path, address: str | None) -> Reading:
    number = int(folder.name.removeprefix("neuron"))
    broken = {
        name: count
        for name in ("mem_ecc_uncorrected", "sram_ecc_uncorrected")
        if (count := _number(folder / "stats/hardware" / name)) is not None
    }
    ill = [f"{count} {name}" for name, count in broken.items() if count]
    own = pci.text_of(folder / "info/bdf") or pci.text_of(folder / "pci_bdf")
    peers = [each.strip() for each in pci.text_of(folder / "connected_devices").split(",")]
    used = [
        value
        for present in sorted(folder.glob("neuron_core*/stats/memory_usage/device_mem/*/present"))
        if (value := _number(present)) is not None
    ]
    return Reading(
        vendor="aws",
        kind="npu",
        index=number,
        model=pci.text_of(folder / "info/architecture/device_name") or None,
        serial=pci.text_of(folder / "info/serial_number") or None,
        pci_address=own or address,
        memory_used_bytes=sum(used) if used else None,
        health=Health.UNHEALTHY if ill else Health.HEALTHY if broken else Health.UNKNOWN,
        health_reason="; ".join(ill),
        links=tuple(Link(each, "neuronlink") for each in peers if each.isdigit()),
        device_nodes=(f"/dev/neuron{number}",),
    )


def intel(root: Path, cards: tuple[Function, ...]) -> tuple[Reading, ...]:
    """Intel's GPUs and NPUs: sensors of their hwmon; memory where the driver tells it."""
    return tuple(_intel(root, card) for card in cards if card.driver in ("i915", "xe", "intel_vpu"))


def _intel(root: Path, card: Function) -> Reading:
    folder = pci.folder_of(root, card.address)
    is_npu = card.pci_class.startswith("12")
    sensors = next(iter(sorted((folder / "hwmon").glob("hwmon*"))), folder / "none")
    limit = _number(sensors / "power1_max")
    memory = next(
        (size for each in sorted((folder / "drm").glob("card*")) if (size := _number(each / "lmem_total_bytes"))), None
    )
    milli = _number(sensors / "temp1_input")
    milli = _number(sensors / "temp2_input") if milli is None else milli
    return Reading(
        vendor="intel",
        kind="npu" if is_npu else "gpu",
        pci_address=card.address,
        pci_id=card.pci_id,
        memory_bytes=memory,
        temperature_celsius=None if milli is None else milli / 1000,
        power_limit_watts=None if not limit else limit / 1e6,
        driver_version=pci.text_of(root / "sys/module" / card.driver / "version") or None,
        unified_memory=is_npu,
    )


def by_model(
    _root: Path, cards: tuple[Function, ...], *, vendor: str, kind: str, memory_bytes: dict[str, int]
) -> tuple[Reading, ...]:
    """Cards whose device id says their memory, as of clouds that sell one size of each."""
    return tuple(
        Reading(
            vendor=vendor,
            kind=kind,
            index=number,
            pci_address=card.address,
            pci_id=card.pci_id,
            memory_bytes=memory_bytes.get(card.device),
        )
        for number, card in enumerate(cards)
        if card.driver
    )


def rockchip(root: Path, _cards: tuple[Function, ...]) -> tuple[Reading, ...]:
    """The NPU of a Rockchip processor: part of it, without a bus; its memory is the node's."""
    compatible = pci.text_of(root / "proc/device-tree/compatible").split("\x00")
    model = next((each.removeprefix("rockchip,") for each in compatible if each.startswith("rockchip,rk")), "")
    if not model:
        return ()
    zones = sorted((root / "sys/class/thermal").glob("thermal_zone*"))
    milli = next((_number(zone / "temp") for zone in zones if "npu" in pci.text_of(zone / "type")), None)
    try:
        load = readings_of(_LOAD_COMMAND, pci.text_of(root / _LOAD))[0]
    except (Refusal, IndexError):
        # Only root may read it, and not every system mounts debugfs.
        load = Reading(vendor="rockchip", kind="npu")
    return (
        Reading(
            vendor="rockchip",
            kind="npu",
            index=0,
            model=model.upper(),
            busy_percent=load.busy_percent,
            busy_name=load.busy_name,
            temperature_celsius=None if milli is None else milli / 1000,
            driver_version=pci.text_of(root / "sys/module/rknpu/version") or None,
            unified_memory=True,
        ),
    )


def _number(path: Path) -> int | None:
    text = pci.text_of(path)
    return int(text) if text.isdigit() else None
