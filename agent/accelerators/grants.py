"""What a container of this node gets of its devices, and what it must not get: of all vendors together."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from typing import NamedTuple

from agent.accelerators.vendor import Grant, Vendor
from headrace.nodes import Device
from headrace.refusals import Code, Refusal


class Known(NamedTuple):
    """A device, and how a container gets it alone."""

    vendor: str
    id: str
    grant: Grant


class Granted(NamedTuple):
    """What one container gets: devices of this vendor (empty: none). `withheld` are the nodes of all other devices."""

    vendor: str = ""
    grant: Grant = Grant()
    withheld: tuple[str, ...] = ()


class Grants:
    """Grants of devices as they were last seen: `seen` tells which there are."""

    def __init__(self, vendors: Sequence[Vendor], seen: Callable[[], Sequence[Device]]) -> None:
        self._vendors = vendors
        self._seen = seen

    def known(self) -> tuple[Known, ...]:
        """Every device that can be given. One that does not answer cannot."""
        return tuple(self._known())

    def _known(self) -> Iterator[Known]:
        for vendor in self._vendors:
            for device in self._of(vendor):
                try:
                    yield Known(vendor.name, device.id, vendor.grant((device.id,)))
                except Refusal:
                    continue

    def granted(self, ids: tuple[str, ...]) -> Granted:
        """What a container gets that these are given to. Refusal: DEVICE_UNKNOWN, DEVICES_OF_TWO_VENDORS."""
        here = [vendor for vendor in self._vendors if self._of(vendor)]
        mine = [vendor for vendor in here if any(device.id in ids for device in self._of(vendor))]
        if len(mine) > 1:
            names = " and ".join(vendor.name for vendor in mine)
            message = f"devices of {names} are not given to one container; name a vendor in resources.accelerators"
            raise Refusal(Code.FAILED_PRECONDITION, "DEVICES_OF_TWO_VENDORS", message)
        if ids and not mine:
            message = f"device {ids[0]} is not here or does not answer; see `headrace-agent doctor`"
            raise Refusal(Code.NOT_FOUND, "DEVICE_UNKNOWN", message, device=ids[0])
        hidden: dict[str, str] = {}
        for vendor in here:
            if vendor not in mine:
                hidden |= vendor.grant(()).environment_without_runtime
        if not mine:
            return Granted(grant=Grant(environment_without_runtime=hidden))
        grant = mine[0].grant(ids)
        return Granted(
            mine[0].name,
            replace(
                grant,
                environment={**hidden, **grant.environment},
                environment_without_runtime={**hidden, **grant.environment_without_runtime},
            ),
            tuple(node for one in self._known() if one.id not in ids for node in one.grant.device_nodes),
        )

    def _of(self, vendor: Vendor) -> list[Device]:
        return [device for device in self._seen() if device.vendor == vendor.name]
