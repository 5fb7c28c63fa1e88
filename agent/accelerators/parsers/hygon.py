"""Outputs of Hygon's hy-smi, which was rocm-smi before, of DTK's rocminfo, and of lspci."""

import re
from functools import partial

from agent.accelerators.parsers import rocm
from agent.accelerators.parsers import text as the
from agent.accelerators.parsers.absences import or_absent
from agent.accelerators.parsers.nested import lines_of
from agent.accelerators.readings import Command, Reading, Unreadable

_PCI_LINE = re.compile(r"\s*([0-9a-fA-F:]*\d\w:\w\w\.[0-7])\s+([^:]+?)(?:\s*\[[0-9a-f]{4}\])?:\s+(.*)$")
_COPROCESSOR = re.compile(r"(?i)co-processor|processing accelerators?|display controller|3D controller")
_MAKER = re.compile(r"(?i)C-3000|hygon|haiguang|\[1d94:[0-9a-f]{4}\]")


def bus(text: str) -> tuple[Reading, ...]:
    """Reads lines of lspci: the co-processors of Hygon, whose processors and bridges have the same PCI vendor."""
    lines = [match for match in map(_PCI_LINE.match, lines_of(text)) if match]
    if not lines:
        raise Unreadable("lines of lspci were expected ('07:00.0 Co-processor: …')")
    return tuple(
        Reading(
            vendor=rocm.HYGON.vendor,
            kind="gpu",
            model=_name(line[3]),
            pci_address=the.pci_address(line[1]),
            pci_id=f"1d94:{ids[1]}" if (ids := re.search(r"\[1d94:([0-9a-f]{4})\]", line[3])) else None,
        )
        for line in lines
        if _COPROCESSOR.search(line[2]) and _MAKER.search(line[3])
    )


def _name(described: str) -> str | None:
    bare = re.sub(r"\s*(?:\(rev \w+\)|\[1d94:[0-9a-f]{4}\])", "", described)
    return the.told(re.split(r"Co\., Ltd\.\s*|Hygon\s+", bare)[-1])


def _by_rocm_smi(text: str) -> tuple[Reading, ...]:
    if not rocm.HYGON.marks.search(text):
        raise Unreadable("an output of DTK's rocm-smi was expected ('DCU', 'HCU')")
    return rocm.smi(text, rocm.HYGON)


_KFD = r"/sys/class/kfd/kfd/topology/nodes/[^/ ]+"

COMMANDS = (
    Command("hy-smi", the.line("hy-smi", also=r"(?!virtual)\S+"), or_absent(partial(rocm.smi, maker=rocm.HYGON))),
    Command("rocm-smi (DTK)", the.line("rocm-smi", also=r"\S+"), or_absent(_by_rocm_smi)),
    Command("rocminfo (DTK)", the.line("rocminfo", also=r"\S+"), or_absent(partial(rocm.info, maker=rocm.HYGON))),
    Command("lspci", the.line("lspci", also=r"\S+"), or_absent(bus)),
    Command(
        "cat /sys/class/kfd/kfd/topology/nodes/N/properties (DTK)",
        re.compile(f"cat {_KFD}/properties"),
        or_absent(partial(rocm.node, maker=rocm.HYGON)),
    ),
)
