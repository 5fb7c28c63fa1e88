"""Laws of the ledger of devices: what containers hold, whoever made them, is not given, and drifts are told."""

from dataclasses import replace

import pytest

from agent.core import ledger
from agent.core import model as agent
from agent.runtimes.runtime import Holder, Ref
from headrace.attempts import Attempt, AttemptState
from headrace.jobs import JobState
from headrace.nodes import Load
from headrace.sessions import Placement
from tests.core.small_world import AMD64, FIRST, PINS, SECOND, World, description, spec
from tests.core.test_devices import gpu, needs, world_with

STRANGER = Holder("by-hand", None, "nvidia", ("gpu-0",))
TWO = (gpu(0), gpu(1))


def relist(world: World) -> None:
    """The agent asks its engine for its containers, as it does each five seconds."""
    site = world.sites["a"]
    found = agent.EngineFound("test", tuple(site.engine.containers.values()), site.engine.holders)
    world._queue.append(("a", found))
    world.pass_time(5_000)


def hold(world: World, *holders: Holder) -> None:
    """From now on these are all that hold devices on the engine of node a."""
    world.sites["a"].engine.holders = holders
    relist(world)


def count(world: World, reason: str) -> int:
    return world.happenings.count(reason)


# What the agent makes of what its engine tells.


@pytest.mark.parametrize(
    ("claims", "held"), [(("gpu-1",), (1,)), (("1",), (1,)), (("all",), (0, 1)), (("gpu-0", "1"), (0, 1)), (("7",), ())]
)
def test_a_device_is_held_under_its_id_its_number_and_by_what_has_them_all(
    claims: tuple[str, ...], held: tuple[int, ...]
) -> None:
    found = ledger.held(TWO, [replace(STRANGER, claims=claims)], {})

    assert [device.index for device in found if device.holders == ("container by-hand",)] == list(held)


def test_a_claim_on_one_vendors_devices_is_none_on_anothers() -> None:
    [found] = ledger.held((gpu(0, vendor="amd"),), [replace(STRANGER, claims=("all",))], {})

    assert found.holders == ()


@pytest.mark.parametrize(
    ("state", "holders"),
    [(AttemptState.RUNNING, ("jobs/train-1",)), (AttemptState.SAVING, ()), (AttemptState.EXITED, ())],
)
def test_an_attempt_holds_its_devices_until_its_container_is_over(
    state: AttemptState, holders: tuple[str, ...]
) -> None:
    attempt = agent.Held(Placement("train-1", 1, PINS[0].image, AMD64, spec()), Attempt("train-1", 1, state=state))

    [found] = ledger.held((gpu(0),), [replace(STRANGER, ref=FIRST)], {FIRST: attempt})

    assert found.holders == holders


# What is given.


def test_a_device_that_a_container_of_nobody_holds_is_not_given() -> None:
    world = world_with(gpu(0))
    hold(world, STRANGER)

    world.submit(resources=needs(1))

    assert (world.job().state, world.job().reason) == (JobState.QUEUED, "waits: 1 node: has no device free")


def test_a_job_gets_the_device_as_soon_as_that_container_is_gone() -> None:
    world = world_with(gpu(0))
    hold(world, STRANGER)
    world.submit(resources=needs(1))

    hold(world)
    world.pass_time(2_000)

    assert world.job().attempts[-1].devices == ("gpu-0",)
    assert world.job().state is JobState.RUNNING


def test_another_device_is_given_instead() -> None:
    world = world_with(*TWO)
    hold(world, STRANGER)

    world.submit(resources=needs(1))

    assert world.job().attempts[-1].devices == ("gpu-1",)


def test_what_an_attempt_left_running_that_is_not_the_nodes_any_more_is_not_given() -> None:
    world = world_with(gpu(0))
    hold(world, replace(STRANGER, ref=Ref("gone-1", 0, 3)))

    world.submit(resources=needs(1))

    assert world.job().state is JobState.QUEUED


