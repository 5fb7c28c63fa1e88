"""Laws of an engine that has not been asked yet: that is not known, which is not the same as gone."""

from agent.core import model as agent
from controller.core import model as controller
from headrace.nodes import Engine
from headrace.sessions import Report
from tests.core.one_agent import Agent
from tests.core.small_world import AMD64, World


def test_an_agent_says_nothing_of_an_engine_that_it_has_not_asked_yet() -> None:
    one = Agent(listed=False)
    assert one.sent[-1].engine is None

    one.tell(agent.EngineFound("test", ()))

    assert one.sent[-1].engine == Engine(reachable=True, message="test")


def test_an_engine_that_does_not_answer_an_agent_that_has_just_started_is_gone() -> None:
    one = Agent(listed=False)

    one.tell(agent.EngineLost("no such socket"))

    assert one.sent[-1].engine == Engine(reachable=False, message="no such socket")


def test_a_node_whose_agent_has_just_started_has_the_engine_that_it_had() -> None:
    world = World(a=AMD64)
    before = world.cluster.book.nodes["a"].engine
    session = world.sites["a"].session + 1

    world.cluster.handle(controller.Reported(Report("a", session, 1)))

    assert before.reachable
    assert world.cluster.book.nodes["a"].engine == before
    assert world.cluster.book.nodes["a"].session == session


def test_a_new_node_takes_no_jobs_before_its_engine_has_answered() -> None:
    world = World(a=AMD64)

    world.cluster.handle(controller.Reported(Report("b", 1, 1)))

    assert world.cluster.book.nodes["b"].engine == Engine(reachable=False, message="not asked yet")
