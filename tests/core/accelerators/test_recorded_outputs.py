"""Outputs that real tools printed are read as people read them."""

from pathlib import Path

import pytest

from agent.accelerators.parsers.table import readings_of
from agent.accelerators.readings import Process, Reading
from headrace.nodes import Health, Link
from tests.core.accelerators.recorded import ROOT, Right, commands, text_of
from tests.core.accelerators.right_readings import RIGHT

MIB = 1 << 20
FOLDERS = ("denglin", "enflame", "iluvatar", "kunlunxin", "metax", "mthreads", "nvidia")


def read(fixture: str) -> tuple[Reading, ...]:
    return readings_of(commands()[fixture], text_of(fixture))


def as_right(reading: Reading) -> Right:
    total, used = reading.memory_bytes, reading.memory_used_bytes
    return Right(
        model=reading.model,
        uuid=reading.uuid,
        total=None if total is None else total // MIB,
        used=None if used is None else used // MIB,
        busy=reading.busy_percent,
        temperature=reading.temperature_celsius,
        power=reading.power_watts,
    )


@pytest.mark.parametrize("fixture", RIGHT)
def test_a_recorded_output_is_read_as_people_read_it(fixture: str) -> None:
    readings = read(fixture)

    assert [as_right(reading) for reading in readings] == RIGHT[fixture]
    assert {reading.vendor for reading in readings} == {fixture.partition("/")[0]}
    # A share of time at work says of what, by the tool's own name.
    assert [one for one in readings if (one.busy_percent is None) != (one.busy_name is None)] == []


def test_every_recorded_output_has_its_right_reading() -> None:
    recorded = [f"{folder}/{path.name}" for folder in FOLDERS for path in sorted(Path(ROOT / folder).iterdir())]
    assert sorted(RIGHT) == sorted(recorded)
    assert [one for one in recorded if one not in commands()] == []


def test_partitions_are_of_their_device_and_named() -> None:
    listed = read("nvidia/nvidia-smi-L-H100-mig-driver590.txt")
    assert [one.partition for one in listed] == [None, "3g.40gb", "2g.20gb", "1g.10gb", "1g.10gb"]
    assert {one.partition_of for one in listed[1:]} == {listed[0].uuid}

    queried = read("nvidia/nvidia-smi-qx-A100-SXM4-80GB-mig-driver535.xml")
    assert [one.partition for one in queried] == [None, "gi3/ci0", "gi4/ci0", "gi5/ci0", "gi6/ci0"]
    assert {one.partition_of for one in queried[1:]} == {queried[0].uuid}

    table = read("nvidia/nvidia-smi-table-H100-mig-idle-driver590.txt")
    assert [one.partition for one in table] == [None, "gi2/ci0", "gi3/ci0", "gi9/ci0", "gi10/ci0"]
    assert {one.partition_of for one in table[1:]} == {"0000:00:09.0"}


