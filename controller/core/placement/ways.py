"""All ways in which shapes could be put on states, and for each shape and state the one that costs least room."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from controller.core.placement.columns import WHOLE, Columns, Integers, Shape
from controller.core.placement.rooms import Floats, Rooms, States


@dataclass(frozen=True, slots=True)
class Asks:
    """Shapes in columns. Those that ask for the same of devices are of one kind, and devices are its matter alone."""

    cpu_millis: Integers
    memory_bytes: Integers
    allowed: NDArray[np.bool_]
    kind: Integers
    devices: Integers
    millis: Integers

    @classmethod
    def of(cls, shapes: Sequence[Shape], columns: Columns) -> "Asks":
        """The columns of these."""
        kinds = list(dict.fromkeys((one.devices, one.device_millis if one.devices else 0) for one in shapes))
        kind = [kinds.index((one.devices, one.device_millis if one.devices else 0)) for one in shapes]
        return cls(
            np.array([one.cpu_millis for one in shapes], dtype=np.int64),
            np.array([one.memory_bytes for one in shapes], dtype=np.int64),
            np.array([columns.allowed(one) for one in shapes], dtype=bool).reshape(len(shapes), len(columns.models)),
            np.array(kind, dtype=np.int64),
            np.array([devices for devices, _ in kinds], dtype=np.int64),
            np.array([millis for _, millis in kinds], dtype=np.int64),
        )


@dataclass(frozen=True, slots=True)
class Ways:
    """For each state and shape that fits, the cheapest: its cost, and what is free of the device that it takes."""

    state: Integers
    shape: Integers
    cost: Floats
    level: Integers


def cheapest(rooms: Rooms, asks: Asks, states: States, worth: NDArray[np.float64] | None = None) -> Ways:
    """The cheapest way of each shape in each state; of those that cost the same, on the device with the least free.

    What the states are `worth` is worked out unless it is told.
    """
    action_state, action_kind, position = np.nonzero(_positions(asks, states))
    counts = np.zeros((len(states.row), len(asks.devices)), dtype=np.int64)
    np.add.at(counts, (action_state, action_kind), 1)
    fits = (
        (states.cpu_millis[:, None] >= asks.cpu_millis)
        & (states.memory_bytes[:, None] >= asks.memory_bytes)
        & asks.allowed[:, states.model].T
        & (counts[:, asks.kind] > 0)
    )
    state, shape = np.nonzero(fits)
    if not len(state):
        return Ways(state, shape, np.zeros(0, dtype=np.float32), np.zeros(0, dtype=np.int64))
    first = (np.cumsum(counts.ravel()) - counts.ravel()).reshape(counts.shape)
    many = counts[state, asks.kind[shape]]
    begin = np.cumsum(many) - many
    pair = np.repeat(np.arange(len(state)), many)
    action = first[state, asks.kind[shape]][pair] + np.arange(len(pair)) - begin[pair]
    after = States(
        _devices_after(asks, states, action_state, action_kind, position),
        action,
        pair,
        states.cpu_millis[state] - asks.cpu_millis[shape],
        states.memory_bytes[state] - asks.memory_bytes[shape],
        states.model[state],
    )
    before = rooms.worth(states) if worth is None else worth
    # Rounded, so that places that are as good cost the same, in whatever order their rooms were summed.
    cost = np.round(before[state[pair]] - rooms.worth(after), 3).astype(np.float32)
    least = np.minimum.reduceat(cost, begin)
    # The first of a shape's ways that costs as little as its cheapest one.
    equal = np.flatnonzero(cost == least[pair])
    chosen = equal[np.searchsorted(pair[equal], np.arange(len(state)))]
    level = states.devices[action_state, position][action[chosen]]
    return Ways(state, shape, least, level)


def _positions(asks: Asks, states: States) -> NDArray[np.bool_]:
    """Where each kind may begin in each state's sorted devices: one place for each amount that is enough."""
    devices = states.devices[states.row]
    width = devices.shape[1]
    fresh = np.ones(devices.shape, dtype=bool)
    fresh[:, 1:] = devices[:, 1:] != devices[:, :-1]
    places = (devices[:, None, :] >= asks.millis[:, None]) & fresh[:, None, :]
    for kind, (wanted, millis) in enumerate(zip(asks.devices.tolist(), asks.millis.tolist(), strict=True)):
        if millis in (0, WHOLE):
            # Whole ones are all alike, and are the last ones. For no devices, the last place stands.
            places[:, kind] = False
            last = max(wanted, 1)
            if last <= width:
                places[:, kind, width - last] = devices[:, width - last] >= millis
    return places


def _devices_after(asks: Asks, states: States, state: Integers, kind: Integers, position: Integers) -> Integers:
    devices = states.devices[states.row[state]]
    number = np.arange(devices.shape[1])
    taken = (number == position[:, None]) | ((number > position[:, None]) & (asks.devices[kind] > 1)[:, None])
    devices -= taken * asks.millis[kind][:, None]
    devices.sort(axis=1)
    return devices
