"""Moore Threads: mthreads-gmi's table, and its query in text and JSON (the query after its documented names)."""

import json
import re
from collections.abc import Callable, Iterator

from agent.accelerators.parsers.cards import Card, as_reading, driver_version, read_cards, used_and_total
from agent.accelerators.parsers.fields import Fields, Names, blocks, processes, reading
from agent.accelerators.parsers.nvml_tools import listed, read_with_failures
from agent.accelerators.parsers.text import line
from agent.accelerators.readings import Command, Reading, Unreadable
from headrace.changes import replace

VENDOR = "mthreads"

_STANDARD = (("ID   Name", "PCIe", "%GPU  Mem"), ("Device Type", "Pcie Lane Width", "Temp  MPC Capable"))
_NAMES = Names(
    model=("product_name", "name", "gpu_name"),
    uuid=("gpu_uuid", "uuid"),
    serial=("serial_number", "serial", "sn"),
    pci_address=("pci/bus_id", "pcie/bus_id", "pci_bus_id", "bus_id", "pcie", "pci", "@id"),
    memory=("fb_memory_usage/total", "memory_usage/total", "memory/total", "memory_total", "*/total"),
    used=("fb_memory_usage/used", "memory_usage/used", "memory/used", "memory_used", "*/used"),
    busy=("utilization/gpu", "gpu_utilization", "utilization_gpu", "*/gpu"),
    temperature=("temperature/gpu_current_temp", "gpu_current_temp", "temperature", "*/gpu_current_temp"),
    power=("power_readings/power_draw", "power/power_draw", "power_draw", "*/power_draw"),
    power_limit=("power_readings/power_limit", "power_limit", "*/power_limit"),
)
_DEVICE = re.compile(r"GPU\s?#?(\d{0,4})\s*:?\s*((?:[0-9A-Fa-f]{4,8}:)?[0-9A-Fa-f]{2}:[0-9A-Fa-f]{2}\.[0-7])?\s*")


def _table(text: str) -> tuple[Reading, ...]:
    # Its bars stand between columns only; with one in front, its lines are those of a box.
    boxed = "\n".join("|" + one if "|" in one or one.startswith("Process") else one for one in text.split("\n"))
    cards = read_cards(boxed, _STANDARD, "%gpu")
    if not cards:
        raise Unreadable("expected mthreads-gmi's table with some lines for each device, and there are none")
    return tuple(replace(_card(card), driver_version=driver_version(text)) for card in cards)


def _card(card: Card) -> Reading:
    used, total = used_and_total(card.cell("mem").partition("%")[2])
    found = as_reading(card, vendor=VENDOR, busy_name="%GPU", busy_cell="%gpu")
    return replace(found, memory_bytes=total, memory_used_bytes=used)


def _text(text: str) -> tuple[Reading, ...]:
    head, devices = blocks(text, _DEVICE)
    if not devices:
        raise Unreadable('expected a line "GPU…" above the values of each device, and there is none')
    return tuple(
        _device(
            Fields((("@id", found[2] or ""), *fields.items)),
            int(found[1]) if found[1] else None,
            head.first("driver_version"),
        )
        for found, fields in devices
    )


def _json(text: str) -> tuple[Reading, ...]:
    try:
        told = json.loads(text)
        head = Fields(tuple(_flat("", told)))
        devices = next((one for one in (told, *_values(told)) if isinstance(one, list) and one), [])
        fields = [Fields(tuple(_flat("", device))) for device in devices]
    except (ValueError, RecursionError) as error:
        raise Unreadable(f"expected JSON: {error}") from error
    if not any(one.items for one in fields):
        raise Unreadable("expected a list of devices, and there is none")
    return tuple(_device(one, index, head.first("driver_version")) for index, one in enumerate(fields))


def _values(told: object) -> list[object]:
    return list(told.values()) if isinstance(told, dict) else []


def _flat(above: str, told: object) -> Iterator[tuple[str, str]]:
    if isinstance(told, dict):
        for name, value in told.items():
            path = re.sub(r"[^a-z0-9]+", "_", name.lower()).strip("_")
            yield from _flat(f"{above}/{path}" if above else path, value)
    elif isinstance(told, str | int | float):
        yield above, str(told)


def _device(fields: Fields, index: int | None, driver: str | None) -> Reading:
    device = reading(VENDOR, "gpu", fields.with_names_alone(), _NAMES)
    return replace(
        device,
        index=index,
        driver_version=fields.first("driver_version") or driver,
        processes=processes(fields),
    )


def _with_failures(parse: Callable[[str], tuple[Reading, ...]]) -> Callable[[str], tuple[Reading, ...]]:
    return lambda text: read_with_failures(text, VENDOR, parse)


COMMANDS = (
    Command("mthreads-gmi", line("mthreads-gmi", also=r"-cf|-i \S+"), _with_failures(_table)),
    Command("mthreads-gmi -q", line("mthreads-gmi", "-q|--query", also=r"-i \S+|-d \S+"), _with_failures(_text)),
    Command(
        "mthreads-gmi -q -j",
        line("mthreads-gmi", "-q|--query", "-j|--json", also=r"-i \S+|-d \S+"),
        _with_failures(_json),
    ),
    Command(
        "mthreads-gmi -L",
        line("mthreads-gmi", "-L|--list"),
        _with_failures(lambda text: listed(text, VENDOR)),
    ),
)
