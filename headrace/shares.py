"""Parts of devices that several jobs share: how large one is, and whether there is room for it."""

from collections.abc import Iterable
from typing import NamedTuple

from headrace import units
from headrace.changes import replace
from headrace.jobs import AcceleratorRequest, JobSpec

WHOLE_MILLIS = 1000


class Part(NamedTuple):
    """What a job has of one device. `memory_bytes` is `None` where the device does not tell how much it has."""

    millis: int
    memory_bytes: int | None


def part_of(request: AcceleratorRequest | None, memory_bytes: int | None) -> Part:
    """What is asked of a device with so much memory. One that is asked for by memory alone is as large as that."""
    if request is None or not request.is_part:
        return Part(WHOLE_MILLIS, memory_bytes)
    if request.share_millis:
        its_share = memory_bytes * request.share_millis // WHOLE_MILLIS if memory_bytes is not None else None
        return Part(request.share_millis, request.memory_bytes or its_share)
    if not memory_bytes:
        return Part(WHOLE_MILLIS, request.memory_bytes)
    return Part(max(1, -(-request.memory_bytes * WHOLE_MILLIS // memory_bytes)), request.memory_bytes)


def fits(part: Part, held: Iterable[Part], memory_bytes: int | None) -> bool:
    """Whether a device with so much memory, of which these parts are held, has room for one more."""
    parts = (part, *held)
    if sum(one.millis for one in parts) > WHOLE_MILLIS:
        return False
    return memory_bytes is None or sum(one.memory_bytes or 0 for one in parts) <= memory_bytes


def settled(spec: JobSpec, memory_bytes: int | None) -> JobSpec:
    """The job with its part in numbers, once it is known of which device: for whoever knows nothing of that."""
    request = spec.resources.accelerators
    if request is None or not request.is_part:
        return spec
    part = part_of(request, memory_bytes)
    request = replace(request, share_millis=part.millis, memory_bytes=part.memory_bytes or 0)
    return replace(spec, resources=replace(spec.resources, accelerators=request))


def described(spec: JobSpec, devices: tuple[str, ...]) -> str:
    """The part that a job has, as the end of a sentence; empty where it has whole devices, or none."""
    request = spec.resources.accelerators
    if request is None or not request.is_part or not devices:
        return ""
    share = f"{request.share_millis / 1000:g} of {devices[0]}" if request.share_millis else f"a part of {devices[0]}"
    memory = f" and {units.format_bytes(request.memory_bytes)} of its memory" if request.memory_bytes else ""
    return f", with {share}{memory} (advisory: nothing but the job itself keeps to that)"
