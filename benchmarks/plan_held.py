"""Has a snapshot hold all jobs of a plan at once, in columns: a controller holds those that it has told of, by node."""

from collections.abc import Sequence

import numpy as np

from controller.core.placement.fit import Place, Usage
from controller.core.placement.names import name_of
from controller.core.placement.plans import Nodes, Plan
from controller.core.placement.snapshot import Integers, Snapshot, part_of_whole
from headrace import shares
from headrace.jobs import JobSpec
from headrace.nodes import Node


def hold(snapshot: Snapshot, spec: JobSpec, places: Sequence[Place]) -> None:
    """Jobs of that spec are at all these places. The snapshot is as it was when they were chosen."""
    if isinstance(places, Plan):
        _hold(snapshot, spec, places)
        return
    for place in places:
        slot = snapshot.slots[place.node]
        snapshot.hold(slot, snapshot.usages[slot].plus(spec, place.devices))


def _hold(snapshot: Snapshot, spec: JobSpec, plan: Plan) -> None:
    nodes = plan.nodes
    jobs = np.bincount(plan.node, minlength=len(nodes.slots))
    which = np.flatnonzero(jobs)
    jobs, slots, chain = jobs[which], nodes.slots[which], nodes.of_chain[which]
    orders = {of: nodes.chains.given(of) for of in dict.fromkeys(chain.tolist())}
    for slot, of, count in zip(slots.tolist(), chain.tolist(), jobs.tolist(), strict=True):
        ids = _devices(plan.known[slot], orders[of], count * nodes.chains.units_a_job)
        before = snapshot.usages[slot]
        snapshot.usages[slot] = _with_several(before, spec, ids, count)
        snapshot.whereabouts.changed(slot, before, snapshot.usages[slot])
    snapshot.clock += 1
    snapshot.changed[slots] = snapshot.clock
    _hold_sums(snapshot, slots, jobs, nodes)
    _hold_devices(snapshot, slots, jobs, chain, nodes)


def _devices(node: Node, order: list[int], units: int) -> list[str]:
    return [node.devices[one].id for one in order[:units]]


def _with_several(held: Usage, spec: JobSpec, devices: list[str], count: int) -> Usage:
    """What `Usage.plus` makes of so many jobs, one after the other, that have these devices together."""
    wants, whole, parts = spec.resources, held.devices, held.parts
    request = wants.accelerators
    if request is not None and request.is_part:
        parts = (*parts, *[(one, request) for one in devices])
    else:
        whole = (*whole, *devices)
    cpu, memory = held.cpu_millis + count * wants.cpu_millis, held.memory_bytes + count * wants.memory_bytes
    return Usage(cpu, memory, whole, parts, held.coming, (*held.names, *[name_of(spec)] * count), held.shunned)


def _hold_sums(snapshot: Snapshot, slots: Integers, jobs: Integers, nodes: Nodes) -> None:
    snapshot.cpu_millis[slots] -= jobs * nodes.chains.wants.cpu_millis
    snapshot.memory_bytes[slots] -= jobs * nodes.chains.wants.memory_bytes
    snapshot.idle[slots] = np.minimum(
        part_of_whole(snapshot.cpu_millis[slots], snapshot.whole_cpu_millis[slots]),
        part_of_whole(snapshot.memory_bytes[slots], snapshot.whole_memory_bytes[slots]),
    )


def _hold_devices(snapshot: Snapshot, slots: Integers, jobs: Integers, chain: Integers, nodes: Nodes) -> None:
    units = nodes.chains.taken(chain, jobs)
    if not units.any():
        return
    snapshot.held_millis[:, slots] += units * nodes.chains.unit_millis[:, chain]
    snapshot.held_bytes[:, slots] += units * nodes.chains.unit_bytes[:, chain]
    snapshot.untouched[:, slots] &= units == 0
    snapshot.untouched_count[slots] = snapshot.untouched[:, slots].sum(axis=0)
    some, least = snapshot.shareable[:, slots], shares.WHOLE_MILLIS - snapshot.held_millis[:, slots]
    roomiest = np.where(some, least, np.iinfo(np.int64).min).max(axis=0)
    snapshot.roomiest_millis[slots] = np.where(some.any(axis=0), roomiest, 0)
