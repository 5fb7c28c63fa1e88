"""Where a task leaves the rest of the cluster most useful: a node and its devices, by costs that are kept ready."""

from typing import Self

import numpy as np
from numpy.typing import NDArray

from controller.core.copies import with_its_own
from controller.core.placement.chains import Left
from controller.core.placement.columns import Columns, Integers, Shape, Spot, row_keys
from controller.core.placement.rooms import Floats, Mix, Policy, Rooms, States, whole_nodes
from controller.core.placement.ways import Asks, cheapest

# The mix is learned anew when it has doubled, and after as many requests as there are nodes at most, or that many where
# there are fewer; and when what is free of all devices has changed by that share: what is scarce is another thing then.
LEARNED_EVERY = 1000
CHANGED_BY = 0.15
# States of nodes that are known by a number; beyond that, numbers begin anew.
MOST_STATES = 50_000
# Shapes of which the costs are kept ready; with one more, these begin anew.
MOST_READY = 1024
NOWHERE = np.float32(np.inf)


class Packing:
    """Chooses places, and keeps the columns.

    For each shape that was asked for it has what a task of it would cost on each node: by how many millis of devices
    the cluster's room for typical shapes gets smaller. What is taken or given back changes one column of these costs.
    """

    def __init__(
        self,
        columns: Columns,
        policy: Policy | None = None,
        known: Mix | None = None,
        *,
        learned: Mix | None = None,
        together: int = 1,
    ) -> None:
        """With `known`, what is asked for is that mix; else it is learned.

        What was `learned` before is gone on from.

        The costs of so many nodes that changed are worked out `together`, which takes less time for each. Until then
        such a node is not chosen, unless nothing else has room.
        """
        self.columns = columns
        self.mix = known or learned or Mix()
        self._policy = policy or Policy()
        whole = self._policy.whole
        self._whole = {one: whole * one.devices for one in whole_nodes(columns.hosts) if whole}
        self._learns = known is None
        self._together = together
        self._arrived, self._due = 0, 1
        nodes = len(columns.hosts)
        self._cost: Floats = np.full((16, nodes), NOWHERE)
        self._level: NDArray[np.int16] = np.zeros((16, nodes), dtype=np.int16)
        self._renumber()
        self.learn()

    def copy(self, mix: Mix) -> Self:
        """The same as of now, which goes on from a mix that is as its own is."""
        return with_its_own(self, columns=self.columns.copy(), mix=mix, _rooms=self._rooms.copy())

    def place(self, shape: Shape) -> Spot | None:
        """The best place for a task that is asked for, which it then has; none where it does not fit."""
        self.asked(shape)
        spot = self.choose(shape)
        if spot is not None:
            self.take(spot, shape)
        return spot

    def asked(self, shape: Shape, times: int = 1, *, requests: int = 1) -> None:
        """Tasks of that shape are asked for; what is typical, and what is scarce, is found out when it is time."""
        if self._learns:
            self.mix.asked(shape, times)
        elif not self._policy.scarcity:
            return
        # An array is one request: a thousand equal tasks teach no more than that.
        self._arrived += requests
        free = self.columns.free_millis
        if self._arrived >= self._due or abs(free - self._free_then) > CHANGED_BY * self._free_then:
            self._due = self._arrived + min(self._arrived, max(LEARNED_EVERY, len(self.columns.hosts)))
            self.learn()

    def choose(self, shape: Shape) -> Spot | None:
        """The best place for a task, as things are now; of places that are as good, the one of the lowest number."""
        if not self.columns.hosts:
            return None
        row = self._row(shape)
        node = int(self._cost[row].argmin())
        if self._late and self._cost[row, node] == NOWHERE:
            self.catch_up()
            node = int(self._cost[row].argmin())
        return None if self._cost[row, node] == NOWHERE else self._spot(shape, row, node)

    def choose_but(self, shape: Shape, node: int) -> tuple[Spot, float] | None:
        """The best place on another node, and what it costs."""
        row = self._row(shape)
        self.catch_up()
        costs = self._cost[row].copy()
        costs[node] = NOWHERE
        other = int(costs.argmin())
        return None if costs[other] == NOWHERE else (self._spot(shape, row, other), float(costs[other]))

    def least_cost(self, shape: Shape) -> float:
        """What a task costs where it costs least; infinite where it fits nowhere."""
        row = self._row(shape)
        self.catch_up()
        return float(self._cost[row].min())

    def costs(self, shape: Shape, nodes: Integers) -> Floats:
        """What a task costs on these; infinite where it does not fit, and where that is not worked out yet.

        Of some it is.
        """
        row = self._row(shape)
        costs: Floats = self._cost[row, nodes]
        if self._late and costs.min() == NOWHERE:
            self.catch_up()
            costs = self._cost[row, nodes]
        return costs

    def cheapest(self, shape: Shape, among: NDArray[np.bool_]) -> Integers:
        """Those of the nodes that it is `among` where a task costs least.

        None where it fits on none of them, or its costs on each are not worked out yet.
        """
        row = self._row(shape)
        # To go through all nodes takes less time than to gather some, and then these.
        costs = np.where(among, self._cost[row], NOWHERE)
        least = costs.min(initial=NOWHERE)
        return np.flatnonzero(costs == least) if least < NOWHERE else np.zeros(0, dtype=np.int64)

    def costs_of(self, shape: Shape, nodes: Integers, left: Left) -> Floats:
        """What a task would cost on these, if only so much were left of them; infinite where it would not fit."""
        states, of_state = _distinct(self.columns, self.columns.model[nodes], left)
        ways = cheapest(self._rooms, Asks.of([shape], self.columns), states)
        cost: Floats = np.full(len(states.row), NOWHERE)
        cost[ways.state] = ways.cost
        return cost[of_state]

    def put(self, node: int, cpu_millis: int, memory_bytes: int, devices: Integers) -> None:
        """So much is free of a node now, whatever was taken there or given back."""
        self.put_all(np.array([node]), np.array([cpu_millis]), np.array([memory_bytes]), devices[:, None])

    def put_all(self, nodes: Integers, cpu_millis: Integers, memory_bytes: Integers, devices: Integers) -> None:
        """So much is free of some nodes now."""
        self.columns.put(nodes, cpu_millis, memory_bytes, devices)
        self._all_changed(nodes)

    def take(self, spot: Spot, shape: Shape) -> None:
        """A task is there now."""
        self.columns.take(spot, shape)
        self._changed(spot.node)

    def give(self, spot: Spot, shape: Shape) -> None:
        """A task is there no more."""
        self.columns.give(spot, shape)
        self._changed(spot.node)

    def worth(self, states: States) -> NDArray[np.float64]:
        """What typical shapes could use in these states, in millis of devices."""
        return self._rooms.worth(states)

    def _spot(self, shape: Shape, row: int, node: int) -> Spot:
        if not shape.devices:
            return Spot(node)
        wanted = int(self._level[row, node])
        held = self.columns.devices[:, node].tolist()
        return Spot(node, tuple(number for number, free in enumerate(held) if free == wanted)[: shape.devices])

    def learn(self) -> None:
        """Typical shapes and their weights as of now; all costs follow."""
        self._free_then = self.columns.free_millis
        beside = [(shape, count / max(self.mix.total, 1.0)) for shape, count in self._whole.items()]
        self._rooms = Rooms(self.columns, self.mix.typical(), self._policy, beside)
        if self.columns.hosts:
            _, one, many = np.unique(self._number, return_index=True, return_counts=True)
            room = many.astype(np.float64) @ self._rooms.measure(states_of(self.columns, one))
            self._rooms.weigh(room, self.columns.device_millis)
        # The row of each shape whose costs are kept.
        self._ready: dict[Shape, int] = {}
        self._late: dict[int, None] = {}
        # All nodes' states while none has changed, what these are worth, and which of them each node is in.
        self._everywhere: tuple[States, NDArray[np.float64], Integers] | None = None
        self._ready_changed()

    def _row(self, shape: Shape) -> int:
        """The row of costs of that shape, which are as the nodes are now."""
        row = self._ready.get(shape)
        if row is not None:
            return row
        if len(self._ready) >= MOST_READY:
            self._ready = {}
        row = self._ready[shape] = len(self._ready)
        if row == len(self._cost):
            self._cost = np.concatenate([self._cost, np.full_like(self._cost, NOWHERE)])
            self._level = np.concatenate([self._level, np.zeros_like(self._level)])
        if self._everywhere is None:
            _, one, alike = np.unique(self._number, return_index=True, return_inverse=True)
            states = states_of(self.columns, one)
            self._everywhere = states, self._rooms.worth(states), alike
        states, worth, alike = self._everywhere
        ways = cheapest(self._rooms, Asks.of([shape], self.columns), states, worth)
        cost: Floats = np.full(len(worth), NOWHERE)
        level = np.zeros(len(worth), dtype=np.int16)
        cost[ways.state], level[ways.state] = ways.cost, ways.level
        self._cost[row], self._level[row] = cost[alike], level[alike]
        self._ready_changed()
        return row

    def _ready_changed(self) -> None:
        self._asks: Asks | None = None
        self._columns_known: dict[int, tuple[Floats, NDArray[np.int16]]] = {}

    def _changed(self, node: int) -> None:
        self._all_changed(np.array([node]))

    def _all_changed(self, nodes: Integers) -> None:
        """Other node states: the costs are those of a node that was in such a state before, or are worked out."""
        self._everywhere = None
        if len(self._numbers) > MOST_STATES:
            self._renumber()
        numbers = self._number[nodes] = self._numbered(nodes)
        if not self._ready:
            return
        rows = len(self._ready)
        for number in dict.fromkeys(numbers.tolist()):
            its = nodes[numbers == number] if len(nodes) > 1 else nodes
            known = self._columns_known.get(number)
            if known is not None:
                self._cost[:rows, its], self._level[:rows, its] = known[0][:, None], known[1][:, None]
                if self._late:
                    for node in its.tolist():
                        self._late.pop(node, None)
            else:
                self._cost[:rows, its] = NOWHERE
                self._late |= dict.fromkeys(its.tolist())
        if len(self._late) >= self._together:
            self.catch_up()

    def catch_up(self) -> None:
        """Works out the costs of the nodes that changed."""
        if not self._late:
            return
        nodes = np.array(list(self._late), dtype=np.int64)
        self._late = {}
        numbers, one, alike = np.unique(self._number[nodes], return_index=True, return_inverse=True)
        if self._asks is None:
            self._asks = Asks.of(list(self._ready), self.columns)
        ways = cheapest(self._rooms, self._asks, states_of(self.columns, nodes[one]))
        rows = len(self._ready)
        cost: Floats = np.full((rows, len(one)), NOWHERE)
        level = np.zeros(cost.shape, dtype=np.int16)
        cost[ways.shape, ways.state], level[ways.shape, ways.state] = ways.cost, ways.level
        self._cost[:rows, nodes], self._level[:rows, nodes] = cost[:, alike], level[:, alike]
        for index, number in enumerate(numbers.tolist()):
            self._columns_known[number] = cost[:, index], level[:, index]

    def _renumber(self) -> None:
        self._numbers: dict[bytes, int] = {}
        self._columns_known = {}
        self._number = self._numbered(np.arange(len(self.columns.hosts)))

    def _numbered(self, nodes: Integers) -> Integers:
        """The numbers of the nodes' states: nodes that are alike have the same."""
        columns, numbers = self.columns, self._numbers
        rows = np.empty((len(nodes), 3 + columns.most_devices), dtype=np.int64)
        for number, column in enumerate((columns.model, columns.cpu_millis, columns.memory_bytes)):
            rows[:, number] = column[nodes]
        rows[:, 3:] = np.sort(columns.devices[:, nodes], axis=0).T
        return np.array([numbers.setdefault(key, len(numbers)) for key in row_keys(rows)], dtype=np.int64)


