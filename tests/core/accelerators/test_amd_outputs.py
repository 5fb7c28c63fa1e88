"""What is right to read of amd-smi, rocm-smi, rocminfo and KFD nodes; the points that each was recorded for."""

import pytest

from agent.accelerators.parsers.table import readings_of
from agent.accelerators.readings import Process
from headrace.nodes import Link
from headrace.refusals import Refusal
from tests.core.accelerators.sources import Right, columns, read, text_of

RIGHT = (
    Right(
        "amd/rocm-smi-MI100-rocm602.json",
        4,
        model="Arcturus GL-XL [Instinct MI100]",
        uuid=("0x79ccd55167a2124a", "0x4edfb117a17a07d", "0xd4a9ec48d03d261d", "0x1b9dd972253c3736"),
        total=32752,
        used=6.44,
        busy=0,
        celsius=(53, 55, 54, 51),
        watts=(36, 44, 43, 39),
        limit=290,
    ),
    Right("amd/rocm-smi-RX6700XT-rocm430.json", 1, total=12272, used=1547.55, busy=0, celsius=45, watts=6, limit=211),
    Right(
        "amd/rocm-smi-RX7800XT-rocm624.json",
        1,
        model="Navi 32 [Radeon RX 7700 XT / 7800 XT]",
        uuid="0x5c88007d760374f3",
        total=16368,
        used=11077,
        busy=100,
        celsius=45,
        watts=53,
    ),
    Right(
        "amd/rocminfo-RX7800XT-rocm624.txt", 1, model="AMD Radeon RX 7800 XT", uuid="GPU-5c88007d760374f3", total=16368
    ),
    Right("amd/kfd-node-properties-MI308X-cpx.txt", 1, uuid="0x84cafeae17e7696"),
    Right("amd/kfd-node-properties-cpu-node.txt", 0),
    Right("amd/kfd-mem-bank-properties-16GB.txt", 1, total=16368),
    Right(
        "amd/amd-smi-table-R9700-x2-rocm720.txt",
        2,
        model="Radeon AI PRO R9700",
        total=32624,
        used=29777,
        busy=100,
        celsius=(79, 80),
        watts=(103, 92),
        limit=300,
    ),
    Right("amd/amd-smi-process-R9700-x2-rocm720.json", 2),
    Right(
        "amd/amd-smi-monitor-ptumv-x8-rocm610.txt",
        8,
        total=196300,
        used=(283, 283, 283, 283, 284, 283, 283, 283),
        busy=0,
        celsius=(32, 33, 31, 33, 32, 33, 32, 34),
        watts=(171, 175, 177, 172, 178, 176, 176, 175),
    ),
    Right("amd/amd-smi-list-x2-rocm630.txt", 2),
    Right("amd/amd-smi-topology-table-x8-xgmi-rocm610.txt", 8),
    Right("amd/amd-smi-topology-x2-old-schema.json", 2),
    Right("amd/amd-smi-metric-p-rocm610.json", 1, watts=10),
)


@pytest.mark.parametrize("right", RIGHT, ids=lambda right: right.file)
def test_a_recorded_output_is_read_as_its_source_says(right: Right) -> None:
    readings = read(right.file)

    assert len(readings) == right.count
    assert columns(readings) == right.columns()


def test_json_that_is_cut_short_is_refused_and_not_repaired() -> None:
    with pytest.raises(Refusal, match="cut short"):
        read("amd/amd-smi-metric-R9700-rocm720-truncated-head.json")


def test_the_system_beside_the_cards_is_no_device_but_tells_the_driver() -> None:
    readings = read("amd/rocm-smi-MI100-rocm602.json")

    assert [one.index for one in readings] == [0, 1, 2, 3]
    assert {one.driver_version for one in readings} == {"6.3.6"}
    assert {one.serial for one in readings} == {None}
    assert readings[0].pci_address == "0000:83:00.0"
    assert {one.numa_node for one in readings} == {1}


def test_an_identifier_is_no_model() -> None:
    (reading,) = read("amd/rocm-smi-RX6700XT-rocm430.json")

    assert (reading.model, reading.pci_id) == (None, "1002:73df")


def test_a_kfd_node_of_a_partition_tells_where_it_is() -> None:
    (reading,) = read("amd/kfd-node-properties-MI308X-cpx.txt")

    assert (reading.pci_id, reading.pci_address) == ("1002:74a2", "0000:0a:00.0")
    assert reading.device_nodes == ("/dev/dri/renderD128",)


