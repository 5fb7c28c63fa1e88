"""Places for all tasks of a gang at once, each beside the others: a function of a snapshot."""

from collections.abc import Callable, Iterable, Sequence
from zlib import crc32

from controller.core.placement.fit import Place, Usage, choose
from controller.core.placement.reasons import waits_for_all
from headrace.jobs import Job
from headrace.nodes import Node

# At which ports gangs meet: below those that kernels give out by themselves.
FIRST_PORT, PORTS = 29_000, 1_000


def choose_all(
    tasks: Sequence[Job],
    nodes: Iterable[Node],
    usage: Callable[[str], Usage],
    *,
    now_wall_ms: int,
) -> tuple[Place, ...] | str:
    """A place for each task, or one sentence on why there are not so many.

    The tasks ask for the same: taking the best place for one after the other finds places for all, where there are any.
    """
    nodes = list(nodes)
    held: dict[str, Usage] = {}
    places: list[Place] = []

    def beside_the_others(node: str) -> Usage:
        return held[node] if node in held else usage(node)

    for task in tasks:
        found = choose(task, nodes, beside_the_others, now_wall_ms=now_wall_ms)
        if isinstance(found, str):
            return waits_for_all(len(tasks), found)
        held[found.node] = beside_the_others(found.node).plus(task.spec.resources, found.devices)
        places.append(found)
    return tuple(places)


def meeting_point(gang: Job, host: str, taken: Sequence[str]) -> str:
    """Where on a host the tasks meet: a port of their own in each epoch, but for those that other gangs have."""
    first = crc32(f"{gang.id} {gang.epoch}".encode())
    host = f"[{host}]" if ":" in host else host
    ports = (FIRST_PORT + (first + turn) % PORTS for turn in range(PORTS))
    return next((point for port in ports if (point := f"{host}:{port}") not in taken), "")
