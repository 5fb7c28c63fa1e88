"""The NPU of Rockchip's processors: on no bus, by its driver's node."""

from agent.accelerators import sysfs
from agent.accelerators.pci import Presence
from agent.accelerators.spec import Giving, Spec

SPEC = Spec(
    name="rockchip",
    maker="Rockchip",
    kind="npu",
    presence=Presence(nodes=("rknpu",)),
    sysfs=sysfs.rockchip,
    needs_tool=False,
    giving=Giving(nodes=("/dev/rknpu",)),
)
