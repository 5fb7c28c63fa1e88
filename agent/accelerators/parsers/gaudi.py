"""Outputs of hl-smi for Intel's Gaudi: its table, `-q` and `-L`, and CSV with and without a header."""

import csv
import re
from dataclasses import replace

from agent.accelerators.parsers import text as the
from agent.accelerators.parsers.nested import Fields, blocks, outline, pick
from agent.accelerators.readings import Command, Process, Reading, Unreadable
from headrace.nodes import Health

_VENDOR = "intel"
_KIND = "npu"
_BUSY = "AIP utilisation"

_UPPER = re.compile(r"(\d+)\s+(\S+(?: \S+)*)(?:\s+(\S+))?$")
_TEMPERATURE = re.compile(r"(-?\d+)\s*°?\s*C\b")
_POWER = re.compile(r"(\d+(?:\.\d+)?|N/A)\s*W?\s*/\s*(\d+(?:\.\d+)?|N/A)\s*W\b")
_MEMORY = re.compile(r"(\d+|N/A)\s*([KMG]i?b)?\s*/\s*(\d+|N/A)\s*([KMG]i?b)?", re.IGNORECASE)
_PROCESS = re.compile(r"(\d+)\s+(\d+)\s+(\S+)\s+(\S.*?)\s{2,}(\d+)\s*([KMG]i?b)$", re.IGNORECASE)
_AIP = re.compile(r"\s*\[(\d+)\]\s+(?:AIP|HL|Gaudi)\b(?:\s*\((\w+)\))?\s*([0-9A-Fa-f:.]*)")
_LISTED = re.compile(r"\s*(?:AIP|Gaudi)\s*(\d+)\s*:\s*(\S.*?)\s*\((?:UUID|AIP UUID)\s*:\s*([^)]*)\)")
_FIELDS = re.compile(r"(?:-Q|--query-aip)[ =](\S+)")
_SHAPES = (
    ("name", re.compile(r"HL-\S+")),
    ("bus_id", re.compile(r"(?:[0-9a-fA-F]{4,8}:)?[0-9a-fA-F]{2}:[0-9a-fA-F]{2}\.[0-7]")),
    ("uuid", re.compile(r"\w{4}-\w{6,}(?:-\w+){3,}")),
    ("utilization.aip", re.compile(r"\d+(?:\.\d+)?\s*%")),
    ("temperature.aip", re.compile(r"\d+\s*C")),
    ("power.draw", re.compile(r"\d+(?:\.\d+)?\s*W")),
)


def table(text: str) -> tuple[Reading, ...]:
    """Reads `hl-smi`: two lines a card, of all generations; then the processes."""
    found: dict[int, Reading] = {}
    current: int | None = None
    headed = False
    processes: dict[int, list[Process]] = {}
    for row in (cells for box in the.boxes(text.splitlines()) for cells in box):
        headed = headed or row[0].split()[:2] in (["AIP", "Name"], ["HPU", "Name"])
        if len(row) == 1:
            process = _PROCESS.match(row[0])
            if process:
                one = Process(int(process[2][:12]), process[4], the.memory(process[5], process[6]))
                processes.setdefault(int(process[1][:9]), []).append(one)
        elif len(row) == 3 and headed:
            upper = _UPPER.match(row[0])
            if upper and the.pci_address(row[1]):
                current = int(upper[1][:9])
                found.setdefault(current, _upper(current, upper[2], row[1]))
            elif current is not None and "/" in row[1] and not row[0].startswith("Fan"):
                found[current] = _lower(found[current], row)
                current = None
    if not headed:
        raise Unreadable("a table of hl-smi was expected ('| AIP  Name        Persistence-M| Bus-Id …')")
    driver = re.search(r"\|\s*Driver Version:\s*(\S+)", text)
    return tuple(
        replace(one, driver_version=driver[1] if driver else None, processes=tuple(processes.get(index, ())))
        for index, one in found.items()
    )


def _upper(index: int, name: str, where: str) -> Reading:
    return Reading(
        vendor=_VENDOR,
        kind=_KIND,
        index=index,
        model=the.told(re.split(r"\s{2,}", name)[0]),
        pci_address=the.pci_address(where),
        busy_name=_BUSY,
    )


def _lower(reading: Reading, row: list[str]) -> Reading:
    temperature, power, memory = _TEMPERATURE.search(row[0]), _POWER.search(row[0]), _MEMORY.search(row[1])
    return replace(
        reading,
        temperature_celsius=the.celsius(temperature[1]) if temperature else None,
        power_watts=the.watts(power[1]) if power else None,
        power_limit_watts=the.watts(power[2]) if power else None,
        memory_used_bytes=the.memory(memory[1], memory[2] or memory[4] or "MiB") if memory else None,
        memory_bytes=the.memory(memory[3], memory[4] or "MiB") if memory else None,
        busy_percent=the.percent(row[2]),
    )


def query(line: str, text: str) -> tuple[Reading, ...]:
    """Reads `hl-smi -Q …`: the columns by their header, else by what was asked for, else by what they look like."""
    try:
        rows = [[cell.strip() for cell in row] for row in csv.reader(text.splitlines(), skipinitialspace=True) if row]
    except csv.Error as error:
        raise Unreadable(f"rows of CSV were expected: {error}") from error
    asked = _FIELDS.search(line)
    columns = [column.strip().lower() for column in asked[1].split(",")] if asked else []
    if rows and any(re.fullmatch(r"[a-z][a-z_]*(\.[a-z_.\-]+)?( \[\S+\])?", cell) for cell in rows[0]):
        columns = [cell.partition("[")[0].strip().lower() for cell in rows[0]]
        rows = rows[1:]
    elif not rows:
        return ()
    readings = tuple(_queried(_named(columns, row)) for row in rows)
    if not any(one.model or one.pci_address or one.uuid or one.serial or one.index is not None for one in readings):
        raise Unreadable("rows of hl-smi were expected: none has a name (HL-…), an index, a uuid or a bus id")
    return readings


