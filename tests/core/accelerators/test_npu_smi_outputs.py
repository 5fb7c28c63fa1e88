"""What is right to read of the outputs of npu-smi; the points that each was recorded for."""

import pytest

from agent.accelerators.parsers.table import readings_of
from agent.accelerators.readings import Process
from headrace.nodes import Health
from headrace.refusals import Refusal
from tests.core.accelerators.sources import Right, columns, read, text_of

RIGHT = (
    Right(
        "ascend/npu-smi-info-310-v20.2.0.txt",
        4,
        model="310",
        total=8192,
        used=2703,
        busy=0,
        celsius=(56, 57, 57, 55),
        watts=12.8,
    ),
    Right("ascend/npu-smi-info-m-310-v20.2.0.txt", 4, model="MiniD"),
    Right(
        "ascend/npu-smi-info-910A-v22.0.3.1.txt",
        8,
        model="910A",
        total=32768,
        used=0,
        busy=0,
        celsius=(43, 38, 34, 42, 44, 33, 35, 40),
        watts=(67.2, 63.3, 64.8, 191.7, 66.4, 62.7, 64.5, 191.4),
    ),
    Right(
        "ascend/npu-smi-info-910B2C-v23.0.3.txt",
        2,
        model="910B2C",
        total=65536,
        used=(3317, 3316),
        busy=0,
        celsius=53,
        watts=(89.9, 93.8),
    ),
    Right(
        "ascend/npu-smi-info-910A-v1.9.3-21.0.rc1.txt",
        4,
        model="910A",
        total=32768,
        used=0,
        busy=0,
        celsius=(30, 25, 27, 30),
        watts=(67.2, 63.8, 67.1, 65.5),
    ),
    Right(
        "ascend/npu-smi-info-910B2C-v23.0.rc3.txt",
        2,
        model="910B2C",
        total=65536,
        used=4302,
        busy=0,
        celsius=(35, 37),
        watts=83.4,
    ),
    Right(
        "ascend/npu-smi-info-910B2C-v23.0.2.1-proc.txt",
        2,
        model="910B2C",
        total=65536,
        used=(20701, 20687),
        busy=0,
        celsius=(51, 50),
        watts=(88.6, 99.6),
    ),
    Right(
        "ascend/npu-smi-info-310B4-v23.0.0-alarm.txt",
        1,
        model="310B4",
        total=15609,
        used=3628,
        busy=0,
        celsius=65,
        watts=0,
    ),
    Right(
        "ascend/npu-smi-info-A3-Ascend910-dualdie-v25.2.0.txt",
        4,
        model="Ascend910",
        total=65536,
        used=(3133, 2876, 3116, 10568),
        busy=0,
        celsius=(37, 37, 38, 38),
        watts=(162.8, None, 167.1, None),
    ),
    Right(
        "ascend/npu-smi-info-310P3-v25.5.1-damaged-border.txt",
        2,
        model="310P3",
        total=21525,
        used=(1848, 1849),
        busy=0,
        celsius=(37, 40),
    ),
    Right(
        "ascend/npu-smi-info-910B-v25.5.2-ddr-and-hbm.txt",
        8,
        model="910B",
        total=32768,
        used=0,
        busy=0,
        celsius=(38, 38, 39, 36, 52, 37, 43, 36),
        watts=(70.3, 68.9, 70.7, 67.6, 72.1, 68.3, 70, 68.5),
    ),
    Right(
        "ascend/npu-smi-info-310P3-duo-v25.5.1-all-dash.txt",
        8,
        model="310P3",
        total=(44278, 43693, 44278, 43693, 44278, 43693, 44278, 43693),
        used=(1448, 1511, 1384, 1572, 1863, 1105, 1694, 1269),
        busy=0,
        celsius=(49, 45, 46, 46, 47, 48, 48, 46),
    ),
    Right(
        "ascend/npu-smi-info-910B4-v25.5.2-npu5.txt",
        1,
        model="910B4",
        total=32768,
        used=2922,
        busy=0,
        celsius=39,
        watts=89.9,
    ),
    Right("ascend/npu-smi-info-t-usages-910B-v25.5.1.txt", 1, total=65536, busy=0),
    Right("ascend/npu-smi-info-t-board-910B-v25.5.1.txt", 1, model="IT21HMDC_Bin5"),
    Right("ascend/npu-smi-info-t-temp-910B-v25.5.1.txt", 1, celsius=39),
    Right("ascend/npu-smi-info-t-power-910B-v25.5.1.txt", 1, watts=103.5),
    Right("ascend/npu-smi-info-l-910B-x8-v25.5.1.txt", 8),
    Right(
        "ascend/npu-smi-info-310P3-duo-npu2944-v25.5.1.txt",
        2,
        model="310P3",
        total=(44278, 43693),
        used=(1255, 1472),
        busy=0,
        celsius=(45, 47),
    ),
    Right("ascend/npu-smi-info-t-board-310P3-duo-v25.5.1.txt", 1, model="IT21PD2G10"),
    Right("ascend/npu-smi-info-t-usages-310P3-duo-v25.5.1.txt", 2, total=(44278, 43693), busy=0),
    Right("ascend/npu-smi-info-t-product-310P3-duo-v25.5.1.txt", 2, model="Atlas 300I Duo"),
    Right("ascend/npu-smi-info-m-910-x8-mcu.txt", 8, model="Ascend xxx"),
    Right("ascend/npu-smi-info-m-310P-duo-x4-mcu.txt", 8, model="Ascend xxx"),
    Right("ascend/npu-smi-info-t-common-910-mcu.txt", 1, busy=0, celsius=46, watts=69),
)


