"""Outputs of AMD's amd-smi, of ROCm 5 to 7: its tables, indented text, JSON and CSV. What rocm-smi prints: see rocm."""

import csv
import re
from collections.abc import Iterable
from functools import partial
from typing import Any

from agent.accelerators.parsers import rocm
from agent.accelerators.parsers import text as the
from agent.accelerators.parsers.absences import or_absent
from agent.accelerators.parsers.nested import Fields, blocks, flat, json_in, key_of, lines_of, loaded, outline, pick
from agent.accelerators.readings import Command, Process, Reading, Unreadable
from headrace.changes import replace
from headrace.nodes import Link

_VENDOR = "amd"
_BUSY = "GFX activity"
_GPU = re.compile(r"\s*GPU\s*:\s*(\d+)\s*$")
# ROCm 5 to 7 name the same figures in these ways, in JSON and text below a heading, in CSV and `monitor` without one.
_BUSY_NAMES = ("usage/gfx activity", "gfx activity", "usage/gfx usage", "gfx util")
_MEMORY_NAMES = ("vram/size", "vram/vram size", "vram/vram size mb", "total vram", "vram total", "vram size mb")
_POWER_NAMES = (
    *("power/socket power", "power/current socket power", "power/current power", "power/average power"),
    *("average socket power", "power usage"),
)
_LIMIT_NAMES = (
    *("limit/socket power limit", "limit/socket power", "limit/current power", "socket power limit"),
    *("limit/max power", "power/power limit", "power limit"),
)
_PARTITIONED = ("DPX", "TPX", "QPX", "CPX")
_FOREIGN = re.compile(r"(?i)\b[DH]CU\b|hygon")
# A cell with its unit: "171 W", "0 %", "0.3/192.0 GB", "N/A".
_CELL = re.compile(
    r"N/A|[\d.]+(?:\s*/\s*(?:[\d.]+|N/A))?(?:\s?(?:°C|°|[MG]Hz|[KMGT]?i?B(?:/s)?|W|%|C)(?![A-Za-z]))?|\S+"
)
# More than use one GPU.
_MOST_PROCESSES = 1000
_PROCESS = re.compile(r"(\d+)\s+(\d+)\s+(\S.*?)\s{2,}(.*)$")
_AMOUNT = re.compile(r"N/A|[\d.]+ [KMGT]?i?B\b")


def smi(text: str) -> tuple[Reading, ...]:
    """Reads `amd-smi list|static|metric|process|monitor|topology`, and `amd-smi` alone, by what the text is."""
    if _FOREIGN.search(text):
        raise Unreadable("an output of AMD's amd-smi was expected; this one names another maker's devices")
    json = json_in(text)
    if json is not None:
        return _json(json)
    if re.search(r"^LINK TYPE TABLE:", text, re.MULTILINE) or re.search(
        r"^(?:ACCESS|WEIGHT|HOPS) TABLE:", text, re.MULTILINE
    ):
        return _topology_table(text)
    if "GPU-Name" in text or "AMD-SMI" in text:
        return _table(text)
    found = blocks(lines_of(text), _GPU)
    if found:
        return _merged((int(match[1][:9]), outline(lines)) for match, lines in found)
    if re.search(r"^gpu\s*,", text, re.MULTILINE):
        return _csv(text)
    if re.search(r"^GPU\s{2,}.*\b(?:POWER|GPU_T|GFX|VRAM|XCP)", text, re.MULTILINE):
        return _monitor(text)
    if re.search(r"(?i)no (?:amd )?gpus? (?:found|detected)|no supported devices|unable to detect any gpu", text):
        return ()
    raise Unreadable(
        "an output of amd-smi was expected: its table, 'GPU: 0' with fields below, JSON, or CSV that begins 'gpu,'"
    )


def _json(text: str) -> tuple[Reading, ...]:
    whole = loaded(text, "JSON of amd-smi")
    entries: Any = whole.get("gpu_data", whole.get("gpu data", [whole])) if isinstance(whole, dict) else whole
    if not isinstance(entries, list):
        raise Unreadable("JSON of amd-smi was expected: a list, or one under 'gpu_data'")
    gpus = [
        (the.whole(str(entry["gpu"])), flat(entry)) for entry in entries if isinstance(entry, dict) and "gpu" in entry
    ]
    if entries and not gpus:
        raise Unreadable("JSON of amd-smi was expected, with a field 'gpu' in each entry")
    return _merged((index, fields) for index, fields in gpus if index is not None)