def test_a_bank_of_the_hosts_memory_is_no_devices() -> None:
    text = text_of("amd/kfd-mem-bank-properties-16GB.txt").replace("heap_type 1", "heap_type 0")

    assert readings_of("cat /sys/class/kfd/kfd/topology/nodes/0/mem_banks/0/properties", text) == ()


@pytest.mark.parametrize(
    "file", ["amd/amd-smi-process-R9700-x2-rocm720.json", "amd/amd-smi-table-R9700-x2-rocm720.txt"]
)
def test_processes_are_read_of_each_gpu(file: str) -> None:
    for reading in read(file):
        assert [process.pid for process in reading.processes] == [213534, 213890, 213952, 213953]


def test_a_process_has_what_it_holds_of_the_cards_memory() -> None:
    first = read("amd/amd-smi-process-R9700-x2-rocm720.json")[0]

    assert first.processes[2] == Process(213952, "/usr/bin/python3.12", 21008920000)


def test_a_list_tells_addresses_and_no_redacted_uuids() -> None:
    readings = read("amd/amd-smi-list-x2-rocm630.txt")

    assert [(one.pci_address, one.uuid) for one in readings] == [("0000:23:00.0", None), ("0000:26:00.0", None)]


def test_gpus_of_a_hive_are_linked_with_each_other() -> None:
    readings = read("amd/amd-smi-topology-table-x8-xgmi-rocm610.txt")
    addresses = [one.pci_address for one in readings]

    assert addresses[:2] == ["0000:0c:00.0", "0000:22:00.0"]
    for reading in readings:
        assert reading.links == tuple(Link(str(peer), "xgmi") for peer in addresses if peer != reading.pci_address)


def test_gpus_that_reach_each_other_through_the_processor_are_not_linked() -> None:
    readings = read("amd/amd-smi-topology-x2-old-schema.json")

    assert [(one.index, one.links) for one in readings] == [(0, ()), (1, ())]


def test_links_are_read_of_the_new_schema() -> None:
    text = """[{"gpu": 0, "bdf": "0000:01:00.0", "links": [
      {"gpu": 0, "bdf": "0000:01:00.0", "weight": 0, "link_type": "SELF"},
      {"gpu": 1, "bdf": "0001:01:00.0", "weight": 15, "link_status": "ENABLED", "link_type": "XGMI", "num_hops": 1},
    ]}]"""

    (reading,) = readings_of("amd-smi topology --json", text)

    assert reading.links == (Link("0001:01:00.0", "xgmi"),)


_STATIC_TEXT = """
GPU: 0
    ASIC:
        MARKET_NAME: AMD Instinct MI300X
        VENDOR_ID: 0x1002
        DEVICE_ID: 0x74a1
        OAM_ID: 2
    BUS:
        BDF: 0000:0c:00.0
        MAX_PCIE_WIDTH: 16
    LIMIT:
        MAX_POWER: 750 W
        SOCKET_POWER: 750 W
        SLOWDOWN_HOTSPOT_TEMPERATURE: 100 °C
    DRIVER:
        NAME: amdgpu
        VERSION: 6.8.5
    BOARD:
        PRODUCT_SERIAL: 692251001124
        PRODUCT_NAME: N/A
    VRAM:
        TYPE: HBM
        SIZE: 196592 MB
    NUMA:
        NODE: 1
        AFFINITY: 0
    PARTITION:
        ACCELERATOR_PARTITION: SPX
        MEMORY_PARTITION: NPS1
        PARTITION_ID: 0
"""
_STATIC_JSON = """{"gpu_data": [{"gpu": 0,
  "asic": {"market_name": "AMD Instinct MI300X", "vendor_id": "0x1002", "device_id": "0x74a1"},
  "bus": {"bdf": "0000:0c:00.0"}, "board": {"product_serial": "692251001124", "product_name": "N/A"},
  "driver": {"name": "amdgpu", "version": "6.8.5"}, "vram": {"type": "HBM", "size": {"value": 196592, "unit": "MB"}},
  "limit": {"max_power": {"value": 750, "unit": "W"}},
  "numa": {"node": 1, "affinity": 0}, "partition": {"accelerator_partition": "SPX", "partition_id": 0}}]}"""


