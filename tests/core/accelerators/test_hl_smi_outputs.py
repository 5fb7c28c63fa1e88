"""What is right to read of the outputs of hl-smi; the points that each was recorded for."""

import pytest

from agent.accelerators.parsers.table import readings_of
from headrace.nodes import Health
from headrace.refusals import Refusal
from tests.core.accelerators.sources import Right, columns, read

RIGHT = (
    Right(
        "gaudi/hl-smi-HL205-x8-v1.4.1.txt",
        8,
        model="HL-205",
        total=32768,
        used=512,
        busy=(2, 1, 3, 0, 1, 0, 4, 1),
        celsius=(35, 36, 33, 32, 35, 34, 36, 33),
        watts=(102, 101, 105, 97, 101, 93, 108, 101),
        limit=350,
    ),
    Right("gaudi/hl-smi-csv-name-memory-HL205-x8.csv", 8, model="HL-205", total=32768),
    Right(
        "gaudi/hl-smi-HL225-x8-v1.22.1.txt",
        8,
        model="HL-225",
        total=98304,
        used=768,
        busy=0,
        celsius=(22, 22, 25, 24, 22, 25, 24, 21),
        watts=(88, 83, 94, 80, 73, 87, 91, 90),
        limit=600,
    ),
)


@pytest.mark.parametrize("right", RIGHT, ids=lambda right: right.file)
def test_a_recorded_output_is_read_as_its_source_says(right: Right) -> None:
    readings = read(right.file)

    assert len(readings) == right.count
    assert columns(readings) == right.columns()


def test_the_order_of_cards_is_not_that_of_the_bus() -> None:
    readings = read("gaudi/hl-smi-HL205-x8-v1.4.1.txt")

    assert [one.index for one in readings] == list(range(8))
    assert [one.pci_address for one in readings][:4] == ["0000:20:1d.0", "0000:a0:1d.0", "0000:a0:1e.0", "0000:90:1d.0"]


def test_uncorrected_events_that_every_card_has_are_no_fault() -> None:
    assert {one.health for one in read("gaudi/hl-smi-HL225-x8-v1.22.1.txt")} == {Health.UNKNOWN}


def test_columns_are_found_by_the_header_whatever_was_asked() -> None:
    text = """index, name, bus_id, driver_version, uuid, module_id, memory.total [MiB], memory.used [MiB]
0, HL-325L, 0000:3b:00.0, 1.24.1-b336d5e, 01P4-HL3090A0-18-UAN071-12-03-01, 1, 131072 MiB, 672 MiB
1, HL-325L, 0000:4c:00.0, 1.24.1-b336d5e, 01P4-HL3090A0-18-UAN071-05-08-05, 3, 131072 MiB, N/A
"""
    readings = readings_of("hl-smi -Q index,name,... -f csv", text)

    assert [one.uuid for one in readings] == ["01P4-HL3090A0-18-UAN071-12-03-01", "01P4-HL3090A0-18-UAN071-05-08-05"]
    assert [one.memory_bytes for one in readings] == [131072 << 20] * 2
    assert [one.memory_used_bytes for one in readings] == [672 << 20, None]


def test_columns_without_a_header_are_those_that_were_asked_for() -> None:
    (reading,) = readings_of(
        "hl-smi -f csv,noheader,nounits -Q memory.used,name,utilization.aip,power.draw,temperature.aip,memory.total",
        "768, HL-225, 12, 98, 31, 98304\n",
    )

    assert (reading.model, reading.memory_used_bytes, reading.memory_bytes) == ("HL-225", 768 << 20, 98304 << 20)
    assert (reading.busy_percent, reading.power_watts, reading.temperature_celsius) == (12.0, 98.0, 31.0)


def test_rows_that_tell_no_card_are_refused() -> None:
    with pytest.raises(Refusal, match="which card is which"):
        readings_of("hl-smi -Q memory.used -f csv,noheader", "12 MiB\n13 MiB\n")


def test_a_list_tells_what_a_card_is_and_adds_up_its_rails() -> None:
    text = """
================ HL-SMI LOG ================
Driver Version                          : 1.12.1-cb7a7bc
Attached AIPs                           : 8

[0] AIP (accel0) 0000:43:00.0
        Product Name                    : HL-225
        Serial Number                   : AM50016138
        Module status                   : Operational
        AIP UUID                        : 01P0-HL2080A0-15-TF8A81-09-07-06
        PCI
                Device Id               : 0x1da31020
                Bus Id                  : 0000:43:00.0
        Fan Speed
                                        : N/A
        Memory Usage
                Total                   : 98304 MB
                Used                    : 768 MB
                Free                    : 97536 MB
        Temperature
                [ 1] On Chip 0          :  29 C
                [ 2] On Chip 1          :  31 C
                [22] VRM2 Temp          :  39 C
        Power Readings (54V PSU)
                Power Draw              : 50 W
                Power Limit             : 550 W
        Power Readings (12V PSU)
                Power Draw              : 31 W
                Power Limit             : 50 W
"""
    (reading,) = readings_of("hl-smi -L", text)

    assert (reading.model, reading.serial, reading.pci_id) == ("HL-225", "AM50016138", "1da3:1020")
    assert (reading.uuid, reading.pci_address) == ("01P0-HL2080A0-15-TF8A81-09-07-06", "0000:43:00.0")
    assert (reading.memory_bytes, reading.memory_used_bytes) == (98304 << 20, 768 << 20)
    assert (reading.temperature_celsius, reading.power_watts, reading.power_limit_watts) == (31.0, 81.0, 600.0)
    assert (reading.health, reading.driver_version, reading.device_nodes) == (
        Health.HEALTHY,
        "1.12.1-cb7a7bc",
        ("/dev/accel/accel0",),
    )
