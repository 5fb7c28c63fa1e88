"""T-Head: ppu-smi's queries in CSV and text, and its list. Written after their documentation; none was recorded."""

import re

from agent.accelerators.parsers.fields import Fields, Names, blocks, processes, reading
from agent.accelerators.parsers.nvml_tools import listed, read_with_failures
from agent.accelerators.parsers.queries import queried, query_rows
from agent.accelerators.parsers.text import line
from agent.accelerators.readings import Command, Reading, Unreadable
from headrace.changes import replace

VENDOR = "thead"

_NAMES = Names(
    model=("product_name",),
    uuid=("ppu_uuid", "gpu_uuid", "uuid"),
    serial=("serial_number", "serial"),
    pci_address=("pci/bus_id", "@id"),
    pci_id=("pci/device_id",),
    memory=("fb_memory_usage/total", "memory_usage/total"),
    used=("fb_memory_usage/used", "memory_usage/used"),
    busy=("utilization/ppu", "utilization/gpu"),
    temperature=("temperature/ppu_current_temp", "temperature/gpu_current_temp"),
    power=("ppu_power_readings/power_draw", "gpu_power_readings/power_draw", "power_readings/power_draw"),
    power_limit=(
        *("ppu_power_readings/current_power_limit", "gpu_power_readings/current_power_limit"),
        *("power_readings/power_limit", "power_readings/enforced_power_limit"),
    ),
)
_DEVICE = re.compile(r"[PG]PU ([0-9A-Fa-f]{4,8}:[0-9A-Fa-f]{2}:[0-9A-Fa-f]{2}\.[0-7])\s*")


def _text(text: str) -> tuple[Reading, ...]:
    head, devices = blocks(text, _DEVICE)
    if not devices:
        raise Unreadable('expected a line "PPU 00000000:01:00.0" above the values of each device, and there is none')
    return tuple(
        replace(
            reading(VENDOR, "gpu", Fields((("@id", found[1]), *fields.items)), _NAMES),
            driver_version=head.first("driver_version"),
            processes=processes(fields),
        )
        for found, fields in devices
    )


def _csv(command: str, text: str) -> tuple[Reading, ...]:
    def parse(output: str) -> tuple[Reading, ...]:
        return tuple(queried(row, VENDOR) for row in query_rows(command, output))

    return read_with_failures(text, VENDOR, parse)


def _by_lines(_text: str) -> tuple[Reading, ...]:
    raise Unreadable("its columns are those that its command line asks for, which is not known here")


COMMANDS = (
    Command(
        "ppu-smi --query-gpu=FIELDS --format=csv",
        line("ppu-smi", r"--query-(?:gpu|ppu)[= ]\S+", also=r"--format[= ]\S+|(?:-i|--id)[= ]\S+"),
        _by_lines,
        _csv,
    ),
    Command(
        "ppu-smi -q",
        line("ppu-smi", "-q|--query", also=r"-d \S+|(?:-i|--id)[= ]\S+"),
        lambda text: read_with_failures(text, VENDOR, _text),
    ),
    Command(
        "ppu-smi -L",
        line("ppu-smi", "-L|--list-gpus|--list-ppus"),
        lambda text: read_with_failures(text, VENDOR, lambda output: listed(output, VENDOR)),
    ),
)
