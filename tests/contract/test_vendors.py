"""The vendors of accelerators that there are, each against the suite, and what only NVIDIA's cards can do wrong."""

import shutil

import pytest

from agent.accelerators.nvidia import Nvidia
from agent.accelerators.nvml import Code
from headrace.nodes import Health, Link
from tests.contract.fake_nvml import GIB, Gpu, Nvml, Partition
from tests.contract.vendor_suite import VendorSuite


def card(root, number, driver="nvidia", pci_class="0x030200"):
    folder = root / f"sys/bus/pci/devices/0000:{number:02x}:00.0"
    folder.mkdir(parents=True)
    (folder / "vendor").write_text("0x10de\n")
    (folder / "device").write_text("0x20b7\n")
    (folder / "class").write_text(f"{pci_class}\n")
    if driver:
        (folder / "driver").symlink_to(f"../../../bus/pci/drivers/{driver}")


def nvidia(root, *gpus, driver="nvidia", closed=0):
    (root / "dev").mkdir(parents=True)
    (root / "sys/bus/pci/devices").mkdir(parents=True)
    for gpu in gpus:
        card(root, gpu.number, driver)
        (root / f"dev/nvidia{gpu.number}").touch()
    (root / "dev/nvidiactl").touch()
    return Nvidia(Nvml(list(gpus), closed), root)


class TestNvidia(VendorSuite):
    def healthy(self, root):
        return nvidia(root, Gpu(1), Gpu(2))

    def one_bad(self, root):
        return nvidia(root, Gpu(1, lost=Code.GPU_IS_LOST), Gpu(2))

    def silent(self, root):
        return nvidia(root, Gpu(1, silent=True), Gpu(2, silent=True))

    def absent(self, root):
        return nvidia(root, closed=Code.LIBRARY_NOT_FOUND)

    def undriven(self, root):
        return nvidia(root, Gpu(1), driver="", closed=Code.LIBRARY_NOT_FOUND)

    def break_one(self, vendor):
        vendor._library.gpus[0].lost = Code.UNKNOWN


class TestNvidiaInMigMode(TestNvidia):
    """Its MIG devices are the devices."""

    def test_healthy_devices_are_found_with_all_their_readings(self, tmp_path):
        probe = self.healthy(tmp_path).probe()

        assert [device.id for device in probe.devices] == ["MIG-a", "MIG-b"]
        assert [device.memory_bytes for device in probe.devices] == [6 * GIB, 6 * GIB]
        assert all(device.health is Health.HEALTHY for device in probe.devices)
        # These are the whole GPU's, and would count twice.
        assert all(device.power_watts is None and device.busy_percent is None for device in probe.devices)

    def healthy(self, root):
        return nvidia(root, Gpu(1, partitions=[Partition("MIG-a")]), Gpu(2, partitions=[Partition("MIG-b")]))

    def one_bad(self, root):
        gpus = Gpu(1, partitions=[Partition("MIG-a")], lost=Code.GPU_IS_LOST), Gpu(2, partitions=[Partition("MIG-b")])
        return nvidia(root, *gpus)


@pytest.mark.parametrize(
    ("trouble", "health", "said"),
    [
        ({"uncorrected": 3}, Health.UNHEALTHY, "3 uncorrected memory errors"),
        ({"failed": True}, Health.UNHEALTHY, "replace"),
        ({"pending": True}, Health.DEGRADED, "next reset"),
        ({"recovery": 2}, Health.UNHEALTHY, "restart of the machine"),
        ({"recovery": 4}, Health.DEGRADED, "drained"),
        ({"pending": True, "failed": True, "uncorrected": 1}, Health.UNHEALTHY, "1 uncorrected"),
        ({"recovery": None}, Health.HEALTHY, ""),
    ],
)
def test_a_gpu_is_as_well_as_the_worst_that_it_says(tmp_path, trouble, health, said):
    device, sibling = nvidia(tmp_path, Gpu(1, **trouble), Gpu(2)).probe().devices

    assert device.health is health
    assert said in device.health_reason
    assert device.busy_percent == 37
    assert sibling.health is Health.HEALTHY


