"""How what tools tell is brought together with cards: ids that stay, dies that share an address, links by id."""

import pytest

from agent.accelerators import matching
from agent.accelerators.makers import nvidia
from agent.accelerators.matching import Ambiguous, Kin, Silence, Told
from agent.accelerators.parsers.table import commands, normalised
from agent.accelerators.pci import Function
from agent.accelerators.readings import Reading
from agent.accelerators.table import SPECS
from headrace.nodes import Health, Link

KIN = Kin("acme", "gpu", models={"0001": "Acme 1"})
MISSED = Silence((Health.UNHEALTHY, "not listed"), (Health.UNHEALTHY, "not listed"))


def card(bus, driver="acme"):
    return Function(f"0000:{bus:02x}:00.0", "acce", "0001", driver, "120000", "pci0000:00", 0)


def reading(**fields):
    return Reading(vendor="acme", kind="gpu", memory_bytes=1 << 30, **fields)


def found(cards, readings, known=(), silence=MISSED):
    return matching.found(KIN, cards, [Told(each, each) for each in readings], known, silence)


def ids(all_of):
    return [one.device.id for one in all_of]


def test_a_device_is_called_by_its_uuid_or_else_its_serial_or_else_its_address():
    all_of = found(
        [card(1), card(2), card(3)],
        [
            reading(uuid="U-1", serial="S-1", pci_address="0000:01:00.0"),
            reading(serial="S-2", pci_address="0000:02:00.0"),
            reading(pci_address="0000:03:00.0"),
        ],
    )

    assert ids(all_of) == ["U-1", "S-2", "0000:03:00.0"]


def test_a_uuid_that_two_devices_tell_is_the_id_of_neither():
    all_of = found([card(1), card(2)], [reading(uuid="0", pci_address=f"0000:0{bus}:00.0") for bus in (1, 2)])

    assert ids(all_of) == ["0000:01:00.0", "0000:02:00.0"]


def test_dies_of_one_card_share_its_address_and_not_their_ids():
    all_of = found([card(1)], [reading(pci_address="01:00.0", index=number, board="7") for number in (0, 1)])

    assert ids(all_of) == ["0000:01:00.0-0", "0000:01:00.0-1"]
    assert [one.device.pci_address for one in all_of] == ["0000:01:00.0"] * 2


def test_a_die_that_is_lost_is_told_apart_from_the_other_by_the_tool_s_own_number():
    both = [reading(pci_address="0000:01:00.0", index=number) for number in (4, 5)]
    before = found([card(1)], both)

    after = found([card(1)], both[1:], before)

    assert ids(after) == ids(before)
    assert [one.device.health for one in after] == [Health.UNHEALTHY, Health.UNKNOWN]


def test_numbers_that_close_up_after_a_card_is_gone_change_no_id():
    three = [reading(pci_address=f"0000:0{bus}:00.0", index=bus - 1) for bus in (1, 2, 3)]
    before = found([card(1), card(2), card(3)], three)
    left = [reading(pci_address="0000:01:00.0", index=0), reading(pci_address="0000:03:00.0", index=1)]

    after = found([card(1), card(2), card(3)], left, before)

    assert ids(after) == ids(before)
    assert [one.device.health_reason for one in after] == ["", "not listed", ""]


def test_readings_without_addresses_go_to_cards_in_order_only_where_there_are_as_many():
    two = [card(1), card(2)]

    assert ids(found(two, [reading(index=1), reading(index=0)])) == ["0000:01:00.0", "0000:02:00.0"]
    with pytest.raises(Ambiguous, match="1 devices for 2 cards"):
        found(two, [reading(index=0)])


def test_addresses_of_a_virtual_machine_s_host_are_none():
    all_of = found([card(1)], [reading(pci_address="0000:e1:00.0", index=0)])

    assert [(one.device.id, one.device.pci_address) for one in all_of] == [("0000:01:00.0", "0000:01:00.0")]


def test_partitions_stand_in_their_card_s_place_and_one_that_was_taken_apart_is_not_lost():
    whole = reading(uuid="U-1", pci_address="0000:01:00.0")
    parts = [
        reading(uuid=f"P-{number}", pci_address="0000:01:00.0", partition="1g", partition_of="U-1") for number in (1, 2)
    ]
    before = found([card(1)], [whole, *parts])

    after = found([card(1)], [whole, parts[0]], before)

    assert ids(before) == ["P-1", "P-2"]
    assert ids(after) == ["P-1"]


def test_links_name_their_peers_by_id_whatever_the_tool_calls_them():
    first = reading(uuid="U-1", pci_address="0000:01:00.0", index=0, links=(Link("GPU1", "acmelink"),))
    second = reading(uuid="U-2", pci_address="0000:02:00.0", index=1, links=(Link("0000:01:00.0", "acmelink"),))

    all_of = found([card(1), card(2)], [first, second])

    assert [one.device.links[0].peer for one in all_of] == ["U-2", "U-1"]


def test_a_card_that_was_lost_does_not_become_unknown_because_the_tool_hangs_later():
    before = found([card(1)], [reading(pci_address="0000:01:00.0")])
    lost = found([card(1)], [], before)
    hanging = Silence((Health.UNHEALTHY, "no answer"), (Health.UNKNOWN, "no answer"))

    after = found([card(1)], [], lost, hanging)

    assert [(one.device.health, one.device.health_reason) for one in after] == [(Health.UNHEALTHY, "not listed")]


def test_a_card_that_is_read_and_has_no_driver_is_not_believed():
    (one,) = found([card(1, driver="")], [reading(pci_address="0000:01:00.0", busy_percent=5.0)])

    assert (one.device.health, one.device.busy_percent) == (Health.UNHEALTHY, None)


def test_what_one_command_does_not_tell_comes_from_another_on_the_same_device():
    main = reading(pci_address="0000:01:00.0", board="7", index=0, busy_percent=0.0)
    board = reading(board="7", serial="S-1", busy_percent=99.0)
    other = reading(board="8", serial="S-2")

    filled = matching.filled(main, [other, board])

    assert (filled.serial, filled.busy_percent) == ("S-1", 0.0)


@pytest.mark.parametrize("spec", [nvidia.SPEC, *SPECS], ids=lambda spec: spec.maker)
def test_each_command_that_is_asked_is_one_whose_output_can_be_read(spec):
    for command in (*spec.listing, *spec.figures, *spec.details):
        line = normalised(command.format(index=0, board=0))
        assert any(each.pattern.fullmatch(line) for each in commands()), line
