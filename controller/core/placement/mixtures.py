"""Places for tasks of a gang for which devices of several sorts will do: some with one sort, some with another.

What the first tasks are given may be what the others need. So it is worked out for each node for how many tasks it has
room with each sort, and which devices are for which; `fit` gives the devices, and has the last word.
"""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from functools import lru_cache
from heapq import heapify, heappop, heappush

from controller.core.amounts import requests_of
from controller.core.exclusions import devices_at
from controller.core.placement.alternatives import alone, numbered
from controller.core.placement.fit import Place, Usage, fit, free, idle, with_what_is_coming
from controller.core.placement.names import kept_apart, name_of
from headrace.changes import replace
from headrace.jobs import Job, Requests
from headrace.nodes import Node

# Of a node so many sorts are told apart; and for each number of tasks so many mixtures are followed further, which is
# all that there are of 2 sorts, and of 3 up to 20 tasks.
MOST_SORTS, MOST_FOLLOWED = 8, 256


@dataclass(frozen=True, slots=True)
class Sort:
    """What a task may be given of a node: so many of these devices (a bit each), as that of its alternatives."""

    which: int
    count: int
    devices: int


def choose_mixed(
    task: Job,
    count: int,
    nodes: Iterable[Node],
    usage: Callable[[str], Usage],
    *,
    now_wall_ms: int,
    prices: Sequence[int] = (),
) -> tuple[Place, ...] | int:
    """A place for each of so many tasks like this one; where there are not so many, for how many there are.

    With alternatives of which the `prices` come to little, else with those that are named first; on the best nodes.
    """
    rooms: dict[str, tuple[Node, Usage, tuple[int, ...]]] = {}
    next_ones: list[tuple[int, tuple[float, ...], str, int]] = []
    for node in nodes:
        first = fit(task, node, usage(node.id), now_wall_ms=now_wall_ms)
        if isinstance(first, Place):
            held = _held(task, node, usage(node.id), now_wall_ms)
            costs = tuple([cost for cost, _ in _mixtures(task, node, held, count, prices)])
            rooms[node.id] = node, held, costs
            if len(costs) > 1:
                next_ones.append((costs[1], tuple([-one for one in first.score]), node.id, 1))
    most = sum(len(costs) - 1 for _, _, costs in rooms.values())
    if most < count:
        return most
    heapify(next_ones)
    counts: dict[str, int] = {}
    for _ in range(count):
        _, score, name, number = heappop(next_ones)
        counts[name], (_, _, costs) = number, rooms[name]
        if number + 1 < len(costs):
            heappush(next_ones, (costs[number + 1] - costs[number], score, name, number + 1))
    found: list[Place] = []
    for name, number in counts.items():
        node, held, _ = rooms[name]
        found += places_at(task, node, held, number, now_wall_ms=now_wall_ms, prices=prices)
    return tuple(found) if len(found) == count else len(found)


def places_at(
    task: Job, node: Node, usage: Usage, most: int, *, now_wall_ms: int, prices: Sequence[int] = ()
) -> list[Place]:
    """Places for so many tasks at most on one node, as many as there are; at the lowest price."""
    held = _held(task, node, usage, now_wall_ms)
    sorts, (_, numbers) = _sorts(task, node, held), _mixtures(task, node, held, most, prices)[-1]
    ids, each, found = [device.id for device in node.devices], alone(task), list[Place]()
    for sort, number, its in zip(sorts, numbers, _shared_out(sorts, numbers), strict=True):
        others = tuple([one for bit, one in enumerate(ids) if not its >> bit & 1])
        for _ in range(number):
            # To this task what is for others is as good as taken.
            apart = replace(held, devices=held.devices + others)
            place = fit(each[sort.which], node, apart, now_wall_ms=now_wall_ms)
            if not isinstance(place, Place):
                return found
            held = held.plus(task.spec, place.devices)
            found.append(replace(place, variant=numbered(task, sort.which, place.variant)))
    return found


def _held(task: Job, node: Node, usage: Usage, now_wall_ms: int) -> Usage:
    """What is held of a node, with all devices that the task may not have."""
    away = tuple([one.device for one in devices_at(task, node.id, now_wall_ms=now_wall_ms)])
    return with_what_is_coming(node, replace(usage, devices=usage.devices + away) if away else usage)


