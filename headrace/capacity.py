"""What a node or device can do, in figures that all makers have in common: of each the one that is known best. Pure."""

import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from headrace.nodes import Device, Figure, Node, Origin

# By the name under which a job declares its work: the figure of devices, its unit in operations a second, and the same
# of processors.
PRECISIONS: Mapping[str, tuple[str, str]] = {
    "fp64": ("fp64_tflops", "fp64_gflops"),
    "fp32": ("fp32_tflops", "fp32_gflops"),
    "tf32": ("tf32_tflops", ""),
    "bf16": ("bf16_tflops", ""),
    "fp16": ("fp16_tflops", ""),
    "fp8": ("fp8_tflops", ""),
    "int8": ("int8_tops", ""),
}
# Not a precision, but had in the same way.
MEMORY = "memory"
BANDWIDTH = "memory_gb_per_second"
DEVICE_FIGURES = (*(device for device, _ in PRECISIONS.values()), BANDWIDTH, "memory_gb", "power_limit_watts")
CPU_FIGURES = (*(cpu for _, cpu in PRECISIONS.values() if cpu), BANDWIDTH)

# How the source of a figure begins that is shown, and that nothing is decided by.
UNCERTAIN = "uncertain: "

_GIGA, _TERA = 1e9, 1e12
# What is measured here is believed before what the owner says, and that before what the maker says of the model.
_BELIEVED = (Origin.MEASURED, Origin.DECLARED, Origin.SPEC)


@dataclass(frozen=True, slots=True)
class Rate:
    """Operations a second of one precision, or bytes a second of memory; `origin` is that of its least known part."""

    precision: str
    per_second: float
    origin: Origin
    source: str


def is_certain(figure: Figure) -> bool:
    """Whether a job may be placed by it."""
    return not figure.source.startswith(UNCERTAIN) and math.isfinite(figure.value) and figure.value > 0


def best(figures: Iterable[Figure], name: str) -> Figure | None:
    """The figure of that name that is known best; `None`: nothing certain is known."""
    found = [figure for figure in figures if figure.name == name and is_certain(figure)]
    return min(found, key=lambda figure: _BELIEVED.index(figure.origin), default=None)


def value_of(figures: Iterable[Figure], name: str) -> float | None:
    """Its value alone."""
    found = best(figures, name)
    return None if found is None else found.value


def device_rate(device: Device, precision: str) -> Rate | None:
    """What one device does; of MEMORY bytes."""
    if precision == MEMORY:
        return _rate(precision, best(device.figures, BANDWIDTH), _GIGA)
    return _rate(precision, best(device.figures, PRECISIONS[precision][0]), _TERA)


def cpu_rate(node: Node, precision: str) -> Rate | None:
    """What all threads of a node's processors do together; of MEMORY bytes."""
    name = BANDWIDTH if precision == MEMORY else PRECISIONS[precision][1]
    return _rate(precision, best(node.description.cpu.figures, name), _GIGA)


def _rate(precision: str, figure: Figure | None, factor: float) -> Rate | None:
    return None if figure is None else Rate(precision, figure.value * factor, figure.origin, figure.source)


def devices_rate(devices: Iterable[Device], precision: str) -> Rate | None:
    """What several devices do together; `None` where it is not known of each, or where there are none."""
    rates = [device_rate(device, precision) for device in devices]
    known = [rate for rate in rates if rate is not None]
    return together(known) if len(known) == len(rates) else None


def capacity(node: Node) -> tuple[tuple[str, Rate], ...]:
    """What all of a node's processors, and all of its devices of which it is known, do together, by precision."""
    found: list[tuple[str, Rate]] = []
    for precision in (*PRECISIONS, MEMORY):
        own = cpu_rate(node, precision)
        if own is not None:
            found.append(("processors", own))
        known = [rate for rate in (device_rate(device, precision) for device in node.devices) if rate is not None]
        total = together(known)
        if total is not None:
            all_of_them = len(known) == len(node.devices)
            count = f"{len(known)}" if all_of_them else f"{len(known)} of {len(node.devices)}"
            found.append((f"{count} device{'s' if len(node.devices) > 1 else ''}", total))
    return tuple(found)


def together(rates: list[Rate]) -> Rate | None:
    """The sum, which is known as well as what is known least in it."""
    if not rates:
        return None
    origin = max((rate.origin for rate in rates), key=_BELIEVED.index)
    sources = "; ".join(dict.fromkeys(rate.source for rate in rates if rate.source))
    return Rate(rates[0].precision, sum(rate.per_second for rate in rates), origin, sources)
