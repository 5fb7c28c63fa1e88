"""What is right to read of the outputs of tpu-info; the points that each was recorded for."""

import pytest

from agent.accelerators.parsers.table import readings_of
from tests.core.accelerators.sources import Right, columns, read

RIGHT = (
    Right(
        "google/tpu-info-v6e-4chip-static.txt",
        4,
        model="TPU v6e",
        total=32000,
        used=(18892.8, 10649.6, 10649.6, 10649.6),
        busy=100,
    ),
)


@pytest.mark.parametrize("right", RIGHT, ids=lambda right: right.file)
def test_a_recorded_output_is_read_as_its_source_says(right: Right) -> None:
    readings = read(right.file)

    assert len(readings) == right.count
    assert columns(readings) == right.columns()


def test_a_device_has_its_node_and_its_process() -> None:
    readings = read("google/tpu-info-v6e-4chip-static.txt")

    assert [one.device_nodes for one in readings] == [(f"/dev/vfio/{number}",) for number in range(4)]
    assert [process.pid for one in readings for process in one.processes] == [1469584] * 4


def test_boxes_are_read_as_bars_and_without_a_job_there_are_only_chips() -> None:
    text = """
TPU Chips
┏━━━━━━━━━━━━━┳━━━━━━━━━━━━━━┳━━━━━━━━━┳━━━━━━┓
┃ Chip        ┃ Type         ┃ Devices ┃ PID  ┃
┡━━━━━━━━━━━━━╇━━━━━━━━━━━━━━╇━━━━━━━━━╇━━━━━━┩
│ /dev/accel0 │ TPU v4 chip  │ 1       │ None │
│ /dev/accel1 │ TPU v4 chip  │ 1       │ None │
└─────────────┴──────────────┴─────────┴──────┘
╭─ Runtime Utilization Status ────────────────╮
│ WARNING: Libtpu metrics unavailable.        │
╰─────────────────────────────────────────────╯
"""
    readings = readings_of("tpu-info", text)

    assert [(one.model, one.device_nodes) for one in readings] == [
        ("TPU v4", ("/dev/accel0",)),
        ("TPU v4", ("/dev/accel1",)),
    ]
    assert {(one.memory_bytes, one.busy_percent, one.processes) for one in readings} == {(None, None, ())}


def test_a_chip_of_two_devices_is_their_board() -> None:
    text = """
TPU Chips
| Chip        | Type         | Devices | PID |
|-------------|--------------|---------|-----|
| /dev/accel0 | TPU v3 chip  | 2       | 77  |

TPU Runtime Utilization
| Device | HBM usage             | Duty cycle |
|--------|-----------------------|------------|
| 8      | 1.00 GiB / 16.00 GiB  |     50.00% |
| 9      | 2.00 GiB / 16.00 GiB  |        N/A |
"""
    readings = readings_of("tpu-info", text)

    assert [one.board for one in readings] == ["/dev/accel0"] * 2
    assert [one.memory_used_bytes for one in readings] == [1 << 30, 2 << 30]
    assert [one.busy_percent for one in readings] == [50.0, None]
