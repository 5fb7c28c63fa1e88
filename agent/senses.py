"""What this node is, has and does, gathered so that nothing that hangs can hold the agent up."""

import asyncio
from collections.abc import Sequence
from pathlib import Path
from typing import Protocol

from agent import sensors
from agent.accelerators import sharing
from agent.accelerators.vendor import Vendor
from agent.accelerators.watch import Watches
from headrace.changes import replace
from headrace.nodes import Capacity, Device, Load, NodeDescription


class Senses(Protocol):
    """What the node is, has and does."""

    async def describe(self) -> NodeDescription:
        """What it is."""
        ...

    async def devices(self) -> tuple[Device, ...]:
        """What accelerators it has."""
        ...

    async def load(self) -> Load:
        """What it does."""
        ...


class NodeSenses:
    """The sensors and the vendors of one node. A vendor that hangs or fails hides its own devices only."""

    def __init__(
        self,
        folder: Path,
        vendors: Sequence[Vendor],
        *,
        region: str,
        owner: str,
        labels: dict[str, str],
        host_network: bool,
        reserved: Capacity,
    ) -> None:
        self._folder = folder
        self.vendors = vendors
        # Where /sys and /dev are.
        self.root = Path("/")
        # Patterns of devices of which several jobs may have parts.
        self.shareable: tuple[str, ...] = ()
        self._region = region
        self._owner = owner
        self._labels = labels
        self._host_network = host_network
        self._reserved = reserved
        # Where other nodes reach this one: what the settings say, or the way to the controller tells.
        self.address = ""
        # What its owner asks for an hour of a device, and of a core.
        self.device_hour_price, self.core_hour_price = 0.0, 0.0
        self._load = sensors.LoadSensor(folder)
        self._watches = Watches(vendors)
        self._described: NodeDescription | None = None

    async def describe(self) -> NodeDescription:
        """What it is, and how its vendors' devices were last looked for."""
        if self._described is None:
            self._described = await asyncio.to_thread(
                sensors.describe,
                self._folder,
                region=self._region,
                owner=self._owner,
                labels=self._labels,
                host_network=self._host_network,
                reserved=self._reserved,
                address=self.address,
            )
        return replace(
            self._described,
            vendors=self._watches.reports,
            device_hour_price=self.device_hour_price,
            core_hour_price=self.core_hour_price,
        )

    async def load(self) -> Load:
        """What it does just now."""
        return await asyncio.to_thread(self._load.read)

    async def devices(self) -> tuple[Device, ...]:
        """Its accelerators, as they are now; those of a vendor that does not answer as they last were."""
        await self._watches.look(asyncio.get_running_loop().time(), self.root)
        return self.seen()

    def seen(self) -> tuple[Device, ...]:
        """Its accelerators, as they were last seen."""
        return sharing.marked(self._watches.devices, self.shareable)
