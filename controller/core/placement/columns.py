"""What is free on all nodes, in columns: one NumPy row a dimension, kept up to date by what is taken and given back."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Self

import numpy as np
from numpy.typing import NDArray

from controller.core.copies import with_its_own

WHOLE = 1000
Integers = NDArray[np.int64]


class OverCapacity(Exception):
    """More was to be taken than is free, or given back than was taken: a bug of the caller."""


@dataclass(frozen=True, slots=True)
class Shape:
    """What a task asks for of a node: devices are none, a share of one, or whole ones; of these models, or any."""

    cpu_millis: int
    memory_bytes: int
    devices: int = 0
    device_millis: int = WHOLE
    models: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        shared = 0 < self.device_millis < WHOLE and self.devices <= 1
        if self.devices < 0 or not (shared or self.device_millis == WHOLE):
            raise ValueError(
                f"{self.devices} devices of {self.device_millis}: a share is of one device, others are whole"
            )
        if self.cpu_millis < 0 or self.memory_bytes < 0:
            raise ValueError(f"cpu_millis {self.cpu_millis}, memory_bytes {self.memory_bytes}: none may be below 0")

    @property
    def millis(self) -> int:
        """All that it asks of devices."""
        return self.devices * self.device_millis


@dataclass(frozen=True, slots=True)
class Host:
    """What a node has: its devices are of one model."""

    cpu_millis: int
    memory_bytes: int
    devices: int = 0
    model: str = ""


@dataclass(frozen=True, slots=True)
class Spot:
    """A place for a task: the node's number, and the numbers of the devices on it."""

    node: int
    devices: tuple[int, ...] = ()


class Columns:
    """What is free. `devices` has a row for each number that a device may have; where a node has none, there is 0."""

    def __init__(self, hosts: Sequence[Host]) -> None:
        self.hosts = tuple(hosts)
        self.cpu_millis: Integers = np.array([one.cpu_millis for one in hosts], dtype=np.int64)
        self.memory_bytes: Integers = np.array([one.memory_bytes for one in hosts], dtype=np.int64)
        self.most_devices = max((one.devices for one in hosts), default=0)
        self.devices: Integers = np.zeros((self.most_devices, len(hosts)), dtype=np.int64)
        for number in range(self.most_devices):
            self.devices[number] = [WHOLE * (number < one.devices) for one in hosts]
        self.models = tuple(dict.fromkeys(one.model for one in hosts))
        self.model: Integers = np.array([self.models.index(one.model) for one in hosts], dtype=np.int64)
        self.device_millis = self.free_millis = int(self.devices.sum())

    def copy(self) -> Self:
        """The same as of now."""
        return with_its_own(self)

    def allowed(self, shape: Shape) -> NDArray[np.bool_]:
        """For each model, by its number, whether the shape may have a device of it."""
        return np.array(
            [not shape.devices or not shape.models or one in shape.models for one in self.models], dtype=bool
        )

    def fits(self, shape: Shape) -> NDArray[np.bool_]:
        """For each node, whether the shape finds room on it."""
        found = (self.cpu_millis >= shape.cpu_millis) & (self.memory_bytes >= shape.memory_bytes)
        if shape.devices:
            found &= (self.devices >= shape.device_millis).sum(axis=0) >= shape.devices
            found &= self.allowed(shape)[self.model]
        return found

    def fill(self, cpu_millis: Integers, memory_bytes: Integers, devices: Integers) -> None:
        """So much is free of all nodes."""
        self.cpu_millis[:], self.memory_bytes[:] = cpu_millis, memory_bytes
        self.devices[:] = devices[: self.most_devices]
        self.free_millis = int(self.devices.sum())

    def put(self, nodes: Integers, cpu_millis: Integers, memory_bytes: Integers, devices: Integers) -> None:
        """So much is free of some nodes."""
        self.cpu_millis[nodes], self.memory_bytes[nodes] = cpu_millis, memory_bytes
        devices = devices[: self.most_devices]
        self.free_millis += int(devices.sum() - self.devices[:, nodes].sum())
        self.devices[:, nodes] = devices

    def take(self, spot: Spot, shape: Shape) -> None:
        """The task is there now."""
        node, devices = spot.node, spot.devices
        held = [self.devices.item(one, node) for one in devices]
        if (
            self.cpu_millis.item(node) < shape.cpu_millis
            or self.memory_bytes.item(node) < shape.memory_bytes
            or len(dict.fromkeys(devices)) != shape.devices
            or any(one < shape.device_millis for one in held)
        ):
            raise OverCapacity(f"{shape} is not free at {spot}")
        self._change(spot, shape, -1)

    def give(self, spot: Spot, shape: Shape) -> None:
        """The task is there no more."""
        host = self.hosts[spot.node]
        self._change(spot, shape, 1)
        over = any(one >= host.devices or self.devices[one, spot.node] > WHOLE for one in spot.devices)
        if over or self.cpu_millis[spot.node] > host.cpu_millis or self.memory_bytes[spot.node] > host.memory_bytes:
            self._change(spot, shape, -1)
            raise OverCapacity(f"{shape} was not taken at {spot}")

    def _change(self, spot: Spot, shape: Shape, sign: int) -> None:
        self.free_millis += sign * len(spot.devices) * shape.device_millis
        self.cpu_millis[spot.node] += sign * shape.cpu_millis
        self.memory_bytes[spot.node] += sign * shape.memory_bytes
        for one in spot.devices:
            self.devices[one, spot.node] += sign * shape.device_millis


def row_keys(rows: Integers) -> list[bytes]:
    """The rows, each as what can be compared and looked up."""
    found: list[bytes] = np.ascontiguousarray(rows).view(f"V{rows.itemsize * rows.shape[1]}").ravel().tolist()
    return found
