"""Outputs of Intel's xpu-smi, of 1.2 to 2.0, and of intel_gpu_top. Those of Kunlunxin's xpu-smi are refused."""

import csv
import json
import re
from collections.abc import Iterable, Mapping
from typing import Any

from agent.accelerators.parsers import text as the
from agent.accelerators.parsers.absences import or_absent
from agent.accelerators.parsers.cards import Card, as_reading, read_cards
from agent.accelerators.parsers.nested import Fields, flat, json_in, key_of, lines_of, loaded, pick
from agent.accelerators.parsers.nvml_tools import listed
from agent.accelerators.parsers.queries import queried, query_rows
from agent.accelerators.readings import Command, Process, Reading, Unreadable
from headrace.changes import replace
from headrace.nodes import Health, Link

_VENDOR = "intel"
_BUSY = "GPU utilisation"
_HEALTH = {
    "ok": Health.HEALTHY,
    "warning": Health.DEGRADED,
    "critical": Health.UNHEALTHY,
}
_WORST = (Health.UNHEALTHY, Health.DEGRADED, Health.UNKNOWN, Health.HEALTHY)
_FOREIGN = re.compile(r"(?i)kunlun|\bP800\b|XPU-RT|\bR[23]00\b")
_HEAD = (
    ("GPU  Name                    Persistence-M", "Bus-Id            Disp.A", "Volatile Uncorr. ECC"),
    ("Fan  Temp  Pwr:Usage/Cap", "Memory-Usage", "GPU-Util  Compute M."),
)
_PROCESS = re.compile(r"\|\s*(\d{1,5})\s+(\d{1,10})\s+(\S+)\s+(\S[^|]*?)\s{2,}(\S+(?: \w+)?)\s*\|")
_LINK = re.compile(r"(MDF|XL)(\d+|\*)?")
_TILE = re.compile(r"(?i)tile\s*\d+\s*:\s*(-?[\d.]+)")


def _ours(text: str) -> None:
    if _FOREIGN.search(text) and "intel" not in text.lower():
        raise Unreadable("an output of Intel's xpu-smi was expected; this is Kunlunxin's")


def _gpu(index: int | None, fields: Fields) -> Reading:
    """A GPU by the keys of JSON or the titles of a table, which differ by their marks alone."""
    device = (pick(fields, "pci device id") or "").lower().removeprefix("0x")
    total = the.memory(pick(fields, "memory physical size byte", "memory physical size b"), "B") or the.memory(
        pick(fields, "memory physical size")
    )
    free = the.memory(pick(fields, "memory free size byte", "memory free size b"), "B")
    drm = pick(fields, "drm device") or ""
    return Reading(
        vendor=_VENDOR,
        kind="gpu",
        index=index,
        model=pick(fields, "device name"),
        uuid=pick(fields, "uuid", "soc uuid"),
        serial=pick(fields, "serial number"),
        pci_address=the.pci_address(pick(fields, "pci bdf address", "bdf address", "pci bdf")),
        pci_id=f"8086:{device:0>4}" if re.fullmatch(r"[0-9a-f]{1,4}", device) else None,
        driver_version=pick(fields, "driver version", "kernel driver version"),
        memory_bytes=total,
        memory_used_bytes=total - free if total is not None and free is not None and free <= total else None,
        device_nodes=(drm,) if re.fullmatch(r"/dev/dri/\w+", drm) else (),
    )


def discovery(text: str) -> tuple[Reading, ...]:
    """Reads `xpu-smi discovery`: JSON of all or of one GPU, its table, or the CSV of `--dump`."""
    _ours(text)
    if json_in(text) is not None:
        return tuple(_gpu(the.whole(str(entry.get("device_id"))), flat(entry)) for entry in _entries(text, "device_id"))
    if "|" not in text and re.search(r"(?im)^\"?(?:device id|device name|vendor name|uuid|soc uuid|pci bdf)", text):
        rows = _rows(text, re.compile(r"(?i)\"?(?:device|vendor|uuid|soc uuid|pci|memory)"))
        return tuple(_gpu(the.whole(fields.get("device id")), fields) for fields in rows)
    gpus: list[tuple[int | None, Fields]] = []
    headed = False
    for row in (cells for box in the.boxes(lines_of(text)) for cells in box):
        headed = headed or row[0] == "Device ID"
        if headed and len(row) > 1:
            if row[0].isdigit() and (not gpus or gpus[-1][0] != the.whole(row[0])):
                gpus.append((the.whole(row[0]), {}))
            key, colon, value = row[1].partition(":")
            if gpus and colon:
                gpus[-1][1].setdefault(key_of(key), value.strip())
    if not headed:
        raise Unreadable("devices of xpu-smi were expected: JSON with 'device_list', a table with 'Device ID', or CSV")
    return tuple(_gpu(index, fields) for index, fields in gpus)


