"""What an accelerator's vendor must tell. Every implementation passes tests/contract/vendor_suite.py."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Protocol

from agent.accelerators.pci import Function, Machine
from headrace.nodes import Device


@dataclass(frozen=True, slots=True)
class Probe:
    """What was found. `found`: this vendor's hardware is here, usable or not; `message` says by which means, and why.

    `remedy` is what an operator should do; empty: nothing. `is_degraded`: some of what is here could not be read.
    """

    devices: tuple[Device, ...]
    found: bool
    message: str
    remedy: str = ""
    is_degraded: bool = False


@dataclass(frozen=True, slots=True)
class EngineRequest:
    """A request for devices that an engine's own driver of that name carries out."""

    driver: str
    device_ids: tuple[str, ...]
    capabilities: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Grant:
    """Ways to give devices to a container, best first; the engine takes the first that it offers.

    1. `cdi`: names of the Container Device Interface. 2. `runtime`: the vendor's own OCI runtime, told by
    `environment`. 3. `request`, with `environment`. 4. `device_nodes`, the devices' own, and `shared_nodes`, which each
    container with any of them needs; with `mounts` (the vendor's libraries and tools, read-only, where they are on the
    node) and `library_environment`, which is weaker than what the job says itself. An empty one is not possible for
    these devices. With 1, with 4 and where nothing is granted, `environment_without_runtime` goes instead of
    `environment`: it keeps an image that asks for every device from getting them.

    Whatever the way: `groups` (numbers) that may open the nodes, `limits` ("memlock": -1 is none), `capabilities`
    ("SYS_NICE") and `security_options` ("seccomp=unconfined") that the vendor's libraries need. All paths are there.
    """

    environment: dict[str, str] = field(default_factory=dict)
    environment_without_runtime: dict[str, str] = field(default_factory=dict)
    cdi: tuple[str, ...] = ()
    runtime: str = ""
    request: EngineRequest | None = None
    device_nodes: tuple[str, ...] = ()
    shared_nodes: tuple[str, ...] = ()
    mounts: tuple[str, ...] = ()
    library_environment: dict[str, str] = field(default_factory=dict)
    groups: tuple[int, ...] = ()
    limits: dict[str, int] = field(default_factory=dict)
    capabilities: tuple[str, ...] = ()
    security_options: tuple[str, ...] = ()


class Vendor(Protocol):
    """Plain blocking calls, any of which may hang in the kernel for ever.

    They are called through `agent.accelerators.deadline.within`, and no second one is begun while one still hangs. None
    raises because of a device or a driver: what is wrong is in the answer. A reading that a device does not give is
    `None`.
    """

    name: str
    # How often it may be asked for new readings.
    seconds: float

    def claims(self, function: Function) -> bool:
        """Whether a function on the PCI bus is one of this vendor's accelerators."""
        ...

    def is_in(self, machine: Machine) -> bool:
        """Whether any of this vendor's hardware is here; asks no driver."""
        ...

    def probe(self) -> Probe:
        """Looks for devices anew: a driver may have been loaded since. One bad device never hides the others."""
        ...

    def sample(self, devices: Sequence[Device]) -> tuple[Device, ...]:
        """The same devices, in the same order, as they are now."""
        ...

    def grant(self, device_ids: Sequence[str]) -> Grant:
        """How a container gets exactly these devices, as the last probe knew them; asks no driver.

        Refusal: DEVICE_UNKNOWN. No ids: how a container gets none.
        """
        ...
