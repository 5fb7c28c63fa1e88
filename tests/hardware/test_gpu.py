"""On a machine with NVIDIA GPUs, `pytest -m gpu`: what NVML tells us, field by field beside what nvidia-smi prints."""

import shutil
import subprocess
from collections.abc import Callable

import pytest

from agent.accelerators.nvidia import Nvidia
from agent.accelerators.parsers.table import readings_of
from agent.accelerators.readings import Reading
from headrace.nodes import Device

pytestmark = [
    pytest.mark.gpu,
    pytest.mark.skipif(shutil.which("nvidia-smi") is None, reason="no nvidia-smi on this machine"),
]

MIB = 1 << 20

# What stays as it is is compared to the byte, as far as the tool prints it.
STILL: dict[str, Callable[[Device, Reading], tuple[object, object]]] = {
    "uuid": lambda ours, theirs: (ours.id, theirs.uuid),
    "model": lambda ours, theirs: (ours.model, theirs.model),
    "PCI address": lambda ours, theirs: (ours.pci_address, theirs.pci_address),
    "serial": lambda ours, theirs: (ours.serial, theirs.serial or ""),
    "driver": lambda ours, theirs: (ours.driver_version, theirs.driver_version),
    "memory, MiB": lambda ours, theirs: (_mib(ours.memory_bytes), _mib(theirs.memory_bytes)),
    "power limit, W": lambda ours, theirs: (_whole(ours.power_limit_watts), _whole(theirs.power_limit_watts)),
    "partition": lambda ours, theirs: (ours.partition, theirs.partition or ""),
}
# What moves between two questions, with how far it may.
MOVING: dict[str, tuple[Callable[[Device], float | None], Callable[[Reading], float | None], float]] = {
    "memory used, MiB": (
        lambda ours: _mib(ours.memory_used_bytes),
        lambda theirs: _mib(theirs.memory_used_bytes),
        1024,
    ),
    "temperature, °C": (lambda ours: ours.temperature_celsius, lambda theirs: theirs.temperature_celsius, 10),
    "power, W": (lambda ours: ours.power_watts, lambda theirs: theirs.power_watts, 150),
}


def _mib(size: int | None) -> int | None:
    return None if size is None else size // MIB


def _whole(watts: float | None) -> int | None:
    return None if watts is None else round(watts)


@pytest.fixture(scope="module")
def ours() -> dict[str, Device]:
    return {device.id: device for device in Nvidia().probe().devices}


@pytest.fixture(scope="module")
def theirs() -> dict[str, Reading]:
    said = subprocess.run(["nvidia-smi", "-q", "-x"], capture_output=True, text=True, check=True, timeout=60)
    found = readings_of("nvidia-smi -q -x", said.stdout)
    # Of a GPU with partitions these are the devices.
    parents = {one.partition_of for one in found if one.partition_of}
    return {one.uuid or "": one for one in found if one.uuid not in parents}


def test_the_same_devices_are_found(ours: dict[str, Device], theirs: dict[str, Reading]) -> None:
    assert ours
    assert sorted(ours) == sorted(theirs)


@pytest.mark.parametrize("field", STILL)
def test_what_stays_as_it_is_is_read_alike(field: str, ours: dict[str, Device], theirs: dict[str, Reading]) -> None:
    pairs = {name: STILL[field](device, theirs[name]) for name, device in ours.items()}

    assert {name: pair for name, pair in pairs.items() if pair[0] != pair[1]} == {}


@pytest.mark.parametrize("field", MOVING)
def test_what_moves_is_read_within_what_it_may_move(
    field: str, ours: dict[str, Device], theirs: dict[str, Reading]
) -> None:
    read, printed, tolerance = MOVING[field]
    pairs = {name: (read(device), printed(theirs[name])) for name, device in ours.items()}

    far = {
        name: (mine, other)
        for name, (mine, other) in pairs.items()
        if (mine is None) != (other is None)
        or (mine is not None and other is not None and abs(mine - other) > tolerance)
    }
    assert far == {}


def test_a_device_that_is_well_says_so(ours: dict[str, Device]) -> None:
    assert {device.id: device.health_reason for device in ours.values() if device.health_reason} == {}
