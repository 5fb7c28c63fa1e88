"""What this node is, has and does, gathered so that nothing that hangs can hold the agent up."""

import asyncio
import logging
from collections.abc import Sequence
from pathlib import Path

from agent import sensors
from agent.accelerators import sharing
from agent.accelerators.deadline import within
from agent.accelerators.vendor import Vendor
from headrace.nodes import Capacity, Device, Load, NodeDescription

PROBE_SECONDS = 10.0
# A driver may be loaded, and a card lost, while the agent runs.
PROBE_AGAIN_SECONDS = 60.0

_log = logging.getLogger(__name__)


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
        # Patterns of devices of which several jobs may have parts.
        self.shareable: tuple[str, ...] = ()
        self._region = region
        self._owner = owner
        self._labels = labels
        self._host_network = host_network
        self._reserved = reserved
        self._load = sensors.LoadSensor(folder)
        self._devices: dict[str, tuple[Device, ...]] = {vendor.name: () for vendor in vendors}
        self._messages: dict[str, str] = {}
        self._busy: dict[str, asyncio.Task[tuple[Device, ...]]] = {}
        self._probed_at: dict[str, float] = {}

    async def describe(self) -> NodeDescription:
        """What it is."""
        return await asyncio.to_thread(
            sensors.describe,
            self._folder,
            region=self._region,
            owner=self._owner,
            labels=self._labels,
            host_network=self._host_network,
            reserved=self._reserved,
        )

    async def load(self) -> Load:
        """What it does just now."""
        return await asyncio.to_thread(self._load.read)

    async def devices(self) -> tuple[Device, ...]:
        """Its accelerators, as they are now; those of a vendor that does not answer as they last were."""
        for vendor in self.vendors:
            await self._look(vendor)
        return self.seen()

    def seen(self) -> tuple[Device, ...]:
        """Its accelerators, as they were last seen."""
        found = tuple(device for found in self._devices.values() for device in found)
        return sharing.marked(found, self.shareable)

    async def _look(self, vendor: Vendor) -> None:
        task = self._busy.get(vendor.name)
        if task is None:
            task = self._busy[vendor.name] = asyncio.create_task(self._ask(vendor))
        # No second call while one hangs; the other vendors and the agent are not kept waiting for it.
        done, _ = await asyncio.wait([task], timeout=PROBE_SECONDS)
        if not done:
            self._say(vendor, f"{vendor.name}: the driver has not answered for {PROBE_SECONDS:g} s")
            return
        del self._busy[vendor.name]
        error = task.exception()
        if error is not None:
            # A vendor's module that fails hides what is new with its own devices, and nothing else.
            self._say(vendor, f"{vendor.name}: looking for devices failed: {error!r}; please report it")
            return
        self._devices[vendor.name] = task.result()

    async def _ask(self, vendor: Vendor) -> tuple[Device, ...]:
        now = asyncio.get_running_loop().time()
        known = self._devices[vendor.name]
        if known and now - self._probed_at.get(vendor.name, -PROBE_AGAIN_SECONDS) < PROBE_AGAIN_SECONDS:
            return await within(_FOR_EVER, lambda: vendor.sample(known))
        probe = await within(_FOR_EVER, vendor.probe)
        self._probed_at[vendor.name] = now
        self._say(vendor, f"{vendor.name}: {probe.message}")
        return probe.devices

    def _say(self, vendor: Vendor, message: str) -> None:
        if self._messages.get(vendor.name) != message:
            self._messages[vendor.name] = message
            _log.info("%s", message)


# The wait has its own deadline; the thread is waited for as long as it takes, so that there is only ever one.
_FOR_EVER = 86_400.0 * 365
