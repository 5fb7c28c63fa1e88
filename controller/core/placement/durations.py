"""For how long a job will run at a place: as jobs like it did, else by its declared work and the place's figures."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from types import MappingProxyType

from controller.core.past_runs import PastRun
from controller.core.placement.fit import Place
from headrace.attempts import Platform
from headrace.capacity import Rate, cpu_rate, devices_rate
from headrace.jobs import JobSpec, Requests, Work
from headrace.nodes import Device, Node, Origin
from headrace.shares import WHOLE_MILLIS, part_of

# Which share of a figure a usual job reaches. A peak leaves out all that keeps a device waiting; what a matrix product
# reached here does not.
EFFICIENCY: Mapping[Origin, float] = MappingProxyType({Origin.SPEC: 0.4, Origin.DECLARED: 0.4, Origin.MEASURED: 0.8})

# What the wire carries, and more than anybody waits.
_MOST_MILLIS = 1 << 53


@dataclass(frozen=True, slots=True)
class Estimate:
    """A length of time, and what it is told from."""

    millis: int
    basis: str


def predicted(spec: JobSpec, place: Place, nodes: Mapping[str, Node], past: Iterable[PastRun]) -> Estimate | None:
    """For how long the whole job will run at the place; `None`: nothing tells. `past` are runs of jobs like it."""
    node = nodes[place.node]
    found = by_past_runs(place, nodes, past)
    if found is None and spec.work is not None:
        found = by_work(spec.work, spec.resources, place, node)
    return found


def by_past_runs(place: Place, nodes: Mapping[str, Node], past: Iterable[PastRun]) -> Estimate | None:
    """The median of runs on the node itself, else of those on nodes like it, with devices like those granted."""
    runs = [run for run in past if _is_run_alike(run.platform, place.platform)]
    wanted = _hardware(nodes[place.node], place.devices)
    same = [run for run in runs if run.node == place.node and _models(nodes, run) == wanted[1]]
    if same:
        return Estimate(_median([run.millis for run in same]), f"{_runs(len(same))} here")
    if not (wanted[0] or wanted[1]):
        # A processor that does not say what it is is like no other.
        return None
    like = [run for run in runs if run.node in nodes and _hardware(nodes[run.node], run.devices) == wanted]
    if not like:
        return None
    where = ", ".join(dict.fromkeys(run.node for run in like))
    return Estimate(_median([run.millis for run in like]), f"{_runs(len(like))} on the same hardware ({where})")


def by_work(work: Work, requests: Requests, place: Place, node: Node) -> Estimate | None:
    """What the devices granted, or else the job's share of the processors, need for so many operations."""
    rate = _devices_share(work, requests, place, node) if place.devices else _cpu_share(work, requests, place, node)
    if rate is None:
        return None
    per_second = rate.per_second * EFFICIENCY[rate.origin]
    # A figure may be so small that it takes longer than any number tells.
    millis = round(min(_MOST_MILLIS, 1000 * work.operation_count / per_second)) if per_second else _MOST_MILLIS
    source = f" ({rate.source})" if rate.source else ""
    return Estimate(max(1, millis), f"declared work, {rate.origin.name.lower()} figure{source}")


def _devices_share(work: Work, requests: Requests, place: Place, node: Node) -> Rate | None:
    granted = [device for device in node.devices if device.id in place.devices]
    rate, request = devices_rate(granted, work.precision), requests.accelerators
    if request is None or not request.is_part or not granted:
        return rate
    return _part(rate, min(1.0, part_of(request, granted[0].memory_bytes).millis / WHOLE_MILLIS))


def _cpu_share(work: Work, requests: Requests, place: Place, node: Node) -> Rate | None:
    # The figures are those of the node's own programs: of what it would emulate they tell nothing.
    own = node.description.platforms[:1]
    if place.platform.emulated and not (own and own[0].emulated):
        return None
    threads = node.description.cpu.threads
    # Figures are those of all threads: of how many an agent need not say.
    share = min(1.0, requests.cpu_millis / (threads * 1000)) if threads > 0 else None
    return _part(cpu_rate(node, work.precision), share) if share is not None else None


def _part(rate: Rate | None, share: float) -> Rate | None:
    return None if rate is None else Rate(rate.precision, rate.per_second * share, rate.origin, rate.source)


def _is_run_alike(one: Platform, other: Platform) -> bool:
    return (one.os, one.architecture, one.emulated) == (other.os, other.architecture, other.emulated)


def _hardware(node: Node, devices: tuple[str, ...]) -> tuple[str, tuple[str, ...] | None]:
    return node.description.cpu.model, _models_of(node.devices, devices)


def _models(nodes: Mapping[str, Node], run: PastRun) -> tuple[str, ...] | None:
    return _models_of(nodes[run.node].devices, run.devices)


def _models_of(known: tuple[Device, ...], ids: tuple[str, ...]) -> tuple[str, ...] | None:
    """What these devices are; `None` where one of them is not there any more."""
    models = {device.id: f"{device.vendor} {device.model} {device.partition}" for device in known}
    return tuple(sorted(models[one] for one in ids)) if all(one in models for one in ids) else None


def _runs(count: int) -> str:
    return f"{count} past run{'s' if count > 1 else ''}"


def _median(values: list[int]) -> int:
    ordered = sorted(values)
    return (ordered[(len(ordered) - 1) // 2] + ordered[len(ordered) // 2]) // 2