def test_figures_are_in_the_units_of_their_fields(tmp_path):
    device = nvidia(tmp_path, Gpu(1)).probe().devices[0]

    assert (device.memory_bytes, device.memory_used_bytes) == (24 * GIB, GIB)
    assert (device.busy_percent, device.temperature_celsius, device.power_watts) == (37.0, 55.0, 71.5)
    assert device.pci_address == "0000:01:00.0"


def test_a_gpu_that_was_lost_before_the_agent_started_is_named_by_its_place_on_the_bus(tmp_path):
    devices = nvidia(tmp_path, Gpu(1), Gpu(2, lost=Code.GPU_IS_LOST), Gpu(3)).probe().devices

    assert [device.id for device in devices] == [Gpu(1).uuid, "0000:02:00.0", Gpu(3).uuid]


def test_a_gpu_that_the_driver_leaves_out_after_it_failed_is_still_shown(tmp_path):
    vendor = nvidia(tmp_path, Gpu(1), Gpu(2))
    before = vendor.probe().devices
    del vendor._library.gpus[1]

    after = vendor.probe().devices

    assert [device.id for device in after] == [device.id for device in before]
    assert after[1].health is Health.UNHEALTHY


def test_a_gpu_without_mig_devices_in_mig_mode_is_not_offered_and_the_remedy_is_said(tmp_path):
    probe = nvidia(tmp_path, Gpu(1, partitions=[])).probe()

    assert probe.devices == ()
    assert "MIG mode" in probe.message


def test_plain_device_nodes_are_the_given_gpus_and_apart_from_them_those_that_all_share(tmp_path):
    vendor = nvidia(tmp_path, Gpu(1), Gpu(2))
    vendor.probe()

    grant = vendor.grant([Gpu(2).uuid])
    assert (grant.device_nodes, grant.shared_nodes) == (("/dev/nvidia2",), ("/dev/nvidiactl",))


def test_a_mig_device_is_never_given_as_the_node_of_its_whole_gpu(tmp_path):
    vendor = nvidia(tmp_path, Gpu(1, partitions=[Partition("MIG-a")]))
    vendor.probe()

    grant = vendor.grant(["MIG-a"])

    assert grant.device_nodes == ()
    assert grant.cdi == ("nvidia.com/gpu=MIG-a",)


@pytest.mark.parametrize(
    ("code", "driver", "said"),
    [
        (Code.LIBRARY_NOT_FOUND, "", "install NVIDIA's driver"),
        (Code.LIBRARY_NOT_FOUND, "nouveau", "install NVIDIA's driver"),
        (Code.LIBRARY_NOT_FOUND, "vfio-pci", "vfio-pci"),
        (Code.LIBRARY_NOT_FOUND, "nvidia", "give the agent its libraries"),
        (Code.DRIVER_NOT_LOADED, "", "modprobe nvidia"),
        (Code.LIB_RM_VERSION_MISMATCH, "nvidia", "restart the machine"),
        (Code.NO_PERMISSION, "nvidia", "as root"),
        (Code.OPERATING_SYSTEM, "nvidia", "/dev/nvidiactl"),
        (Code.UNKNOWN, "nvidia", "kernel's log"),
    ],
)
def test_a_card_that_cannot_be_used_comes_with_the_remedy_for_just_that(tmp_path, code, driver, said):
    probe = nvidia(tmp_path, Gpu(1), driver=driver, closed=code).probe()

    assert [(device.id, device.health) for device in probe.devices] == [("0000:01:00.0", Health.UNHEALTHY)]
    assert "0000:01:00.0 (10de:20b7" in probe.message
    assert said in probe.remedy


