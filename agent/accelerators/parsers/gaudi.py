"""Outputs of hl-smi for Intel's Gaudi: its table, `-q` and `-L`, and CSV with and without a header."""

import re

from agent.accelerators.parsers import text as the
from agent.accelerators.parsers.absences import or_absent
from agent.accelerators.parsers.cards import Card, as_reading, dead_sensor, read_cards
from agent.accelerators.parsers.nested import Fields, blocks, lines_of, outline, pick
from agent.accelerators.parsers.queries import query_rows
from agent.accelerators.readings import Command, Process, Reading, Unreadable
from headrace.changes import replace
from headrace.nodes import Health

_VENDOR = "intel"
_KIND = "npu"
_BUSY = "AIP utilisation"

_HEAD = (
    ("AIP  Name        Persistence-M", "Bus-Id        Disp.A", "Volatile Uncor-Events"),
    ("Fan  Temp  Perf  Pwr:Usage/Cap", "Memory-Usage", "AIP-Util  Compute M."),
)
_PROCESS = re.compile(r"\|\s*(\d{1,5})\s+(\d{1,10})\s+(\S+)\s+(\S[^|]*?)\s{2,}(\d+\s*[KMG]i?B)\b", re.IGNORECASE)
_AIP = re.compile(r"\s*\[(\d+)\]\s+(?:AIP|HL|Gaudi)\b(?:\s*\((\w+)\))?\s*([0-9A-Fa-f:.]*)")
_LISTED = re.compile(r"\s*(?:AIP|Gaudi)\s*(\d+)\s*:\s*(\S.*?)\s*\((?:UUID|AIP UUID)\s*:\s*([^)]*)\)")


def table(text: str) -> tuple[Reading, ...]:
    """Reads `hl-smi`: two lines a card, of all generations; then the processes."""
    found = {card.index: card for card in reversed(read_cards(text, _HEAD)) if card.index is not None}
    if not found and not re.search(r"\|\s*(?:AIP|HPU)\s+Name", text):
        raise Unreadable("a table of hl-smi was expected ('| AIP  Name        Persistence-M| Bus-Id …')")
    processes: dict[int, list[Process]] = {}
    for line in lines_of(text):
        row = _PROCESS.match(line)
        if row:
            one = Process(int(row[2]), row[4].strip(), the.memory(row[5]))
            processes.setdefault(int(row[1]), []).append(one)
    driver = re.search(r"\|\s*Driver Version:\s*(\S+)", text)
    return tuple(
        replace(
            _card(found[index]),
            driver_version=driver[1] if driver else None,
            processes=tuple(processes.get(index, ())),
        )
        for index in sorted(found)
    )


def _card(card: Card) -> Reading:
    found = replace(as_reading(card, vendor=_VENDOR, kind=_KIND, busy_name=_BUSY), model=the.told(card.name))
    if dead_sensor([card.cell("pwr")]):
        return replace(found, health=Health.UNHEALTHY, health_reason="its power sensor does not answer")
    return found


def query(line: str, text: str) -> tuple[Reading, ...]:
    """Reads `hl-smi -Q …`: the columns by their header, else by what was asked for."""
    rows = query_rows(re.sub(r" -Q[ =]?", " --query-aip=", line), text)
    if not any(column in row for row in rows for column in ("index", "name", "bus_id", "uuid", "serial", "module_id")):
        raise Unreadable("rows of hl-smi were expected that tell which card is which: by name, index, uuid or bus_id")
    return tuple(_queried(row) for row in rows)


def _queried(row: Fields) -> Reading:
    return Reading(
        vendor=_VENDOR,
        kind=_KIND,
        index=the.whole(row.get("index")),
        model=the.told(row.get("name")),
        uuid=the.told(row.get("uuid")),
        serial=the.told(row.get("serial")),
        pci_address=the.pci_address(row.get("bus_id")),
        driver_version=the.told(row.get("driver_version")),
        memory_bytes=the.memory(row.get("memory.total")),
        memory_used_bytes=the.memory(row.get("memory.used")),
        busy_percent=the.percent(row.get("utilization.aip")),
        busy_name=_BUSY if "utilization.aip" in row else None,
        temperature_celsius=the.celsius(row.get("temperature.aip")),
        power_watts=the.watts(row.get("power.draw")),
    )


def details(text: str) -> tuple[Reading, ...]:
    """Reads `hl-smi -q` and `hl-smi -L`: a block a card, "[0] AIP (accel0) 0000:43:00.0", of fields below headings."""
    lines = lines_of(text)
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
    chips = [
        the.celsius(value) for path, value in fields.items() if path.startswith("temperature/") and "on chip" in path
    ]
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
        busy_percent=the.percent(
            pick(fields, "utilization/aip", "utilization/aip util", "aip utilization", "utilization")
        ),
        busy_name=_BUSY,
        temperature_celsius=max(told)
        if told
        else the.celsius(pick(fields, "temperature/aip", "temperature/current temp")),
        power_watts=_sum(fields, "power draw"),
        power_limit_watts=_sum(fields, "power limit") or _sum(fields, "power max"),
        health=Health.HEALTHY if status == "Operational" else Health.UNHEALTHY if status else Health.UNKNOWN,
        health_reason=f"hl-smi says {status}" if status not in (None, "Operational") else "",
        device_nodes=(f"/dev/accel/{match[2]}",) if (match[2] or "").startswith("accel") else (),
    )


def _sum(fields: Fields, name: str) -> float | None:
    """The watts of all rails: cards of the second generation have two, each with its own draw and limit."""
    rails = [
        the.watts(value) for path, value in fields.items() if path.startswith("power") and path.endswith(f"/{name}")
    ]
    told = [watts for watts in rails if watts is not None]
    return sum(told) if told else None


_QUERY = r"(?:-Q \S+|--query-aip[= ]\S+)"

COMMANDS = (
    Command("hl-smi", the.line("hl-smi", also=r"(?!-Q|--query|-q\b|-L\b|-n\b|topo)-\S+|\d\S*"), or_absent(table)),
    Command(
        "hl-smi -Q FIELDS -f csv",
        the.line("hl-smi", _QUERY, also=r"\S+"),
        lambda text: query("", text),
        query,
    ),
    Command("hl-smi -q", the.line("hl-smi", "-q|--query", also=r"\S+"), or_absent(details)),
    Command("hl-smi -L", the.line("hl-smi", "-L|--list-aips", also=r"\S+"), or_absent(details)),
)
