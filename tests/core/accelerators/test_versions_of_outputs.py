"""Forms that the recorded outputs do not have: other versions' widths and columns, failures, lost devices, no units.

Made for these tests, in the form that drivers' documentation and issue threads show; not recorded.
"""

import re

import pytest

from agent.accelerators.parsers import kunlunxin
from agent.accelerators.parsers.table import readings_of
from agent.accelerators.readings import Reading, Unreadable
from headrace.nodes import Health
from headrace.refusals import Refusal
from tests.core.accelerators.recorded import text_of

MIB = 1 << 20


def one(command: str, text: str) -> Reading:
    (reading,) = readings_of(command, text)
    return reading


def test_an_old_table_without_mig_has_two_lines_a_card() -> None:
    reading = one(
        "nvidia-smi",
        """
| NVIDIA-SMI 418.87.01    Driver Version: 418.87.01    CUDA Version: 10.1     |
|-------------------------------+----------------------+----------------------+
| GPU  Name        Persistence-M| Bus-Id        Disp.A | Volatile Uncorr. ECC |
| Fan  Temp  Perf  Pwr:Usage/Cap|         Memory-Usage | GPU-Util  Compute M. |
|===============================+======================+======================|
|   3  GeForce GTX 108...  Off  | 00000000:0B:00.0 Off |                  N/A |
| 31%   45C    P2    66W / 250W |   1053MiB / 11178MiB |     17%   E. Process |
+-------------------------------+----------------------+----------------------+
""",
    )
    assert (reading.index, reading.model, reading.pci_address) == (3, "GeForce GTX 108...", "0000:0b:00.0")
    assert (reading.memory_bytes, reading.memory_used_bytes) == (11178 * MIB, 1053 * MIB)
    assert (reading.busy_percent, reading.temperature_celsius) == (17, 45)
    assert (reading.power_watts, reading.power_limit_watts, reading.driver_version) == (66, 250, "418.87.01")
    assert reading.health is Health.UNKNOWN


def test_memory_that_is_the_systems_is_not_known() -> None:
    reading = one(
        "nvidia-smi",
        """
| GPU  Name                 Persistence-M | Bus-Id          Disp.A | Volatile Uncorr. ECC |
| Fan  Temp   Perf          Pwr:Usage/Cap |           Memory-Usage | GPU-Util  Compute M. |
|=========================================+========================+======================|
|   0  NVIDIA GB10                    On  |   0000000F:01:00.0 Off |                  N/A |
| N/A   40C    P8              4W /  N/A  | Not Supported          |      0%      Default |
+-----------------------------------------+------------------------+----------------------+
""",
    )
    assert (reading.model, reading.pci_address) == ("NVIDIA GB10", "000f:01:00.0")
    assert (reading.memory_bytes, reading.memory_used_bytes, reading.power_limit_watts) == (None, None, None)
    assert (reading.power_watts, reading.busy_percent, reading.unified_memory) == (4, 0, True)


def test_a_card_that_prints_errors_is_unhealthy() -> None:
    reading = one(
        "nvidia-smi",
        """
| GPU  Name        Persistence-M| Bus-Id        Disp.A | Volatile Uncorr. ECC |
| Fan  Temp  Perf  Pwr:Usage/Cap|         Memory-Usage | GPU-Util  Compute M. |
|===============================+======================+======================|
|   0  Tesla V100-SXM2...  On   | 00000000:89:00.0 Off |                 ERR! |
|ERR!  ERR! ERR!    ERR! / ERR! |    GPU is lost       | ERR!         Default |
""",
    )
    assert reading.health is Health.UNHEALTHY
    assert (reading.power_watts, reading.temperature_celsius, reading.busy_percent) == (None, None, None)


def test_uncorrected_errors_in_the_table_make_a_card_unhealthy() -> None:
    table = text_of("kunlunxin/xpu-smi-P800-x8-v5.0.21.26.txt").replace(
        "N/A |                    0 |", "N/A |                    2 |", 1
    )
    assert [card.health for card in readings_of("xpu-smi", table)] == [Health.UNHEALTHY, *[Health.HEALTHY] * 7]


