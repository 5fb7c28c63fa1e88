"""The amounts that a job asks for: what it would be with less of one, and how that is written."""

from collections.abc import Callable, Iterator
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
    if wants.accelerators is not None:
        yield from _device_amounts(wants.accelerators)
    yield Amount("tasks", spec.task_count, 2, 1, lambda other, value: replace(other, task_count=value), str)


def with_devices(spec: JobSpec, **changes: Any) -> JobSpec:
    """The job, whose request for devices is another one in that; as it is, where it has none."""
    request = spec.resources.accelerators
    if request is None:
        return spec
    return replace(spec, resources=replace(spec.resources, accelerators=replace(request, **changes)))


def _device_amounts(request: AcceleratorRequest) -> Iterator[Amount]:
    share_step, bytes_step = 50 if request.share_millis > 50 else 1, _round_step(request.memory_bytes)
    yield Amount("resources.accelerators.count", request.count, 1, 1, _with_count, str)
    yield Amount(
        "resources.accelerators.count",
        request.share_millis,
        share_step,
        share_step,
        _with_share,
        lambda value: f"{value / 1000:g}",
    )
    yield Amount(
        "resources.accelerators.share.memory",
        request.memory_bytes,
        bytes_step,
        bytes_step,
        _with_share_memory,
        units.format_bytes,
    )


def _with_memory(spec: JobSpec, value: int) -> JobSpec:
    return replace(spec, resources=replace(spec.resources, memory_bytes=value))


def _with_cpu(spec: JobSpec, value: int) -> JobSpec:
    return replace(spec, resources=replace(spec.resources, cpu_millis=value))


def _with_count(spec: JobSpec, value: int) -> JobSpec:
    return with_devices(spec, count=value)


def _with_share(spec: JobSpec, value: int) -> JobSpec:
    return with_devices(spec, share_millis=value)


def _with_share_memory(spec: JobSpec, value: int) -> JobSpec:
    return with_devices(spec, memory_bytes=value)


def _round_step(asked: int) -> int:
    """A power of two, so that amounts of memory come out as people write them."""
    return max(_LEAST_STEP_BYTES, 1 << (max(asked - 1, 0) // _STEPS).bit_length())


def _cpu_step(asked: int) -> int:
    step = 1000 if asked > 4000 else 500 if asked > 1000 else 50
    return step if asked // step <= 4 * _STEPS else asked // _STEPS
