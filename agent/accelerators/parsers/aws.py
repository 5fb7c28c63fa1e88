"""Outputs of AWS's neuron-ls, as table and JSON, and of neuron-monitor."""

import json
import re
from collections.abc import Iterator, Mapping
from typing import Any

from agent.accelerators.parsers import text as the
from agent.accelerators.parsers.absences import or_absent
from agent.accelerators.parsers.nested import json_in, lines_of, loaded
from agent.accelerators.readings import Command, Process, Reading, Unreadable
from headrace.changes import replace
from headrace.nodes import Link

_VENDOR = "aws"
_KIND = "npu"
_BUSY = "NeuronCore utilisation"
_LINK = "neuronlink"
# More than any instance has.
_MOST_DEVICES = 1024
_MOST_BYTES = 1 << 50
# No tool names the chip; each family of instances has one kind.
_FAMILIES = {
    "inf1": "Inferentia",
    "inf2": "Inferentia2",
    "trn1": "Trainium",
    "trn1n": "Trainium",
    "trn2": "Trainium2",
    "trn2n": "Trainium2",
    "trn2u": "Trainium2",
    "trn3": "Trainium3",
}


def devices(text: str) -> tuple[Reading, ...]:
    """Reads `neuron-ls`, with or without `--topology` or `-j`."""
    json_text = json_in(text)
    if json_text is not None:
        return _json(json_text)
    columns: list[str] = []
    found: dict[int, Reading] = {}
    for row in (cells for box in the.boxes(lines_of(text)) for cells in box):
        index = the.whole(row[0])
        if index is None and not found:
            # The head has several lines, one word in each.
            words = [cell.upper() for cell in row]
            more = len(columns) == len(words)
            columns = (
                [f"{above} {below}".strip() for above, below in zip(columns, words, strict=True)] if more else words
            )
        elif index is not None and index >= 0:
            found.setdefault(index, _row(index, dict(zip(columns, row, strict=False))))
    model = _model(text)
    if not any("NEURON" in column for column in columns):
        raise Unreadable("a table of neuron-ls was expected ('| NEURON | NEURON |', '| DEVICE | CORES  |')")
    return tuple(replace(one, model=model) for one in found.values())


def _model(text: str) -> str | None:
    instance = re.search(r"(?i)instance[-_]type\"?\s?:\s?\"?([a-z]{2,4}\d[a-z]?)", text)
    return _FAMILIES.get(instance[1].lower()) if instance else None


def _row(index: int, row: Mapping[str, str]) -> Reading:
    numa = the.whole(row.get("NUMA NODE"))
    return Reading(
        vendor=_VENDOR,
        kind=_KIND,
        index=index,
        pci_address=the.pci_address(row.get("PCI BDF")),
        memory_bytes=the.memory(next((value for key, value in row.items() if key.endswith("MEMORY")), None)),
        numa_node=numa if numa is not None and numa >= 0 else None,
        device_nodes=(f"/dev/neuron{index}",),
        links=_links(
            re.findall(r"\d+", next((value for key, value in row.items() if key.startswith("CONNECTED")), ""))
        ),
    )


def _links(peers: list[str]) -> tuple[Link, ...]:
    return tuple(Link(peer, _LINK) for peer in dict.fromkeys(peers))


def _json(text: str) -> tuple[Reading, ...]:
    whole = loaded(text, "JSON of neuron-ls")
    listed = whole.get("neuron_devices", whole.get("devices")) if isinstance(whole, dict) else whole
    entries = (
        [one for one in listed if isinstance(one, dict) and "neuron_device" in one] if isinstance(listed, list) else []
    )
    if not entries and listed != []:
        raise Unreadable("JSON of neuron-ls was expected: a list whose entries have 'neuron_device'")
    readings, model = [], _model(text)
    for entry in entries:
        index, numa = the.whole(str(entry["neuron_device"])), the.whole(str(entry.get("numa_node")))
        peers = entry.get("connected_to")
        readings.append(
            Reading(
                vendor=_VENDOR,
                kind=_KIND,
                index=index,
                model=model,
                serial=the.told(str(entry["serial_number"])) if entry.get("serial_number") else None,
                pci_address=the.pci_address(str(entry.get("bdf"))),
                memory_bytes=the.memory(str(entry.get("memory_size")), "B"),
                numa_node=numa if numa is not None and numa >= 0 else None,
                device_nodes=(f"/dev/neuron{index}",) if index is not None else (),
                links=_links([str(peer) for peer in peers]) if isinstance(peers, list) else (),
                processes=tuple(_processes(entry.get("neuron_processes"))),
            )
        )
    return tuple(readings)


