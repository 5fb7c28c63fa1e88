"""Answers to queries in CSV (`--query-gpu=name,memory.total --format=csv`), with and without header and units."""

import csv
import re
from collections.abc import Mapping, Sequence
from dataclasses import fields

from agent.accelerators.parsers.fields import Names
from agent.accelerators.parsers.text import celsius, memory, pci_address, pci_id, percent, told, watts, whole
from agent.accelerators.readings import Reading, Unreadable

# Columns as NVIDIA names them, and those after it, over their versions.
COLUMNS = Names(
    model=("name", "gpu_name", "ppu_name"),
    uuid=("uuid", "gpu_uuid", "ppu_uuid"),
    serial=("serial", "gpu_serial", "ppu_serial"),
    pci_address=("pci.bus_id", "gpu_bus_id", "ppu_bus_id"),
    pci_id=("pci.device_id",),
    memory=("memory.total",),
    used=("memory.used",),
    busy=("utilization.gpu", "utilization.ppu"),
    temperature=("temperature.gpu", "temperature.ppu"),
    power=("power.draw", "power.draw.average", "power.draw.instant", "gpu.power.draw", "ppu.power.draw"),
    power_limit=("power.limit", "enforced.power.limit", "gpu.power.limit", "ppu.power.limit"),
)
_TITLES = (
    *(title for field in fields(COLUMNS) for title in getattr(COLUMNS, field.name)),
    *("index", "driver_version", "timestamp", "pid", "process_name", "used_gpu_memory", "used_memory"),
)
_UNIT = re.compile(r"\s*\[([^\[\]]*)\]$")


def asked_for(line: str) -> list[str]:
    """The fields that a command line asks for, in order: the columns of an output without a header."""
    found = re.search(r"--query-[a-z-]+[= ](\S+)", line)
    return found[1].lower().split(",") if found and not found[1].startswith("<") else []


def query_rows(line: str, text: str) -> list[dict[str, str]]:
    """The rows by their columns' names. A unit in the header ("memory.used [KiB]") joins the values below it."""
    asked = asked_for(line)
    rows = _rows(text)
    titles = [_UNIT.sub("", title).lower() for title in rows[0]]
    if any(title in _TITLES or title in asked for title in titles):
        units = [found[1] if (found := _UNIT.search(title)) else "" for title in rows[0]]
        return [_row(titles, units, row) for row in rows[1:]]
    if not asked:
        raise Unreadable(
            "its columns have no names: expected a first line with them, or a command with --query-…=NAMES"
        )
    return [_row(asked, [""] * len(asked), row) for row in rows]


def _rows(text: str) -> list[list[str]]:
    lines = (line for line in text.split("\n") if line.strip() and not line.startswith(("Unable to", "WARNING")))
    try:
        rows = [[cell.strip() for cell in row] for row in csv.reader(lines, skipinitialspace=True)]
    except csv.Error as error:
        raise Unreadable(f"expected values with commas between them: {error}") from error
    if not rows:
        raise Unreadable("expected values with commas between them, and there are none")
    return rows


def _row(titles: Sequence[str], units: Sequence[str], row: list[str]) -> dict[str, str]:
    surplus = len(row) - len(titles)
    if surplus > 0 and "process_name" in titles:
        # The tool does not quote the names of processes, which may have commas.
        at = titles.index("process_name")
        row = [*row[:at], ", ".join(row[at : at + surplus + 1]), *row[at + surplus + 1 :]]
    if len(row) != len(titles):
        raise Unreadable(f"a line of it has {len(row)} values for {len(titles)} columns: {','.join(row)[:80]!r}")
    return {
        title: f"{value} {unit}" if unit and re.fullmatch(r"[\d.]+", value) else value
        for title, unit, value in zip(titles, units, row, strict=True)
    }


def queried(row: Mapping[str, str], vendor: str) -> Reading:
    """A device of a query's row."""

    def first(names: Sequence[str]) -> str | None:
        return next((value for name in names if (value := told(row.get(name))) is not None), None)

    busy = percent(first(COLUMNS.busy))
    return Reading(
        vendor=vendor,
        kind="gpu",
        index=whole(row.get("index")),
        model=first(COLUMNS.model),
        uuid=first(COLUMNS.uuid),
        serial=first(COLUMNS.serial),
        pci_address=pci_address(first(COLUMNS.pci_address)),
        pci_id=pci_id(first(COLUMNS.pci_id)),
        driver_version=told(row.get("driver_version")),
        memory_bytes=memory(first(COLUMNS.memory)),
        memory_used_bytes=memory(first(COLUMNS.used)),
        busy_percent=busy,
        busy_name="utilization.gpu" if busy is not None else None,
        temperature_celsius=celsius(first(COLUMNS.temperature)),
        power_watts=watts(first(COLUMNS.power)),
        power_limit_watts=watts(first(COLUMNS.power_limit)),
    )
