"""What a container of this node gets of its devices, and what it must not get: of all vendors together."""

from collections.abc import Callable, Iterator, Sequence
from typing import NamedTuple

from agent.accelerators.vendor import Grant, Vendor
from headrace.changes import replace
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
        return tuple(known for _, known in self._owned())

    def granted(self, ids: tuple[str, ...]) -> Granted:
        """What a container gets that these are given to. Refusal: DEVICE_UNKNOWN, DEVICES_OF_TWO_VENDORS."""
        here = [vendor for vendor in self._vendors if self._of(vendor)]
        owned = list(self._owned()) if ids else []
        owner = self._owner(ids, owned) if ids else None
        hidden: dict[str, str] = {}
        for vendor in here:
            if vendor is not owner:
                hidden |= vendor.grant(()).environment_without_runtime
        if owner is None:
            return Granted(grant=Grant(environment_without_runtime=hidden))
        grant = owner.grant(ids)
        return Granted(
            owner.name,
            replace(
                grant,
                environment={**hidden, **grant.environment},
                environment_without_runtime={**hidden, **grant.environment_without_runtime},
            ),
            tuple(node for _, one in owned if one.id not in ids for node in one.grant.device_nodes),
        )

    def _owner(self, ids: tuple[str, ...], owned: list[tuple[Vendor, Known]]) -> Vendor:
        owners = {known.id: vendor for vendor, known in owned}
        for one in ids:
            if one in owners:
                continue
            for vendor in self._vendors:
                if any(device.id == one for device in self._of(vendor)):
                    # Its vendor says why not.
                    vendor.grant((one,))
            message = f"device {one} is not here any more; see `headrace-agent doctor`"
            raise Refusal(Code.NOT_FOUND, "DEVICE_UNKNOWN", message, device=one)
        vendors = list({id(owners[one]): owners[one] for one in ids}.values())
        if len(vendors) > 1:
            names = " and ".join(dict.fromkeys(vendor.name for vendor in vendors))
            message = f"devices of {names} are not given to one container; name a vendor in resources.accelerators"
            raise Refusal(Code.FAILED_PRECONDITION, "DEVICES_OF_TWO_VENDORS", message)
        return vendors[0]

    def _owned(self) -> Iterator[tuple[Vendor, Known]]:
        for vendor in self._vendors:
            for device in self._of(vendor):
                try:
                    yield vendor, Known(vendor.name, device.id, vendor.grant((device.id,)))
                except Refusal:
                    # It does not answer; or it is another one's of that name: a maker may have two kinds of devices.
                    continue

    def _of(self, vendor: Vendor) -> list[Device]:
        return [device for device in self._seen() if device.vendor == vendor.name]