def _entries(text: str, key: str) -> list[dict[str, Any]]:
    whole = loaded(json_in(text) or "", "JSON of xpu-smi")
    lists = [whole.get("device_list"), whole.get("devices"), [whole]] if isinstance(whole, dict) else [whole]
    found = next((one for one in lists if isinstance(one, list)), [])
    entries = [entry for entry in found if isinstance(entry, dict) and key in entry]
    if not entries and not (isinstance(whole, dict) and isinstance(whole.get("device_list"), list)):
        raise Unreadable(
            f"JSON of xpu-smi was expected, with '{key}'; it may say why there is none: {str(whole)[:120]}"
        )
    return entries


def _rows(text: str, head: re.Pattern[str]) -> list[Fields]:
    lines = lines_of(text)
    start = next((place for place, line in enumerate(lines) if head.match(line)), None)
    if start is None:
        raise Unreadable("CSV of xpu-smi was expected, with titles in its first line")
    try:
        rows = [[cell.strip() for cell in row] for row in csv.reader(lines[start:], skipinitialspace=True) if row]
    except csv.Error as error:
        raise Unreadable(f"CSV of xpu-smi was expected: {error}") from error
    return [dict(zip(map(key_of, rows[0]), row, strict=False)) for row in rows[1:]]


def dump(text: str) -> tuple[Reading, ...]:
    """Reads `xpu-smi dump`: the last sample of each GPU, or of each of its tiles."""
    _ours(text)
    found: dict[tuple[int | None, str | None], Reading] = {}
    for fields in _rows(text, re.compile(r"(?i)\s*Timestamp\s*,\s*Device\s?Id")):
        index = the.whole(_either(fields, "deviceid", "device id"))
        tile = the.told(_either(fields, "tileid", "tile id"))
        if index is None:
            continue
        found[index, tile] = replace(
            _figures(fields),
            index=index,
            board=str(index) if tile is not None else None,
            partition=tile,
            partition_of=str(index) if tile is not None else None,
        )
    return tuple(found.values())


def _either(fields: Fields, *names: str) -> str | None:
    return next((fields[name] for name in names if name in fields), None)


def _figures(fields: Fields) -> Reading:
    """Figures by the titles of `dump` and `stats`. Of several tiles: the mean use, highest heat, sum of power."""
    busy = _either(fields, "gpu utilization %", "average % utilization of all gpu engines")
    heat = next((value for key, value in fields.items() if key.startswith("gpu core temperature")), None)
    busies, heats = _tiles(busy), _tiles(heat)
    powers, amounts = _tiles(fields.get("gpu power w")), _tiles(fields.get("gpu memory used mib"))
    return Reading(
        vendor=_VENDOR,
        kind="gpu",
        busy_percent=the.percent(str(sum(busies) / len(busies))) if busies else None,
        busy_name=_BUSY if busy is not None else None,
        temperature_celsius=the.celsius(str(max(heats))) if heats else None,
        power_watts=the.watts(str(sum(powers))) if powers else None,
        memory_used_bytes=the.memory(str(sum(amounts))) if amounts else None,
    )


def _tiles(value: str | None) -> list[float]:
    """The device's own figure, else those of its tiles: "12", "total: 12, …" or "Tile 0: 5, Tile 1: 7"."""
    whole = the.number(re.sub(r"(?i)^\s*total:\s*", "", value or ""))
    return (
        [whole]
        if whole is not None
        else [float(one) for one in _TILE.findall(value or "") if the.number(one) is not None]
    )


def stats(text: str) -> tuple[Reading, ...]:
    """Reads `xpu-smi stats -d N`: a table of two columns, or JSON with a list under 'device_level'."""
    _ours(text)
    if json_in(text) is not None:
        return tuple(_stats(entry) for entry in _entries(text, "device_level"))
    return tuple(replace(_figures(fields), index=index) for index, fields in _columns(text))


def _columns(text: str) -> list[tuple[int | None, Fields]]:
    """The devices of a table of two columns, each from its row "Device ID" on."""
    devices: list[tuple[int | None, Fields]] = []
    title = ""
    for row in (cells for box in the.boxes(lines_of(text)) for cells in box):
        if row[0] == "Device ID" and len(row) > 1:
            devices.append((the.whole(row[1]), {}))
        elif devices and len(row) > 1:
            title = key_of(row[0]) or title
            fields = devices[-1][1]
            fields[title] = f"{fields[title]}, {row[1]}" if title in fields else row[1]
    if not devices:
        raise Unreadable("a table of xpu-smi was expected, with a row 'Device ID'")
    return devices


