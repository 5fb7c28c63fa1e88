"""What AMD's ROCm and Hygon's DTK print alike: rocm-smi in all its forms, rocminfo, and the kernel's list of KFD nodes.

Each reader is told whose output it is to read, and refuses the other's.
"""

import csv
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from re import Pattern

from agent.accelerators.parsers import text as the
from agent.accelerators.parsers.nested import Fields, blocks, flat, json_in, key_of, lines_of, loaded, outline, pick
from agent.accelerators.readings import Reading, Unreadable
from headrace.changes import replace


@dataclass(frozen=True, slots=True)
class Maker:
    """Whose output is read. `marks` are words that only its outputs have, `foreign` those of the other one's."""

    vendor: str
    pci: str
    tool: str
    marks: Pattern[str]
    foreign: Pattern[str]

    def check(self, text: str) -> None:
        """Unreadable, if the text is the other's."""
        if self.foreign.search(text) and not self.marks.search(text):
            raise Unreadable(f"an output of {self.tool} was expected; this one names another maker's devices")


_HYGON = re.compile(r"(?i)\b(?:DCU|HCU)\b|hygon|haiguang|C-3000|total memory \(MiB\)")
_AMD = re.compile(
    r"(?i)ROCm System Management|Advanced Micro Devices|\bAMD\b|Radeon|Instinct|GPU use \(%\)|\bGPU%|^GPU\["
)

AMD = Maker("amd", "1002", "AMD's rocm-smi", re.compile(r"(?!)"), _HYGON)
HYGON = Maker("hygon", "1d94", "Hygon's hy-smi", _HYGON, _AMD)

_LINE = re.compile(r"(?i)\s*(?:GPU|DCU|HCU|card) ?\[?(\d+)\]?\s*:(.*)")
_CARD = re.compile(r"(?i)(?:card|gpu|dcu|hcu)\s*\[?(\d+)\]?")
_HEAD = re.compile(r"\s*(GPU|DCU|HCU|Device)\s+.*\bPwrCap\b")
_ROW = re.compile(r"\s*(\d+)\s")
_DEVICE_ID = re.compile(r"(0x[0-9a-fA-F]{4}),")
_BUSY = ("gpu use %", "dcu use %", "hcu use %")
_POWER = (
    "average graphics package power w",
    "current socket graphics package power w",
    "current graphics package power w",
    "average socket power w",
    "socket power w",
)
_TEMPERATURES = tuple(f"temperature sensor {where} c" for where in ("edge", "junction", "core"))
_AGENT = re.compile(r"\s*Agent\s+(\d+)\s*$")


def smi(text: str, maker: Maker) -> tuple[Reading, ...]:
    """Reads rocm-smi or hy-smi: JSON, CSV, lines a value ("GPU[0] : …"), or its table, by what the text is."""
    maker.check(text)
    head = next((line for line in lines_of(text) if _HEAD.match(line)), None)
    if head is not None:
        return tuple(_table(text, head, maker))
    json = json_in(text)
    if json is not None:
        return _json(json, maker)
    if re.search(r"(?im)^device\s*,", text):
        return _csv(text, maker)
    cards: dict[int, Fields] = {}
    for line in lines_of(text):
        found = _LINE.match(line)
        key, colon, value = found[2].partition(":") if found else ("", "", "")
        if found and colon:
            cards.setdefault(int(found[1][:9]), {}).setdefault(key_of(key), value.strip())
    if not cards and not re.search(r"System Management Interface|End of (?:ROCm )?SMI Log|No (?:AMD|supported)", text):
        raise Unreadable(f"a table, JSON, CSV or lines of {maker.tool} were expected")
    return tuple(_card(index, fields, {}, maker) for index, fields in cards.items())


def _json(text: str, maker: Maker) -> tuple[Reading, ...]:
    whole = loaded(text, f"JSON of {maker.tool}")
    if not isinstance(whole, Mapping):
        raise Unreadable(f"JSON of {maker.tool} was expected, with a field 'card0'")
    system = flat(whole.get("system", {}))
    cards = [(found, fields) for key, fields in whole.items() if (found := _CARD.fullmatch(str(key)))]
    if not cards and whole and not system:
        raise Unreadable(f"JSON of {maker.tool} was expected, with a field 'card0'")
    return tuple(_card(int(found[1][:9]), flat(fields), system, maker) for found, fields in cards)


