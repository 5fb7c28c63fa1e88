"""Laws of drains that are refused, of jobs that are let end, and of deadlines: a node is empty in time, or says why."""

import pytest

from headrace.attempts import AttemptState
from headrace.jobs import JobState, MigrationState, Requests, Timeouts
from headrace.nodes import Drain
from tests.core.small_world import AMD64, ARM64, FIRST, GIB, SECOND, SLOW, World, refusal


def two_with_one_place(**changes: object) -> World:
    """Two jobs at a; b has room for one of them."""
    world = World(a=AMD64)
    for job in ("first-1", "second-1"):
        world.submit(job, resources=Requests(2_000, GIB), **changes)
    world.join("b", AMD64)
    world.drain("a", Drain.CORDONED)
    world.submit("other-1", resources=Requests(1_000, GIB))
    world.drain("a", Drain.NONE)
    return world


# Room.


def test_a_drain_that_some_job_has_no_room_for_is_refused_and_changes_nothing() -> None:
    world = two_with_one_place()

    refused = refusal(world.drain("a"))

    assert refused.reason == "NO_ROOM_ELSEWHERE"
    why = "jobs/second-1 has nowhere to go beside those that leave with it: 1 node: has less than 2 cores free"
    assert why in refused.message
    assert "first-1" not in refused.message
    assert refused.metadata == {"node": "a", "jobs": "second-1"}
    assert world.node("a").drain is Drain.NONE
    assert world.job("first-1").migrations == ()


def test_a_drain_that_is_forced_moves_what_has_room_and_names_what_has_not() -> None:
    world = two_with_one_place()

    world.drain("a", force=True)
    world.pass_time(10_000)

    assert world.job("first-1").node == "b"
    [why] = world.node("a").blockers
    assert why == "jobs/second-1 has nowhere to go: 1 node: has less than 2 cores free"


def test_a_drain_goes_on_once_there_is_room() -> None:
    world = two_with_one_place()
    world.drain("a", force=True)
    world.pass_time(10_000)

    world.cancel("other-1")
    world.cancel("first-1")
    world.pass_time(10_000)

    assert world.job("second-1").node == "b"
    assert world.node("a").drain is Drain.DRAINED


def test_a_job_that_is_only_waited_for_needs_no_room_but_for_a_deadline() -> None:
    world = World(a=AMD64)
    world.submit(checkpoint=None)

    refused = refusal(world.drain("a", deadline_ms=60_000))
    world.drain("a")

    assert refused.reason == "NO_ROOM_ELSEWHERE"
    assert world.node("a").drain is Drain.DRAINING


def test_a_refusal_names_a_few_jobs_and_counts_the_others() -> None:
    world = World(a=AMD64)
    for number in range(7):
        world.submit(f"job-{number}", resources=Requests(100, GIB))

    refused = refusal(world.drain("a"))

    assert refused.message.count("has nowhere to go") == 5
    assert "; and 2 more" in refused.message
    assert refused.metadata["jobs"].count(",") == 6


def test_a_move_to_a_node_that_is_drained_ends_at_once_and_keeps_it_no_longer() -> None:
    world = World(a=AMD64)
    world.submit()
    site = world.join("b", ARM64)
    site.cut = True
    world.move(target="b")
    site.cut = False

    world.drain("b")

    assert world.job().migrations[-1].state is MigrationState.ABORTED
    assert world.node("b").blockers == ()
    assert world.running() == {"a": [FIRST]}


# Jobs that are about to end.


def test_a_job_whose_time_is_almost_over_is_let_end() -> None:
    world = World(a=AMD64, b=AMD64)
    world.submit(timeouts=Timeouts(run_ms=50_000))
    node = world.job().node

    world.drain(node)
    world.pass_time(10_000)

    assert world.node(node).blockers == ("jobs/train-1 is let end: its `timeouts.run` is almost over",)
    assert world.job().migrations == ()