def test_a_job_keeps_its_device_when_it_goes_back_to_where_its_container_may_still_hold_it() -> None:
    world = world_with(gpu(0))
    world.submit(resources=needs(1))
    hold(world, replace(STRANGER, ref=FIRST))
    world.join("b", AMD64).engine.starts = False
    world._queue.append(("b", agent.Sensed(description(), (gpu(5),), Load())))
    world.pass_time(6_000)

    world.move(target="b")

    assert world.job().node == "a"
    assert world.job().attempts[-1].devices == ("gpu-0",)


# What is told.


def test_a_device_held_by_no_job_for_long_is_a_drift_that_is_noted_and_counted_once() -> None:
    world = world_with(gpu(0))

    hold(world, STRANGER)
    world.pass_time(30_000)

    why = "gpu-0 is held by container by-hand, which is no job that was placed here"
    assert (world.node("a").drifts, world.node("a").drift_count) == ((why,), 1)
    assert count(world, "DEVICE_DRIFT") == 1


def test_a_drift_is_told_within_thirty_seconds_and_its_end_too() -> None:
    world = world_with(gpu(0))

    hold(world, STRANGER)
    world.pass_time(20_000)
    told = world.node("a").drifts
    hold(world)
    world.pass_time(10_000)

    assert told
    assert (world.node("a").drifts, world.node("a").drift_count) == ((), 1)
    assert count(world, "DEVICE_DRIFT_ENDED") == 1


def test_what_is_held_for_a_moment_only_is_no_drift() -> None:
    world = world_with(gpu(0))

    hold(world, STRANGER)
    hold(world)
    world.pass_time(30_000)

    assert world.node("a").drift_count == 0
    assert count(world, "DEVICE_DRIFT") == count(world, "DEVICE_DRIFT_ENDED") == 0


def test_a_jobs_own_container_is_no_drift() -> None:
    world = world_with(gpu(0))
    world.submit(resources=needs(1))

    hold(world, replace(STRANGER, ref=FIRST))
    world.pass_time(30_000)

    assert world.node("a").drift_count == 0


def test_a_container_that_comes_to_a_jobs_device_is_told_and_the_next_job_does_not_get_it() -> None:
    world = world_with(gpu(0))
    world.submit(resources=needs(1))
    hold(world, STRANGER, replace(STRANGER, ref=FIRST))
    world.pass_time(20_000)
    world.submit("next-1", resources=needs(1))

    hold(world, STRANGER)
    world.exit(FIRST, 0)
    world.pass_time(10_000)

    assert world.node("a").drift_count == 1
    assert world.job().state is JobState.SUCCEEDED
    assert world.job("next-1").state is JobState.QUEUED


def test_a_drift_outlasts_the_controller_and_is_counted_once() -> None:
    world = world_with(gpu(0))
    hold(world, STRANGER)
    world.pass_time(20_000)

    world.restart_controller()
    relist(world)
    world.pass_time(30_000)

    assert (len(world.node("a").drifts), world.node("a").drift_count) == (1, 1)
    assert count(world, "DEVICE_DRIFT") == 1
    assert count(world, "DEVICE_DRIFT_ENDED") == 0


def test_a_container_removed_by_hand_frees_its_device_within_thirty_seconds_and_is_told() -> None:
    world = world_with(gpu(0))
    world.submit(resources=needs(1))
    world.submit("next-1", resources=needs(1))
    del world.sites["a"].engine.containers[FIRST]

    for _ in range(2):
        hold(world)

    assert world.job("next-1").attempts[-1].devices == ("gpu-0",)
    assert world.job().epoch == SECOND.epoch
    assert (count(world, "DEVICE_DRIFT"), world.node("a").drift_count) == (1, 1)


def test_who_holds_devices_is_asked_for_as_soon_as_there_are_some() -> None:
    world = World(a=AMD64)
    world.sites["a"].engine.holders = (STRANGER,)

    world._queue.append(("a", agent.Sensed(description(), (gpu(0),), Load())))
    world.pass_time(6_000)

    assert world.cluster.book.usage("a").devices == ("gpu-0",)
