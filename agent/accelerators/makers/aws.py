"""AWS's Inferentia and Trainium: nearly all by sysfs, memory by neuron-ls."""

from agent.accelerators import sysfs
from agent.accelerators.pci import Presence
from agent.accelerators.spec import Giving, Spec
from agent.accelerators.tools import Tools

_MODELS = {
    "7064": "Inferentia",
    "7164": "Trainium",
    "7264": "Inferentia2",
    "7364": "Trainium2",
    "7564": "Trainium3",
    "7565": "Trainium3",
}

SPEC = Spec(
    name="aws",
    maker="Neuron",
    kind="npu",
    # The same vendor's network cards and disks are on each of its machines.
    presence=Presence(vendor="1d0f", classes=("",), devices=tuple(_MODELS), nodes=("neuron",)),
    sysfs=sysfs.neuron,
    needs_tool=False,
    tools=Tools(("/opt/aws/neuron/bin/neuron-ls",)),
    listing=("neuron-ls -j",),
    models=_MODELS,
    giving=Giving(
        nodes=("/dev/neuron{index}",),
        limits={"memlock": -1},
        capabilities=("IPC_LOCK",),
    ),
)