def after_three_that_took(world: World, millis: int) -> None:
    """Three jobs like the one that tests submit have succeeded."""
    for job in ("train-a", "train-b", "train-c"):
        world.submit(job)
        world.pass_time(millis)
        world.exit(FIRST._replace(job=job), 0)
        assert world.job(job).state is JobState.SUCCEEDED


def test_a_job_that_ends_soon_as_those_before_it_did_is_let_end() -> None:
    world = World(a=AMD64)
    after_three_that_took(world, 30_000)
    world.submit()
    world.join("b", AMD64)

    world.drain("a")

    assert world.node("a").blockers[0].startswith("jobs/train-1 is let end: the last 3 like it")
    assert world.job().migrations == ()


@pytest.mark.parametrize("took_ms", [30_000, 600_000])
def test_a_job_that_goes_on_for_longer_is_moved(took_ms: int) -> None:
    world = World(a=AMD64)
    after_three_that_took(world, took_ms)
    world.submit()
    world.join("b", AMD64)
    world.drain("a")

    world.pass_time(40_000)

    assert world.running() == {"b": [SECOND]}


def test_a_restarted_controller_learns_from_records_how_long_jobs_take() -> None:
    world = World(a=AMD64)
    after_three_that_took(world, 30_000)
    world.submit()
    world.join("b", AMD64)
    world.restart_controller()

    world.drain("a")

    assert world.node("a").blockers[0].startswith("jobs/train-1 is let end: the last 3 like it")


# Deadlines.


def test_a_job_that_has_nowhere_to_go_saves_and_leaves_at_the_deadline_and_waits() -> None:
    world = World(a=AMD64)
    world.submit()
    world.drain("a", deadline_ms=30_000, force=True)

    world.pass_time(25_000)
    assert world.running() == {"a": [FIRST]}
    world.pass_time(15_000)

    job = world.job()
    assert (job.state, job.failures) == (JobState.QUEUED, 0)
    assert job.checkpoint is not None
    assert job.checkpoint.epoch == 1
    assert world.node("a").drain is Drain.DRAINED
    assert world.node("a").drain_deadline_time_ms is None


def test_a_job_that_left_at_the_deadline_goes_on_from_what_it_saved_once_there_is_room() -> None:
    world = World(a=AMD64)
    world.submit()
    world.drain("a", deadline_ms=5_000, force=True)
    world.pass_time(20_000)

    world.join("b", ARM64)
    world.pass_time(5_000)

    assert world.running() == {"b": [SECOND]}
    held = world.sites["b"].held[SECOND]
    assert held.placement.restore == world.job().checkpoint.digest  # type: ignore[union-attr]


def test_a_job_that_has_no_contract_is_stopped_at_the_deadline_and_begins_anew_elsewhere() -> None:
    world = World(a=AMD64)
    world.submit(checkpoint=None)
    world.join("b", AMD64)

    world.drain("a", deadline_ms=10_000)
    [why] = world.node("a").blockers
    world.pass_time(30_000)

    assert "At the deadline it is stopped, and begins anew" in why
    assert world.running() == {"b": [SECOND]}
    assert world.node("a").drain is Drain.DRAINED


def test_without_a_deadline_a_job_that_has_no_contract_is_waited_for() -> None:
    world = World(a=AMD64)
    world.submit(checkpoint=None)
    world.join("b", AMD64)

    world.drain("a")
    world.pass_time(3_600_000)

    assert world.running() == {"a": [FIRST]}
    assert world.node("a").drain is Drain.DRAINING


def test_a_job_whose_target_still_fetches_at_the_deadline_leaves_for_it_all_the_same() -> None:
    world = World(a=AMD64)
    world.submit()
    site = world.join("b", ARM64)
    site.cut = True
    world.drain("a", deadline_ms=5_000)
    assert world.job().migrations[-1].state is MigrationState.PREFETCHING

    world.pass_time(7_000)
    site.cut = False
    world.restart_controller()
    world.pass_time(10_000)

    assert [move.state for move in world.job().migrations] == [MigrationState.SUCCEEDED]
    assert world.running() == {"b": [SECOND]}
    assert world.node("a").drain is Drain.DRAINED


