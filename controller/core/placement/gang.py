"""Places for all tasks of a gang at once, each beside the others: a function of a snapshot."""

from collections.abc import Callable, Iterable, Sequence
from zlib import crc32

from controller.core.placement.alternatives import alone, as_asked_alone
from controller.core.placement.fit import Place, Unfit, Usage, best_of, fit
from controller.core.placement.mixtures import choose_mixed, places_at
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
) -> tuple[Place, ...]:
    """A place for each task; none where there are not so many.

    The tasks ask for the same: taking the best place for one after the other finds places for all, where there are any.
    Not so with alternatives of devices, of which the first tasks may have what others need: then each is tried for all,
    and some with one beside some with another.
    """
    there = list(nodes)
    found = _one_by_one(tasks, there, usage, now_wall_ms=now_wall_ms)
    if found or len(tasks) < 2 or not tasks[0].spec.resources.alternatives:
        return found
    for which, less in enumerate(zip(*map(alone, tasks), strict=True)):
        instead = _one_by_one(less, there, usage, now_wall_ms=now_wall_ms)
        if instead:
            return as_asked_alone(tasks[0], which, instead)
    mixed = choose_mixed(tasks[0], len(tasks), there, usage, now_wall_ms=now_wall_ms)
    return () if isinstance(mixed, int) else mixed


def at_each(
    tasks: Sequence[Job], nodes: Sequence[Node], usage: Callable[[str], Usage], *, now_wall_ms: int
) -> tuple[Place, ...]:
    """A place for each task on the node that is its own; none where one of them has none there."""
    held: dict[str, Usage] = {}
    places: list[Place] = []
    for task, node in zip(tasks, nodes, strict=True):
        there = held[node.id] if node.id in held else usage(node.id)
        found = fit(task, node, there, now_wall_ms=now_wall_ms)
        if isinstance(found, Unfit):
            return ()
        held[node.id] = there.plus(task.spec, found.devices)
        places.append(found)
    return tuple(places)


def _one_by_one(
    tasks: Sequence[Job], nodes: Iterable[Node], usage: Callable[[str], Usage], *, now_wall_ms: int
) -> tuple[Place, ...]:
    """The best place for one after the other; none where one of them has none."""
    by_name = {node.id: node for node in nodes}
    held: dict[str, Usage] = {}
    places: list[Place] = []
    # What each node offers, looked at anew only where a task was given a place: the others are as they were.
    offers: dict[str, Place | Unfit] = {}
    alike: Job | None = None
    for task in tasks:
        if alike is None or (alike.spec, alike.images, alike.exclusions) != (task.spec, task.images, task.exclusions):
            offers, alike = {}, task
        for name in [one for one in by_name if one not in offers]:
            there = held[name] if name in held else usage(name)
            offers[name] = fit(task, by_name[name], there, now_wall_ms=now_wall_ms)
        found = best_of(offers.values())
        if isinstance(found, str):
            return ()
        there = held[found.node] if found.node in held else usage(found.node)
        held[found.node] = there.plus(task.spec, found.devices)
        places.append(found)
        del offers[found.node]
    return tuple(places)


def count_at(task: Job, node: Node, usage: Usage, most: int, *, now_wall_ms: int) -> int:
    """How many tasks that ask for the same as this one a node has room for beside what is held, so many at most.

    Nodes have room for as many together as each by itself: what one of them has is no matter to another.
    """
    count = _count_one_by_one(task, node, usage, most, now_wall_ms=now_wall_ms)
    if count < most and task.spec.resources.alternatives:
        return max(count, len(places_at(task, node, usage, most, now_wall_ms=now_wall_ms)))
    return count


def _count_one_by_one(task: Job, node: Node, usage: Usage, most: int, *, now_wall_ms: int) -> int:
    for count in range(most):
        found = fit(task, node, usage, now_wall_ms=now_wall_ms)
        if isinstance(found, Unfit):
            return count
        usage = usage.plus(task.spec, found.devices)
    return most


def meeting_point(gang: Job, host: str, taken: Sequence[str]) -> str:
    """Where on a host the tasks meet: a port of their own in each epoch, but for those that other gangs have."""
    first = crc32(f"{gang.id} {gang.epoch}".encode())
    host = f"[{host}]" if ":" in host else host
    ports = (FIRST_PORT + (first + turn) % PORTS for turn in range(PORTS))
    return next((point for port in ports if (point := f"{host}:{port}") not in taken), "")
