"""What tools told, brought together with the cards on the bus and with what was known of them before. Pure."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, fields

from agent.accelerators import pci
from agent.accelerators.pci import Function
from agent.accelerators.readings import Reading
from headrace.changes import replace
from headrace.nodes import Device, Health, Link


@dataclass(frozen=True, slots=True)
class Place:
    """Where a device is: an address on the bus, or empty; and which of the dies or partitions there."""

    address: str
    number: int


@dataclass(frozen=True, slots=True)
class Told:
    """One device as it was told: by what names it, which is always the same source, and with all that was told."""

    identity: Reading
    reading: Reading


@dataclass(frozen=True, slots=True)
class Named:
    """A reading with its device's id and place, and the how manieth it was."""

    id: str
    place: Place
    reading: Reading
    order: int


@dataclass(frozen=True, slots=True)
class Found:
    """A device, where it is, and its device nodes where a reading told them. `is_told`: by this round's readings."""

    place: Place
    device: Device
    nodes: tuple[str, ...] = ()
    is_told: bool = False


@dataclass(frozen=True, slots=True)
class Silence:
    """Why cards of which there is no reading have none: health and reason, of those read before and of others.

    An empty reason takes nothing from a card.
    """

    new: tuple[Health, str]
    known: tuple[Health, str]


@dataclass(frozen=True, slots=True)
class Kin:
    """What all devices of one vendor have in common."""

    vendor: str
    kind: str
    models: Mapping[str, str] = field(default_factory=dict)
    kinds: Mapping[str, str] = field(default_factory=dict)
    takes_passed_on: bool = False


class Ambiguous(Exception):
    """Readings without addresses, and more or fewer of them than cards."""


def found(
    kin: Kin, cards: Sequence[Function], told: Sequence[Told], known: Sequence[Found], silence: Silence
) -> tuple[Found, ...]:
    """All devices: those that were read, cards that were not, and those that were here before. Ambiguous."""
    placed = _placed(kin, cards, without_parents(told), known)
    names = _names(placed)
    read = [Found(one.place, _read(kin, one, cards, names), one.reading.device_nodes, is_told=True) for one in placed]
    there = {one.place.address for one in read}
    missed = [
        Found(one.place, unread(one.device, *_why_missed(kin, one, cards, silence)), one.nodes)
        for one in known
        if not _is_told(one, read, there)
    ]
    seen = {one.place.address for one in (*read, *missed)}
    untold = [
        Found(Place(card.address, 0), _unread_card(kin, card, position, silence.new))
        for position, card in enumerate(cards)
        if card.address not in seen
    ]
    return tuple(sorted((*read, *missed, *untold), key=lambda one: (one.place.address, one.place.number)))


def filled(main: Reading, others: Iterable[Reading]) -> Reading:
    """The reading with what it does not tell taken from others of the same device."""
    for other in others:
        if _is_same(main, other):
            changes = {
                each.name: getattr(other, each.name)
                for each in fields(Reading)
                if not _is_told_at_all(getattr(main, each.name)) and _is_told_at_all(getattr(other, each.name))
            }
            main = replace(main, **changes)
    return main


def without_parents(told: Sequence[Told]) -> tuple[Told, ...]:
    """Partitions in place of the cards that they are parts of."""
    parents = [one.reading.partition_of for one in told if one.reading.partition_of]
    return tuple(one for one in told if not any(name in parents for name in _names_of(one.reading)))


def unread(device: Device, health: Health, reason: str) -> Device:
    """What it is, without how it is."""
    return replace(
        device,
        memory_used_bytes=None,
        busy_percent=None,
        temperature_celsius=None,
        power_watts=None,
        health=health,
        health_reason=reason,
    )


def is_unread(device: Device) -> bool:
    """Whether something is wrong with it, and it tells nothing."""
    readings = (device.memory_used_bytes, device.busy_percent, device.temperature_celsius, device.power_watts)
    return bool(device.health_reason) and all(reading is None for reading in readings)