def _csv(text: str) -> tuple[Reading, ...]:
    lines = lines_of(text)
    start = next(place for place, line in enumerate(lines) if re.match(r"gpu\s*,", line))
    try:
        rows = list(csv.reader(lines[start:]))
    except csv.Error as error:
        raise Unreadable(f"CSV of amd-smi was expected: {error}") from error
    columns = [key_of(cell) for cell in rows[0]]
    each = [dict(zip(columns, row, strict=False)) for row in rows[1:] if row]
    gpus = [(the.whole(fields.get("gpu")), fields) for fields in each]
    return _merged((index, fields) for index, fields in gpus if index is not None)


def _merged(gpus: Iterable[tuple[int, Fields]]) -> tuple[Reading, ...]:
    """One reading a GPU, though a process or a partition may have an entry each."""
    found: dict[tuple[int, str | None], Reading] = {}
    for index, fields in gpus:
        reading = _reading(index, fields)
        place = (index, reading.partition)
        known = found.get(place)
        found[place] = reading if known is None else replace(known, processes=(*known.processes, *reading.processes))
    return tuple(found.values())


def _reading(index: int, fields: Fields) -> Reading:
    device = (pick(fields, "asic/device id", "device id") or "").lower()
    numa = the.whole(pick(fields, "numa/node", "numa node"))
    address = the.pci_address(pick(fields, "bus/bdf", "bdf", "gpu bdf"))
    mode = (pick(fields, "partition/accelerator partition", "compute partition", "accelerator partition") or "").upper()
    partition = pick(fields, "partition id", "kfd/partition id") if mode in _PARTITIONED else None
    # Partitions of a board are functions of one PCI device, and each prints the memory of the whole board.
    board = address[:-2] if address and partition is not None else None
    # A row of CSV has no headings: beside the largest cap stands the cap, not the draw.
    socket, largest = the.told(fields.get("socket power")), the.told(fields.get("max power"))
    busy = the.percent(pick(fields, *_BUSY_NAMES) or the.told(fields.get("gfx")))
    return Reading(
        vendor=_VENDOR,
        kind="gpu",
        index=index,
        model=pick(fields, "asic/market name", "market name", "board/product name", "product name"),
        uuid=_uuid(pick(fields, "uuid", "gpu uuid")),
        serial=pick(fields, "board/product serial", "product serial"),
        pci_address=address,
        pci_id=f"1002:{device[2:]}" if re.fullmatch(r"0x[0-9a-f]{4}", device) else None,
        board=board,
        partition=f"{mode.lower()}-{partition}" if partition is not None else None,
        partition_of=board,
        driver_version=pick(fields, "driver/version", "driver/driver version", "driver version"),
        memory_bytes=the.memory(pick(fields, *_MEMORY_NAMES) or the.told(fields.get("size"))),
        memory_used_bytes=the.memory(pick(fields, "used vram", "vram used")),
        busy_percent=busy,
        busy_name=_BUSY if busy is not None else None,
        temperature_celsius=_temperature(fields),
        power_watts=the.watts(pick(fields, *_POWER_NAMES) or (socket if largest is None else None)),
        power_limit_watts=the.watts(
            pick(fields, *_LIMIT_NAMES) or (socket if largest is not None else None) or largest
        ),
        numa_node=numa if numa is not None and 0 <= numa < 1 << 16 else None,
        links=_links(index, fields),
        processes=_processes(fields),
    )


def _uuid(value: str | None) -> str | None:
    return value if value and "redacted" not in value.lower() else None


def _temperature(fields: Fields) -> float | None:
    # Cards of data centres have no sensor at the edge.
    names = ("temperature/edge", "edge", "edge temperature", "temperature/hotspot", "hotspot", "hotspot temperature")
    return next((found for name in names if (found := the.celsius(pick(fields, name))) is not None), None)


