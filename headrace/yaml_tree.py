"""A YAML text as a tree in which everything knows its line, and scalars stay the text that was written.

What a scalar means is for whoever knows the field: `1.10` is a version in one and a number in the other, and `on` is
a key.
"""

from dataclasses import dataclass
from typing import NamedTuple

MAX_CHARACTERS = 1 << 20
MAX_DEPTH = 20


class Place(NamedTuple):
    """Where something was written; line 0 is no line of a file."""

    source: str
    line: int

    def __str__(self) -> str:
        return f"{self.source}:{self.line}" if self.line else self.source


@dataclass(frozen=True, slots=True)
class Scalar:
    """A text as written, without its quotes. `empty` is YAML's null: nothing, or ~."""

    place: Place
    text: str
    empty: bool = False


@dataclass(frozen=True, slots=True)
class Sequence:
    """A list."""

    place: Place
    items: tuple["Node", ...]


@dataclass(frozen=True, slots=True)
class Mapping:
    """Keys and values, in the order written."""

    place: Place
    entries: tuple[tuple[Scalar, "Node"], ...]


Node = Scalar | Sequence | Mapping


class YamlError(Exception):
    """A text that cannot be read on."""

    def __init__(self, place: Place, message: str) -> None:
        super().__init__(message)
        self.place = place
        self.message = message


def placed(node: Node, place: Place) -> Node:
    """The tree with one place for all of it."""
    match node:
        case Scalar(text=text, empty=empty):
            return Scalar(place, text, empty)
        case Sequence(items=items):
            return Sequence(place, tuple(placed(item, place) for item in items))
        case Mapping(entries=entries):
            return Mapping(place, tuple((Scalar(place, key.text), placed(entry, place)) for key, entry in entries))


def overlaid(tree: Node, keys: list[str], value: Node) -> Node:
    """The tree with a value at the end of these keys; mappings on the way are made where they are missing."""
    if not keys:
        return value
    if len(keys) > MAX_DEPTH:
        raise YamlError(value.place, f"reaches more than {MAX_DEPTH} deep")
    if isinstance(tree, Scalar) and tree.empty:
        tree = Mapping(value.place, ())
    if not isinstance(tree, Mapping):
        remedy = "reaches into a text or a list; give the whole of it, e.g. command=[python, train.py]"
        raise YamlError(value.place, remedy)
    entries = list(tree.entries)
    for index, (key, old) in enumerate(entries):
        if key.text == keys[0]:
            entries[index] = key, overlaid(old, keys[1:], value)
            break
    else:
        missing = Scalar(value.place, "", empty=True)
        entries.append((Scalar(value.place, keys[0]), overlaid(missing, keys[1:], value)))
    return Mapping(tree.place, tuple(entries))
