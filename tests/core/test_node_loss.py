"""Laws of lost nodes, both cores at work: a job goes on elsewhere from what it had committed, after its time, once."""

from dataclasses import replace

from controller.core.book import Policy
from headrace.attempts import Checkpoint
from headrace.jobs import JobState
from tests.core.small_world import AMD64, ARM64, CONTRACT, FIRST, SECOND, THIRD, World

LOST_MS = 60_000
SAVING = replace(CONTRACT, interval_ms=10_000)


def world_that_saves() -> World:
    """A job at a that saves every ten seconds; its last save was reported."""
    world = World(a=AMD64)
    world.submit(checkpoint=SAVING, lost_after_ms=LOST_MS)
    world.pass_time(15_000)
    assert world.job().checkpoint is not None
    return world


def committed(world: World) -> Checkpoint:
    found = world.job().checkpoint
    assert found is not None
    return found


def test_a_lost_nodes_job_goes_on_from_its_last_committed_checkpoint_on_another_architecture() -> None:
    world = world_that_saves()
    saved = committed(world)
    world.join("b", ARM64)
    world.sites["a"].cut = True

    world.pass_time(LOST_MS + 5_000)

    placement = world.sites["b"].held[SECOND].placement
    assert (placement.restore, placement.platform) == (saved.digest, ARM64)
    assert world.running() == {"b": [SECOND]}


def test_a_job_that_had_run_and_waits_for_another_node_is_cancelled_as_one_that_was_to_go_on() -> None:
    world = world_that_saves()
    world.sites["a"].cut = True
    world.pass_time(LOST_MS + 5_000)
    assert world.job().state is JobState.QUEUED

    world.cancel()

    assert (world.job().state, world.job().reason) == (JobState.CANCELLED, "cancelled while it waited to go on")


def test_what_was_saved_and_not_heard_of_is_not_what_a_job_goes_on_from() -> None:
    world = world_that_saves()
    saved = committed(world)
    world.join("b", AMD64)
    world.sites["a"].cut = True
    world.pass_time(12_000)
    [held] = world.sites["a"].held.values()
    assert held.attempt.checkpoint not in (None, saved)

    world.pass_time(LOST_MS)

    assert world.sites["b"].held[SECOND].placement.restore == saved.digest


def test_what_a_lost_node_saved_last_does_not_count_when_it_is_back() -> None:
    world = world_that_saves()
    world.join("b", AMD64)
    world.sites["a"].cut = True
    world.pass_time(LOST_MS + 5_000)
    world.pass_time(15_000)
    assert committed(world).epoch == 2

    world.sites["a"].cut = False
    world.restart_controller()
    world.pass_time(5_000)

    assert committed(world).epoch == 2
    assert world.running() == {"b": [SECOND]}
    assert world.sites["a"].held == {}


def test_a_node_lost_while_the_controller_is_started_anew_loses_its_job_later_and_once() -> None:
    world = world_that_saves()
    world.join("b", AMD64)
    world.sites["a"].cut = True
    world.pass_time(LOST_MS - 10_000)

    world.restart_controller()
    world.pass_time(LOST_MS - 10_000)
    assert world.job().epoch == 1
    world.pass_time(20_000)

    assert world.running() == {"b": [SECOND]}
    assert world.sites["b"].engine.started == [SECOND]


def test_a_lost_nodes_job_waits_where_there_is_no_room_and_goes_on_once_there_is() -> None:
    world = world_that_saves()
    saved = committed(world)
    world.sites["a"].cut = True
    world.pass_time(LOST_MS + 5_000)
    assert (world.job().state, world.job().failures) == (JobState.QUEUED, 0)

    world.join("b", ARM64)
    world.pass_time(2_000)

    assert world.sites["b"].held[SECOND].placement.restore == saved.digest


def test_a_lost_nodes_job_may_go_on_at_that_node_when_it_is_back_for_a_while() -> None:
    world = world_that_saves()
    saved = committed(world)
    world.sites["a"].cut = True
    world.pass_time(LOST_MS + 5_000)
    world.sites["a"].cut = False
    world.restart_controller()

    world.pass_time(Policy().exclusion_ms + 5_000)

    assert world.sites["a"].held[SECOND].placement.restore == saved.digest
    assert world.running() == {"a": [SECOND]}


def test_a_job_whose_nodes_are_lost_one_after_the_other_goes_on_each_time() -> None:
    world = world_that_saves()
    world.join("b", ARM64)
    world.sites["a"].cut = True
    world.pass_time(LOST_MS + 25_000)
    saved = committed(world)
    assert saved.epoch == 2
    world.join("c", AMD64)
    world.sites["b"].cut = True

    world.pass_time(LOST_MS + 5_000)

    assert world.running() == {"c": [THIRD]}
    assert world.sites["c"].held[THIRD].placement.restore == saved.digest
    assert FIRST not in world.sites["c"].held


def test_a_lost_nodes_devices_and_room_stay_its_own_until_its_job_is_given_away() -> None:
    world = world_that_saves()
    world.sites["a"].cut = True

    world.pass_time(LOST_MS - 10_000)
    assert world.cluster.book.usage("a").cpu_millis == 1_000
    world.pass_time(20_000)

    assert world.cluster.book.usage("a").cpu_millis == 0
