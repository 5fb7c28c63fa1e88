"""One maker whose devices are read in several ways: Intel's GPUs and its Gaudi."""

from collections.abc import Sequence

from agent.accelerators.pci import Function, Machine
from agent.accelerators.tooled import Tooled
from agent.accelerators.vendor import Grant, Probe
from headrace.nodes import Device
from headrace.refusals import Code, Refusal


class Together:
    """They, as one vendor. Each device is of one of them."""

    def __init__(self, parts: Sequence[Tooled]) -> None:
        self._parts = parts
        self._of: dict[str, Tooled] = {}
        self.name = parts[0].name
        self.seconds = max(part.seconds for part in parts)

    def claims(self, function: Function) -> bool:
        """Whether it is one of theirs."""
        return any(part.claims(function) for part in self._parts)

    def is_in(self, machine: Machine) -> bool:
        """Whether any of them has anything to tell."""
        return any(part.is_in(machine) for part in self._parts)

    def probe(self) -> Probe:
        """All that they find; what those say that find nothing, only where none does."""
        probes = [part.probe() for part in self._parts]
        self._of = {
            device.id: part for part, probe in zip(self._parts, probes, strict=True) for device in probe.devices
        }
        told = [probe for probe in probes if probe.found] or probes
        return Probe(
            devices=tuple(device for probe in told for device in probe.devices),
            found=any(probe.found for probe in probes),
            message="; ".join(probe.message for probe in told),
            remedy="; ".join(probe.remedy for probe in told if probe.remedy),
            is_degraded=any(probe.is_degraded for probe in told),
        )

    def sample(self, devices: Sequence[Device]) -> tuple[Device, ...]:
        """The same devices, each by its own way."""
        now = {
            device.id: device
            for part in self._parts
            for device in part.sample([each for each in devices if self._of.get(each.id) is part])
        }
        return tuple(now.get(device.id, device) for device in devices)

    def grant(self, device_ids: Sequence[str]) -> Grant:
        """Those of one way; no container gets both."""
        parts = list(dict.fromkeys(self._of.get(each, self._parts[0]) for each in device_ids)) or self._parts[:1]
        if len(parts) > 1:
            message = f"{self.name}: devices of two kinds are not given to one container; name a kind or a model"
            raise Refusal(Code.FAILED_PRECONDITION, "DEVICES_OF_TWO_KINDS", message)
        return parts[0].grant(device_ids)
