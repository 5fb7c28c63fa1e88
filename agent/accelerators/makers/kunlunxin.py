"""Kunlunxin's XPUs: xpu_smi, which newer drivers call xpu-smi. So does Intel its own."""

from agent.accelerators.pci import Presence
from agent.accelerators.spec import Giving, Spec
from agent.accelerators.tools import Tools

SPEC = Spec(
    name="kunlunxin",
    maker="Kunlunxin",
    kind="npu",
    presence=Presence(vendor="1d22", classes=("12",), nodes=("xpu",)),
    tools=Tools(
        (
            "/usr/local/xpu*/bin/xpu_smi",
            "/usr/local/xpu*/bin/xpu-smi",
            "/usr/local/bin/xpu_smi",
            "/usr/local/bin/xpu-smi",
        )
    ),
    listing=("xpu_smi -m", "xpu-smi -m", "xpu-smi"),
    models={"3684": "Kunlun", "3685": "Kunlun 2", "3688": "P800"},
    giving=Giving(
        runtime="xpu",
        variable="CXPU_VISIBLE_DEVICES",
        nodes=("/dev/xpu{index}",),
        shared=("/dev/xpuctrl",),
        mounts=("/usr/local/xpu", "/usr/local/bin/xpu-smi", "/usr/local/bin/xpu_smi"),
    ),
)
