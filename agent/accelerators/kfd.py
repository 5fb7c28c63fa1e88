"""AMD's GPUs, and others that have its kernel driver's interface, as sysfs tells them: nobody else need be asked."""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from agent.accelerators import pci
from agent.accelerators.pci import Function
from agent.accelerators.readings import Reading
from headrace.changes import replace
from headrace.nodes import Health, Link

_TOPOLOGY = Path("sys/class/kfd/kfd/topology/nodes")
# Of enum CRAT_IOLINK_TYPE in the kernel.
_LINKS = {2: "pcie", 11: "xgmi"}
# Sensors of the chip's hottest place, then of its edge.
_TEMPERATURES = ("junction", "edge")


@dataclass(frozen=True, slots=True)
class _Node:
    """One GPU, or one partition of it, as the compute driver counts them."""

    number: int
    address: str
    properties: dict[str, int]
    folder: Path


def read(root: Path, cards: tuple[Function, ...], *, vendor: str) -> tuple[Reading, ...]:
    """All that sysfs tells of these cards, those without a driver left out."""
    nodes = tuple(_nodes(root))
    ids = {node.number: _id(root, node, nodes) for node in nodes}
    readings: list[Reading] = []
    skipped = 0
    for card in cards:
        if not card.driver or card.driver == pci.PASSED_ON:
            skipped += 1
            continue
        mine = [node for node in nodes if node.address.rpartition(".")[0] == card.address.rpartition(".")[0]]
        whole = _card(root, card, vendor)
        if not mine:
            readings.append(replace(whole, index=skipped + len(readings)))
        for node in mine:
            readings.append(replace(_partition(whole, node, mine, ids), index=skipped + len(readings)))
    return tuple(readings)


def _card(root: Path, card: Function, vendor: str) -> Reading:
    folder = pci.folder_of(root, card.address)
    sensors = next(iter(sorted((folder / "hwmon").glob("hwmon*"))), folder / "none")
    micro_watts = _number(sensors / "power1_average")
    micro_watts = _number(sensors / "power1_input") if micro_watts is None else micro_watts
    cap = _number(sensors / "power1_cap")
    busy = _number(folder / "gpu_busy_percent")
    temperature = _temperature(sensors)
    health, reason = _health(folder)
    return Reading(
        vendor=vendor,
        kind="gpu",
        model=pci.text_of(folder / "product_name") or None,
        uuid=_uuid(pci.text_of(folder / "unique_id")),
        serial=pci.text_of(folder / "serial_number") or None,
        pci_address=card.address,
        pci_id=card.pci_id,
        memory_bytes=_number(folder / "mem_info_vram_total"),
        memory_used_bytes=_number(folder / "mem_info_vram_used"),
        busy_percent=None if busy is None else float(busy),
        busy_name=None if busy is None else "gpu_busy_percent",
        temperature_celsius=temperature,
        power_watts=None if micro_watts is None else micro_watts / 1e6,
        power_limit_watts=None if cap is None else cap / 1e6,
        driver_version=pci.text_of(root / "sys/module" / card.driver / "version") or None,
        health=health,
        health_reason=reason,
    )


def _partition(whole: Reading, node: _Node, mine: list[_Node], ids: dict[int, str]) -> Reading:
    minor = node.properties.get("drm_render_minor")
    one = replace(
        whole,
        links=tuple(_links(node, ids)),
        device_nodes=(f"/dev/dri/renderD{minor}",) if minor else (),
    )
    if len(mine) == 1:
        return one
    # Each has its part of the memory; the rest of what sysfs tells is of the whole card, and would count many times.
    return replace(
        one,
        uuid=ids[node.number],
        board=whole.uuid or whole.pci_address,
        partition=f"1 of {len(mine)}",
        memory_bytes=_memory(node),
        memory_used_bytes=None,
        busy_percent=None,
        busy_name=None,
        power_watts=None,
        power_limit_watts=None,
    )


def _id(root: Path, node: _Node, nodes: tuple[_Node, ...]) -> str:
    """By what the device is called: the card's unique id, with a number where it is one of several parts."""
    name = _uuid(pci.text_of(pci.folder_of(root, node.address) / "unique_id")) or node.address
    parts = [other.number for other in nodes if other.address == node.address]
    return name if len(parts) == 1 else f"{name}-{parts.index(node.number)}"


def _nodes(root: Path) -> Iterator[_Node]:
    folders = sorted((root / _TOPOLOGY).glob("[0-9]*"), key=lambda folder: pci.by_number(folder.name))
    for folder in folders:
        properties = _properties(folder / "properties")
        if properties.get("simd_count"):
            place = properties.get("location_id", 0)
            domain = properties.get("domain", 0)
            address = f"{domain:04x}:{place >> 8 & 0xFF:02x}:{place >> 3 & 0x1F:02x}.0"
            yield _Node(int(folder.name), address, properties, folder)


def _links(node: _Node, ids: dict[int, str]) -> Iterator[Link]:
    for folder in sorted((node.folder / "io_links").glob("[0-9]*"), key=lambda each: pci.by_number(each.name)):
        properties = _properties(folder / "properties")
        kind, peer = _LINKS.get(properties.get("type", 0)), ids.get(properties.get("node_to", -1))
        # By PCIe all reach each other.
        if kind == "xgmi" and peer is not None and peer != ids[node.number]:
            yield Link(peer, kind)


def _memory(node: _Node) -> int | None:
    sizes = [
        _properties(bank / "properties").get("size_in_bytes") for bank in sorted((node.folder / "mem_banks").glob("*"))
    ]
    known = [size for size in sizes if size]
    return sum(known) if known else None


def _temperature(sensors: Path) -> float | None:
    labels = {pci.text_of(each): each.name.removesuffix("_label") for each in sorted(sensors.glob("temp*_label"))}
    for label in _TEMPERATURES:
        if label in labels and (milli := _number(sensors / f"{labels[label]}_input")) is not None:
            return milli / 1000
    milli = _number(sensors / "temp1_input")
    return None if milli is None else milli / 1000


def _health(folder: Path) -> tuple[Health, str]:
    """By the uncorrected errors of each block of the chip that counts them."""
    counts: dict[str, int] = {}
    for file in sorted((folder / "ras").glob("*_err_count")):
        for line in pci.text_of(file).splitlines():
            name, _, count = line.partition(":")
            if name.strip() == "ue" and count.strip().isdigit():
                counts[file.name.removesuffix("_err_count")] = int(count)
    ill = [f"{count} uncorrected errors in {name}" for name, count in counts.items() if count]
    if ill:
        return Health.UNHEALTHY, f"{'; '.join(ill)} since its driver was loaded: reset it"
    return (Health.HEALTHY if counts else Health.UNKNOWN), ""


def _uuid(unique_id: str) -> str | None:
    """As the runtime's own libraries spell it, so that it can be handed to them."""
    digits = unique_id.removeprefix("0x").lower()
    return f"GPU-{digits}" if digits.strip("0") else None


def _properties(path: Path) -> dict[str, int]:
    found: dict[str, int] = {}
    for line in pci.text_of(path).splitlines():
        name, _, value = line.partition(" ")
        if value.strip().isdigit():
            found[name] = int(value)
    return found


def _number(path: Path) -> int | None:
    text = pci.text_of(path)
    return int(text) if text.isdigit() else None
