"""NVIDIA: what nvidia-smi prints in lines and boxes: its table, processes, NVLinks, and dmon."""

import re
from collections.abc import Iterator, Mapping, Sequence

from agent.accelerators.parsers.cards import Card, as_reading, driver_version, read_cards, used_and_total
from agent.accelerators.parsers.nvml_tools import listed
from agent.accelerators.parsers.text import cells, celsius, memory, pci_address, percent, told, watts, whole
from agent.accelerators.readings import Process, Reading, Unreadable
from headrace.changes import replace
from headrace.nodes import Health, Link

_STANDARD = (
    ("GPU  Name", "Bus-Id", "Volatile Uncorr. ECC"),
    ("Fan  Temp  Perf  Pwr:Usage/Cap", "Memory-Usage", "GPU-Util  Compute M."),
)
_INSTANCE = re.compile(r"(\d{1,5})\s+(\d{1,5})\s+(\d{1,5})\s+(\d{1,5})")
_LINK = re.compile(r"\s+Link (\d+): (\d+(?:\.\d+)?) GB/s")


def table(text: str) -> tuple[Reading, ...]:
    """`nvidia-smi` alone: a box for each device; below them those of its MIG devices."""
    cards = read_cards(text, _STANDARD)
    if not cards:
        raise Unreadable("expected nvidia-smi's table with a box for each device, and there is none")
    driver = driver_version(text)
    devices = [replace(_card(card), driver_version=driver) for card in cards]
    return (*devices, *_instances(text, devices))


def _card(card: Card) -> Reading:
    health, reason = _health(card)
    found = as_reading(card, vendor="nvidia", busy_name="GPU-Util")
    return replace(found, unified_memory=unified_memory(card.name), health=health, health_reason=reason)


def unified_memory(model: str | None) -> bool:
    """Whether a model has no memory of its own: it uses the machine's, and tells none."""
    return bool(re.search(r"\b(?:GB10|Orin|Thor|Xavier)\b", model or ""))


def _health(card: Card) -> tuple[Health, str]:
    for word, title in (("name", "its name"), ("memory-usage", "its memory"), ("util", "its use")):
        if "ERR!" in card.cell(word):
            return Health.UNHEALTHY, f"its tool prints ERR! for {title}"
    if "ERR!" in card.cell("pwr"):
        return Health.DEGRADED, "its tool prints ERR! for its sensors"
    # With MIG the cell says whether errors are counted ("On"), not how many there were.
    errors = told(card.cell("ecc"))
    if errors is None or not errors.isdecimal():
        return Health.UNKNOWN, ""
    if int(errors[:9]):
        return Health.UNHEALTHY, f"{errors} uncorrected memory errors since its driver was loaded"
    return Health.HEALTHY, ""


def _instances(text: str, devices: Sequence[Reading]) -> Iterator[Reading]:
    below = text.partition("MIG devices:")[2].partition("Processes:")[0]
    for text_line in below.split("\n"):
        row = cells(text_line) or [""]
        found = _INSTANCE.fullmatch(row[0])
        parent = next((one for one in devices if found and one.index == int(found[1])), None)
        if not found or len(row) < 2:
            continue
        used, total = used_and_total(row[1])
        yield Reading(
            vendor="nvidia",
            kind="gpu",
            index=int(found[4]),
            model=parent.model if parent else None,
            driver_version=parent.driver_version if parent else None,
            partition=f"gi{found[2]}/ci{found[3]}",
            partition_of=(parent.pci_address if parent else None) or found[1],
            memory_bytes=total,
            memory_used_bytes=used,
        )


def apps(rows: Sequence[Mapping[str, str]], vendor: str) -> tuple[Reading, ...]:
    """The devices of a list of processes, each with its own."""
    rows_of: dict[str, list[Mapping[str, str]]] = {}
    for row in rows:
        uuid = told(row.get("gpu_uuid")) or told(row.get("gpu_bus_id")) or told(row.get("gpu_serial")) or ""
        rows_of.setdefault(uuid, []).append(row)
    return tuple(
        Reading(
            vendor=vendor,
            kind="gpu",
            model=told(of_it[0].get("gpu_name")),
            uuid=told(of_it[0].get("gpu_uuid")),
            serial=told(of_it[0].get("gpu_serial")),
            pci_address=pci_address(of_it[0].get("gpu_bus_id")),
            processes=tuple(process for row in of_it for process in _process(row)),
        )
        for of_it in rows_of.values()
    )


def _process(row: Mapping[str, str]) -> Iterator[Process]:
    pid = whole(row.get("pid"))
    if pid is not None:
        used = memory(row.get("used_gpu_memory") or row.get("used_memory"))
        yield Process(pid, told(row.get("process_name") or row.get("name")) or "", used)


def nvlinks(text: str) -> tuple[Reading, ...]:
    """`nvlink -s`: a device's line, then one for each of its links; those that are inactive have no speed."""
    counts: list[int] = []
    for text_line in text.split("\n"):
        if text_line.startswith("GPU "):
            counts.append(0)
        elif counts and _LINK.match(text_line):
            counts[-1] += 1
    devices = listed(text, "nvidia")
    # What is at a link's other end is not told here.
    links = [(Link("", "nvlink", count),) if count else () for count in counts]
    return tuple(replace(device, links=of_it) for device, of_it in zip(devices, links, strict=False))


def monitored(text: str) -> tuple[Reading, ...]:
    """`dmon`: two lines of titles and units, then samples; the last of each device counts."""
    return tuple({index: _sample(index, row) for index, row in _samples(text)}.values())


def process_monitored(text: str) -> tuple[Reading, ...]:
    """`pmon`: as `dmon`, with a line a process, and "-" for a device without any."""
    found: dict[int, dict[int, Process]] = {}
    for index, row in _samples(text):
        pid = whole(row.get("pid"))
        processes = found.setdefault(index, {})
        if pid is not None:
            processes[pid] = Process(pid, told(row.get("command")) or "", memory(row.get("fb")))
    return tuple(
        Reading(vendor="nvidia", kind="gpu", index=index, processes=tuple(processes.values()))
        for index, processes in found.items()
    )


def _samples(text: str) -> list[tuple[int, dict[str, str]]]:
    titles: list[str] = []
    found: list[tuple[int, dict[str, str]]] = []
    for text_line in text.split("\n"):
        if text_line.startswith("#"):
            words = text_line.lstrip("# ").lower().split()
            titles = words if "gpu" in words else titles
            continue
        row = dict(zip(titles, text_line.split(), strict=False))
        index = whole(row.get("gpu"))
        if index is not None:
            found.append((index, row))
    if not found:
        raise Unreadable('expected a line "# gpu …" with titles and samples below it, and there are none')
    return found


def _sample(index: int, row: Mapping[str, str]) -> Reading:
    busy = percent(row.get("sm"))
    return Reading(
        vendor="nvidia",
        kind="gpu",
        index=index,
        memory_used_bytes=memory(row.get("fb")),
        busy_percent=busy,
        busy_name="sm" if busy is not None else None,
        temperature_celsius=celsius(row.get("gtemp")),
        power_watts=watts(row.get("pwr")),
    )
