"""Tables drawn as nvidia-smi draws them: a header of two or three lines, and as many for each card."""

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from agent.accelerators.parsers.text import cells, is_rule, memory, pci_address, percent, watts
from agent.accelerators.readings import Reading

# A first line of a card: its number, then its name. What else begins with a number has a unit on it ("30%   45C").
_FIRST = re.compile(r"(\d{1,5})\s+(?!C\b|°|℃)([^\s\d%].*|\d\S*[A-Za-z].*)")
_ENDS = ("process", "mig devices", "no mig devices")
_FLAGS = ("On", "Off", "N/A", "TCC", "WDDM", "MCDM", "Enabled", "Disabled", "ERR!")
_TEMPERATURE = re.compile(r"(?<![\w.])(-?\d{1,3}(?:\.\d+)?)\s*(?:°|º)?\s*(?:C\b|℃)")
_WATTS = re.compile(r"(\d{1,9}(?:\.\d{1,9})?)\s*W\b")
_SHARE = re.compile(r"(?<![\w.])(\d{1,3}(?:\.\d{1,9})?)\s*%")
_NOT_TOLD = re.compile(r"N/A|Not Supported", re.IGNORECASE)

Rows = Sequence[Sequence[str]]


@dataclass(frozen=True, slots=True)
class Card:
    """The lines of one card below the header's, cell by cell."""

    header: Rows
    rows: Rows

    def cell(self, *words: str) -> str:
        """What stands below the header's cell that has one of these words; empty for nothing."""
        for word in words:
            for row, titles in enumerate(self.header):
                for column, title in enumerate(titles):
                    if word in title.lower() and row < len(self.rows) and column < len(self.rows[row]):
                        return self.rows[row][column]
        return ""

    @property
    def index(self) -> int | None:
        """Its number in the tool's order."""
        found = _FIRST.fullmatch(self.rows[0][0])
        return int(found[1]) if found else None

    @property
    def name(self) -> str | None:
        """Its name without its number and without the flag that stands behind it."""
        found = _FIRST.fullmatch(self.rows[0][0])
        words = (found[2] if found else self.rows[0][0]).split(" ")
        while len(words) > 1 and words[-1] in ("", *_FLAGS):
            words.pop()
        name = " ".join(words).strip()
        return name if name and name not in _FLAGS else None

    @property
    def pci_address(self) -> str | None:
        """Where it sits."""
        return next((found for found in map(pci_address, self.rows[0]) if found), None)


def read_cards(text: str, standard: Rows, title: str = "bus-id") -> list[Card]:
    """The cards of a table. `standard` is the header for one whose own is cut off; `title` begins one's own."""
    header: list[list[str]] = []
    cards: list[list[list[str]]] = []
    for line in text.split("\n"):
        row = None if is_rule(line) else cells(line)
        if row is None:
            continue
        if row[0].lower().startswith(_ENDS):
            break
        if _begins(row):
            cards.append([row])
        elif cards:
            cards[-1].append(row)
        elif header or any(title in cell.lower() for cell in row):
            header.append(row)
    # A tool that repeats itself ("-l 5") prints its table again and again: the last of each card counts.
    found = [Card(header or standard, rows) for rows in cards]
    return list({(card.index, card.pci_address): card for card in found}.values())


def _begins(row: list[str]) -> bool:
    return len(row) > 1 and (_FIRST.fullmatch(row[0]) is not None or any(map(pci_address, row)))


def as_reading(card: Card, *, vendor: str, busy_name: str, busy_cell: str = "util", kind: str = "gpu") -> Reading:
    """What the cells say that nvidia-smi has as well; `busy_name` is what the tool calls the share of time at work."""
    power, limit = powers(card.cell("pwr", "power"))
    used, total = used_and_total(card.cell("memory-usage"))
    busy = share(card.cell(busy_cell))
    return Reading(
        vendor=vendor,
        kind=kind,
        index=card.index,
        model=card.name,
        pci_address=card.pci_address,
        memory_bytes=total,
        memory_used_bytes=used,
        busy_percent=busy,
        busy_name=busy_name if busy is not None else None,
        temperature_celsius=temperature(card.cell("temp")),
        power_watts=power,
        power_limit_watts=limit,
    )


def driver_version(text: str) -> str | None:
    """The version in the head of a table or list."""
    found = re.search(r"Driver Ver(?:sion)?\s*:\s*([0-9A-Za-z][\w.+-]*)", text)
    return found[1] if found and found[1] != "N" else None


def temperature(cell: str) -> float | None:
    """The temperature in a cell that may hold more: "N/A   42C    P0  98W / 700W"."""
    found = _TEMPERATURE.search(cell)
    return float(found[1]) if found else None


def share(cell: str) -> float | None:
    """The first percentage in a cell."""
    found = _SHARE.search(cell)
    return percent(found[1]) if found else None


def powers(cell: str) -> tuple[float | None, float | None]:
    """What is drawn and what may be: "98W /  700W", "105W  300W", "44W", "97W / NA"; cells may be cut ("/ 250")."""
    drawn, bar, limit = _NOT_TOLD.sub("-", cell).partition("/")
    if bar:
        return _last_watts(drawn), watts(limit)
    found = [watts(one) for one in _WATTS.findall(cell)]
    return (found[0] if found else None), (found[1] if len(found) > 1 else None)


def _last_watts(before: str) -> float | None:
    found = _WATTS.findall(before)
    return watts(found[-1]) if found else None


def dead_sensor(cells: Iterable[str]) -> bool:
    """Whether a power reads all ones: 65535 W."""
    return any(float(one) > 65_000 for cell in cells for one in _WATTS.findall(cell))


def used_and_total(cell: str) -> tuple[int | None, int | None]:
    """Memory in "59MiB / 81559MiB", "826/65536 MiB" and "2MiB(16384MiB)", in bytes."""
    used, _, total = _NOT_TOLD.sub("-", cell).replace("(", "/").replace(")", " ").partition("/")
    unit = re.search(r"[KMGT]i?B", total)
    return memory(used, unit[0] if unit else "MiB"), memory(total)
