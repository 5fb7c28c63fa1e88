"""Iluvatar CoreX's GPUs: ixsmi."""

from agent.accelerators.pci import Presence
from agent.accelerators.spec import Giving, Spec
from agent.accelerators.tools import Tools

SPEC = Spec(
    name="iluvatar",
    maker="Iluvatar",
    kind="gpu",
    presence=Presence(vendor="1e3e", classes=("12", "0302", "0300"), nodes=("iluvatar",)),
    tools=Tools(("/usr/local/corex*/bin/ixsmi",), libraries=("../lib", "../lib64")),
    listing=("ixsmi -q -x", "ixsmi"),
    details=("ixsmi topo -m",),
    models={"0001": "BI-V100", "0002": "MR-V100", "0003": "BI-V150"},
    giving=Giving(
        cdi="iluvatar.com/gpu",
        runtime="iluvatar",
        variable="IX_VISIBLE_DEVICES",
        named="uuid",
        nodes=("/dev/iluvatar{index}",),
        shared=("/dev/itrctl",),
        mounts=("/usr/local/corex",),
        libraries={"LD_LIBRARY_PATH": "/usr/local/corex/lib:/usr/local/corex/lib64"},
    ),
)
