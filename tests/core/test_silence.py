"""Laws of partitions and restarts, both cores at work: who is not heard is not failed, and nothing runs twice."""

from agent.runtimes.runtime import Ref
from controller.core import model as controller
from controller.core.book import Policy
from controller.core.leases import lease_of
from headrace.attempts import AttemptState
from headrace.jobs import JobState, Partition, Requests, Timeouts
from headrace.nodes import NodeState
from tests.core.small_world import AMD64, ARM64, FIRST, GIB, SECOND, SLOW, World

LOST_MS = lease_of(Policy(), 1).node_ms


def test_a_silent_node_is_doubted_and_its_job_is_not_replaced_before_its_time() -> None:
    world = World(a=AMD64)
    world.submit(lost_after_ms=60_000)
    world.join("b", AMD64)
    world.sites["a"].cut = True

    world.pass_time(50_000)

    assert world.node("a").state is NodeState.SUSPECT
    assert world.job().epoch == 1


def test_a_lost_nodes_job_goes_on_elsewhere_once() -> None:
    world = World(a=AMD64)
    world.submit(lost_after_ms=60_000)
    world.sites["a"].cut = True
    world.join("b", ARM64)

    world.pass_time(70_000)

    assert world.job().node == "b"
    assert world.running() == {"b": [SECOND]}


def test_an_agent_whose_lease_lapsed_holds_its_job_still() -> None:
    world = World(a=AMD64)
    world.submit()
    world.sites["a"].cut = True

    world.pass_time(20_000)

    assert world.running() == {}
    assert world.sites["a"].held[FIRST].attempt.state is AttemptState.PAUSED


def test_a_job_held_still_goes_on_under_its_epoch_when_the_node_is_heard_again() -> None:
    world = World(a=AMD64)
    world.submit()
    site = world.sites["a"]
    site.cut = True
    world.pass_time(20_000)

    site.cut = False
    world.restart_controller()
    world.pass_time(1_000)

    assert world.running() == {"a": [FIRST]}


def test_a_job_that_keeps_on_runs_through_a_partition_and_is_never_replaced() -> None:
    world = World(a=AMD64)
    world.submit(partition=Partition.KEEP, lost_after_ms=1)
    world.sites["a"].cut = True
    world.join("b", AMD64)

    world.pass_time(3_600_000)

    assert world.running() == {"a": [FIRST]}
    assert world.job().epoch == 1


def test_a_node_that_comes_back_after_its_job_was_replaced_removes_its_copy() -> None:
    world = World(a=AMD64)
    world.submit(lost_after_ms=60_000)
    site = world.sites["a"]
    site.cut = True
    world.join("b", AMD64)
    world.pass_time(70_000)

    site.cut = False
    world.restart_controller()
    world.pass_time(5_000)

    assert world.running() == {"b": [SECOND]}
    assert site.engine.containers == {}


def test_a_job_that_is_to_stop_in_a_partition_is_not_replaced_before_it_must_have_stopped() -> None:
    world = World(a=AMD64)
    world.submit(partition=Partition.STOP, lost_after_ms=1, checkpoint=SLOW)
    world.sites["a"].engine.obeys = False
    world.sites["a"].cut = True
    world.join("b", AMD64)

    world.pass_time(LOST_MS + SLOW.grace_ms - 5_000)
    assert world.job().epoch == 1
    world.pass_time(10_000)

    assert world.running() == {"b": [SECOND]}


def test_a_job_that_is_stopping_when_its_node_is_cut_off_never_runs_twice() -> None:
    world = World(a=AMD64)
    world.submit(lost_after_ms=1, checkpoint=SLOW)
    world.join("b", AMD64)
    world.sites["a"].engine.obeys = False
    world.move(target="b")
    world.sites["a"].cut = True

    world.pass_time(LOST_MS + 5_000)

    assert world.running() == {"b": [SECOND]}


def test_a_cancelled_job_that_keeps_on_in_a_partition_ends_when_its_node_is_lost() -> None:
    world = World(a=AMD64)
    world.submit(partition=Partition.KEEP, lost_after_ms=60_000)
    world.sites["a"].cut = True
    world.cancel()

    world.pass_time(70_000)

    assert world.job().state is JobState.CANCELLED


def test_a_job_that_ran_too_long_has_failed_even_if_its_node_is_lost_before_it_left() -> None:
    world = World(a=AMD64)
    world.submit(timeouts=Timeouts(run_ms=5_000), lost_after_ms=60_000)
    world.sites["a"].cut = True

    world.pass_time(70_000)

    assert world.job().state is JobState.FAILED
    assert "timeouts.run" in world.job().reason


def test_a_job_that_keeps_on_and_was_asked_to_leave_has_failed_when_it_may_run_no_longer_and_its_node_is_lost() -> None:
    world = World(a=AMD64, b=AMD64)
    world.submit(partition=Partition.KEEP, timeouts=Timeouts(run_ms=120_000), lost_after_ms=60_000, checkpoint=SLOW)
    source = world.sites[world.job().node]
    source.engine.obeys = False
    world.move()
    source.cut = True

    world.pass_time(100_000)
    assert world.job().state is JobState.FREEZING
    world.pass_time(30_000)

    assert (world.job().state, world.job().epoch) == (JobState.FAILED, 1)
    assert "timeouts.run" in world.job().reason


def test_a_gang_that_keeps_on_and_was_to_leave_has_failed_when_it_may_run_no_longer_and_a_node_is_lost() -> None:
    world = World(a=AMD64, b=AMD64)
    world.submit(
        task_count=2,
        resources=Requests(3000, GIB),
        partition=Partition.KEEP,
        timeouts=Timeouts(run_ms=120_000),
        lost_after_ms=60_000,
    )
    lost, other = world.job("train-1-0"), world.job("train-1-1")
    world.sites[lost.node].cut = True
    world.exit(Ref(other.id, other.task, 1), 1)
    world.pass_time(30_000)
    assert world.job().state is JobState.FREEZING

    world.pass_time(120_000)

    assert (world.job().state, world.job(lost.id).state) == (JobState.FAILED, JobState.FAILED)


def test_a_controller_that_stood_still_takes_no_node_for_lost() -> None:
    world = World(a=AMD64)
    world.submit(lost_after_ms=1)
    world.now_ms += 3_600_000

    world._controller(world.cluster.handle(controller.Ticked(world.now_ms, 1_700_000_000_000 + world.now_ms)))

    assert world.job().epoch == 1
    assert world.job().state is JobState.RUNNING


def test_a_restarted_agent_goes_on_with_its_containers() -> None:
    world = World(a=AMD64)
    world.submit()

    world.restart_agent("a")
    world.exit(FIRST, 0)

    assert world.job().state is JobState.SUCCEEDED
    assert world.sites["a"].engine.started == [FIRST]


def test_a_restarted_controller_loses_no_job_and_starts_none_twice() -> None:
    world = World(a=AMD64)
    world.submit()
    world.submit("big-1", resources=Requests(64_000, GIB))

    world.restart_controller()
    world.pass_time(5_000)

    assert world.running() == {"a": [FIRST]}
    assert world.job("big-1").state is JobState.QUEUED


def test_a_controller_that_was_killed_knows_to_a_minute_when_a_node_was_heard_last() -> None:
    world = World(a=AMD64)
    world.pass_time(400_000)
    reported_ms = world.node("a").report_time_ms
    assert reported_ms is not None
    world.sites["a"].cut = True

    world.restart_controller()

    known_ms = world.node("a").report_time_ms
    assert known_ms is not None
    assert 0 <= reported_ms - known_ms <= 62_000
