"""What has to be said of a maker of accelerators whose devices are seen by sysfs and by the maker's tool."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path

from agent.accelerators.pci import Function, Presence
from agent.accelerators.readings import Reading
from agent.accelerators.tools import Tools

Sysfs = Callable[[Path, tuple[Function, ...]], tuple[Reading, ...]]


@dataclass(frozen=True, slots=True, kw_only=True)
class Giving:
    """How a container gets devices of this maker.

    `named` says how runtime, variable and CDI call a device: by "uuid" or by the tool's "index". `nodes` are patterns
    of a card's own device node, of which the first that is there counts: {index} is the tool's number, {render}, {card}
    and {accel} those that the kernel gave it, {group} its IOMMU group. `optional` ones go with it where they are there.
    `mounts` are patterns of paths. Nodes in `groups_of`, and the card's own, say which groups may open them.
    """

    cdi: str = ""
    runtime: str = ""
    variable: str = ""
    named: str = "index"
    driver: str = ""
    environment: Mapping[str, str] = field(default_factory=dict)
    nodes: tuple[str, ...] = ()
    optional: tuple[str, ...] = ()
    shared: tuple[str, ...] = ()
    mounts: tuple[str, ...] = ()
    libraries: Mapping[str, str] = field(default_factory=dict)
    groups_of: tuple[str, ...] = ()
    limits: Mapping[str, int] = field(default_factory=dict)
    capabilities: tuple[str, ...] = ()
    security_options: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Spec:
    """One maker. `kinds` are those of PCI classes that are not of `kind`.

    `listing` are the commands that list the devices, best first: the first whose output can be read is the one that is
    asked from then on. `figures` are asked less often, and `details` seldom: they fill what it does not tell; {index}
    and {board} in them stand for each device's and each board's. `sysfs` reads what the kernel itself tells;
    where that is enough, no tool is needed (`needs_tool`). `takes_passed_on`: jobs use its cards through vfio.
    `models` are names by PCI device id, for where no tool tells.
    """

    name: str
    maker: str
    kind: str
    presence: Presence
    kinds: Mapping[str, str] = field(default_factory=dict)
    giving: Giving = field(default_factory=Giving)
    tools: Tools = field(default_factory=Tools)
    listing: tuple[str, ...] = ()
    figures: tuple[str, ...] = ()
    details: tuple[str, ...] = ()
    sysfs: Sysfs | None = None
    needs_tool: bool = True
    takes_passed_on: bool = False
    tool_seconds: float = 10.0
    models: Mapping[str, str] = field(default_factory=dict)
