"""What nvidia-smi and the tools made after it have in common: how they fail, their lists, and their matrices."""

import re
from collections.abc import Callable

from agent.accelerators.parsers.text import pci_address, told
from agent.accelerators.readings import Reading, Unreadable
from headrace.changes import replace
from headrace.nodes import Health, Link

# Sentences with which the tools say that they cannot work at all.
_FAILURES = re.compile(
    r"failed to initialize|has failed because|couldn't communicate|driver is not loaded|driver not loaded"
    r"|command not found|no such file or directory|cannot open shared object|init \w+ error|permission denied"
    r"|segmentation fault|timed out|insufficient permissions|driver/library version mismatch",
    re.IGNORECASE,
)
_NONE_THERE = re.compile(
    r"no (?:supported )?(?:devices?|gpus?|xpus?|ppus?)(?: were| was)? (?:found|detected)", re.IGNORECASE
)
_LOST = re.compile(
    r"Unable to determine the device handle for GPU ?(?:(\d{1,3}) ?: ?)?"
    r"([0-9A-F]{4,8}:[0-9A-F]{2}:[0-9A-F]{2}\.[0-7])?[ :]*([^\n]{0,200})",
    re.IGNORECASE,
)
_CORRUPTED = re.compile(
    r"WARNING: (infoROM is corrupted) at gpu ([0-9A-F]{4,8}:[0-9A-F]{2}:[0-9A-F]{2}\.[0-7])", re.IGNORECASE
)
_LISTED = re.compile(r"\s*(?:GPU|XPU|PPU|DEV)\s*#?\s*(\d{1,5})\s*:?\s+(.*)")
_UUID = re.compile(r"\(?\s*UUID\s*:\s*([^\s()]+)\s*\)?", re.IGNORECASE)
_MIG = re.compile(r"\s+MIG\s+(\S+)\s+Device\s+(\d{1,4}):\s+\(UUID:\s*([^\s()]+)\)")
_STATE = re.compile(r"\s(Available|Unavailable|Not Available(?:\s*\([^()]*\))?)\s*$", re.IGNORECASE)
_LINK = re.compile(r"NV(\d{1,3})|(PIX|PXB)|(MX|IX|XL|ICN|MT)(\d{0,3})")


def read_with_failures(text: str, vendor: str, parse: Callable[[str], tuple[Reading, ...]]) -> tuple[Reading, ...]:
    """What `parse` reads, and the devices that the tool says it cannot reach; Unreadable with the tool's own words."""
    lost = [
        Reading(
            vendor=vendor,
            kind="gpu",
            index=int(found[1]) if found[1] else None,
            pci_address=pci_address(found[2]),
            health=Health.UNHEALTHY,
            health_reason=f"its tool cannot reach it: {found[3].strip().rstrip('.') or 'no reason told'}",
        )
        for found in _LOST.finditer(text)
    ]
    try:
        readings = parse(text)
    except Unreadable:
        if lost:
            return tuple(lost)
        if _NONE_THERE.search(text[:65_536]):
            return ()
        said = _FAILURES.search(text[:65_536])
        if said:
            sentence = text[text.rfind("\n", 0, said.start()) + 1 :][:300]
            raise Unreadable(f"the tool says: {' '.join(sentence.split())}") from None
        raise
    warnings = {pci_address(found[2]): found[1] for found in _CORRUPTED.finditer(text)}
    there = {reading.pci_address: None for reading in readings}
    known = [_with_warning(reading, warnings.get(reading.pci_address)) for reading in readings]
    return (*known, *(one for one in lost if one.pci_address is None or one.pci_address not in there))


def _with_warning(reading: Reading, warning: str | None) -> Reading:
    if warning is None or reading.pci_address is None or reading.health is Health.UNHEALTHY:
        return reading
    return replace(reading, health=Health.DEGRADED, health_reason=warning)