def _csv(text: str, maker: Maker) -> tuple[Reading, ...]:
    lines = lines_of(text)
    start = next(place for place, line in enumerate(lines) if re.match(r"(?i)device\s*,", line))
    try:
        rows = list(csv.reader(lines[start:]))
    except csv.Error as error:
        raise Unreadable(f"CSV of {maker.tool} was expected: {error}") from error
    columns = [key_of(cell) for cell in rows[0]]
    return tuple(
        _card(int(found[1][:9]), dict(zip(columns, row, strict=False)), {}, maker)
        for row in rows[1:]
        if row and (found := _CARD.fullmatch(row[0].strip()))
    )


def _card(index: int, fields: Fields, system: Fields, maker: Maker) -> Reading:
    device = (pick(fields, "device id", "gpu id") or "").lower()
    numa = the.whole(pick(fields, "topology numa node", "numa node"))
    return Reading(
        vendor=maker.vendor,
        kind="gpu",
        index=index,
        model=_model(fields),
        uuid=pick(fields, "unique id"),
        serial=pick(fields, "serial number"),
        pci_address=the.pci_address(pick(fields, "pci bus")),
        pci_id=f"{maker.pci}:{device[2:]}" if re.fullmatch(r"0x[0-9a-f]{4}", device) else None,
        driver_version=pick(system, "driver version") or pick(fields, "driver version"),
        memory_bytes=_amount(fields, "vram total memory", "available memory size"),
        memory_used_bytes=_amount(fields, "vram total used memory", "vram used memory"),
        busy_percent=the.percent(pick(fields, *_BUSY)),
        busy_name=next(
            (name.removesuffix(" %").upper().replace("USE", "use") for name in _BUSY if name in fields), None
        ),
        temperature_celsius=the.celsius(pick(fields, *_TEMPERATURES)),
        power_watts=the.watts(pick(fields, *_POWER)),
        power_limit_watts=the.watts(pick(fields, "max graphics package power w")),
        # A card that is on no node has -1, or that as an unsigned number.
        numa_node=numa if numa is not None and 0 <= numa < 1 << 16 else None,
    )


def _model(fields: Fields) -> str | None:
    names = (pick(fields, name) for name in ("card series", "device name", "card model", "market name"))
    return next((name for name in names if name and not name.lower().startswith("0x")), None)


def _amount(fields: Fields, *names: str) -> int | None:
    """An amount of memory whose unit is in the field's name: "VRAM Total Memory (B)"."""
    for name in names:
        for key, value in fields.items():
            unit = key.removeprefix(f"{name} ")
            if unit != key and unit in ("b", "kb", "kib", "mb", "mib", "gb", "gib"):
                return the.memory(value, unit)
    return None


def _table(text: str, head: str, maker: Maker) -> Iterator[Reading]:
    """The rows of the table, which may have a second line with the card's name."""
    words = head.split()
    tail = words[words.index("PwrCap") :]
    named = "[Model" in words
    found: dict[int, Reading] = {}
    last: int | None = None
    for line in lines_of(text[text.index(head) + len(head) :]):
        row = _ROW.match(line)
        parts = line.split()
        if row and len(parts) > len(tail):
            last = int(row[1][:9])
            found.setdefault(last, _row(last, parts, tail, line, maker))
        elif (
            last is not None
            and named
            and parts
            and not the.is_rule(line)
            and "=" not in line
            and found[last].model is None
        ):
            found[last] = replace(found[last], model=line.strip())
    yield from found.values()


def _row(index: int, parts: list[str], tail: list[str], line: str, maker: Maker) -> Reading:
    last = dict(zip(tail, parts[-len(tail) :], strict=True))
    # Before the cap come clocks and partitions, of which there may be any number: these two tell themselves.
    first = parts[1 : -len(tail)]
    temperature = next((part for part in first if re.fullmatch(r"-?[\d.]+°?[cC]", part)), None)
    power = next((part for part in first if re.fullmatch(r"[\d.]+W", part)), None)
    device = _DEVICE_ID.search(line)
    busy = next((word for word in tail if word in ("GPU%", "DCU%", "HCU%")), None)
    return Reading(
        vendor=maker.vendor,
        kind="gpu",
        index=index,
        pci_id=f"{maker.pci}:{device[1][2:]}".lower() if device else None,
        busy_percent=the.percent(last.get(busy)) if busy else None,
        busy_name=busy.replace("%", " use") if busy else None,
        temperature_celsius=the.celsius(temperature),
        power_watts=the.watts(power),
        # The dies of a board that do not hold its sensor print a cap of nothing.
        power_limit_watts=the.watts(last["PwrCap"]) or None,
    )


