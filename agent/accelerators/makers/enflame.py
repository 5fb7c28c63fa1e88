"""Enflame's GCUs: efsmi."""

from agent.accelerators.parsers.enflame_models import MODELS
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
    models=MODELS,
    giving=Giving(
        runtime="enflame",
        variable="ENFLAME_VISIBLE_DEVICES",
        nodes=("/dev/gcu{index}",),
        shared=("/dev/gcuctl",),
    ),
)
