"""What reports usually are is read in a shorter way than others, and comes out the same."""

from dataclasses import fields, replace
from typing import Any

import pytest

from agent.core.told import brief
from controller.services.nodes import _Reports
from controller.services.usual_reports import is_usual
from controller.shell import Outbox
from headrace import wire
from headrace.attempts import Attempt, AttemptState
from headrace.nodes import READ_ANEW, Device, Engine, Health, Load, NodeDescription, Reading
from headrace.sessions import Prefetched, PrefetchState, Report

CARD = Device("GPU-1", "gpu", "nvidia", "H200", health=Health.HEALTHY, holders=("jobs/a", "someone"))
READ = replace(CARD, memory_used_bytes=7, busy_percent=1.5, temperature_celsius=61.0, power_watts=700.0)
AT_REST = replace(CARD, memory_used_bytes=0, busy_percent=0.0, temperature_celsius=0.0, power_watts=0.0, holders=())
ILL = replace(CARD, health=Health.UNHEALTHY, health_reason="fell off the bus")
UNKNOWN = replace(CARD, health=Health.UNKNOWN)
RUNS = Attempt(job="j", epoch=1, node="n1", state=AttemptState.RUNNING)
LOADS = (Load(), Load(0.0, 0, 0, 0.0), Load(99.5, 1 << 39, None, 1.5))
PLAIN = Report("n1", 7, 3, load=LOADS[2], engine=Engine(True, "28.2.2"))


def usual(*devices: Device, **changes: Any) -> Report:
    return replace(PLAIN, devices=brief(devices), brief=bool(devices), **changes)


def read(report: Report, outbox: Outbox | None = None) -> Report | None:
    reports = _Reports(report.node, report.session, outbox or Outbox())
    reports.put(wire.dump(report))
    taken = reports.taken()
    return taken.report if taken is not None else None


@pytest.mark.parametrize(
    "report",
    [
        usual(),
        usual(READ, AT_REST, ILL, UNKNOWN),
        usual(READ, attempts=(RUNS, replace(RUNS, job="k"))),
        usual(ILL, engine=None),
        usual(engine=Engine()),
        *[usual(AT_REST, load=load) for load in LOADS],
    ],
)
def test_a_usual_report_is_read_as_any_other(report: Report) -> None:
    found, whole = read(report), wire.load(Report, wire.dump(report))

    assert is_usual(wire.dump(report))
    assert found is not None
    assert [tuple(one) for one in found.devices] == [  # type: ignore[arg-type]
        tuple(getattr(one, name) for name in Reading._fields) for one in whole.devices
    ]
    assert replace(found, devices=()) == replace(whole, devices=())


@pytest.mark.parametrize(
    "report",
    [
        replace(PLAIN, devices=(CARD,)),
        usual(CARD, description=NodeDescription(hostname="a")),
        usual(prefetched=(Prefetched("j", "image", "", PrefetchState.READY),)),
    ],
)
def test_one_that_has_more_to_say_is_read_whole(report: Report) -> None:
    assert not is_usual(wire.dump(report))
    assert read(report) == report


def test_a_health_that_is_not_known_ends_the_session() -> None:
    outbox, message = Outbox(), wire.dump(usual(CARD))
    message.devices[0].health = 99
    reports = _Reports("n1", 7, outbox)
    reports.put(message)

    assert reports.taken() is None
    assert outbox.refusal is not None
    assert outbox.refusal.reason == "REPORT_INVALID"


def test_a_reading_has_what_is_read_anew_of_a_device_and_its_id() -> None:
    assert Reading._fields == ("id", *READ_ANEW)
    # A device is put together of three parts, of which this is the one between.
    names = [one.name for one in fields(Device)]
    assert names[names.index(READ_ANEW[0]) :][: len(READ_ANEW)] == list(READ_ANEW)