@pytest.mark.parametrize("right", RIGHT, ids=lambda right: right.file)
def test_a_recorded_output_is_read_as_its_source_says(right: Right) -> None:
    readings = read(right.file)

    assert len(readings) == right.count
    assert columns(readings) == right.columns()


def test_chips_of_one_card_share_its_board() -> None:
    readings = read("ascend/npu-smi-info-310P3-duo-npu2944-v25.5.1.txt")

    assert [one.board for one in readings] == ["2944", "2944"]
    assert [one.pci_address for one in readings] == ["0000:0c:00.0"] * 2


def test_a_card_keeps_its_number_where_others_are_missing() -> None:
    assert [one.index for one in read("ascend/npu-smi-info-910A-v1.9.3-21.0.rc1.txt")] == [4, 5, 6, 7]
    assert [one.index for one in read("ascend/npu-smi-info-910B4-v25.5.2-npu5.txt")] == [5]


def test_the_dies_of_a_board_are_numbered_over_all_boards_and_its_power_is_told_once() -> None:
    readings = read("ascend/npu-smi-info-A3-Ascend910-dualdie-v25.2.0.txt")

    assert [one.index for one in readings] == [0, 1, 2, 3]
    assert [one.board for one in readings] == ["0", "0", "1", "1"]
    assert [one.processes for one in readings] == [(), (), (), (Process(990711, "python", 7746 << 20),)]


def test_the_version_is_the_drivers_and_not_the_tools() -> None:
    assert {one.driver_version for one in read("ascend/npu-smi-info-910A-v1.9.3-21.0.rc1.txt")} == {"21.0.rc1"}


def test_a_process_belongs_to_its_chip() -> None:
    readings = read("ascend/npu-smi-info-910B2C-v23.0.2.1-proc.txt")

    assert [one.processes for one in readings] == [(Process(124528, "python3.8", 17400 << 20),), ()]


def test_a_chip_that_has_an_alarm_is_unhealthy_and_one_of_a_soc_has_no_address() -> None:
    (reading,) = read("ascend/npu-smi-info-310B4-v23.0.0-alarm.txt")

    assert (reading.health, reading.health_reason) == (Health.UNHEALTHY, "npu-smi says Alarm")
    assert reading.pci_address is None


@pytest.mark.parametrize(
    ("word", "health"),
    [("OK", Health.HEALTHY), ("Warning", Health.DEGRADED), ("Critical", Health.UNHEALTHY), ("UNKNOWN", Health.UNKNOWN)],
)
def test_words_of_health_are_understood(word: str, health: Health) -> None:
    text = text_of("ascend/npu-smi-info-310B4-v23.0.0-alarm.txt").replace("Alarm  ", word.ljust(7))

    assert [one.health for one in readings_of("npu-smi info", text)] == [health]