def listed(text: str, vendor: str) -> tuple[Reading, ...]:
    """`-L`: "GPU 0: NVIDIA H100 (UUID: …)" or "GPU#0  MXC500  0000:0e:00.0  Available (UUID: …)"; MIG devices below."""
    readings: list[Reading] = []
    parent = -1
    for line in text.split("\n"):
        partition = _MIG.match(line)
        if partition and parent >= 0:
            readings.append(
                Reading(
                    vendor=vendor,
                    kind="gpu",
                    model=readings[parent].model,
                    uuid=told(partition[3]),
                    partition=partition[1],
                    partition_of=readings[parent].uuid or str(readings[parent].index),
                    index=int(partition[2]),
                )
            )
        elif found := _LISTED.fullmatch(line.rstrip()):
            parent = len(readings)
            readings.append(_listed_one(int(found[1]), found[2], vendor))
    if not readings:
        raise Unreadable('expected lines such as "GPU 0: NAME (UUID: …)", and there are none')
    return tuple(readings)


def _listed_one(index: int, rest: str, vendor: str) -> Reading:
    uuid = _UUID.search(rest)
    name = _UUID.sub("", rest).strip()
    state = _STATE.search(" " + name)
    address = pci_address(name)
    bare = (" " + name)[: state.start()] if state else name
    model = re.sub(r"(?:[0-9A-Fa-f]{2,8}:)?[0-9A-Fa-f]{2}:[0-9A-Fa-f]{2}\.[0-7]", "", bare).strip()
    health, reason = Health.UNKNOWN, ""
    if state:
        health = Health.HEALTHY if state[1].lower() == "available" else Health.UNHEALTHY
        reason = "" if health is Health.HEALTHY else f"its tool says: {state[1]}"
    return Reading(
        vendor=vendor,
        kind="gpu",
        index=index,
        model=told(model),
        uuid=told(uuid[1]) if uuid else None,
        pci_address=address,
        health=health,
        health_reason=reason,
    )


def topology(text: str, vendor: str, *, link: str) -> tuple[Reading, ...]:
    """`topo -m`: a matrix of devices by devices, then of processors. `link` is what the vendor's links are called."""
    lines = text.split("\n")
    head = next((number for number, line in enumerate(lines) if re.match(r"\s+[GX]PU0\b", line)), None)
    if head is None:
        raise Unreadable('expected a matrix whose first line begins with "GPU0", and there is none')
    titles = _columns(lines[head])
    readings = []
    for line in lines[head + 1 :]:
        found = re.match(r"[GX]PU(\d{1,5})\s", line)
        if not found:
            if not line.strip():
                break
            continue
        row_cells = _columns(line)[1:]
        row = dict(zip(titles, row_cells, strict=False))
        peers = [(title, _LINK.fullmatch(cell)) for title, cell in row.items() if re.fullmatch(r"[GX]PU\d+", title)]
        # Without tabs an empty cell cannot be seen, and what follows it would stand below the wrong title.
        sure = "\t" in line or len(row_cells) == len(titles)
        numa = (row.get("NUMA Affinity") or row.get("Node Affinity") or "") if sure else ""
        readings.append(
            Reading(
                vendor=vendor,
                kind="gpu",
                index=int(found[1]),
                numa_node=int(numa) if numa.isdecimal() and len(numa) < 6 else None,
                links=tuple(_link(peer, kind, link) for peer, kind in peers if kind),
            )
        )
    if not readings:
        raise Unreadable("expected a line for each device below the matrix's head, and there is none")
    return tuple(readings)


def _columns(line: str) -> list[str]:
    # Tabs part cells that may be empty; where there are none, blanks in twos do.
    if "\t" in line.strip():
        cells = [cell.strip() for cell in line.split("\t")]
        return cells[1:] if not cells[0] else cells
    return re.split(r"\s{2,}", line.strip())


def _link(peer: str, kind: re.Match[str], link: str) -> Link:
    if kind[2]:
        return Link(peer, kind[2].lower())
    count = kind[1] or kind[4]
    return Link(peer, link, int(count) if count else None)
