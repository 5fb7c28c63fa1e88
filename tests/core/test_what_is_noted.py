"""Laws of what is written down for users: each thing that happens once, when it happens, under its own name."""

import pytest

from agent.core import model as agent
from headrace.jobs import JobState
from headrace.nodes import Drain, NodeState
from tests.core.small_world import AMD64, World

# Nodes that come and go.


def test_a_node_that_is_heard_for_the_first_time_is_noted() -> None:
    assert World(a=AMD64).happenings == ["NODE_READY"]


def test_a_node_whose_agent_is_only_started_anew_is_not_noted_again() -> None:
    world = World(a=AMD64)

    world.restart_agent("a")

    assert world.happenings == ["NODE_READY"]


def test_a_node_that_is_heard_again_after_it_was_silent_is_noted_again() -> None:
    world = World(a=AMD64)
    world.sites["a"].cut = True
    world.pass_time(60_000)
    assert world.node("a").state is NodeState.SUSPECT
    world.sites["a"].cut = False

    world.restart_agent("a")

    assert world.happenings == ["NODE_READY", "NODE_SUSPECT", "NODE_READY"]


def test_who_watches_nodes_is_told_that_an_engine_does_not_answer_and_that_it_does_again() -> None:
    world = World(a=AMD64)

    world._queue.append(("a", agent.EngineLost("hangs")))
    world.pass_time(1_000)
    lost = world.node("a").engine.reachable
    world._queue.append(("a", agent.EngineFound("test", ())))
    world.pass_time(1_000)

    assert not lost
    assert world.node("a").engine.reachable


# Nodes that are closed and opened.


@pytest.mark.parametrize(
    ("drain", "reason"), [(Drain.CORDONED, "NODE_CORDONED"), (Drain.DRAINING, "NODE_DRAINING")], ids=str
)
def test_a_node_that_is_closed_is_noted_under_how_it_is_closed(drain: Drain, reason: str) -> None:
    world = World(a=AMD64)
    world.submit()

    world.drain("a", drain, force=True)

    assert world.happenings[-1] == reason


def test_a_node_that_is_opened_is_noted_and_takes_jobs_again() -> None:
    world = World(a=AMD64)
    world.drain("a", Drain.CORDONED)
    assert world.submit().state is JobState.QUEUED

    world.drain("a", Drain.NONE)

    assert "NODE_OPEN" in world.happenings
    assert world.job().state is JobState.RUNNING


@pytest.mark.parametrize("drain", [Drain.NONE, Drain.CORDONED, Drain.DRAINING])
def test_a_node_that_is_asked_for_what_it_is_already_is_not_noted_again(drain: Drain) -> None:
    world = World(a=AMD64)
    world.submit()
    world.drain("a", drain)
    before = list(world.happenings)

    world.drain("a", drain)

    assert world.happenings == before


def test_a_drained_node_that_is_to_be_drained_stays_drained() -> None:
    world = World(a=AMD64)
    world.drain("a")
    assert world.node("a").drain is Drain.DRAINED
    before = list(world.happenings)

    world.drain("a")

    assert world.node("a").drain is Drain.DRAINED
    assert world.happenings == before


@pytest.mark.parametrize("drain", [Drain.NONE, Drain.CORDONED])
def test_a_drained_node_may_be_opened_or_only_kept_closed(drain: Drain) -> None:
    world = World(a=AMD64)
    world.drain("a")

    world.drain("a", drain)

    assert world.node("a").drain is drain


def test_a_node_that_is_drained_is_noted_once_nothing_is_left_there() -> None:
    world = World(a=AMD64)

    world.drain("a")
    world.pass_time(10_000)

    assert world.happenings == ["NODE_READY", "NODE_DRAINING", "NODE_DRAINED"]
