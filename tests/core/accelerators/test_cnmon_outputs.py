"""What is right to read of the outputs of cnmon; the points that each was recorded for."""

import pytest

from agent.accelerators.parsers.table import readings_of
from headrace.nodes import Health
from tests.core.accelerators.sources import Right, columns, read

RIGHT = (
    Right(
        "cambricon/cnmon-MLU370-X8-v5.10.13.txt",
        2,
        model="MLU370-X8",
        total=23374,
        used=0,
        busy=0,
        celsius=(32, 39),
        watts=106,
        limit=250,
    ),
    Right(
        "cambricon/cnmon-MLU370-X4-v4.20.11.txt",
        3,
        model="MLU370-X4",
        total=23308,
        used=0,
        busy=0,
        celsius=(32, 33, 30),
        watts=(30, 25, 26),
        limit=150,
    ),
    Right(
        "cambricon/cnmon-MLUXXX-masked-x8-v5.10.31.txt",
        8,
        model="MLUXXX-XX",
        used=0,
        busy=0,
        celsius=(35, 34, 35, 34, 34, 33, 36, 33),
        watts=(105, 100, 100, 109, 107, 105, 102, 105),
        limit=550,
    ),
)


@pytest.mark.parametrize("right", RIGHT, ids=lambda right: right.file)
def test_a_recorded_output_is_read_as_its_source_says(right: Right) -> None:
    readings = read(right.file)

    assert len(readings) == right.count
    assert columns(readings) == right.columns()


def test_the_virtual_memory_of_old_versions_is_not_the_cards() -> None:
    readings = read("cambricon/cnmon-MLU370-X4-v4.20.11.txt")

    assert {one.memory_bytes for one in readings} == {23308 << 20}
    assert {one.pci_address for one in readings} == {None}
    assert {one.driver_version for one in readings} == {"4.20.11"}


def test_the_chips_of_a_board_have_their_own_addresses() -> None:
    readings = read("cambricon/cnmon-MLU370-X8-v5.10.13.txt")

    assert [one.pci_address for one in readings] == ["0000:39:00.0", "0000:3d:00.0"]


def test_a_masked_size_is_not_told() -> None:
    readings = read("cambricon/cnmon-MLUXXX-masked-x8-v5.10.31.txt")

    assert {one.memory_bytes for one in readings} == {None}
    assert {one.memory_used_bytes for one in readings} == {0}


def test_the_json_is_read_by_its_documented_keys() -> None:
    text = """{"CnmonInfo": [{"CardNum": 2, "ProductName": "MLU590-M9", "UUID": "u-1", "SN": 123,
      "Utilization": {"MLUAverage": "37"}, "PhysicalMemUsage": {"Total": "98304", "Used": 100, "Free": 98204},
      "Temperature": {"Board": 30, "Chip": "41"}, "Power": {"Usage": "180 W", "Cap": "550 W"},
      "PCI": {"DomainID": "0", "Bus": "4f", "Device": "0", "Function": "0"}, "Health": {"State": "Good"}}]}"""

    (reading,) = readings_of("cnmon info -e -m -u -j", text)

    assert (reading.index, reading.model, reading.uuid, reading.serial) == (2, "MLU590-M9", "u-1", "123")
    assert (reading.memory_bytes, reading.memory_used_bytes) == (98304 << 20, 100 << 20)
    assert (reading.busy_percent, reading.temperature_celsius, reading.power_watts) == (37.0, 41.0, 180.0)
    assert (reading.pci_address, reading.health) == ("0000:4f:00.0", Health.HEALTHY)


def test_the_text_has_a_block_a_card() -> None:
    text = """
Card 0
    Product Name              : MLU370-X8
    UUID                      : aaaa-0
    Physical Memory Usage     :
        Total                 : 23374 MiB
        Used                  : 12 MiB
    Utilization               :
        MLU Average           : 3 %
Card 1
    Product Name              : MLU370-X8
    UUID                      : aaaa-1
"""
    readings = readings_of("cnmon info", text)

    assert [one.uuid for one in readings] == ["aaaa-0", "aaaa-1"]
    assert [one.memory_bytes for one in readings] == [23374 << 20, None]
    assert [one.busy_percent for one in readings] == [3.0, None]
