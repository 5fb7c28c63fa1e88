"""When vendors are asked: none waits for another, none is asked in vain, and what was wrong is told."""

import threading
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from agent.accelerators import watch
from agent.accelerators.pci import Function, Machine
from agent.accelerators.vendor import Probe, Vendor
from agent.accelerators.watch import Watches
from headrace.nodes import Device, Health, VendorReport, VendorState
from tests.contract.machines import card, gone

WELL = Device("A-1", "gpu", "acme", "Acme 1", memory_used_bytes=5 << 20, busy_percent=37.0, temperature_celsius=55.0)


class Acme:
    """A vendor whose cards a test makes, and whose driver may hang."""

    seconds = 5.0

    def __init__(self, name: str = "acme", device: Device = WELL) -> None:
        self.name = name
        self.device = replace(device, vendor=name)
        self.asked: list[str] = []
        self.free = threading.Event()
        self.free.set()

    def claims(self, function: Function) -> bool:
        return function.vendor == "acce"

    def is_in(self, machine: Machine) -> bool:
        return any(self.claims(each) for each in machine.functions or ())

    def probe(self) -> Probe:
        self.asked.append("probe")
        self.free.wait()
        return Probe((self.device,), found=True, message="by its library")

    def sample(self, devices: tuple[Device, ...]) -> tuple[Device, ...]:
        self.asked.append("sample")
        self.free.wait()
        return tuple(self.device for _ in devices)

    def grant(self, _ids: tuple[str, ...]) -> None:
        raise NotImplementedError


@pytest.fixture
def acme() -> Iterator[Acme]:
    vendor = Acme()
    yield vendor
    vendor.free.set()


@pytest.fixture
def root(tmp_path: Path) -> Path:
    card(tmp_path, "0000:01:00.0", "acce:0001")
    return tmp_path


def watches(*vendors: Acme) -> Watches:
    typed: list[Vendor] = list(vendors)  # type: ignore[arg-type]
    return Watches(typed)


async def test_a_vendor_without_a_card_is_never_asked_and_not_told_of(acme: Acme, tmp_path: Path) -> None:
    of = watches(acme)

    for now in range(0, 200, 5):
        await of.look(now, tmp_path)

    assert acme.asked == []
    assert of.reports == ()


async def test_it_is_asked_for_all_once_a_minute_and_for_figures_as_often_as_it_allows(acme: Acme, root: Path) -> None:
    of = watches(acme)

    for now in range(70):
        await of.look(now, root)

    assert acme.asked == ["probe", *["sample"] * 11, "probe", "sample"]
    assert of.devices == (acme.device,)
    assert of.reports == (VendorReport("acme", VendorState.WELL, "by its library"),)


async def test_a_card_that_comes_or_goes_has_it_asked_for_all_at_the_next_look_at_the_bus(
    acme: Acme, root: Path
) -> None:
    of = watches(acme)
    await of.look(0, root)

    card(root, "0000:02:00.0", "acce:0001")
    await of.look(watch.LOOK_SECONDS, root)

    assert acme.asked == ["probe", "probe"]


async def test_hardware_that_was_here_is_told_of_as_absent(acme: Acme, root: Path) -> None:
    of = watches(acme)
    await of.look(0, root)
    gone(root, "0000:01:00.0")
    acme.probe = lambda: Probe((), found=False, message="no card")  # type: ignore[method-assign]

    await of.look(watch.LOOK_SECONDS, root)

    assert of.reports == (VendorReport("acme", VendorState.ABSENT, "no card"),)


async def test_one_that_hangs_holds_up_no_other_and_is_not_asked_twice(
    acme: Acme, root: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(watch, "LATER_SECONDS", 0.01)
    other = Acme("other")
    of = watches(acme, other)
    await of.look(0, root)
    acme.free.clear()

    for now in range(5, 30, 5):
        await of.look(now, root)

    assert acme.asked == ["probe", "sample"]
    assert other.asked == ["probe", *["sample"] * 5]
    ill, well = of.devices
    assert (ill.id, ill.health, ill.busy_percent) == ("A-1", Health.UNKNOWN, None)
    assert "not answered" in ill.health_reason
    assert well == other.device
    assert [report.state for report in of.reports] == [VendorState.DEGRADED, VendorState.WELL]


async def test_one_that_hangs_from_the_first_is_waited_for_once(
    acme: Acme, root: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(watch, "FIRST_SECONDS", 0.01)
    monkeypatch.setattr(watch, "LATER_SECONDS", 0.01)
    acme.free.clear()
    of = watches(acme)

    await of.look(0, root)
    await of.look(1, root)

    assert of.devices == ()
    assert [report.state for report in of.reports] == [VendorState.DEGRADED]


async def test_what_it_answers_late_is_taken(acme: Acme, root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(watch, "FIRST_SECONDS", 0.01)
    monkeypatch.setattr(watch, "LATER_SECONDS", 0.01)
    acme.free.clear()
    of = watches(acme)
    await of.look(0, root)

    acme.free.set()
    monkeypatch.setattr(watch, "LATER_SECONDS", 60)
    await of.look(0.001, root)

    assert of.devices == (acme.device,)
    assert [report.state for report in of.reports] == [VendorState.WELL]


async def test_devices_that_cannot_be_read_degrade_their_vendor_until_they_can(acme: Acme, root: Path) -> None:
    of = watches(acme)
    await of.look(0, root)
    well = acme.device
    acme.device = Device("A-1", "gpu", "acme", "Acme 1", health_reason="acme-smi: no answer within 10 s")

    await of.look(5, root)
    ill = of.reports
    acme.device = well
    await of.look(10, root)
    await of.look(20, root)

    assert ill == (VendorReport("acme", VendorState.DEGRADED, "acme-smi: no answer within 10 s"),)
    assert of.reports == (VendorReport("acme", VendorState.WELL, "by its library"),)


async def test_the_noise_of_sensors_is_no_news(acme: Acme, root: Path) -> None:
    of = watches(acme)
    await of.look(0, root)
    before = of.devices
    acme.device = replace(acme.device, memory_used_bytes=(5 << 20) + 4096, busy_percent=37.2, temperature_celsius=54.8)

    await of.look(5, root)

    assert acme.asked == ["probe", "sample"]
    assert of.devices == before
