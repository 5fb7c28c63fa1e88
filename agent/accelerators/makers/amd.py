"""AMD's GPUs: all by sysfs; amd-smi and rocm-smi for what is left, if one of them is here."""

from functools import partial

from agent.accelerators import kfd
from agent.accelerators.pci import Presence
from agent.accelerators.spec import Giving, Spec
from agent.accelerators.tools import Tools

# Graphics of a server's management controller.
_NO_GPUS = ("4752", "515e", "5159", "4758", "5960", "5969")

SPEC = Spec(
    name="amd",
    maker="AMD",
    kind="gpu",
    presence=Presence(vendor="1002", classes=("0300", "0302", "0380", "1200"), without=_NO_GPUS),
    sysfs=partial(kfd.read, vendor="amd"),
    needs_tool=False,
    tools=Tools(("/opt/rocm*/bin/amd-smi", "/opt/rocm*/bin/rocm-smi")),
    listing=("amd-smi static --json", "rocm-smi -a --json"),
    giving=Giving(
        cdi="amd.com/gpu",
        runtime="amd",
        variable="AMD_VISIBLE_DEVICES",
        nodes=("/dev/dri/renderD{render}",),
        optional=("/dev/dri/card{card}",),
        shared=("/dev/kfd",),
        groups_of=("/dev/kfd",),
    ),
)
