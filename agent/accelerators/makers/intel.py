"""Intel's GPUs on cards (Arc, Flex, Max) and NPUs in processors: sysfs, and xpu-smi for GPUs' memory and use."""

from agent.accelerators import sysfs
from agent.accelerators.pci import Presence
from agent.accelerators.spec import Giving, Spec
from agent.accelerators.tools import Tools

_NPUS = {
    "7d1d": "Intel NPU (Meteor Lake)",
    "643e": "Intel NPU (Lunar Lake)",
    "ad1d": "Intel NPU (Arrow Lake)",
    "b03e": "Intel NPU (Panther Lake)",
}

SPEC = Spec(
    name="intel",
    maker="Intel",
    kind="gpu",
    # Its other accelerators of class 1200 are engines for compression and encryption.
    presence=Presence(vendor="8086", classes=("03", "1200"), within={"1200": tuple(_NPUS)}),
    kinds={"1200": "npu"},
    sysfs=sysfs.intel,
    needs_tool=False,
    tools=Tools(("/usr/local/bin/xpu-smi", "/opt/intel/xpum/bin/xpu-smi")),
    listing=("xpu-smi discovery -j", "xpu-smi"),
    figures=("xpu-smi stats -d {index} -j",),
    details=("xpu-smi discovery -d {index} -j",),
    models=_NPUS,
    giving=Giving(
        cdi="intel.com/{kind}",
        nodes=("/dev/accel/accel{accel}", "/dev/dri/renderD{render}"),
        optional=("/dev/dri/card{card}",),
    ),
)
