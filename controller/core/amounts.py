"""The amounts that a job asks for: what it would be with less of one, and how that is written."""

from collections.abc import Callable, Iterator
from functools import partial
from typing import Any, NamedTuple

from headrace import units
from headrace.changes import replace
from headrace.jobs import AcceleratorRequest, JobSpec

# An amount is changed in so many steps at most.
_STEPS = 64
_LEAST_STEP_BYTES = 8 << 20


class Amount(NamedTuple):
    """Something that a job asks for so much of; `of` is a job if it asked for another amount, `text` that written.

    Others are `least` and what is `step` after step above that.
    """

    field: str
    asked: int
    least: int
    step: int
    of: Callable[[JobSpec, int], JobSpec]
    text: Callable[[int], str]

    @property
    def lesser_count(self) -> int:
        """How many lesser amounts there are; none below 1."""
        return 1 + (self.asked - self.least - 1) // self.step


def amounts(spec: JobSpec) -> Iterator[Amount]:
    """All that it asks for."""
    wants = spec.resources
    bytes_step, cpu_step = _round_step(wants.memory_bytes), _cpu_step(wants.cpu_millis)
    yield Amount("resources.memory", wants.memory_bytes, bytes_step, bytes_step, _with_memory, units.format_bytes)
    yield Amount("resources.cpu", wants.cpu_millis, cpu_step, cpu_step, _with_cpu, units.format_cpu)
    for which, request in enumerate(requests_of(spec)):
        yield from _device_amounts(request, devices_field(spec, which), which)
    yield Amount("tasks", spec.task_count, 2, 1, lambda other, value: replace(other, task_count=value), str)


def requests_of(spec: JobSpec) -> tuple[AcceleratorRequest, ...]:
    """All sorts of devices of which one will do."""
    wants = spec.resources
    return () if wants.accelerators is None else (wants.accelerators, *wants.alternatives)


def devices_field(spec: JobSpec, which: int) -> str:
    """Where it says of devices: of several sorts, of which."""
    return f"resources.accelerators[{which}]" if spec.resources.alternatives else "resources.accelerators"


def with_devices(spec: JobSpec, which: int = 0, **changes: Any) -> JobSpec:
    """The job, one of whose requests for devices is another one in that; as it is, where it has none."""
    requests = list(requests_of(spec))
    if not requests:
        return spec
    requests[which] = replace(requests[which], **changes)
    first, *others = requests
    return replace(spec, resources=replace(spec.resources, accelerators=first, alternatives=tuple(others)))


def _device_amounts(request: AcceleratorRequest, field: str, which: int) -> Iterator[Amount]:
    share_step, bytes_step = 50 if request.share_millis > 50 else 1, _round_step(request.memory_bytes)
    counted = partial(_with_count, which=which)
    yield Amount(f"{field}.count", request.count, 1, 1, counted, str)
    if not request.is_part:
        return
    shared = partial(_with_share, which=which)
    share = f"{field}.count", request.share_millis, share_step, share_step
    yield Amount(*share, shared, lambda value: f"{value / 1000:g}")
    with_memory = partial(_with_share_memory, which=which)
    memory = f"{field}.share.memory", request.memory_bytes, bytes_step, bytes_step
    yield Amount(*memory, with_memory, units.format_bytes)


def _with_memory(spec: JobSpec, value: int) -> JobSpec:
    return replace(spec, resources=replace(spec.resources, memory_bytes=value))


def _with_cpu(spec: JobSpec, value: int) -> JobSpec:
    return replace(spec, resources=replace(spec.resources, cpu_millis=value))


def _with_count(spec: JobSpec, value: int, which: int) -> JobSpec:
    return with_devices(spec, which, count=value)


def _with_share(spec: JobSpec, value: int, which: int) -> JobSpec:
    return with_devices(spec, which, share_millis=value)


def _with_share_memory(spec: JobSpec, value: int, which: int) -> JobSpec:
    return with_devices(spec, which, memory_bytes=value)


def _round_step(asked: int) -> int:
    """A power of two, so that amounts of memory come out as people write them."""
    return max(_LEAST_STEP_BYTES, 1 << (max(asked - 1, 0) // _STEPS).bit_length())


def _cpu_step(asked: int) -> int:
    step = 1000 if asked > 4000 else 500 if asked > 1000 else 10 if asked > 10 else 1
    return step if asked // step <= 4 * _STEPS else asked // _STEPS