@pytest.mark.parametrize(
    ("command", "text"), [("amd-smi static -g 0", _STATIC_TEXT), ("amd-smi static --json", _STATIC_JSON)]
)
def test_what_a_gpu_is_reads_alike_in_text_and_json(command: str, text: str) -> None:
    (reading,) = readings_of(command, text)

    assert (reading.model, reading.serial) == ("AMD Instinct MI300X", "692251001124")
    assert (reading.pci_address, reading.pci_id, reading.numa_node) == ("0000:0c:00.0", "1002:74a1", 1)
    assert (reading.memory_bytes, reading.driver_version) == (196592 << 20, "6.8.5")
    assert (reading.power_limit_watts, reading.power_watts) == (750.0, None)
    assert (reading.partition, reading.board) == (None, None)


def test_a_cap_is_no_draw() -> None:
    (row,) = readings_of("amd-smi static --csv", "gpu,market_name,max_power,socket_power\n0,MI300X,750,700\n")
    assert (row.model, row.power_watts, row.power_limit_watts) == ("MI300X", None, 700.0)

    (reading,) = readings_of(
        "amd-smi static", "GPU: 0\n    LIMIT:\n        CURRENT_POWER: 203 W\n        MAX_POWER: 250 W\n"
    )

    assert (reading.power_watts, reading.power_limit_watts) == (None, 203.0)


_METRIC_TEXT = """
GPU: 3
    USAGE:
        GFX_ACTIVITY: 97 %
        UMC_ACTIVITY: 12 %
    POWER:
        SOCKET_POWER: 512 W
    TEMPERATURE:
        EDGE: N/A
        HOTSPOT: 61 °C
        MEM: 48 °C
    MEM_USAGE:
        TOTAL_VRAM: 196592 MB
        USED_VRAM: 1024 MB
        FREE_VRAM: 195568 MB
"""
_METRIC_JSON = """[{"gpu": 3, "usage": {"gfx_activity": {"value": 97, "unit": "%"}},
  "power": {"socket_power": {"value": 512, "unit": "W"}},
  "temperature": {"edge": "N/A", "hotspot": {"value": 61, "unit": "C"}},
  "mem_usage": {"total_vram": {"value": 196592, "unit": "MB"}, "used_vram": {"value": 1024, "unit": "MB"}}}]"""
_METRIC_CSV = "gpu,gfx_activity,socket_power,edge,hotspot,total_vram,used_vram\n3,97,512,N/A,61,196592,1024\n"


@pytest.mark.parametrize(
    ("command", "text"),
    [
        ("amd-smi metric", _METRIC_TEXT),
        ("amd-smi metric --json", _METRIC_JSON),
        ("amd-smi metric --json", f'{{"gpu_data": {_METRIC_JSON}}}'),
        ("amd-smi metric -g 3 --csv", _METRIC_CSV),
    ],
)
def test_how_a_gpu_is_reads_alike_in_text_json_and_csv(command: str, text: str) -> None:
    (reading,) = readings_of(command, text)

    assert (reading.index, reading.busy_percent, reading.power_watts) == (3, 97.0, 512.0)
    assert (reading.temperature_celsius, reading.memory_bytes) == (61.0, 196592 << 20)
    assert reading.memory_used_bytes == 1024 << 20


def test_processes_of_text_are_headings_that_come_again() -> None:
    text = """
GPU: 0
    PROCESS_INFO:
        NAME: python3
        PID: 11
        MEMORY_USAGE:
            GTT_MEM: 2.0 MB
            VRAM_MEM: 3.0 MB
        MEM_USAGE: 5.0 MB
    PROCESS_INFO:
        NAME: server
        PID: 12
        MEMORY_USAGE:
            GTT_MEM: 2.0 MB
            VRAM_MEM: N/A
"""
    (reading,) = readings_of("amd-smi process", text)

    assert reading.processes == (Process(11, "python3", 3 << 20), Process(12, "server"))


def test_partitions_share_a_board() -> None:
    text = _STATIC_TEXT.replace("SPX", "CPX") + _STATIC_TEXT.replace("SPX", "CPX").replace("GPU: 0", "GPU: 1").replace(
        "0c:00.0", "0c:00.1"
    ).replace("PARTITION_ID: 0", "PARTITION_ID: 1")

    readings = readings_of("amd-smi static", text)

    assert [(one.index, one.board, one.partition) for one in readings] == [
        (0, "0000:0c:00", "cpx-0"),
        (1, "0000:0c:00", "cpx-1"),
    ]


