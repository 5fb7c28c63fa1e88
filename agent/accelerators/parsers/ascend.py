"""Outputs of Huawei's npu-smi. Its MB are MiB. A card holds one to four chips: the devices, whose board it is.

A chip's index is what the tool gives as its own number ("Device", "Phy-ID", "Chip Logic ID"), else the NPU id; where a
command tells of a card's chips by their place alone, it is that place, and `board` tells the card.
"""

import re
from collections.abc import Iterator
from dataclasses import dataclass

from agent.accelerators.parsers import text as the
from agent.accelerators.parsers.absences import or_absent
from agent.accelerators.parsers.nested import Fields, key_of, lines_of
from agent.accelerators.readings import Command, Process, Reading, Unreadable
from headrace.changes import replace
from headrace.nodes import Health

_VENDOR = "huawei"
_BUSY = "AICore"

_HEALTH = {
    "ok": Health.HEALTHY,
    "warning": Health.DEGRADED,
    "alarm": Health.UNHEALTHY,
    "critical": Health.UNHEALTHY,
}
# A value, or two with a slash between them, which may touch it: "20701/ 65536".
_VALUE = re.compile(r"[^\s/]+\s*/\s*[^\s/]+|[^\s/]+")
_FIELD = re.compile(r"\s*([^:]+?)\s*:\s*(.*?)\s*$")
_OUTLINE = re.compile(r"-{3,}|={3,}")


@dataclass(frozen=True, slots=True)
class _Columns:
    """The words of the head's two lines over the third cell, and whether a chip's own number is told."""

    above: tuple[str, ...] = ("power(w)", "temp(c)")
    below: tuple[str, ...] = ("aicore(%)", "memory-usage(mb)", "hbm-usage(mb)")


def table(text: str) -> tuple[Reading, ...]:
    """Reads `npu-smi info`: two lines a chip, of all generations, with or without HBM; then the processes."""
    columns = _Columns()
    found: dict[tuple[str, str], Reading] = {}
    processes: dict[tuple[str, str], list[Process]] = {}
    upper: list[str] | None = None
    headed = listing = False
    for row in _rows(text):
        first = row[0].split()
        if first[:1] == ["NPU"]:
            headed, listing, upper = True, "Process" in " ".join(row[1:]), None
            columns = columns if listing or len(row) < 3 else replace(columns, above=_words(row[2]))
        elif first[:1] == ["Chip"]:
            columns = replace(columns, below=_words(row[2])) if len(row) > 2 else columns
        elif listing and len(row) > 3 and len(first) > 1 and first[0].isdigit():
            process = _process(row)
            processes.setdefault((first[0], first[1]), []).extend([process] if process else [])
        elif not listing and len(row) > 2 and first and first[0].isdigit():
            if upper is not None and not _is_upper(row):
                _add(found, _chip(upper, row, columns))
                upper = None
            elif the.pci_address(row[1]) is None:
                if upper is not None:
                    _add(found, _chip(upper, None, columns))
                upper = row
    if upper is not None:
        _add(found, _chip(upper, None, columns))
    if not found and not headed:
        raise Unreadable(f"a table of npu-smi was expected ('| NPU  Name | Health | …'); {_start(text)}")
    driver = re.search(r"\|\s*npu-smi\s+\S+\s+Version:\s*(\S+)", text)
    return tuple(
        replace(
            chip,
            driver_version=the.told(driver[1]) if driver else None,
            processes=tuple(processes.get(place, ())),
        )
        for place, chip in found.items()
    )


def _rows(text: str) -> Iterator[list[str]]:
    for line in lines_of(text):
        row = None if the.is_rule(line) or _OUTLINE.search(line) else the.cells(line)
        if row is not None:
            yield row


def _words(cell: str) -> tuple[str, ...]:
    return tuple(word.lower() for word in cell.split())


def _is_upper(row: list[str]) -> bool:
    """Whether a row is a chip's first, as its health tells: below that the bus id stands, or a dash."""
    return row[1].lower() in (*_HEALTH, "unknown", "offline") and the.pci_address(row[1]) is None


