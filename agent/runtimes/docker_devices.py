"""Which containers of an engine hold accelerators, whoever made them and in whatever way.

What a container was given is told by its details alone, and never changes; which devices that are may.
"""

from collections.abc import Callable, Iterator, Sequence
from typing import Any

from docker import APIClient

from agent.accelerators.grants import Known
from agent.runtimes.docker_containers import Details, details_of
from agent.runtimes.docker_spec import container_name, ref_of
from agent.runtimes.runtime import EVERY_DEVICE, Holder

_NOBODYS = ("", "none", "void")


class Holders:
    """The containers that hold devices, of one engine; `known` are those devices of this node that can be given."""

    def __init__(self, node: str, known: Callable[[], Sequence[Known]]) -> None:
        self._node = node
        self._known = known
        self._details: dict[str, Details] = {}

    def listed(self, client: APIClient) -> tuple[Holder, ...]:
        """Those that run or are paused, now."""
        found: dict[str, Details] = {}
        for item in client.containers(filters={"status": ["running", "paused"]}):
            container = item["Id"]
            details = self._details.get(container) or details_of(client, name=container)
            if details is not None:
                found[container] = details
        self._details = found
        known = self._known()
        return tuple(holder for details in found.values() for holder in holders_of(self._node, details, known))


def holders_of(node: str, details: Details, known: Sequence[Known]) -> tuple[Holder, ...]:
    """What a container's details say that it holds, one for each vendor.

    What a privileged container could reach does not count.
    """
    name = details["Name"].removeprefix("/")
    ref = ref_of(details["Config"]["Labels"] or {})
    mine = ref if ref is not None and name == container_name(node, ref) else None
    claims = {vendor: tuple(dict.fromkeys(claims_of(details, devices))) for vendor, devices in _by_vendor(known)}
    return tuple(Holder(name, mine, vendor, found) for vendor, found in claims.items() if found)


def claims_of(details: Details, devices: Sequence[Known]) -> Iterator[str]:
    """Which of one vendor's devices it has, by id or number, or that it has every one of them."""
    host = details["HostConfig"]
    by_request = [claim for request in host.get("DeviceRequests") or () for claim in _requested(request, devices)]
    yield from by_request
    runtimes = [one.grant.runtime for one in devices if one.grant.runtime]
    if host.get("Runtime") in runtimes and not by_request:
        yield from _visible(details["Config"]["Env"] or (), devices)
    nodes = [one["PathOnHost"] for one in host.get("Devices") or ()]
    for one in devices:
        # A whole folder of nodes may have been given.
        if any(f"{own}/".startswith(f"{node}/") for own in one.grant.device_nodes for node in nodes):
            yield one.id


def _requested(request: dict[str, Any], devices: Sequence[Known]) -> Iterator[str]:
    ids = request.get("DeviceIDs") or ()
    driver = request.get("Driver") or ""
    if driver == "cdi":
        kinds = {name.partition("=")[0]: None for one in devices for name in one.grant.cdi}
        for kind, _, name in (one.partition("=") for one in ids):
            if kind in kinds:
                yield name
        return
    drivers = [one.grant.request.driver for one in devices if one.grant.request is not None]
    if not drivers or driver not in ("", *drivers):
        return
    # The engine gives the first so many.
    count = request.get("Count") or 0
    yield from ids or ((EVERY_DEVICE,) if count < 0 else map(str, range(count)))


def _visible(variables: Sequence[str], devices: Sequence[Known]) -> Iterator[str]:
    """What its vendor's runtime was told by variables, the last of a name."""
    told = dict(one.split("=", 1) for one in variables if "=" in one)
    names = {name: None for one in devices for name in one.grant.environment if _is_list(name, one)}
    for name in names:
        yield from (claim for claim in told.get(name, "").split(",") if claim not in _NOBODYS)


def _is_list(name: str, device: Known) -> bool:
    """Whether this variable names devices: where none are given, it says so."""
    return name in device.grant.environment_without_runtime


def _by_vendor(known: Sequence[Known]) -> Iterator[tuple[str, list[Known]]]:
    for vendor in dict.fromkeys(one.vendor for one in known):
        yield vendor, [one for one in known if one.vendor == vendor]
