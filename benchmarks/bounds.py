"""How much of the devices could be given away at best: an LP relaxation, which HiGHS solves."""

import math
from collections import Counter
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import linprog
from scipy.sparse import coo_array

from controller.core.placement.columns import WHOLE, Host, Shape

Pattern = dict[int, int]
Row = tuple[object, ...]
# A pattern is worth adding if a device cut so is worth that much more than a device costs.
TOLERANCE = 1e-7
# So many requests are tried together first.
AT_ONCE = 1024


def bound_percent(hosts: Sequence[Host], arrived: Sequence[Shape]) -> float:
    """No placement of any of these requests, in whatever order and with however many moves, gives away more percent.

    Requests may be split, and equal nodes are taken together, but a share lies on one device: each device is cut by a
    pattern of shares that fit beside each other. Patterns are made as long as one is worth it (column generation).
    """
    kinds = Counter(host for host in hosts if host.devices)
    wanted = Counter(shape for shape in arrived if shape.devices)
    shares = sorted({shape.device_millis for shape in wanted if shape.device_millis < WHOLE})
    patterns: list[Pattern] = [{share: WHOLE // share} for share in shares]
    while True:
        program = _Program(kinds, wanted, shares, patterns)
        value, price_of_device, price_of_share = program.solved()
        added = [
            pattern
            for kind, price in enumerate(price_of_device)
            if (pattern := _best_pattern(shares, price_of_share[kind], price)) and pattern not in patterns
        ]
        if not added:
            return 100 * value / (WHOLE * sum(host.devices * count for host, count in kinds.items()))
        patterns += [one for number, one in enumerate(added) if one not in added[:number]]


def moved_percents(hosts: Sequence[Host], arrivals: Sequence[Shape], levels: Sequence[int]) -> list[float]:
    """What moving all others at will, with each request that comes, would give away of devices at these levels.

    None is turned away that fits then; as above they may be split, and those without devices weigh nothing. That is no
    bound: whoever has to turn one away for want of moves may have room for better ones that come later. One that was
    turned away does not fit later, since nothing ends.
    """
    capacity = WHOLE * sum(host.devices for host in hosts)
    placed: list[Shape] = []
    refused: set[Shape] = set()
    given: list[float] = []
    arrived = begin = millis = 0
    several = AT_ONCE
    while begin < len(arrivals):
        coming = arrivals[begin : begin + several]
        new = [shape for shape in coming if shape not in refused]
        if new and not _fit(hosts, placed + new, millis + sum(shape.millis for shape in new)):
            if several > 1:
                several //= 2
                continue
            refused.add(new[0])
        for shape in coming:
            if shape not in refused:
                placed.append(shape)
                millis += shape.millis
            arrived += shape.millis
            while len(given) < len(levels) and arrived >= levels[len(given)] / 100 * capacity:
                given.append(100 * millis / capacity)
        begin += len(coming)
        several = min(2 * several, AT_ONCE)
    return given + [100 * millis / capacity] * (len(levels) - len(given))


def _fit(hosts: Sequence[Host], shapes: Sequence[Shape], millis: int) -> bool:
    percent = bound_percent(hosts, shapes)
    return percent * WHOLE * sum(host.devices for host in hosts) / 100 >= millis - 1


class _Program:
    """The program with these patterns: how many of each shape go to each kind of node, and how devices are cut."""

    def __init__(
        self, kinds: Counter[Host], wanted: Counter[Shape], shares: Sequence[int], patterns: Sequence[Pattern]
    ) -> None:
        self._rows: dict[Row, int] = {}
        self._limits: list[float] = []
        self._cells: list[tuple[int, int, float]] = []
        self._gains: list[float] = []
        self._kinds, self._shares = list(kinds), shares
        for shape, count in wanted.items():
            self._limit((shape,), count)
        for number, (host, count) in enumerate(kinds.items()):
            self._limit((number, "cpu"), host.cpu_millis * count / 1000)
            self._limit((number, "memory"), host.memory_bytes * count / 2**30)
            self._limit((number, "devices"), host.devices * count)
            for share in shares:
                self._limit((number, share), 0)
            for shape in wanted:
                if _could_run(shape, host):
                    self._add_tasks(number, shape)
            for pattern in patterns:
                cut: dict[tuple[object, ...], float] = {(number, "devices"): 1.0}
                cut |= {(number, share): -float(times) for share, times in pattern.items()}
                self._variable(0, cut)

    def _add_tasks(self, number: int, shape: Shape) -> None:
        shared = shape.device_millis < WHOLE
        where: Row = (number, shape.device_millis) if shared else (number, "devices")
        cells: dict[Row, float] = {
            (shape,): 1.0,
            (number, "cpu"): shape.cpu_millis / 1000,
            (number, "memory"): shape.memory_bytes / 2**30,
            where: float(shape.devices),
        }
        self._variable(shape.millis, cells)

    def solved(self) -> tuple[float, list[float], list[dict[int, float]]]:
        """The most millis; and by kind of node what a device is worth, and what each share on it."""
        if not self._gains:
            return 0.0, [0.0 for _ in self._kinds], [dict.fromkeys(self._shares, 0.0) for _ in self._kinds]
        rows, numbers, values = zip(*self._cells, strict=True)
        matrix = coo_array((values, (rows, numbers)), shape=(len(self._limits), len(self._gains))).tocsr()
        found = linprog(-np.array(self._gains), A_ub=matrix, b_ub=self._limits, method="highs")
        if not found.success:
            raise RuntimeError(f"HiGHS found no solution: {found.message}")
        prices = -found.ineqlin.marginals
        devices = [float(prices[self._rows[number, "devices"]]) for number in range(len(self._kinds))]
        shares = [
            {share: float(prices[self._rows[number, share]]) for share in self._shares}
            for number in range(len(self._kinds))
        ]
        return -float(found.fun), devices, shares

    def _limit(self, row: Row, most: float) -> None:
        self._rows[row] = len(self._limits)
        self._limits.append(most)

    def _variable(self, gain: float, cells: dict[Row, float]) -> None:
        self._cells += [(self._rows[row], len(self._gains), value) for row, value in cells.items()]
        self._gains.append(gain)


def _could_run(shape: Shape, host: Host) -> bool:
    return (
        shape.cpu_millis <= host.cpu_millis
        and shape.memory_bytes <= host.memory_bytes
        and shape.devices <= host.devices
        and (not shape.models or host.model in shape.models)
    )


def _best_pattern(shares: Sequence[int], prices: dict[int, float], price_of_device: float) -> Pattern | None:
    """The way to cut a device whose shares are worth most, if that is more than the device: an unbounded knapsack."""
    if not shares:
        return None
    unit = math.gcd(WHOLE, *shares)
    worth: NDArray[np.float64] = np.zeros(WHOLE // unit + 1)
    last = [0] * len(worth)
    for room in range(1, len(worth)):
        worth[room] = worth[room - 1]
        for share in shares:
            rest = room - share // unit
            if rest >= 0 and worth[rest] + prices[share] > worth[room] + TOLERANCE:
                worth[room], last[room] = worth[rest] + prices[share], share
    if worth[-1] <= price_of_device + TOLERANCE * WHOLE:
        return None
    pattern: Pattern = {}
    room = len(worth) - 1
    while room > 0:
        share = last[room]
        if share:
            pattern[share] = pattern.get(share, 0) + 1
        room -= share // unit if share else 1
    return pattern
