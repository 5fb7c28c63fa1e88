"""Of which nodes a shape would be given devices, and of which alternative: in columns, as `fit` finds it one by one."""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from controller.core.placement import links, reasons
from controller.core.placement.chains import parts
from controller.core.placement.fit import Place, fit
from controller.core.placement.snapshot import Booleans, Column, Integers, Snapshot
from headrace.changes import replace
from headrace.jobs import AcceleratorRequest, Job

_MOST_NEARNESS = 1 << 16
Codes = NDArray[np.int16]


@dataclass(frozen=True, slots=True)
class Given:
    """Of some slots: why there are no devices, 0 where there are; how near these are to each other, and of what.

    `which` is 0 for what is asked for first, and else says how manieth of the alternatives is given. `never`: there are
    none, whoever holds them.
    """

    code: Codes
    near: Integers
    which: Integers
    never: Booleans


class Devices:
    """One shape's: what it asks for of devices, and where that is."""

    def __init__(self, snapshot: Snapshot, job: Job, coded: Callable[[str], int]) -> None:
        """`coded` has a number for each text of why a node is no place, which is never 0."""
        self._snapshot = snapshot
        self._coded = coded
        self._job = replace(job, exclusions=())
        first, others = job.spec.resources.accelerators, job.spec.resources.alternatives
        self._requests = (first, *others) if first is not None else ()
        # For each of them, which devices are such.
        self.such: list[Column] = []
        self._variants = len(job.spec.variants) + 1
        # How near devices would be to each other, by request, node, and which of its devices are to be had.
        self._nearness: dict[tuple[int, ...], int] = {}
        if first is not None:
            self._no_devices = coded(reasons.no_devices(first, *others))
            self._no_part, self._shares_none = coded(reasons.no_part(first)), coded(reasons.shares_none(first))

    def columns(self) -> list[Column]:
        """Of all its queries over devices; they are up to date by that."""
        self.such = [self._snapshot.over_devices(one.where) for one in self._requests]
        return self.such

    def of(self, slots: Integers) -> Given:
        """What these would give."""
        count = len(slots)
        near, which = np.zeros(count, dtype=np.int64), np.zeros(count, dtype=np.int64)
        found = Given(np.zeros(count, dtype=np.int16), near, which, np.zeros(count, dtype=np.bool_))
        if not self._requests:
            return found
        if self._requests[0].is_part:
            self._parts(found, self._requests[0], self.such[0].values[:, slots], slots)
        else:
            self._first_that_is_there(found, slots)
        for index in np.flatnonzero(self._snapshot.intricate[slots]).tolist():
            self._looked_at(found, index, int(slots[index]))
        return found

    def _first_that_is_there(self, found: Given, slots: Integers) -> None:
        snapshot = self._snapshot
        lacks, untouched, near = np.ones(len(slots), dtype=np.bool_), snapshot.untouched[:, slots], snapshot.near[slots]
        for number, (request, such) in enumerate(zip(self._requests, self.such, strict=True)):
            idle = such.values[:, slots] & untouched
            able = lacks & (idle.sum(axis=0) >= request.count)
            found.which[able] = number
            if request.count > 1:
                for index in np.flatnonzero(near & able).tolist():
                    found.near[index] = self._nearest(number, int(slots[index]), idle[:, index])
            lacks &= ~able
            if not lacks.any():
                return
        found.code[lacks] = self._no_devices
        never = np.ones(int(lacks.sum()), dtype=np.bool_)
        for request, such in zip(self._requests, self.such, strict=True):
            never &= such.values[:, slots[lacks]].sum(axis=0) < request.count
        found.never[lacks] = never

    def _parts(self, found: Given, request: AcceleratorRequest, such: Booleans, slots: Integers) -> None:
        shareable = such & self._snapshot.shareable[:, slots]
        roomy = parts(self._snapshot, slots, request, such)[0] > 0
        shares_none = such.any(axis=0) & ~shareable.any(axis=0)
        found.code[~roomy.any(axis=0)] = self._no_part
        found.code[shares_none] = self._shares_none
        found.never[:] = ~shareable.any(axis=0)

    def _looked_at(self, found: Given, index: int, slot: int) -> None:
        # Who keeps apart from jobs of this name does not from others of the shape.
        usage = replace(self._snapshot.usages[slot], shunned=())
        offer = fit(self._job, self._snapshot.nodes[slot], usage, now_wall_ms=0)
        if isinstance(offer, Place):
            found.code[index], found.near[index] = 0, int(offer.score[2])
            found.which[index] = offer.variant // self._variants
        else:
            # Of what is no matter of devices something else is said, too.
            found.code[index], found.near[index], found.which[index] = self._coded(offer.reason), 0, 0

    def _nearest(self, number: int, slot: int, idle: Booleans) -> int:
        """How near the devices are to each other that it would be given of these."""
        devices = self._snapshot.nodes[slot].devices
        numbers = np.flatnonzero(idle).tolist()
        key = (number, int(self._snapshot.described[slot]), slot, *numbers)
        known = self._nearness.get(key)
        if known is None:
            if len(self._nearness) >= _MOST_NEARNESS:
                self._nearness = {}
            group = links.together([devices[one] for one in numbers], self._requests[number].count)
            known = self._nearness[key] = links.closeness(group)
        return known
