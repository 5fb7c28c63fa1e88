"""The controller's own way of placing, over a trace: jobs and nodes as it knows them, and its snapshot and tables."""

from collections.abc import Sequence

from controller.core.placement.columns import WHOLE, Host, Shape
from controller.core.placement.costs import Costs
from controller.core.placement.demand import Demand, demand_of
from controller.core.placement.fit import Place, Usage
from controller.core.placement.snapshot import Snapshot
from controller.core.placement.tables import Tables
from headrace.attempts import Platform
from headrace.jobs import AcceleratorRequest, ImagePin, Job, JobSpec, Requests
from headrace.nodes import Capacity, Device, Engine, Health, Node, NodeDescription, NodeState

AMD64 = Platform("linux", "amd64")
IMAGE = "registry.example/nothing:1"
PINS = (ImagePin(AMD64, "registry.example/nothing@sha256:" + "a" * 64, IMAGE),)
DEVICE_BYTES = 32 << 30


class PlacedByController:
    """An empty cluster. It learns what is usual from the arrivals."""

    def __init__(self, hosts: Sequence[Host]) -> None:
        self.device_millis = self.free_millis = sum(host.devices for host in hosts) * WHOLE
        self._snapshot = Snapshot()
        self._tables = Tables(self._snapshot, Costs(self._snapshot))
        self._jobs: dict[Shape, tuple[Demand, Job]] = {}
        for number, host in enumerate(hosts):
            self._snapshot.put(_node(number, host), Usage())

    def place(self, shape: Shape) -> bool:
        """Whether a task has found a place, which it then has."""
        if shape not in self._jobs:
            job = Job("jobs/task", JobSpec("task", IMAGE, resources=_requests(shape)), images=PINS)
            self._jobs[shape] = demand_of(job), job
        demand, job = self._jobs[shape]
        self._tables.asked(demand, [job])
        found = self._tables.choose(demand, job, now_wall_ms=0)
        if not isinstance(found, Place):
            return False
        slot = self._snapshot.slots[found.node]
        self._snapshot.hold(slot, self._snapshot.usages[slot].plus(job.spec, found.devices))
        self.free_millis -= shape.millis
        return True


def _node(number: int, host: Host) -> Node:
    devices = tuple(
        Device(
            f"{number}-{index}",
            "gpu",
            "maker",
            host.model,
            index,
            memory_bytes=DEVICE_BYTES,
            health=Health.HEALTHY,
            shareable=True,
        )
        for index in range(host.devices)
    )
    description = NodeDescription(platforms=(AMD64,), capacity=Capacity(host.cpu_millis, host.memory_bytes))
    ready, engine = NodeState.READY, Engine(reachable=True)
    return Node(f"nodes/{number:05}", ready, description=description, devices=devices, engine=engine)


def _requests(shape: Shape) -> Requests:
    if not shape.devices:
        return Requests(shape.cpu_millis, shape.memory_bytes)
    where = " or ".join(f'model == "{model}"' for model in shape.models)
    share = shape.device_millis if shape.device_millis < WHOLE else 0
    return Requests(shape.cpu_millis, shape.memory_bytes, AcceleratorRequest(shape.devices, where, share))
