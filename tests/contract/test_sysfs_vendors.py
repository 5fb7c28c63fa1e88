"""Vendors whose devices the kernel itself tells of: what is read of files that were recorded, or made in their form."""

from pathlib import Path

import pytest

from agent.accelerators.makers import amd, aws, google, intel, rockchip
from agent.accelerators.tooled import Tooled
from agent.accelerators.unknown import Unknown
from headrace.nodes import Health, Link
from headrace.refusals import Refusal
from tests.contract.machines import RECORDED, Tool, bound, card, gone, nodes
from tests.contract.vendor_suite import VendorSuite

GIB = 1 << 30


@pytest.fixture(autouse=True)
def no_tools(monkeypatch):
    monkeypatch.setenv("PATH", "/usr/bin:/bin")


def write(folder, **texts):
    for name, text in texts.items():
        file = folder / name.replace("__", "/")
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(f"{text}\n")


def mi300x(root, bus, *, silent=False, errors=0):
    """An AMD GPU with the files that its driver makes."""
    folder = card(root, f"0000:{bus:02x}:00.0", "1002:74a1", driver="amdgpu", numa_node=0)
    (folder / f"drm/renderD{120 + bus}").mkdir(parents=True)
    nodes(root, f"dri/renderD{120 + bus}", "kfd")
    write(folder, product_name="AMD Instinct MI300X OAM")
    if not silent:
        write(
            folder,
            unique_id=f"7cd63f0{bus:02x}a1b2c3d",
            mem_info_vram_total=192 * GIB,
            mem_info_vram_used=GIB,
            gpu_busy_percent=37,
            ras__umc_err_count=f"ue: {errors}\nce: 4",
            hwmon__hwmon3__power1_average=140_000_000,
            hwmon__hwmon3__power1_cap=750_000_000,
            hwmon__hwmon3__temp1_label="edge",
            hwmon__hwmon3__temp1_input=40_000,
            hwmon__hwmon3__temp2_label="junction",
            hwmon__hwmon3__temp2_input=51_000,
        )
    return folder


def kfd_node(root, number, properties, memory="", links=()):
    folder = root / f"sys/class/kfd/kfd/topology/nodes/{number}"
    write(folder, properties=properties)
    if memory:
        write(folder, mem_banks__0__properties=memory)
    for at, (kind, to) in enumerate(links):
        write(folder, **{f"io_links__{at}__properties": f"type {kind}\nnode_from {number}\nnode_to {to}"})


def amd_node(root, *cards):
    root.mkdir(exist_ok=True)
    for bus, options in cards:
        mi300x(root, bus, **options)
    return Tooled(amd.SPEC, root)


class TestAmd(VendorSuite):
    def healthy(self, root):
        return amd_node(root, (8, {}), (9, {}))

    def one_bad(self, root):
        vendor = self.healthy(root)
        bound(root, "0000:08:00.0", "")
        return vendor

    def silent(self, root):
        return amd_node(root, (8, {"silent": True}), (9, {"silent": True}))

    def absent(self, root):
        return Tooled(amd.SPEC, root)

    def undriven(self, root):
        vendor = amd_node(root, (8, {}))
        bound(root, "0000:08:00.0", "")
        return vendor

    def break_one(self, vendor):
        gone(vendor._root, "0000:09:00.0")


def test_an_amd_gpu_s_figures_are_in_the_units_of_their_fields(tmp_path):
    (device,) = amd_node(tmp_path, (8, {})).probe().devices

    assert (device.memory_bytes, device.memory_used_bytes) == (192 * GIB, GIB)
    assert (device.busy_percent, device.temperature_celsius) == (37.0, 51.0)
    assert (device.power_watts, device.power_limit_watts) == (140.0, 750.0)
    assert (device.id, device.pci_id, device.numa_node) == ("GPU-7cd63f008a1b2c3d", "1002:74a1", 0)


def test_an_amd_gpu_with_uncorrected_errors_is_unhealthy_and_says_where(tmp_path):
    (device,) = amd_node(tmp_path, (8, {"errors": 2})).probe().devices

    assert device.health is Health.UNHEALTHY
    assert "2 uncorrected errors in umc" in device.health_reason


def test_amd_gpus_that_are_joined_by_xgmi_say_so_and_processors_are_no_devices(tmp_path):
    vendor = amd_node(tmp_path, (8, {}), (9, {}))
    kfd_node(tmp_path, 0, (RECORDED / "amd/kfd-node-properties-cpu-node.txt").read_text())
    kfd_node(tmp_path, 1, "simd_count 1216\nlocation_id 2048\ndomain 0\ndrm_render_minor 128", links=[(2, 0), (11, 2)])
    kfd_node(tmp_path, 2, "simd_count 1216\nlocation_id 2304\ndomain 0\ndrm_render_minor 129", links=[(2, 0), (11, 1)])

    first, second = vendor.probe().devices

    assert first.links == (Link(second.id, "xgmi"),)
    assert second.links == (Link(first.id, "xgmi"),)


