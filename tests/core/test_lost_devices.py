"""Laws of a card that is lost while a job is on it: the job goes on elsewhere, or its record says why it does not."""

from dataclasses import replace

import pytest

from agent.core import model as agent
from headrace.attempts import AttemptState
from headrace.jobs import Job, JobState, MigrationState, Retry, RetryCause
from headrace.nodes import Device, Health, Load, VendorReport, VendorState
from tests.core.small_world import AMD64, FIRST, SECOND, World, description
from tests.core.test_devices import gpu, needs, world_with

WHY = "has fallen off the bus"
AGAIN = Retry(1, (RetryCause.DEVICE_ERROR,))


def lost(device: Device) -> Device:
    return replace(device, health=Health.UNHEALTHY, health_reason=WHY)


def see(world: World, *devices: Device, node: str = "a") -> None:
    """The node's sensors tell this of its devices, from now on."""
    for _ in range(3):
        world._queue.append((node, agent.Sensed(description(), devices, Load())))
        world.pass_time(5_000)


def with_b(world: World, *devices: Device) -> World:
    world.join("b", AMD64)
    see(world, *devices, node="b")
    return world


def start(world: World, **changes: object) -> Job:
    job = world.submit(resources=needs(1), **changes)
    assert (job.state, job.node) == (JobState.RUNNING, "a")
    return job


def test_a_job_on_a_card_that_is_lost_moves_to_another_node_with_its_checkpoint() -> None:
    world = world_with(gpu(0))
    start(world)
    with_b(world, gpu(5))

    see(world, lost(gpu(0)))

    job = world.job()
    assert (job.state, job.node, job.attempts[-1].devices) == (JobState.RUNNING, "b", ("gpu-5",))
    assert [move.state for move in job.migrations] == [MigrationState.SUCCEEDED]
    assert world.happenings.count("DEVICE_LOST") == 1


def test_a_job_that_runs_on_another_card_of_the_node_stays() -> None:
    world = world_with(gpu(0), gpu(1))
    start(world)
    with_b(world, gpu(5))

    see(world, gpu(0), lost(gpu(1)))

    assert (world.job().node, world.job().epoch, world.job().migrations) == ("a", 1, ())


def test_where_no_other_node_has_room_it_saves_and_goes_on_with_another_card_of_its_own() -> None:
    world = world_with(gpu(0), gpu(1))
    start(world)

    see(world, lost(gpu(0)), gpu(1))

    job = world.job()
    assert (job.state, job.node, job.epoch) == (JobState.RUNNING, "a", 2)
    assert job.attempts[-1].devices == ("gpu-1",)
    assert job.checkpoint is not None


def test_a_job_that_has_nowhere_to_go_runs_on_and_says_why_until_its_card_is_well_again() -> None:
    world = world_with(gpu(0))
    start(world)

    see(world, lost(gpu(0)))
    told = world.job()
    see(world, gpu(0))

    assert told.state is JobState.RUNNING
    assert told.reason == f"its device gpu-0 is lost ({WHY}), and it has nowhere to go: there is no other node"
    assert world.happenings.count("DEVICE_LOST") == 1
    assert world.job().reason == ""


def test_jobs_are_looked_at_while_a_device_of_theirs_is_not_well_and_no_others() -> None:
    world = world_with(gpu(0), gpu(1))
    start(world)
    world.submit("other", resources=needs(1))
    watchlist = world.cluster.book.watchlist
    world.pass_time(1_000)
    assert (list(watchlist.on_devices), watchlist.doubtful) == (["train-1", "other"], {})

    see(world, lost(gpu(0)), gpu(1))
    assert watchlist.doubtful == {"train-1": None}
    see(world, gpu(0), gpu(1))

    assert watchlist.doubtful == {}


def test_a_controller_that_starts_knows_which_jobs_are_on_cards_that_were_lost_before() -> None:
    world = world_with(gpu(0))
    start(world, checkpoint=None)
    see(world, lost(gpu(0)))
    reason = world.job().reason

    world.restart_controller()
    see(world, gpu(0))

    assert (WHY in reason, world.job().reason) == (True, "")


def test_a_job_without_a_contract_is_not_moved_and_says_so() -> None:
    world = world_with(gpu(0))
    start(world, checkpoint=None)
    with_b(world, gpu(5))

    see(world, lost(gpu(0)))

    assert (world.job().state, world.job().node) == (JobState.RUNNING, "a")
    assert "has no `checkpoint:`" in world.job().reason


def test_a_card_that_is_in_no_report_for_long_is_lost_and_one_that_is_left_out_for_a_moment_is_not() -> None:
    world = world_with(gpu(0), gpu(1))
    start(world)

    see(world, gpu(1))
    at_first = world.job().epoch
    see(world, gpu(1))
    see(world, gpu(1))

    assert at_first == 1
    assert (world.job().epoch, world.job().attempts[-1].devices) == (2, ("gpu-1",))


# A job that fails.


def fail(world: World, *devices: Device) -> Job:
    """The job fails, and only then its node looks at the devices again."""
    world.exit(FIRST, 1)
    see(world, *devices)
    return world.job()


def test_a_job_that_fails_with_its_card_goes_on_elsewhere_where_its_rules_say_so() -> None:
    world = world_with(gpu(0))
    start(world, retry=AGAIN)
    with_b(world, gpu(5))

    job = fail(world, lost(gpu(0)))

    assert (job.state, job.node, job.failures, job.epoch) == (JobState.RUNNING, "b", 1, SECOND.epoch)
    assert job.attempts[0].reason == "DEVICE_LOST"
    assert f"its device gpu-0 was lost ({WHY})" in job.attempts[0].message


