"""What a query is once it is understood: conditions over fields and literals that are true, false or unknown.

Pure: the cores evaluate it. Logic has three values (Kleene's): what depends on an unknown figure is itself unknown,
its negation too, and only what is known to be true holds.
"""

import operator
import re
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from decimal import Decimal
from typing import Any

from headrace import units
from headrace.query_schema import Kind, Row, Scalar, Value


@dataclass(frozen=True, slots=True)
class Literal:
    """A value as written in the query, already in the unit of the field it is compared with."""

    kind: Kind
    value: Scalar

    def __str__(self) -> str:
        return _PRINTERS[self.kind](self.value)


@dataclass(frozen=True, slots=True)
class Name:
    """A field's name in a query."""

    name: str
    kind: Kind

    def __str__(self) -> str:
        return field_text(self.name)


class Expression(ABC):
    """A condition. Its text is the query again: parsing it gives an equal expression."""

    __slots__ = ()

    @abstractmethod
    def truth(self, row: Row) -> bool | None:
        """Whether it is true of the row; `None` where that hangs on something unknown."""

    def holds(self, row: Row) -> bool:
        """Whether it is known to be true of the row."""
        return self.truth(row) is True


@dataclass(frozen=True, slots=True)
class Always(Expression):
    """The empty query."""

    def truth(self, row: Row) -> bool | None:  # noqa: ARG002 - every expression is asked the same way.
        """True."""
        return True

    def __str__(self) -> str:
        return ""


@dataclass(frozen=True, slots=True)
class Compare(Expression):
    """`left OPERATOR right`, one of == != < <= > >=."""

    left: Name
    operator: str
    right: Name | Literal

    def truth(self, row: Row) -> bool | None:
        """True if any pair of the two sides' values satisfies it."""
        test = COMPARISONS[self.operator]
        left = row.get(self.left.name)
        right = self.right.value if isinstance(self.right, Literal) else row.get(self.right.name)
        if not isinstance(left, tuple) and not isinstance(right, tuple):
            return test(left, right) if _is_known(left) and _is_known(right) else None
        lefts, rights = _several(left), _several(right)
        return _any(test(a, b) if _is_known(a) and _is_known(b) else None for a in lefts for b in rights)

    def __str__(self) -> str:
        return f"{self.left} {self.operator} {self.right}"


@dataclass(frozen=True, slots=True)
class Among(Expression):
    """`left in (…)`."""

    left: Name
    right: tuple[Literal, ...]

    def truth(self, row: Row) -> bool | None:
        """True if any of the field's values is one of these."""
        allowed = tuple(literal.value for literal in self.right)
        return _any(value in allowed if _is_known(value) else None for value in _values(row, self.left.name))

    def __str__(self) -> str:
        return f"{self.left} in ({', '.join(map(str, self.right))})"


@dataclass(frozen=True, slots=True)
class Contains(Expression):
    """`"text" in right`: a member of a list, or a part of a text, capitals or not."""

    left: Literal
    right: Name

    def truth(self, row: Row) -> bool | None:
        """True if the list has it, or any of the texts."""
        wanted = str(self.left.value)
        values = _values(row, self.right.name)
        if self.right.kind is Kind.LIST:
            return _any(None if value is None else value == wanted for value in values)
        part = wanted.casefold()
        return _any(None if value is None else part in str(value).casefold() for value in values)

    def __str__(self) -> str:
        return f"{self.left} in {self.right}"


@dataclass(frozen=True, slots=True)
class Holds(Expression):
    """A field that is true or false, on its own."""

    name: Name

    def truth(self, row: Row) -> bool | None:
        """True if any of the field's values is."""
        return _any(None if value is None else bool(value) for value in _values(row, self.name.name))

    def __str__(self) -> str:
        return str(self.name)


@dataclass(frozen=True, slots=True)
class Not(Expression):
    """`not term`."""

    term: Expression

    def truth(self, row: Row) -> bool | None:
        """The opposite; of unknown, unknown."""
        truth = self.term.truth(row)
        return None if truth is None else not truth

    def __str__(self) -> str:
        match self.term:
            case Among(left, right):
                return f"{left} not in ({', '.join(map(str, right))})"
            case Contains(literal, name):
                return f"{literal} not in {name}"
            case And() | Or():
                return f"not ({self.term})"
        return f"not {self.term}"