def test_partitions_of_an_amd_gpu_are_devices_with_their_own_memory_and_node(tmp_path):
    vendor = amd_node(tmp_path, (10, {}))
    recorded = (RECORDED / "amd/kfd-node-properties-MI308X-cpx.txt").read_text()
    bank = (RECORDED / "amd/kfd-mem-bank-properties-16GB.txt").read_text()
    kfd_node(tmp_path, 2, recorded, bank)
    kfd_node(tmp_path, 3, recorded.replace("drm_render_minor 128", "drm_render_minor 131"), bank)
    nodes(tmp_path, "dri/renderD128", "dri/renderD131")

    first, second = vendor.probe().devices

    assert first.id != second.id
    assert first.board == second.board
    assert (first.memory_bytes, second.memory_bytes) == (17163091968, 17163091968)
    # These are the whole card's, and would count twice.
    assert first.power_watts is None
    assert vendor.grant([second.id]).device_nodes == ("/dev/dri/renderD131",)


def test_a_tool_of_amd_s_that_fails_costs_no_reading(tmp_path, monkeypatch):
    vendor = amd_node(tmp_path / "root", (8, {}))
    before = vendor.probe().devices
    folder = tmp_path / "bin"
    folder.mkdir()
    monkeypatch.setenv("PATH", f"{folder}:/usr/bin:/bin")
    Tool(folder, "amd-smi").does("echo 'ERROR:root:Unable to detect any GPU devices' >&2; exit 255")

    probe = vendor.probe()

    assert probe.devices == before
    assert probe.is_degraded
    assert "Unable to detect any GPU devices" in probe.message


def test_what_a_server_s_management_controller_draws_on_is_no_gpu(tmp_path):
    card(tmp_path, "0000:02:00.0", "1002:515e", pci_class="030000", driver="radeon")

    assert not Tooled(amd.SPEC, tmp_path).probe().found


def test_a_tpu_is_known_by_its_id_and_may_be_bound_to_vfio(tmp_path):
    folder = card(tmp_path, "0000:00:04.0", "1ae0:006f", driver="vfio-pci", pci_class="ff0000")
    card(tmp_path, "0000:00:05.0", "1ae0:0042", driver="gve", pci_class="020000")
    (folder / "iommu_group").symlink_to("../../../kernel/iommu_groups/7")
    nodes(tmp_path, "vfio/7", "vfio/vfio")
    vendor = Tooled(google.SPEC, tmp_path)

    (device,) = vendor.probe().devices
    grant = vendor.grant([device.id])

    assert (device.model, device.kind, device.memory_bytes) == ("TPU v6e", "tpu", 32 * GIB)
    assert device.health is Health.UNKNOWN
    assert (grant.device_nodes, grant.shared_nodes, grant.limits) == (
        ("/dev/vfio/7",),
        ("/dev/vfio/vfio",),
        {"memlock": -1},
    )


def test_a_neuron_device_is_read_from_sysfs_and_its_memory_from_neuron_ls(tmp_path, monkeypatch):
    card(tmp_path / "root", "0000:00:1e.0", "1d0f:7164", pci_class="088000", driver="neuron")
    nodes(tmp_path / "root", "neuron0")
    write(
        tmp_path / "root/sys/devices/virtual/neuron_device/neuron0",
        info__serial_number="b1a2",
        info__architecture__device_name="Trainium1",
        stats__hardware__mem_ecc_uncorrected=0,
        neuron_core0__stats__memory_usage__device_mem__tensors__present=1 << 20,
        neuron_core1__stats__memory_usage__device_mem__tensors__present=1 << 20,
    )
    folder = tmp_path / "bin"
    folder.mkdir()
    monkeypatch.setenv("PATH", f"{folder}:/usr/bin:/bin")
    Tool(folder, "neuron-ls").prints("-j", (RECORDED / "aws/neuron-ls-j-trn1.2xlarge.json").read_text())
    vendor = Tooled(aws.SPEC, tmp_path / "root")

    (device,) = vendor.probe().devices

    assert (device.model, device.serial, device.health) == ("Trainium1", "b1a2", Health.HEALTHY)
    assert (device.memory_bytes, device.memory_used_bytes) == (34359738368, 2 << 20)
    assert (device.pci_address, device.numa_node) == ("0000:00:1e.0", None)
    assert vendor.grant([device.id]).device_nodes == ("/dev/neuron0",)


