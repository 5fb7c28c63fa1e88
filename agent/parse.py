"""`headrace-agent parse`: a saved output of a vendor's tool as JSON, with the same words for all vendors."""

import json
import sys
from collections.abc import Iterable, Sequence
from pathlib import Path

from agent.accelerators.parsers.text import MIB
from agent.accelerators.readings import Reading
from headrace.nodes import Health
from headrace.refusals import Code, Refusal

# The longest output known has 75 kB a device.
_LONGEST_BYTES = 8 * MIB

# What is left out where it is not known. What everybody asks for is always there, null where it is not known.
_FURTHER = (
    *("kind", "index", "serial", "pci_address", "pci_id", "board", "partition", "partition_of", "driver_version"),
    *("busy_name", "numa_node", "health_reason", "device_nodes"),
)
_NOTHING: tuple[object, ...] = ("", (), [])


def read_output(file: str) -> str:
    """The text of a file, or of standard input for "-", whatever bytes it has."""
    try:
        if file == "-":
            data = sys.stdin.buffer.read(_LONGEST_BYTES + 1)
        else:
            with Path(file).open("rb") as opened:
                data = opened.read(_LONGEST_BYTES + 1)
    except (OSError, ValueError) as error:
        raise Refusal(
            Code.NOT_FOUND, "FILE_UNREADABLE", f"FILE {file!r}: {error}; name a file that can be read"
        ) from error
    if len(data) > _LONGEST_BYTES:
        raise Refusal(
            Code.OUT_OF_RANGE,
            "OUTPUT_TOO_LONG",
            f"FILE {file!r} has over {_LONGEST_BYTES // MIB} MiB, which no tool prints; save the output of one call",
        )
    return data.decode("utf-8", "replace")


def devices_as_json(readings: Sequence[Reading]) -> str:
    """Devices as a JSON list; those that are parts of another one stand in it, as its partitions."""
    parts: dict[int, list[Reading]] = {}
    for reading in readings:
        whole = _whole_of(reading, readings)
        if whole is not None:
            parts.setdefault(whole, []).append(reading)
    inside = [id(part) for found in parts.values() for part in found]
    devices = [
        {**_shown(reading), **({"partitions": [_shown(part) for part in parts[place]]} if place in parts else {})}
        for place, reading in enumerate(readings)
        if id(reading) not in inside
    ]
    return json.dumps(devices, indent=2)


def _whole_of(reading: Reading, readings: Iterable[Reading]) -> int | None:
    if not reading.partition_of:
        return None
    for place, whole in enumerate(readings):
        names = (whole.uuid, whole.pci_address, whole.serial, None if whole.index is None else str(whole.index))
        if whole.partition is None and whole is not reading and reading.partition_of in names:
            return place
    return None


def _shown(reading: Reading) -> dict[str, object]:
    further = {
        **{name: getattr(reading, name) for name in _FURTHER},
        "power_limit_w": _plain(reading.power_limit_watts),
        "unified_memory": reading.unified_memory or None,
        "links": [{"peer": link.peer, "kind": link.kind, "count": link.count} for link in reading.links],
        "processes": [
            {"pid": process.pid, "name": process.name, "used_mib": _mib(process.memory_bytes)}
            for process in reading.processes
        ],
    }
    return {
        "vendor": reading.vendor,
        "model": reading.model,
        "uuid": reading.uuid,
        "memory_mib": _mib(reading.memory_bytes),
        "used_mib": _mib(reading.memory_used_bytes),
        "utilisation_percent": _plain(reading.busy_percent),
        "temperature_c": _plain(reading.temperature_celsius),
        "power_w": _plain(reading.power_watts),
        "health": None if reading.health is Health.UNKNOWN else reading.health.name.lower(),
        **{name: value for name, value in further.items() if value is not None and value not in _NOTHING},
    }


def _mib(amount_bytes: int | None) -> int | None:
    return None if amount_bytes is None else amount_bytes // MIB


def _plain(value: float | None) -> float | int | None:
    return int(value) if value is not None and value.is_integer() else value
