"""T-Head's PPUs: ppu-smi."""

from agent.accelerators.pci import Presence
from agent.accelerators.spec import Giving, Spec
from agent.accelerators.tools import Tools

_FIELDS = (
    "index,uuid,serial,name,pci.bus_id,memory.total,memory.used,utilization.gpu,temperature.gpu,power.draw,power.limit"
)

SPEC = Spec(
    name="thead",
    maker="T-Head",
    kind="gpu",
    # The same vendor's network cards and disks are on each of Alibaba's machines.
    presence=Presence(vendor="1ded", classes=("0300", "0302", "0380", "0b40", "12"), nodes=("alixpu_ppu",)),
    tools=Tools(("/usr/bin/ppu-smi", "/usr/local/bin/ppu-smi", "/usr/local/PPU_SDK/bin/ppu-smi")),
    listing=(
        f"ppu-smi --query-gpu={_FIELDS} --format=csv,noheader,nounits",
        "ppu-smi --query-ppu=gpu_bus_id,gpu_serial,utilization.ppu,temperature.ppu,power.draw --format=csv,noheader",
    ),
    giving=Giving(
        cdi="alibabacloud.com/ppu",
        variable="NVIDIA_VISIBLE_DEVICES",
        named="uuid",
        nodes=("/dev/alixpu_ppu{index}",),
        shared=("/dev/alixpu", "/dev/alixpu_ctl"),
    ),
)
