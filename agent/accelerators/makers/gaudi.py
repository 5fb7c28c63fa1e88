"""Intel's Gaudi, of Habana: hl-smi."""

from agent.accelerators.pci import Presence
from agent.accelerators.spec import Giving, Spec
from agent.accelerators.tools import Tools

_FIELDS = "index,module_id,bus_id,uuid,name,memory.total,memory.used,utilization.aip,temperature.aip,power.draw"

SPEC = Spec(
    name="intel",
    maker="Intel Gaudi",
    kind="npu",
    presence=Presence(vendor="1da3", classes=("12",), nodes=("hl",)),
    # Some images' copies print nothing without it.
    tools=Tools(("/usr/bin/hl-smi", "/opt/habanalabs/bin/hl-smi"), environment={"ENABLE_CONSOLE": "true"}),
    listing=(f"hl-smi -Q {_FIELDS} -f csv,noheader,nounits", "hl-smi"),
    models={"1000": "HL-205", "1010": "HL-205", "1020": "HL-225", "1060": "HL-325L", "1063": "HL-338"},
    giving=Giving(
        runtime="habana",
        variable="HABANA_VISIBLE_DEVICES",
        nodes=("/dev/accel/accel{accel}",),
        optional=("/dev/accel/accel_controlD{accel}",),
        shared=("/dev/infiniband/uverbs*",),
        capabilities=("SYS_NICE",),
    ),
)
