"""Devices that tests have, and how containers get them: of two makers, with nodes that any machine has."""

from collections.abc import Sequence
from dataclasses import replace

from agent.accelerators.grants import Known
from agent.accelerators.vendor import EngineRequest, Grant, Probe
from headrace.nodes import Device, Health
from headrace.refusals import Code, Refusal

# Character devices that are harmless, and that no container has unless it is given them.
NODES = ("/dev/fuse", "/dev/loop-control", "/dev/kmsg")


class Maker:
    """A maker of devices "<name>-0", "<name>-1", …, each with a node; its runtime and names are those of its kind."""

    def __init__(self, name: str, nodes: Sequence[str] = (), shared: Sequence[str] = (), *, kind: str = "gpu") -> None:
        self.name = name
        self.kind = kind
        self.nodes = tuple(nodes)
        self.shared = tuple(shared)

    def probe(self) -> Probe:
        return Probe(self.devices, found=True, message="as the test says")

    def sample(self, devices: Sequence[Device]) -> tuple[Device, ...]:
        return tuple(devices)

    @property
    def devices(self) -> tuple[Device, ...]:
        return tuple(
            Device(self._id(number), self.kind, self.name, "X1", index=number, health=Health.HEALTHY)
            for number in range(max(2, len(self.nodes)))
        )

    def _id(self, number: int) -> str:
        return f"{self.name}-{number}" if self.kind == "gpu" else f"{self.name}-{self.kind}-{number}"

    def grant(self, device_ids: Sequence[str]) -> Grant:
        numbers = [number for number, device in enumerate(self.devices) if device.id in device_ids]
        if len(numbers) < len(device_ids):
            raise Refusal(Code.NOT_FOUND, "DEVICE_UNKNOWN", f"{device_ids[0]} is not here")
        variable = f"{self.name.upper()}_VISIBLE_DEVICES"
        hidden = {variable: "void"}
        if not numbers:
            return Grant(hidden, hidden)
        return Grant(
            {variable: ",".join(device_ids)},
            hidden,
            cdi=tuple(f"{self.name}.com/gpu={one}" for one in device_ids),
            runtime=self.name,
            request=EngineRequest(self.name, tuple(device_ids), ("gpu",)),
            device_nodes=tuple(self.nodes[number] for number in numbers if number < len(self.nodes)),
            shared_nodes=self.shared if self.nodes else (),
        )

    def known(self) -> tuple[Known, ...]:
        return tuple(Known(self.name, device.id, self.grant([device.id])) for device in self.devices)


def plain(grant: Grant) -> Grant:
    """The same by its nodes alone."""
    return replace(grant, cdi=(), runtime="", request=None)