def test_processes_are_of_their_device() -> None:
    (apps,) = read("nvidia/nvidia-smi-query-compute-apps-H100-mig-load-driver590.csv")
    assert [(one.pid, (one.memory_bytes or 0) // MIB) for one in apps.processes] == [
        *((21180, 2296), (21181, 1272), (21198, 7484))
    ]
    (t4,) = read("nvidia/nvidia-smi-qx-Tesla-T4-driver515.xml")
    assert t4.processes == (Process(675, "/usr/lib/xorg/Xorg", 22 * MIB), Process(5762, "python", 1005 * MIB))
    (l40s,) = read("nvidia/nvidia-smi-q-L40S-load-driver595.txt")
    assert l40s.processes == (Process(20037, "ffmpeg", 538 * MIB), Process(20038, "ffmpeg", 681 * MIB))


def test_links_lead_to_their_peers() -> None:
    four = read("nvidia/nvidia-smi-topo-m-4xNV18-blank-affinity.txt")
    assert four[2].links == tuple(Link(f"GPU{peer}", "nvlink", 18) for peer in (0, 1, 3))
    assert [one.numa_node for one in four] == [0, 1, 1, 1]

    eight = read("metax/mx-smi-topo-m-C500-x8-v2.2.9.txt")
    assert eight[5].links == tuple(Link(f"GPU{peer}", "metaxlink") for peer in (4, 6, 7))
    assert {one.numa_node for one in eight} == {0}

    (h200,) = read("nvidia/nvidia-smi-nvlink-s-H200-driver590.txt")
    assert h200.links == (Link("", "nvlink", 18),)
    (single,) = read("nvidia/nvidia-smi-topo-m-H100-single-driver590.txt")
    assert (single.index, single.numa_node, single.links) == (0, 0, ())


def test_power_limits_are_those_of_the_cards() -> None:
    limits = {
        "nvidia/nvidia-smi-qx-Tesla-T4-driver515.xml": 70,
        "nvidia/nvidia-smi-qx-RTX4090-driver535.xml": 450,
        "nvidia/nvidia-smi-query-gpu-H200-load-driver590.csv": 700,
        "nvidia/nvidia-smi-q-L40S-load-driver595.txt": 350,
        "iluvatar/ixsmi-qx-MR-V100-x2-v4.2.0.xml": 150,
        "metax/mx-smi-MXC550-x8-v2.1.6.txt": None,
        "metax/mx-smi-C500-x8-v2.2.9-board-columns.txt": 350,
        "kunlunxin/xpu-smi-P800-x8-v5.0.21.26.txt": 400,
        "enflame/efsmi-S60-v1.2.0.301.txt": 300,
        "enflame/efsmi-q-S60-v1.4.3.4-head.txt": 300,
        "denglin/dlsmi-query-xml-KS38-QUAD3-v2.2.1.xml": 26,
    }
    assert {fixture: {one.power_limit_watts for one in read(fixture)} for fixture in limits} == {
        fixture: {limit} for fixture, limit in limits.items()
    }


def test_a_card_whose_power_reads_all_ones_is_unhealthy_and_its_siblings_are_not() -> None:
    cards = read("iluvatar/ixsmi-BI-V100-faulty-card-65535W-tail.txt")
    assert [(one.index, one.pci_address, one.health is Health.UNHEALTHY) for one in cards] == [
        (4, "0000:1e:00.0", False),
        (5, "0000:21:00.0", True),
        (6, "0000:25:00.0", False),
        (7, "0000:2d:00.0", False),
    ]
    assert "65535 W" in cards[1].health_reason


def test_what_identifies_a_device_is_read() -> None:
    (efsmi,) = read("enflame/efsmi-q-S60-v1.4.3.4-head.txt")
    assert (efsmi.serial, efsmi.pci_address, efsmi.pci_id) == ("A0A1650510676", "0000:17:00.0", "1e36:c035")
    assert (efsmi.health, efsmi.driver_version) == (Health.HEALTHY, "1.4.3.4")

    first, second = read("iluvatar/ixsmi-qx-MR-V100-x2-v4.2.0.xml")
    assert (first.pci_address, first.pci_id, second.pci_address) == ("0000:0c:00.0", "1e3e:0002", "0000:0f:00.0")

    (section,) = read("metax/mx-smi-MXN260-v2.2.6-sections.txt")
    assert (section.index, section.pci_address) == (0, "0000:0f:00.0")

    machine = read("kunlunxin/xpu_smi-m-P800-x2.txt")
    assert [(one.index, one.serial) for one in machine] == [(0, "02K15K624CV00304"), (1, "02K15K624CV0030V")]


def test_the_chips_of_a_board_say_so() -> None:
    chips = read("denglin/dlsmi-query-xml-KS38-QUAD3-v2.2.1.xml")
    assert [one.board for one in chips] == ["GDF00189C01DE25300141"] * 4 + ["GDF00189C01DE25300105"] * 4


def test_a_state_that_the_tool_tells_is_the_health() -> None:
    assert {one.health for one in read("metax/mx-smi-C500-x8-v2.2.9-board-columns.txt")} == {Health.HEALTHY}
    assert {one.health for one in read("metax/mx-smi-MXC550-x8-v2.1.6.txt")} == {Health.UNKNOWN}