def test_intel_s_graphics_in_the_processor_are_no_device_and_its_npu_is(tmp_path):
    card(tmp_path, "0000:00:02.0", "8086:7d55", pci_class="030000", driver="i915")
    card(tmp_path, "0000:00:0b.0", "8086:7d1d", driver="intel_vpu")
    card(tmp_path, "0000:00:0c.0", "8086:4940", pci_class="0b4000", driver="4xxx")
    card(tmp_path, "0000:03:00.0", "8086:56a0", pci_class="030000", driver="i915")

    devices = Tooled(intel.SPEC, tmp_path).probe().devices

    assert [(one.pci_address, one.kind) for one in devices] == [("0000:00:0b.0", "npu"), ("0000:03:00.0", "gpu")]
    assert devices[0].model == "Intel NPU (Meteor Lake)"
    assert all(one.health is Health.UNKNOWN and not one.health_reason for one in devices)


def test_the_npu_of_a_rockchip_processor_is_read_from_debugfs(tmp_path):
    nodes(tmp_path, "rknpu")
    write(tmp_path, **{"proc__device-tree__compatible": "vendor,board\x00rockchip,rk3588\x00"})
    write(tmp_path, sys__kernel__debug__rknpu__load=(RECORDED / "rockchip/rknpu-load-RK3588.txt").read_text())

    (device,) = Tooled(rockchip.SPEC, tmp_path).probe().devices

    assert (device.model, device.unified_memory, device.memory_bytes) == ("RK3588", True, None)
    assert device.busy_percent is not None


def unknown(root):
    return Unknown((Tooled(amd.SPEC, root), Tooled(intel.SPEC, root)), root)


def test_an_accelerator_that_nobody_knows_is_told_of_with_its_ids_and_given_to_nobody(tmp_path):
    card(tmp_path, "0000:41:00.0", "1ee0:0001", driver="biren", numa_node=1)
    vendor = unknown(tmp_path)

    probe = vendor.probe()
    (device,) = probe.devices

    assert (device.kind, device.pci_id, device.pci_address) == ("accelerator", "1ee0:0001", "0000:41:00.0")
    assert (device.health, device.numa_node) == (Health.UNHEALTHY, 1)
    assert probe.is_degraded
    with pytest.raises(Refusal, match="device 0000:41"):
        vendor.grant([device.id])


def test_a_device_of_the_accel_subsystem_on_no_bus_is_told_of_by_its_name(tmp_path):
    write(tmp_path / "sys/class/accel/accel0", device__uevent="DRIVER=rocket\nOF_COMPATIBLE_0=acme,npu")

    (device,) = unknown(tmp_path).probe().devices

    assert (device.id, device.model) == ("accel0", "acme,npu")


@pytest.mark.parametrize(
    ("pci_id", "pci_class", "renders"),
    [
        ("1a03:2000", "030000", True),
        ("1234:1111", "030000", False),
        ("1af4:1050", "030000", True),
        ("ffff:0001", "030000", False),
        ("8086:0b25", "088000", False),
        ("8086:4940", "120000", False),
        ("1002:74a1", "120000", True),
        ("14e4:16d7", "020000", False),
    ],
)
def test_what_is_no_accelerator_or_another_vendor_s_is_not_unknown(tmp_path, pci_id, pci_class, renders):
    folder = card(tmp_path, "0000:41:00.0", pci_id, pci_class=pci_class)
    if renders:
        (folder / "drm/renderD128").mkdir(parents=True)

    assert not unknown(tmp_path).probe().found


def test_a_display_that_nobody_knows_and_that_computes_is_an_accelerator(tmp_path):
    folder = card(tmp_path, "0000:41:00.0", "1ec6:0100", pci_class="030000")
    (folder / "drm/renderD128").mkdir(parents=True)

    assert unknown(tmp_path).probe().found


def test_an_unknown_accelerator_that_leaves_keeps_its_id_and_is_gone(tmp_path):
    card(tmp_path, "0000:41:00.0", "1ee0:0001")
    vendor = unknown(tmp_path)
    before = vendor.probe().devices

    gone(tmp_path, "0000:41:00.0")

    (after,) = vendor.sample(before)
    assert (after.id, after.health_reason) == ("0000:41:00.0", "it is gone")


def test_a_machine_whose_files_are_nonsense_is_survived(tmp_path):
    folder = card(tmp_path, "0000:41:00.0", "1002:74a1", driver="amdgpu")
    for name in ("vendor", "unique_id", "mem_info_vram_total", "gpu_busy_percent", "numa_node"):
        Path(folder / name).write_bytes(b"\xff\x00 not what it should be\n" if name != "vendor" else b"0x1002\n")

    (device,) = Tooled(amd.SPEC, tmp_path).probe().devices

    assert (device.memory_bytes, device.busy_percent, device.numa_node) == (None, None, None)
