"""Laws of what an engine declines, though it answers: of one attempt alone, and asked for again."""

from agent.core import model as agent
from agent.core.attempts import DECLINED_MS, DECLINED_MS_MAX
from agent.runtimes.runtime import ContainerState
from headrace.jobs import CheckpointPolicy
from headrace.sessions import Goal
from tests.core.one_agent import LEASE_MS, Agent, container, kinds, placement
from tests.core.small_world import FIRST, SECOND, spec


def released() -> Agent:
    """An agent that was told to let go of its attempt, whose container cannot be removed."""
    one = Agent()
    one.run(placement())
    assert agent.Remove(FIRST) in one.assign()
    one.tell(agent.Declined(FIRST, "device or resource busy", agent.Remove))
    return one


def test_an_engine_that_declines_is_still_reachable() -> None:
    assert released().core.engine.reachable


def test_a_container_that_cannot_be_removed_holds_up_no_other_attempt() -> None:
    one = released()

    assert agent.Prepare in kinds(one.assign(placement(epoch=2)))
    assert agent.Start in kinds(one.tell(agent.Prepared(SECOND)))


def test_what_was_declined_is_asked_for_again_and_not_at_once() -> None:
    one = released()

    assert agent.Remove(FIRST) not in one.pass_time(DECLINED_MS - 1)
    assert agent.Remove(FIRST) in one.pass_time(1)


def test_what_is_declined_again_and_again_is_asked_for_ever_less_often_and_never_given_up() -> None:
    one = released()
    waits = []
    for _ in range(6):
        waits.append(0)
        while agent.Remove(FIRST) not in one.pass_time(DECLINED_MS):
            waits[-1] += DECLINED_MS
        one.tell(agent.Declined(FIRST, "device or resource busy", agent.Remove))

    assert waits == sorted(waits)
    assert waits[-1] + DECLINED_MS == DECLINED_MS_MAX


def test_a_save_that_was_declined_keeps_no_job_from_being_held_still() -> None:
    one = Agent()
    policy = CheckpointPolicy("/checkpoint", interval_ms=1_000, grace_ms=5_000)
    one.run(placement(job=spec(checkpoint=policy)))
    one.pass_time(1_000)
    one.pass_time(LEASE_MS - 1_001)
    one.tell(agent.Declined(FIRST, "not now", agent.Save))

    assert agent.Pause(FIRST) in one.pass_time(1)


def test_a_pause_that_was_declined_is_asked_for_again() -> None:
    one = Agent()
    one.run(placement())
    assert agent.Pause(FIRST) in one.pass_time(LEASE_MS)
    one.tell(agent.Declined(FIRST, "unable to freeze", agent.Pause))

    assert agent.Pause(FIRST) in one.pass_time(DECLINED_MS)


def test_a_request_to_leave_that_was_declined_is_made_again() -> None:
    one = Agent()
    one.run(placement())
    one.assign(placement(goal=Goal.CANCEL))
    one.tell(agent.Declined(FIRST, "no", agent.AskToLeave))

    assert agent.AskToLeave in kinds(one.pass_time(DECLINED_MS))


def test_what_a_job_left_is_collected_again_where_it_could_not_be() -> None:
    one = Agent()
    one.run(placement())
    one.tell(agent.EngineFound("test", (container(ContainerState.EXITED, code=0),)))
    one.tell(agent.Declined(FIRST, "disk", agent.Collect))

    assert agent.Collect in kinds(one.pass_time(DECLINED_MS))


def test_what_cannot_be_removed_yet_is_held_still_meanwhile() -> None:
    one = Agent()
    one.run(placement())
    one.assign()

    done = one.tell(agent.Declined(FIRST, "device or resource busy", agent.Remove))

    assert agent.Pause(FIRST) in done
    assert agent.Remove(FIRST) in one.pass_time(DECLINED_MS)


def test_a_pause_that_a_removal_ended_is_asked_for_anew_where_that_is_declined() -> None:
    one = Agent()
    one.run(placement())
    assert agent.Pause(FIRST) in one.pass_time(LEASE_MS)
    one.assign()

    assert agent.Pause(FIRST) in one.tell(agent.Declined(FIRST, "device or resource busy", agent.Remove))


def test_what_cannot_be_removed_yet_and_does_not_run_is_left_alone() -> None:
    one = Agent()
    one.run(placement())
    one.tell(agent.Exited(FIRST, 0))
    one.assign()

    assert agent.Pause not in kinds(one.tell(agent.Declined(FIRST, "device or resource busy", agent.Remove)))
