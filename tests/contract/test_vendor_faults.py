"""What each vendor's tool can do wrong, over what it printed on real machines: the vendor says so; nothing breaks."""

from dataclasses import replace

import pytest

from agent.accelerators.tooled import BACKOFF_SECONDS, Tooled
from headrace.nodes import Health
from headrace.refusals import Refusal
from tests.contract import machines
from tests.contract.recorded_vendors import RECORDED_VENDORS
from tests.contract.vendor_suite import READINGS

EVERY = pytest.mark.parametrize("recorded", RECORDED_VENDORS, ids=lambda each: f"{each.spec.name}-{each.program}")
ENDLESS = "exec sleep 600"


class Clock:
    """Seconds that pass when a test says so."""

    def __init__(self):
        self.now = 1000.0

    def __call__(self):
        return self.now


@pytest.fixture
def clock():
    return Clock()


@pytest.fixture
def folder(tmp_path, monkeypatch):
    """Where tools are found."""
    path = tmp_path / "bin"
    path.mkdir()
    monkeypatch.setenv("PATH", f"{path}:/usr/bin:/bin")
    return path


def machine(recorded, tmp_path, clock, *, seconds=30.0):
    recorded.machine(tmp_path / "root")
    # No tool of this machine may answer for the one that was recorded.
    spec = replace(recorded.spec, tools=replace(recorded.spec.tools, places=()), tool_seconds=seconds)
    return Tooled(spec, tmp_path / "root", clock)


def is_silent(device):
    return all(getattr(device, name) is None for name in READINGS)


@EVERY
def test_what_was_recorded_is_read_and_matched_with_the_cards(recorded, tmp_path, folder, clock):
    vendor = machine(recorded, tmp_path, clock)
    recorded.tool(folder)

    probe = vendor.probe()

    assert probe.found
    assert not probe.is_degraded
    assert sorted({device.pci_address for device in probe.devices}) == sorted(recorded.addresses())
    assert all(device.pci_id == recorded.pci_id and device.vendor == vendor.name for device in probe.devices)
    assert all(device.numa_node in (0, 1) and device.pcie_root == "pci0000:00" for device in probe.devices)
    assert not any(is_silent(device) or device.health is Health.UNHEALTHY for device in probe.devices)
    assert len({device.id for device in probe.devices}) == len(probe.devices)
    assert vendor.sample(probe.devices) == probe.devices


@EVERY
def test_without_the_tool_each_card_is_told_of_with_what_is_missing(recorded, tmp_path, folder, clock):
    assert not any(folder.iterdir())

    probe = machine(recorded, tmp_path, clock).probe()

    assert [device.pci_address for device in probe.devices] == sorted(recorded.addresses())
    assert all(device.health is Health.UNHEALTHY for device in probe.devices)
    assert all(device.health_reason.startswith("driver tool missing: ") for device in probe.devices)
    assert probe.is_degraded
    assert recorded.spec.listing[0].split()[0] in probe.remedy


@EVERY
@pytest.mark.parametrize(
    "printed",
    [b"\xff\xfe\x00garbage\x1b[31m", b"", b'{"schema": 9, "devices": []}', b"Error: driver not loaded, code -8005\n"],
    ids=["garbage", "nothing", "another version", "an error's text"],
)
def test_what_cannot_be_read_degrades_the_vendor_until_it_can(recorded, printed, tmp_path, folder, clock):
    vendor = machine(recorded, tmp_path, clock)
    tool = recorded.tool(folder)
    before = vendor.probe().devices

    tool.prints(recorded.arguments, printed)
    during, report = vendor.sample(before), vendor.probe()
    recorded.tool_again(tool)
    clock.now += BACKOFF_SECONDS[0]
    after = vendor.probe()

    assert [device.id for device in during] == [device.id for device in before]
    assert all(is_silent(device) and device.health is Health.UNKNOWN for device in during)
    assert all(device.health_reason for device in during)
    assert report.is_degraded
    assert report.remedy
    assert (after.devices, after.is_degraded) == (before, False)