@pytest.mark.parametrize(
    ("said", "address", "index", "reason"),
    [
        (
            "Unable to determine the device handle for GPU 0000:89:00.0: Unknown Error",
            "0000:89:00.0",
            None,
            "Unknown Error",
        ),
        (
            "Unable to determine the device handle for GPU2: 0000:89:00.0: Unknown Error",
            "0000:89:00.0",
            2,
            "Unknown Error",
        ),
        ("Unable to determine the device handle for GPU2: Unknown Error", None, 2, "Unknown Error"),
        (
            "Unable to determine the device handle for gpu 0000:5E:00.0: GPU is lost.  Reboot the system to recover it",
            "0000:5e:00.0",
            None,
            "GPU is lost.",
        ),
    ],
)
@pytest.mark.parametrize(
    "command", ["nvidia-smi", "nvidia-smi -q -x", "nvidia-smi -L", "nvidia-smi --query-gpu=name --format=csv"]
)
def test_a_device_that_the_tool_cannot_reach_is_unhealthy_and_says_why(
    said: str, address: str | None, index: int | None, reason: str, command: str
) -> None:
    reading = one(command, said + "\n")
    assert (reading.pci_address, reading.index, reading.health) == (address, index, Health.UNHEALTHY)
    assert reason in reading.health_reason


def test_the_siblings_of_a_lost_device_are_read() -> None:
    lost = "Unable to determine the device handle for GPU 0000:89:00.0: Unknown Error\n"
    readings = readings_of("nvidia-smi -L", lost + text_of("nvidia/nvidia-smi-L-H100-mig-driver590.txt"))
    assert [reading.health for reading in readings] == [*[Health.UNKNOWN] * 5, Health.UNHEALTHY]


def test_a_table_that_is_printed_again_and_again_is_that_of_the_last_time() -> None:
    table = text_of("iluvatar/ixsmi-BI-V100-v4.0.0-driver4.2.0-virtual-bus.txt").partition("Processes")[0]
    assert one("ixsmi -l", table + table.replace("9MiB /", "7MiB /")).memory_used_bytes == 7 * MIB


def test_processes_that_are_monitored_are_of_their_device() -> None:
    busy, idle = readings_of(
        "nvidia-smi pmon -c 1",
        """# gpu         pid   type     sm    mem    enc    dec    jpg    ofa    command
# Idx           #    C/G      %      %      %      %      %      %    name
    0      21180     C      99      8      -      -      -      -    gpu_burn
    1          -     -      -       -      -      -      -      -    -
""",
    )
    assert [(process.pid, process.name) for process in busy.processes] == [(21180, "gpu_burn")]
    assert (idle.index, idle.processes) == (1, ())


def test_no_devices_are_an_empty_list() -> None:
    assert readings_of("nvidia-smi", "No devices were found\n") == ()
    assert readings_of("nvidia-smi -q -x", "No devices were found\n") == ()


@pytest.mark.parametrize(
    "said",
    [
        "Failed to initialize NVML: Driver/library version mismatch",
        "NVIDIA-SMI has failed because it couldn't communicate with the NVIDIA driver.",
        "bash: nvidia-smi: command not found",
    ],
)
def test_what_a_tool_says_when_it_fails_is_passed_on(said: str) -> None:
    with pytest.raises(Refusal, match="the tool says") as refused:
        readings_of("nvidia-smi", said + "\nNVML library version: 535.183\n")
    assert said in refused.value.message


def test_columns_without_names_are_those_that_the_command_asks_for() -> None:
    fields = "index,uuid,memory.total,memory.used,utilization.gpu,temperature.gpu,power.draw,power.limit"
    for command in (
        f"nvidia-smi --query-gpu={fields} --format=csv,noheader,nounits",
        f"nvidia-smi --format=csv,noheader,nounits --query-gpu {fields}",
    ):
        reading = one(command, "1, GPU-8, 81559, 59, [N/A], 42, 97.51, [Not Supported]\n")
        assert (reading.index, reading.uuid, reading.memory_bytes) == (1, "GPU-8", 81559 * MIB)
        assert (reading.busy_percent, reading.power_watts, reading.power_limit_watts) == (None, 97.51, None)


def test_columns_that_nobody_names_are_refused() -> None:
    with pytest.raises(Refusal, match="columns have no names"):
        readings_of("nvidia-smi --query-gpu=<every field> --format=csv", "1, GPU-8, 81559\n")


def test_a_row_that_is_cut_is_refused() -> None:
    with pytest.raises(Refusal, match="2 values for 3 columns"):
        readings_of(
            "ixsmi --query-gpu=index,uuid,memory.total --format=csv", "index, uuid, memory.total [MiB]\n0, GPU-1\n"
        )


def test_units_in_the_header_are_those_of_the_values() -> None:
    reading = one(
        "ixsmi --query-gpu=index,memory.total,gpu.power.draw --format=csv,nounits",
        "index, memory.total [KiB], gpu.power.draw [W]\n0, 33554432, 65535\n",
    )
    assert (reading.memory_bytes, reading.power_watts, reading.health) == (32768 * MIB, None, Health.UNHEALTHY)


def test_names_of_processes_may_have_commas() -> None:
    reading = one(
        "nvidia-smi --query-compute-apps=pid,process_name,used_memory --format=csv",
        "pid, process_name, used_gpu_memory [MiB]\n7, python -c 'a, b', 12 MiB\n",
    )
    assert [(process.pid, process.name) for process in reading.processes] == [(7, "python -c 'a, b'")]


