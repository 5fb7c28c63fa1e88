"""What is right to read of the outputs of Intel's xpu-smi and intel_gpu_top; the points that each was recorded for."""

import pytest

from agent.accelerators.parsers import intel
from agent.accelerators.parsers.table import readings_of
from agent.accelerators.readings import Process, Unreadable
from headrace.nodes import Health, Link
from tests.core.accelerators.sources import Right, columns, read, text_of

RIGHT = (
    Right(
        "intel/xpu-smi-discovery-j-ATS-v1.3.json",
        1,
        model="Intel(R) Graphics [0x020a]",
        uuid="00000000-0000-0000-0000-020a00008086",
    ),
    Right(
        "intel/xpu-smi-discovery-table-v1.3.txt",
        1,
        model="Intel(R) Graphics [0x020a]",
        uuid="00000000-0000-0000-0000-020a00008086",
    ),
    Right("intel/xpu-smi-topology-m-v1.3.txt", 4),
    Right("intel/xpu-smi-stats-d0-v1.3.txt", 1, used=24, busy=0, celsius=41, watts=15),
    Right("intel/xpu-smi-health-l-v1.3.txt", 1),
    Right("intel/xpu-smi-dump-csv-v1.3.txt", 1, busy=0, watts=14.61),
    Right("intel/xpu-smi-discovery-dump-csv-v1.3.txt", 2, model="Intel(R) Graphics [0x56c0]"),
    Right(
        "intel/xpu-smi-discovery-d0-j-Max1100.json",
        1,
        model="Intel(R) Data Center GPU Max 1100",
        uuid="00000000-0000-0029-0000-002f0bda8086",
        total=49136,
        used=27.93,
    ),
    Right("intel/intel_gpu_top-J-one-period.json", 1, busy=96.092944, watts=3.233528),
    Right(
        "intel/xpu-smi-table-B580-v2.0.txt",
        1,
        model="Intel(R) Arc(TM) B580",
        total=12216,
        used=239,
        busy=0,
        celsius=25,
        watts=66,
        limit=380,
    ),
)


@pytest.mark.parametrize("right", RIGHT, ids=lambda right: right.file)
def test_a_recorded_output_is_read_as_its_source_says(right: Right) -> None:
    readings = read(right.file)

    assert len(readings) == right.count
    assert columns(readings) == right.columns()


def test_a_gpu_tells_where_it_is() -> None:
    (reading,) = read("intel/xpu-smi-discovery-j-ATS-v1.3.json")

    assert (reading.index, reading.pci_address, reading.pci_id) == (0, "0000:4d:00.0", "8086:020a")


def test_numbers_may_be_texts_and_an_unknown_serial_is_none() -> None:
    (reading,) = read("intel/xpu-smi-discovery-d0-j-Max1100.json")

    assert reading.memory_bytes == 51522830336
    assert reading.memory_used_bytes == 51522830336 - 51493543936
    assert (reading.serial, reading.device_nodes) == (None, ("/dev/dri/card1",))


def test_components_that_are_all_well_make_a_healthy_gpu() -> None:
    (reading,) = read("intel/xpu-smi-health-l-v1.3.txt")

    assert (reading.index, reading.health, reading.health_reason) == (0, Health.HEALTHY, "")


@pytest.mark.parametrize(("word", "health"), [("Warning", Health.DEGRADED), ("Critical", Health.UNHEALTHY)])
def test_the_worst_component_is_the_gpus_health(word: str, health: Health) -> None:
    text = text_of("intel/xpu-smi-health-l-v1.3.txt").replace("Status: Ok   ", f"Status: {word}".ljust(13), 1)

    (reading,) = readings_of("xpu-smi health -l", text)

    assert (reading.health, reading.health_reason) == (
        health,
        "gpu core temperature: All temperature sensors are healthy.",
    )


def test_health_reads_alike_in_json() -> None:
    text = """{"device_id": 1, "core_temperature": {"status": "Ok", "description": "All are healthy."},
      "memory": {"status": "Critical", "description": "Memory channel 3 has failed"}, "power": {"status": "Unknown"}}"""

    (reading,) = readings_of("xpu-smi health -d 1 -j", text)

    assert (reading.index, reading.health) == (1, Health.UNHEALTHY)
    assert reading.health_reason == "memory: Memory channel 3 has failed"


