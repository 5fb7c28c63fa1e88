"""Outputs of Google's tpu-info: tables drawn with bars or in boxes. A device is what has its own memory."""

import re

from agent.accelerators.parsers import text as the
from agent.accelerators.parsers.absences import or_absent
from agent.accelerators.parsers.nested import lines_of
from agent.accelerators.readings import Command, Process, Reading, Unreadable

_VENDOR = "google"
_BUSY = "duty cycle"
_BARS = str.maketrans(dict.fromkeys("│┃║", "|"))


def tables(text: str) -> tuple[Reading, ...]:
    """Reads `tpu-info`: the chips, and what the job that uses them tells; without a job there is no more than chips."""
    chips: list[list[str]] = []
    used: list[list[str]] = []
    duty: dict[str, float | None] = {}
    title: list[str] = []
    known = False
    for line in lines_of(text.translate(_BARS)):
        row = None if the.is_rule(line) or set(line.strip()) <= set("|-+ ┏┳┓┡╇┩└┴┘├┼┤━─┌┬┐╭╮╰╯") else the.cells(line)
        if row is None or len(row) < 2:
            continue
        words = [cell.lower() for cell in row]
        if words[0] in ("chip", "device", "core id", "chip id", "device id") or words[0].startswith("buffer"):
            title = words
            known = known or "type" in words or "duty cycle" in " ".join(words)
        elif title[:2] == ["chip", "type"]:
            chips.append(row)
        elif any("hbm" in word for word in title):
            used.append(row)
        elif "duty cycle" in " ".join(title):
            duty[row[0]] = the.percent(row[1])
    if not known and not chips and not re.search(r"(?i)libtpu|no tpu chips? found|TPU Chips", text):
        raise Unreadable("tables of tpu-info were expected ('TPU Chips', '| Chip | Type | Devices | PID |')")
    return _joined(chips, used, duty)


def _joined(chips: list[list[str]], used: list[list[str]], duty: dict[str, float | None]) -> tuple[Reading, ...]:
    """The chips beside the devices, in the order of both: the second table's ids are the job's, not the nodes'."""
    each = [(chip, die) for chip in chips for die in range(_devices(chip))]
    readings = []
    for place in range(max(len(each), len(used))):
        chip, die = each[place] if place < len(each) else ([], 0)
        row = used[place] if place < len(used) else []
        memory, _, total = (row[1] if len(row) > 1 else "").partition("/")
        nodes = tuple(re.findall(r"/dev/[\w/]+", chip[0])) if chip else ()
        pid = the.whole(chip[3]) if len(chip) > 3 else None
        share = the.percent(row[2]) if len(row) > 2 else duty.get(row[0]) if row else None
        readings.append(
            Reading(
                vendor=_VENDOR,
                kind="tpu",
                index=place,
                model=_model(chip),
                board=nodes[0] if nodes and _devices(chip) > 1 else None,
                memory_bytes=the.memory(total.strip(), "GiB"),
                memory_used_bytes=the.memory(memory.strip(), "GiB"),
                busy_percent=share,
                busy_name=_BUSY,
                device_nodes=nodes,
                processes=(Process(pid),) if pid is not None and die == 0 else (),
            )
        )
    return tuple(readings)


def _devices(chip: list[str]) -> int:
    told = the.whole(chip[2]) if len(chip) > 2 else None
    return told if told in (1, 2) else 1


def _model(chip: list[str]) -> str | None:
    return the.told(re.sub(r"\s+chip$", "", chip[1])) if len(chip) > 1 else None


COMMANDS = (Command("tpu-info", the.line("tpu-info", also=r"\S+"), or_absent(tables)),)
