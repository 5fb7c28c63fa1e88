"""What a session tells while the core is at work: a report takes the place of one before it that says no more."""

from dataclasses import replace
from typing import Any

import pytest

from controller.core.model import Reported
from controller.services.nodes import _Reports
from controller.shell import Outbox
from headrace import wire
from headrace.attempts import Attempt, AttemptState
from headrace.nodes import Load, NodeDescription
from headrace.refusals import Refusal
from headrace.sessions import Report


def message(sequence: int, **fields: Any) -> Any:
    return wire.dump(Report("n1", 7, sequence, **{"brief": True, "load": Load(), **fields}))


def session() -> _Reports:
    return _Reports("n1", 7, Outbox())


def judged(reports: _Reports, times: int) -> list[int]:
    """The numbers of the reports that so many turns bring."""
    taken = [reports.taken() for _ in range(times)]
    return [one.report.sequence for one in taken if one is not None]


def test_of_brief_reports_that_wait_the_newest_is_judged() -> None:
    reports = session()

    turns = sum(reports.put(message(number)) for number in (1, 2, 3))

    assert judged(reports, turns) == [3]


def test_one_that_was_judged_is_followed_by_the_next() -> None:
    reports = session()
    assert reports.put(message(1))
    assert judged(reports, 1) == [1]

    assert reports.put(message(2))
    assert judged(reports, 1) == [2]


@pytest.mark.parametrize("whole", [{"brief": False}, {"description": NodeDescription(hostname="a")}])
def test_what_a_later_one_leaves_out_is_judged_before_it(whole: dict[str, Any]) -> None:
    reports = session()

    turns = sum(reports.put(one) for one in (message(1), message(2, **whole), message(3), message(4)))

    assert judged(reports, turns) == [2, 4]


def test_what_has_become_of_an_attempt_meanwhile_is_in_the_one_that_is_judged() -> None:
    runs = Attempt(job="j", epoch=1, node="n1", state=AttemptState.RUNNING)
    exited = replace(runs, state=AttemptState.EXITED, exit_code=0)
    reports = session()
    for number, attempt in enumerate((runs, exited), 1):
        reports.put(message(number, attempts=(attempt,)))

    taken = reports.taken()

    assert isinstance(taken, Reported)
    assert [one.state for one in taken.report.attempts] == [AttemptState.EXITED]


async def test_one_that_cannot_be_read_ends_its_session() -> None:
    outbox = Outbox()
    reports = _Reports("n1", 7, outbox)
    bad = message(1)
    bad.attempts.add().state = 99
    reports.put(bad)

    assert reports.taken() is None
    with pytest.raises(Refusal, match="bring agent and controller to the same version"):
        await outbox.next()


def test_one_of_another_session_is_refused_at_once() -> None:
    with pytest.raises(Refusal, match="one stream is one session of one node"):
        session().put(wire.dump(Report("n1", 8, 1)))
