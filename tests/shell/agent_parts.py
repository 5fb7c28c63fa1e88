"""An agent's works and prefetches, put together as the agent does, on any runtime."""

from collections.abc import Callable
from pathlib import Path

from agent.accelerators.grants import Granted
from agent.checkpoints import Checkpoints
from agent.core.model import Event
from agent.prefetches import Prefetches
from agent.preparations import Preparations
from agent.runtimes.runtime import Runtime
from agent.standbys import Standbys
from agent.works import Works
from headrace.v1.node_service_pb2_grpc import NodeServiceStub


def works_and_prefetches(
    state: Path,
    runtime: Runtime,
    checkpoints: Checkpoints,
    stub: NodeServiceStub,
    tell: Callable[[Event], None],
    *,
    node: str = "node",
    vendor: str = "",
) -> tuple[Works, Prefetches]:
    """Of a node whose devices, if it has any, are all this vendor's."""

    def granted(devices: tuple[str, ...]) -> Granted:
        return Granted(vendor if devices else "")

    standbys = Standbys(state, runtime, granted)
    preparations = Preparations(state, runtime, checkpoints, standbys, granted)
    return (
        Works(node, state, runtime, checkpoints, stub, tell, preparations),
        Prefetches(runtime, checkpoints, standbys, tell),
    )
