"""Which devices are held by which containers: what the engine tells, in the terms of the node's devices."""

from collections.abc import Iterable, Iterator, Mapping

from agent.core.model import Held
from agent.runtimes.runtime import EVERY_DEVICE, Holder, Ref
from headrace.attempts import AttemptState
from headrace.changes import replace
from headrace.nodes import Device

_HAS_CONTAINER = (AttemptState.STARTING, AttemptState.RUNNING, AttemptState.PAUSED, AttemptState.STOPPING)


def held(
    devices: tuple[Device, ...], holders: Iterable[Holder] | None, attempts: Mapping[Ref, Held]
) -> tuple[Device, ...]:
    """The devices with who holds them; none while that is not known, or they would be given to others.

    An attempt that is over holds nothing, whatever an older list says.
    """
    if holders is None:
        return ()
    names: dict[str, list[str]] = {device.id: [] for device in devices}
    for holder in holders:
        attempt = attempts.get(holder.ref) if holder.ref is not None else None
        if attempt is not None and attempt.attempt.state not in _HAS_CONTAINER:
            continue
        for device in _claimed(devices, holder):
            names[device].append(f"jobs/{holder.ref.job}" if holder.ref is not None else f"container {holder.name}")
    return tuple(replace(device, holders=tuple(sorted(names[device.id]))) for device in devices)


def _claimed(devices: tuple[Device, ...], holder: Holder) -> Iterator[str]:
    for device in devices:
        if device.vendor == holder.vendor and any(
            claim in (device.id, str(device.index), EVERY_DEVICE) for claim in holder.claims
        ):
            yield device.id
