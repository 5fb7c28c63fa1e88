"""What `headrace top` shows: a row for each node and each of its devices, in one order of many."""

from collections.abc import Callable, Iterable
from typing import NamedTuple

from headrace import units
from headrace.cli import device_views, node_views, words
from headrace.cli.render import printable
from headrace.v1.node_pb2 import Device, Node

HEADINGS = ("NODE", "DEVICE", "MODEL", "BUSY", "MEMORY", "TEMP", "POWER", "HEALTH", "JOB")
NODE_ORDER = "node"


class Line(NamedTuple):
    """A row: what it shows, and the figures that it can be ordered by; `None` is unknown."""

    cells: tuple[str, ...]
    place: tuple[str, int, str]
    busy: float | None = None
    memory: float | None = None
    temperature: float | None = None
    power: float | None = None
    illness: float | None = None


# By each of these the greatest comes first, and what is unknown last.
FIGURES: dict[str, Callable[[Line], float | None]] = {
    "busy": lambda line: line.busy,
    "memory": lambda line: line.memory,
    "temperature": lambda line: line.temperature,
    "power": lambda line: line.power,
    "health": lambda line: line.illness,
}

_ILLNESS = {Device.UNHEALTHY: 2.0, Device.DEGRADED: 1.0, Device.HEALTHY: 0.0}


class Board:
    """The rows of all nodes. A node that changed costs its own rows, and one ordering when they are looked at."""

    def __init__(self) -> None:
        self.order = NODE_ORDER
        self.widths = [len(heading) for heading in HEADINGS]
        self.changes = 0
        self._nodes: dict[str, tuple[Line, ...]] = {}
        self._ordered: list[Line] | None = None

    def put(self, node: Node) -> None:
        """Takes over a node as it now is."""
        if node.forgotten:
            self._nodes.pop(node.name, None)
            self._ordered = None
            self.changes += 1
            return
        lines = tuple(_lines(node))
        self._nodes[node.name] = lines
        for line in lines:
            self.widths = [max(width, len(cell)) for width, cell in zip(self.widths, line.cells, strict=True)]
        self._ordered = None
        self.changes += 1

    def order_by(self, order: str) -> None:
        """From now on in this order: NODE_ORDER, or one of FIGURES."""
        self.order, self._ordered = order, None
        self.changes += 1

    def lines(self) -> list[Line]:
        """All rows in order."""
        if self._ordered is None:
            found = [line for lines in self._nodes.values() for line in lines]
            self._ordered = sorted(found, key=self._key)
        return self._ordered

    def summary(self) -> str:
        """How much there is, in one line."""
        devices = sum(len(lines) - 1 for lines in self._nodes.values())
        return f"{len(self._nodes)} nodes, {devices} devices, by {self.order}"

    def _key(self, line: Line) -> tuple[bool, float, tuple[str, int, str]]:
        figure = FIGURES[self.order](line) if self.order in FIGURES else 0.0
        return figure is None, -(figure or 0.0), line.place


def table(nodes: Iterable[Node]) -> list[str]:
    """All of it once, as lines."""
    board = Board()
    for node in nodes:
        board.put(node)
    return words.columns(HEADINGS, [line.cells for line in board.lines()])


def _lines(node: Node) -> Iterable[Line]:
    yield _node_line(node)
    for device in node.devices:
        yield _device_line(words.id_of(node.name), device)


def _node_line(node: Node) -> Line:
    name, load = words.id_of(node.name), node.load
    busy = load.cpu_percent if load.HasField("cpu_percent") else None
    left = f"{units.rounded_bytes(load.memory_available_bytes)} left" if load.HasField("memory_available_bytes") else ""
    shown = f"{busy:.0f} %" if busy is not None else ""
    jobs = f"{len(node.jobs)} jobs" if len(node.jobs) > 1 else ", ".join(node.jobs)
    cells = (name, "cpu", node.description.cpu.model, shown, left, "", "", node_views.state(node), jobs)
    return Line(_cells(cells), (name, -1, ""), busy=busy, illness=0.0 if node.state == Node.READY else 3.0)


def _device_line(node: str, device: Device) -> Line:
    holders = ", ".join(words.id_of(holder) for holder in device.holders)
    cells = (
        node,
        f"{device.kind} {device.index}",
        device.model,
        device_views.figures(device)[0],
        device_views.memory(device),
        *device_views.figures(device)[1:],
        device_views.health(device),
        holders,
    )
    return Line(
        _cells(cells),
        (node, device.index, device.id),
        busy=device.busy_percent if device.HasField("busy_percent") else None,
        memory=float(device.memory_used_bytes) if device.HasField("memory_used_bytes") else None,
        temperature=device.temperature_celsius if device.HasField("temperature_celsius") else None,
        power=device.power_watts if device.HasField("power_watts") else None,
        illness=_ILLNESS.get(device.health),
    )


def _cells(cells: tuple[str, ...]) -> tuple[str, ...]:
    return tuple(printable(words.shortened(cell)) or words.NOTHING for cell in cells)
