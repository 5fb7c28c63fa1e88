"""Reads values out of a YAML tree: each by what its field should be, every mistake noted with its place and path."""

import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from enum import Enum
from typing import Any, TypeVar

from headrace import suggestions, units, yaml_tree
from headrace.yaml_tree import Node, Place, Scalar

Value = TypeVar("Value")
Word = TypeVar("Word", bound=Enum)
Reader = Callable[[Node, str], Any]

_INTEGER = re.compile(r"[-+]?[0-9]{1,18}")
_AMOUNT = re.compile(r"[-+]?[0-9]{1,18}(\.[0-9]{1,18})?([eE][-+]?[0-9]{1,9})?")
_NUMBER = re.compile(r"[-+]?[0-9]{1,18}(\.[0-9]{1,18})?")


# Nothing of which a job says a size is smaller.
_LEAST_BARE_BYTES = 1 << 20


class Wrong(ValueError):
    """A value that is not what its field should be; the message says what is allowed."""


@dataclass(frozen=True, slots=True)
class Problem:
    """What is wrong, where it stands and which field it is."""

    place: Place
    path: str
    message: str

    def __str__(self) -> str:
        return ": ".join(part for part in (str(self.place), self.path, self.message) if part)


@dataclass(slots=True)
class Findings:
    """What is found while a tree is read: problems, and the place of each field."""

    problems: list[Problem] = field(default_factory=list)
    places: dict[str, Place] = field(default_factory=dict)

    def note(self, place: Place, path: str, message: str) -> None:
        """Keeps a problem."""
        self.problems.append(Problem(place, path, message))

    def place(self, path: str) -> Place | None:
        """Where a field, or the nearest one around it, was written."""
        return next((self.places[outer] for outer in (path, *_around(path)) if outer in self.places), None)

    def is_noted(self, path: str) -> bool:
        """Whether a problem with a field, or with one around it, is known."""
        noted = {problem.path for problem in self.problems}
        return any(outer in noted for outer in (path, *_around(path)))

    def is_noted_within(self, path: str) -> bool:
        """Whether a problem with a part of a field is known: a key of it, or a member."""
        return any(problem.path.startswith((f"{path}.", f"{path}[")) for problem in self.problems)

    def value(self, node: Node, path: str, read: Callable[[Node, str], Value]) -> Value | None:
        """What `read` makes of the node; `None`, and a problem, where that is nothing."""
        self.places[path] = node.place
        try:
            return read(node, path)
        except (Wrong, units.UnitError) as error:
            self.note(node.place, path, str(error))
            return None

    def section(self, node: Node, path: str, readers: Mapping[str, Reader]) -> dict[str, Any]:
        """The values of a mapping by its keys: those that are there and right."""
        values = {}
        for key, entry in self.entries(node, path):
            full = f"{path}.{key.text}" if path else key.text
            if key.text not in readers:
                self.note(key.place, full, suggestions.unknown("key", key.text, readers))
                continue
            value = self.value(entry, full, readers[key.text])
            if value is not None:
                values[key.text] = value
        return values

    def entries(self, node: Node, path: str) -> list[tuple[Scalar, Node]]:
        """A mapping's entries, each key once."""
        if not isinstance(node, yaml_tree.Mapping):
            raise Wrong(f"has keys and values of its own, not {described(node)}")
        kept: dict[str, tuple[Scalar, Node]] = {}
        for key, entry in node.entries:
            if key.text in kept:
                first = kept[key.text][0].place.line
                full = f"{path}.{key.text}" if path else key.text
                self.note(key.place, full, f"stands here a second time; it is on line {first} already")
            else:
                kept[key.text] = key, entry
        return list(kept.values())

    def items(self, node: Node, path: str, read: Callable[[Node, str], Value]) -> tuple[Value, ...]:
        """A list's members."""
        if not isinstance(node, yaml_tree.Sequence):
            raise Wrong(f"is a list, e.g. [a, b], not {described(node)}")
        values = [self.value(item, f"{path}[{index}]", read) for index, item in enumerate(node.items)]
        return tuple(value for value in values if value is not None)


def _around(path: str) -> Iterator[str]:
    while path:
        path = path[: max(path.rfind("."), path.rfind("["), 0)]
        yield path


def text(node: Node, _path: str = "") -> str:
    """A text, as it was written."""
    if not isinstance(node, Scalar):
        raise Wrong(f"is a text, not {described(node)}")
    if node.empty:
        raise Wrong('has no value; write one, or "" for the empty text')
    if not node.text.isascii() and any("\ud800" <= character <= "\udfff" for character in node.text):
        raise Wrong("has half a character (a surrogate) in it")
    return node.text


def whole_number(allowed: str) -> Callable[[Node, str], int]:
    """A reader of a whole number; the rules judge whether it is one that is `allowed`."""

    def read(node: Node, _path: str) -> int:
        written = text(node)
        if _INTEGER.fullmatch(written) is None:
            raise Wrong(f"{written!r} is no whole number {allowed}")
        return int(written)

    return read


def number(node: Node, _path: str) -> float:
    """A number."""
    written = text(node)
    if _NUMBER.fullmatch(written) is None:
        raise Wrong(f"{written!r} is no number; write e.g. 10 or 0.5")
    return float(written)


def amount(node: Node, _path: str) -> float:
    """A number that may be large, and may be written with an exponent."""
    written = text(node)
    if _AMOUNT.fullmatch(written) is None:
        raise Wrong(f"{written!r} is no number; write e.g. 1e15 or 2.5e12")
    return float(written)


def boolean(node: Node, _path: str) -> bool:
    """`true` or `false`."""
    written = text(node)
    if written not in ("true", "false"):
        raise Wrong(f"{written!r} is neither true nor false")
    return written == "true"


def size(node: Node, _path: str) -> int:
    """A size in bytes. A number without a unit is one of bytes if it can be: a small one lacks its unit."""
    written = text(node)
    found = units.parse_bytes(written)
    if 0 < found < _LEAST_BARE_BYTES and not written[-1].isalpha():
        raise Wrong(f"{written} is without a unit; write e.g. {written}MiB or 4GiB")
    return found


def duration(node: Node, _path: str) -> int:
    """A duration in milliseconds."""
    return units.parse_duration(text(node))


def cpu(node: Node, _path: str) -> int:
    """A share of processors in thousandths of a core."""
    return units.parse_cpu(text(node))


def one_of(kind: type[Word]) -> Callable[[Node, str], Word]:
    """A reader of the enumeration's words: "node-lost" for NODE_LOST."""
    words = {member.name.lower().replace("_", "-"): member for member in kind}

    def read(node: Node, _path: str) -> Word:
        written = text(node)
        if written not in words:
            near = suggestions.nearest(written, words)
            hint = f"; did you mean {near}?" if near else ""
            raise Wrong(f"{written!r} is not one of {', '.join(words)}{hint}")
        return words[written]

    return read


def described(node: Node) -> str:
    """What a node is, for people."""
    match node:
        case Scalar(text=written, empty=empty):
            shown = written if len(written) <= 60 else written[:60] + "…"
            return "nothing" if empty else f"the text {shown!r}"
        case yaml_tree.Sequence():
            return "a list"
    return "keys and values"
