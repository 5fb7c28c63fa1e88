"""NVIDIA: nvidia-smi's queries in XML, text and CSV, its table, and its lists."""

import re
from collections.abc import Callable, Iterator

from agent.accelerators.parsers.fields import Fields, Names, blocks, from_xml, processes, reading
from agent.accelerators.parsers.nvidia_lists import apps, monitored, nvlinks, process_monitored, table, unified_memory
from agent.accelerators.parsers.nvml_health import health_of
from agent.accelerators.parsers.nvml_tools import listed, read_with_failures, topology
from agent.accelerators.parsers.queries import queried, query_rows
from agent.accelerators.parsers.text import line, memory, whole
from agent.accelerators.readings import Command, Reading, Unreadable
from headrace.changes import replace

VENDOR = "nvidia"

_PROGRAM = "nvidia-smi"
_QUERY = "-q|--query"
_ONE = r"(?:-i|--id)[= ]?\S+|-l \d+|-lms \d+"
_CSV = r"--format[= ]\S+"

# XML until driver 530 says power_readings, since 535 gpu_power_readings; since 570 the draw is an average and an
# instant. The text says the same in words, so that both are read by one list.
_NAMES = Names(
    model=("product_name",),
    uuid=("uuid", "gpu_uuid"),
    serial=("serial", "serial_number"),
    pci_address=("pci/pci_bus_id", "pci/bus_id", "@id"),
    pci_id=("pci/pci_device_id", "pci/device_id"),
    memory=("fb_memory_usage/total",),
    used=("fb_memory_usage/used",),
    busy=("utilization/gpu_util", "utilization/gpu"),
    temperature=("temperature/gpu_temp", "temperature/gpu_current_temp", "temperature/gpu"),
    power=tuple(
        f"{folder}/{name}"
        for folder in ("gpu_power_readings", "power_readings")
        for name in ("power_draw", "average_power_draw", "instant_power_draw", "instantaneous_power_draw")
    ),
    power_limit=tuple(
        f"{folder}/{name}"
        for folder in ("gpu_power_readings", "power_readings")
        for name in ("current_power_limit", "enforced_power_limit", "power_limit")
    ),
)
_PARTITIONS = ("mig_devices/mig_device/index", "mig_device/index")
_DEVICE = re.compile(r"GPU ([0-9A-Fa-f]{4,8}:[0-9A-Fa-f]{2}:[0-9A-Fa-f]{2}\.[0-7])\s*")


def _xml(text: str) -> tuple[Reading, ...]:
    head, devices = from_xml(text, root="nvidia_smi_log")
    if not devices and head.first("attached_gpus") != "0":
        raise Unreadable("expected an element <gpu> for each device, and there is none")
    return tuple(one for fields in devices for one in _device(fields, head.first("driver_version")))


def _text(text: str) -> tuple[Reading, ...]:
    head, devices = blocks(text, _DEVICE)
    if not devices and head.first("attached_gpus") != "0":
        raise Unreadable('expected a line "GPU 00000000:01:00.0" above the values of each device, and there is none')
    return tuple(
        one
        for found, fields in devices
        for one in _device(Fields((("@id", found[1]), *fields.items)), head.first("driver_version"))
    )


def _device(fields: Fields, driver: str | None) -> Iterator[Reading]:
    health, reason = health_of(fields)
    several = (fields.first("multigpu_board") or "").lower() == "yes"
    device = replace(
        reading(VENDOR, "gpu", fields, _NAMES),
        driver_version=driver,
        board=fields.first("board_id") if several else None,
        health=health,
        health_reason=reason,
        processes=processes(fields),
        unified_memory=unified_memory(fields.first("product_name")),
    )
    yield device
    for first in _PARTITIONS:
        for part in fields.parts(first):
            instance, compute = part.raw("gpu_instance_id"), part.raw("compute_instance_id")
            yield Reading(
                vendor=VENDOR,
                kind="gpu",
                index=whole(part.raw("index")),
                model=device.model,
                uuid=part.first("uuid", "mig_uuid"),
                driver_version=driver,
                partition=part.first("profile_name", "name") or f"gi{instance}/ci{compute}",
                partition_of=device.uuid or device.pci_address,
                memory_bytes=memory(part.first("fb_memory_usage/total")),
                memory_used_bytes=memory(part.first("fb_memory_usage/used")),
                health=health,
                health_reason=reason,
            )


