"""When which vendor is asked, and what it last said: one that is slow holds up nobody, and is asked once at a time."""

import asyncio
import logging
from collections.abc import Sequence
from pathlib import Path

from agent.accelerators import pci
from agent.accelerators.deadline import within
from agent.accelerators.matching import is_unread, unread
from agent.accelerators.pci import Machine
from agent.accelerators.vendor import Probe, Vendor
from headrace.changes import replace
from headrace.nodes import Device, Health, VendorReport, VendorState

# How often the bus is looked at: a card may come or go, and its driver may be loaded, while the agent runs.
LOOK_SECONDS = 5.0
# How often all that a vendor knows is asked for; between, how its devices are.
PROBE_AGAIN_SECONDS = 60.0
# The same, where something is wrong: it may have been mended.
PROBE_ILL_SECONDS = 15.0
# How long the first answer of a vendor is waited for, and how long each later one: it is taken when it is there.
FIRST_SECONDS = 10.0
LATER_SECONDS = 0.5
# Less than that is no news, and would make each report another one.
_MEMORY_BYTES = 1 << 20

_log = logging.getLogger(__name__)


class Watch:
    """One vendor."""

    def __init__(self, vendor: Vendor) -> None:
        self.vendor = vendor
        self.devices: tuple[Device, ...] = ()
        # `None`: none of its hardware is here, or ever was.
        self.report: VendorReport | None = None
        self.task: asyncio.Task[None] | None = None
        self.began = 0.0
        self._asked_at: float | None = None
        self._probed_at: float | None = None
        self._machine: Machine | None = None
        self._is_here = False
        self._bus: tuple[pci.Function, ...] = ()

    @property
    def has_answered(self) -> bool:
        """Whether it ever did."""
        return self._asked_at is not None

    @property
    def present(self) -> VendorReport | None:
        """What is to be told of it: of one that is asked for the first time, that its devices are still to come."""
        if self.report is None and self.task is not None and not self.has_answered:
            return VendorReport(self.vendor.name, VendorState.DEGRADED, "its driver has not answered yet")
        return self.report

    def begin(self, machine: Machine, now: float) -> None:
        """Asks it, if it has anything to tell and is not being asked."""
        if self.task is not None and not self.task.done():
            if now - self.began > FIRST_SECONDS:
                self._hangs()
            return
        changed = False
        if machine is not self._machine:
            self._machine, self._is_here = machine, self.vendor.is_in(machine)
            bus = tuple(one for one in machine.functions or () if self.vendor.claims(one))
            changed, self._bus = bus != self._bus, bus
        if not self._is_here and self.report is None:
            return
        if self._asked_at is not None and now - self._asked_at < self.vendor.seconds and not changed:
            return
        well = self.report is not None and self.report.state is VendorState.WELL
        again = PROBE_AGAIN_SECONDS if well else PROBE_ILL_SECONDS
        old = self._probed_at is None or now - self._probed_at >= again
        probing = not self.devices or old or changed
        self.began = now
        self.task = asyncio.create_task(self._ask(now, probing=probing))

    async def _ask(self, now: float, *, probing: bool) -> None:
        # The wait has its own deadline; the thread is waited for as long as it takes, so that there is only ever one.
        if not probing:
            known = self.devices
            self.devices = tuple(_settled(each) for each in await within(_FOR_EVER, lambda: self.vendor.sample(known)))
            self._asked_at = now
            if ill := [each for each in self.devices if is_unread(each)]:
                reasons = dict.fromkeys(each.health_reason for each in ill)
                self._say(VendorReport(self.vendor.name, VendorState.DEGRADED, "; ".join(reasons)))
            return
        probe = await within(_FOR_EVER, self.vendor.probe)
        self._asked_at = self._probed_at = now
        self.devices = tuple(_settled(each) for each in probe.devices)
        if probe.found or self.report is not None:
            self._say(VendorReport(self.vendor.name, _state(probe), probe.message, probe.remedy))

    def taken(self) -> None:
        """Takes note of how the last asking ended."""
        if self.task is None or not self.task.done():
            return
        error = self.task.exception()
        self.task = None
        if error is not None:
            # A vendor's module that fails hides what is new with its own devices, and nothing else.
            message = f"looking for devices failed: {error!r}; please report it"
            self._say(VendorReport(self.vendor.name, VendorState.DEGRADED, message))

    def _hangs(self) -> None:
        message = f"the driver has not answered for {FIRST_SECONDS:g} s"
        self.devices = tuple(
            each if each.health is Health.UNHEALTHY else unread(each, Health.UNKNOWN, message) for each in self.devices
        )
        remedy = "look for the cards' errors in the kernel's log; reset the card or restart the machine"
        self._say(VendorReport(self.vendor.name, VendorState.DEGRADED, message, remedy))

    def _say(self, report: VendorReport) -> None:
        if report != self.report:
            self.report = report
            _log.info("%s: %s", report.vendor, report.message)


class Watches:
    """All vendors of one node."""

    def __init__(self, vendors: Sequence[Vendor]) -> None:
        self._watches = tuple(Watch(vendor) for vendor in vendors)
        self._machine: Machine | None = None
        self._looked_at = 0.0

    @property
    def devices(self) -> tuple[Device, ...]:
        """As they were last seen."""
        return tuple(device for watch in self._watches for device in watch.devices)

    @property
    def reports(self) -> tuple[VendorReport, ...]:
        """Of vendors whose hardware is or was here."""
        return tuple(report for watch in self._watches if (report := watch.present) is not None)

    async def look(self, now: float, root: Path) -> None:
        """Asks those whose turn it is, and takes what is answered soon; the rest the next time.

        `now` is in seconds; `root` is where /sys and /dev are.
        """
        if self._machine is None or now - self._looked_at >= LOOK_SECONDS:
            self._machine = await asyncio.to_thread(pci.look, root)
            self._looked_at = now
        for watch in self._watches:
            watch.begin(self._machine, now)
        first = [one for one in self._watches if one.task is not None and not one.has_answered]
        if first:
            left = FIRST_SECONDS - max(now - one.began for one in first)
            await asyncio.wait([one.task for one in first if one.task is not None], timeout=max(0.0, left))
        if tasks := [one.task for one in self._watches if one.task is not None]:
            await asyncio.wait(tasks, timeout=LATER_SECONDS)
        for watch in self._watches:
            watch.taken()


def _state(probe: Probe) -> VendorState:
    if not probe.found:
        return VendorState.ABSENT
    if probe.is_degraded or not probe.devices:
        return VendorState.DEGRADED
    return VendorState.WELL


def _settled(device: Device) -> Device:
    """Without the noise of its sensors, so that reports of a device at rest are the same."""
    used = device.memory_used_bytes
    return replace(
        device,
        memory_used_bytes=None if used is None else used // _MEMORY_BYTES * _MEMORY_BYTES,
        busy_percent=_rounded(device.busy_percent),
        temperature_celsius=_rounded(device.temperature_celsius),
        power_watts=_rounded(device.power_watts),
    )


def _rounded(figure: float | None) -> float | None:
    return None if figure is None else float(round(figure))


_FOR_EVER = 86_400.0 * 365