def _stats(entry: Mapping[str, Any]) -> Reading:
    level = entry.get("device_level")
    listed = [one for one in level if isinstance(one, dict)] if isinstance(level, list) else []
    values = {str(one.get("metrics_type")).removeprefix("XPUM_STATS_"): str(one.get("value")) for one in listed}
    used = the.number(values.get("MEMORY_USED"))
    return Reading(
        vendor=_VENDOR,
        kind="gpu",
        index=the.whole(str(entry.get("device_id"))),
        busy_percent=the.percent(values.get("GPU_UTILIZATION")),
        busy_name=_BUSY if "GPU_UTILIZATION" in values else None,
        temperature_celsius=the.celsius(values.get("GPU_CORE_TEMPERATURE")),
        power_watts=the.watts(values.get("POWER")),
        # In MiB; some versions tell bytes, which no card has so many MiB of.
        memory_used_bytes=the.memory(values.get("MEMORY_USED"), "B" if used and used > 1 << 24 else "MiB"),
    )


def health(text: str) -> tuple[Reading, ...]:
    """Reads `xpu-smi health`: the worst of what the components say."""
    _ours(text)
    if json_in(text) is not None:
        return tuple(
            _judged(
                the.whole(str(entry.get("device_id"))),
                (
                    (key_of(name), str(part.get("status")), str(part.get("description", "")))
                    for name, part in _parts(entry)
                ),
            )
            for entry in _entries(text, "device_id")
        )
    readings = []
    for index, fields in _columns(text):
        said = [(name, re.search(r"(?i)status:\s*(\w+)", value), value) for name, value in fields.items()]
        components = (
            (name.lstrip("0123456789 "), status[1], _description(value))
            for name, status, value in said
            if status is not None
        )
        readings.append(_judged(index, components))
    return tuple(readings)


def _parts(entry: Mapping[str, Any]) -> Iterable[tuple[str, Mapping[str, Any]]]:
    return ((name, part) for name, part in entry.items() if isinstance(part, dict) and "status" in part)


def _description(value: str) -> str:
    found = re.search(r"(?i)description:\s*([^,]+)", value)
    return found[1].strip() if found else ""


def _judged(index: int | None, components: Iterable[tuple[str, str, str]]) -> Reading:
    judged = [(_HEALTH.get(status.strip().lower(), Health.UNKNOWN), name, text) for name, status, text in components]
    worst = next((health for health in _WORST if any(one[0] is health for one in judged)), Health.UNKNOWN)
    bad = [f"{name}: {text}".strip(": ") for one, name, text in judged if one in (Health.UNHEALTHY, Health.DEGRADED)]
    return Reading(vendor=_VENDOR, kind="gpu", index=index, health=worst, health_reason="; ".join(bad))


def topology(text: str) -> tuple[Reading, ...]:
    """Reads `xpu-smi topology -m`: GPUs, or tiles where cards have several, with what links them."""
    _ours(text)
    lines = [[cell.strip() for cell in line.split("|")] for line in lines_of(text) if "|" in line]
    head = next((place for place, row in enumerate(lines) if any(cell.startswith("GPU ") for cell in row)), None)
    if head is None:
        raise Unreadable("a matrix of xpu-smi was expected ('GPU 0/0|GPU 0/1|…|CPU Affinity')")
    peers = [cell.removeprefix("GPU").strip() for cell in lines[head] if cell.startswith("GPU ")]
    rows = {row[0].removeprefix("GPU").strip(): row[1:] for row in lines[head + 1 :] if row[0].startswith("GPU ")}
    tiled = any(not name.endswith("/0") for name in rows if "/" in name)
    return tuple(_linked(name, _links(name, peers, row), tiled=tiled) for name, row in rows.items())


def _links(name: str, peers: list[str], row: list[str]) -> tuple[Link, ...]:
    found = ((peer, _LINK.fullmatch(cell)) for peer, cell in zip(peers, row, strict=False) if peer != name)
    return tuple(
        Link(peer, "mdf" if link[1] == "MDF" else "xelink", the.whole(link[2]))
        for peer, link in found
        if link is not None
    )


def _linked(name: str, links: tuple[Link, ...], *, tiled: bool) -> Reading:
    card, _, tile = name.partition("/")
    index = the.whole(card)
    if not tiled:
        return Reading(vendor=_VENDOR, kind="gpu", index=index, links=links)
    return Reading(vendor=_VENDOR, kind="gpu", index=index, board=card, partition=tile, partition_of=card, links=links)


