"""Laws of an attempt whose end is put off, because there is no room for what it left: an agent's core alone."""

from agent.core import model as agent
from headrace.attempts import AttemptState
from headrace.sessions import Goal
from tests.core.one_agent import Agent, placement
from tests.core.small_world import FIRST

NO_ROOM = agent.Declined(FIRST, "there is no room left", agent.Collect)


def whose_end_is_put_off() -> Agent:
    """An agent whose attempt has exited, and whose store is full."""
    one = Agent()
    one.run(placement())
    one.tell(agent.Exited(FIRST, 0))
    one.tell(NO_ROOM)
    return one


def collects(effects: list[agent.Effect]) -> list[Goal]:
    return [effect.held.placement.goal for effect in effects if isinstance(effect, agent.Collect)]


def test_an_end_that_waits_for_room_is_reported_with_what_it_waits_for() -> None:
    one = whose_end_is_put_off()

    [told] = one.sent[-1].attempts

    assert (told.state, told.message) == (AttemptState.SAVING, "there is no room left")


def test_an_end_that_waits_for_room_is_tried_again_and_again() -> None:
    one = whose_end_is_put_off()

    for _ in range(5):
        assert collects(one.pass_time(11_000)) == [Goal.RUN]
        one.tell(NO_ROOM)


def test_what_an_end_waited_for_is_no_part_of_how_it_ended() -> None:
    one = whose_end_is_put_off()
    one.pass_time(11_000)

    one.tell(agent.Collected(FIRST))

    [told] = one.sent[-1].attempts
    assert (told.state, told.message) == (AttemptState.EXITED, "")


def test_an_end_that_waits_for_room_is_over_once_the_job_is_cancelled() -> None:
    one = whose_end_is_put_off()

    effects = one.assign(placement(goal=Goal.CANCEL)) + one.pass_time(11_000)

    assert collects(effects) == [Goal.CANCEL]
