"""What nodes do by their own figures, in columns: nodes of one make may have been measured, or declared, otherwise."""

from collections import Counter
from collections.abc import Iterable
from math import exp2, inf, log2, nan
from typing import Self

import numpy as np

from controller.core.copies import with_its_own
from controller.core.past_runs import PastRun
from controller.core.placement.durations import EFFICIENCY
from controller.core.placement.fit import Place
from controller.core.placement.snapshot import UNKNOWN, Floats, Integers, Snapshot
from headrace.capacity import Rate, cpu_rate, devices_rate
from headrace.nodes import Device, Node

# What a device is; and how many of each a place has, where none is that it has cores alone.
Kind = tuple[str, str, str]
Kinds = tuple[tuple[Kind, int], ...]

# What differs by less than such a part of a doubling is one: no measurement is as exact, and many nodes are alike.
_STEPS = 16
# Of so many kinds of devices, and precisions, what nodes do is kept.
_MOST_COLUMNS = 64


class Rates:
    """Of each node of a snapshot, in operations a second that a usual job reaches there."""

    def __init__(self, snapshot: Snapshot) -> None:
        self._snapshot = snapshot
        # By precision, and what does it (None: a thread): up to which moment it is known, by slot what that does, and
        # how many times as much one does as another at most.
        self._columns: dict[tuple[str, Kind | None], tuple[int, Floats, float]] = {}
        # Counts when a node does another thing than was thought before.
        self.edition = 0

    def copy(self, snapshot: Snapshot) -> Self:
        """The same as of now, of a copy of the snapshot."""
        columns = {key: (seen, column.copy(), differ_by) for key, (seen, column, differ_by) in self._columns.items()}
        return with_its_own(self, _snapshot=snapshot, _columns=columns)

    def at(self, precision: str, kinds: Kinds, slots: Integers) -> Floats:
        """What each of these nodes does with so many such devices, or else with each thread; no number: not known."""
        if not kinds:
            return self._column(precision, None)[slots]
        found: Floats = np.zeros(len(slots))
        for kind, count in kinds:
            found = found + count * self._column(precision, kind)[slots]
        return found

    def renewed(self, precision: str, wanted: Iterable[Kinds]) -> int:
        """Brings up to date what was asked by `at` with these; answers the edition with that."""
        found: dict[Kind | None, None] = {}
        for kinds in wanted:
            found |= dict.fromkeys(kind for kind, _ in kinds) if kinds else {None: None}
        for kind in found:
            self._column(precision, kind)
        return self.edition

    def differ_by(self, precision: str) -> float:
        """How many times as much one node does as another, at most, as far as was asked; without end: nothing was."""
        return max((found for (one, _), (*_, found) in self._columns.items() if one == precision), default=inf)

    def _column(self, precision: str, kind: Kind | None) -> Floats:
        key, snapshot = (precision, kind), self._snapshot
        seen, column, differ_by = self._columns.pop(key, (UNKNOWN, np.zeros(0), 1.0))
        if len(column) != snapshot.room:
            column = np.concatenate([column, np.full(snapshot.room - len(column), nan)])
        if seen < snapshot.last_described:
            late = np.flatnonzero(snapshot.described > seen)
            now = np.array([_rate(snapshot.nodes[slot], precision, kind) for slot in late.tolist()])
            self.edition += seen != UNKNOWN and not np.array_equal(column[late], now, equal_nan=True)
            column[late] = now
            known = column[np.isfinite(column)]
            differ_by = float(known.max() / known.min()) if len(known) else 1.0
        while len(self._columns) >= _MOST_COLUMNS:
            del self._columns[next(iter(self._columns))]
        self._columns[key] = snapshot.clock, column, differ_by
        return column


def kinds_of(there: Place | PastRun, node: Node) -> Kinds:
    """What of a node the place has, or a run had; of a node of the same make there is as much."""
    return tuple(Counter(_kind(one) for one in node.devices if one.id in there.devices).items())


def rate_of(there: Place | PastRun, node: Node, precision: str) -> float:
    """What is done there, as `Rates.at` tells of its node; no number: not known."""
    if there.platform.emulated:
        # Figures are those of the node's own programs.
        return nan
    kinds = kinds_of(there, node)
    each: list[tuple[Kind | None, int]] = [*kinds] or [(None, 1)]
    return sum([count * _rate(node, precision, kind) for kind, count in each])


def _kind(device: Device) -> Kind:
    return device.vendor, device.model, device.partition


def _rate(node: Node, precision: str, kind: Kind | None) -> float:
    threads = node.description.cpu.threads
    if kind is None:
        found, count = (cpu_rate(node, precision) if threads > 0 else None), threads
    else:
        its = [one for one in node.devices if _kind(one) == kind]
        found, count = devices_rate(its, precision), len(its)
    return nan if found is None else _rounded(found, count)


def _rounded(rate: Rate, count: int) -> float:
    each = rate.per_second * EFFICIENCY[rate.origin] / count
    return exp2(round(log2(each) * _STEPS) / _STEPS) if 0 < each < inf else nan
