"""Which devices of a node go together: linked ones, then those under one PCI root, then those at one processor."""

from collections.abc import Iterable, Sequence
from itertools import combinations

from headrace.nodes import Device

# How near two devices are.
LINKED, SAME_ROOT, SAME_PROCESSOR, APART = 3, 2, 1, 0


def nearness(one: Device, other: Device) -> int:
    """How near two devices of a node are: LINKED, SAME_ROOT, SAME_PROCESSOR or APART. What is not known is APART."""
    if any(link.peer == other.id for link in one.links) or any(link.peer == one.id for link in other.links):
        return LINKED
    if one.pcie_root and one.pcie_root == other.pcie_root:
        return SAME_ROOT
    if one.numa_node is not None and one.numa_node == other.numa_node:
        return SAME_PROCESSOR
    return APART


def together(devices: Sequence[Device], count: int) -> tuple[Device, ...]:
    """So many of the devices, all of one kind and vendor, that are near each other; fewer than that: there are none.

    From each device a group is grown by the nearest one; the best group is taken, and of equal ones the first. For two
    devices that is the nearest pair, and where links form closed groups, one of these.
    """
    best: tuple[Device, ...] = ()
    best_score: tuple[int, ...] = ()
    for kind in dict.fromkeys((device.vendor, device.kind) for device in devices):
        mine = [device for device in devices if (device.vendor, device.kind) == kind]
        if len(mine) < count:
            continue
        if not any(map(is_near_any, mine)):
            # All groups are alike: none is nearer together than this one.
            if not best:
                best, best_score = tuple(mine[:count]), (0, 0, 0)
            continue
        for first in mine if count > 1 else mine[:1]:
            group = _grown(first, mine, count)
            score = _score(group)
            if not best or score > best_score:
                best, best_score = group, score
    return tuple(device for device in devices if device in best)


def is_near_any(device: Device) -> bool:
    """Whether it may be nearer to some than to others."""
    return bool(device.links or device.pcie_root or device.numa_node is not None)


def closeness(devices: Iterable[Device]) -> int:
    """How near the two are that are the farthest apart; APART for one device alone."""
    return min((nearness(one, other) for one, other in combinations(devices, 2)), default=APART)


def _grown(first: Device, devices: Sequence[Device], count: int) -> tuple[Device, ...]:
    group: tuple[Device, ...] = (first,)
    near = {device.id: _counts([nearness(first, device)]) for device in devices if device is not first}
    rest = {device.id: device for device in devices if device is not first}
    while len(group) < count:
        chosen = max(rest.values(), key=lambda device: near[device.id])
        del rest[chosen.id]
        group = (*group, chosen)
        for device in rest.values():
            more = _counts([nearness(chosen, device)])
            near[device.id] = tuple(a + b for a, b in zip(near[device.id], more, strict=True))
    return group


def _score(group: Sequence[Device]) -> tuple[int, ...]:
    return _counts([nearness(one, other) for one, other in combinations(group, 2)])


def _counts(pairs: Sequence[int]) -> tuple[int, ...]:
    """How many pairs are as near as this or nearer, for the nearest first."""
    return tuple(sum(one >= step for one in pairs) for step in (LINKED, SAME_ROOT, SAME_PROCESSOR))
