"""How much of a node's free devices those could use who usually ask: the measure of fragmentation."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Self

import numpy as np
from numpy.typing import NDArray

from controller.core.copies import with_its_own
from controller.core.placement.columns import WHOLE, Columns, Host, Integers, Shape

Floats = NDArray[np.float32]
# Beyond that many, shapes are so rare that they do not change what is best.
MOST_TYPICAL = 128
TASKS_A_DEVICE = 2
# Of that many tasks, what was asked first counts half: the mix is that of lately.
REMEMBERED = 20_000


@dataclass(frozen=True, slots=True)
class Policy:
    """How room is measured: which of three readings count, and how much more scarce room counts.

    `first`: what is free of all devices that a task of the shape could be put on. `many`: of as many devices as would
    be used, were all that came of this shape. `filled`: what these tasks would use. They differ where CPU or memory end
    before devices do, and where devices are shared. None is better everywhere, so what counts is their mean.
    """

    first: int = 1
    many: int = 1
    filled: int = 1
    # A shape's weight is divided by how much room it still has, to this power. 0: it is not; 1: what is best keeps the
    # product of all shapes' rooms largest; the higher, the more it is the smallest room that counts (alpha-fairness: Mo
    # and Walrand, "Fair end-to-end window-based congestion control", IEEE/ACM Transactions on Networking 8.5, 2000).
    # Above 1, what needs whole nodes keeps some until nearly all is given away.
    scarcity: float = 1.25
    # Beside what was asked for, a task that takes a whole node of each kind counts as asked for, so often for each of
    # its devices: what nobody has asked for yet needs room as well, and few nodes are broken into at one time.
    whole: float = 0.25


# Weng et al., "Beware of Fragmentation with GPU-Sharing Workloads" (USENIX ATC 2023): for comparison.
FGD = Policy(first=1, many=0, filled=0, scarcity=0, whole=0)


class Mix:
    """What was asked for lately: each shape, and how often."""

    def __init__(self) -> None:
        self.counts: dict[Shape, float] = {}
        self.total = 0.0

    def copy(self) -> Self:
        """The same as of now."""
        return with_its_own(self)

    def asked(self, shape: Shape, times: int = 1) -> None:
        """Tasks of that shape were asked for."""
        self.counts[shape] = self.counts.get(shape, 0.0) + times
        self.total += times
        if self.total > REMEMBERED:
            self.counts = {one: count / 2 for one, count in self.counts.items() if count >= 1}
            self.total = sum(self.counts.values())

    def typical(self) -> tuple[tuple[Shape, float], ...]:
        """The shapes that ask for most of the devices, each with its share of all requests."""
        wanting = [(shape, count / max(self.total, 1.0)) for shape, count in self.counts.items() if shape.devices]
        wanting.sort(key=lambda one: one[1] * one[0].millis, reverse=True)
        return tuple(wanting[:MOST_TYPICAL])


def whole_nodes(hosts: Sequence[Host]) -> tuple[Shape, ...]:
    """For each model and number of devices a task with all of them, and with what the least of such nodes has else."""
    least: dict[tuple[str, int], tuple[int, int]] = {}
    for host in hosts:
        if host.devices:
            cpu_millis, memory_bytes = least.get((host.model, host.devices), (host.cpu_millis, host.memory_bytes))
            least[host.model, host.devices] = min(cpu_millis, host.cpu_millis), min(memory_bytes, host.memory_bytes)
    return tuple(Shape(*rest, devices, WHOLE, (model,)) for (model, devices), rest in least.items())


@dataclass(frozen=True, slots=True)
class States:
    """What nodes have free, or would: rows of devices, each sorted by what is free, and rows of the rest.

    A state is one of each, so that what many states share is worked out once: `row` names its devices, `rest` the rest.
    """

    devices: Integers
    row: Integers
    rest: Integers
    cpu_millis: Integers
    memory_bytes: Integers
    model: Integers


class Rooms:
    """Measures nodes by shapes that are typical."""

    def __init__(
        self,
        columns: Columns,
        typical: Sequence[tuple[Shape, float]],
        policy: Policy,
        beside: Sequence[tuple[Shape, float]] = (),
    ) -> None:
        """With their shares of all requests, the shapes that are typical, and those that count `beside` them."""
        self.policy = policy
        shares = dict(typical)
        for shape, share in beside:
            shares[shape] = shares.get(shape, 0.0) + share
        self.asked = np.array(list(shares.values()), dtype=np.float64)
        # Those that only count beside come last.
        self._typical = len(typical)
        shapes = list(shares)
        kinds = list(dict.fromkeys((shape.device_millis, shape.devices) for shape in shapes))
        self._need: Integers = np.array([need for need, _ in kinds], dtype=np.int64)
        self._devices: Integers = np.array([devices for _, devices in kinds], dtype=np.int64)
        kind = np.array([kinds.index((shape.device_millis, shape.devices)) for shape in shapes], dtype=np.int32)
        self._millis = self._need * self._devices
        # How many tasks are told apart on a node: with shares there may be more of them than devices.
        self._most_tasks = TASKS_A_DEVICE * max(columns.most_devices, 1)
        self._begin = kind * np.int32(self._most_tasks + 1)
        self._rows: dict[bytes, int] = {}
        self._tables: Floats = np.zeros((64, len(kinds) * (self._most_tasks + 1)), dtype=np.float32)
        # Half of one is less than the least that can be asked for: what asks for none divides by no 0.
        self._cpu = np.array([shape.cpu_millis or 0.5 for shape in shapes], dtype=np.float64)
        self._memory = np.array([shape.memory_bytes or 0.5 for shape in shapes], dtype=np.float64)
        self._allowed = (
            np.array([columns.allowed(shape) for shape in shapes], dtype=bool)
            .reshape(len(shapes), len(columns.models))
            .T
        )
        self.weights = self.asked

    def copy(self) -> Self:
        """The same as of now."""
        return with_its_own(self)

    def weigh(self, room: NDArray[np.float64], capacity_millis: int) -> None:
        """The weights of the shapes, from the room that the whole cluster has for each."""
        # A thousandth of the cluster is as good as none: a shape that has none yet has no boundless weight.
        weights = self.asked / (room + max(capacity_millis, WHOLE) / 1000) ** self.policy.scarcity
        # What nobody has asked for, and has no room, can lose none. It would outweigh all others: no move would seem to
        # gain anything but one that makes room for that.
        weights[self._typical :][room[self._typical :] <= 0] = 0.0
        readings = self.policy.first + self.policy.many + self.policy.filled
        self.weights = weights / max(weights.sum() * readings, 1e-300)

    def measure(self, states: States) -> Floats:
        """For each state a row: how many millis of devices each typical shape could use, the sum of the readings."""
        times = np.minimum(states.cpu_millis[:, None] / self._cpu, states.memory_bytes[:, None] / self._memory)
        np.minimum(times, self._most_tasks, out=times)
        times *= self._allowed[states.model]
        cells = times.astype(np.int32)
        cells += self._begin
        rows = self._known_rows(states.devices)[states.row]
        room: Floats = self._tables[rows[:, None], cells[states.rest]]
        return room

    def _known_rows(self, devices: Integers) -> Integers:
        """The rows of the tables for these rows of devices: the same few come again and again, on whatever nodes."""
        width = devices.shape[1]
        keys = np.ascontiguousarray(devices, dtype=np.int16).view(f"V{2 * width}").ravel().tolist()
        new = [number for number, key in enumerate(keys) if key not in self._rows]
        if new:
            fresh = dict.fromkeys(keys[number] for number in new)
            first = [keys.index(key) for key in fresh]
            end = len(self._rows) + len(first)
            if end > len(self._tables):
                grown = np.zeros((max(end, 2 * len(self._tables)), self._tables.shape[1]), dtype=np.float32)
                grown[: len(self._tables)] = self._tables
                self._tables = grown
            self._tables[len(self._rows) : end] = self._table(devices[first])
            self._rows.update(zip(fresh, range(len(self._rows), end), strict=True))
        return np.array([self._rows[key] for key in keys], dtype=np.int64)

    def _table(self, devices: Integers) -> Floats:
        """For each row of devices and class of typical shapes: its room, by how many tasks CPU and memory allow."""
        width = devices.shape[1]
        held = devices[:, None, :]
        fitting = (held >= self._need[:, None]).sum(axis=2)
        parts = (held // self._need[:, None]).sum(axis=2) // self._devices
        below = np.zeros((len(devices), width + 1), dtype=np.float32)
        np.cumsum(devices, axis=1, out=below[:, 1:])
        times = np.arange(self._most_tasks + 1)
        used = np.minimum(times, (fitting // self._devices)[:, :, None]) * self._devices[:, None]
        start = (np.arange(len(devices)) * (width + 1))[:, None] + width - fitting
        lowest = below.ravel()[start][:, :, None]
        policy = self.policy
        room: Floats = (policy.filled * np.minimum(times, parts[:, :, None]) * self._millis[:, None]).astype(np.float32)
        # Whole numbers, and so exact: places that are as good have to be told as such.
        room += np.float32(policy.many) * (below.ravel()[start[:, :, None] + used] - lowest)
        room += np.float32(policy.first) * (used > 0) * (below[:, width, None, None] - lowest)
        return room.reshape(len(devices), self._tables.shape[1])

    def worth(self, states: States) -> NDArray[np.float64]:
        """The same in one number each, the mean of the readings and of the shapes by their weights."""
        # Not a product of matrices: how that rounds depends on how many rows there are, and so would a choice.
        worth: NDArray[np.float64] = np.einsum("ij,j->i", self.measure(states), self.weights)
        return worth