def test_figures_read_alike_in_json() -> None:
    text = """{"device_id": 2, "device_level": [
      {"metrics_type": "XPUM_STATS_GPU_UTILIZATION", "value": 42.5},
      {"metrics_type": "XPUM_STATS_POWER", "value": 120.0},
      {"metrics_type": "XPUM_STATS_GPU_CORE_TEMPERATURE", "value": 58},
      {"metrics_type": "XPUM_STATS_MEMORY_USED", "value": 8192}]}"""

    (reading,) = readings_of("xpu-smi stats -d 2 -j", text)

    assert (reading.index, reading.busy_percent, reading.power_watts) == (2, 42.5, 120.0)
    assert (reading.temperature_celsius, reading.memory_used_bytes) == (58.0, 8192 << 20)


def test_tiles_are_parts_of_their_cards_and_linked() -> None:
    readings = read("intel/xpu-smi-topology-m-v1.3.txt")

    assert [(one.index, one.partition, one.board) for one in readings] == [
        *((0, "0", "0"), (0, "1", "0"), (1, "0", "1"), (1, "1", "1")),
    ]
    assert readings[0].links == (Link("0/1", "mdf"), Link("1/0", "xelink"), Link("1/1", "xelink", 16))


def test_the_last_sample_counts() -> None:
    text = text_of("intel/xpu-smi-dump-csv-v1.3.txt") + "06:14:51.000,    0, 50.00, 99.00, 1000\n"

    (reading,) = readings_of("xpu-smi dump -d 0 -m 0,1,2", text)

    assert (reading.index, reading.busy_percent, reading.power_watts) == (0, 50.0, 99.0)


def test_titles_of_other_versions_are_known() -> None:
    text = (
        "Timestamp, DeviceId, Average % utilization of all GPU Engines,"
        " GPU Core Temperature (Celsius Degree), GPU Memory Used (MiB)\n"
        "06:14:46.000, 3, 55.25, N/A, 8192\n"
    )
    (reading,) = readings_of("xpu-smi dump -d -1 -m 0,3,18", text)

    assert (reading.index, reading.busy_percent, reading.temperature_celsius) == (3, 55.25, None)
    assert reading.memory_used_bytes == 8192 << 20


def test_a_table_of_details_tells_the_memory() -> None:
    text = """
+-----------+--------------------------------------+
| Device ID | Device Information                   |
+-----------+--------------------------------------+
| 0         | Device Type: GPU                     |
|           | Device Name: Intel(R) Graphics       |
|           | Serial Number: unknown               |
|           |                                      |
|           | PCI BDF Address: 0000:4d:00.0        |
|           | Memory Physical Size: 14336.00 MiB   |
+-----------+--------------------------------------+
"""
    (reading,) = readings_of("xpu-smi discovery -d 0", text)

    assert (reading.model, reading.memory_bytes, reading.serial) == ("Intel(R) Graphics", 14336 << 20, None)


def test_csv_tells_memory_with_its_unit() -> None:
    text = """Device ID,Device Name,SOC UUID,Memory Physical Size
0,"Intel(R) Data Center GPU Max 1550","00000000-0000-0000-0000-000000000001","131072.00 MiB"
"""
    (reading,) = readings_of("xpu-smi discovery --dump 1,2,5,16", text)

    assert (reading.uuid, reading.memory_bytes) == ("00000000-0000-0000-0000-000000000001", 131072 << 20)


def test_a_stream_that_was_stopped_tells_its_last_whole_period() -> None:
    period = text_of("intel/intel_gpu_top-J-one-period.json")
    later = period.replace("96.092944", "12.5").replace("72.950675", "3").replace("77.402254", "4")

    (reading,) = readings_of("intel_gpu_top -J", f"[\n{period},\n{later},\n{period[:200]}")

    assert (reading.busy_percent, reading.busy_name) == (12.5, "Render/3D")
    assert reading.processes == (Process(2727837, "ffmpeg"),)


def test_processes_of_the_table_are_read() -> None:
    (reading,) = read("intel/xpu-smi-table-B580-v2.0.txt")

    assert reading.processes == (Process(2874292, "xpu-smi", 206 << 20),)


def test_queries_of_the_second_version_read_as_nvidias() -> None:
    (reading,) = readings_of(
        "xpu-smi --query-gpu=index,name,memory.total,memory.used --format=csv,noheader,nounits",
        "0, Intel(R) Arc(TM) B580, 12216, 239\n",
    )

    assert (reading.vendor, reading.model, reading.memory_bytes) == ("intel", "Intel(R) Arc(TM) B580", 12216 << 20)


def test_what_is_kunlunxins_is_not_read_as_intels() -> None:
    for command in intel.COMMANDS:
        with pytest.raises(Unreadable):
            command.parse(text_of("kunlunxin/xpu-smi-P800-x8-v5.0.21.26.txt"))