def info(text: str, maker: Maker) -> tuple[Reading, ...]:
    """Reads rocminfo: the agents that are GPUs, in its order; each with its largest pool of memory."""
    agents = blocks(lines_of(text), _AGENT)
    if not agents and not re.search(r"HSA (?:System Attributes|Agents)|ROCk module", text):
        raise Unreadable("agents of rocminfo were expected ('HSA Agents', 'Agent 1', 'Device Type: GPU')")
    outlines = [outline(line for line in lines if "***" not in line) for _, lines in agents]
    devices = [one for one in outlines if (pick(one, "device type") or "").upper() in ("GPU", "DCU", "HCU")]
    for one in devices:
        hygon = "HYGON" in (pick(one, "vendor name") or "").upper() or pick(one, "device type") != "GPU"
        if hygon != (maker is HYGON):
            raise Unreadable(f"agents of {maker.vendor} were expected; these are another maker's")
    if not devices and "hygon" in text.lower() and maker is not HYGON:
        raise Unreadable(f"agents of {maker.vendor} were expected; these are another maker's")
    return tuple(_agent(index, one, maker) for index, one in enumerate(devices))


def _agent(index: int, fields: Fields, maker: Maker) -> Reading:
    chip = re.search(r"\(0x([0-9a-fA-F]{1,4})\)", pick(fields, "chip id") or "")
    pools = [value for path, value in fields.items() if "pool" in path and path.endswith("/size")]
    sizes = [size for value in pools if (size := the.memory(re.sub(r"\(\w+\)", "", value), "KB"))]
    uuid = pick(fields, "uuid")
    return Reading(
        vendor=maker.vendor,
        kind="gpu",
        index=index,
        model=pick(fields, "marketing name") or pick(fields, "name"),
        # Cards without a number of their own print "GPU-XX".
        uuid=None if uuid is None or uuid.upper().endswith("-XX") else uuid,
        pci_address=_address(the.whole(pick(fields, "bdfid")), the.whole(pick(fields, "domain")) or 0),
        pci_id=f"{maker.pci}:{chip[1]:0>4}".lower() if chip else None,
        memory_bytes=max(sizes, default=None),
    )


def _address(location: int | None, domain: int) -> str | None:
    """The PCI address in a number of bus, device and function. On bus 0 are no cards: such a number was masked."""
    if location is None or not 1 << 8 <= location < 1 << 16 or not 0 <= domain < 1 << 32:
        return None
    return f"{domain:04x}:{location >> 8:02x}:{location >> 3 & 0x1F:02x}.{location & 7}"


def node(text: str, maker: Maker) -> tuple[Reading, ...]:
    """Reads a KFD node's properties; one without SIMD units is a CPU's, and no device."""
    fields = _properties(text)
    if "simd_count" not in fields or "vendor_id" not in fields:
        raise Unreadable("properties of a KFD node were expected ('simd_count 80', 'vendor_id 4098', …)")
    if not fields["simd_count"]:
        return ()
    if fields["vendor_id"] != int(maker.pci, 16):
        raise Unreadable(f"a KFD node of PCI vendor {maker.pci} was expected; this is {fields['vendor_id']:04x}")
    minor, unique = fields.get("drm_render_minor", 0), fields.get("unique_id", 0)
    return (
        Reading(
            vendor=maker.vendor,
            kind="gpu",
            uuid=f"0x{unique:x}" if unique else None,
            pci_address=_address(fields.get("location_id"), fields.get("domain", 0)),
            pci_id=f"{maker.pci}:{fields['device_id']:04x}" if fields.get("device_id") else None,
            # Of new kernels it is always zero: the memory banks tell it.
            memory_bytes=fields.get("local_mem_size") or None,
            device_nodes=(f"/dev/dri/renderD{minor}",) if minor else (),
        ),
    )


def memory_bank(text: str, maker: Maker) -> tuple[Reading, ...]:
    """Reads a KFD memory bank's properties; a bank of the host's memory is no device's."""
    fields = _properties(text)
    if "heap_type" not in fields or "size_in_bytes" not in fields:
        raise Unreadable("properties of a KFD memory bank were expected ('heap_type 1', 'size_in_bytes …')")
    of_a_device = fields["heap_type"] in (1, 2)
    return (Reading(vendor=maker.vendor, kind="gpu", memory_bytes=fields["size_in_bytes"]),) if of_a_device else ()


def _properties(text: str) -> dict[str, int]:
    return {name: int(value) for name, value in re.findall(r"^(\w+) (\d{1,20})\s*$", text, re.MULTILINE)}
