"""Xids: errors that NVIDIA's driver tells of as they happen, through NVML, whose module is handed in."""

from typing import Any

from agent.accelerators import nvml
from headrace.changes import replace
from headrace.nodes import Device, Health

_XID = 8
# A job's own fault, and no fault of the GPU: a fault in its code or memory, its end, its video, a context switch.
_OF_JOBS = (13, 31, 43, 45, 68, 109)
_MOST_AT_ONCE = 64


class Xids:
    """Those of one open NVML. What a GPU told last is held against it until the driver is opened anew."""

    def __init__(self, library: Any) -> None:
        self._library = library
        self._events = nvml.ask(library, library.nvmlEventSetCreate)
        self._registered: list[str] = []
        self._last: dict[str, int] = {}

    def watch(self, handle: Any, uuid: str) -> None:
        """From now on this GPU's are heard."""
        if self._events is None or uuid in self._registered:
            return
        self._registered.append(uuid)
        nvml.ask(self._library, self._library.nvmlDeviceRegisterEvents, handle, _XID, self._events)

    def heard(self) -> None:
        """Takes those that came since the last time."""
        if self._events is None:
            return
        for _ in range(_MOST_AT_ONCE):
            try:
                event = self._library.nvmlEventSetWait_v2(self._events, 0)
                uuid = self._library.nvmlDeviceGetUUID(event.device)
            except self._library.NVMLError:
                # None is left; or the GPU is lost, which its readings tell.
                return
            if int(event.eventData) not in _OF_JOBS:
                self._last[uuid] = int(event.eventData)

    def told(self, device: Device) -> Device:
        """The device, with what it told of itself in this way."""
        xid = self._last.get(device.id)
        if xid is None or device.health is Health.UNHEALTHY:
            return device
        reason = f"its driver told of Xid {xid}: look it up in NVIDIA's list; reset it (nvidia-smi --gpu-reset)"
        return replace(device, health=Health.DEGRADED, health_reason=reason)
