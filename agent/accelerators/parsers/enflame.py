"""Enflame: efsmi's table, its queries, and its monitor."""

import re
from collections.abc import Callable

from agent.accelerators.parsers.cards import Card, driver_version, powers, read_cards, share, temperature
from agent.accelerators.parsers.enflame_models import MODELS
from agent.accelerators.parsers.fields import Fields, Names, blocks, reading
from agent.accelerators.parsers.nvml_tools import read_with_failures
from agent.accelerators.parsers.text import celsius, line, memory, percent, told, watts, whole
from agent.accelerators.readings import Command, Reading, Unreadable
from headrace.changes import replace
from headrace.nodes import Health

VENDOR = "enflame"

_STANDARD = (
    ("DEV    NAME", "FW VER", "BUS-ID      ECC"),
    ("TEMP   Dpm   Pwr(Usage/Cap)", "Mem     GCU Virt", "DUsed       SN"),
)
_NAMES = Names(
    model=("*/dev_name",),
    uuid=("*/dev_uuid",),
    serial=("*/dev_sn",),
    # BAR sections have a "Total Size" too.
    memory=("device_mem_info/total_size", "*/mem_size"),
    used=("device_mem_info/used_size", "*/mem_usage"),
    busy=("*/gcu_usage", "*/dtu_usage"),
    temperature=("*/gcu_temp", "*/dtu_temp"),
    power=("*/cur_power",),
    power_limit=("*/power_capa",),
)
_DEVICE = re.compile(r"DEV ID (\d{1,5})\s*", re.IGNORECASE)


def _table(text: str) -> tuple[Reading, ...]:
    cards = read_cards(text, _STANDARD)
    if not cards:
        raise Unreadable("expected efsmi's table with two lines for each device, and there are none")
    return tuple(replace(_card(card), driver_version=driver_version(text)) for card in cards)


def _card(card: Card) -> Reading:
    power, limit = powers(card.cell("pwr"))
    busy = share(card.cell("dused", "used"))
    # "Mem" is what the device has; what is used of it stands in the queries alone.
    serial = card.cell("dused").split("%")[-1].strip() if busy is not None else None
    return Reading(
        vendor=VENDOR,
        kind="npu",
        index=card.index,
        model=card.name,
        serial=told(serial),
        pci_address=card.pci_address,
        memory_bytes=memory(card.cell("mem")),
        busy_percent=busy,
        busy_name="DUsed" if busy is not None else None,
        temperature_celsius=temperature(card.cell("temp")),
        power_watts=power,
        power_limit_watts=limit,
    )


def _text(text: str) -> tuple[Reading, ...]:
    _head, devices = blocks(text, _DEVICE)
    if not devices:
        raise Unreadable('expected a line "DEV ID 0" above the values of each device, and there is none')
    return tuple(_device(int(found[1]), fields) for found, fields in devices)


def _device(index: int, fields: Fields) -> Reading:
    device = reading(VENDOR, "npu", fields.with_names_alone(), _NAMES)
    vendor, model = fields.raw("pcie_info/vendor_id").lower(), fields.raw("pcie_info/device_id").lower()
    place = [fields.raw(f"pcie_info/{name}").lower() for name in ("domain", "bus", "dev", "func")]
    health, reason = Health.UNKNOWN, ""
    if fields.raw("device_info/health").lower() in ("true", "ok", "good"):
        health = Health.HEALTHY
    elif said := fields.first("device_info/health"):
        health, reason = Health.UNHEALTHY, f"its tool says: Health {said}"
    if fields.raw("rma_info/flags").lower() == "true":
        health, reason = Health.UNHEALTHY, "its tool says that it is to be replaced (RMA)"
    return replace(
        device,
        index=index,
        model=device.model or (MODELS.get(model) if vendor == "1e36" else None),
        pci_id=f"{vendor}:{model}" if re.fullmatch(r"[0-9a-f]{4}:[0-9a-f]{4}", f"{vendor}:{model}") else None,
        pci_address="{}:{}:{}.{}".format(*place)
        if re.fullmatch(r"[0-9a-f]{4} [0-9a-f]{2} [0-9a-f]{2} [0-7]", " ".join(place))
        else None,
        driver_version=fields.first("driver_info/ver"),
        health=health,
        health_reason=reason,
    )


def _monitored(text: str) -> tuple[Reading, ...]:
    titles: list[str] = []
    found: dict[int, Reading] = {}
    for text_line in text.split("\n"):
        if text_line.startswith("*"):
            words = text_line.lstrip("* ").lower().split()
            titles = words if "dev" in words else titles
            continue
        row = dict(zip(titles, text_line.split(), strict=False))
        index = whole(row.get("dev")) if len(row) == len(titles) else None
        if index is not None:
            found[index] = _sample(index, row)
    if not found:
        raise Unreadable('expected a line "*Dev Pwr …" and samples below it, and there are none')
    return tuple(found.values())


def _sample(index: int, row: dict[str, str]) -> Reading:
    total, busy, used = memory(row.get("mem")), percent(row.get("dused")), percent(row.get("mused"))
    return Reading(
        vendor=VENDOR,
        kind="npu",
        index=index,
        memory_bytes=total,
        # Told as a share, to a tenth of a percent.
        memory_used_bytes=int(total * used / 100) if total is not None and used is not None else None,
        busy_percent=busy,
        busy_name="DUsed" if busy is not None else None,
        temperature_celsius=celsius(row.get("dtemp")),
        power_watts=watts(row.get("pwr")),
    )


def _with_failures(parse: Callable[[str], tuple[Reading, ...]]) -> Callable[[str], tuple[Reading, ...]]:
    return lambda text: read_with_failures(text, VENDOR, parse)


COMMANDS = (
    Command("efsmi", line("efsmi", also=r"-i \S+"), _with_failures(_table)),
    Command("efsmi -q", line("efsmi", "-q|--query", also=r"-d \S+|-i \S+"), _with_failures(_text)),
    Command("efsmi --dmon", line("efsmi", "--dmon|-dmon|dmon", also=r"-[cdi] \S+"), _with_failures(_monitored)),
)