@pytest.mark.parametrize(
    ("action", "health"),
    [("None", Health.HEALTHY), ("Reset", Health.UNHEALTHY), ("Drain P2P", Health.DEGRADED), ("N/A", Health.HEALTHY)],
)
def test_a_recovery_that_a_gpu_asks_for_is_its_health(action: str, health: Health) -> None:
    text = text_of("nvidia/nvidia-smi-q-L40S-load-driver595.txt").replace(
        "GPU Recovery Action                                : None", f"GPU Recovery Action : {action}"
    )
    assert one("nvidia-smi -q", text).health is health


def test_memory_errors_and_bad_rows_are_a_gpus_health() -> None:
    text = text_of("nvidia/nvidia-smi-q-L40S-load-driver595.txt")
    bad = text.replace("DRAM Uncorrectable                         : 0", "DRAM Uncorrectable : 3", 1)
    assert one("nvidia-smi -q", bad).health_reason == "3 uncorrected memory errors since its driver was loaded"
    pending = re.sub(r"(Remapped Rows.*?\n\s+Pending\s+): No", r"\1: Yes", text, count=1, flags=re.DOTALL)
    assert one("nvidia-smi -q", pending).health is Health.DEGRADED


def test_xml_that_declares_entities_is_refused() -> None:
    bomb = '<?xml version="1.0"?><!DOCTYPE x [<!ENTITY a "aaaa">]><nvidia_smi_log><gpu>&a;</gpu></nvidia_smi_log>'
    with pytest.raises(Refusal, match="declares entities"):
        readings_of("nvidia-smi -q -x", bomb)
    outside = '<!DOCTYPE x [<!ENTITY % a SYSTEM "file:///etc/passwd"> %a;]><nvidia_smi_log></nvidia_smi_log>'
    with pytest.raises(Refusal, match="declares entities"):
        readings_of("nvidia-smi -q -x", outside)
    deep = "<nvidia_smi_log>" + "<a>" * 100 + "</a>" * 100 + "</nvidia_smi_log>"
    with pytest.raises(Refusal, match="nested"):
        readings_of("nvidia-smi -q -x", deep)


def test_a_board_of_two_chips_tells_its_power_at_one_of_them() -> None:
    first, second = readings_of(
        "ixsmi",
        """
| GPU  Name                          | Bus-Id               | Clock-SM  Clock-Mem  |
| Fan  Temp  Perf  Pwr:Usage/Cap     |      Memory-Usage    | GPU-Util  Compute M. |
|====================================+======================+======================|
| 0    Iluvatar BI-V150              | 00000000:13:00.0     | 1500MHz   1600MHz    |
| N/A  35C   P0    N/A / N/A         | 64MiB / 32768MiB     | 0%        Default    |
+------------------------------------+----------------------+----------------------+
| 1    Iluvatar BI-V150              | 00000000:16:00.0     | 1500MHz   1600MHz    |
| N/A  34C   P0    103W / 350W       | 64MiB / 32768MiB     | 0%        Default    |
""",
    )
    assert (first.power_watts, first.power_limit_watts, first.temperature_celsius) == (None, None, 35)
    assert (second.power_watts, second.power_limit_watts) == (103, 350)


@pytest.mark.parametrize(
    ("state", "power", "health", "limit"),
    [
        ("Available            ", "53W / 450W", Health.HEALTHY, 450),
        ("Not Available(MetaX Sysfs File Unaccessible)", "97W / NA", Health.UNHEALTHY, None),
    ],
)
def test_a_metax_card_says_whether_it_is_available(state: str, power: str, health: Health, limit: float | None) -> None:
    reading = one(
        "mx-smi",
        f"""
| GPU         NAME                   | Bus-id              | GPU-Util             |
| Temp        Pwr:Usage/Cap          | Memory-Usage        | GPU-State            |
|====================================+=====================+======================|
| 0           MetaX C550             | 0000:0f:00.0        | 0%                   |
| 29C         {power}         | 858/65536 MiB       | {state} |
""",
    )
    assert (reading.health, reading.power_limit_watts, reading.model) == (health, limit, "MetaX C550")


def test_the_tool_of_another_brand_is_read_as_metaxs() -> None:
    table = text_of("metax/mx-smi-C500-x8-v2.2.9-board-columns.txt").replace("MetaX C500", "Mars X201 ")
    assert {(each.vendor, each.model) for each in readings_of("ht-smi", table)} == {("metax", "Mars X201")}


