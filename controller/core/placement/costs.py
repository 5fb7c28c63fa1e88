"""What a place costs the others: how much of the room that the cluster has for usual shapes a job on devices takes."""

from collections.abc import Sequence
from functools import lru_cache
from operator import attrgetter
from typing import NamedTuple, Self

import numpy as np

from controller.core.copies import with_its_own
from controller.core.placement import defragmentation
from controller.core.placement.chains import Left
from controller.core.placement.columns import WHOLE, Columns, Host, Integers, Shape
from controller.core.placement.defragmentation import Move, Placed
from controller.core.placement.packing import NOWHERE, Packing
from controller.core.placement.rooms import Floats, Mix
from controller.core.placement.snapshot import UNKNOWN, Booleans, Snapshot
from headrace import shares
from headrace.jobs import Requests
from headrace.nodes import Node

# With so many nodes, the costs of that many that have changed are worked out together.
MANY_HOSTS, TOGETHER = 256, 128

# What one device is, for this.
_KIND = attrgetter("vendor", "kind", "model", "memory_bytes")


class Model(NamedTuple):
    """What the devices of a node are: nodes that differ in it are told apart."""

    name: str
    memory_bytes: int | None


class Costs:
    """Follows a snapshot. What is usual is learned from what was asked for."""

    def __init__(self, snapshot: Snapshot) -> None:
        self._snapshot = snapshot
        self._mix = Mix()
        self._hosts: list[Host] = []
        self._models: dict[str, Model] = {}
        self._packing: Packing | None = None
        self._described = self._seen = UNKNOWN
        # How often it had to begin anew since nodes were others: shapes may be others then, too.
        self.begun = 0

    def copy(self, snapshot: Snapshot) -> Self:
        """The same as of now, over a snapshot that is as its own is."""
        mix = self._mix.copy()
        packing = self._packing.copy(mix) if self._packing is not None else None
        return with_its_own(self, _snapshot=snapshot, _mix=mix, _packing=packing)

    def forget(self, slot: int, last: int) -> None:
        """The node of a slot is no more, and that of the last one has it. What is usual stays known."""
        if len(self._hosts) > last:
            self._hosts[slot] = self._hosts[last]
            del self._hosts[last]
        else:
            self._hosts, self._described = [], UNKNOWN
        self._packing, self.begun = None, 0

    def refresh(self, wants: Requests | None = None) -> None:
        """Follows what has changed: all of it, unless somebody `wants` CPU and memory alone.

        These are had in many places that are as good. So only once many nodes have changed they are followed; until
        then they cost infinitely much.
        """
        snapshot = self._snapshot
        if self._packing is None or self._are_others():
            self._begin()
        elif self._seen < snapshot.clock:
            roughly = wants is not None and wants.accelerators is None and len(self._hosts) > MANY_HOSTS
            # So many cannot have changed: to count those that have takes longer.
            if roughly and snapshot.clock - self._seen < TOGETHER:
                return
            late = snapshot.changed > self._seen
            if roughly and np.count_nonzero(late) < TOGETHER:
                return
            slots = np.flatnonzero(late & (snapshot.device_count > 0))
            if len(slots):
                free = self._free(slots)
                self._packing.put_all(slots, snapshot.cpu_millis[slots], snapshot.memory_bytes[slots], free)
        self._seen = snapshot.clock

    def of(self, shape: Shape, slots: Integers) -> Floats:
        """What a job of the shape costs on each of these nodes; infinite where that is not known yet. Of some it is."""
        if self._packing is None:
            return np.zeros(len(slots), dtype=np.float32)
        costs = self._packing.costs(shape, slots)
        if self._seen < self._snapshot.clock:
            costs = np.where(self._snapshot.changed[slots] > self._seen, NOWHERE, costs)
            if costs.min() == NOWHERE:
                self.refresh()
                costs = self._packing.costs(shape, slots)
        return costs

    def cheapest(self, shape: Shape, among: Booleans) -> Integers:
        """Those of the nodes that it is `among` where a job costs least, of those of which that is known.

        Of some it is. All of them are as good where it is infinite on each.
        """
        found: Integers = np.zeros(0, dtype=np.int64)
        if self._packing is not None:
            among = among[: len(self._hosts)]
            known = among & (self._snapshot.changed[: len(among)] <= self._seen)
            found = self._packing.cheapest(shape, known)
            if not len(found):
                self.refresh()
                found = self._packing.cheapest(shape, among)
            if not len(found):
                self._packing.catch_up()
                found = self._packing.cheapest(shape, among)
        return found if len(found) else np.flatnonzero(among)

    def then(self, shape: Shape, slots: Integers, left: Left) -> Floats:
        """What a job of the shape would cost on these nodes if only so much were left of them."""
        if self._packing is None:
            return np.zeros(len(slots), dtype=np.float32)
        return self._packing.costs_of(shape, slots, left)

    def models(self, slots: Integers) -> Integers:
        """What the devices of these nodes are: a number for each model."""
        return self._packing.columns.model[slots] if self._packing is not None else np.zeros_like(slots)

    def best_move(self, placed: Sequence[Placed]) -> Move | None:
        """Which of these jobs should be elsewhere, so that there is most room for what is usually asked for."""
        self.refresh()
        return defragmentation.best_move(self._packing, placed) if self._packing is not None else None

    def asked(self, shape: Shape, times: int, *, requests: int = 1) -> None:
        """So many jobs of a shape have come, by so many requests."""
        if self._packing is not None:
            self._packing.asked(shape, times, requests=requests)
        else:
            self._mix.asked(shape, times)

    def shape(self, wants: Requests, such: Booleans) -> Shape:
        """What a job asks for, in the terms of the measure. `such` says which devices it may have, of each slot."""
        request = wants.accelerators
        if request is None or self._packing is None:
            return Shape(wants.cpu_millis, wants.memory_bytes)
        columns = self._packing.columns
        some: Booleans = np.any(such, axis=0)
        numbers = np.unique(columns.model[some[: len(columns.hosts)]]).tolist()
        models = [self._models[columns.models[number]] for number in numbers]
        # No model at all would stand for any.
        names = tuple(one.name for one in models) or ("none",)
        if not request.is_part:
            return Shape(wants.cpu_millis, wants.memory_bytes, request.count, WHOLE, names)
        # By memory alone a share differs from model to model: the largest stands for all.
        memory_bytes = min((one.memory_bytes for one in models if one.memory_bytes), default=None)
        millis = min(WHOLE, shares.part_of(request, memory_bytes).millis)
        return Shape(wants.cpu_millis, wants.memory_bytes, 1, millis, names)

    def _are_others(self) -> bool:
        """Whether there are other nodes, or they have something else, than when it began."""
        snapshot = self._snapshot
        if snapshot.last_described <= self._described:
            return False
        slots = np.flatnonzero(snapshot.described > self._described).tolist()
        self._described = snapshot.clock
        hosts = [self._host_of(snapshot.nodes[slot]) for slot in slots]
        others = [slot for slot, host in zip(slots, hosts, strict=True) if self._hosts[slot : slot + 1] != [host]]
        for slot, host in zip(slots, hosts, strict=True):
            self._hosts[slot : slot + 1] = [host]
        return bool(others)

    def _begin(self) -> None:
        self._are_others()
        self.begun += 1
        columns, snapshot = Columns(self._hosts), self._snapshot
        every = np.arange(len(self._hosts))
        columns.fill(snapshot.cpu_millis[every], snapshot.memory_bytes[every], self._free(every))
        together = TOGETHER if len(self._hosts) > MANY_HOSTS else 1
        self._packing = Packing(columns, learned=self._mix, together=together)

    def _free(self, slots: Integers) -> Integers:
        """What is free of the devices of these nodes, for whoever may be given them."""
        snapshot = self._snapshot
        well = snapshot.over_devices("").values[:, slots] & (snapshot.standing[slots] == 0)
        free: Integers = np.where(well, np.maximum(WHOLE - snapshot.held_millis[:, slots], 0), 0)
        return free

    def _host_of(self, node: Node) -> Host:
        model = _model_of(tuple(map(_KIND, node.devices)))
        self._models[model.name] = model
        capacity = node.description.capacity
        return Host(capacity.cpu_millis, capacity.memory_bytes, len(node.devices), model.name)


# Of most nodes these are the same.
@lru_cache(maxsize=1024)
def _model_of(devices: tuple[tuple[str, str, str, int | None], ...]) -> Model:
    kinds = dict.fromkeys(devices)
    least = min((memory for *_, memory in kinds if memory), default=None)
    return Model("; ".join(f"{vendor} {kind} {model} {memory}" for vendor, kind, model, memory in kinds), least)