def _named(columns: list[str], row: list[str]) -> Fields:
    if len(columns) == len(row):
        return dict(zip(columns, row, strict=True))
    fields: Fields = {}
    amounts: list[str] = []
    for cell in row:
        shape = next((name for name, shape in _SHAPES if name not in fields and shape.fullmatch(cell)), None)
        if shape:
            fields[shape] = cell
        elif re.fullmatch(r"\d{3,9}(?:\s*[KMG]i?B)?", cell):
            amounts.append(cell)
    # Of several amounts of memory the largest is the whole; which of the others is used cannot be told.
    if amounts:
        fields["memory.total"] = max(amounts, key=lambda amount: the.memory(amount) or 0)
    return fields


def _queried(fields: Fields) -> Reading:
    return Reading(
        vendor=_VENDOR,
        kind=_KIND,
        index=the.whole(fields.get("index")),
        model=the.told(fields.get("name")),
        uuid=the.told(fields.get("uuid")),
        serial=the.told(fields.get("serial")),
        pci_address=the.pci_address(fields.get("bus_id")),
        driver_version=the.told(fields.get("driver_version")),
        memory_bytes=the.memory(fields.get("memory.total")),
        memory_used_bytes=the.memory(fields.get("memory.used")),
        busy_percent=the.percent(fields.get("utilization.aip")),
        busy_name=_BUSY if "utilization.aip" in fields else None,
        temperature_celsius=the.celsius(fields.get("temperature.aip")),
        power_watts=the.watts(fields.get("power.draw")),
    )


def details(text: str) -> tuple[Reading, ...]:
    """Reads `hl-smi -q` and `hl-smi -L`: a block a card, "[0] AIP (accel0) 0000:43:00.0", with fields below headings."""
    lines = text.splitlines()
    found = blocks(lines, _AIP)
    driver = re.search(r"^\s*Driver Version\s*:\s*(\S+)", text, re.MULTILINE)
    if found:
        return tuple(_detailed(match, outline(inner), driver[1] if driver else None) for match, inner in found)
    listed = [match for match in map(_LISTED.match, lines) if match]
    if not listed and not re.search(r"Attached AIPs\s*:\s*0|No (?:AIPs?|devices?)\b", text):
        raise Unreadable("blocks of cards were expected ('[0] AIP (accel0) 0000:43:00.0', then 'Product Name : …')")
    return tuple(
        Reading(vendor=_VENDOR, kind=_KIND, index=int(one[1][:9]), model=the.told(one[2]), uuid=the.told(one[3]))
        for one in listed
    )


def _detailed(match: re.Match[str], fields: Fields, driver: str | None) -> Reading:
    status = pick(fields, "module status", "device status", "status")
    device = pick(fields, "pci/device id") or ""
    swapped = re.fullmatch(r"0x([0-9a-fA-F]{4})([0-9a-fA-F]{4})", device)
    chips = [the.celsius(value) for path, value in fields.items() if path.startswith("temperature/") and "on chip" in path]
    told = [celsius for celsius in chips if celsius is not None]
    return Reading(
        vendor=_VENDOR,
        kind=_KIND,
        index=int(match[1][:9]),
        model=pick(fields, "product name"),
        uuid=pick(fields, "aip uuid", "uuid"),
        serial=pick(fields, "serial number"),
        pci_address=the.pci_address(match[3]) or the.pci_address(pick(fields, "pci/bus id", "bus id")),
        pci_id=f"{swapped[1]}:{swapped[2]}".lower() if swapped else None,
        driver_version=driver,
        memory_bytes=the.memory(pick(fields, "memory usage/total")),
        memory_used_bytes=the.memory(pick(fields, "memory usage/used")),
        busy_percent=the.percent(pick(fields, "utilization/aip", "utilization/aip util", "aip utilization", "utilization")),
        busy_name=_BUSY,
        temperature_celsius=max(told) if told else the.celsius(pick(fields, "temperature/aip", "temperature/current temp")),
        power_watts=_sum(fields, "power draw"),
        power_limit_watts=_sum(fields, "power limit") or _sum(fields, "power max"),
        health=Health.HEALTHY if status == "Operational" else Health.UNHEALTHY if status else Health.UNKNOWN,
        health_reason=f"hl-smi says {status}" if status not in (None, "Operational") else "",
        device_nodes=(f"/dev/accel/{match[2]}",) if (match[2] or "").startswith("accel") else (),
    )


def _sum(fields: Fields, name: str) -> float | None:
    """The watts of all rails: cards of the second generation have two, each with its own draw and limit."""
    rails = [the.watts(value) for path, value in fields.items() if path.startswith("power") and path.endswith(f"/{name}")]
    told = [watts for watts in rails if watts is not None]
    return sum(told) if told else None


_QUERY = r"(?:-Q \S+|--query-aip[= ]\S+)"

COMMANDS = (
    Command("hl-smi", the.line("hl-smi", also=r"(?!-Q|--query|-q\b|-L\b|-n\b|topo)-\S+|\d\S*"), table),
    Command(
        "hl-smi -Q FIELDS -f csv",
        the.line("hl-smi", _QUERY, also=r"\S+"),
        lambda text: query("", text),
        query,
    ),
    Command("hl-smi -q", the.line("hl-smi", "-q|--query", also=r"\S+"), details),
    Command("hl-smi -L", the.line("hl-smi", "-L|--list-aips", also=r"\S+"), details),
)