def test_a_monitor_of_new_versions_joins_used_and_total() -> None:
    text = """
GPU  XCP  POWER   GPU_T   MEM_T   GFX_CLK   GFX%   MEM%  MEM_CLK  ENC%  DEC%     VRAM_USAGE
  0    0  140 W   40 °C   33 °C   132 MHz    3 %    0 %  900 MHz   N/A   N/A   0.5/191.9 GB
  1    0    N/A     N/A   33 °C   132 MHz    N/A    0 %  900 MHz   N/A   N/A   0.5/191.9 GB
"""
    readings = readings_of("amd-smi monitor", text)

    assert [one.busy_percent for one in readings] == [3.0, None]
    assert [one.power_watts for one in readings] == [140.0, None]
    assert [one.memory_used_bytes for one in readings] == [1 << 29] * 2
    assert {round((one.memory_bytes or 0) / (1 << 30), 1) for one in readings} == {191.9}


_CONCISE = """
======================= ROCm System Management Interface =======================
================================= Concise Info =================================
GPU  Temp   AvgPwr  SCLK    MCLK     Fan  Perf  PwrCap  VRAM%  GPU%
0    39.0c  88.0W   800Mhz  1600Mhz  0%   auto  560.0W    0%   7%
1    45.0c  N/A     800Mhz  1600Mhz  0%   auto  0.0W      0%   0%
================================================================================
WARNING:                 One or more commands failed
============================= End of ROCm SMI Log ==============================
"""
_CONCISE_6 = """
====================================== ROCm System Management Interface ======================================
================================================ Concise Info ================================================
Device  Node  IDs              Temp        Power     Partitions          SCLK    MCLK    Fan  Perf  PwrCap  VRAM%  GPU%
              (DID,     GUID)  (Junction)  (Socket)  (Mem, Compute, ID)
==============================================================================================================
0       2     0x74a1,   23018  46.0°C      169.0W    NPS1, SPX, 0        134Mhz  900Mhz  0%   auto  750.0W  0%     7%
1       3     0x74a1,   53458  N/A         N/A       NPS1, SPX, 0        141Mhz  900Mhz  0%   auto  750.0W  0%     N/A
==============================================================================================================
"""
_CONCISE_5 = """
======================================= ROCm System Management Interface =======================================
Device  [Model : Revision]    Temp    Power  Partitions      SCLK    MCLK     Fan  Perf    PwrCap  VRAM%  GPU%
        Name (20 chars)       (Edge)  (Avg)  (Mem, Compute)
================================================================================================================
0       [0x0b0c : 0x00]       45.0°C  N/A    N/A, N/A        800Mhz  1600Mhz  0%   manual  0.0W      0%   0%
        AMD INSTINCT MI200 (
================================================================================================================
"""


@pytest.mark.parametrize(
    ("text", "celsius", "watts", "caps", "busy"),
    [
        (_CONCISE, [39.0, 45.0], [88.0, None], [560.0, None], [7.0, 0.0]),
        (_CONCISE_6, [46.0, None], [169.0, None], [750.0, 750.0], [7.0, None]),
        (_CONCISE_5, [45.0], [None], [None], [0.0]),
    ],
)
def test_tables_of_rocm_smi_are_read_by_their_heads(
    text: str, celsius: list[float], watts: list[float], caps: list[float], busy: list[float]
) -> None:
    readings = readings_of("rocm-smi", text)

    assert [one.temperature_celsius for one in readings] == celsius
    assert [one.power_watts for one in readings] == watts
    assert [one.power_limit_watts for one in readings] == caps
    assert [one.busy_percent for one in readings] == busy


def test_a_table_with_names_tells_them_and_one_with_ids_tells_these() -> None:
    assert [one.model for one in readings_of("rocm-smi", _CONCISE_5)] == ["AMD INSTINCT MI200 ("]
    assert [one.pci_id for one in readings_of("rocm-smi", _CONCISE_6)] == ["1002:74a1"] * 2


@pytest.mark.parametrize(
    "text",
    [
        "device,VRAM Total Memory (B),VRAM Total Used Memory (B)\ncard0,17163091968,1024\n",
        "GPU[0]\t\t: VRAM Total Memory (B): 17163091968\nGPU[0]\t\t: VRAM Total Used Memory (B): 1024\n",
    ],
)
def test_csv_and_lines_of_rocm_smi_read_as_its_json(text: str) -> None:
    (reading,) = readings_of("rocm-smi --showmeminfo vram", text)

    assert (reading.index, reading.memory_bytes, reading.memory_used_bytes) == (0, 17163091968, 1024)


def test_a_machine_without_gpus_has_none() -> None:
    assert readings_of("amd-smi list", "No supported devices found\n") == ()
    assert readings_of("rocm-smi", "WARNING: No AMD GPUs were found\n") == ()
