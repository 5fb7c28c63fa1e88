"""Which NVIDIA GPUs reach each other by NVLink, through NVML, whose module is handed in."""

from typing import Any

from agent.accelerators import nvml, pci
from headrace.changes import replace
from headrace.nodes import Device, Link

_MOST_LINKS = 18
_ACTIVE = 1
_GPU, _SWITCH = 0, 2


def linked(library: Any, devices: tuple[Device, ...]) -> tuple[Device, ...]:
    """The devices with their links. GPUs on a switch reach all others on it."""
    direct: dict[str, dict[str, int]] = {}
    switched: dict[str, int] = {}
    for device in devices:
        # A MIG device has no links.
        if device.id.startswith("GPU-") and not device.health_reason:
            direct[device.id], switched[device.id] = _peers(library, device)
    ids = {device.pci_address: device.id for device in devices}

    def links(device: Device) -> tuple[Link, ...]:
        found = {ids[where]: count for where, count in direct.get(device.id, {}).items() if where in ids}
        if switched.get(device.id):
            found |= {one: switched[device.id] for one, count in switched.items() if count and one != device.id}
        return tuple(Link(peer, "nvlink", count) for peer, count in sorted(found.items()))

    return tuple(replace(device, links=links(device)) for device in devices)


def _peers(library: Any, device: Device) -> tuple[dict[str, int], int]:
    """How many links lead to each address, and how many to a switch."""
    peers: dict[str, int] = {}
    to_switch = 0
    try:
        handle = library.nvmlDeviceGetHandleByUUID(device.id)
        for link in range(_MOST_LINKS):
            if nvml.ask(library, library.nvmlDeviceGetNvLinkState, handle, link) != _ACTIVE:
                continue
            kind = nvml.ask(library, library.nvmlDeviceGetNvLinkRemoteDeviceType, handle, link)
            if kind == _SWITCH:
                to_switch += 1
            elif kind in (_GPU, None):
                remote = nvml.ask(library, library.nvmlDeviceGetNvLinkRemotePciInfo, handle, link)
                if remote is not None:
                    where = pci.address(remote.busId)
                    peers[where] = peers.get(where, 0) + 1
    except library.NVMLError:
        # It was lost just now: the next reading says so.
        return {}, 0
    return peers, to_switch