def _processes(fields: Fields) -> tuple[Process, ...]:
    """Processes, which in JSON are elements of a list, in text headings that come again, in CSV a row each."""
    found: dict[int, Process] = {}
    for path, value in fields.items():
        above, _, last = path.rpartition("/")
        pid = the.whole(value)
        if last == "pid" and pid is not None and pid > 0:
            own = {
                key.removeprefix(f"{above}/"): text
                for key, text in fields.items()
                if not above or key.startswith(f"{above}/")
            }
            used = the.memory(pick(own, "memory usage/vram mem", "vram mem", "vram"), "B")
            if len(found) >= _MOST_PROCESSES:
                break
            found[pid] = Process(pid, pick(own, "name", "process name") or "", used)
    return tuple(found.values())


def _links(index: int, fields: Fields) -> tuple[Link, ...]:
    """Links of `amd-smi topology --json`: "link_type" by "gpu_N" before ROCm 6.1.1, a list of links since."""
    links = []
    for path, value in fields.items():
        old = re.fullmatch(r"link type/gpu (\d+)", path)
        new = re.fullmatch(r"(links/\d+)/link type", path)
        peer = old[1] if old else pick(fields, f"{new[1]}/bdf", f"{new[1]}/gpu") if new else None
        # By PCIE they reach each other through the processor.
        if peer is not None and value == "XGMI" and peer != str(index):
            links.append(Link(peer, "xgmi"))
    return tuple(links)


def _topology_table(text: str) -> tuple[Reading, ...]:
    kinds: dict[str, list[Link]] = {}
    table = ""
    peers: list[str] = []
    for line in lines_of(text):
        title = re.match(r"([A-Z][A-Z ]+) TABLE:", line)
        parts = line.split()
        if title:
            table, peers = title[1], []
        elif parts and all(the.pci_address(part) for part in parts):
            peers = parts
        elif parts and the.pci_address(parts[0]):
            links = kinds.setdefault(parts[0], [])
            if table == "LINK TYPE":
                links.extend(Link(peer, "xgmi") for peer, kind in zip(peers, parts[1:], strict=False) if kind == "XGMI")
    return tuple(
        Reading(
            vendor=_VENDOR,
            kind="gpu",
            index=index,
            pci_address=the.pci_address(address),
            links=tuple(dict.fromkeys(links)),
        )
        for index, (address, links) in enumerate(kinds.items())
    )


def _monitor(text: str) -> tuple[Reading, ...]:
    """The rows of `amd-smi monitor`: a column a figure, with units in the rows."""
    lines = lines_of(text)
    start = next(place for place, line in enumerate(lines) if re.match(r"GPU\s{2,}", line))
    heads = [(head[0].lower(), head.end()) for head in re.finditer(r"\S+", lines[start])]
    found: dict[int, Reading] = {}
    for line in lines[start + 1 :]:
        parts = [(part[0], part.end()) for part in _CELL.finditer(line)]
        index = the.whole(parts[0][0]) if parts else None
        if index is None or index < 0:
            continue
        if len(parts) == len(heads):
            row = {head: part for (head, _), (part, _) in zip(heads, parts, strict=True)}
        else:
            # Columns stand below the ends of their heads.
            row = {min(heads, key=lambda head: abs(head[1] - end))[0]: part for part, end in parts}
        found.setdefault(index, _monitored(index, row))
    return tuple(found.values())


def _monitored(index: int, row: Fields) -> Reading:
    used, _, total = (row.get("vram_usage") or "").partition("/")
    unit = total.split()[-1] if len(total.split()) > 1 else "GB"
    power, _, limit = (row.get("power") or row.get("pwr") or "").partition("/")
    return Reading(
        vendor=_VENDOR,
        kind="gpu",
        index=index,
        memory_bytes=the.memory(row.get("vram_total")) if "vram_total" in row else the.memory(total, unit),
        memory_used_bytes=the.memory(row.get("vram_used")) if "vram_used" in row else the.memory(used, unit),
        busy_percent=the.percent(row.get("gfx_util") or row.get("gfx%")),
        busy_name=_BUSY,
        temperature_celsius=the.celsius(row.get("gpu_temp") or row.get("gpu_t")),
        power_watts=the.watts(power),
        power_limit_watts=the.watts(limit),
    )