def top(text: str) -> tuple[Reading, ...]:
    """Reads `intel_gpu_top -J`: the last whole period. Its list has no end where the program was stopped."""
    decoder = json.JSONDecoder()
    period: dict[str, Any] | None = None
    at = text.find("{")
    while at >= 0:
        try:
            value, end = decoder.raw_decode(text, at)
        except (ValueError, RecursionError):
            break
        period = value if isinstance(value, dict) and "engines" in value else period
        at = text.find("{", end)
    if period is None:
        raise Unreadable("periods of intel_gpu_top were expected, with 'engines'")
    engines = period["engines"] if isinstance(period["engines"], dict) else {}
    # A render engine at work all the time may tell a little over a hundred.
    shares = {
        re.sub(r"/\d+$", "", name): min(busy, 100.0)
        for name, engine in engines.items()
        if isinstance(engine, dict) and (busy := the.number(str(engine.get("busy")))) is not None and busy >= 0
    }
    busiest = max(shares, key=lambda name: shares[name], default=None)
    power, clients = period.get("power"), period.get("clients")
    watts = str(power.get("GPU")) if isinstance(power, dict) else None
    users = [client for client in clients.values() if isinstance(client, dict)] if isinstance(clients, dict) else []
    processes = ((the.whole(str(client.get("pid"))), str(client.get("name", ""))) for client in users)
    return (
        Reading(
            vendor=_VENDOR,
            kind="gpu",
            busy_percent=shares[busiest] if busiest is not None else None,
            busy_name=busiest,
            power_watts=the.watts(watts),
            processes=tuple(Process(pid, name) for pid, name in processes if pid is not None),
        ),
    )


def table(text: str) -> tuple[Reading, ...]:
    """Reads `xpu-smi` alone, since 2.0: two lines a GPU, then the processes."""
    _ours(text)
    found = {card.index: card for card in reversed(read_cards(text, _HEAD)) if card.index is not None}
    if not re.search(r"(?i)intel", text):
        raise Unreadable("a table of Intel's xpu-smi was expected ('Intel XPU-SMI v2.0 … Level Zero: …')")
    if not found and "Bus-Id" not in text:
        raise Unreadable("a table of xpu-smi was expected ('| GPU  Name  Persistence-M | Bus-Id …')")
    processes: dict[int, list[Process]] = {}
    for line in lines_of(text):
        row = _PROCESS.match(line)
        if row:
            processes.setdefault(int(row[1]), []).append(Process(int(row[2]), row[4].strip(), the.memory(row[5])))
    driver = re.search(r"Driver:\s*(\S+)", text)
    return tuple(
        replace(
            _card(found[index]),
            driver_version=driver[1] if driver else None,
            processes=tuple(processes.get(index, ())),
        )
        for index in sorted(found)
    )


def _card(card: Card) -> Reading:
    return replace(as_reading(card, vendor=_VENDOR, busy_name=_BUSY), model=the.told(card.name))


def query(line: str, text: str) -> tuple[Reading, ...]:
    """Reads `xpu-smi --query-gpu=…`, since 2.0, whose columns are nvidia-smi's."""
    return tuple(queried(row, _VENDOR) for row in query_rows(line, text))


COMMANDS = (
    Command("xpu-smi", the.line("xpu-smi", also=r"-(?!-query|-list|[mqL])\S+"), or_absent(table)),
    Command(
        "xpu-smi --query-gpu=FIELDS --format=csv",
        the.line("xpu-smi", r"--query-gpu[= ]\S+", also=r"\S+"),
        lambda text: query("", text),
        query,
    ),
    Command("xpu-smi --list-gpus", the.line("xpu-smi", "--list-gpus", also=r"\S+"), lambda text: listed(text, _VENDOR)),
    Command("xpu-smi discovery", the.line("xpu-smi", "discovery", also=r"\S+"), or_absent(discovery)),
    Command("xpu-smi stats -d N", the.line("xpu-smi", "stats", also=r"\S+"), or_absent(stats)),
    Command("xpu-smi dump -d N -m METRICS", the.line("xpu-smi", "dump", also=r"\S+"), or_absent(dump)),
    Command("xpu-smi health -l", the.line("xpu-smi", "health", also=r"\S+"), or_absent(health)),
    Command("xpu-smi topology -m", the.line("xpu-smi", "topology", "-m", also=r"\S+"), or_absent(topology)),
    Command("intel_gpu_top -J", the.line("intel_gpu_top", "-J", also=r"\S+"), or_absent(top)),
)
