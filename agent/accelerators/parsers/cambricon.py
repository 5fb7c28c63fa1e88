"""Outputs of Cambricon's cnmon: its table, of versions 4 to 6, and `cnmon info` as text and as JSON."""

import re
from collections.abc import Iterator

from agent.accelerators.parsers import text as the
from agent.accelerators.parsers.absences import or_absent
from agent.accelerators.parsers.nested import Fields, blocks, flat, json_in, lines_of, loaded, outline, pick
from agent.accelerators.readings import Command, Process, Reading, Unreadable
from headrace.changes import replace
from headrace.nodes import Health

_VENDOR = "cambricon"
_KIND = "npu"
_BUSY = "MLU utilisation"

_CARD = re.compile(r"(?i)\s*Card\s*#?(\d+)\b[^:]*:?\s*$")
_TEMPERATURE = re.compile(r"(-?\d+)\s*°?\s*C\b")
_POWER = re.compile(r"([\d.]+|N/?A|-+|x+)\s*W?\s*/\s*([\d.]+|N/?A|-+|x+)\s*W\b")
_MEMORY = re.compile(r"(\S+)\s*([KMGT]i?B)?\s*/\s*(\S+)\s*([KMGT]i?B)")
_PROCESS = re.compile(r"(\d+)\s+(\S+)\s+(\d+)\s+(\S.*?)\s+(\d+)\s*([KMG]i?B)$")


_MEMORIES = ("physicalmemusage", "physical memory usage", "physical mem usage")
_HEALTH = {
    **dict.fromkeys(("good", "healthy", "ok"), Health.HEALTHY),
    **dict.fromkeys(("bad", "unhealthy", "in problem", "problem"), Health.UNHEALTHY),
}


def table(text: str) -> tuple[Reading, ...]:
    """Reads `cnmon`: two lines a card. The head tells in which cell what stands."""
    heads: list[list[str]] = []
    upper: list[str] | None = None
    found: dict[int, Reading] = {}
    processes: dict[int, list[Process]] = {}
    for row in (cells for box in the.boxes(lines_of(text)) for cells in box):
        first = row[0].split()
        if len(row) == 1:
            for card, process in _process(row[0]):
                processes.setdefault(card, []).append(process)
        elif len(row) < 3 or not first:
            continue
        elif first[0] in ("Card", "Fan"):
            heads = [row] if first[0] == "Card" else [*heads[:1], row]
        elif len(heads) == 2 and first[0].isdigit() and not _TEMPERATURE.search(row[0]):
            upper = row
            card = int(first[0][:9])
            found.setdefault(card, _upper(card, row, heads[0]))
        elif len(heads) == 2 and upper is not None:
            card = int(upper[0].split()[0][:9])
            found[card] = _lower(found[card], row, heads[1])
            upper = None
    if len(heads) < 2:
        raise Unreadable(
            "a table of cnmon was expected ('| Card  VF  Name  Firmware | …', '| Fan  Temp  Pwr:Usage/Cap | …')"
        )
    driver = re.search(r"Driver\s+v?(\d[\w.\-]*)", text)
    return tuple(
        replace(
            reading,
            driver_version=reading.driver_version or (driver[1] if driver else None),
            processes=tuple(processes.get(card, ())),
        )
        for card, reading in found.items()
    )


def _upper(card: int, row: list[str], head: list[str]) -> Reading:
    words = row[0].split()[1:]
    titles = head[0].split()[1:]
    name = words[1:] if titles[:1] in (["VF"], ["MI"]) else words
    if titles[-1:] == ["Firmware"] and len(name) > 1:
        name = name[:-1]
    cells = dict(zip((cell.split()[0] if cell else "" for cell in head), row, strict=False))
    last = cells.get("Inited", "").split()
    return Reading(
        vendor=_VENDOR,
        kind=_KIND,
        index=card,
        model=the.told(" ".join(name)),
        pci_address=the.pci_address(cells.get("Bus-Id")),
        driver_version=the.told(last[-1].removeprefix("v")) if len(last) > 1 else None,
        busy_percent=the.percent(cells.get("Util")),
        busy_name=_BUSY,
    )


