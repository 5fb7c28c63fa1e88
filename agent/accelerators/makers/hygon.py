"""Hygon's DCUs: their kernel driver tells what AMD's does; hy-smi tells the rest."""

from functools import partial

from agent.accelerators import kfd
from agent.accelerators.pci import Presence
from agent.accelerators.spec import Giving, Spec
from agent.accelerators.tools import Tools

SPEC = Spec(
    name="hygon",
    maker="Hygon",
    kind="gpu",
    # The same vendor makes processors, whose USB and SATA are of other classes.
    presence=Presence(vendor="1d94", classes=("0b40", "0302", "0380", "1200")),
    sysfs=partial(kfd.read, vendor="hygon"),
    tools=Tools(("/opt/hyhal/bin/hy-smi", "/opt/dtk*/bin/hy-smi", "/opt/dtk*/bin/rocm-smi")),
    listing=("hy-smi -a --json", "rocm-smi -a --json", "hy-smi"),
    giving=Giving(
        cdi="hygon.com/dcu",
        variable="DCU_VISIBLE_DEVICES",
        nodes=("/dev/dri/renderD{render}",),
        optional=("/dev/dri/card{card}",),
        shared=("/dev/kfd", "/dev/mkfd"),
        mounts=("/opt/hyhal",),
        groups_of=("/dev/kfd",),
        security_options=("seccomp=unconfined",),
    ),
)
