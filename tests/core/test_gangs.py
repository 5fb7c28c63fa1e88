"""Laws of gangs: all tasks run or none, one failure is the gang's, and it moves and ends as a whole."""

import pytest

from agent.runtimes.runtime import Ref
from controller.core.model import CancelAsked, Submitted
from headrace.jobs import Job, JobState, Network, Requests, Retry, RetryCause, Timeouts
from headrace.nodes import Drain
from tests.core.small_world import AMD64, ARM64, GIB, PINS, World, refusal, spec

ALWAYS = Retry(2, (RetryCause.NODE_LOST, RetryCause.EXIT_NONZERO))
# Of which a node has room for one.
LARGE = Requests(3000, GIB)


def gang(**nodes: object) -> World:
    """Two nodes that each have room for one task of a gang of two, which runs."""
    world = World(a=AMD64, b=ARM64)
    world.submit(**{"task_count": 2, "resources": LARGE, "retry": ALWAYS, **nodes})  # type: ignore[arg-type]
    return world


def tasks(world: World, count: int = 2, job: str = "train-1") -> list[Job]:
    return [world.job(f"{job}-{number}") for number in range(count)]


def ref(task: int, epoch: int = 1) -> Ref:
    return Ref(f"train-1-{task}", task, epoch)


def states(world: World) -> tuple[JobState, ...]:
    return (world.job().state, *(one.state for one in tasks(world)))


def test_a_gang_runs_across_nodes_and_architectures() -> None:
    world = gang()

    assert world.job().state is JobState.RUNNING
    assert sorted(world.running()) == ["a", "b"]


def test_a_gang_that_does_not_fit_as_a_whole_holds_nothing() -> None:
    world = World(a=AMD64)
    world.submit(task_count=2, resources=LARGE)

    assert states(world) == (JobState.QUEUED,) * 3
    assert world.running() == {}
    assert "2 tasks at once" in world.job().reason
    assert world.cluster.book.usage("a").cpu_millis == 0


def test_a_gang_that_waits_begins_once_there_is_room_for_all() -> None:
    world = World(a=AMD64)
    world.submit(task_count=2, resources=LARGE)

    world.join("b")
    world.pass_time(2_000)

    assert world.job().state is JobState.RUNNING


def test_two_gangs_that_fit_only_alone_run_one_after_the_other() -> None:
    world = World(a=AMD64, b=AMD64)
    world.submit("one", task_count=2, resources=LARGE)
    world.submit("two", task_count=2, resources=LARGE)
    assert (world.job("one").state, world.job("two").state) == (JobState.RUNNING, JobState.QUEUED)

    world.exit(Ref("one-0", 0, 1), 0)
    assert world.job("two").state is JobState.QUEUED
    world.exit(Ref("one-1", 1, 1), 0)
    world.pass_time(2_000)

    assert (world.job("one").state, world.job("two").state) == (JobState.SUCCEEDED, JobState.RUNNING)


def test_a_gang_has_succeeded_when_all_its_tasks_have() -> None:
    world = gang(output_path="/output")

    world.exit(ref(0), 0)
    assert states(world) == (JobState.RUNNING,) * 3
    world.exit(ref(1), 0)

    assert states(world) == (JobState.SUCCEEDED,) * 3
    assert [one.outputs is not None for one in tasks(world)] == [True, True]


def test_a_task_that_fails_has_all_begin_again_and_counts_once() -> None:
    world = gang()

    world.exit(ref(0), 1)
    world.exit(ref(1), 1)
    world.pass_time(61_000)

    assert states(world) == (JobState.RUNNING,) * 3
    assert world.job().failures == 1
    assert {one.epoch for one in tasks(world)} == {2}


def test_tasks_that_fail_in_one_report_count_once() -> None:
    world = World(a=AMD64)
    world.submit(task_count=2, retry=ALWAYS)
    site = world.sites["a"]

    for number in range(2):
        world._exit("a", site, ref(number), 1)
    world.settle()

    assert world.job().failures == 1


def test_a_task_that_fails_for_good_ends_the_gang_with_its_reason() -> None:
    world = gang(retry=Retry())

    world.exit(ref(1), 3)
    world.pass_time(6_000)

    assert states(world) == (JobState.FAILED, JobState.CANCELLED, JobState.FAILED)
    assert world.job().reason == "task 1: the container exited with code 3"
    assert world.running() == {}