def _values(columns: tuple[str, ...], cell: str) -> dict[str, str]:
    return dict(zip(columns, _VALUE.findall(cell), strict=False))


def _chip(upper: list[str], lower: list[str] | None, columns: _Columns) -> tuple[tuple[str, str], Reading]:
    npu, _, name = upper[0].partition(" ")
    above = _values(columns.above, upper[2])
    below = _values(columns.below, lower[2]) if lower else {}
    places = lower[0].split() if lower else []
    number = places[1] if len(places) > 1 else npu
    used, total = _memory(below.get("hbm-usage(mb)"))
    if not total:
        used, total = _memory(below.get("memory-usage(mb)"))
    health, reason = _health(upper[1])
    chip = Reading(
        vendor=_VENDOR,
        kind="npu",
        index=the.whole(number),
        model=the.told(name),
        board=npu,
        pci_address=the.pci_address(lower[1]) if lower else None,
        memory_bytes=total,
        memory_used_bytes=used,
        busy_percent=the.percent(below.get("aicore(%)")),
        busy_name=_BUSY,
        temperature_celsius=the.celsius(above.get("temp(c)")),
        power_watts=the.watts(above.get("power(w)")),
        health=health,
        health_reason=reason,
    )
    return (npu, places[0] if places else "0"), chip


def _add(found: dict[tuple[str, str], Reading], chip: tuple[tuple[str, str], Reading]) -> None:
    # Rows that came twice are one chip; of one whose second row was lost, the whole one is better.
    place, reading = chip
    if place not in found or found[place].memory_bytes is None:
        found[place] = reading


def _memory(pair: str | None) -> tuple[int | None, int | None]:
    used, _, total = (pair or "").partition("/")
    size = the.memory(total)
    # A chip without that kind of memory prints "0 / 0".
    return (the.memory(used), size) if size else (None, None)


def _health(word: str) -> tuple[Health, str]:
    health = _HEALTH.get(word.strip().lower(), Health.UNKNOWN)
    return health, f"npu-smi says {word.strip()}" if health in (Health.DEGRADED, Health.UNHEALTHY) else ""


def _process(row: list[str]) -> Process | None:
    pid = the.whole(row[1])
    return Process(pid, row[2], the.memory(row[3])) if pid is not None else None


def _start(text: str) -> str:
    shown = next((line.strip() for line in lines_of(text) if line.strip()), "")
    return f"the output begins with {shown[:80]!r}" if shown else "the output is empty"


def cards(text: str) -> tuple[Reading, ...]:
    """Reads `npu-smi info -l`: the cards, each with its NPU id."""
    blocks = _blocks(text)
    readings = tuple(
        Reading(
            vendor=_VENDOR,
            kind="npu",
            index=the.whole(block["npu id"]),
            board=the.told(block["npu id"]),
            model=the.told(block.get("product name")),
            serial=the.told(block.get("serial number")),
        )
        for block in blocks
        if the.whole(block.get("npu id")) is not None
    )
    if not readings and not any("total count" in block for block in blocks):
        raise Unreadable(f"a list of NPUs was expected ('NPU ID : 0'); {_start(text)}")
    return readings


def mapping(text: str) -> tuple[Reading, ...]:
    """Reads `npu-smi info -m`: each chip's logic id; rows of MCUs are left out."""
    columns: list[str] = []
    chips: list[Reading] = []
    for line in lines_of(text):
        parts = re.split(r"\s{2,}|\t+|\s*\|\s*", line.strip().strip("|").strip())
        if parts[0].lower() == "npu id":
            columns = [key_of(part) for part in parts]
            continue
        row = dict(zip(columns, parts, strict=False))
        name = row.get("chip name", "")
        logic = the.whole(row.get("chip logic id"))
        if the.whole(row.get("npu id")) is None or name.lower() == "mcu" or logic is None:
            continue
        chips.append(Reading(vendor=_VENDOR, kind="npu", index=logic, model=the.told(name), board=row["npu id"]))
    if not columns:
        raise Unreadable(f"a mapping of NPUs was expected ('NPU ID  Chip ID  Chip Logic ID'); {_start(text)}")
    return tuple(chips)