@dataclass(frozen=True, slots=True)
class And(Expression):
    """All of the terms, of which none is an And itself."""

    terms: tuple[Expression, ...]

    def truth(self, row: Row) -> bool | None:
        """False if any term is, else unknown if any is."""
        return _opposite(_any(_opposite(term.truth(row)) for term in self.terms))

    def __str__(self) -> str:
        return " and ".join(f"({term})" if isinstance(term, Or) else str(term) for term in self.terms)


@dataclass(frozen=True, slots=True)
class Or(Expression):
    """Any of the terms, of which none is an Or itself."""

    terms: tuple[Expression, ...]

    def truth(self, row: Row) -> bool | None:
        """True if any term is, else unknown if any is."""
        return _any(term.truth(row) for term in self.terms)

    def __str__(self) -> str:
        return " or ".join(map(str, self.terms))


COMPARISONS: dict[str, Callable[[Any, Any], bool]] = {
    "==": operator.eq,
    "!=": operator.ne,
    "<": operator.lt,
    "<=": operator.le,
    ">": operator.gt,
    ">=": operator.ge,
}

KEYWORDS = ("and", "or", "not", "in", "true", "false")
PLAIN_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_-]*(?:\.[A-Za-z0-9_][A-Za-z0-9_-]*)*")


def parts_of(expression: Expression) -> tuple[Expression, ...]:
    """Conditions all of which have to hold for it to hold; none of the empty query."""
    match expression:
        case And(terms):
            return terms
        case Always():
            return ()
    return (expression,)


def all_of(parts: Sequence[Expression]) -> Expression:
    """The condition that all of these hold."""
    return And(tuple(parts)) if len(parts) > 1 else parts[0] if parts else Always()


def names_of(expression: Expression) -> tuple[Name, ...]:
    """The fields that it asks for."""
    match expression:
        case Compare(left, _, right):
            return (left, right) if isinstance(right, Name) else (left,)
        case Among(name, _) | Contains(_, name) | Holds(name):
            return (name,)
        case Not(term):
            return names_of(term)
        case And(terms) | Or(terms):
            return tuple(name for term in terms for name in names_of(term))
    return ()


def field_text(name: str) -> str:
    """A field's name as queries write it: `labels["a/b"]` where it has other characters than names have."""
    if PLAIN_NAME.fullmatch(name):
        return name
    prefix, _, key = name.partition(".")
    return f"{prefix}[{quoted(key)}]"


def quoted(text: Scalar) -> str:
    """A text as a literal."""
    escaped = str(text).replace("\\", "\\\\").replace('"', '\\"')
    return f'"{escaped}"'


def _decimal(number: Scalar) -> str:
    text = format(Decimal(repr(number)), "f")
    # Read as a whole number, a great fraction would be another one.
    return f"{text}.0" if isinstance(number, float) and "." not in text else text


_PRINTERS: dict[Kind, Callable[[Any], str]] = {
    Kind.TEXT: quoted,
    Kind.WORD: quoted,
    Kind.LIST: quoted,
    Kind.BOOL: lambda value: "true" if value else "false",
    Kind.NUMBER: _decimal,
    Kind.SIZE: units.format_bytes,
    Kind.DURATION: units.format_duration,
    Kind.CPU: units.format_cpu,
}


def _values(row: Row, name: str) -> tuple[Scalar | None, ...]:
    return _several(row.get(name))


def _several(value: Value) -> tuple[Scalar | None, ...]:
    return value if isinstance(value, tuple) else (value,)


def _is_known(value: Scalar | None) -> bool:
    # Some vendors' "not a number" is what others say nothing for.
    return value is not None and value == value  # noqa: PLR0124 - that alone is not equal to itself.


def _any(truths: Iterable[bool | None]) -> bool | None:
    unknown = False
    for truth in truths:
        if truth:
            return True
        unknown = unknown or truth is None
    return None if unknown else False


def _opposite(truth: bool | None) -> bool | None:  # noqa: FBT001 - it is the operand.
    return None if truth is None else not truth
