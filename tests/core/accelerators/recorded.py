"""The recorded outputs, the commands that SOURCES.md says they answer, and what was read of those by people."""

import re
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2] / "fixtures" / "accelerators"

_ROW = re.compile(r"^\| (\S+/\S+) \| `((?:[^`\\]|\\.)*)` \|", re.MULTILINE)


@dataclass(frozen=True)
class Right:
    """What a correct parser reads of one device; memory in MiB, None for what the output does not hold."""

    model: str | None = None
    uuid: str | None = None
    total: int | None = None
    used: int | None = None
    busy: float | None = None
    temperature: float | None = None
    power: float | None = None


def commands() -> dict[str, str]:
    """Every fixture, and the command that it answers, in the words of SOURCES.md."""
    return dict(_ROW.findall((ROOT / "SOURCES.md").read_text()))


def is_read(fixture: str) -> bool:
    """Whether there is a module for the fixture's vendor."""
    return find_spec(f"agent.accelerators.parsers.{fixture.partition('/')[0]}") is not None


def text_of(fixture: str) -> str:
    return (ROOT / fixture).read_text(errors="replace")
