"""Cambricon's MLUs: cnmon."""

from agent.accelerators.pci import Presence
from agent.accelerators.spec import Giving, Spec
from agent.accelerators.tools import Tools

SPEC = Spec(
    name="cambricon",
    maker="Cambricon",
    kind="npu",
    presence=Presence(vendor="cabc", classes=("12", "0b40"), nodes=("cambricon_dev",)),
    tools=Tools(("/usr/bin/cnmon", "/usr/local/neuware/bin/cnmon")),
    listing=("cnmon",),
    models={"0270": "MLU270-S4", "0370": "MLU370-S4"},
    giving=Giving(
        cdi="cambricon.com/mlu",
        runtime="cambricon",
        variable="CAMBRICON_VISIBLE_DEVICES",
        nodes=("/dev/cambricon_dev{index}",),
        optional=("/dev/cambricon_ipcm{index}",),
        shared=("/dev/cambricon_ctl",),
        mounts=("/usr/bin/cnmon",),
    ),
)