def states_of(columns: Columns, nodes: Integers) -> States:
    """What these nodes have free."""
    held = columns.devices[:, nodes] if columns.most_devices else np.zeros((1, len(nodes)), dtype=np.int64)
    return States(
        np.ascontiguousarray(np.sort(held, axis=0).T),
        np.arange(len(nodes)),
        np.arange(len(nodes)),
        columns.cpu_millis[nodes],
        columns.memory_bytes[nodes],
        columns.model[nodes],
    )


def _distinct(columns: Columns, model: Integers, left: Left) -> tuple[States, Integers]:
    """The states that are different, and which of them each of these is."""
    devices = left.device_millis[: columns.most_devices].T
    devices = np.sort(devices, axis=1) if devices.shape[1] else np.zeros((len(model), 1), dtype=np.int64)
    rest = np.stack([left.cpu_millis, left.memory_bytes, model], axis=1)
    numbers: dict[bytes, int] = {}
    of_state = [numbers.setdefault(key, len(numbers)) for key in row_keys(np.concatenate([rest, devices], axis=1))]
    found = np.array(of_state, dtype=np.int64)
    one = np.zeros(len(numbers), dtype=np.int64)
    one[found[::-1]] = np.arange(len(found))[::-1]
    every = np.arange(len(one))
    return States(devices[one], every, every, left.cpu_millis[one], left.memory_bytes[one], model[one]), found
