"""Enflame's GCUs: efsmi."""

from agent.accelerators.pci import Presence
from agent.accelerators.spec import Giving, Spec
from agent.accelerators.tools import Tools

SPEC = Spec(
    name="enflame",
    maker="Enflame",
    kind="npu",
    presence=Presence(vendor="1e36", classes=("12",), nodes=("gcu",)),
    tools=Tools(("/usr/bin/efsmi", "/usr/sbin/efsmi")),
    listing=("efsmi -q", "efsmi -q -d TEMP,MEMORY,USAGE,PCIE", "efsmi"),
    models={
        "0001": "T10",
        "0002": "T11",
        "0021": "T20",
        "0022": "T20",
        "0023": "T21",
        "0024": "T21",
        "8001": "I20",
        "8011": "I10",
        "8031": "S6",
        "c031": "S30",
        "c032": "S90",
        "c033": "S60G",
        "c035": "S60",
        "c041": "L300",
        "c042": "L600",
    },
    giving=Giving(
        runtime="enflame",
        variable="ENFLAME_VISIBLE_DEVICES",
        nodes=("/dev/gcu{index}",),
        shared=("/dev/gcuctl",),
    ),
)
