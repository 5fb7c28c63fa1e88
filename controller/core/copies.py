"""Copies of what holds records, for who is to see it as it is now. Records never change, and are shared.

A class that is copied has its `copy` beside its fields: there it is seen which of them need more than this.
"""

from copy import copy
from typing import TypeVar

import numpy as np

_Kept = TypeVar("_Kept")


def with_its_own(one: _Kept, **others: object) -> _Kept:
    """The same, with arrays, dicts and lists of its own, and these `others` instead of its fields of those names.

    What is in those that it gets of its own is shared: what of that may change is to be among the others.
    """
    own = {name: value.copy() for name, value in vars(one).items() if isinstance(value, np.ndarray | dict | list)}
    return with_others(one, **{**own, **others})


def with_others(one: _Kept, **others: object) -> _Kept:
    """The same, with these instead of its fields of those names; all else is shared."""
    twin = copy(one)
    for name, value in others.items():
        if name not in vars(one):
            raise AttributeError(f"{type(one).__name__} has no field {name}")
        setattr(twin, name, value)
    return twin
