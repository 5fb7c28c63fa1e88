"""A maker's devices by what its Spec says: seen on the bus, read by sysfs and by the maker's tool."""

import shlex
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from agent.accelerators import giving, pci
from agent.accelerators.matching import Ambiguous, Found, Kin, Place, Silence, Told, filled, found, is_unread, unread
from agent.accelerators.parsers.table import readings_of
from agent.accelerators.pci import Function, Machine
from agent.accelerators.readings import Reading
from agent.accelerators.spec import Spec
from agent.accelerators.tools import Missing, Runner, Trouble
from agent.accelerators.vendor import Grant, Probe
from headrace.changes import replace
from headrace.nodes import Device, Health
from headrace.refusals import Refusal

# For how long a tool that failed is left alone, by how often it failed in a row.
BACKOFF_SECONDS = (5.0, 10.0, 30.0, 60.0)
# How often each device's further figures, and what it is besides, are asked for.
FIGURES_SECONDS = 15.0
DETAILS_SECONDS = 600.0
_ROOT = Path("/")


@dataclass(frozen=True, slots=True)
class _Round:
    """What a round of asking brought, and what was in the way of more."""

    told: tuple[Told, ...]
    means: str
    trouble: Trouble | None = None


class Tooled:
    """One maker. `root` is where /sys and /dev are; `clock` counts seconds."""

    # A tool is a process of its own each time.
    seconds = 5.0

    def __init__(self, spec: Spec, root: Path = _ROOT, clock: Callable[[], float] = time.monotonic) -> None:
        self.name = spec.name
        self._spec = spec
        self._root = root
        self._clock = clock
        self._kin = Kin(spec.name, spec.kind, spec.models, spec.kinds, spec.takes_passed_on)
        self._runner = Runner(spec.tools, root, seconds=spec.tool_seconds)
        self._known: tuple[Found, ...] = ()
        self._figures: tuple[Reading, ...] = ()
        self._details: tuple[Reading, ...] = ()
        self._figures_at = self._details_at = 0.0
        self._listed_before: tuple[object, ...] = ()
        # The command that listed the devices last time.
        self._listing = ""
        self._failed: Trouble | None = None
        self._failures = 0
        self._not_before = 0.0

    def claims(self, function: Function) -> bool:
        """Whether a function on the bus is one of this maker's accelerators."""
        return self._spec.presence.claims(function)

    def is_in(self, machine: Machine) -> bool:
        """Whether there is anything to ask for."""
        return self._spec.presence.is_in(machine)

    def probe(self) -> Probe:
        """All devices: those that answer, and those that do not, with the reason."""
        machine = pci.look(self._root)
        here = self.is_in(machine)
        if not here and not self._known:
            return Probe((), found=False, message=self._absence(machine))
        told = self._asked(machine, thorough=True) if here else _Round((), "the PCI bus")
        self._known = self._found(machine, told)
        devices = tuple(one.device for one in self._known)
        message = f"{told.means}: {len(devices)} devices"
        if told.trouble is not None:
            message = f"{told.trouble.reason}; {message}"
        remedy = _remedy(told.trouble, devices)
        ill = told.trouble is not None or any(is_unread(each) for each in devices)
        return Probe(devices, found=True, message=message, remedy=remedy, is_degraded=ill)

    def sample(self, devices: Sequence[Device]) -> tuple[Device, ...]:
        """The same devices with new readings."""
        if not devices:
            return ()
        machine = pci.look(self._root)
        told = self._asked(machine, thorough=False)
        if self._misses_some(machine, told):
            # Twice in a row: an output that lacked a card once must not cost it its job.
            told = self._asked(machine, thorough=False)
        self._known = self._found(machine, told)
        now = {one.device.id: one.device for one in self._known}
        gone = (Health.UNHEALTHY, "it is not listed any more")
        return tuple(now.get(device.id) or unread(device, *gone) for device in devices)

    def grant(self, device_ids: Sequence[str]) -> Grant:
        """As the Spec's Giving says."""
        known = {one.device.id: one for one in self._known}
        return giving.grant(self._spec.giving, known, device_ids, self._root)

    def _found(self, machine: Machine, told: _Round) -> tuple[Found, ...]:
        cards = self._spec.presence.cards(machine)
        if not (cards or told.told or self._known):
            return self._on_no_bus(machine, told)
        try:
            return found(self._kin, cards, told.told, self._known, self._silence(told))
        except Ambiguous as ambiguous:
            lost = Health.UNKNOWN, f"{told.means}: {ambiguous}"
            return found(self._kin, cards, (), self._known, Silence(lost, lost))

    def _on_no_bus(self, machine: Machine, told: _Round) -> tuple[Found, ...]:
        """Devices that only their driver's nodes tell of."""
        health, reason = self._silence(told).new
        nodes = self._spec.presence.nodes_in(machine)
        devices = (Device(f"{self.name}-{at}", self._spec.kind, self.name, "", at) for at, _ in enumerate(nodes))
        return tuple(Found(Place("", one.index), unread(one, health, reason)) for one in devices)

    def _misses_some(self, machine: Machine, told: _Round) -> bool:
        if told.trouble is not None or not self._listing:
            return False
        return any(
            after.device.health is Health.UNHEALTHY and before.device.health is not Health.UNHEALTHY
            for before in self._known
            for after in self._found(machine, told)
            if after.device.id == before.device.id and not after.is_told
        )

    def _asked(self, machine: Machine, *, thorough: bool) -> _Round:
        spec = self._spec
        own = spec.sysfs(self._root, spec.presence.cards(machine)) if spec.sysfs else ()
        means = "sysfs" if spec.sysfs else "the PCI bus"
        alone = tuple(Told(each, each) for each in own if not spec.needs_tool or each.memory_bytes is not None)
        if not spec.listing or not any(self._driven(machine)):
            return _Round(alone, means)
        try:
            listed = self._listed(thorough=thorough)
        except Missing as missing:
            needed = spec.needs_tool
            return _Round(alone, means, missing) if needed else _Round(alone, f"{means} ({missing.reason})")
        except Trouble as trouble:
            return _Round(alone, means, trouble)
        more = (*self._figures, *self._details)
        if spec.needs_tool or not own:
            return _Round(tuple(Told(each, filled(each, (*more, *own))) for each in listed), self._listing)
        # Where the kernel tells all, it is believed: the tool is asked for what is left.
        told = tuple(Told(each, filled(each, (*listed, *more))) for each in own)
        return _Round(told, f"{means} and {self._listing}")

    def _driven(self, machine: Machine) -> Iterator[bool]:
        """Of each card, whether its driver can be asked for it; a card on no bus is there by its driver's node."""
        yield from (bool(card.driver) and card.driver != pci.PASSED_ON for card in self._spec.presence.cards(machine))
        yield from (True for _ in self._spec.presence.nodes_in(machine))

    def _listed(self, *, thorough: bool) -> tuple[Reading, ...]:
        """What the tool tells. Trouble, also while a tool that failed is left alone."""
        if self._failed is not None and self._clock() < self._not_before:
            raise self._failed.with_traceback(None)
        try:
            listed = self._first_readable(thorough=thorough)
        except Missing:
            # To look for it costs nothing, and it may be installed at any time.
            raise
        except Trouble as trouble:
            self._failed = trouble
            self._not_before = self._clock() + BACKOFF_SECONDS[min(self._failures, len(BACKOFF_SECONDS) - 1)]
            self._failures += 1
            raise
        self._failed, self._failures = None, 0
        self._ask_for_more(listed)
        return listed

    def _ask_for_more(self, listed: tuple[Reading, ...]) -> None:
        """For what changes seldom, seldom: some of these tools take a second for each card."""
        now, who = self._clock(), tuple((each.uuid, each.pci_address, each.index, each.board) for each in listed)
        changed, self._listed_before = who != self._listed_before, who
        if changed or now - self._figures_at >= FIGURES_SECONDS:
            self._figures, self._figures_at = tuple(self._told_of_each(self._spec.figures, listed)), now
        if changed or now - self._details_at >= DETAILS_SECONDS:
            self._details, self._details_at = tuple(self._told_of_each(self._spec.details, listed)), now

    def _first_readable(self, *, thorough: bool) -> tuple[Reading, ...]:
        commands = [self._listing] if self._listing and not thorough else list(self._spec.listing)
        troubles: list[Trouble] = []
        for command in commands:
            try:
                readings = self._readings(command)
            except Trouble as trouble:
                if trouble.whole:
                    raise
                troubles.append(trouble)
                continue
            self._listing = command
            return readings
        # What is here and fails says more than what is not here.
        raise next((each for each in troubles if not isinstance(each, Missing)), troubles[0])

    def _told_of_each(self, patterns: Sequence[str], listed: Sequence[Reading]) -> Iterator[Reading]:
        for command, board in dict.fromkeys(_commands(patterns, listed)):
            try:
                readings = self._readings(command)
            except Trouble as trouble:
                if trouble.whole:
                    return
                # Other versions of the tool do not know it; the devices are listed without.
                continue
            if board and len(readings) == 1:
                # It is of the board, and so of each of its devices.
                readings = (replace(readings[0], index=None, board=board),)
            yield from readings

    def _readings(self, command: str) -> tuple[Reading, ...]:
        text = self._runner.output(command)
        try:
            readings = readings_of(command, text)
        except Refusal as refusal:
            raise Trouble(
                f"{command} printed what cannot be read: {refusal.message}",
                f"run it by hand; where its output is whole, tell us of it: `headrace-agent parse --command"
                f' "{command}" FILE` shows what is read of it',
            ) from refusal
        if not readings:
            raise Trouble(f"{command} lists no device", "look into the kernel's log for why the driver has none")
        if any(each.vendor != self.name for each in readings):
            # Two makers' tools have one name.
            raise Trouble(
                f"the {shlex.split(command)[0]} that was found is another maker's", "put this maker's into PATH"
            )
        return readings

    def _silence(self, told: _Round) -> Silence:
        spec = self._spec
        if told.trouble is not None:
            reason = told.trouble.reason
            if spec.needs_tool:
                return Silence((Health.UNHEALTHY, reason), (Health.UNKNOWN, reason))
            return Silence((Health.UNKNOWN, reason), (Health.UNKNOWN, reason))
        if self._listing or spec.sysfs:
            missed = f"{told.means} does not list it: look for its errors in the kernel's log"
            return Silence((Health.UNHEALTHY, missed), (Health.UNHEALTHY, missed))
        return Silence((Health.UNKNOWN, ""), (Health.UNKNOWN, ""))

    def _absence(self, machine: Machine) -> str:
        nodes = f" and no /dev/{self._spec.presence.nodes[0]}*" if self._spec.presence.nodes else ""
        if machine.functions is None:
            return f"the PCI bus cannot be seen (no /sys/bus/pci){nodes}"
        return f"no {self._spec.maker} card on the PCI bus{nodes}"


def _remedy(trouble: Trouble | None, devices: Sequence[Device]) -> str:
    ill = [f"{one.id}: {one.health_reason}" for one in devices if one.health_reason]
    if trouble is not None:
        return trouble.remedy
    return "; ".join(ill)


def _commands(patterns: Sequence[str], listed: Sequence[Reading]) -> Iterator[tuple[str, str]]:
    """Each command with the board that it asks for, or with none."""
    for pattern in patterns:
        for reading in listed:
            if "{board}" in pattern:
                yield pattern.format(board=reading.board), reading.board or ""
            else:
                yield pattern.format(index=reading.index), ""
