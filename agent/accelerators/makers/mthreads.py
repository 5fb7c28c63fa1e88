"""Moore Threads' GPUs: mthreads-gmi."""

from agent.accelerators.pci import Presence
from agent.accelerators.spec import Giving, Spec
from agent.accelerators.tools import Tools

SPEC = Spec(
    name="mthreads",
    maker="Moore Threads",
    kind="gpu",
    # Their sound is a function of class 0403.
    presence=Presence(vendor="1ed5", classes=("0300", "0302", "0380", "12"), nodes=("mtgpu",)),
    tools=Tools(("/usr/bin/mthreads-gmi",)),
    listing=("mthreads-gmi",),
    # The table has no power.
    figures=("mthreads-gmi -q",),
    models={
        "0201": "MTT S80",
        "0202": "MTT S70",
        "0222": "MTT S3000",
        "0225": "MTT S3000E",
        "0323": "MTT S4000",
        "0327": "MTT S4000",
        "0328": "MTT S4000",
        "0301": "MTT S90",
        "0123": "MTT S2000",
        "0105": "MTT S50",
    },
    giving=Giving(
        cdi="mthreads.com/gpu",
        runtime="mthreads",
        variable="MTHREADS_VISIBLE_DEVICES",
        nodes=("/dev/mtgpu.{index}",),
        optional=("/dev/dri/renderD{render}", "/dev/dri/card{card}"),
        mounts=("/usr/bin/mthreads-gmi",),
    ),
)
