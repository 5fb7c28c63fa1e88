"""What is found of nodes, devices and jobs by asking for capacity. `None` is unknown, never zero."""

from dataclasses import dataclass
from enum import Enum

from headrace.jobs import Job
from headrace.nodes import Device, Node


class Over(Enum):
    """What is asked for."""

    NODES = 1
    DEVICES = 2
    JOBS = 3


@dataclass(frozen=True, slots=True)
class Search:
    """What to look for: `filter` in the query language, over what `over` says.

    `free_only`: what no job holds. `order_by`: a field, or one and "desc". `sums` and `group_by`: fields. `limit`: list
    so many, 0: 100. `when`: of each node, from when on it would have it.
    """

    filter: str = ""
    over: Over = Over.NODES
    free_only: bool = False
    order_by: str = ""
    sums: tuple[str, ...] = ()
    group_by: str = ""
    limit: int = 0
    when: bool = False


@dataclass(frozen=True, slots=True)
class FieldSum:
    """A field's sum: in bytes, milliseconds or thousandths of a core, or as its name says; `text` is for people."""

    field: str
    value: float
    text: str
    unknown_count: int = 0


@dataclass(frozen=True, slots=True)
class CapacityGroup:
    """What has one value of a field."""

    key: str | None
    match_count: int
    sums: tuple[FieldSum, ...] = ()


@dataclass(frozen=True, slots=True)
class FoundDevice:
    """A device, the id of its node, and the ids of the jobs that hold it. `free`: it can be given to a job."""

    node: str
    device: Device
    free: bool
    jobs: tuple[str, ...] = ()
    region: str = ""
    owner: str = ""


@dataclass(frozen=True, slots=True)
class FreeTime:
    """When a node would have what was asked for: `jobs` have to end first. `reason` is a sentence."""

    node: str
    free_time_ms: int | None
    jobs: tuple[str, ...] = ()
    reason: str = ""


@dataclass(frozen=True, slots=True)
class Found:
    """What was found: what is listed of it, how much there is in all, sums, groups, and when there would be more."""

    nodes: tuple[Node, ...] = ()
    devices: tuple[FoundDevice, ...] = ()
    jobs: tuple[Job, ...] = ()
    order_values: tuple[str, ...] = ()
    match_count: int = 0
    group_count: int = 0
    groups: tuple[CapacityGroup, ...] = ()
    sums: tuple[FieldSum, ...] = ()
    free_times: tuple[FreeTime, ...] = ()
