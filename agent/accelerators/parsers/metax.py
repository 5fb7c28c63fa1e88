"""MetaX: mx-smi's table over its versions, what it shows in sections, its list, and its matrix of links."""

import re
from collections.abc import Callable

from agent.accelerators.parsers.cards import Card, as_reading, driver_version, read_cards
from agent.accelerators.parsers.fields import Fields, Names, blocks, reading
from agent.accelerators.parsers.nvml_tools import listed, read_with_failures, topology
from agent.accelerators.parsers.text import line, told, whole
from agent.accelerators.readings import Command, Reading, Unreadable
from headrace.changes import replace
from headrace.nodes import Health

VENDOR = "metax"

# The same chips are sold under another brand, with its own name for the tool.
_PROGRAM = "(?:mx|ht)-smi"

_STANDARD = (
    ("GPU         NAME", "Bus-id", "GPU-Util"),
    ("Temp        Pwr:Usage/Cap", "Memory-Usage", "GPU-State"),
)
# "xtt" is the host's memory.
_NAMES = Names(
    uuid=("uuid", "gpu_uuid"),
    serial=("serial_number", "serial", "sn"),
    memory=("memory/vram_total", "memory/vis_vram_total"),
    used=("memory/vram_used", "memory/vis_vram_used"),
    busy=("utilization/gpu",),
    temperature=("chip_temperature/hotspot", "temperature/hotspot"),
    power=("board_power/total", "board_power/power", "power/total"),
    power_limit=("board_power/power_limit", "board_power_limit", "power_limit"),
)
_DEVICE = re.compile(r"GPU#(\d{1,5})\s+(.*)")
_FIELD = r"--show-[a-z-]+|--count-ecc|(?:-i|--id)[= ]\S+"


def _table(text: str) -> tuple[Reading, ...]:
    cards = read_cards(text, _STANDARD)
    if not cards:
        raise Unreadable("expected mx-smi's table with a box for each device, and there is none")
    return tuple(replace(_card(card), driver_version=driver_version(text)) for card in cards)


def _card(card: Card) -> Reading:
    found = as_reading(card, vendor=VENDOR, busy_name="GPU-Util")
    health, reason = _health(card.cell("state"))
    found = replace(found, health=health, health_reason=reason)
    if card.index is None or "board" not in card.header[0][0].lower():
        return found
    # Since 2.2.9 a board may have several devices, and the first number is the board's.
    return replace(found, index=whole(card.cell("persist")), board=str(card.index))


def _health(state: str) -> tuple[Health, str]:
    if told(state) is None:
        return Health.UNKNOWN, ""
    if state.lower() == "available":
        return Health.HEALTHY, ""
    return Health.UNHEALTHY, f"its tool says: {state}"


def _sections(text: str) -> tuple[Reading, ...]:
    _head, devices = blocks(text, _DEVICE)
    if not devices:
        raise Unreadable('expected a line "GPU#0  NAME  ADDRESS" above the values of each device, and there is none')
    return tuple(_device(found[0], fields) for found, fields in devices)


def _device(title: str, fields: Fields) -> Reading:
    named, values = listed(title, VENDOR)[0], reading(VENDOR, "gpu", fields, _NAMES)
    return replace(
        values,
        index=named.index,
        model=named.model,
        uuid=named.uuid or values.uuid,
        pci_address=named.pci_address,
        health=named.health,
        health_reason=named.health_reason,
    )


def _with_failures(parse: Callable[[str], tuple[Reading, ...]]) -> Callable[[str], tuple[Reading, ...]]:
    return lambda text: read_with_failures(text, VENDOR, parse)


COMMANDS = (
    Command("mx-smi", line(_PROGRAM, also=r"(?:-i|--id)[= ]\S+"), _with_failures(_table)),
    Command("mx-smi --show-…", line(_PROGRAM, "--show-[a-z-]+|--count-ecc", also=_FIELD), _with_failures(_sections)),
    Command("mx-smi -L", line(_PROGRAM, "-L|--list"), _with_failures(lambda text: listed(text, VENDOR))),
    Command(
        "mx-smi topo -m",
        line(_PROGRAM, "topo", "-m|--matrix"),
        _with_failures(lambda text: topology(text, VENDOR, link="metaxlink")),
    ),
)
