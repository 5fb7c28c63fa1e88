"""Copies of records in which some fields differ, made fast: the cores make ten for each job that runs."""

from collections.abc import Callable
from dataclasses import fields, make_dataclass
from operator import attrgetter
from typing import TYPE_CHECKING, Any, NamedTuple, TypeVar, cast

__all__ = ["made", "replace"]

_Record = TypeVar("_Record")


class _Copying(NamedTuple):
    """How records of one class are copied."""

    values: Callable[[Any], tuple[Any, ...]]
    # What a copy is while it is made: the same slots, but not frozen.
    draft: type


_COPYINGS: dict[type, _Copying] = {}

if TYPE_CHECKING:
    from dataclasses import replace
else:

    def replace(record: Any, /, **changes: Any) -> Any:
        """As `dataclasses.replace`, for classes with slots, two or more fields, and no `__post_init__`.

        That one has each field written by a call, as all that is frozen: 5 µs for a job, of which this takes 1. Raises
        TypeError for a field that there is not.
        """
        kind = type(record)
        copying = _COPYINGS.get(kind) or _copying(kind)
        copy = copying.draft(*copying.values(record))
        for name, value in changes.items():
            try:
                setattr(copy, name, value)
            except AttributeError:
                raise TypeError(f"{kind.__name__} has no field {name}") from None
        copy.__class__ = kind
        return copy


def made(kind: type[_Record], values: tuple[Any, ...]) -> _Record:
    """As `kind(*values)`, with a value for each field in their order: for the classes of `replace`, and as fast."""
    record: Any = (_COPYINGS.get(kind) or _copying(kind)).draft(*values)
    record.__class__ = kind
    return cast("_Record", record)


def _copying(kind: type) -> _Copying:
    names = [one.name for one in fields(kind)]
    if hasattr(kind, "__post_init__") or len(names) < 2:
        raise TypeError(f"{kind.__name__} is none of the classes that can be copied so: take dataclasses.replace")
    draft = make_dataclass(kind.__name__, names, slots=True, eq=False, repr=False)
    _COPYINGS[kind] = _Copying(attrgetter(*names), draft)
    return _COPYINGS[kind]