def _processes(listed: Any) -> Iterator[Process]:
    for one in listed if isinstance(listed, list) else ():
        pid = the.whole(str(one.get("pid"))) if isinstance(one, dict) else None
        if pid is not None:
            yield Process(pid, str(one.get("command", "")))


def monitor(text: str) -> tuple[Reading, ...]:
    """Reads neuron-monitor: the last whole report of its stream. Cores are counted on over the devices."""
    report: dict[str, Any] | None = None
    decoder = json.JSONDecoder()
    at = text.find("{")
    while at >= 0:
        try:
            value, end = decoder.raw_decode(text, at)
        except (ValueError, RecursionError):
            break
        report = (
            value
            if isinstance(value, dict) and ("neuron_runtime_data" in value or "neuron_hardware_info" in value)
            else report
        )
        at = text.find("{", end)
    if report is None:
        raise Unreadable("reports of neuron-monitor were expected, with 'neuron_runtime_data'")
    hardware = _within(report, "neuron_hardware_info")
    counters = _within(report, "system_data", "neuron_hw_counters").get("neuron_devices")
    count = the.whole(str(hardware.get("neuron_device_count")))
    if count is None:
        count = len(counters) if isinstance(counters, list) else 0
    cores = the.whole(str(hardware.get("neuroncore_per_device_count"))) or None
    runtimes = report.get("neuron_runtime_data")
    runtimes = [one for one in runtimes if isinstance(one, dict)] if isinstance(runtimes, list) else []
    model = _model(json.dumps(report))
    return tuple(
        replace(_monitored(index, count, cores, hardware, runtimes), model=model)
        for index in range(min(max(count, 0), _MOST_DEVICES))
    )


def _within(value: Any, *keys: str) -> Mapping[str, Any]:
    for key in keys:
        value = value.get(key) if isinstance(value, dict) else None
    return value if isinstance(value, dict) else {}


def _monitored(
    index: int, count: int, cores: int | None, hardware: Mapping[str, Any], runtimes: list[dict[str, Any]]
) -> Reading:
    shares: list[float] = []
    used: list[int] = []
    processes: list[Process] = []
    for runtime in runtimes:
        in_use = _within(runtime, "report", "neuroncore_counters", "neuroncores_in_use")
        taken = _within(
            runtime, "report", "memory_used", "neuron_runtime_used_bytes", "usage_breakdown", "neuroncore_memory_usage"
        )
        mine = [core for core in in_use if _is_on(str(core), index, count, cores)]
        shares.extend(
            share
            for core in mine
            if (share := the.percent(str(_within(in_use, core).get("neuroncore_utilization")))) is not None
        )
        amounts = [
            part for core in taken if _is_on(str(core), index, count, cores) for part in _within(taken, core).values()
        ]
        used.extend(
            amount for part in amounts if isinstance(part, int) and (amount := the.memory(str(part), "B")) is not None
        )
        if count == 1 and not amounts:
            # Old versions do not break it down.
            whole = _within(runtime, "report", "memory_used", "neuron_runtime_used_bytes").get("neuron_device")
            used.extend([whole] if isinstance(whole, int) and 0 <= whole < _MOST_BYTES else [])
        pid = the.whole(str(runtime.get("pid")))
        if pid is not None and mine:
            processes.append(Process(pid, str(runtime.get("neuron_runtime_tag", ""))))
    return Reading(
        vendor=_VENDOR,
        kind=_KIND,
        index=index,
        memory_bytes=the.memory(str(hardware.get("neuron_device_memory_size")), "B"),
        memory_used_bytes=sum(used) if used else None,
        # Cores that no runtime holds are not in the report: they are idle.
        busy_percent=sum(shares) / max(len(shares), cores or 1) if shares else None,
        busy_name=_BUSY,
        device_nodes=(f"/dev/neuron{index}",),
        processes=tuple(processes),
    )


def _is_on(core: str, index: int, count: int, cores: int | None) -> bool:
    number = the.whole(core)
    if number is None:
        return False
    return number // cores == index if cores else count == 1


COMMANDS = (
    Command("neuron-ls", the.line("neuron-ls", also=r"\S+"), or_absent(devices)),
    Command("neuron-monitor", the.line("neuron-monitor", also=r"\S+"), or_absent(monitor)),
)