@EVERY
def test_half_an_output_costs_no_device_that_it_does_not_name(recorded, tmp_path, folder, clock):
    vendor = machine(recorded, tmp_path, clock)
    tool = recorded.tool(folder)
    before = vendor.probe().devices

    tool.prints(recorded.arguments, recorded.output[: len(recorded.output) // 2])
    during = vendor.sample(before)

    assert [device.id for device in during] == [device.id for device in before]
    assert any(device.health_reason for device in during)
    for old, new in zip(before, during, strict=True):
        assert new == old or new.health in (Health.UNKNOWN, Health.UNHEALTHY)


@EVERY
def test_a_tool_that_hangs_is_ended_and_left_alone_for_a_while(recorded, tmp_path, folder, clock):
    vendor = machine(recorded, tmp_path, clock)
    tool = recorded.tool(folder)
    before = vendor.probe().devices
    tool.does(ENDLESS)
    vendor._runner._clock = iter(range(0, 10_000, 10)).__next__

    during = vendor.sample(before)
    starts = tool.starts
    again = vendor.sample(before)

    assert all(is_silent(device) and device.health is Health.UNKNOWN for device in during)
    assert all("no answer within" in device.health_reason for device in during)
    assert again == during
    assert tool.starts == starts


@EVERY
def test_a_card_that_the_tool_does_not_list_any_more_is_unhealthy_and_keeps_its_id(recorded, tmp_path, folder, clock):
    vendor = machine(recorded, tmp_path, clock)
    tool = recorded.tool(folder)
    before = vendor.probe().devices

    tool.prints(recorded.arguments, recorded.without_last)
    during = vendor.sample(before)
    probe = vendor.probe()

    lost = [device for device in during if device.health_reason]
    assert [device.id for device in during] == [device.id for device in before]
    if recorded.tells_which:
        assert [device.health for device in lost] == [Health.UNHEALTHY]
        assert [one for one in during if not one.health_reason] == [one for one in before if one.id != lost[0].id]
    else:
        assert lost == list(during)
        assert all(device.health is Health.UNKNOWN for device in lost)
    assert {device.id for device in probe.devices} == {device.id for device in before}


@EVERY
def test_a_card_that_leaves_the_bus_is_unhealthy_and_its_siblings_are_not(recorded, tmp_path, folder, clock):
    vendor = machine(recorded, tmp_path, clock)
    tool = recorded.tool(folder)
    before = vendor.probe().devices
    where = recorded.last_address()

    machines.gone(tmp_path / "root", where)
    tool.prints(recorded.arguments, recorded.without_last)
    during = vendor.sample(before)

    assert [device.id for device in during] == [device.id for device in before]
    assert [device.pci_address for device in during if device.health is Health.UNHEALTHY] == [where]
    assert "gone from the PCI bus" in next(one.health_reason for one in during if one.pci_address == where)


@EVERY
@pytest.mark.parametrize(("driver", "said"), [("", "no kernel driver"), ("vfio-pci", "passed to a virtual machine")])
def test_a_card_that_no_driver_of_this_node_holds_is_told_of_and_no_tool_is_asked(
    recorded, driver, said, tmp_path, folder, clock
):
    vendor = machine(recorded, tmp_path, clock)
    tool = recorded.tool(folder)
    for address in recorded.addresses():
        machines.bound(tmp_path / "root", address, driver)
    for node in recorded.nodes:
        for number in range(len(recorded.addresses())):
            (tmp_path / "root/dev" / node.format(index=number)).unlink()

    probe = vendor.probe()

    assert [device.pci_address for device in probe.devices] == sorted(recorded.addresses())
    assert all(device.health is Health.UNHEALTHY and said in device.health_reason for device in probe.devices)
    assert tool.starts == 0


@EVERY
def test_where_no_card_is_no_tool_is_asked(recorded, tmp_path, folder, clock):
    tool = recorded.tool(folder)

    probe = Tooled(recorded.spec, tmp_path / "root", clock).probe()

    assert (probe.devices, probe.found, tool.starts) == ((), False, 0)


@EVERY
def test_a_grant_gives_the_nodes_of_just_that_device(recorded, tmp_path, folder, clock):
    vendor = machine(recorded, tmp_path, clock)
    recorded.tool(folder)
    ids = [device.id for device in vendor.probe().devices[:2]]
    if not recorded.spec.giving.nodes and not recorded.spec.giving.runtime:
        with pytest.raises(Refusal, match="how a container gets"):
            vendor.grant(ids)
        return

    first, second = (vendor.grant([each]) for each in ids)

    assert bool(first.device_nodes) == bool(recorded.spec.giving.nodes)
    assert not set(first.device_nodes) & set(second.device_nodes)


@pytest.mark.parametrize("recorded", [one for one in RECORDED_VENDORS if one.nodes], ids=lambda each: each.spec.name)
def test_a_device_on_no_bus_without_its_tool_is_told_of_by_its_node(recorded, tmp_path, folder, clock):
    assert not any(folder.iterdir())
    machines.nodes(tmp_path / "root", *(node.format(index=number) for node in recorded.nodes for number in (0, 1)))
    spec = replace(recorded.spec, tools=replace(recorded.spec.tools, places=()))

    devices = Tooled(spec, tmp_path / "root", clock).probe().devices

    assert [device.id for device in devices] == [f"{spec.name}-0", f"{spec.name}-1"]
    assert all(device.health_reason.startswith("driver tool missing") for device in devices)


def test_what_changes_seldom_is_asked_seldom(tmp_path, folder, clock):
    huawei = next(one for one in RECORDED_VENDORS if one.spec.name == "huawei")
    vendor = machine(huawei, tmp_path, clock)
    tool = huawei.tool(folder)
    devices = vendor.probe().devices
    first = tool.starts

    for _ in range(10):
        clock.now += 5
        devices = vendor.sample(devices)

    # The list, and each board; then the list alone.
    assert (first, tool.starts - first) == (3, 10)
