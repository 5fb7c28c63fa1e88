"""What stays is set aside and not gone through again; what becomes garbage there is let go in the end."""

import gc
import weakref
from collections.abc import Iterator

import pytest

from controller.garbage import LOOKS, THRESHOLDS, Aside

# More than one look at what came takes.
MANY = (THRESHOLDS[0] + 1) * (THRESHOLDS[1] + 3)


class Ring:
    """Refers to itself."""

    def __init__(self) -> None:
        self.itself = self


@pytest.fixture(autouse=True)
def as_it_was() -> Iterator[None]:
    thresholds, callbacks = gc.get_threshold(), list(gc.callbacks)
    yield
    gc.callbacks[:] = callbacks
    gc.set_threshold(*thresholds)
    gc.unfreeze()


def came(count: int) -> list[list[int]]:
    return [[] for _ in range(count)]


def test_what_stays_is_set_aside() -> None:
    Aside().begin()
    before = gc.get_freeze_count()
    kept = came(MANY)
    assert gc.get_freeze_count() - before > THRESHOLDS[0] * THRESHOLDS[1]
    assert len(gc.get_objects()) < len(kept)


def test_all_is_gone_through_after_so_many_looks_and_not_before() -> None:
    seen: list[int] = []
    Aside(looks=3).begin()
    gc.callbacks.append(lambda phase, info: seen.append(info["generation"]) if phase == "stop" else None)
    kept = came(MANY)
    ring = Ring()
    gone = weakref.ref(ring)
    kept += came(MANY)
    assert 1 in seen
    del ring
    for _ in range(1000):
        kept += came(THRESHOLDS[0])
        assert (gone() is None) == (2 in seen)
        if seen.count(2) == 3:
            break
    assert seen.count(2) == 3
    looks = "".join(str(one) for one in seen if one)
    assert all(len(between) >= 3 for between in looks.split("2")[:-1]), looks


def test_garbage_that_is_young_goes_soon() -> None:
    Aside(looks=LOOKS).begin()
    ring = Ring()
    gone = weakref.ref(ring)
    kept = came(THRESHOLDS[0] + 1)
    # It has stayed for one look at the youngest, and is not set aside by that.
    del ring
    kept += came(MANY)
    assert kept
    assert gone() is None
