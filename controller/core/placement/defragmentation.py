"""Moves that make room: placed tasks that, at another place, leave the cluster more useful."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from controller.core.placement.columns import Integers, Shape, Spot
from controller.core.placement.packing import Packing, states_of
from controller.core.placement.rooms import States

# Fewer millis of devices are not worth a move.
LEAST_GAIN = 5.0
# Of so many tasks that would leave most behind, another place is looked for.
CANDIDATES = 200


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
    if not placed:
        return None
    left = _left_behind(packing, placed)
    # What a task needs of devices it will take elsewhere, too: a first guess of the gain, for the order of the search.
    guess = left - np.array([one.shape.millis for one in placed])
    best: Move | None = None
    for number in np.argsort(-guess, kind="stable")[:CANDIDATES].tolist():
        one = placed[number]
        found = packing.choose_but(one.shape, one.spot.node)
        gain = float(left[number]) - found[1] if found else 0.0
        if found and gain > (best.gain if best else LEAST_GAIN):
            best = Move(one, found[0], gain)
    if best is not None:
        packing.give(best.placed.spot, best.placed.shape)
        packing.take(best.to, best.placed.shape)
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
        packing.worth(without).astype(np.float64) - packing.worth(states_of(columns, nodes))[of]
    )
    return left
