"""Laws of brief reports: what a device is, is said until it was heard; and the controller knows it all the time."""

from dataclasses import replace

import pytest

from agent.core import model as agent
from agent.core.told import brief, lasting
from controller.core.model import Reject, Reported
from headrace.nodes import Device, Figure, Health, Load, Node, Origin
from headrace.sessions import Report
from tests.core.small_world import World, description

FIGURES = tuple(Figure(f"fp{bits}_tflops", 1000.0, Origin.SPEC, "H200 SXM: a datasheet") for bits in (64, 32, 16, 8))
CARD = Device("GPU-1", "gpu", "nvidia", "H200", busy_percent=10.0, health=Health.HEALTHY, figures=FIGURES)
HOT = replace(CARD, busy_percent=90.0, temperature_celsius=99.0, health=Health.DEGRADED, health_reason="hot")


@pytest.fixture
def world() -> World:
    """A node with a card, the engine of which has said that nobody holds it."""
    world = World()
    world.join("a")
    sense(world, CARD)
    return world


def sense(world: World, *devices: Device) -> None:
    """The node's sensors tell of these."""
    world._queue.append(("a", agent.Sensed(description(), devices, Load())))
    world.pass_time(12_000)


def reports(world: World, *devices: Device) -> list[Report]:
    """What the agent reports while these devices are there."""
    sent: list[Report] = []
    handle = world.cluster.handle

    def heard(event: object) -> object:
        if isinstance(event, Reported):
            sent.append(event.report)
        return handle(event)  # type: ignore[arg-type]

    world.cluster.handle = heard  # type: ignore[method-assign,assignment]
    sense(world, *devices)
    world.cluster.handle = handle  # type: ignore[method-assign]
    return sent


def known(world: World) -> Node:
    return world.cluster.book.nodes["a"]


def test_a_device_that_was_heard_is_reported_by_its_readings_alone(world: World) -> None:
    sent = reports(world, HOT)

    assert sent
    assert all(report.brief for report in sent)
    assert sent[-1].devices == brief((HOT,))
    assert known(world).devices == (HOT,)


def test_a_device_that_is_another_is_told_whole_until_that_was_heard(world: World) -> None:
    other = replace(CARD, figures=FIGURES[:1])

    sent = reports(world, other)

    assert [report.brief for report in sent][:1] == [False]
    assert sent[-1].brief
    assert known(world).devices == (other,)


def test_a_device_that_goes_and_one_that_comes_are_told_at_once(world: World) -> None:
    second = replace(CARD, id="GPU-2")

    assert not reports(world, CARD, second)[0].brief
    assert [one.id for one in known(world).devices] == ["GPU-1", "GPU-2"]
    assert not reports(world, second)[0].brief
    assert known(world).devices == (second,)
    assert not any(report.brief for report in reports(world))
    assert known(world).devices == ()


def test_after_a_restart_of_the_controller_all_is_told_again(world: World) -> None:
    world.restart_controller()
    sense(world, HOT)

    assert known(world).devices == (HOT,)


def test_a_controller_that_lacks_what_a_report_counts_on_has_it_told_whole(world: World) -> None:
    world.cluster.book.nodes["a"] = replace(known(world), devices=())

    sent = reports(world, HOT)

    assert sent[0].brief
    assert not next(report for report in sent if report.session > sent[0].session).brief
    assert known(world).devices == (HOT,)


def test_a_brief_report_of_a_session_that_was_not_heard_ends_it(world: World) -> None:
    session = known(world).session + 1
    report = Report("a", session, 1, None, brief((CARD,)), brief=True)

    effects = world.cluster.handle(Reported(report))

    rejected = [one for one in effects if isinstance(one, Reject)]
    assert [(one.session, one.refusal.reason) for one in rejected] == [(session, "DEVICES_UNKNOWN")]
    assert known(world).devices == (CARD,)


def test_what_is_read_anew_and_what_lasts_are_all_that_a_device_is() -> None:
    assert lasting((HOT,)) == lasting((CARD,))
    (read,), (lasts,) = brief((HOT,)), lasting((HOT,))
    names = [name for name in Device.__dataclass_fields__ if name != "id"]
    unread = Device("GPU-1", "", "", "")

    assert all(getattr(HOT, name) in (getattr(read, name), getattr(lasts, name)) for name in names)
    assert all(unread_or_same(name, read, lasts, unread) for name in names)


def unread_or_same(name: str, read: Device, lasts: Device, unread: Device) -> bool:
    """No field is both read anew and lasting."""
    return getattr(unread, name) in (getattr(read, name), getattr(lasts, name))


def test_a_report_of_readings_has_nobody_look_at_jobs(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    looks: list[str] = []
    monkeypatch.setattr("controller.core.preempting.settled", lambda _: looks.append("looked"))
    known_before = known(world)
    load = Load(cpu_percent=3.0)
    number = world.cluster.book.newest["a"][1]
    quiet = Report("a", known_before.session, number + 1, devices=brief((replace(CARD, power_watts=7.0),)), brief=True)

    world.cluster.handle(Reported(replace(quiet, load=load)))
    assert (known(world).load, known(world).devices[0].power_watts) == (load, 7.0)
    assert not looks

    world.cluster.handle(Reported(replace(quiet, sequence=number + 2, devices=brief((HOT,)))))
    assert known(world).devices == (HOT,)
    assert looks