def _table(text: str) -> tuple[Reading, ...]:
    """The table of `amd-smi` alone, since ROCm 7: two lines a GPU, then the processes."""
    upper: list[str] | None = None
    found: dict[int, Reading] = {}
    processes: dict[int, list[Process]] = {}
    headed = False
    amounts: list[str] = []
    for row in (cells for box in the.boxes(lines_of(text)) for cells in box):
        if row[0].startswith("BDF"):
            headed = True
        elif len(row) == 1 and row[0].split()[:2] == ["GPU", "PID"]:
            amounts = [word for word in row[0].split() if word.endswith(("_MEM", "_USAGE"))]
        elif len(row) == 1 and amounts:
            _add_process(processes, row[0], amounts)
        elif len(row) == 2 and the.pci_address(row[0]):
            upper = row
        elif len(row) == 2 and upper is not None and row[0][:1].isdigit():
            index = int(row[0].split()[0][:9]) if row[0].split()[0].isdigit() else None
            if index is not None:
                found.setdefault(index, _two_lines(index, upper, row))
            upper = None
    if not headed:
        raise Unreadable("a table of amd-smi was expected ('| BDF  GPU-Name | Mem-Uti  Temp …')")
    driver = re.search(r"amdgpu version:\s*(\S+)", text)
    return tuple(
        replace(one, driver_version=driver[1] if driver else None, processes=tuple(processes.get(index, ())))
        for index, one in found.items()
    )


def _two_lines(index: int, upper: list[str], lower: list[str]) -> Reading:
    address, _, name = upper[0].partition(" ")
    power = re.search(r"([\d.]+|N/A)\s*/\s*([\d.]+|N/A)\s*W", upper[1])
    temperature = re.search(r"(-?[\d.]+)\s*[^\w\s]{0,2}C\b", upper[1])
    memory = re.search(r"([\d.]+|N/A)\s*/\s*([\d.]+|N/A)\s*([KMGT]i?B)", lower[1])
    return Reading(
        vendor=_VENDOR,
        kind="gpu",
        index=index,
        # Long names lose their beginning to dots.
        model=the.told(name.strip(" .")),
        pci_address=the.pci_address(address),
        memory_used_bytes=the.memory(memory[1], memory[3]) if memory else None,
        memory_bytes=the.memory(memory[2], memory[3]) if memory else None,
        busy_percent=the.percent(lower[1].split()[0]) if lower[1] else None,
        busy_name=_BUSY,
        temperature_celsius=the.celsius(temperature[1]) if temperature else None,
        power_watts=the.watts(power[1]) if power else None,
        power_limit_watts=the.watts(power[2]) if power else None,
    )


def _add_process(processes: dict[int, list[Process]], cell: str, amounts: list[str]) -> None:
    found = _PROCESS.match(cell)
    if found:
        each = dict(zip(amounts, _AMOUNT.findall(found[4]), strict=False))
        process = Process(int(found[2][:12]), found[3], the.memory(each.get("VRAM_MEM")))
        processes.setdefault(int(found[1][:9]), []).append(process)


_KFD = r"/sys/class/kfd/kfd/topology/nodes/[^/ ]+"
_WORDS = ("list", "static", "metric", "process", "monitor", "topology")

COMMANDS = (
    Command("amd-smi", the.line("amd-smi", also=r"-\S+|\d+"), or_absent(smi)),
    *(Command(f"amd-smi {word}", the.line("amd-smi", word, also=r"\S+"), or_absent(smi)) for word in _WORDS),
    Command("rocm-smi", the.line("rocm-smi", also=r"\S+"), or_absent(partial(rocm.smi, maker=rocm.AMD))),
    Command("rocminfo", the.line("rocminfo", also=r"\S+"), or_absent(partial(rocm.info, maker=rocm.AMD))),
    Command(
        "cat /sys/class/kfd/kfd/topology/nodes/N/properties",
        re.compile(f"cat {_KFD}/properties"),
        or_absent(partial(rocm.node, maker=rocm.AMD)),
    ),
    Command(
        "cat /sys/class/kfd/kfd/topology/nodes/N/mem_banks/M/properties",
        re.compile(rf"cat {_KFD}/mem_banks/[^/ ]+/properties"),
        or_absent(partial(rocm.memory_bank, maker=rocm.AMD)),
    ),
)