def test_a_gang_whose_node_is_lost_goes_on_from_the_checkpoints_of_its_tasks() -> None:
    world = gang(lost_after_ms=30_000)
    world.join("c")
    lost = tasks(world)[0].node
    world.sites[lost].cut = True

    world.pass_time(60_000)

    assert world.job().state is JobState.RUNNING
    assert {one.epoch for one in tasks(world)} == {2}
    assert lost not in [one.node for one in tasks(world)]
    assert tasks(world)[1].checkpoint is not None
    assert world.job().failures == 0


@pytest.mark.parametrize("restarts", [False, True])
@pytest.mark.parametrize("silent_ms", [0, 3_000, 12_000, 40_000])
def test_a_task_that_fails_since_a_fellow_is_unreachable_does_not_use_up_retries(
    silent_ms: int, *, restarts: bool
) -> None:
    world = gang(retry=Retry(0, (RetryCause.NODE_LOST,)), lost_after_ms=60_000)
    world.join("c")
    first, second = tasks(world)
    world.sites[first.node].cut = True
    world.pass_time(silent_ms)

    world.exit(ref(1), 1)
    if restarts:
        world.restart_controller()
    world.pass_time(120_000)

    assert world.job().state is JobState.RUNNING
    assert world.job().failures == 0
    assert {one.node for one in tasks(world)} == {second.node, "c"}


def test_a_failure_of_a_task_is_one_once_all_nodes_of_its_fellows_have_reported_after_it() -> None:
    world = gang(retry=ALWAYS)

    world.exit(ref(1), 1)
    assert (world.job().state, world.job().failures) == (JobState.RUNNING, 0)
    world.pass_time(6_000)

    assert world.job().failures == 1


def test_a_gang_that_is_cancelled_before_a_failure_of_its_is_judged_has_ended() -> None:
    world = gang()
    world.exit(ref(1), 1)

    world.cancel()
    world.pass_time(1_000)

    assert states(world) == (JobState.CANCELLED,) * 3
    assert world.cluster.book.watchlist.unjudged == {}


@pytest.mark.parametrize("done", [(), (0,)])
def test_a_cancel_ends_all_tasks(done: tuple[int, ...]) -> None:
    world = gang()
    for number in done:
        world.exit(ref(number), 0)

    world.cancel()
    world.pass_time(1_000)

    assert states(world) == (JobState.CANCELLED,) * 3
    assert world.running() == {}


def test_a_gang_that_waits_is_cancelled_at_once() -> None:
    world = World(a=AMD64)
    world.submit(task_count=2, resources=LARGE)

    world.cancel()

    assert states(world) == (JobState.CANCELLED,) * 3


def test_a_cancel_of_a_task_is_one_of_its_gang() -> None:
    world = gang()

    world.ask(lambda token: CancelAsked(token, "train-1-1"))
    world.pass_time(1_000)

    assert world.job().state is JobState.CANCELLED


def test_a_gang_that_waited_too_long_has_failed_as_a_whole() -> None:
    world = World(a=AMD64)
    world.submit(task_count=2, resources=LARGE, timeouts=Timeouts(queue_ms=5_000))

    world.pass_time(7_000)

    assert states(world) == (JobState.FAILED,) * 3


def test_a_gang_that_ran_too_long_has_failed_as_a_whole() -> None:
    world = gang(timeouts=Timeouts(run_ms=5_000))

    world.pass_time(8_000)

    assert world.job().state is JobState.FAILED
    assert world.job().reason.startswith("timeouts.run")
    assert world.running() == {}


def test_a_gang_of_which_a_task_does_not_start_in_time_gives_back_what_it_has_and_tries_elsewhere() -> None:
    world = World(a=AMD64, b=AMD64)
    world.sites["b"].cut = True
    world.submit(task_count=2, resources=LARGE, timeouts=Timeouts(start_ms=5_000))
    assert world.job().state is JobState.STARTING

    world.pass_time(8_000)
    world.sites["b"].cut = False
    world.join("c")
    world.pass_time(30_000)

    assert world.job().state is JobState.RUNNING
    assert sorted(one.node for one in tasks(world)) == ["a", "c"]


def test_a_task_that_is_refused_has_the_gang_go_elsewhere() -> None:
    world = World(a=AMD64, b=AMD64)
    world.sites["b"].engine.pulls = False
    world.submit(task_count=2, resources=LARGE)
    assert world.job().state is JobState.QUEUED
    assert world.running() == {}

    world.join("c")
    world.pass_time(2_000)

    assert world.job().state is JobState.RUNNING


