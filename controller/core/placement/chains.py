"""What is left of nodes as one job after the other comes to them that ask for the same: worked out, not tried."""

from dataclasses import dataclass

import numpy as np

from controller.core.placement.snapshot import UNKNOWN, Booleans, Floats, Integers, Snapshot, part_of_whole
from headrace import shares
from headrace.jobs import AcceleratorRequest, Requests

_MOST_BYTES = ((1 << 63) - 1) // shares.WHOLE_MILLIS


@dataclass(frozen=True, slots=True)
class Left:
    """What is left of some nodes: a figure each, of devices a row each."""

    cpu_millis: Integers
    memory_bytes: Integers
    device_millis: Integers


@dataclass(frozen=True, slots=True)
class Chains:
    """Some nodes, and what a job takes of each: devices as `controller.core.placement.fit` gives them.

    A job takes `units` of devices: of a part one, of whole devices so many. They come of one device after the other.
    """

    wants: Requests
    cpu_millis: Integers
    memory_bytes: Integers
    whole_cpu_millis: Integers
    whole_memory_bytes: Integers
    device_millis: Integers
    # How many units there are of each device, how many are taken before it comes to that, and what one takes of it.
    units: Integers
    before: Integers
    unit_millis: Integers
    unit_bytes: Integers
    # The devices in the order in which they are given.
    order: Integers
    # How many jobs each node has room for.
    room: Integers

    def left(self, nodes: Integers, jobs: Integers) -> Left:
        """What is left of these nodes once so many jobs each have come."""
        cpu = np.maximum(self.cpu_millis[nodes] - jobs * self.wants.cpu_millis, 0)
        memory = np.maximum(self.memory_bytes[nodes] - jobs * self.wants.memory_bytes, 0)
        return Left(cpu, memory, self.device_millis[:, nodes] - self.taken(nodes, jobs) * self.unit_millis[:, nodes])

    def taken(self, nodes: Integers, jobs: Integers) -> Integers:
        """How many units of each device are taken once so many jobs each have come."""
        found: Integers = np.clip(jobs * self.units_a_job - self.before[:, nodes], 0, self.units[:, nodes])
        return found

    @property
    def units_a_job(self) -> int:
        """How many units of devices a job takes."""
        return units_of(self.wants)

    def idle(self, nodes: Integers, left: Left) -> Floats:
        """The share that is free then of CPU or of memory, whichever is less."""
        return np.minimum(
            part_of_whole(left.cpu_millis, self.whole_cpu_millis[nodes]),
            part_of_whole(left.memory_bytes, self.whole_memory_bytes[nodes]),
        )

    def given(self, node: int) -> list[int]:
        """The devices of a node in the order in which they are given: a number for each unit."""
        order = self.order[:, node]
        found: list[int] = np.repeat(order, self.units[order, node]).tolist()
        return found


def units_of(wants: Requests) -> int:
    """How many units of devices a job takes."""
    request = wants.accelerators
    return 0 if request is None else 1 if request.is_part else request.count


def chains(snapshot: Snapshot, slots: Integers, wants: Requests, most: int) -> Chains:
    """Of these slots, for so many jobs at most. Their nodes' devices are of one kind, and none nearer than others."""
    cpu, memory = snapshot.cpu_millis[slots], snapshot.memory_bytes[slots]
    room: Integers = np.full(len(slots), most, dtype=np.int64)
    if wants.cpu_millis:
        np.minimum(room, cpu // wants.cpu_millis, out=room)
    if wants.memory_bytes:
        np.minimum(room, memory // wants.memory_bytes, out=room)
    request, held = wants.accelerators, snapshot.held_millis[:, slots]
    well = snapshot.over_devices("").values[:, slots] if snapshot.devices else np.zeros(held.shape, dtype=np.bool_)
    free: Integers = np.where(well, np.maximum(shares.WHOLE_MILLIS - held, 0), 0)
    units, millis, part_bytes = np.zeros_like(held), np.zeros_like(held), np.zeros_like(held)
    order: Integers = np.zeros_like(held)
    if request is not None:
        such = snapshot.over_devices(request.where).values[:, slots]
        if request.is_part:
            units, millis, part_bytes = parts(snapshot, slots, request, such)
            # The fullest that has room is given until it has none.
            order = np.argsort(np.where(units > 0, -held, 1), axis=0, kind="stable")
        else:
            units = (such & snapshot.untouched[:, slots]).astype(np.int64)
            millis = np.full_like(held, shares.WHOLE_MILLIS)
            part_bytes = np.maximum(snapshot.device_bytes[:, slots], 0)
            order = np.argsort(-units, axis=0, kind="stable")
        np.minimum(room, units.sum(axis=0) // units_of(wants), out=room)
    in_order = np.take_along_axis(units, order, axis=0)
    before = np.zeros_like(held)
    np.put_along_axis(before, order, np.cumsum(in_order, axis=0) - in_order, axis=0)
    whole_cpu, whole_memory = snapshot.whole_cpu_millis[slots], snapshot.whole_memory_bytes[slots]
    return Chains(wants, cpu, memory, whole_cpu, whole_memory, free, units, before, millis, part_bytes, order, room)


def parts(
    snapshot: Snapshot, slots: Integers, request: AcceleratorRequest, such: Booleans
) -> tuple[Integers, Integers, Integers]:
    """How many parts there are of each device, and what one takes of it: millis and bytes."""
    # More than that, in thousandths, no column holds; no device has so much, whatever is said or asked.
    has_bytes, held_bytes = np.minimum(snapshot.device_bytes[:, slots], _MOST_BYTES), snapshot.held_bytes[:, slots]
    asked_bytes = min(request.memory_bytes, _MOST_BYTES)
    known = has_bytes != UNKNOWN
    if request.share_millis:
        millis = np.full_like(has_bytes, request.share_millis)
        its_share = np.where(known, has_bytes * request.share_millis // shares.WHOLE_MILLIS, 0)
        part_bytes = np.full_like(has_bytes, asked_bytes) if asked_bytes else its_share
    else:
        in_millis = np.maximum(1, -(-asked_bytes * shares.WHOLE_MILLIS // np.maximum(has_bytes, 1)))
        millis = np.where(has_bytes > 0, in_millis, shares.WHOLE_MILLIS)
        part_bytes = np.full_like(has_bytes, asked_bytes)
    units = np.maximum(shares.WHOLE_MILLIS - snapshot.held_millis[:, slots], 0) // millis
    bounded = known & (part_bytes > 0)
    by_bytes = np.maximum(has_bytes - held_bytes, 0) // np.maximum(part_bytes, 1)
    units = np.where(bounded, np.minimum(units, by_bytes), units)
    # Where more is held than there is, there is no room for a part that takes no memory either.
    able = such & snapshot.shareable[:, slots] & ~(known & (held_bytes > has_bytes))
    if asked_bytes:
        able &= known
    return np.where(able, units, 0), millis, part_bytes
