"""Moves that make room: placed tasks that, at another place, leave the cluster more useful."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from controller.core.placement.columns import Integers, Shape, Spot
from controller.core.placement.packing import Packing, states_of
from controller.core.placement.rooms import States

# Fewer millis of devices are not worth a move.
LEAST_GAIN = 50.0


@dataclass(frozen=True, slots=True)
class Placed:
    """A task that is somewhere."""

    task: int
    shape: Shape
    spot: Spot


@dataclass(frozen=True, slots=True)
class Move:
    """A task that should go elsewhere, and how many millis more typical shapes could use then."""

    placed: Placed
    to: Spot
    gain: float


def move(packing: Packing, placed: Sequence[Placed]) -> Move | None:
    """The move that makes most room; none where no move makes enough. The task then is where the move says."""
    best = best_move(packing, placed)
    if best is not None:
        packing.give(best.placed.spot, best.placed.shape)
        packing.take(best.to, best.placed.shape)
    return best


def best_move(packing: Packing, placed: Sequence[Placed]) -> Move | None:
    """The same, and all stays where it is."""
    if not placed:
        return None
    left = _left_behind(packing, placed)
    least = {shape: packing.least_cost(shape) for shape in dict.fromkeys(one.shape for one in placed)}
    # No task gains more than if its own node were as good as the best one: the search ends where that is not enough.
    most = left - np.array([least[one.shape] for one in placed])
    best: Move | None = None
    for number in np.argsort(-most, kind="stable").tolist():
        if most[number] <= (best.gain if best else LEAST_GAIN):
            break
        one = placed[number]
        found = packing.choose_but(one.shape, one.spot.node)
        gain = float(left[number]) - found[1] if found else 0.0
        if found and gain > (best.gain if best else LEAST_GAIN):
            best = Move(one, found[0], gain)
    return best


def _left_behind(packing: Packing, placed: Sequence[Placed]) -> np.ndarray[tuple[int], np.dtype[np.float64]]:
    """For each task, how much more its node would be worth without it."""
    columns = packing.columns
    node: Integers = np.array([one.spot.node for one in placed], dtype=np.int64)
    devices = columns.devices.T[node] if columns.most_devices else np.zeros((len(placed), 1), dtype=np.int64)
    held = [(row, number, one.shape.device_millis) for row, one in enumerate(placed) for number in one.spot.devices]
    if held:
        rows, numbers, millis = np.array(held).T
        devices[rows, numbers] += millis
    devices.sort(axis=1)
    without = States(
        devices,
        np.arange(len(placed)),
        np.arange(len(placed)),
        columns.cpu_millis[node] + np.array([one.shape.cpu_millis for one in placed]),
        columns.memory_bytes[node] + np.array([one.shape.memory_bytes for one in placed]),
        columns.model[node],
    )
    nodes, of = np.unique(node, return_inverse=True)
    left: np.ndarray[tuple[int], np.dtype[np.float64]] = (
        packing.worth(without) - packing.worth(states_of(columns, nodes))[of]
    )
    return left
