"""Google's TPUs: model and memory by their PCI id; use by the job's own library, so not while none runs."""

from functools import partial

from agent.accelerators import sysfs
from agent.accelerators.pci import Presence
from agent.accelerators.spec import Giving, Spec

_GIB = 1 << 30
_MODELS = {
    "0027": "TPU v2 or v3",
    "005e": "TPU v4",
    "0062": "TPU v5p",
    "0063": "TPU v5e",
    "006f": "TPU v6e",
    "0076": "TPU7x",
}
# Of one chip; v2 and v3 share an id and differ.
_MEMORY = {"005e": 32, "0062": 95, "0063": 16, "006f": 32, "0076": 192}

SPEC = Spec(
    name="google",
    maker="TPU",
    kind="tpu",
    presence=Presence(vendor="1ae0", classes=("",), devices=tuple(_MODELS)),
    sysfs=partial(
        sysfs.by_model,
        vendor="google",
        kind="tpu",
        memory_bytes={device: size * _GIB for device, size in _MEMORY.items()},
    ),
    needs_tool=False,
    # From v5e on, jobs open a TPU through vfio themselves: it is not passed to a virtual machine.
    takes_passed_on=True,
    models=_MODELS,
    giving=Giving(
        nodes=("/dev/accel{index}", "/dev/vfio/{group}"),
        shared=("/dev/vfio/vfio",),
        limits={"memlock": -1},
    ),
)
