"""Kunlunxin: xpu-smi's tables, its machine form, its query and its list. Intel's tool has the same name."""

import csv
import re
from collections.abc import Callable

from agent.accelerators.parsers.cards import Card, as_reading, driver_version, read_cards, used_and_total
from agent.accelerators.parsers.fields import Fields, Names, blocks, from_xml, processes, reading
from agent.accelerators.parsers.nvml_health import health_of
from agent.accelerators.parsers.nvml_tools import listed, read_with_failures, topology
from agent.accelerators.parsers.text import cells, celsius, line, memory, pci_address, percent, told, watts, whole
from agent.accelerators.readings import Command, Reading, Unreadable
from headrace.changes import replace
from headrace.nodes import Health

VENDOR = "kunlunxin"

_PROGRAM = "xpu[-_]smi"
_ONE = r"(?:-i|--id|-d)[= ]\S+"
_STANDARD = (
    ("XPU  Name        Persistence-M", "Bus-Id        Disp.A", "Volatile Uncorr. ECC"),
    ("Fan  Temp  Perf  Pwr:Usage/Cap", "Memory-Usage", "XPU-Util  Compute M."),
)
_NAMES = Names(
    model=("product_name",),
    uuid=("xpu_uuid", "uuid"),
    serial=("serial_number", "serial"),
    pci_address=("pci/bus_id", "pci/pci_bus_id", "@id"),
    pci_id=("pci/device_id", "pci/pci_device_id"),
    memory=("memory_usage/total", "fb_memory_usage/total"),
    used=("memory_usage/used", "fb_memory_usage/used"),
    busy=("utilization/xpu", "utilization/xpu_util"),
    temperature=("temperature/xpu_current_temp", "temperature/xpu_temp"),
    power=("power_readings/power_draw",),
    power_limit=("power_readings/enforced_power_limit", "power_readings/power_limit"),
)
_DEVICE = re.compile(r"XPU ([0-9A-Fa-f]{4,8}:[0-9A-Fa-f]{2}:[0-9A-Fa-f]{2}\.[0-7])\s*")
# The machine form's columns by its --help: 0 address, 1 board, 2 number, 3 serial number, 4 temperature, 8 power,
# 15 and 16 the L3 cache, 17 and 18 the memory in MiB, 19 use, 21 model.
_FEWEST_COLUMNS = 22


def _table(text: str) -> tuple[Reading, ...]:
    if "Intel" in text:
        raise Unreadable("expected the table of Kunlunxin's tool, and this is Intel's")
    found = _old_table(text) or tuple(_card(card) for card in read_cards(text, _STANDARD))
    if not found:
        raise Unreadable("expected xpu-smi's table with a box for each device, and there is none")
    return tuple(replace(one, driver_version=driver_version(text)) for one in found)


def _card(card: Card) -> Reading:
    errors = whole(card.cell("ecc"))
    return replace(
        as_reading(card, vendor=VENDOR, kind="npu", busy_name="XPU-Util"),
        health=Health.UNKNOWN if errors is None else Health.UNHEALTHY if errors else Health.HEALTHY,
        health_reason=f"{errors} uncorrected memory errors" if errors else "",
    )


def _old_table(text: str) -> tuple[Reading, ...]:
    # The tool for K100 and R200 prints a line a device, and what stands in it in its first line.
    titles: list[str] = []
    found: list[Reading] = []
    for text_line in text.split("\n"):
        row = cells(text_line) or []
        lowered = [cell.lower() for cell in row]
        if "devid" in lowered:
            titles = lowered
        elif titles and len(row) == len(titles):
            found += _old_row(dict(zip(titles, row, strict=True)))
    return tuple(found)


def _old_row(row: dict[str, str]) -> list[Reading]:
    index, address = whole(row["devid"]), pci_address(row.get("pci addr"))
    if index is None or address is None:
        return []
    used, total = used_and_total(row.get("memory", ""))
    state = told(row.get("state"))
    well = (state or "").lower() in ("n", "normal", "ok")
    busy = percent(row.get("userate"))
    return [
        Reading(
            vendor=VENDOR,
            kind="npu",
            index=index,
            model=told(row.get("model")),
            pci_address=address,
            memory_bytes=total,
            memory_used_bytes=used,
            busy_percent=busy,
            busy_name="UseRate" if busy is not None else None,
            health=Health.HEALTHY if well else Health.UNKNOWN,
        )
    ]


