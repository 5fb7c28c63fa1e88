"""All nodes and what is held of them, in columns: a NumPy row a figure, kept up to date node by node."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray

from controller.core.copies import with_its_own
from controller.core.placement import links
from controller.core.placement.demand import is_unsteady
from controller.core.placement.fit import Usage, free
from controller.core.placement.names import Name
from controller.core.placement.prices import counted
from controller.core.placement.reasons import standing
from controller.core.placement.whereabouts import Values, Whereabouts
from headrace import query, shares
from headrace.attempts import Platform
from headrace.changes import replace
from headrace.nodes import Health, Node
from headrace.query import Expression

Integers = NDArray[np.int64]
Floats = NDArray[np.float64]
Booleans = NDArray[np.bool_]

FIRST_SLOTS = 64
UNKNOWN = -1
# Queries of which the answers are kept.
MOST_COLUMNS = 256


@dataclass(slots=True)
class Column:
    """What a query comes to, on each node (over nodes), or for each device of each node (over devices)."""

    values: Booleans
    # Whether it reads what sensors tell, or what jobs hold.
    unsteady: bool
    # The moment up to which it has been worked out.
    seen: int = UNKNOWN
    # On which nodes alone, if not on all.
    answered: Booleans | None = None


class Snapshot:
    """Nodes have slots, which they keep. Slots that no node has yet are closed.

    Time is a count of changes: `described` has when a slot's node was last another one, `changed` when that, or what is
    held of it, and `read` when its sensors told something new.
    """

    def __init__(self) -> None:
        self.clock = 0
        # How often a job may have got a place by what was put.
        self.gains = 0
        self.slots: dict[str, int] = {}
        self.nodes: list[Node] = []
        self.usages: list[Usage] = []
        self.devices = 0
        # Texts of why a node takes no job whatever; 0 is that it does, 1 that there is none.
        self.standings: dict[str, int] = {"": 0, "vacant": 1}
        self.platforms: dict[tuple[Platform, ...], int] = {}
        # What a node is made of: nodes of one make run a job equally fast.
        self.makes: dict[tuple[object, ...], int] = {}
        self._columns: dict[tuple[str, str], Column] = {}
        self._rank: Integers | None = None
        self.whereabouts = Whereabouts()
        # Whether any node has a price, or had.
        self.is_priced = False
        # When last any node was another one, and when any sensors told something new.
        self.last_described = self.last_read = UNKNOWN
        self._allocate(FIRST_SLOTS)

    def copy(self) -> Self:
        """The same as of now."""
        columns = {key: replace(one, values=one.values.copy()) for key, one in self._columns.items()}
        return with_its_own(self, _columns=columns, whereabouts=self.whereabouts.copy())

    def _allocate(self, slots: int) -> None:
        def column(kind: Any, fill: float = 0) -> NDArray[Any]:
            return np.full(slots, fill, dtype=kind)

        self.changed: Integers = column(np.int64, UNKNOWN)
        self.described: Integers = column(np.int64, UNKNOWN)
        self.read: Integers = column(np.int64, UNKNOWN)
        self.standing: NDArray[np.int16] = column(np.int16, 1)
        self.platform: NDArray[np.int32] = column(np.int32)
        self.make: NDArray[np.int32] = column(np.int32)
        self.host_network: Booleans = column(np.bool_)
        self.cpu_millis: Integers = column(np.int64)
        self.memory_bytes: Integers = column(np.int64)
        # What the nodes have, whether it is free or not.
        self.whole_cpu_millis: Integers = column(np.int64)
        self.whole_memory_bytes: Integers = column(np.int64)
        # The share that is free of CPU or of memory, whichever is less.
        self.idle: Floats = column(np.float64)
        # What an hour of a device costs there, and of a core.
        self.device_prices: Floats = column(np.float64)
        self.core_prices: Floats = column(np.float64)
        self.device_count: Integers = column(np.int64)
        # Devices of which nothing is held, and the most that is free of one that is shared.
        self.untouched_count: Integers = column(np.int64)
        self.roomiest_millis: Integers = column(np.int64)
        # Nodes whose devices are of several kinds; and those where that is so, or some are kept for jobs that are to
        # come: these are looked at one by one.
        self.mixed: Booleans = column(np.bool_)
        self.intricate: Booleans = column(np.bool_)
        # Nodes some of whose devices are nearer to each other than others.
        self.near: Booleans = column(np.bool_)
        self._allocate_devices(0)

    def _allocate_devices(self, devices: int) -> None:
        shape = (devices, len(self.changed))
        self.devices = devices
        self.untouched: Booleans = np.zeros(shape, dtype=np.bool_)
        self.shareable: Booleans = np.zeros(shape, dtype=np.bool_)
        self.device_bytes: Integers = np.full(shape, UNKNOWN, dtype=np.int64)
        self.held_millis: Integers = np.zeros(shape, dtype=np.int64)
        self.held_bytes: Integers = np.zeros(shape, dtype=np.int64)

    @property
    def room(self) -> int:
        """How many slots there are, whether a node has them or not."""
        return len(self.changed)

    def put(self, node: Node, usage: Usage, *, is_another: bool = True) -> bool:
        """Takes over a node as it now is, and what is held of it; answers whether a job may have a place by that.

        A node that is not `is_another` is as it was but for readings.
        """
        slot = self.slots.get(node.id)
        if slot is None:
            slot, is_another = self._slot(node), True
        before = self.usages[slot]
        self.nodes[slot], self.usages[slot] = node, usage
        if not is_another and usage == before:
            return False
        self.clock += 1
        self.changed[slot] = self.clock
        self.whereabouts.changed(slot, before, usage)
        if is_another:
            self._describe(slot, node)
        self._hold(slot, usage)
        if self.devices and (is_another or _of_devices(usage) != _of_devices(before)):
            self._hold_devices(slot, node, usage)
        is_gain = is_another or not _covers(usage, before)
        self.gains += is_gain
        return is_gain

    def put_readings(self, node: Node) -> None:
        """Takes over what a node's sensors read; all else is as it was."""
        slot = self.slots.get(node.id)
        if slot is not None:
            self.nodes[slot] = node
            self.clock += 1
            self.read[slot] = self.last_read = self.clock

    def forget(self, node: str) -> None:
        """The node is no more: the last one has its slot. Whoever keeps anything by slot is to begin anew."""
        slot, last = self.slots.pop(node), len(self.nodes) - 1
        moved, usage = self.nodes.pop(), self.usages.pop()
        if slot < last:
            self.nodes[slot], self.usages[slot], self.slots[moved.id] = moved, usage, slot
        self.whereabouts.forget(slot, last)
        self._rank = None
        of_slots = [value for value in vars(self).values() if isinstance(value, np.ndarray)]
        for value in [*of_slots, *(one.values for one in self._columns.values())]:
            value[..., slot] = value[..., last]
            value[..., last] = 0
        self.standing[last] = 1
        self.changed[last] = self.described[last] = self.read[last] = self.device_bytes[:, last] = UNKNOWN

    def hold(self, slot: int, usage: Usage) -> None:
        """What is held of a node is this now."""
        self.put(self.nodes[slot], usage, is_another=False)

    def over_nodes(self, where: str) -> Column:
        """On which nodes a query holds; up to date."""
        return self._column(where, query.NODE_FIELDS, self._node_matches)

    def over_devices(self, where: str) -> Column:
        """For which devices a query holds that are not out of order; up to date."""
        return self._column(where, query.DEVICE_FIELDS, self._devices_match)

    def over_field(self, name: str) -> Values:
        """What nodes are by a field that is one text of them; up to date."""
        values = self.whereabouts.values(name, self.room)
        if values.seen < self.last_described:
            values.learn(name, self.nodes, np.flatnonzero(self.described > values.seen).tolist())
            values.seen = self.clock
        return values

    def named(self, name: Name) -> dict[int, int]:
        """How many jobs of a name are at which slot; to be read only."""
        return self.whereabouts.of(name, self.usages)

    def answer_on(self, slots: Integers, wheres: Sequence[str], schema: query.Schema) -> None:
        """Has these queries worked out on these nodes: on others, but for those asked before, they hold nowhere.

        Only for who has the snapshot to himself, and knows that no other node matters.
        """
        over_nodes = schema is query.NODE_FIELDS
        answer = self._node_matches if over_nodes else self._devices_match
        for where in wheres:
            column = self._columns.get((schema.noun, where))
            if column is None:
                column = self._columns[schema.noun, where] = self._empty_column(where, schema)
                answered: Booleans = np.zeros(self.room, dtype=np.bool_)
            elif column.answered is None:
                continue
            else:
                answered = column.answered.copy()
                # Whoever went by the answers that there were is to look at these nodes again.
                self.clock += 1
                self.changed[slots[~answered[slots]]] = self.clock
            expression = query.parse(where, schema)
            for slot in slots[~answered[slots] | (self.changed[slots] > column.seen)].tolist():
                answer(expression, column, slot)
            answered[slots] = True
            column.answered, column.seen = answered, self.clock

    def when_empty(self) -> "Snapshot":
        """A copy, in which nothing is held of any node."""
        twin = self.copy()
        twin.emptied()
        return twin

    def emptied(self) -> None:
        """From now on nothing is held of any node. Only for who has the snapshot to himself."""
        count = len(self.nodes)
        whole = [node.description.capacity for node in self.nodes]
        self.usages = [Usage()] * count
        self.whereabouts.emptied()
        self.cpu_millis[:count] = [one.cpu_millis for one in whole]
        self.memory_bytes[:count] = [one.memory_bytes for one in whole]
        self.idle[:] = (self.cpu_millis > 0) & (self.memory_bytes > 0)
        self.intricate[:] = self.mixed
        self.held_millis[:], self.held_bytes[:] = 0, 0
        self.untouched[:] = np.arange(self.devices)[:, None] < self.device_count
        self.untouched_count[:] = self.device_count
        self.roomiest_millis[:] = np.where(self.shareable.any(axis=0), shares.WHOLE_MILLIS, 0)
        self.clock += 1
        self.changed[:count] = self.clock

    def first(self, slots: Integers) -> int:
        """Of these slots, the one whose node has the first name."""
        if len(slots) == 1:
            return int(slots[0])
        return int(slots[self.ranks()[slots].argmin()])

    def ranks(self) -> Integers:
        """For each slot how manieth its node is by name."""
        if self._rank is None:
            names = sorted(self.slots)
            self._rank = np.zeros(self.room, dtype=np.int64)
            self._rank[[self.slots[name] for name in names]] = np.arange(len(names))
        return self._rank

    def _slot(self, node: Node) -> int:
        slot = self.slots[node.id] = len(self.nodes)
        self.nodes.append(node)
        self.usages.append(Usage())
        self._rank = None
        if slot >= self.room:
            self._grow()
        return slot

    def _grow(self) -> None:
        kept = {name: value for name, value in vars(self).items() if isinstance(value, np.ndarray)}
        before, devices = self.room, self.devices
        self._allocate(2 * before)
        self._allocate_devices(devices)
        for name, value in kept.items():
            vars(self)[name][..., :before] = value
        self._columns = {}

    def _describe(self, slot: int, node: Node) -> None:
        text = standing(node)
        self.standing[slot] = self.standings.setdefault(text, len(self.standings))
        able = node.description.platforms
        self.platform[slot] = self.platforms.setdefault(able, len(self.platforms))
        self.make[slot] = self.makes.setdefault(_made_of(node), len(self.makes))
        self.host_network[slot] = node.description.host_network
        capacity = node.description.capacity
        self.whole_cpu_millis[slot], self.whole_memory_bytes[slot] = capacity.cpu_millis, capacity.memory_bytes
        self.device_prices[slot] = counted(node.description.device_hour_price)
        self.core_prices[slot] = counted(node.description.core_hour_price)
        self.is_priced |= bool(self.device_prices[slot] or self.core_prices[slot])
        self.device_count[slot] = len(node.devices)
        if len(node.devices) > self.devices:
            self._widen(len(node.devices))
        self.shareable[:, slot], self.device_bytes[:, slot] = False, UNKNOWN
        for number, device in enumerate(node.devices):
            self.shareable[number, slot] = device.shareable
            self.device_bytes[number, slot] = UNKNOWN if device.memory_bytes is None else device.memory_bytes
        self.mixed[slot] = len(dict.fromkeys((one.vendor, one.kind) for one in node.devices)) > 1
        self.near[slot] = any(map(links.is_near_any, node.devices))
        self.described[slot] = self.last_described = self.clock

    def _widen(self, devices: int) -> None:
        names = ("untouched", "shareable", "device_bytes", "held_millis", "held_bytes")
        kept = {name: vars(self)[name] for name in names}
        before = self.devices
        self._allocate_devices(devices)
        for name, value in kept.items():
            vars(self)[name][:before] = value
        self._columns = {key: one for key, one in self._columns.items() if one.values.ndim == 1}

    def _hold(self, slot: int, usage: Usage) -> None:
        whole_cpu, whole_memory = self.whole_cpu_millis.item(slot), self.whole_memory_bytes.item(slot)
        cpu, memory = max(0, whole_cpu - usage.cpu_millis), max(0, whole_memory - usage.memory_bytes)
        self.cpu_millis[slot], self.memory_bytes[slot] = cpu, memory
        idle_cpu = cpu / whole_cpu if whole_cpu else 0.0
        self.idle[slot] = min(idle_cpu, memory / whole_memory if whole_memory else 0.0)
        self.intricate[slot] = self.mixed[slot] or bool(usage.coming)

    def _hold_devices(self, slot: int, node: Node, usage: Usage) -> None:
        touched = usage.touched
        millis, held_bytes, untouched = [0] * self.devices, [0] * self.devices, [False] * self.devices
        for number, device in enumerate(node.devices):
            if device.id in touched:
                parts = usage.parts_of(device)
                millis[number] = sum([part.millis for part in parts])
                held_bytes[number] = sum([part.memory_bytes or 0 for part in parts])
            else:
                untouched[number] = True
        self.untouched[:, slot], self.held_millis[:, slot], self.held_bytes[:, slot] = untouched, millis, held_bytes
        self.untouched_count[slot] = sum(untouched)
        left = [shares.WHOLE_MILLIS - millis[number] for number, one in enumerate(node.devices) if one.shareable]
        self.roomiest_millis[slot] = max(left, default=0)

    def _column(self, where: str, schema: query.Schema, answer: Callable[[Expression, Column, int], None]) -> Column:
        key = (schema.noun, where)
        column = self._columns.pop(key, None)
        expression = query.parse(where, schema)
        if column is None:
            column = self._empty_column(where, schema)
            if len(self._columns) >= MOST_COLUMNS:
                del self._columns[next(iter(self._columns))]
        self._columns[key] = column
        if column.seen < (self.clock if column.unsteady else self.last_described):
            late = self.described > column.seen
            if column.unsteady:
                late = (self.changed > column.seen) | (self.read > column.seen)
            for slot in np.flatnonzero(late).tolist():
                answer(expression, column, slot)
            column.seen = self.clock
        return column

    def _empty_column(self, where: str, schema: query.Schema) -> Column:
        shape = (self.room,) if schema is query.NODE_FIELDS else (self.devices, self.room)
        return Column(np.zeros(shape, dtype=np.bool_), unsteady=is_unsteady(where, schema))

    def _node_matches(self, expression: Expression, column: Column, slot: int) -> None:
        node, usage = self.nodes[slot], self.usages[slot]
        row = query.node_row(node, held=usage.touched, free=free(node, usage))
        column.values[slot] = expression.holds(row)

    def _devices_match(self, expression: Expression, column: Column, slot: int) -> None:
        column.values[:, slot] = False
        for number, device in enumerate(self.nodes[slot].devices):
            well = device.health is not Health.UNHEALTHY
            column.values[number, slot] = well and expression.holds(query.device_row(device))


def _made_of(node: Node) -> tuple[object, ...]:
    devices = sorted((one.vendor, one.model, one.partition) for one in node.devices)
    return node.description.platforms, node.description.cpu.model, tuple(devices)


def part_of_whole(free: Integers, whole: Integers) -> Floats:
    """Which share is free; none of what there is none of."""
    found: Floats = np.where(whole > 0, free / np.maximum(whole, 1), 0.0)
    return found


def _of_devices(usage: Usage) -> tuple[object, ...]:
    return usage.devices, usage.parts, usage.coming


def _covers(usage: Usage, before: Usage) -> bool:
    """Whether all is held that was, and so nothing has become free. In doubt it is not."""
    return (
        usage.cpu_millis >= before.cpu_millis
        and usage.memory_bytes >= before.memory_bytes
        and usage.devices[: len(before.devices)] == before.devices
        and usage.parts[: len(before.parts)] == before.parts
        and usage.coming[: len(before.coming)] == before.coming
        and usage.names[: len(before.names)] == before.names
        and usage.shunned[: len(before.shunned)] == before.shunned
    )