def _csv(command: str, text: str) -> tuple[Reading, ...]:
    def parse(output: str) -> tuple[Reading, ...]:
        return tuple(_of_row(row) for row in query_rows(command, output))

    return read_with_failures(text, VENDOR, parse)


def _of_row(row: dict[str, str]) -> Reading:
    # A query's names are those of XML with dots, so that one rule for health reads both.
    renamed = {
        "gpu_recovery_action": "gpu_recovery_action",
        "ecc.errors.uncorrected.volatile.total": "ecc_errors/volatile/uncorrectable",
        "remapped_rows.failure": "remapped_rows/remapped_row_failure",
        "remapped_rows.pending": "remapped_rows/remapped_row_pending",
        "retired_pages.pending": "retired_pages/pending_retirement",
        "memory.total": "fb_memory_usage/total",
        "utilization.gpu": "utilization/gpu_util",
        "temperature.gpu": "temperature/gpu_temp",
    }
    health, reason = health_of(Fields(tuple((path, row[name]) for name, path in renamed.items() if name in row)))
    unified = unified_memory(row.get("name"))
    return replace(queried(row, VENDOR), health=health, health_reason=reason, unified_memory=unified)


def _apps(command: str, text: str) -> tuple[Reading, ...]:
    if "noheader" in command and not text.strip():
        return ()
    return read_with_failures(text, VENDOR, lambda output: apps(query_rows(command, output), VENDOR))


def _topology(text: str) -> tuple[Reading, ...]:
    return topology(text, VENDOR, link="nvlink")


def _list(text: str) -> tuple[Reading, ...]:
    return listed(text, VENDOR)


def _with_failures(parse: Callable[[str], tuple[Reading, ...]]) -> Callable[[str], tuple[Reading, ...]]:
    return lambda text: read_with_failures(text, VENDOR, parse)


def _by_lines(_text: str) -> tuple[Reading, ...]:
    raise Unreadable("its columns are those that its command line asks for, which is not known here")


COMMANDS = (
    Command("nvidia-smi", line(_PROGRAM, also=_ONE), _with_failures(table)),
    Command("nvidia-smi -q", line(_PROGRAM, _QUERY, also=rf"{_ONE}|(?:-d|--display)[= ]\S+"), _with_failures(_text)),
    Command(
        "nvidia-smi -q -x",
        line(_PROGRAM, _QUERY, "-x|--xml-format", also=rf"{_ONE}|(?:-d|--display)[= ]\S+|--dtd|-f \S+"),
        _with_failures(_xml),
    ),
    Command("nvidia-smi -L", line(_PROGRAM, "-L|--list-gpus", also=_ONE), _with_failures(_list)),
    Command(
        "nvidia-smi --query-gpu=FIELDS --format=csv",
        line(_PROGRAM, r"--query-gpu[= ]\S+", also=rf"{_ONE}|{_CSV}|-f \S+"),
        _by_lines,
        _csv,
    ),
    Command(
        "nvidia-smi --query-compute-apps=FIELDS --format=csv",
        line(_PROGRAM, r"--query-(?:compute-apps|accounted-apps)[= ]\S+", also=rf"{_ONE}|{_CSV}|-f \S+"),
        _by_lines,
        _apps,
    ),
    Command("nvidia-smi topo -m", line(_PROGRAM, "topo", "-m|--matrix"), _with_failures(_topology)),
    Command("nvidia-smi nvlink -s", line(_PROGRAM, "nvlink", "-s|--status", also=_ONE), _with_failures(nvlinks)),
    Command(
        "nvidia-smi pmon",
        line(_PROGRAM, "pmon", also=rf"{_ONE}|-[cdso] \S+"),
        _with_failures(process_monitored),
    ),
    Command("nvidia-smi dmon", line(_PROGRAM, "dmon", also=rf"{_ONE}|-[cdso] \S+"), _with_failures(monitored)),
)