def test_a_driver_that_is_loaded_later_is_found_by_the_next_probe(tmp_path):
    vendor = nvidia(tmp_path, Gpu(1), closed=Code.DRIVER_NOT_LOADED)
    before = vendor.probe().devices

    vendor._library.closed = 0

    after = vendor.probe().devices
    assert [device.health for device in before] == [Health.UNHEALTHY]
    assert [(device.id, device.health) for device in after] == [(Gpu(1).uuid, Health.HEALTHY)]


def test_a_driver_that_is_unloaded_takes_its_devices_and_brings_them_back(tmp_path):
    vendor = nvidia(tmp_path, Gpu(1))
    devices = vendor.probe().devices
    vendor._library.closed = Code.DRIVER_NOT_LOADED
    assert vendor.sample(devices)[0].health is Health.UNHEALTHY

    vendor._library.closed = 0

    assert vendor.sample(devices) == devices


def test_gpus_with_links_between_them_say_so_with_their_number(tmp_path):
    first, second, alone = nvidia(tmp_path, Gpu(1, linked=(2, 2)), Gpu(2, linked=(1, 1)), Gpu(3)).probe().devices

    assert first.links == (Link(second.id, "nvlink", 2),)
    assert second.links == (Link(first.id, "nvlink", 2),)
    assert alone.links == ()


def test_gpus_on_one_switch_reach_each_other(tmp_path):
    devices = nvidia(tmp_path, *(Gpu(number, linked=(0,) * 18) for number in (1, 2, 3))).probe().devices

    assert devices[0].links == (Link(devices[1].id, "nvlink", 18), Link(devices[2].id, "nvlink", 18))


def test_an_error_that_the_driver_tells_of_makes_its_gpu_degraded_and_a_job_s_own_does_not(tmp_path):
    vendor = nvidia(tmp_path, Gpu(1), Gpu(2))
    before = vendor.probe().devices
    vendor._library.xids += [(1, 79), (2, 31)]

    ill, well = vendor.sample(before)

    assert (ill.health, "Xid 79" in ill.health_reason, ill.busy_percent) == (Health.DEGRADED, True, 37)
    assert well == before[1]
    assert vendor.probe().devices == (ill, well)


def test_a_gpu_that_another_driver_holds_is_told_of_beside_those_that_answer(tmp_path):
    vendor = nvidia(tmp_path, Gpu(1))
    card(tmp_path, 2, driver="vfio-pci")

    well, held = vendor.probe().devices

    assert (well.id, well.health) == (Gpu(1).uuid, Health.HEALTHY)
    assert (held.id, held.health) == ("0000:02:00.0", Health.UNHEALTHY)
    assert "virtual machine" in held.health_reason
    assert vendor.sample((well, held)) == (well, held)


def test_a_gpu_that_left_the_bus_is_still_shown_by_its_id(tmp_path):
    vendor = nvidia(tmp_path, Gpu(1), Gpu(2))
    before = vendor.probe().devices
    del vendor._library.gpus[1]
    shutil.rmtree(tmp_path / "sys/bus/pci/devices/0000:02:00.0")

    after = vendor.probe().devices

    assert [device.id for device in after] == [device.id for device in before]
    assert after[1].health is Health.UNHEALTHY


def test_a_driver_that_is_unloaded_leaves_the_cards_their_ids(tmp_path):
    vendor = nvidia(tmp_path, Gpu(1))
    before = vendor.probe().devices

    vendor._library.closed = Code.DRIVER_NOT_LOADED
    vendor._close()
    after = vendor.probe().devices

    assert [device.id for device in after] == [device.id for device in before]
    assert after[0].health is Health.UNHEALTHY


def test_a_graphics_card_s_sound_is_no_gpu(tmp_path):
    vendor = nvidia(tmp_path, closed=Code.LIBRARY_NOT_FOUND)
    card(tmp_path, 9, driver="snd_hda_intel", pci_class="0x040300")

    assert not vendor.probe().found


def test_a_machine_without_pci_is_said_so(tmp_path):
    assert "PCI bus cannot be seen" in Nvidia(Nvml(closed=Code.LIBRARY_NOT_FOUND), tmp_path).probe().message
