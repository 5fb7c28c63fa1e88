"""Laws of exits by a kill: one that this agent sent itself tells of the job, any other one of the engine."""

from agent.core import model as agent
from agent.runtimes.runtime import ContainerState
from headrace.attempts import AttemptState
from headrace.sessions import Goal
from tests.core.one_agent import Agent, container, placement
from tests.core.small_world import CONTRACT, FIRST


def killed() -> Agent:
    """An agent that has killed its job when the grace was over."""
    one = Agent()
    one.run(placement())
    one.assign(placement(goal=Goal.CANCEL))
    assert agent.Kill(FIRST) in one.pass_time(CONTRACT.grace_ms)
    return one


def test_news_that_a_job_was_killed_is_believed_at_once_where_this_agent_killed_it() -> None:
    one = killed()

    one.tell(agent.Exited(FIRST, 137))

    assert (one.attempt().state, one.attempt().exit_code) == (AttemptState.SAVING, 137)


def test_a_job_that_this_agent_killed_was_killed_though_the_engine_was_away() -> None:
    one = killed()
    one.tell(agent.EngineLost("no answer"))

    one.tell(agent.EngineFound("test", (container(ContainerState.EXITED, code=137),)))

    assert (one.attempt().exit_code, one.attempt().reason) == (137, "")


def test_a_job_that_was_to_be_killed_and_has_no_code_of_a_kill_went_with_its_engine() -> None:
    one = killed()
    one.tell(agent.EngineLost("no answer"))

    one.tell(agent.EngineFound("test", (container(ContainerState.EXITED, code=255),)))

    assert (one.attempt().exit_code, one.attempt().reason) == (None, "ENGINE_STOPPED")