def _machine(text: str) -> tuple[Reading, ...]:
    try:
        rows = [row for row in csv.reader(text.split("\n"), delimiter=" ", skipinitialspace=True) if row]
    except csv.Error as error:
        raise Unreadable(f"expected a line of values for each device: {error}") from error
    found = [_of_columns([cell for cell in row if cell]) for row in rows if pci_address(row[0])]
    if not found:
        raise Unreadable("expected a line for each device that begins with its PCI address, and there is none")
    return tuple(found)


def _of_columns(row: list[str]) -> Reading:
    if len(row) < _FEWEST_COLUMNS:
        raise Unreadable(f"a line of it has {len(row)} values, and {_FEWEST_COLUMNS} are the fewest: {row[0]!r}")
    busy = percent(row[19])
    return Reading(
        vendor=VENDOR,
        kind="npu",
        index=whole(row[2]),
        model=told(row[21]),
        serial=told(row[3]),
        pci_address=pci_address(row[0]),
        board=told(row[1]),
        memory_bytes=memory(row[18]),
        memory_used_bytes=memory(row[17]),
        busy_percent=busy,
        busy_name="use" if busy is not None else None,
        temperature_celsius=celsius(row[4]),
        power_watts=watts(row[8]),
    )


def _text(text: str) -> tuple[Reading, ...]:
    head, devices = blocks(text, _DEVICE)
    if not devices:
        raise Unreadable('expected a line "XPU 00000000:01:00.0" above the values of each device, and there is none')
    return tuple(
        _device(Fields((("@id", found[1]), *fields.items)), head.first("driver_version")) for found, fields in devices
    )


def _xml(text: str) -> tuple[Reading, ...]:
    root = re.search(r"<(xpu_?smi_log)\b", text)
    if not root:
        raise Unreadable("expected XML with the element <xpu_smi_log>, and there is none")
    head, devices = from_xml(text, root=root[1], device="xpu")
    return tuple(_device(fields, head.first("driver_version")) for fields in devices)


def _device(fields: Fields, driver: str | None) -> Reading:
    health, reason = health_of(fields)
    return replace(
        reading(VENDOR, "npu", fields, _NAMES),
        driver_version=driver,
        health=health,
        health_reason=reason,
        processes=processes(fields),
    )


def _list(text: str) -> tuple[Reading, ...]:
    if "Intel" in text:
        raise Unreadable("expected the list of Kunlunxin's tool, and this is Intel's")
    return tuple(replace(one, kind="npu") for one in listed(text, VENDOR))


def _topology(text: str) -> tuple[Reading, ...]:
    return tuple(replace(one, kind="npu") for one in topology(text, VENDOR, link="xpulink"))


def _with_failures(parse: Callable[[str], tuple[Reading, ...]]) -> Callable[[str], tuple[Reading, ...]]:
    return lambda text: read_with_failures(text, VENDOR, parse)


COMMANDS = (
    Command("xpu-smi (Kunlunxin)", line(_PROGRAM, also=_ONE), _with_failures(_table)),
    Command("xpu_smi -m", line(_PROGRAM, "-m|--machine-readable", also=_ONE), _with_failures(_machine)),
    Command("xpu-smi -q", line(_PROGRAM, "-q|--query", also=rf"{_ONE}|-d \S+"), _with_failures(_text)),
    Command(
        "xpu-smi -q -x",
        line(_PROGRAM, "-q|--query", "-x|--xml-format", also=rf"{_ONE}|-d \S+"),
        _with_failures(_xml),
    ),
    Command("xpu-smi -L", line(_PROGRAM, "-L|--list"), _with_failures(_list)),
    Command("xpu-smi topo -m", line(_PROGRAM, "topo", "-m|--matrix"), _with_failures(_topology)),
)