def _lower(reading: Reading, row: list[str], head: list[str]) -> Reading:
    temperature, power = _TEMPERATURE.search(row[0]), _POWER.search(row[0])
    place = next((place for place, cell in enumerate(head) if cell.split()[:1] == ["Memory-Usage"]), None)
    memory = _MEMORY.search(row[place]) if place is not None and place < len(row) else None
    return replace(
        reading,
        temperature_celsius=the.celsius(temperature[1]) if temperature else None,
        power_watts=the.watts(power[1]) if power else None,
        power_limit_watts=the.watts(power[2]) if power else None,
        memory_used_bytes=the.memory(memory[1], memory[2] or memory[4]) if memory else None,
        memory_bytes=the.memory(memory[3], memory[4]) if memory else None,
    )


def _process(cell: str) -> Iterator[tuple[int, Process]]:
    found = _PROCESS.match(cell)
    if found:
        yield int(found[1][:9]), Process(int(found[3][:12]), found[4], the.memory(found[5], found[6]))


def info(text: str) -> tuple[Reading, ...]:
    """Reads `cnmon info`: a block a card, "Card 0", with fields below headings. Known by its documented fields only."""
    found = blocks(lines_of(text), _CARD)
    if not found:
        raise Unreadable("blocks of cards were expected ('Card 0', then 'Product Name : …')")
    return tuple(_described(int(match[1][:9]), outline(lines)) for match, lines in found)


def info_json(text: str) -> tuple[Reading, ...]:
    """Reads cnmon_info.json, which `cnmon info -j` writes. Known by its documented keys only."""
    cards = loaded(json_in(text) or "", "the JSON of `cnmon info -j`")
    cards = cards.get("CnmonInfo") if isinstance(cards, dict) else None
    if not isinstance(cards, list):
        raise Unreadable("the JSON of `cnmon info -j` was expected, with a list under 'CnmonInfo'")
    fields = [flat(card) for card in cards if isinstance(card, dict)]
    return tuple(
        _described(place if (told := the.whole(pick(one, "cardnum", "card"))) is None else told, one)
        for place, one in enumerate(fields)
    )


def _described(index: int, fields: Fields) -> Reading:
    said = pick(fields, "health/state", "health state", "health status", "health", "healthstate")
    numa = the.whole(pick(fields, "numa node id", "numa node", "numanodeid"))
    healthy = _HEALTH.get((said or "").lower(), Health.UNKNOWN)
    return Reading(
        vendor=_VENDOR,
        kind=_KIND,
        index=index,
        model=pick(fields, "productname", "product name", "card name"),
        uuid=pick(fields, "uuid"),
        serial=pick(fields, "sn", "serial number", "serialnumber"),
        board=pick(fields, "mother board sn", "motherboard sn", "motherboardsn", "mother board"),
        pci_address=_address(fields),
        driver_version=pick(fields, "driver version", "driverversion", "driver"),
        memory_bytes=the.memory(pick(fields, *(f"{name}/total" for name in _MEMORIES))),
        memory_used_bytes=the.memory(pick(fields, *(f"{name}/used" for name in _MEMORIES))),
        busy_percent=the.percent(
            pick(fields, "utilization/mluaverage", "utilization/mlu average", "mlu average", "mlu utilization")
        ),
        busy_name=_BUSY,
        temperature_celsius=the.celsius(pick(fields, "temperature/chip", "temperature/board")),
        power_watts=the.watts(pick(fields, "power/usage", "power/board", "power usage")),
        power_limit_watts=the.watts(pick(fields, "power/cap", "power cap", "power/max")),
        health=healthy,
        health_reason=f"cnmon says {said}" if healthy is Health.UNHEALTHY else "",
        numa_node=numa if numa is not None and numa >= 0 else None,
    )


def _address(fields: Fields) -> str | None:
    whole = the.pci_address(pick(fields, "bus id", "pci/bus id", "busid", "location"))
    parts = [pick(fields, f"pci/{name}") for name in ("domainid", "bus", "device", "function")]
    if whole is not None or None in parts:
        return whole
    domain, bus, device, function = (str(part).lower().removeprefix("0x") for part in parts)
    return the.pci_address(f"{domain:0>4}:{bus:0>2}:{device:0>2}.{function}")


COMMANDS = (
    Command("cnmon", the.line("cnmon", also=r"(?!info\b|-j)-\S+|\d+"), or_absent(table)),
    Command("cnmon info -j", the.line("cnmon", "info", r"-\w*j\w*|--json", also=r"\S+"), or_absent(info_json)),
    Command("cat cnmon_info.json", the.line("cat", r"\S*cnmon_info\.json"), or_absent(info_json)),
    Command("cnmon info", the.line("cnmon", "info", also=r"(?!-j$|-j |--json)\S+"), or_absent(info)),
)
