"""What queries may ask of a kind of record: its fields, what their values are, and how a record answers them."""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from enum import Enum
from typing import Any

from headrace.refusals import Code, Refusal
from headrace.suggestions import nearest

# Of a longer message both ends are told.
_PROBLEM_MAX = 400

Scalar = str | bool | int | float
# A tuple is what several devices say, or a list of texts; `None` is unknown, inside a tuple too.
Value = Scalar | None | tuple[Scalar | None, ...]
Row = Mapping[str, Value]


class Kind(Enum):
    """What a field's values are, and so what may be asked of it. The value names it to people."""

    TEXT = 'a text; write e.g. "east"'
    WORD = "one of a few words"
    LIST = 'a list of texts; ask e.g. "avx2" in it'
    BOOL = "true or false"
    NUMBER = "a number; write e.g. 100 or 0.5"
    SIZE = "a size; write e.g. 24GiB"
    DURATION = "a duration; write e.g. 10m"
    CPU = "a share of processors; write cores, e.g. 2 or 0.5, or thousandths, e.g. 500m"

    @property
    def ordered(self) -> bool:
        """Whether < and > mean something."""
        return self in (Kind.NUMBER, Kind.SIZE, Kind.DURATION, Kind.CPU)


@dataclass(frozen=True, slots=True)
class Field:
    """A field that queries know: how a record answers it, and the words it can be where they are few.

    `normal` turns other spellings of a word into the one in use. `several`: a node has a value for each of its devices.
    `usual`: the words that there are so far; `others`: agents may come to know further ones.
    """

    kind: Kind
    read: Callable[[Any], Value]
    words: tuple[str, ...] = ()
    normal: Callable[[str], str] | None = None
    several: bool = False
    usual: tuple[str, ...] = ()
    others: bool = False


@dataclass(frozen=True, eq=False)
class Schema:
    """The fields of one kind of record. `open_fields` are prefixes ("labels.") of names that users choose."""

    noun: str
    fields: Mapping[str, Field]
    open_fields: Mapping[str, Callable[[Any, str], Value]] = field(default_factory=dict)

    def find(self, name: str) -> Field | None:
        """The field of this name."""
        known = self.fields.get(name)
        if known is not None:
            return known
        for prefix, read in self.open_fields.items():
            if name.startswith(prefix) and name != prefix:
                return Field(Kind.TEXT, _keyed(read, name.removeprefix(prefix)))
        return None

    def meant(self, name: str) -> list[str]:
        """Which fields an unknown name probably meant: two that end so, else the most similar one, if any is."""
        # People write `memory`, and mean that of the node; by its letters `npu.memory` is as near.
        ends = [known for known in self.fields if known.count(".") == 1 and known.endswith(f".{name}")]
        if ends:
            return ends[:2]
        rest = name.partition(".")[2]
        near = nearest(name, [*self.fields, *(prefix + (rest or "NAME") for prefix in self.open_fields)])
        return [near] if near else []


def _keyed(read: Callable[[Any, str], Value], key: str) -> Callable[[Any], Value]:
    return lambda record: read(record, key)


class RecordRow(Mapping[str, Value]):
    """A record seen as a row: a field is read when it is asked for."""

    __slots__ = ("record", "schema")

    def __init__(self, schema: Schema, record: object) -> None:
        self.schema = schema
        self.record = record

    def __getitem__(self, name: str) -> Value:
        known = self.schema.find(name)
        if known is None:
            raise KeyError(name)
        return known.read(self.record)

    def get(self, name: str, default: Any = None) -> Any:
        """The field's value. Searches read hundreds of thousands: Mapping's own takes three times as long."""
        known = self.schema.fields.get(name) or self.schema.find(name)
        return default if known is None else known.read(self.record)

    def __iter__(self) -> Iterator[str]:
        return iter(self.schema.fields)

    def __len__(self) -> int:
        return len(self.schema.fields)


class QueryError(Refusal):
    """A query that means nothing. `problem` says why, `position` (from 0) where."""

    def __init__(self, problem: str, *, position: int, query: str) -> None:
        if len(problem) > _PROBLEM_MAX:
            # What a word is, or should be, stands before and behind it.
            problem = f"{problem[: _PROBLEM_MAX // 2]}…{problem[-_PROBLEM_MAX // 2 :]}"
        shown = query if len(query) <= 200 else query[:200] + "…"
        shown = "".join(character if character.isprintable() else " " for character in shown)
        message = f"{problem}, at character {position + 1} of `{shown}`" if shown.strip() else problem
        super().__init__(Code.INVALID_ARGUMENT, "QUERY_INVALID", message, position=str(position))
        self.problem = problem
        self.position = position