def test_a_job_that_fails_with_its_card_has_failed_where_its_rules_speak_of_other_causes_alone() -> None:
    world = world_with(gpu(0))
    start(world, retry=Retry(1, (RetryCause.EXIT_NONZERO,)))
    with_b(world, gpu(5))

    job = fail(world, lost(gpu(0)))

    assert job.state is JobState.FAILED
    assert WHY in job.reason


def test_a_job_that_fails_on_a_card_that_is_known_to_be_lost_is_told_of_at_once() -> None:
    world = world_with(gpu(0))
    start(world, retry=Retry(1, (RetryCause.EXIT_NONZERO,)))
    see(world, lost(gpu(0)))

    world.exit(FIRST, 1)
    world.pass_time(1_000)

    assert (world.job().state, world.job().attempts[0].reason) == (JobState.FAILED, "DEVICE_LOST")


@pytest.mark.parametrize(("later_ms", "reason"), [(1_000, "DEVICE_LOST"), (60_000, "")])
def test_a_card_that_is_well_again_when_the_failure_is_heard_of_is_its_reason_for_a_while(
    later_ms: int, reason: str
) -> None:
    world = world_with(gpu(0))
    start(world, retry=AGAIN)
    world.sites["a"].core.handle(agent.Sensed(description(), (lost(gpu(0)),), Load()))
    see(world, gpu(0))
    world.pass_time(later_ms)

    assert fail(world, gpu(0)).attempts[0].reason == reason


def test_a_job_that_fails_on_a_card_that_is_well_has_failed_by_itself() -> None:
    world = world_with(gpu(0))
    start(world, retry=AGAIN)

    job = fail(world, gpu(0))

    assert (job.state, job.reason) == (JobState.FAILED, "the container exited with code 1")


def test_a_card_that_is_not_there_any_more_was_lost_with_the_job() -> None:
    world = world_with(gpu(0))
    start(world)

    assert fail(world).attempts[0].reason == "DEVICE_LOST"


@pytest.mark.parametrize("state", VendorState)
def test_a_card_that_the_agent_has_not_seen_since_it_began_is_lost_if_its_maker_s_driver_tells_of_none(
    state: VendorState,
) -> None:
    world = world_with(gpu(0))
    start(world)
    world.restart_agent("a")

    world.exit(FIRST, 1)
    known = replace(description(), vendors=(VendorReport("nvidia", state),))
    for _ in range(3):
        world._queue.append(("a", agent.Sensed(known, (), Load())))
        world.pass_time(5_000)

    assert (world.job().attempts[0].reason == "DEVICE_LOST") == (state is not VendorState.DEGRADED)


def test_a_failure_is_told_once_the_devices_were_looked_at_afterwards() -> None:
    world = world_with(gpu(0))
    start(world, retry=AGAIN)

    world.exit(FIRST, 1)
    world.pass_time(3_000)
    waiting = world.job().attempts[-1].state
    see(world, gpu(0))

    assert waiting is AttemptState.SAVING
    assert world.job().state is JobState.FAILED


def test_a_driver_that_hangs_does_not_hold_up_the_end_of_a_job_for_ever() -> None:
    world = world_with(gpu(0))
    start(world)

    world.exit(FIRST, 1)
    world.pass_time(20_000)

    assert world.job().state is JobState.FAILED


def test_the_end_of_a_job_that_was_cancelled_is_not_held_up() -> None:
    world = world_with(gpu(0))
    start(world)
    world.sites["a"].engine.obeys = False
    world.cancel()

    world.exit(FIRST, 1)
    world.pass_time(1_000)

    assert world.job().state is JobState.CANCELLED


@pytest.mark.parametrize("code", [0, 85])
def test_a_job_that_leaves_in_order_is_not_held_up(code: int) -> None:
    world = world_with(gpu(0))
    start(world)

    world.exit(FIRST, code)
    world.pass_time(1_000)

    assert world.job().attempts[0].state is AttemptState.EXITED


def test_a_gang_with_a_card_that_is_lost_goes_on_elsewhere_as_a_whole() -> None:
    world = world_with(gpu(0), gpu(1))
    world.submit(resources=needs(1), task_count=2)
    assert world.job().state is JobState.RUNNING
    with_b(world, gpu(5))

    see(world, gpu(0), lost(gpu(1)))

    tasks = [world.job(f"train-1-{number}") for number in range(2)]
    assert world.job().state is JobState.RUNNING
    assert sorted(device for task in tasks for device in task.attempts[-1].devices) == ["gpu-0", "gpu-5"]
    assert [task.epoch for task in tasks] == [2, 2]
    assert [task.migrations for task in tasks] == [(), ()]


def test_a_gang_with_a_card_that_is_lost_and_no_room_for_all_says_so_and_runs_on() -> None:
    world = world_with(gpu(0), gpu(1))
    world.submit(resources=needs(1), task_count=2)

    see(world, gpu(0), lost(gpu(1)))

    reasons = [world.job(f"train-1-{number}").reason for number in range(2)]
    assert world.job().state is JobState.RUNNING
    assert [WHY in reason and "nowhere to go" in reason for reason in reasons].count(True) == 1