def _sorts(task: Job, node: Node, held: Usage) -> list[Sort]:
    """What of a node is for which alternative. Devices that go to one task are of one kind and vendor."""
    found = []
    for which, request in enumerate(requests_of(task.spec)):
        its: dict[tuple[str, str], int] = {}
        those = {device.id for device in idle(request, node, held)}
        for bit, device in enumerate(node.devices):
            if device.id in those:
                kind = device.vendor, device.kind
                its[kind] = its.get(kind, 0) | 1 << bit
        found += [Sort(which, request.count, some) for some in its.values() if some.bit_count() >= request.count]
    return found[:MOST_SORTS]


def _mixtures(
    task: Job, node: Node, held: Usage, most: int, prices: Sequence[int]
) -> tuple[tuple[int, tuple[int, ...]], ...]:
    """For 0, 1 and more tasks, as long as all have room: at which price, and how many of them with each sort."""
    sorts, wants, left = _sorts(task, node, held), task.spec.resources, free(node, held)
    most = min(most, _without_devices(wants, left.cpu_millis, left.memory_bytes, most))
    if name_of(task.spec) in kept_apart(task.spec):
        most = min(most, 1)
    each = [one.devices for one in sorts]
    sizes = tuple([_union(each, some).bit_count() for some in range(1 << len(each))])
    asked = prices or range(len(requests_of(task.spec)))
    return _cheapest(tuple([one.count for one in sorts]), sizes, tuple([asked[one.which] for one in sorts]), most)


def _without_devices(wants: Requests, cpu_millis: int, memory_bytes: int, most: int) -> int:
    """For how many there are cores and memory."""
    each = ((wants.cpu_millis, cpu_millis), (wants.memory_bytes, memory_bytes))
    return min([most, *(left // wanted for wanted, left in each if wanted)])


def _union(each: Sequence[int], some: int) -> int:
    found = 0
    for bit, devices in enumerate(each):
        if some >> bit & 1:
            found |= devices
    return found


# Nodes are of few kinds, and of each mostly as much is free as of another.
@lru_cache(maxsize=4096)
def _cheapest(
    counts: tuple[int, ...], sizes: tuple[int, ...], prices: tuple[int, ...], most: int
) -> tuple[tuple[int, tuple[int, ...]], ...]:
    """`counts`: of devices for a task with each sort; `sizes`: how many devices there are of each set of sorts."""
    found, layer = [(0, (0,) * len(counts))], {(0,) * len(counts): 0}
    while len(found) <= most:
        # Where there is room for some, there is for any fewer of them: of these the others are made.
        more = {
            (*numbers[:which], numbers[which] + 1, *numbers[which + 1 :]): price + prices[which]
            for numbers, price in layer.items()
            for which in range(len(counts))
        }
        layer = {one: price for one, price in more.items() if _have_room(counts, sizes, one)}
        if not layer:
            break
        if len(layer) > MOST_FOLLOWED:
            taken = {one: sum(a * b for a, b in zip(one, counts, strict=True)) for one in layer}
            layer = {one: layer[one] for one in sorted(layer, key=lambda one: (taken[one], one))[:MOST_FOLLOWED]}
        found.append(min((price, tuple([-number for number in one])) for one, price in layer.items()))
    return tuple([(price, tuple(map(abs, numbers))) for price, numbers in found])


def _have_room(counts: Sequence[int], sizes: Sequence[int], numbers: Sequence[int]) -> bool:
    """Whether devices can be shared out so: of no set of sorts more are needed than there are for those (Hall)."""
    needed = [0]
    for count, number in zip(counts, numbers, strict=True):
        needed += [one + count * number for one in needed]
    return all(one <= size for one, size in zip(needed, sizes, strict=True))


def _shared_out(sorts: Sequence[Sort], numbers: Sequence[int]) -> list[int]:
    """Which devices are for the tasks of each sort, so that all have theirs."""
    left, found = [one.devices for one in sorts], [0] * len(sorts)
    needs = [one.count * number for one, number in zip(sorts, numbers, strict=True)]
    for which, sort in enumerate(sorts):
        for bit in range(sort.devices.bit_length()):
            if not needs[which]:
                break
            rest = [one & ~(1 << bit) for one in left]
            fewer = [*needs[:which], needs[which] - 1, *needs[which + 1 :]]
            sizes = [_union(rest, some).bit_count() for some in range(1 << len(rest))]
            if left[which] >> bit & 1 and _have_room([1] * len(rest), sizes, fewer):
                left, needs, found[which] = rest, fewer, found[which] | 1 << bit
    return found
