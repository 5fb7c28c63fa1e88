"""Devices of which several jobs may have parts: which ones, and what a job is told of its part.

What no maker enforces for a container, the job has to keep to itself: it is told how much is its own. Parts that the
hardware keeps apart (MIG, vNPU, sMLU) are devices of their own, and are given whole.
"""

from fnmatch import fnmatchcase

from headrace.changes import replace
from headrace.jobs import AcceleratorRequest
from headrace.nodes import Device


def marked(devices: tuple[Device, ...], patterns: tuple[str, ...]) -> tuple[Device, ...]:
    """The devices, those that a pattern fits by model or id (as in a shell, in any case) shareable."""
    lowered = [pattern.lower() for pattern in patterns]
    return tuple(
        replace(device, shareable=True)
        if any(fnmatchcase(text.lower(), one) for one in lowered for text in (device.model, device.id))
        else device
        for device in devices
    )


def environment(request: AcceleratorRequest | None, vendor: str) -> dict[str, str]:
    """The variables that tell a job its part of a device; none where it has all of it."""
    if request is None or not request.is_part:
        return {}
    found = {"HEADRACE_ACCELERATOR_SHARE": f"{request.share_millis / 1000:g}"}
    if request.memory_bytes:
        found["HEADRACE_ACCELERATOR_MEMORY"] = str(request.memory_bytes)
    if vendor == "nvidia":
        # Heeded where the job joins a daemon of the Multi-Process Service, and by nothing else.
        found["CUDA_MPS_ACTIVE_THREAD_PERCENTAGE"] = f"{max(1, request.share_millis // 10)}"
        if request.memory_bytes:
            found["CUDA_MPS_PINNED_DEVICE_MEM_LIMIT"] = f"0={request.memory_bytes >> 20}M"
    return found
