"""The vendors that this agent knows. A new one is a file, a line here, and a class in tests/contract."""

from pathlib import Path

from agent.accelerators.makers import (
    amd,
    aws,
    cambricon,
    denglin,
    enflame,
    gaudi,
    google,
    huawei,
    hygon,
    iluvatar,
    intel,
    kunlunxin,
    metax,
    mthreads,
    nvidia,
    rockchip,
    thead,
)
from agent.accelerators.remote import Remote
from agent.accelerators.spec import Spec
from agent.accelerators.together import Together
from agent.accelerators.tooled import Tooled
from agent.accelerators.unknown import Unknown
from agent.accelerators.vendor import Vendor

SPECS: tuple[Spec, ...] = (
    amd.SPEC,
    intel.SPEC,
    gaudi.SPEC,
    huawei.SPEC,
    cambricon.SPEC,
    hygon.SPEC,
    iluvatar.SPEC,
    mthreads.SPEC,
    metax.SPEC,
    enflame.SPEC,
    kunlunxin.SPEC,
    google.SPEC,
    aws.SPEC,
    denglin.SPEC,
    thead.SPEC,
    rockchip.SPEC,
)
_ROOT = Path("/")


def vendors(root: Path = _ROOT) -> tuple[Vendor, ...]:
    """A new object of each, to be kept: it holds what is known of its devices. `root` is where /sys and /dev are."""
    tooled = [Tooled(spec, root) for spec in SPECS]
    names = dict.fromkeys(spec.name for spec in SPECS)
    known: list[Vendor] = [Remote(nvidia.SPEC, root)]
    known += [Together([one for one in tooled if one.name == name]) for name in names]
    return (*known, Unknown(known, root))
