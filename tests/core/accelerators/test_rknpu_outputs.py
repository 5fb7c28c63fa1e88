"""What is right to read of the outputs of Rockchip's NPU driver; the points that each was recorded for."""

import pytest

from agent.accelerators.parsers.table import readings_of
from tests.core.accelerators.sources import Right, columns, read

RIGHT = (Right("rockchip/rknpu-load-RK3588.txt", 3, busy=0),)


@pytest.mark.parametrize("right", RIGHT, ids=lambda right: right.file)
def test_a_recorded_output_is_read_as_its_source_says(right: Right) -> None:
    readings = read(right.file)

    assert len(readings) == right.count
    assert columns(readings) == right.columns()


def test_the_memory_of_a_core_is_the_hosts() -> None:
    assert {one.unified_memory for one in read("rockchip/rknpu-load-RK3588.txt")} == {True}


@pytest.mark.parametrize("text", ["NPU load:  Core0: 37%,\n", "NPU load:  37%\n"])
def test_a_chip_of_one_core_has_one_device(text: str) -> None:
    assert [one.busy_percent for one in readings_of("cat /sys/kernel/debug/rknpu/load", text)] == [37.0]
