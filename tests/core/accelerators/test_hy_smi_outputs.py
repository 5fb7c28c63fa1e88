"""What is right to read of hy-smi, DTK's rocm-smi and rocminfo, and lspci; the points that each was recorded for."""

import pytest

from agent.accelerators.parsers.nested import repaired
from agent.accelerators.parsers.table import readings_of
from headrace.refusals import Refusal
from tests.core.accelerators.sources import Right, columns, read, text_of

RIGHT = (
    Right(
        "hygon/rocm-smi-DCU-gfx928-dtk2404.json",
        1,
        model="DCU xxxx",
        uuid="7100fa8866904061",
        total=65520,
        used=2,
        busy=0,
        celsius=41,
        watts=80,
    ),
    Right("hygon/rocminfo-K1xx_AI-dtk2404.txt", 1, model="K1xx_AI", uuid="GPU-7100fa8866904061", total=65520),
    Right(
        "hygon/rocm-smi-Z100-table-dtk2310.txt", 4, busy=0, celsius=(30, 30, 29, 29), watts=(38, 41, 38, 39), limit=280
    ),
    Right(
        "hygon/hy-smi-a-json-BW-missing-commas.json",
        2,
        model="BW",
        total=65520,
        used=(64169, 64104),
        busy=0,
        celsius=(54, 52),
        watts=(91, 84),
    ),
    Right(
        "hygon/hy-smi-K100_AI-x8-idle.txt",
        8,
        busy=0,
        celsius=(59, 61, 60, 59, 60, 62, 58, 58),
        watts=(114, 109, 106, 107, 118, 113, 106, 115),
        limit=400,
    ),
    Right("hygon/hy-smi-showmemavailable-K100_AI-x8.txt", 8, total=65438),
    Right("hygon/lspci-K100_AI-x8.txt", 8, model="KONGMING"),
)


@pytest.mark.parametrize("right", RIGHT, ids=lambda right: right.file)
def test_a_recorded_output_is_read_as_its_source_says(right: Right) -> None:
    readings = read(right.file)

    assert len(readings) == right.count
    assert columns(readings) == right.columns()


def test_what_is_hygons_is_not_read_as_amds_and_the_other_way_round() -> None:
    for file in ("rocm-smi-DCU-gfx928-dtk2404.json", "rocminfo-K1xx_AI-dtk2404.txt", "rocm-smi-Z100-table-dtk2310.txt"):
        assert {one.vendor for one in read(f"hygon/{file}")} == {"hygon"}
    for file in ("rocm-smi-MI100-rocm602.json", "rocminfo-RX7800XT-rocm624.txt"):
        assert {one.vendor for one in read(f"amd/{file}")} == {"amd"}
    with pytest.raises(Refusal, match="another maker"):
        readings_of("hy-smi", text_of("amd/rocm-smi-RX7800XT-rocm624.json"))


def test_a_card_tells_its_serial_and_its_ids() -> None:
    (reading,) = read("hygon/rocm-smi-DCU-gfx928-dtk2404.json")

    assert (reading.serial, reading.pci_id, reading.busy_name) == ("TPXxxxx", "1d94:6210", "DCU use")


def test_commas_that_are_missing_are_put_in_and_nothing_else_is_changed() -> None:
    assert repaired('{"a": "1""b": "2", "c": [1, 2,],}') == '{ "a" : "1" , "b" : "2" , "c" : [ 1 , 2 ] }'
    assert repaired('{"a,": "}\\"{", "b": null') == '{ "a," : "}\\"{" , "b" : null'


def test_co_processors_are_told_from_the_other_functions_of_the_maker() -> None:
    text = text_of("hygon/lspci-K100_AI-x8.txt")
    others = (
        "00:00.0 Host bridge: Chengdu Haiguang IC Design Co., Ltd. Root\n03:00.0 3D controller: NVIDIA Corporation\n"
    )

    readings = readings_of("lspci", others + text)

    assert [one.pci_address for one in readings] == [
        *("0000:07:00.0", "0000:0a:00.0", "0000:0f:00.0", "0000:16:00.0"),
        *("0000:1d:00.0", "0000:20:00.0", "0000:25:00.0", "0000:2c:00.0"),
    ]


def test_numbers_of_the_bus_tell_the_model() -> None:
    text = "0000:07:00.0 Co-processor [0b40]: Chengdu C-3000 IC Design Co., Ltd. KONGMING [1d94:6210] (rev 01)\n"

    (reading,) = readings_of("lspci -nn", text)

    assert (reading.model, reading.pci_id) == ("KONGMING", "1d94:6210")


def test_lines_a_value_are_joined_by_their_card() -> None:
    text = """
HCU[0]\t\t: HCU use (%): 0.0
HCU[1]\t\t: HCU use (%): 15.0
HCU[0]\t\t: vram Total Used Memory (MiB): 3
HCU[1]\t\t: vram Total Used Memory (MiB): 12058
"""
    readings = readings_of("hy-smi --showuse --showmeminfo vram", text)

    assert [one.busy_percent for one in readings] == [0.0, 15.0]
    assert [one.memory_used_bytes for one in readings] == [3 << 20, 12058 << 20]


def test_columns_of_clocks_may_come_between() -> None:
    text = """
DCU  Temp   AvgPwr   SCLK    MCLK  Fan   Perf    PwrCap  VRAM%  DCU%
0    44.0c  20.0W   1250Mhz 800Mhz 0.0%  manual  450.0W    0%   12%
"""
    (reading,) = readings_of("rocm-smi", text)

    assert (reading.busy_percent, reading.power_watts, reading.power_limit_watts) == (12.0, 20.0, 450.0)


def test_a_kfd_node_of_hygon_is_hygons() -> None:
    text = text_of("amd/kfd-node-properties-MI308X-cpx.txt").replace("vendor_id 4098", "vendor_id 7572")

    (reading,) = readings_of("cat /sys/class/kfd/kfd/topology/nodes/4/properties", text)

    assert (reading.vendor, reading.pci_id) == ("hygon", "1d94:74a2")


def test_a_prompt_may_stand_before_a_table_or_json() -> None:
    table = text_of("hygon/rocm-smi-Z100-table-dtk2310.txt")
    json = text_of("hygon/rocm-smi-DCU-gfx928-dtk2404.json")

    assert len(readings_of("rocm-smi", f"[root@node ~]# rocm-smi\n{table}")) == 4
    assert len(readings_of("rocm-smi -a --json", f"[root@node ~]# rocm-smi -a --json\n{json}[root@node ~]# \n")) == 1
