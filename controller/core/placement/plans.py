"""Places for many jobs that ask for the same, in columns: each is made when it is looked at."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import overload

import numpy as np

from controller.core.placement.chains import Chains
from controller.core.placement.fit import Place
from controller.core.placement.snapshot import Integers
from headrace.nodes import Node


@dataclass(frozen=True, slots=True)
class Nodes:
    """The nodes of a plan: their slots, which of the chains each of them has, and of which kind its places are.

    Of each kind there is a place, of which the others have all but the node, the devices, and how idle that is.
    """

    slots: Integers
    of_chain: Integers
    chains: Chains
    kinds: Integers
    models: Mapping[int, Place]


@dataclass(frozen=True, slots=True, eq=False)
class Plan(Sequence[Place]):
    """The places in the order in which they are given: each is at one of the nodes, as its how manieth (from 0)."""

    known: Sequence[Node]
    nodes: Nodes
    node: Integers
    number: Integers

    def __len__(self) -> int:
        return len(self.node)

    @overload
    def __getitem__(self, which: int) -> Place: ...

    @overload
    def __getitem__(self, which: slice) -> tuple[Place, ...]: ...

    def __getitem__(self, which: int | slice) -> Place | tuple[Place, ...]:
        if isinstance(which, slice):
            return tuple(self._made(np.arange(len(self))[which]))
        return next(self._made(np.arange(len(self))[which, None]))

    def __iter__(self) -> Iterator[Place]:
        return self._made(np.arange(len(self)))

    def _made(self, which: Integers) -> Iterator[Place]:
        nodes, numbers = self.nodes, self.number[which]
        at = self.node[which]
        chain = nodes.of_chain[at]
        idle = nodes.chains.idle(chain, nodes.chains.left(chain, numbers)).tolist()
        units, orders = nodes.chains.units_a_job, dict[int, list[int]]()
        devices: tuple[str, ...] = ()
        turns = (nodes.slots[at].tolist(), chain.tolist(), nodes.kinds[at].tolist(), numbers.tolist(), idle)
        for slot, of, kind, number, rest in zip(*turns, strict=True):
            node, like = self.known[slot], nodes.models[kind]
            if units:
                order = orders.get(of) or orders.setdefault(of, nodes.chains.given(of))
                devices = tuple([node.devices[one].id for one in order[number * units : (number + 1) * units]])
            yield Place(node.id, like.pin, like.platform, devices, like.variant, (*like.score[:-1], rest))
