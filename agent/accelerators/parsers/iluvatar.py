"""Iluvatar: ixsmi's table, its queries in XML, text and CSV, and its lists."""

import re
from collections.abc import Callable

from agent.accelerators.parsers.cards import Card, as_reading, dead_sensor, driver_version, read_cards
from agent.accelerators.parsers.fields import Fields, Names, blocks, from_xml, processes, reading
from agent.accelerators.parsers.nvml_tools import listed, read_with_failures, topology
from agent.accelerators.parsers.queries import queried, query_rows
from agent.accelerators.parsers.text import line, whole
from agent.accelerators.readings import Command, Reading, Unreadable
from headrace.changes import replace
from headrace.nodes import Health

VENDOR = "iluvatar"

_PROGRAM = "ixsmi"
_ONE = r"(?:-i|--id)[= ]?\S+|-l|-lms \d+"
_STANDARD = (
    ("GPU  Name", "Bus-Id", "Clock-SM  Clock-Mem"),
    ("Fan  Temp  Perf  Pwr:Usage/Cap", "Memory-Usage", "GPU-Util  Compute M."),
)
_DEAD = "its power reads 65535 W, as that of a card which does not answer: reset it"
_DEVICE = re.compile(r"GPU ([0-9A-Fa-f]{4,8}:[0-9A-Fa-f]{2}:[0-9A-Fa-f]{2}\.[0-7])\s*")
_NAMES = Names(
    model=("product_name",),
    uuid=("uuid", "gpu_uuid"),
    serial=("serial", "serial_number"),
    pci_address=("pci/pci_bus_id", "pci/bus_id", "@id"),
    pci_id=("pci/pci_device_id", "pci/device_id"),
    memory=("memory_usage/total", "fb_memory_usage/total"),
    used=("memory_usage/used", "fb_memory_usage/used"),
    busy=("utilization/gpu_util", "utilization/gpu"),
    temperature=("temperature/gpu_temp", "temperature/gpu_current_temp"),
    # A board of two chips tells its power at the second; of the first the chip's own is not known.
    power=(
        *("power_readings/gpu_power_draw", "power_readings/power_draw", "power_readings/chip_power_draw"),
        "power_readings/board_power_draw",
    ),
    power_limit=(
        *("power_readings/current_gpu_power_limit", "power_readings/power_limit"),
        *("power_readings/default_gpu_power_limit", "power_readings/current_board_power_limit"),
    ),
)


def _table(text: str) -> tuple[Reading, ...]:
    cards = read_cards(text, _STANDARD)
    if not cards:
        raise Unreadable("expected ixsmi's table with a box for each device, and there is none")
    return tuple(replace(_card(card), driver_version=driver_version(text)) for card in cards)


def _card(card: Card) -> Reading:
    found = as_reading(card, vendor=VENDOR, busy_name="GPU-Util")
    if dead_sensor([card.cell("pwr")]):
        return replace(found, health=Health.UNHEALTHY, health_reason=_DEAD)
    return found


def _xml(text: str) -> tuple[Reading, ...]:
    head, devices = from_xml(text, root="ixsmi_log")
    if not devices and head.first("attached_gpus") != "0":
        raise Unreadable("expected an element <gpu> for each device, and there is none")
    return tuple(_device(fields, head.first("driver_version")) for fields in devices)


def _text(text: str) -> tuple[Reading, ...]:
    head, devices = blocks(text, _DEVICE)
    if not devices and head.first("attached_gpus") != "0":
        raise Unreadable('expected a line "GPU 00000000:01:00.0" above the values of each device, and there is none')
    return tuple(
        _device(Fields((("@id", found[1]), *fields.items)), head.first("driver_version")) for found, fields in devices
    )


def _device(fields: Fields, driver: str | None) -> Reading:
    health, reason = Health.UNKNOWN, ""
    errors = whole(fields.first("ecc_errors/double_bit", "ecc_errors/volatile/double_bit"))
    if dead_sensor([fields.raw("power_readings/gpu_power_draw"), fields.raw("power_readings/board_power_draw")]):
        health, reason = Health.UNHEALTHY, _DEAD
    elif errors:
        health, reason = Health.UNHEALTHY, f"{errors} uncorrected memory errors"
    elif errors == 0:
        health = Health.HEALTHY
    several = (fields.first("multigpu_board") or "").lower() == "yes"
    return replace(
        reading(VENDOR, "gpu", fields, _NAMES),
        driver_version=driver,
        board=fields.first("board_id") if several else None,
        health=health,
        health_reason=reason,
        processes=processes(fields),
    )


def _csv(command: str, text: str) -> tuple[Reading, ...]:
    def parse(output: str) -> tuple[Reading, ...]:
        return tuple(_of_row(row) for row in query_rows(command, output))

    return read_with_failures(text, VENDOR, parse)


def _of_row(row: dict[str, str]) -> Reading:
    dead = any((whole(row.get(name)) or 0) > 65_000 for name in ("power.draw", "gpu.power.draw"))
    device = queried(row, VENDOR)
    return replace(device, health=Health.UNHEALTHY, health_reason=_DEAD) if dead else device


def _with_failures(parse: Callable[[str], tuple[Reading, ...]]) -> Callable[[str], tuple[Reading, ...]]:
    return lambda text: read_with_failures(text, VENDOR, parse)


def _by_lines(_text: str) -> tuple[Reading, ...]:
    raise Unreadable("its columns are those that its command line asks for, which is not known here")


COMMANDS = (
    Command("ixsmi", line(_PROGRAM, also=_ONE), _with_failures(_table)),
    Command("ixsmi -q", line(_PROGRAM, "-q|--query", also=rf"{_ONE}|-d \S+"), _with_failures(_text)),
    Command(
        "ixsmi -q -x",
        line(_PROGRAM, "-q|--query", "-x|--xml-format", also=rf"{_ONE}|-d \S+|-f \S+"),
        _with_failures(_xml),
    ),
    Command(
        "ixsmi --query-gpu=FIELDS --format=csv",
        line(_PROGRAM, r"--query-gpu[= ]\S+", also=rf"{_ONE}|--format[= ]\S+"),
        _by_lines,
        _csv,
    ),
    Command("ixsmi -L", line(_PROGRAM, "-L|--list-gpus"), _with_failures(lambda text: listed(text, VENDOR))),
    Command(
        "ixsmi topo -m",
        line(_PROGRAM, "topo", "-m|--matrix"),
        _with_failures(lambda text: topology(text, VENDOR, link="ixlink")),
    ),
)
