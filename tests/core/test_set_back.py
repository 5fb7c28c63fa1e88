"""Laws of a controller whose store is put back from a copy, or is gone: as docs/backups.md tells them."""

from dataclasses import replace

from headrace.jobs import Job, JobState
from tests.core.small_world import AMD64, CONTRACT, Ref, World

SAVING = replace(CONTRACT, interval_ms=10_000)


def test_a_controller_with_an_older_copy_goes_on_from_what_is_in_it_and_ends_what_is_not() -> None:
    world = World(a=AMD64, b=AMD64)
    world.submit("moves-1", checkpoint=SAVING)
    world.submit("ends-1")
    world.pass_time(15_000)
    saved = world.job("moves-1").checkpoint
    assert saved is not None
    copy = dict(world.store)
    world.submit("later-1")
    world.move("moves-1")
    world.pass_time(20_000)
    world.cancel("ends-1")
    world.pass_time(5_000)
    assert world.running() == {"a": [Ref("later-1", 0, 1)], "b": [Ref("moves-1", 0, 2)]}

    world.store = copy
    world.restart_controller()
    world.pass_time(60_000)

    assert world.running() == {"a": [Ref("moves-1", 0, 2)], "b": [Ref("ends-1", 0, 2)]}
    assert world.sites["a"].held[Ref("moves-1", 0, 2)].placement.restore == saved.digest


def test_nodes_of_a_store_that_is_gone_hold_their_jobs_still_and_take_no_others() -> None:
    world = world_without_its_store()

    world.submit("new-1")
    world.pass_time(60_000)

    assert list(world.sites["a"].engine.containers) == [Ref("train-1", 0, 1)]
    assert world.running() == {}
    assert world.job("new-1").state is JobState.STARTING


def test_a_node_of_a_store_that_is_gone_joins_the_new_one_once_its_state_is_emptied_and_ends_what_it_had() -> None:
    world = world_without_its_store()
    world.submit("new-1")

    world.empty_agent("a")
    world.pass_time(60_000)

    assert world.running() == {"a": [Ref("new-1", 0, 1)]}
    assert list(world.sites["a"].engine.containers) == [Ref("new-1", 0, 1)]


def world_without_its_store() -> World:
    """A job runs at a, and the controller is started again on an empty store; its lease is over."""
    world = World(a=AMD64)
    world.submit("train-1")
    world.pass_time(5_000)
    world.store, world.cluster_id = {}, "cluster-2"
    world.restart_controller()
    world.pass_time(60_000)
    assert not any(isinstance(one, Job) for one in world.store.values())
    return world
