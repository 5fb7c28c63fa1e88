"""Denglin: dlsmi's query in XML, a dialect of nvidia-smi's."""

from agent.accelerators.parsers.fields import Names, from_xml, processes, reading
from agent.accelerators.parsers.nvml_tools import read_with_failures
from agent.accelerators.parsers.text import line
from agent.accelerators.readings import Command, Reading, Unreadable
from headrace.changes import replace

VENDOR = "denglin"

_NAMES = Names(
    model=("product_name",),
    uuid=("uuid",),
    serial=("serial_number", "serial"),
    pci_address=("pci/bus_id", "@id"),
    pci_id=("pci/device_id",),
    memory=("memory_usage/total",),
    used=("memory_usage/used",),
    busy=("utilization/gpu",),
    temperature=("temperature/gpu_current_temp",),
    power=("power_readings/power_draw",),
    power_limit=("power_readings/power_limit", "power_readings/enforced_power_limit"),
)


def _xml(text: str) -> tuple[Reading, ...]:
    head, devices = from_xml(text, root="dlsmi_log")
    if not devices and head.first("attached_gpus") != "0":
        raise Unreadable("expected an element <gpu> for each device, and there is none")
    readings = (
        replace(reading(VENDOR, "gpu", fields, _NAMES), processes=processes(fields), driver_version=driver)
        for driver in (head.first("driver_version"),)
        for fields in devices
    )
    # The chips of a board have its serial number.
    return tuple(replace(one, board=one.serial) for one in readings)


def _parse(text: str) -> tuple[Reading, ...]:
    return read_with_failures(text, VENDOR, _xml)


COMMANDS = (
    Command(
        "dlsmi query --xml-format", line("dlsmi", "query", "--xml-format|-x", also=r"(?:-i|--id)[= ]\S+|-q"), _parse
    ),
)
