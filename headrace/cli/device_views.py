"""Devices for people, of all vendors in the same columns. What a device does not say is "-", never 0."""

from collections.abc import Iterable

from headrace import units
from headrace.cli import words
from headrace.v1.node_pb2 import Device

HEADINGS = ("ID", "KIND", "VENDOR", "MODEL", "MEMORY USED", "BUSY", "TEMP", "POWER", "HEALTH")


def row(device: Device) -> tuple[str, ...]:
    """A device in the columns of HEADINGS."""
    return (device.id, device.kind, device.vendor, device.model, memory(device), *figures(device), health(device))


def memory(device: Device) -> str:
    """What of its memory is used, and all of it: "1.00GiB of 80.0GiB"."""
    if not device.HasField("memory_bytes"):
        return units.rounded_bytes(device.memory_used_bytes) if device.HasField("memory_used_bytes") else ""
    used = units.rounded_bytes(device.memory_used_bytes) if device.HasField("memory_used_bytes") else "?"
    return f"{used} of {units.rounded_bytes(device.memory_bytes)}"


def figures(device: Device) -> tuple[str, str, str]:
    """How busy, how hot, how much power."""
    return (
        f"{device.busy_percent:.0f} %" if device.HasField("busy_percent") else "",
        f"{device.temperature_celsius:.0f} °C" if device.HasField("temperature_celsius") else "",
        f"{device.power_watts:.0f} W" if device.HasField("power_watts") else "",
    )


def health(device: Device) -> str:
    """Its health, and why it is not well."""
    state = words.enum_name(Device.Health, device.health) if device.health else "unknown"
    return f"{state}: {device.health_reason}" if device.health_reason else state


def links(device: Device, index_of: dict[str, int]) -> str:
    """What it is linked to, by the numbers of the devices of its node: "nvlink 1, 2; pcie 3"."""
    peers: dict[str, list[str]] = {}
    for link in device.links:
        shown = str(index_of.get(link.peer, link.peer))
        peers.setdefault(link.kind, []).append(f"{shown} (x{link.count})" if link.HasField("count") else shown)
    return "; ".join(f"{kind} {', '.join(names)}" for kind, names in peers.items())


def table(devices: Iterable[Device]) -> list[str]:
    """The devices of one node under their headings; links only where there are any."""
    found = list(devices)
    index_of = {device.id: device.index for device in found}
    linked = any(device.links for device in found)
    headings = (*HEADINGS, *(("LINKS",) if linked else ()), "HELD BY")
    rows = [
        (*row(device), *((links(device, index_of),) if linked else ()), ", ".join(device.holders)) for device in found
    ]
    return words.columns(headings, rows)
