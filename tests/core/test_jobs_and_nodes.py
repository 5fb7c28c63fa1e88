"""Laws of jobs and nodes, both cores at work."""

from agent.runtimes.runtime import Ref
from controller.core.model import CancelAsked, DrainAsked, MoveAnswer
from headrace.attempts import AttemptState
from headrace.jobs import (
    CheckpointPolicy,
    Emulation,
    ExitZero,
    Job,
    JobState,
    Level,
    MigrationState,
    Partition,
    Requests,
    Retry,
    RetryCause,
    Timeouts,
)
from headrace.nodes import Drain, NodeState
from tests.core.small_world import AMD64, ARM64, CONTRACT, GIB, World, refusal

FIRST = Ref("train-1", 0, 1)
SECOND = Ref("train-1", 0, 2)


def cancel(world: World) -> object:
    return world.ask(lambda token: CancelAsked(token, "train-1"))


def drain(world: World, node: str, drain: Drain = Drain.DRAINING) -> object:
    return world.ask(lambda token: DrainAsked(token, node, drain))


def test_a_submitted_job_runs_where_there_is_room() -> None:
    world = World(a=AMD64)

    world.submit()

    assert world.job().state is JobState.RUNNING
    assert world.running() == {"a": [FIRST]}


def test_a_job_that_exits_with_0_has_succeeded_and_leaves_nothing_on_its_node() -> None:
    world = World(a=AMD64)
    world.submit(output_path="/output")

    world.exit(FIRST, 0)

    assert world.job().state is JobState.SUCCEEDED
    assert world.job().outputs is not None
    assert world.sites["a"].engine.containers == {}
    assert world.sites["a"].held == {}


def test_a_submission_that_is_repeated_is_the_same_job() -> None:
    world = World(a=AMD64)
    world.submit()

    world.submit()

    assert world.running() == {"a": [FIRST]}


def test_a_job_never_goes_to_a_node_that_cannot_run_its_image() -> None:
    world = World(r=AMD64.__class__("linux", "riscv64"))

    world.submit()

    assert world.job().state is JobState.QUEUED
    assert "linux/amd64, linux/arm64" in world.job().reason


def test_an_emulated_node_is_a_candidate_only_where_the_job_allows_it() -> None:
    world = World(e=AMD64.__class__("linux", "arm64", emulated=True))
    world.submit("strict-1")
    world.submit("easy-1", emulation=Emulation.ALLOWED)

    assert world.job("strict-1").state is JobState.QUEUED
    assert "emulation: allowed" in world.job("strict-1").reason
    assert world.job("easy-1").node == "e"


def test_a_native_node_comes_before_an_emulated_one() -> None:
    world = World(e=AMD64.__class__("linux", "arm64", emulated=True), n=AMD64)

    world.submit(emulation=Emulation.ALLOWED)

    assert world.job().node == "n"


def test_a_job_waits_for_room_and_starts_when_there_is_some() -> None:
    world = World(a=AMD64)
    world.submit("big-1", resources=Requests(4000, GIB))
    world.submit()
    assert world.job().reason == "waits: 1 node: has 0 free cores of the 1 wanted"

    world.exit(Ref("big-1", 0, 1), 0)

    assert world.job().state is JobState.RUNNING


def test_the_job_of_higher_priority_goes_first() -> None:
    world = World(a=AMD64)
    world.submit("big-1", resources=Requests(4000, GIB))
    world.submit("low-1", resources=Requests(4000, GIB), priority=1)
    world.submit("high-1", resources=Requests(4000, GIB), priority=99)

    world.exit(Ref("big-1", 0, 1), 0)

    assert world.job("high-1").state is JobState.RUNNING
    assert world.job("low-1").state is JobState.QUEUED


def test_a_job_that_is_cancelled_ends_once_its_container_has() -> None:
    world = World(a=AMD64)
    world.submit()

    cancel(world)

    assert world.job().state is JobState.CANCELLED
    assert world.running() == {}


def test_a_job_that_waits_is_cancelled_at_once() -> None:
    world = World()
    world.submit()

    answer = cancel(world)

    assert isinstance(answer, Job)
    assert answer.state is JobState.CANCELLED


def test_a_job_that_ignores_the_request_to_leave_is_killed_when_its_grace_is_over() -> None:
    world = World(a=AMD64)
    world.submit()
    world.sites["a"].engine.obeys = False
    cancel(world)
    assert world.running() == {"a": [FIRST]}

    world.pass_time(CONTRACT.grace_ms)

    assert world.job().state is JobState.CANCELLED
    assert world.job().attempts[-1].killed


