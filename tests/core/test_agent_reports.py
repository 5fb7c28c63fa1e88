"""Laws of what an agent says again and again, and of what it no longer says, or does, because all has been said."""

from dataclasses import replace

from agent.core import model as agent
from agent.core.pace import SOON_MS, TOGETHER_MS
from headrace.attempts import AttemptState, Phase
from headrace.nodes import Device, Health, Load
from headrace.sessions import Prefetch, Prefetched, PrefetchState, Report
from tests.core.one_agent import LEASE_MS, Agent, kinds, placement
from tests.core.small_world import AMD64, ARM64, FIRST, PINS, SECOND, description

HINT = Prefetch("move-1", PINS[0].image, AMD64)
READY = Prefetched(HINT.job, HINT.image, HINT.checkpoint, PrefetchState.READY, phases=(Phase("pull", 1),))


def next_report(one: Agent) -> Report:
    """What it says when nothing has happened."""
    [report] = [effect.report for effect in one.pass_time(LEASE_MS // 3) if isinstance(effect, agent.Send)]
    return report


# How often.


def test_who_is_not_answered_and_has_no_lease_yet_reports_ever_more_seldom() -> None:
    one = Agent()
    for _ in range(60):
        one.pass_time(1_000)

    # At 0, 1, 3, 7, 15, 23, 31, 39, 47 and 55 s.
    assert len(one.sent) == 10


def test_who_has_a_lease_reports_three_times_in_it_however_long_it_was_not_answered() -> None:
    one = Agent()
    one.pass_time(1_000)
    one.pass_time(2_000)
    one.pass_time(4_000)
    one.assign()

    assert not [effect for effect in one.pass_time(LEASE_MS // 3 - 1) if isinstance(effect, agent.Send)]
    assert [effect for effect in one.pass_time(1) if isinstance(effect, agent.Send)]


def test_a_shorter_lease_counts_from_the_report_on_that_it_answers() -> None:
    one = Agent()
    one.assign(lease_ms=20 * LEASE_MS)
    one.pass_time(20 * LEASE_MS // 3)
    one.assign()

    one.pass_time(LEASE_MS // 3)

    assert len(one.sent) == 3


# What the node is.


def test_a_description_is_sent_until_a_report_that_had_it_is_acknowledged() -> None:
    one = Agent()
    assert one.sent[0].description == description()
    one.assign(acked=0)

    assert next_report(one).description == description()


def test_a_description_that_was_acknowledged_is_not_sent_again() -> None:
    one = Agent()
    one.assign(acked=one.sent[0].sequence)

    assert next_report(one).description is None


def test_a_description_that_has_changed_is_sent_again() -> None:
    one = Agent()
    one.assign()
    changed = description(ARM64)

    one.tell(agent.Sensed(changed, (), Load()))

    assert next_report(one).description == changed


def test_an_acknowledgement_of_an_older_report_is_none_of_a_description_that_has_changed_since() -> None:
    one = Agent()
    older = one.sent[-1].sequence
    changed = replace(description(), hostname="renamed")
    one.tell(agent.Sensed(changed, (), Load()))
    one.pass_time(LEASE_MS // 3)

    one.assign(acked=older)

    assert next_report(one).description == changed


def test_a_new_session_is_told_the_description_that_the_one_before_had_acknowledged() -> None:
    one = Agent()
    one.assign()

    one.reconnect()

    assert one.sent[-1].description == description()


# What the node should do.


def test_an_assignment_that_says_what_the_one_before_said_writes_nothing_down() -> None:
    one = Agent()
    one.run(placement())

    assert one.assign(placement(), generation=one.generation) == []


def test_what_became_of_a_hint_is_told_for_as_long_as_the_hint_is_there() -> None:
    one = Agent()
    one.assign(hints=(HINT,))
    one.tell(agent.Fetched(READY))

    one.assign(hints=(HINT,))

    assert next_report(one).prefetched == (READY,)


def test_what_became_of_a_hint_is_not_told_once_the_hint_is_gone() -> None:
    one = Agent()
    one.assign(hints=(HINT,))
    one.tell(agent.Fetched(READY))

    one.assign()

    assert next_report(one).prefetched == ()


def test_a_hint_that_comes_again_after_it_was_gone_is_not_taken_for_brought() -> None:
    one = Agent()
    one.assign(hints=(HINT,))
    one.tell(agent.Fetched(READY))
    one.assign()

    done = one.assign(hints=(HINT,))

    assert agent.Fetch(HINT) in done
    assert next_report(one).prefetched == ()


def test_a_job_that_is_started_is_prepared_once_however_often_it_is_assigned() -> None:
    one = Agent()
    one.run(placement())

    done = one.assign(placement()) + one.assign(placement())

    assert not {agent.Prepare, agent.Start, agent.Keep} & {*kinds(done)}
    assert one.core.held[FIRST].placement == placement()


# When it speaks.


def test_an_end_is_reported_at_once() -> None:
    one = Agent()
    one.run(placement())
    one.tell(agent.Exited(FIRST, 0))

    assert agent.Send in kinds(one.tell(agent.Collected(FIRST)))


def test_that_a_job_runs_is_reported_at_once_by_a_node_that_has_been_silent() -> None:
    one = Agent()
    one.assign(placement())
    one.tell(agent.Prepared(FIRST))
    one.pass_time(SOON_MS)
    one.pass_time(TOGETHER_MS)

    assert agent.Send in kinds(one.tell(agent.Started(FIRST)))


def test_that_a_job_runs_is_reported_with_what_else_happens_by_a_node_that_has_just_spoken() -> None:
    one = Agent()
    one.assign(placement())
    one.tell(agent.Prepared(FIRST))

    assert agent.Send not in kinds(one.tell(agent.Started(FIRST)))

    assert agent.Send in kinds(one.pass_time(TOGETHER_MS))


def test_the_arrival_of_a_job_is_reported_at_once() -> None:
    one = Agent()
    one.assign(placement(2))
    one.tell(agent.Prepared(SECOND))

    assert agent.Send in kinds(one.tell(agent.Started(SECOND)))


def test_the_steps_between_are_reported_soon_and_together() -> None:
    one = Agent()
    assert agent.Send not in kinds(one.assign(placement()))
    assert agent.Send not in kinds(one.tell(agent.Prepared(FIRST)))

    [report] = [effect.report for effect in one.pass_time(SOON_MS) if isinstance(effect, agent.Send)]

    assert [attempt.state for attempt in report.attempts] == [AttemptState.STARTING]


def test_what_a_node_is_and_whether_its_devices_are_well_is_reported_soon_and_a_reading_with_the_next_report() -> None:
    one = Agent()
    device = Device("gpu-0", "gpu", "nvidia", "H100", busy_percent=1.0, health=Health.HEALTHY)
    one.tell(agent.Sensed(description(), (device,), Load()))
    one.pass_time(SOON_MS)
    one.assign()

    one.tell(agent.Sensed(description(), (replace(device, busy_percent=99.0),), Load(cpu_percent=50.0)))
    assert agent.Send not in kinds(one.pass_time(SOON_MS))

    for changed in (replace(device, health=Health.UNHEALTHY), replace(device, holders=("x",)), None):
        one.tell(agent.Sensed(description(), (changed,) if changed else (), Load()))
        assert agent.Send in kinds(one.pass_time(SOON_MS))
    one.tell(agent.Sensed(description(ARM64), (), Load()))
    assert agent.Send in kinds(one.pass_time(SOON_MS))
