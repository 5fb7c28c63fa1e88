"""Outputs that are names with values, in XML or indented: both read as fields by path, and as a device by names."""

import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from functools import cached_property
from re import Match, Pattern
from xml.parsers import expat

from agent.accelerators.parsers.text import celsius, memory, pci_address, pci_id, percent, told, watts
from agent.accelerators.readings import Process, Reading, Unreadable

_DEEPEST = 32
_SPACING = re.compile(r"[^a-z0-9]+")
# Names are short; a text that is none must not grow by being nested.
_LONGEST_NAME = 100


@dataclass(frozen=True)
class Fields:
    """Values by path ("fb_memory_usage/total"), in the order in which they were told."""

    items: tuple[tuple[str, str], ...]

    @cached_property
    def _by_path(self) -> dict[str, str]:
        # Where a path comes twice, the first is the device's own, and the others are of what it has.
        return dict(reversed(self.items))

    def first(self, *paths: str) -> str | None:
        """What is told under the first of these paths under which something is."""
        return next((value for path in paths if (value := told(self._by_path.get(path))) is not None), None)

    def raw(self, *paths: str) -> str:
        """What stands under the first of these paths that is there, be it "N/A"; empty for nothing."""
        return next((self._by_path[path] for path in paths if path in self._by_path), "")

    def with_names_alone(self) -> "Fields":
        """The same, and each under its name alone ("*/power_draw"): versions move what they tell between sections."""
        return Fields((*self.items, *((f"*/{name.rpartition('/')[2]}", value) for name, value in self.items)))

    def below(self, folder: str) -> Iterator[tuple[str, str]]:
        """The items in a folder, by the rest of their paths."""
        return ((name[len(folder) :], value) for name, value in self.items if name.startswith(folder))

    def parts(self, first: str) -> list["Fields"]:
        """The items that repeat, one part from each `first` ("mig_device/index") to the next, without their folder."""
        folder = first[: first.rindex("/") + 1]
        parts: list[list[tuple[str, str]]] = []
        for name, value in self.items:
            if name == first:
                parts.append([])
            if parts and name.startswith(folder):
                parts[-1].append((name[len(folder) :], value))
        return [Fields(tuple(part)) for part in parts]


@dataclass(frozen=True, slots=True, kw_only=True)
class Names:
    """Under which paths a tool's versions tell what; the first that is told counts."""

    model: tuple[str, ...] = ()
    uuid: tuple[str, ...] = ()
    serial: tuple[str, ...] = ()
    pci_address: tuple[str, ...] = ()
    pci_id: tuple[str, ...] = ()
    memory: tuple[str, ...] = ()
    used: tuple[str, ...] = ()
    busy: tuple[str, ...] = ()
    temperature: tuple[str, ...] = ()
    power: tuple[str, ...] = ()
    power_limit: tuple[str, ...] = ()


def reading(vendor: str, kind: str, fields: Fields, names: Names) -> Reading:
    """A device of what its fields tell."""
    busy = next((path for path in names.busy if percent(fields.first(path)) is not None), None)
    return Reading(
        vendor=vendor,
        kind=kind,
        model=fields.first(*names.model),
        uuid=fields.first(*names.uuid),
        serial=fields.first(*names.serial),
        pci_address=pci_address(fields.first(*names.pci_address)),
        pci_id=pci_id(fields.first(*names.pci_id)),
        memory_bytes=memory(fields.first(*names.memory)),
        memory_used_bytes=memory(fields.first(*names.used)),
        busy_percent=percent(fields.first(busy)) if busy else None,
        busy_name=busy.rpartition("/")[2] if busy else None,
        temperature_celsius=celsius(fields.first(*names.temperature)),
        power_watts=watts(fields.first(*names.power)),
        power_limit_watts=watts(fields.first(*names.power_limit)),
    )


def processes(fields: Fields) -> tuple[Process, ...]:
    """The processes of NVIDIA's dialect, in XML ("process_info/pid") and in text ("process_id", below it "name")."""
    found: list[Process] = []
    for name, value in fields.below("processes/"):
        last = name.rpartition("/")[2]
        if last in ("pid", "process_id") and value.isdecimal() and len(value) < 10:
            found.append(Process(int(value)))
        elif found and last in ("process_name", "name"):
            found[-1] = Process(found[-1].pid, value, found[-1].memory_bytes)
        elif found and last in ("used_memory", "used_gpu_memory", "used_xpu_memory"):
            found[-1] = Process(found[-1].pid, found[-1].name, memory(value))
    return tuple(found)