def test_a_job_that_has_not_started_by_the_deadline_does_not_start_there() -> None:
    world = World(a=AMD64)
    site = world.sites["a"]
    site.cut = True
    world.submit()
    assert world.job().state is JobState.STARTING
    world.drain("a", deadline_ms=1_000, force=True)
    world.pass_time(3_000)
    assert world.job().state is JobState.FREEZING
    site.cut = False

    world.restart_controller()
    world.pass_time(10_000)

    assert world.job().state is JobState.QUEUED
    assert site.engine.started == []
    assert world.node("a").drain is Drain.DRAINED


def test_a_job_that_ignores_the_request_is_killed_and_goes_on_from_its_last_checkpoint() -> None:
    world = World(a=AMD64)
    world.submit(checkpoint=SLOW)
    world.sites["a"].engine.obeys = False
    world.drain("a", deadline_ms=5_000, force=True)

    world.pass_time(30_000)
    assert world.node("a").blockers == ("jobs/train-1 was asked to save and leave",)
    world.pass_time(60_000)

    assert world.job().state is JobState.QUEUED
    assert world.job().attempts[-1].state is AttemptState.EXITED
    assert world.node("a").drain is Drain.DRAINED


def test_a_deadline_is_kept_over_a_restart_of_the_controller() -> None:
    world = World(a=AMD64)
    world.submit()
    world.drain("a", deadline_ms=30_000, force=True)
    world.pass_time(20_000)

    world.restart_controller()
    world.pass_time(5_000)
    assert world.job().state is JobState.RUNNING
    world.pass_time(15_000)

    assert world.job().state is JobState.QUEUED
    assert world.node("a").drain is Drain.DRAINED


def test_a_deadline_that_passed_while_the_controller_was_away_is_kept_when_it_is_back() -> None:
    world = World(a=AMD64)
    world.submit()
    world.drain("a", deadline_ms=2_000, force=True)
    world.now_ms += 10_000

    world.restart_controller()
    world.pass_time(10_000)

    assert world.job().state is JobState.QUEUED
    assert world.node("a").drain is Drain.DRAINED


def test_a_deadline_may_be_given_later_and_another_request_without_one_leaves_it() -> None:
    world = World(a=AMD64)
    world.submit()
    world.drain("a", force=True)

    world.drain("a", deadline_ms=30_000)
    deadline_ms = world.node("a").drain_deadline_time_ms
    world.drain("a")

    assert deadline_ms is not None
    assert world.node("a").drain_deadline_time_ms == deadline_ms


@pytest.mark.parametrize("drain", [Drain.NONE, Drain.CORDONED])
def test_a_drain_that_is_ended_has_no_deadline_any_more(drain: Drain) -> None:
    world = World(a=AMD64)
    world.submit()
    world.drain("a", deadline_ms=5_000, force=True)

    world.drain("a", drain)
    world.pass_time(20_000)

    assert world.node("a").drain_deadline_time_ms is None
    assert world.running() == {"a": [FIRST]}


def test_a_move_that_fails_after_the_deadline_does_not_bring_the_job_back() -> None:
    world = World(a=AMD64)
    world.submit(checkpoint=SLOW)
    world.join("b", ARM64)
    world.sites["a"].engine.obeys = False
    world.drain("a", deadline_ms=5_000)
    world.pass_time(1_000)
    world.sites["b"].cut = True

    world.pass_time(70_000)

    assert world.job().state is JobState.QUEUED
    assert world.node("a").drain is Drain.DRAINED


def test_a_node_that_does_not_report_is_asked_nothing_at_the_deadline() -> None:
    world = World(a=AMD64)
    world.submit()
    world.sites["a"].cut = True
    world.pass_time(60_000)
    world.join("b", AMD64)

    world.drain("a", deadline_ms=5_000)
    world.pass_time(20_000)

    assert world.job().state is JobState.RUNNING
    assert world.node("a").drain is Drain.DRAINING