def why_undriven(card: Function, *, takes_passed_on: bool = False) -> str:
    """Why nobody can use a card, by its driver; empty: it has one."""
    if not card.driver:
        return "no kernel driver holds it: install or load its maker's driver"
    if card.driver == pci.PASSED_ON and not takes_passed_on:
        return "it is passed to a virtual machine (vfio-pci): take it back to use it here"
    return ""


def _is_told_at_all(value: object) -> bool:
    # 0 is told; and it is equal to False.
    return not (value is None or value is False or value is Health.UNKNOWN or value in ("", ()))


def _is_same(main: Reading, other: Reading) -> bool:
    if main.uuid and other.uuid:
        return main.uuid == other.uuid
    if main.pci_address and other.pci_address:
        return pci.address(main.pci_address) == pci.address(other.pci_address)
    if main.board and other.board and (main.board != other.board or other.index is None):
        return main.board == other.board
    return main.index is not None and main.index == other.index


def _placed(kin: Kin, cards: Sequence[Function], told: Sequence[Told], known: Sequence[Found]) -> list[Named]:
    """Each reading with its place and the id that it has or keeps."""
    by_address: dict[str, list[Told]] = {}
    for one, where in zip(told, _addresses(cards, [each.identity for each in told]), strict=True):
        by_address.setdefault(where, []).append(one)
    uuids = [one.identity.uuid for one in told if one.identity.uuid]
    serials = [one.identity.serial for one in told if one.identity.serial]
    placed: list[Named] = []
    for where, there in by_address.items():
        before = [one for one in known if one.place.address == where]
        for number, one in enumerate(there):
            who = one.identity
            old = _known_as(who, number, len(there), before)
            place = old.place if old else Place(where, number if number >= len(before) else len(before) + number)
            if who.uuid and uuids.count(who.uuid) == 1:
                name = who.uuid
            elif old is not None:
                name = old.device.id
            elif who.serial and serials.count(who.serial) == 1:
                name = who.serial
            elif who.serial or where:
                name = f"{who.serial or where}-{number}" if len(there) > 1 else who.serial or where
            else:
                name = f"{kin.vendor}-{number if who.index is None else who.index}"
            placed.append(Named(name, place, one.reading, told.index(one)))
    return placed


def _known_as(reading: Reading, number: int, there: int, before: Sequence[Found]) -> Found | None:
    """Which of those that were at this address before it is."""
    for one in before:
        if reading.uuid and reading.uuid == one.device.id:
            return one
    if there < len(before) or (before and not before[0].place.address):
        # Some are gone, and the others may have moved up: the tool's number is all that is left to go by.
        return next((one for one in before if one.device.index == reading.index), None)
    return next((one for one in before if one.place.number == number), None)