def test_an_older_enflame_query_names_its_memory_otherwise() -> None:
    reading = one(
        "efsmi -q",
        """DEV ID 0
    Device Info
        Dev Name                : T20
    Mem Info
        Mem Size                : 32768 MiB
        Mem Usage               : 17 MiB
    BAR1 Mem Info
        Total Size              : 16 MiB
    Temperature Info
        DTU Temp                : 41 C
""",
    )
    assert (reading.memory_bytes, reading.memory_used_bytes) == (32768 * MIB, 17 * MIB)
    assert (reading.model, reading.temperature_celsius, reading.health) == ("T20", 41, Health.UNKNOWN)


def test_an_affinity_that_cannot_be_told_from_an_empty_cell_is_not_known() -> None:
    matrix = text_of("nvidia/nvidia-smi-topo-m-4xNV18-blank-affinity.txt").expandtabs(16)
    readings = readings_of("nvidia-smi topo -m", matrix)
    assert [reading.numa_node for reading in readings] == [0, None, None, None]
    assert [len(reading.links) for reading in readings] == [3, 3, 3, 3]


def test_a_metax_list_says_which_are_available() -> None:
    readings = readings_of(
        "mx-smi -L",
        """GPU#0    MXC600-AL    0000:06:00.0    Available (UUID: GPU-0a)
GPU#1    MXC600-AL    0000:07:00.0    Not Available (UUID: GPU-0b)
""",
    )
    assert [(each.model, each.pci_address, each.uuid) for each in readings] == [
        ("MXC600-AL", "0000:06:00.0", "GPU-0a"),
        ("MXC600-AL", "0000:07:00.0", "GPU-0b"),
    ]
    assert [each.health for each in readings] == [Health.HEALTHY, Health.UNHEALTHY]


def test_a_moore_threads_query_is_read_by_its_documented_names() -> None:
    text = """
Driver Version : 2.7.0
GPU0 00000000:04:00.0
    Product Name : MTT S80
    FB Memory Usage
        Total : 16384MiB
        Used : 12MiB
    Utilization
        Gpu : 3%
        Memory : 0%
    Temperature
        GPU Current Temp : 49C
    Power Readings
        Power Draw : 85.46W
"""
    as_json = (
        '{"driver_version": "2.7.0", "gpus": [{"product_name": "MTT S80", "memory_total": "16384MiB", "memory_used":'
        ' "12MiB", "gpu_utilization": "3%", "temperature": "49C", "power_draw": "85.46W"}]}'
    )
    for command, output in (("mthreads-gmi -q", text), ("mthreads-gmi -q -j", as_json)):
        reading = one(command, output)
        assert (reading.model, reading.index, reading.driver_version) == ("MTT S80", 0, "2.7.0")
        assert (reading.memory_bytes, reading.memory_used_bytes) == (16384 * MIB, 12 * MIB)
        assert (reading.busy_percent, reading.temperature_celsius, reading.power_watts) == (3, 49, 85.46)


def test_a_kunlunxin_query_keeps_its_cache_apart_from_its_memory() -> None:
    reading = one(
        "xpu-smi -q",
        """Driver Version                            : 5.0.21.26
XPU 00000000:01:00.0
    Product Name                          : P800 PCIe
    L3 Usage
        Total                             : 96 MiB
    Memory Usage
        Total                             : 98304 MiB
        Used                              : 7 MiB
    Utilization
        Xpu                               : 4 %
    ECC Errors
        Volatile
            DRAM Uncorrectable            : 0
    Temperature
        XPU Current Temp                  : 46 C
    Power Readings
        Enforced Power Limit              : 350.00 W
        Power Draw                        : 76.00 W
""",
    )
    assert (reading.memory_bytes, reading.memory_used_bytes, reading.busy_percent) == (98304 * MIB, 7 * MIB, 4)
    assert (reading.power_watts, reading.power_limit_watts, reading.health) == (76, 350, Health.HEALTHY)


def test_a_t_head_query_is_read() -> None:
    reading = one(
        "ppu-smi --query-ppu=gpu_bus_id,utilization.ppu,temperature.ppu,power.draw,gpu_serial --format=csv,noheader",
        "00000000:08:00.0, 0 %, 27 C, 83.03 W, 02A8\n",
    )
    assert (reading.pci_address, reading.busy_percent, reading.temperature_celsius) == ("0000:08:00.0", 0, 27)
    assert (reading.power_watts, reading.serial, reading.memory_bytes) == (83.03, "02A8", None)


def test_the_outputs_of_intels_tool_are_not_taken_for_kunlunxins() -> None:
    (table,) = [command for command in kunlunxin.COMMANDS if command.pattern.fullmatch("xpu-smi")]
    with pytest.raises(Unreadable, match="Intel"):
        table.parse(text_of("intel/xpu-smi-table-B580-v2.0.txt"))
