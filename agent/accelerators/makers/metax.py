"""MetaX's GPUs: mx-smi."""

from agent.accelerators.pci import Presence
from agent.accelerators.spec import Giving, Spec
from agent.accelerators.tools import Tools

SPEC = Spec(
    name="metax",
    maker="MetaX",
    kind="gpu",
    presence=Presence(vendor="9999", classes=("0300", "0302", "0380", "12"), nodes=("mxcd",)),
    tools=Tools(("/usr/bin/mx-smi", "/opt/mxdriver/bin/mx-smi", "/opt/maca*/bin/mx-smi")),
    listing=("mx-smi",),
    details=("mx-smi topo -m",),
    models={"0a01": "MetaX C500"},
    giving=Giving(
        cdi="metax-tech.com/gpu",
        nodes=("/dev/dri/renderD{render}",),
        optional=("/dev/dri/card{card}",),
        shared=("/dev/mxcd",),
    ),
)