def test_a_job_that_fails_is_tried_again_as_often_as_it_says() -> None:
    world = World(a=AMD64, b=AMD64)
    world.submit(retry=Retry(1, (RetryCause.EXIT_NONZERO,)))
    node = world.job().node

    world.exit(FIRST, 1)
    assert world.job().state is JobState.RUNNING
    assert world.job().node != node
    world.exit(SECOND, 1)

    assert world.job().state is JobState.FAILED
    assert world.job().exit_code == 1


def test_a_job_that_exits_with_85_is_started_again_from_its_checkpoint() -> None:
    world = World(a=AMD64)
    world.submit()
    world.sites["a"].saved_changes[FIRST] = True

    world.exit(FIRST, 85)

    assert world.job().state is JobState.RUNNING
    assert world.job().epoch == 2
    assert world.sites["a"].held[SECOND].placement.restore == "sha256:1-1"


def test_a_job_that_exits_with_85_and_saved_nothing_has_failed() -> None:
    world = World(a=AMD64)
    world.submit()

    world.exit(FIRST, 85)

    assert world.job().state is JobState.FAILED


def test_exit_code_0_after_a_request_to_leave_means_what_the_job_says() -> None:
    policy = CheckpointPolicy("/checkpoint", interval_ms=0, exit_zero=ExitZero.RESUME)
    world = World(a=AMD64, b=ARM64)
    world.submit("resumes-1", checkpoint=policy)
    world.submit("done-1")
    for site in world.sites.values():
        site.engine.obeys = False
    nodes = {job: world.job(job).node for job in ("resumes-1", "done-1")}
    for job in nodes:
        world.move(job)

    world.exit(Ref("resumes-1", 0, 1), 0)
    world.exit(Ref("done-1", 0, 1), 0)

    assert world.job("resumes-1").state is JobState.RUNNING
    assert world.job("resumes-1").node != nodes["resumes-1"]
    assert world.job("done-1").state is JobState.SUCCEEDED


def test_periodic_checkpoints_are_committed_while_the_job_runs() -> None:
    world = World(a=AMD64)
    world.submit(checkpoint=CheckpointPolicy("/checkpoint", interval_ms=10_000))

    world.pass_time(25_000)

    checkpoint = world.job().checkpoint
    assert checkpoint is not None
    assert checkpoint.sequence == 2


def test_a_job_may_neither_wait_nor_run_for_longer_than_it_says() -> None:
    world = World(a=AMD64)
    world.submit("runs-1", timeouts=Timeouts(run_ms=5_000))
    world.submit("waits-1", resources=Requests(64_000, GIB), timeouts=Timeouts(queue_ms=5_000))

    world.pass_time(10_000)

    assert world.job("runs-1").state is JobState.FAILED
    assert world.job("waits-1").state is JobState.FAILED
    assert "timeouts.queue" in world.job("waits-1").reason


def test_a_cordoned_node_keeps_its_jobs_and_takes_no_others() -> None:
    world = World(a=AMD64)
    world.submit()

    drain(world, "a", Drain.CORDONED)
    world.submit("late-1")

    assert world.job().state is JobState.RUNNING
    assert world.job("late-1").state is JobState.QUEUED


def test_a_drained_node_is_one_whose_jobs_run_elsewhere() -> None:
    world = World(a=AMD64)
    world.submit()
    world.join("b", ARM64)

    drain(world, "a")
    world.pass_time(10_000)

    assert world.node("a").drain is Drain.DRAINED
    assert world.running() == {"b": [SECOND]}


def test_a_drain_names_what_keeps_it() -> None:
    world = World(a=AMD64)
    world.submit()

    drain(world, "a")

    assert world.node("a").drain is Drain.DRAINING
    assert world.node("a").blockers == ("jobs/train-1 has nowhere to go: there is no other node",)


def test_a_silent_node_is_doubted_and_its_job_is_not_replaced_before_its_time() -> None:
    world = World(a=AMD64, b=AMD64)
    world.submit(lost_after_ms=60_000)
    world.sites["a"].cut = True
    node = world.job().node
    world.sites[node].cut = True

    world.pass_time(50_000)

    assert world.node(node).state is NodeState.SUSPECT
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


