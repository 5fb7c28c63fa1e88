"""Denglin's GPUs: dlsmi."""

from agent.accelerators.pci import Presence
from agent.accelerators.spec import Spec
from agent.accelerators.tools import Tools

# How their containers get devices is published nowhere.
SPEC = Spec(
    name="denglin",
    maker="Denglin",
    kind="gpu",
    presence=Presence(vendor="1e27", classes=("0300", "0302", "0380", "0b40", "12")),
    tools=Tools(("/usr/bin/dlsmi", "/usr/local/bin/dlsmi")),
    listing=("dlsmi query --xml-format",),
)
