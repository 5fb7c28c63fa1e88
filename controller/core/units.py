"""Normalised units: what jobs on processors, and on devices of any kind, have in common. Pure.

One unit is one core, or of memory or devices as large a part of all that the cluster has as one core is of its cores:
the dominant share (DRF: Ghodsi et al., NSDI 2011) times the number of cores. See docs/projects.md.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from functools import lru_cache
from typing import Self

from controller.core.copies import with_its_own
from headrace import query, shares
from headrace.capacity import value_of
from headrace.changes import replace
from headrace.jobs import AcceleratorRequest, Requests
from headrace.nodes import Device, Node
from headrace.projects import Amount

# By the first of these that is known of all devices of a kind they are compared with each other, else they are equal.
_COMPARED_BY = ("bf16_tflops", "fp16_tflops", "fp32_tflops", "int8_tops")


@dataclass(slots=True)
class _Kind:
    """All devices of a kind: how many, and by figure of how many it is known, and its sum in thousandths."""

    count: int = 0
    known: dict[str, int] = field(default_factory=dict)
    sums: dict[str, int] = field(default_factory=dict)

    def copy(self) -> Self:
        """The same as of now."""
        return replace(self, known=self.known.copy(), sums=self.sums.copy())

    def add(self, device: Device, sign: int) -> None:
        """One more, or (`sign` -1) one less."""
        self.count += sign
        for name in _COMPARED_BY:
            value = value_of(device.figures, name)
            if value is not None:
                self.known[name] = self.known.get(name, 0) + sign
                self.sums[name] = self.sums.get(name, 0) + sign * round(value * 1000)

    def part(self, device: Device) -> tuple[int, int]:
        """Which part of all of the kind one is: a fraction."""
        for name in _COMPARED_BY:
            value = value_of(device.figures, name)
            if value is not None and self.known[name] == self.count and self.sums[name] > 0:
                return round(value * 1000), self.sums[name]
        return 1, self.count


class Yardstick:
    """What a unit is in this cluster, kept up to date node by node."""

    def __init__(self, nodes: Iterable[Node] = ()) -> None:
        self.cpu_millis = 0
        self.memory_bytes = 0
        self._kinds: dict[str, _Kind] = {}
        # What of each node is counted: its capacity, and its devices, of which readings do not matter.
        self._nodes: dict[str, Node] = {}
        # What was asked for last without devices, and how much that is.
        self._latest: tuple[Requests, Amount] | None = None
        for node in nodes:
            self.put(node)

    def copy(self) -> Self:
        """The same as of now."""
        return with_its_own(self, _kinds={name: kind.copy() for name, kind in self._kinds.items()})

    def put(self, node: Node) -> None:
        """The node is like this now. One that is away for a while still counts: units are not to jump."""
        before = self._nodes.get(node.id)
        if before is not None and _is_alike(before, node):
            return
        if before is not None:
            self._count(before, -1)
        self._count(node, 1)
        self._nodes[node.id] = node

    def forget(self, node: str) -> None:
        """The node is gone for good."""
        self._count(self._nodes.pop(node), -1)

    def _count(self, node: Node, sign: int) -> None:
        self._latest = None
        self.cpu_millis += sign * node.description.capacity.cpu_millis
        self.memory_bytes += sign * node.description.capacity.memory_bytes
        for device in node.devices:
            self._kinds.setdefault(device.kind, _Kind()).add(device, sign)

    def amount(self, requests: Requests, devices: Sequence[Device], *, unseen_count: int = 0) -> Amount:
        """What a task has that asked for so much and was given (parts of) these devices.

        And of `unseen_count` others, of which its node tells nothing just now: they count as of the dearest kind that
        it may be given.
        """
        if not devices and not unseen_count:
            if self._latest is None or self._latest[0] is not requests:
                # Of jobs that come one after the other, many ask for the same.
                self._latest = requests, Amount(self._without_devices(requests), 0, requests.cpu_millis)
            return self._latest[1]
        parts = [(one, shares.part_of(requests.accelerators, one.memory_bytes).millis) for one in devices]
        of_devices = sum(self._unit_millis(device, millis) for device, millis in parts)
        unseen_millis = unseen_count * shares.part_of(requests.accelerators, None).millis
        if unseen_count:
            where = requests.accelerators.where if requests.accelerators is not None else ""
            of_devices += self._dearest(where, unseen_millis)
        return Amount(
            unit_millis=max(self._without_devices(requests), of_devices),
            device_millis=sum(millis for _, millis in parts) + unseen_millis,
            cpu_millis=requests.cpu_millis,
        )

    def expected(self, requests: Requests) -> Amount:
        """What a task will have at its place, as far as can be told: of the dearest kind that its query allows.

        Of alternatives it is of each figure the least: which one it will have is not known before it has a place.
        """
        asked, cpu_millis = requests.accelerators, requests.cpu_millis
        if asked is None:
            return Amount(self._without_devices(requests), 0, cpu_millis)
        each = [self._of_devices(one) for one in (asked, *requests.alternatives)]
        of_devices = min(unit_millis for unit_millis, _ in each)
        return Amount(max(self._without_devices(requests), of_devices), min(millis for _, millis in each), cpu_millis)

    def _of_devices(self, asked: AcceleratorRequest) -> tuple[int, int]:
        """What such devices are in units, of the dearest kind, and how many they are; in thousandths."""
        millis = (asked.share_millis or shares.WHOLE_MILLIS) * asked.count
        return self._dearest(asked.where, millis), millis

    def _dearest(self, where: str, millis: int) -> int:
        """So many thousandths of a device in units, of the dearest kind that it may be."""
        named = [kind for name, kind in self._kinds.items() if _may_be(where, name) and kind.count > 0]
        kinds = named or [kind for kind in self._kinds.values() if kind.count > 0]
        return max((millis * self.cpu_millis // (kind.count * 1000) for kind in kinds), default=0)

    def _without_devices(self, requests: Requests) -> int:
        of_memory = requests.memory_bytes * self.cpu_millis // self.memory_bytes if self.memory_bytes else 0
        return max(requests.cpu_millis, of_memory)

    def _unit_millis(self, device: Device, millis: int) -> int:
        kind = self._kinds.get(device.kind)
        if kind is None or kind.count <= 0:
            return 0
        part, whole = kind.part(device)
        return self.cpu_millis * millis * part // (whole * shares.WHOLE_MILLIS)


@lru_cache(maxsize=1024)
def _may_be(where: str, kind: str) -> bool:
    """Whether devices of the kind may be what is asked for, by those conditions that are on nothing else."""
    parts = query.parts_of(query.parse(where, query.DEVICE_FIELDS))
    of_kinds = [part for part in parts if all(one.name == "kind" for one in query.names_of(part))]
    return all(part.holds({"kind": kind}) for part in of_kinds)


def _is_alike(before: Node, after: Node) -> bool:
    if before.description is not after.description and before.description.capacity != after.description.capacity:
        return False
    if before.devices is after.devices:
        return True
    return len(before.devices) == len(after.devices) and all(
        one.id == other.id and (one.figures is other.figures or one.figures == other.figures)
        for one, other in zip(before.devices, after.devices, strict=True)
    )