def test_an_image_that_cannot_be_pulled_is_tried_elsewhere() -> None:
    world = World(a=AMD64, b=AMD64)
    world.sites["a"].engine.pulls = False

    world.submit()
    world.pass_time(2_000)

    assert world.running() == {"b": [world.sites["b"].engine.started[0]]}


def test_a_move_of_a_job_with_a_contract_goes_on_from_its_checkpoint() -> None:
    world = World(a=AMD64)
    world.submit()
    world.join("b", ARM64)

    answer = world.move(target="b")

    assert isinstance(answer, MoveAnswer)
    assert answer.plan.level is Level.CHECKPOINT
    assert world.job().migrations[-1].state is MigrationState.SUCCEEDED
    assert world.running() == {"b": [SECOND]}
    assert world.sites["b"].held[SECOND].placement.restore == "sha256:1-1"
    assert world.sites["a"].engine.containers == {}


def test_a_move_of_a_job_without_a_contract_says_what_it_loses() -> None:
    world = World(a=AMD64)
    world.submit(checkpoint=None)
    world.join("b", ARM64)
    world.pass_time(60_000)

    answer = world.move(target="b", dry_run=True)

    assert isinstance(answer, MoveAnswer)
    assert answer.plan.level is Level.RESTART
    assert answer.plan.lost_millis == 60_000
    assert world.job().migrations == ()


def test_a_job_moves_ten_times_and_each_epoch_starts_once() -> None:
    world = World(a=AMD64, b=ARM64)
    world.submit()

    for _ in range(10):
        world.move()

    assert world.job().epoch == 11
    started = [ref for site in world.sites.values() for ref in site.engine.started]
    assert len(started) == len({*started}) == 11


def test_a_target_that_cannot_bring_the_image_leaves_the_job_where_it_runs() -> None:
    world = World(a=AMD64)
    world.submit()
    world.join("b", ARM64).engine.pulls = False

    world.move(target="b")

    assert world.job().migrations[-1].state is MigrationState.ABORTED
    assert world.running() == {"a": [FIRST]}


def test_a_job_cannot_be_moved_twice_at_once() -> None:
    world = World(a=AMD64)
    world.submit()
    world.join("b", ARM64)
    world.sites["a"].engine.obeys = False
    world.move(target="b")

    assert refusal(world.move(target="b")).reason == "MOVE_UNDER_WAY"
    assert world.running() == {"a": [FIRST]}


def test_a_move_to_nowhere_is_refused_and_leaves_the_job_as_it_was() -> None:
    world = World(a=AMD64, r=AMD64.__class__("linux", "riscv64"))
    world.submit()
    before = world.job()

    assert refusal(world.move(target="mars")).reason == "NODE_NOT_FOUND"
    assert refusal(world.move(target="a")).reason == "ALREADY_THERE"
    assert refusal(world.move(target="r")).reason == "TARGET_UNFIT"
    assert refusal(world.move()).reason == "NO_TARGET"
    assert world.job() == before


def test_a_target_that_is_lost_before_the_commit_leaves_the_job_at_its_source() -> None:
    world = World(a=AMD64)
    world.submit(checkpoint=CheckpointPolicy("/checkpoint", interval_ms=0, grace_ms=60_000))
    world.join("b", ARM64)
    world.sites["a"].engine.obeys = False
    world.move(target="b")
    world.sites["b"].cut = True

    world.pass_time(70_000)

    assert world.running() == {"a": [SECOND]}
    assert world.job().migrations[-1].state is MigrationState.ABORTED


def test_a_job_that_does_not_save_on_request_goes_on_from_its_last_checkpoint() -> None:
    world = World(a=AMD64)
    world.submit(checkpoint=CheckpointPolicy("/checkpoint", interval_ms=10_000, grace_ms=5_000))
    world.join("b", ARM64)
    world.pass_time(15_000)
    world.sites["a"].engine.saves = False

    world.move(target="b")

    assert world.running() == {"b": [SECOND]}
    assert world.sites["b"].held[SECOND].placement.restore == "sha256:1-1"
    assert "did not save" in world.job().migrations[-1].reason


def test_a_cancelled_move_ends_with_the_job() -> None:
    world = World(a=AMD64)
    world.submit()
    world.join("b", ARM64)
    world.sites["a"].engine.obeys = False
    world.move(target="b")

    cancel(world)
    world.pass_time(10_000)

    assert world.job().state is JobState.CANCELLED
    assert world.running() == {}