def details(text: str) -> tuple[Reading, ...]:
    """Reads `npu-smi info -t board|common|usages|…`: a reading a chip; of the card, where no chip is named."""
    card: Fields = {}
    chips: list[Fields] = []
    other: list[Fields] = []
    for block in _blocks(text):
        mcu = block.get("chip name", "").lower() == "mcu"
        if "npu id" in block and not card:
            card = block
        elif not card:
            # Lines of the driver's log may stand before.
            continue
        if "chip id" in block and not mcu:
            chips.append({**card, **block})
        elif block is not card:
            (other if mcu else chips).append({**card, **block})
    if the.whole(card.get("npu id")) is None:
        raise Unreadable(f"fields of an NPU were expected ('NPU ID : 0'); {_start(text)}")
    # Cards whose chips have no sensor tell the board's by its MCU.
    return tuple(_detailed(one) for one in (chips or other or [card]))


def _blocks(text: str) -> list[Fields]:
    """Fields between blank lines; a field that comes again begins the next block, as blank lines may be lost."""
    blocks: list[Fields] = [{}]
    for line in lines_of(text):
        found = _FIELD.match(line)
        if not found:
            if not line.strip():
                blocks.append({})
            continue
        key = key_of(found[1])
        if key in blocks[-1]:
            blocks.append({})
        blocks[-1][key] = found[2]
    return [block for block in blocks if block]


def _detailed(fields: Fields) -> Reading:
    npu = fields["npu id"]
    chip, count = the.whole(fields.get("chip id")), the.whole(fields.get("chip count"))
    mcu = fields.get("chip name", "").lower() == "mcu"
    total = the.memory(fields.get("hbm capacity mb")) or the.memory(fields.get("ddr capacity mb")) or None
    ids = ":".join(fields.get(f"pci {whose} id", "").lower().removeprefix("0x") for whose in ("vendor", "device"))
    faults = the.whole(fields.get("chip fault")) or 0
    health, reason = _health(next((value for key, value in fields.items() if key.startswith("health")), ""))
    return Reading(
        vendor=_VENDOR,
        kind="npu",
        index=chip if chip is not None and (count or 1) > 1 else the.whole(npu),
        board=npu,
        model=_told_first(fields, "product type", *(() if mcu else ("chip name",)), "model", "product name"),
        serial=the.told(fields.get("serial number")),
        pci_address=the.pci_address(fields.get("pcie bus info")),
        pci_id=ids if re.fullmatch(r"[0-9a-f]{4}:[0-9a-f]{4}", ids) else None,
        driver_version=the.told(fields.get("software version")),
        memory_bytes=total,
        busy_percent=the.percent(fields.get("aicore usage rate %")),
        busy_name=_BUSY if "aicore usage rate %" in fields else None,
        temperature_celsius=the.celsius(_told_first(fields, "npu temperature c", "temperature c")),
        power_watts=the.watts(_told_first(fields, "npu real time power w", "power dissipation w")),
        health=Health.DEGRADED if faults and health is not Health.UNHEALTHY else health,
        health_reason=f"{faults} of its chips are at fault" if faults and not reason else reason,
    )


def _told_first(fields: Fields, *names: str) -> str | None:
    return next((value for name in names if (value := the.told(fields.get(name))) is not None), None)


_KINDS = ("board", "common", "usages", "memory", "temp", "power", "health", "ecc", "product")

COMMANDS = (
    Command("npu-smi info", the.line("npu-smi", "info", also=r"(?!-[tlm]$|-[tlm] )\S+"), or_absent(table)),
    Command("npu-smi info -l", the.line("npu-smi", "info", "-l", also=r"\S+"), or_absent(cards)),
    Command("npu-smi info -m", the.line("npu-smi", "info", "-m", also=r"\S+"), or_absent(mapping)),
    *(
        Command(
            f"npu-smi info -t {kind} -i N",
            the.line("npu-smi", "info", f"-t {kind}", also=r"\S+"),
            or_absent(details),
        )
        for kind in _KINDS
    ),
)
