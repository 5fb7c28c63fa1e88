"""NVIDIA's GPUs: NVML, in a process of its own; nvidia-smi where the agent cannot load its library."""

from agent.accelerators.pci import Presence
from agent.accelerators.spec import Giving, Spec
from agent.accelerators.tools import Tools

SPEC = Spec(
    name="nvidia",
    maker="NVIDIA",
    kind="gpu",
    # Their sound and USB are functions of other classes.
    presence=Presence(vendor="10de", classes=("0300", "0302"), nodes=("nvidia",)),
    tools=Tools(("/usr/bin/nvidia-smi", "/usr/lib/wsl/lib/nvidia-smi")),
    listing=("nvidia-smi -q -x",),
    details=("nvidia-smi topo -m",),
    # Without its persistence daemon the driver is initialised anew for each call.
    tool_seconds=20.0,
    giving=Giving(
        cdi="nvidia.com/gpu",
        runtime="nvidia",
        variable="NVIDIA_VISIBLE_DEVICES",
        named="uuid",
        driver="nvidia",
        environment={"NVIDIA_DRIVER_CAPABILITIES": "compute,utility"},
        shared=("/dev/nvidiactl", "/dev/nvidia-uvm", "/dev/nvidia-uvm-tools"),
    ),
)