def indented(lines: Iterable[str]) -> Fields:
    """Lines "name : value", below names that stand alone, each deeper than what it belongs to."""
    items: list[tuple[str, str]] = []
    above: list[tuple[int, str]] = []
    for line in lines:
        bare = line.expandtabs().rstrip()
        title, colon, value = bare.partition(": ")
        name = _SPACING.sub("_", title[:_LONGEST_NAME].lower()).strip("_")
        if not name:
            continue
        depth = len(bare) - len(bare.lstrip())
        above = [one for one in above if one[0] < depth][-_DEEPEST:]
        above.append((depth, name))
        if colon:
            items.append(("/".join(one[1] for one in above), value.strip()))
    return Fields(tuple(items))


def blocks(text: str, start: Pattern[str]) -> tuple[Fields, list[tuple[Match[str], Fields]]]:
    """What stands before the first line that `start` matches, and what below each that it does."""
    before: list[str] = []
    found: list[tuple[Match[str], list[str]]] = []
    for line in text.split("\n"):
        begins = start.fullmatch(line.rstrip())
        if begins:
            found.append((begins, []))
        else:
            (found[-1][1] if found else before).append(line)
    return indented(before), [(begins, indented(lines)) for begins, lines in found]


class _Collector:
    """Gathers the texts of a document's leaves: those in each element `device`, and the others."""

    def __init__(self, device: str) -> None:
        self.head: list[tuple[str, str]] = []
        self.devices: list[list[tuple[str, str]]] = []
        self.roots: list[str] = []
        self._device = device
        self._above: list[str] = []
        self._inside = 0
        self._text: list[str] = []

    def begin(self, tag: str, attributes: dict[str, str]) -> None:
        """An element begins."""
        if not self._above:
            self.roots.append(tag)
        self._above.append(tag[:_LONGEST_NAME])
        if len(self._above) > _DEEPEST:
            raise Unreadable(f"its elements are nested over {_DEEPEST} deep")
        self._text.clear()
        if tag == self._device and not self._inside:
            self._inside = len(self._above)
            self.devices.append([("@" + name, value) for name, value in attributes.items()])

    def end(self, _tag: str) -> None:
        """An element ends; what had elements in it has no text of its own."""
        value = "".join(self._text).strip()
        self._text.clear()
        if value:
            items = self.devices[-1] if self._inside else self.head
            items.append(("/".join(self._above[self._inside or 1 :]), value))
        if len(self._above) == self._inside:
            self._inside = 0
        self._above.pop()

    def text(self, piece: str) -> None:
        """A piece of text."""
        self._text.append(piece)


def from_xml(text: str, *, root: str, device: str = "gpu") -> tuple[Fields, list[Fields]]:
    """The fields outside of devices, and those of each. Unreadable: cut short, no XML, or of another root element.

    It may be a stranger's: entities are refused, and expat fetches nothing.
    """
    begin = text.find("<")
    end = text.rfind(f"</{root}>")
    if begin < 0 or f"<{root}" not in text:
        raise Unreadable(f"expected XML with the element <{root}>, and there is none")
    if end < 0:
        raise Unreadable(f"its XML is cut short: expected </{root}> at its end")
    collector = _Collector(device)
    parser = expat.ParserCreate()
    parser.StartElementHandler = collector.begin
    parser.EndElementHandler = collector.end
    parser.CharacterDataHandler = collector.text
    parser.EntityDeclHandler = _refuse_entities
    try:
        parser.Parse(text[begin : end + len(root) + 3], True)
    except expat.ExpatError as error:
        raise Unreadable(f"its XML breaks off in line {error.lineno}: {expat.ErrorString(error.code)}") from error
    if collector.roots != [root]:
        raise Unreadable(f"expected XML with the element <{root}> around all others")
    return Fields(tuple(collector.head)), [Fields(tuple(items)) for items in collector.devices]


def _refuse_entities(*_declared: object) -> None:
    raise Unreadable("its XML declares entities, which no tool's does")