def test_a_board_tells_what_it_is() -> None:
    (reading,) = read("ascend/npu-smi-info-t-board-910B-v25.5.1.txt")

    assert (reading.serial, reading.pci_id, reading.pci_address) == ("1025C9048791", "19e5:d802", "0000:c1:00.0")
    assert (reading.driver_version, reading.index, reading.board) == ("25.5.1", 0, "0")


def test_a_board_of_two_chips_tells_of_the_card() -> None:
    (reading,) = read("ascend/npu-smi-info-t-board-310P3-duo-v25.5.1.txt")

    assert (reading.serial, reading.pci_id) == ("2106030737ZERC003572", "19e5:d500")
    assert (reading.board, reading.index, reading.health) == ("2944", 2944, Health.UNKNOWN)


def test_chips_are_told_apart_by_their_places_on_the_card() -> None:
    readings = read("ascend/npu-smi-info-t-usages-310P3-duo-v25.5.1.txt")

    assert [(one.board, one.index) for one in readings] == [("2944", 0), ("2944", 1)]


def test_a_mapping_tells_logic_ids_and_no_mcus() -> None:
    readings = read("ascend/npu-smi-info-m-310P-duo-x4-mcu.txt")

    assert [(one.board, one.index) for one in readings] == list(zip("11224455", range(8), strict=True))


def test_a_row_that_came_twice_is_one_chip_and_one_without_its_second_row_tells_less() -> None:
    lines = text_of("ascend/npu-smi-info-910B2C-v23.0.3.txt").splitlines()
    upper = next(place for place, line in enumerate(lines) if "910B2C" in line)

    doubled = readings_of("npu-smi info", "\n".join([*lines[: upper + 1], *lines[upper:]]))
    halved = readings_of("npu-smi info", "\n".join([*lines[: upper + 1], *lines[upper + 2 :]]))

    assert columns(doubled) == columns(read("ascend/npu-smi-info-910B2C-v23.0.3.txt"))
    assert [one.memory_bytes for one in halved] == [None, 65536 << 20]


def test_a_tool_that_cannot_start_says_why() -> None:
    with pytest.raises(Refusal, match="ret is -8005"):
        readings_of(
            "npu-smi info",
            "DrvMngGetConsoleLogLevel failed. (g_conLogLevel=3)\ndcmi module initialize failed. ret is -8005\n",
        )


def test_columns_may_be_wider_and_others_may_come_after() -> None:
    text = """
+-----------------------------------+------------------+-----------------------------------------------------------+
| NPU       Name                    | Health           | Power(W)    Temp(C)           Hugepages-Usage(page)       |
| Chip      Phy-ID                  | Bus-Id           | AICore(%)   Memory-Usage(MB)  HBM-Usage(MB)  Other(%)     |
+===================================+==================+===========================================================+
| 32768     Ascend910B3             | OK               | NA          -                 0    / 0                    |
| 0         7                       | 0000:C1:00.0     | NA          NA / NA           100  / 65536   3            |
+===================================+==================+===========================================================+
"""
    (reading,) = readings_of("npu-smi info", text)

    assert (reading.board, reading.index, reading.model) == ("32768", 7, "Ascend910B3")
    assert (reading.memory_used_bytes, reading.memory_bytes) == (100 << 20, 65536 << 20)
    assert (reading.power_watts, reading.temperature_celsius, reading.busy_percent) == (None, None, None)


def test_the_health_of_each_chip_is_read() -> None:
    text = """
        NPU ID                         : 3
        Chip Count                     : 2

        Health Status                  : OK
        Chip ID                        : 0

        Health Status                  : Warning
        Chip ID                        : 1
"""
    readings = readings_of("npu-smi info -i 3 -t health", text)

    assert [(one.board, one.index, one.health) for one in readings] == [
        ("3", 0, Health.HEALTHY),
        ("3", 1, Health.DEGRADED),
    ]


def test_a_cards_power_is_its_mcus_where_no_chip_tells_any() -> None:
    text = "NPU ID : 2\nChip Count : 2\n\nPower Dissipation(W) : 20.7\nChip Name : mcu\n"

    (reading,) = readings_of("npu-smi info -t power -i 2", text)

    assert (reading.board, reading.power_watts, reading.model) == ("2", 20.7, None)
