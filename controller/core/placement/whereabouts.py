"""Which nodes have jobs of which name, and what they are by the fields that jobs are spread by: once for all tables."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from typing import Self

import numpy as np
from numpy.typing import NDArray

from controller.core.copies import with_its_own
from controller.core.placement.fit import Usage
from controller.core.placement.names import Name
from headrace import query
from headrace.changes import replace
from headrace.nodes import Node

# The value of a node that has none.
NO_VALUE = 0
# Fields of which the values are kept.
_MOST_FIELDS = 64
_NOTHING: dict[int, int] = {}


@dataclass(slots=True)
class Values:
    """What each node is by a field: a number for each value, from 1 on."""

    of_slot: NDArray[np.int64]
    numbers: dict[object, int] = field(default_factory=dict)
    # The moment up to which it has been worked out.
    seen: int = -1

    def learn(self, name: str, nodes: Sequence[Node], slots: Iterable[int]) -> None:
        """Takes over what these nodes are by the field of that name."""
        for slot in slots:
            value = query.node_row(nodes[slot])[name]
            known = value is not None and value != ""
            self.of_slot[slot] = self.numbers.setdefault(value, len(self.numbers) + 1) if known else NO_VALUE


class Whereabouts:
    """Kept up to date as what is held of nodes changes."""

    def __init__(self) -> None:
        # By name, how many are at which slot. None: nobody has asked since this was made.
        self._counts: dict[Name, dict[int, int]] | None = None
        # Where there are jobs that keep apart from those of a name.
        self.shunned: dict[Name, dict[int, None]] = {}
        self._fields: dict[str, Values] = {}

    def copy(self) -> Self:
        """The same as of now. Counts are made anew where they are asked for: in most copies nobody does."""
        shunned = {name: slots.copy() for name, slots in self.shunned.items()}
        fields = {
            name: replace(one, of_slot=one.of_slot.copy(), numbers=one.numbers.copy())
            for name, one in self._fields.items()
        }
        return with_its_own(self, _counts=None, shunned=shunned, _fields=fields)

    def changed(self, slot: int, before: Usage, usage: Usage) -> None:
        """Of a slot this is held now."""
        if usage.shunned != before.shunned:
            self._shun(slot, before.shunned, usage.shunned)
        if self._counts is None or usage.names == before.names:
            return
        if usage.names[: len(before.names)] == before.names:
            _count(self._counts, slot, usage.names[len(before.names) :])
            return
        for name in dict.fromkeys(before.names):
            there = self._counts[name]
            del there[slot]
            if not there:
                del self._counts[name]
        _count(self._counts, slot, usage.names)

    def forget(self, slot: int, last: int) -> None:
        """The node of a slot is no more, and that of the last one has it."""
        self._counts = None
        for name, there in list(self.shunned.items()):
            there.pop(slot, None)
            if last in there:
                del there[last]
                there[slot] = None
            if not there:
                del self.shunned[name]
        for one in self._fields.values():
            one.of_slot[slot] = one.of_slot[last]
            one.of_slot[last] = NO_VALUE

    def emptied(self) -> None:
        """From now on nothing is held."""
        self._counts, self.shunned = {}, {}

    def of(self, name: Name, usages: Sequence[Usage]) -> dict[int, int]:
        """How many jobs of the name are at which slot; to be read only. `usages` are what is held by slot."""
        if self._counts is None:
            self._counts = {}
            for slot, usage in enumerate(usages):
                _count(self._counts, slot, usage.names)
        return self._counts.get(name, _NOTHING)

    def values(self, name: str, room: int) -> Values:
        """What nodes are by a field, for so many slots, as far as it was learned."""
        found = self._fields.pop(name, None)
        if found is None or len(found.of_slot) != room:
            found = Values(np.full(room, NO_VALUE, dtype=np.int64))
        self._fields[name] = found
        if len(self._fields) > _MOST_FIELDS:
            del self._fields[next(iter(self._fields))]
        return found

    def _shun(self, slot: int, before: tuple[Name, ...], names: tuple[Name, ...]) -> None:
        for name in before:
            there = self.shunned.get(name, {})
            there.pop(slot, None)
            if not there:
                self.shunned.pop(name, None)
        for name in names:
            self.shunned.setdefault(name, {})[slot] = None


def _count(counts: dict[Name, dict[int, int]], slot: int, names: Iterable[Name]) -> None:
    for name in names:
        there = counts.setdefault(name, {})
        there[slot] = there.get(slot, 0) + 1