def _addresses(cards: Sequence[Function], readings: Sequence[Reading]) -> tuple[str, ...]:
    """Where on the bus each reading's device is; where a tool tells no address, cards and readings go in order."""
    told = tuple(_nearest(cards, pci.address(each.pci_address)) if each.pci_address else "" for each in readings)
    # In some virtual machines tools tell the host's addresses: then they are none.
    if not cards or any(card.address in told for card in cards):
        return told
    dies, rest = divmod(len(readings), len(cards))
    if rest or (readings and not dies):
        raise Ambiguous(f"it lists {len(readings)} devices for {len(cards)} cards, and not which is which")
    order = sorted(range(len(readings)), key=lambda place: (readings[place].index or 0, place))
    return tuple(cards[order.index(place) // dies].address for place in range(len(readings)))


def _nearest(cards: Sequence[Function], where: str) -> str:
    """A tool that writes no domain means the card with that bus, where there is only one."""
    if any(card.address == where for card in cards):
        return where
    same = [card.address for card in cards if card.address.split(":", 1)[1] == where.split(":", 1)[-1]]
    return same[0] if len(same) == 1 else where


def _names(placed: Sequence[Named]) -> dict[str, str]:
    """Ids by all that tools call a device by in their tables of links."""
    names: dict[str, str] = {}
    for one in placed:
        names.update(dict.fromkeys(_names_of(one.reading), one.id))
        if one.reading.index is not None:
            names.update(dict.fromkeys((f"GPU{one.reading.index}", f"NPU{one.reading.index}"), one.id))
    return names


def _names_of(reading: Reading) -> tuple[str, ...]:
    where = (reading.pci_address, pci.address(reading.pci_address)) if reading.pci_address else ()
    number = () if reading.index is None else (str(reading.index),)
    return tuple(each for each in (reading.uuid, *where, *number) if each)


def _read(kin: Kin, one: Named, cards: Sequence[Function], names: Mapping[str, str]) -> Device:
    reading = one.reading
    card = next((each for each in cards if each.address == one.place.address), None)
    pci_id = card.pci_id if card else reading.pci_id or ""
    device = Device(
        id=one.id,
        kind=reading.kind or kin.kind,
        vendor=kin.vendor,
        model=reading.model or kin.models.get(pci_id.partition(":")[2], ""),
        index=one.order if reading.index is None else reading.index,
        pci_address=one.place.address,
        memory_bytes=reading.memory_bytes,
        memory_used_bytes=reading.memory_used_bytes,
        busy_percent=reading.busy_percent,
        temperature_celsius=reading.temperature_celsius,
        power_watts=reading.power_watts,
        health=reading.health,
        health_reason=reading.health_reason,
        serial=reading.serial or "",
        pci_id=pci_id,
        board=reading.board or "",
        partition=reading.partition or "",
        driver_version=reading.driver_version or "",
        power_limit_watts=reading.power_limit_watts,
        busy_name=reading.busy_name or "",
        unified_memory=reading.unified_memory,
        numa_node=reading.numa_node if card is None or card.numa_node is None else card.numa_node,
        pcie_root=card.root if card else "",
        links=tuple(
            Link(names.get(link.peer, names.get(pci.address(link.peer), link.peer)), link.kind, link.count)
            for link in reading.links
        ),
    )
    why = "" if card is None else why_undriven(card, takes_passed_on=kin.takes_passed_on)
    return unread(device, Health.UNHEALTHY, why) if why else device


def _is_told(one: Found, told: Sequence[Found], places: Iterable[str]) -> bool:
    """A partition that is gone from a card that answers was taken apart; a die that is gone was lost."""
    if any(other.place == one.place or other.device.id == one.device.id for other in told):
        return True
    return bool(one.device.partition) and one.place.address in places


def _why_missed(kin: Kin, one: Found, cards: Sequence[Function], silence: Silence) -> tuple[Health, str]:
    card = next((each for each in cards if each.address == one.place.address), None)
    if one.place.address and card is None:
        return Health.UNHEALTHY, "it is gone from the PCI bus"
    if card is not None and (why := why_undriven(card, takes_passed_on=kin.takes_passed_on)):
        return Health.UNHEALTHY, why
    if one.device.health is Health.UNHEALTHY and silence.known[0] is Health.UNKNOWN:
        # It was lost while the tool still answered; that the tool does not answer now makes it no better.
        return Health.UNHEALTHY, one.device.health_reason
    return silence.known


def _unread_card(kin: Kin, card: Function, position: int, silence: tuple[Health, str]) -> Device:
    why = why_undriven(card, takes_passed_on=kin.takes_passed_on)
    health, reason = (Health.UNHEALTHY, why) if why else silence
    return Device(
        id=card.address,
        kind=next((kind for each, kind in kin.kinds.items() if card.pci_class.startswith(each)), kin.kind),
        vendor=kin.vendor,
        model=kin.models.get(card.device, ""),
        index=position,
        pci_address=card.address,
        health=health,
        health_reason=reason,
        pci_id=card.pci_id,
        numa_node=card.numa_node,
        pcie_root=card.root,
    )
