"""Laws of nodes that are closed and emptied, both cores at work: a drain ends, or says why not."""

from controller.core.book import Policy
from headrace.jobs import JobState
from headrace.nodes import Drain, Node
from tests.core.small_world import AMD64, ARM64, SECOND, SLOW, World


def test_a_cordoned_node_keeps_its_jobs_and_takes_no_others() -> None:
    world = World(a=AMD64)
    world.submit()

    world.drain("a", Drain.CORDONED)
    world.submit("late-1")

    assert world.job().state is JobState.RUNNING
    assert world.job("late-1").state is JobState.QUEUED


def test_a_drained_node_is_one_whose_jobs_run_elsewhere() -> None:
    world = World(a=AMD64)
    world.submit()
    world.join("b", ARM64)

    world.drain("a")
    world.pass_time(10_000)

    assert world.node("a").drain is Drain.DRAINED
    assert world.running() == {"b": [SECOND]}


def test_a_cordon_says_that_it_ends_a_drain() -> None:
    world = World(a=AMD64)
    world.submit()
    told = "its drain has ended with this: what was to leave stays"
    world.drain("a", force=True)

    ended = world.drain("a", Drain.CORDONED)
    again = world.drain("a", Drain.CORDONED)

    assert isinstance(ended, Node)
    assert isinstance(again, Node)
    assert (ended.blockers, again.blockers, world.node("a").blockers) == ((told,), (), ())


def test_a_drain_names_what_keeps_it() -> None:
    world = World(a=AMD64)
    world.submit()

    world.drain("a", force=True)

    assert world.node("a").drain is Drain.DRAINING
    assert world.node("a").blockers == ("jobs/train-1 has nowhere to go: there is no other node",)


def test_a_job_that_failed_to_move_off_a_draining_node_runs_there_again() -> None:
    world = World(a=AMD64)
    world.submit(checkpoint=SLOW)
    world.join("b", ARM64)
    world.sites["a"].engine.obeys = False
    world.drain("a")
    world.pass_time(1_000)
    world.sites["b"].cut = True

    world.pass_time(70_000)

    assert world.node("a").drain is Drain.DRAINING
    assert world.running() == {"a": [SECOND]}


def test_a_drain_does_not_try_a_target_that_failed_again_and_again() -> None:
    world = World(a=AMD64)
    world.submit()
    world.join("b", ARM64).engine.pulls = False
    world.drain("a")

    world.pass_time(Policy().exclusion_ms - 5_000)

    assert len(world.job().migrations) == 1
    assert "could not" in world.job().migrations[0].reason
    assert "is kept away from for now" in world.node("a").blockers[0]
