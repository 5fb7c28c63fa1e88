"""Laws of stills: who looks at one sees nothing of what happens later, whatever that is."""

from collections.abc import Iterator
from dataclasses import is_dataclass

import numpy as np
import pytest

from controller.core.past_runs import PastRun
from controller.core.placement import speeds
from controller.core.placement.fit import Place
from controller.core.placement.profiles import profile_of
from controller.core.stills import still
from headrace.jobs import AcceleratorRequest, JobSpec, Requests
from headrace.nodes import Capacity, Cpu, Device, Figure, Health, NodeDescription, Origin
from tests.core.lone_controller import Controller, asks, wanted
from tests.core.small_world import AMD64, GIB, PINS

ONE = AcceleratorRequest(1, 'kind == "gpu"')
# What is asked of a still is in these alone, and in which jobs are where: of that no inner dict is ever changed.
ASKED = ("jobs", "nodes", "stale", "read_anew", "turns", "projects", "past_runs", "learned", "snapshot", "costs")


def card(number: int, *, tflops: float) -> Device:
    figures = (Figure("fp16_tflops", tflops, Origin.SPEC),)
    return Device(f"GPU-{number}", "gpu", "nvidia", "H100", number, health=Health.HEALTHY, figures=figures)


def joined(world: Controller, name: str, *cards: Device) -> None:
    about = NodeDescription(platforms=(AMD64,), capacity=Capacity(16_000, 32 * GIB), cpu=Cpu("EPYC", threads=16))
    world.node(name, about, cards)
    world.tick()


@pytest.fixture
def world() -> Controller:
    """Of everything some: a job on a card, one that waits behind a first one, and runs that were seen."""
    made_one = Controller()
    joined(made_one, "n1", card(1, tflops=100.0), card(2, tflops=300.0))
    for _ in range(4):
        made_one.submit(wanted(resources=asks(2, 2, ONE)))
    made_one.settle()
    ran(made_one, wanted())
    return made_one


def ran(world: Controller, spec: JobSpec) -> None:
    world.book.learned.observe(profile_of(spec), PastRun("n1", AMD64, (), 9_000))


def speed(world: Controller, spec: JobSpec) -> speeds.Speed | None:
    return still(world.book).learned.speeds(spec, [AT_N1])[0]


AT_N1 = Place("n1", PINS[0], AMD64, (), 0, ())


def test_a_still_knows_no_speed_that_was_observed_later(world: Controller) -> None:
    before, looked_at = speed(world, wanted()), still(world.book)

    for name in ("other", "third"):
        ran(world, wanted(display_name=name))

    assert before is not None
    assert looked_at.learned.speeds(wanted(), [AT_N1]) == [before]
    never_seen = wanted(display_name="new")
    assert looked_at.learned.speeds(never_seen, [AT_N1]) == [None]


def test_in_a_still_a_unit_stays_what_it_is_when_more_devices_come(world: Controller) -> None:
    asked, given = Requests(1000, GIB, ONE), [card(1, tflops=100.0)]
    looked_at = still(world.book).projects.yardstick
    before = looked_at.amount(asked, given), looked_at.expected(asked)

    joined(world, "n2", card(3, tflops=500.0))

    assert (looked_at.amount(asked, given), looked_at.expected(asked)) == before
    now = world.book.projects.yardstick
    assert now.amount(asked, given) != before[0]


def test_a_still_shares_nothing_that_changes(world: Controller) -> None:
    book, looked_at = world.book, still(world.book)
    own = {id(one): where for name in ASKED for where, one in changing(vars(looked_at)[name], name)}

    shared = [own[id(one)] for name in ASKED for _, one in changing(vars(book)[name], name) if id(one) in own]

    assert shared == []


# What these hold is replaced as a whole, and never changed.
NEVER_CHANGED = ("_told", "_asks", "_columns_known")


def changing(value: object, where: str) -> Iterator[tuple[str, object]]:
    """All arrays, dicts, lists and objects that are reached from one, but for records and what is never changed."""
    if value is None or isinstance(value, str | int | float | bool | tuple) or _is_record(value):
        return
    yield where, value
    if isinstance(value, np.ndarray):
        return
    inner = vars(value) if hasattr(value, "__dict__") else value if isinstance(value, dict) else {}
    if is_dataclass(value):
        inner = {name: getattr(value, name) for name in value.__dataclass_fields__}
    some = inner.items() if inner else enumerate(value) if isinstance(value, list) else ()
    for name, one in some:
        if name not in NEVER_CHANGED:
            yield from changing(one, f"{where}.{name}")


def _is_record(value: object) -> bool:
    return is_dataclass(value) and value.__dataclass_params__.frozen  # type: ignore[attr-defined]
