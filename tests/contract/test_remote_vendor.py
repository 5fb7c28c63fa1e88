"""NVIDIA as the agent asks it: NVML in a process of its own, which may hang or die; nvidia-smi as the second way."""

import pytest

from agent.accelerators.makers import nvidia
from agent.accelerators.remote import Remote
from headrace.nodes import Health
from tests.contract.machines import RECORDED, Tool, card, gone, nodes
from tests.contract.nvml_module import DIES, FIRST_LOST, HANGS, NO_LIBRARY, PRINTS, WELL, NvmlModule
from tests.contract.vendor_suite import VendorSuite

# A process that hangs does so for as long as anybody waits.
SOON = (0.2, 0.2)
PATIENT = (60.0, 60.0)


@pytest.fixture
def module(tmp_path, monkeypatch):
    module = NvmlModule(tmp_path / "module")
    monkeypatch.setenv("PYTHONPATH", module.path)
    monkeypatch.setenv("PATH", f"{tmp_path / 'bin'}:/usr/bin:/bin")
    (tmp_path / "bin").mkdir()
    return module


@pytest.fixture
def made():
    vendors = []
    yield vendors
    for vendor in vendors:
        vendor.close()


def machine(root, *buses, driver="nvidia"):
    for bus in buses:
        card(root, f"0000:{bus:02x}:00.0", "10de:20b7", pci_class="030200", driver=driver, numa_node=0)
    if driver == "nvidia":
        nodes(root, *(f"nvidia{bus}" for bus in buses), "nvidiactl")


@pytest.fixture
def vendor(module, made, tmp_path):
    module.befalls(WELL)
    machine(tmp_path / "root", 1, 2)
    made.append(Remote(nvidia.SPEC, tmp_path / "root"))
    made[0].patience = PATIENT
    return made[0]


class TestNvidiaInAnotherProcess(VendorSuite):
    @pytest.fixture(autouse=True)
    def prepared(self, module, made):
        self.module = module
        self.made = made

    def vendor(self, root, befalls=WELL, *buses, driver="nvidia"):
        machine(root, *buses, driver=driver)
        self.module.befalls(befalls)
        self.made.append(Remote(nvidia.SPEC, root))
        self.made[-1].patience = PATIENT
        return self.made[-1]

    def healthy(self, root):
        return self.vendor(root, WELL, 1, 2)

    def one_bad(self, root):
        return self.vendor(root, FIRST_LOST, 1, 2)

    def silent(self, root):
        return self.vendor(root, "_nvml.gpus[0].silent = _nvml.gpus[1].silent = True", 1, 2)

    def absent(self, root):
        return self.vendor(root)

    def undriven(self, root):
        return self.vendor(root, NO_LIBRARY, 1, driver="")

    def break_one(self, vendor):
        self.module.befalls(FIRST_LOST)


def worker_of(vendor):
    return vendor._worker._process


def test_one_process_answers_as_long_as_it_lives(vendor):
    devices = vendor.probe().devices
    first = worker_of(vendor).pid

    vendor.sample(devices)

    assert worker_of(vendor).pid == first
    assert [device.numa_node for device in devices] == [0, 0]
    assert [device.pci_id for device in devices] == ["10de:20b7", "10de:20b7"]


def test_where_no_card_is_no_process_is_started(made, tmp_path):
    made.append(Remote(nvidia.SPEC, tmp_path / "root"))

    assert not made[0].probe().found
    assert worker_of(made[0]) is None


def test_what_a_library_prints_does_not_get_into_the_answers(vendor, module):
    module.befalls(PRINTS)

    assert [device.health for device in vendor.probe().devices] == [Health.HEALTHY, Health.HEALTHY]


def test_a_library_that_hangs_is_ended_and_its_cards_are_not_known_to_be_well(vendor, module):
    before = vendor.probe().devices
    process = worker_of(vendor)
    module.befalls(HANGS)
    vendor.patience = SOON

    during = vendor.sample(before)

    assert process.returncode is not None
    assert [device.id for device in during] == [device.id for device in before]
    assert all(device.health is Health.UNKNOWN and "not answered" in device.health_reason for device in during)
    assert all(device.busy_percent is None for device in during)


def test_a_library_that_hung_is_left_alone_for_a_while_and_then_asked_anew(vendor, module):
    before = vendor.probe().devices
    module.befalls(HANGS)
    vendor.patience = SOON
    vendor.sample(before)
    module.befalls(WELL)
    vendor.patience = PATIENT

    at_once = vendor.probe()
    started = worker_of(vendor)
    vendor._worker._not_before = 0.0
    later = vendor.probe()

    assert at_once.is_degraded
    assert "not answered" in at_once.message
    assert started is None
    assert later.devices == before


def test_a_process_that_dies_is_said_to_have_and_is_started_anew(vendor, module):
    before = vendor.probe().devices
    module.befalls(DIES)

    during = vendor.sample(before)
    module.befalls(WELL)
    vendor._worker._not_before = 0.0

    assert all("ended (code 3)" in device.health_reason for device in during)
    assert vendor.sample(before) == before


def test_a_card_that_leaves_the_bus_while_the_library_hangs_is_lost(vendor, module, tmp_path):
    before = vendor.probe().devices
    module.befalls(HANGS)
    vendor.patience = SOON
    gone(tmp_path / "root", "0000:02:00.0")

    during = vendor.sample(before)

    assert [device.health for device in during] == [Health.UNKNOWN, Health.UNHEALTHY]


def test_without_the_library_nvidia_smi_is_asked(vendor, module, tmp_path):
    module.befalls(NO_LIBRARY)
    recorded = (RECORDED / "nvidia/nvidia-smi-qx-Tesla-T4-driver515.xml").read_text()
    Tool(tmp_path / "bin", "nvidia-smi").prints("-q -x", recorded.replace("00000000:00:1E.0", "00000000:01:00.0"))

    probe = vendor.probe()
    well, lost = probe.devices

    assert (well.model, well.pci_address, well.busy_percent) == ("Tesla T4", "0000:01:00.0", 0.0)
    assert (lost.pci_address, lost.health) == ("0000:02:00.0", Health.UNHEALTHY)
    assert vendor.sample(probe.devices) == probe.devices