def test_a_drain_has_the_gang_save_and_go_on_elsewhere_as_a_whole() -> None:
    world = gang()
    world.join("c")

    world.drain("a")
    world.pass_time(5_000)

    assert world.job().state is JobState.RUNNING
    assert sorted(one.node for one in tasks(world)) == ["b", "c"]
    assert all(one.checkpoint is not None for one in tasks(world))
    assert world.node("a").drain is Drain.DRAINED


def test_a_node_that_one_task_keeps_away_from_is_no_room_for_the_gang() -> None:
    world = gang()
    world.join("c")
    # Where it failed a moment ago, none of its tasks goes.
    book = world.cluster.book
    book.put(book.excluding(world.job(), "c", "failed there"))

    assert refusal(world.drain("a")).reason == "NO_ROOM_ELSEWHERE"
    assert world.job().state is JobState.RUNNING


def test_a_drain_that_leaves_a_gang_no_room_is_refused() -> None:
    world = gang()

    assert refusal(world.drain("a")).reason == "NO_ROOM_ELSEWHERE"
    assert world.job().state is JobState.RUNNING


def test_room_that_a_gang_would_take_elsewhere_is_nobody_elses_who_has_to_leave_with_it() -> None:
    world = gang()
    world.submit("leaves", where='node != "b"')
    world.join("c")
    for node in "bc":
        world.submit(f"small-{node}", where=f'node == "{node}"')
    assert world.job("leaves").node == "a"

    found = refusal(world.drain("a"))

    assert (found.reason, found.metadata["jobs"]) == ("NO_ROOM_ELSEWHERE", "leaves")


def test_a_gang_with_several_tasks_on_a_node_that_is_drained_needs_room_for_them_once() -> None:
    world = World(a=AMD64)
    world.submit(task_count=2, resources=Requests(2000, GIB))
    world.join("b")
    world.join("c")
    world.submit("large", resources=Requests(4000, GIB))

    world.drain("a")
    world.pass_time(5_000)

    assert world.node("a").drain is Drain.DRAINED
    assert world.job().state is JobState.RUNNING


def test_at_a_drains_deadline_the_whole_gang_leaves_and_waits() -> None:
    world = gang()

    world.drain("a", deadline_ms=0, force=True)
    world.pass_time(5_000)

    assert states(world) == (JobState.QUEUED,) * 3
    assert world.node("a").drain is Drain.DRAINED


def test_a_gang_is_not_moved_by_hand() -> None:
    world = gang()

    for name in ("train-1", "train-1-0"):
        answer = refusal(world.move(name))
        assert answer.reason == "GANG_NOT_MOVABLE"
        assert "jobs/train-1 is a gang of 2 tasks" in answer.message


def test_a_controller_that_is_started_anew_keeps_gangs_whole() -> None:
    world = gang()
    world.exit(ref(0), 0)

    world.restart_controller()
    world.exit(ref(1), 0)

    assert world.job().state is JobState.SUCCEEDED


def test_an_agent_that_is_started_anew_does_not_undo_a_task_that_is_done() -> None:
    world = gang()
    world.exit(ref(0), 0)

    world.restart_agent(tasks(world)[0].node)
    world.exit(ref(1), 0)

    assert world.job().state is JobState.SUCCEEDED


def test_tasks_know_their_gang_and_their_number() -> None:
    world = gang()

    placements = [held.placement for site in world.sites.values() for held in site.held.values()]
    told = sorted((one.task, one.gang, one.spec.task_count) for one in placements)
    assert told == [(0, "train-1", 2), (1, "train-1", 2)]


def test_a_gang_on_a_bridge_is_told_of_no_meeting_point() -> None:
    assert gang(network=Network.BRIDGE).job().rendezvous == ""


def test_a_gang_that_has_to_leave_is_written_down_with_all_its_tasks_at_once() -> None:
    world = gang()
    for site in world.sites.values():
        site.cut = True
    urgent = spec(resources=Requests(2000, GIB), priority=90)
    world.ask(lambda token: Submitted(token, "urgent", urgent, PINS))

    assert states(world) == (JobState.FREEZING,) * 3

    for site in world.sites.values():
        site.cut = False
    world.restart_controller()
    world.pass_time(20_000)

    assert world.job("urgent").state is JobState.RUNNING
