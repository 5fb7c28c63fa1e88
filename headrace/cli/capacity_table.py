"""What a node can do, for people: by precision, and how that is known."""

from collections.abc import Iterable

from headrace import capacity, nodes, wire
from headrace.capacity import Rate
from headrace.cli import words
from headrace.v1.node_pb2 import Device, Node

_STEPS = (("E", 1e18), ("P", 1e15), ("T", 1e12), ("G", 1e9), ("M", 1e6))


def table(node: Node) -> list[str]:
    """All processors together, and all devices together, a precision a line."""
    rows = [
        (rate.precision, shown(rate), whose, rate.origin.name.lower(), rate.source)
        for whose, rate in capacity.capacity(wire.load(nodes.Node, node))
    ]
    return words.columns(("WHAT", "FIGURE", "OF", "KNOWN", "FROM"), rows)


def figures(devices: Iterable[Device]) -> list[str]:
    """Every figure of every kind of device, what is uncertain too."""
    rows: dict[tuple[str, ...], None] = {}
    for device in devices:
        for figure in device.figures:
            origin = nodes.Origin(figure.origin).name.lower() if figure.origin else ""
            rows[
                device.model or device.pci_id or device.id, figure.name, f"{figure.value:g}", origin, figure.source
            ] = None
    return words.columns(("DEVICE", "FIGURE", "IS", "KNOWN", "FROM"), list(rows))


def shown(rate: Rate) -> str:
    """A figure to three digits with its unit: "989 TFLOPS", "31 GB/s"."""
    unit = "B/s" if rate.precision == capacity.MEMORY else "OPS" if rate.precision.startswith("int") else "FLOPS"
    prefix, step = next((one for one in _STEPS if rate.per_second >= one[1]), ("", 1.0))
    amount = f"{rate.per_second / step:.3g}" if rate.per_second / step < 1000 else f"{rate.per_second / step:.0f}"
    return f"{amount} {prefix}{unit}"
