"""Recorded outputs of vendors' tools, and what is right to read of each: see SOURCES.md beside them."""

import re
from dataclasses import dataclass
from pathlib import Path

from agent.accelerators.parsers.table import readings_of
from agent.accelerators.readings import Reading

FOLDER = Path(__file__).parents[2] / "fixtures/accelerators"
_ROW = re.compile(r"\| (\w+/\S+) \| `(.*?)` \|")

Value = float | str | None


def text_of(file: str) -> str:
    """A recorded output."""
    return (FOLDER / file).read_text(encoding="utf-8")


def recorded(*folders: str) -> list[tuple[str, str]]:
    """The file and the command of each output of these vendors, in the words of SOURCES.md."""
    found = (_ROW.match(line) for line in text_of("SOURCES.md").splitlines())
    return [(row[1], row[2]) for row in found if row is not None and row[1].startswith(folders)]


def read(file: str) -> tuple[Reading, ...]:
    """What is read of a recorded output by the command that printed it."""
    command = next(command for name, command in recorded(file) if name == file)
    return readings_of(command, text_of(file))


@dataclass(frozen=True, slots=True)
class Right:
    """The right reading of an output: sizes in MiB; one value is every device's; `None` is what it does not tell."""

    file: str
    count: int
    model: Value | tuple[Value, ...] = None
    uuid: Value | tuple[Value, ...] = None
    total: Value | tuple[Value, ...] = None
    used: Value | tuple[Value, ...] = None
    busy: Value | tuple[Value, ...] = None
    celsius: Value | tuple[Value, ...] = None
    watts: Value | tuple[Value, ...] = None
    limit: Value | tuple[Value, ...] = None

    def columns(self) -> dict[str, tuple[Value, ...]]:
        """What is right, a value a device."""
        names = ("model", "uuid", "total", "used", "busy", "celsius", "watts", "limit")
        given = {name: getattr(self, name) for name in names}
        return {name: one if isinstance(one, tuple) else (one,) * self.count for name, one in given.items()}

    @property
    def name(self) -> str:
        """How a failure names it."""
        return self.file


def columns(readings: tuple[Reading, ...]) -> dict[str, tuple[Value, ...]]:
    """What was read, in the form of what is right."""
    return {
        "model": tuple(one.model for one in readings),
        "uuid": tuple(one.uuid for one in readings),
        "total": tuple(_mib(one.memory_bytes) for one in readings),
        "used": tuple(_mib(one.memory_used_bytes) for one in readings),
        "busy": tuple(one.busy_percent for one in readings),
        "celsius": tuple(one.temperature_celsius for one in readings),
        "watts": tuple(one.power_watts for one in readings),
        "limit": tuple(one.power_limit_watts for one in readings),
    }


def _mib(size: int | None) -> float | None:
    return None if size is None else round(size / (1 << 20), 2)
