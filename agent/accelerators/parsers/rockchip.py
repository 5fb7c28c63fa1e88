"""What the kernel's driver of Rockchip's NPUs tells: the load of each core. Their memory is the host's."""

import re

from agent.accelerators.parsers import text as the
from agent.accelerators.parsers.absences import or_absent
from agent.accelerators.readings import Command, Reading, Unreadable

_CORE = re.compile(r"Core(\d+)\s*:\s*([^,]*)")
_ALONE = re.compile(r"NPU load\s*:\s*(\d[^,\n]*)")


def load(text: str) -> tuple[Reading, ...]:
    """Reads /sys/kernel/debug/rknpu/load: "NPU load:  Core0:  0%, Core1:  0%," or of one core "NPU load:  0%"."""
    if "NPU load" not in text:
        raise Unreadable("the load of Rockchip's NPU was expected ('NPU load:  Core0:  0%, …')")
    alone = _ALONE.search(text)
    cores = dict(_CORE.findall(text)) or ({"0": alone[1]} if alone else {})
    return tuple(
        Reading(
            vendor="rockchip",
            kind="npu",
            index=int(core[:9]),
            board="0",
            busy_percent=the.percent(share),
            busy_name="load",
            unified_memory=True,
        )
        for core, share in cores.items()
    )


COMMANDS = (
    Command("cat /sys/kernel/debug/rknpu/load", re.compile(r"cat /sys/kernel/debug/rknpu/load"), or_absent(load)),
)
