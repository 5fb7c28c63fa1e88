"""Fields on their own: what things are ordered, summed and grouped by, and what a value of one is as a text."""

from dataclasses import dataclass

from headrace import units
from headrace.query_expressions import Literal, Name
from headrace.query_schema import Kind, QueryError, Row, Scalar, Schema
from headrace.query_syntax import parse_column

SUMMED = (Kind.NUMBER, Kind.SIZE, Kind.DURATION, Kind.CPU)


@dataclass(frozen=True, slots=True)
class Order:
    """By which field, and whether the greatest comes first."""

    name: Name
    descending: bool = False

    def __str__(self) -> str:
        return f"{self.name} desc" if self.descending else str(self.name)


def parse_order(text: str, schema: Schema) -> Order:
    """`FIELD`, `FIELD desc` or `FIELD asc`. Raises QueryError."""
    name, direction = parse_column(text, schema)
    if name.kind is Kind.LIST:
        raise QueryError(f"{name} is a list; lists have no order", position=0, query=text)
    return Order(name, descending=direction == "desc")


def parse_field(text: str, schema: Schema) -> Name:
    """One field's name. Raises QueryError."""
    name, direction = parse_column(text, schema)
    if direction:
        raise QueryError(
            f"{direction} is for an order; write {name} alone", position=text.rindex(direction), query=text
        )
    return name


def parse_sum(text: str, schema: Schema) -> Name:
    """The name of a field whose values can be summed. Raises QueryError."""
    name = parse_field(text, schema)
    if name.kind not in SUMMED:
        problem = f"{name} is {name.kind.value.partition(';')[0]}; what is summed is a number, a size or a duration"
        raise QueryError(problem, position=0, query=text)
    return name


def values_of(row: Row, name: Name) -> tuple[Scalar | None, ...]:
    """All values that the field has: several of a node's devices, else one."""
    value = row.get(name.name)
    return value if isinstance(value, tuple) else (value,)


def value_text(name: Name, value: Scalar | None) -> str:
    """A value as queries write it, without quotes; empty where it is unknown."""
    if value is None:
        return ""
    return str(value) if isinstance(value, str) else str(Literal(name.kind, value))


def rounded_text(name: Name, value: float) -> str:
    """A sum for people."""
    match name.kind:
        case Kind.SIZE:
            return units.rounded_bytes(int(value))
        case Kind.DURATION:
            return units.format_duration(int(value))
        case Kind.CPU:
            return f"{value / 1000:g} cores"
        case _:
            return f"{value:,.6g}" if abs(value) < 1e6 else f"{value:,.0f}"
