"""Laws of `after`: nothing starts before its conditions hold, and what never can hold ends what waits for it."""

from dataclasses import replace

import pytest

from agent.runtimes.runtime import Ref
from controller.core.arrays import found_folded
from controller.core.dependencies import CHANGED, holds, resolved
from controller.core.model import Submitted
from controller.core.relations import Relations
from headrace.jobs import Condition, Dependency, Job, JobSpec, JobState, Requests, Retry, RetryCause, Timeouts
from tests.core.small_world import AMD64, GIB, PINS, World, refusal, spec

FIRST = Ref("first", 0, 1)


def after(*conditions: Condition, job: str = "first") -> tuple[Dependency, ...]:
    return tuple(Dependency(job, one) for one in conditions)


def world_with(condition: Condition, **changes: object) -> World:
    """A job that runs, and another one that waits for what becomes of it."""
    world = World(a=AMD64)
    world.submit("first")
    world.submit(after=after(condition), **changes)
    world.pass_time(2_000)
    return world


def state(world: World) -> JobState:
    return world.job().state


@pytest.mark.parametrize("condition", [Condition.SUCCEEDED, Condition.FAILED, Condition.ENDED])
def test_a_job_waits_while_its_condition_does_not_hold(condition: Condition) -> None:
    world = world_with(condition)

    assert (state(world), world.running()) == (JobState.QUEUED, {"a": [FIRST]})
    assert world.job().reason.startswith("waits until jobs/first has ")


@pytest.mark.parametrize(
    ("condition", "code", "expected"),
    [
        (Condition.SUCCEEDED, 0, JobState.RUNNING),
        (Condition.SUCCEEDED, 1, JobState.CANCELLED),
        (Condition.FAILED, 0, JobState.CANCELLED),
        (Condition.FAILED, 1, JobState.RUNNING),
        (Condition.ENDED, 0, JobState.RUNNING),
        (Condition.ENDED, 1, JobState.RUNNING),
    ],
)
def test_a_job_starts_when_its_condition_holds_and_ends_when_it_never_can(
    condition: Condition, code: int, expected: JobState
) -> None:
    world = world_with(condition)

    world.exit(FIRST, code)
    world.pass_time(2_000)

    assert state(world) is expected
    if expected is JobState.CANCELLED:
        other = world.job("first").state.name
        assert (
            world.job().reason == f"after: jobs/first is {other}, and was to be one that has {condition.name.lower()}"
        )


def test_a_job_after_one_that_has_started_starts_beside_it() -> None:
    assert state(world_with(Condition.STARTED)) is JobState.RUNNING


def test_what_is_to_follow_a_start_waits_for_it() -> None:
    world = World()
    world.submit("first")
    world.submit(after=after(Condition.STARTED))
    assert state(world) is JobState.QUEUED

    world.join("a")
    world.pass_time(3_000)

    assert state(world) is JobState.RUNNING


def test_what_was_to_follow_the_start_of_a_job_that_never_started_ends_with_it() -> None:
    world = World()
    world.submit("first")
    world.submit(after=after(Condition.STARTED))

    world.cancel("first")

    assert (state(world), world.job().end_time_ms is not None) == (JobState.CANCELLED, True)


def test_a_failure_that_is_retried_is_no_failure_yet() -> None:
    world = World(a=AMD64, b=AMD64)
    world.submit("first", retry=Retry(1, (RetryCause.EXIT_NONZERO,)))
    world.submit(after=after(Condition.FAILED))

    world.exit(FIRST, 1)
    world.pass_time(3_000)
    assert state(world) is JobState.QUEUED
    world.exit(Ref("first", 0, 2), 1)
    world.pass_time(3_000)

    assert state(world) is JobState.RUNNING


def test_all_conditions_have_to_hold() -> None:
    world = World(a=AMD64)
    world.submit("first")
    world.submit("second")
    world.submit(after=(*after(Condition.SUCCEEDED), *after(Condition.ENDED, job="second")))

    world.exit(FIRST, 0)
    assert (state(world), world.job().reason) == (JobState.QUEUED, "waits until jobs/second has ended")
    world.exit(Ref("second", 0, 1), 1)
    world.pass_time(1_000)

    assert state(world) is JobState.RUNNING


def test_an_end_goes_on_from_job_to_job() -> None:
    world = world_with(Condition.SUCCEEDED)
    world.submit("third", after=after(Condition.SUCCEEDED, job="train-1"))
    world.submit("fourth", after=after(Condition.ENDED, job="third"))

    world.exit(FIRST, 1)
    world.pass_time(1_000)

    assert [world.job(one).state for one in ("train-1", "third", "fourth")] == [
        JobState.CANCELLED,
        JobState.CANCELLED,
        JobState.RUNNING,
    ]


def test_a_restart_of_the_controller_changes_nothing() -> None:
    world = world_with(Condition.SUCCEEDED)

    world.restart_controller()
    world.pass_time(2_000)
    assert state(world) is JobState.QUEUED
    world.exit(FIRST, 0)
    world.pass_time(2_000)

    assert state(world) is JobState.RUNNING


def test_the_wait_for_another_job_is_no_wait_for_a_place() -> None:
    world = world_with(Condition.SUCCEEDED, timeouts=Timeouts(queue_ms=10_000))

    world.pass_time(60_000)
    assert state(world) is JobState.QUEUED
    world.exit(FIRST, 0)
    world.pass_time(1_000)

    assert state(world) is JobState.RUNNING
    assert (world.job().queue_time_ms or 0) - (world.job().create_time_ms or 0) >= 60_000


def test_a_job_that_waits_for_another_one_is_cancelled_as_any() -> None:
    world = world_with(Condition.SUCCEEDED)

    world.cancel()
    world.exit(FIRST, 0)
    world.pass_time(1_000)

    assert (state(world), world.job().reason) == (JobState.CANCELLED, "cancelled before it had started")


@pytest.mark.parametrize("code", [0, 1])
def test_a_gang_waits_as_a_whole(code: int) -> None:
    world = World(a=AMD64, b=AMD64)
    world.submit("first")
    world.submit(after=after(Condition.SUCCEEDED), task_count=2)
    assert state(world) is JobState.QUEUED

    world.exit(FIRST, code)
    world.pass_time(1_000)

    expected = JobState.CANCELLED if code else JobState.RUNNING
    assert [world.job(one).state for one in ("train-1", "train-1-0", "train-1-1")] == [expected] * 3


@pytest.mark.parametrize("code", [0, 1])
def test_an_array_waits_as_a_whole(code: int) -> None:
    world = world_with(Condition.SUCCEEDED, element_count=3)
    assert (state(world), "jobs/train-1-0" in world.store) == (JobState.QUEUED, False)

    world.exit(FIRST, code)
    world.pass_time(2_000)

    assert state(world) is (JobState.CANCELLED if code else JobState.RUNNING)
    assert len(world.running().get("a", [])) == (0 if code else 3)


def test_what_follows_an_array_waits_for_all_its_elements() -> None:
    world = World(a=AMD64)
    world.submit("first", element_count=2)
    world.submit(after=after(Condition.SUCCEEDED), resources=Requests(1000, GIB))
    world.pass_time(2_000)

    world.exit(Ref("first-0", 0, 1), 0)
    assert state(world) is JobState.QUEUED
    world.exit(Ref("first-1", 0, 1), 0)
    world.pass_time(2_000)

    assert state(world) is JobState.RUNNING


@pytest.mark.parametrize("condition", Condition)
def test_only_a_start_or_an_end_is_news_to_those_that_wait_for_it(condition: Condition) -> None:
    relations = Relations()
    runs = Job("jobs/first", spec(), JobState.RUNNING, start_time_ms=1)
    relations.put(replace(runs, state=JobState.STARTING, start_time_ms=None))
    waits = Job("jobs/train-1", spec(), waits_for=after(condition))
    relations.put(waits)
    assert relations.news == {}

    relations.put(runs)
    assert bool(relations.news) is (condition is Condition.STARTED)
    relations.put(replace(waits, waits_for=() if condition is Condition.STARTED else waits.waits_for))
    relations.news.clear()
    relations.put(replace(runs, reason="has reported"))
    assert relations.news == {}
    relations.put(replace(runs, state=JobState.SUCCEEDED))

    assert bool(relations.news) is (condition is not Condition.STARTED)


def test_one_that_waits_for_a_start_and_for_the_end_is_told_of_both() -> None:
    world = World()
    world.submit("first")
    both = (*after(Condition.STARTED), *after(Condition.SUCCEEDED))
    world.submit(after=both)

    world.join("a")
    world.pass_time(3_000)
    assert world.job().waits_for == after(Condition.SUCCEEDED)
    world.exit(FIRST, 0)
    world.pass_time(2_000)

    assert state(world) is JobState.RUNNING


@pytest.mark.parametrize("how", ["it is released", "it never can be", "a cancel", "an array's cancel"])
def test_nothing_is_kept_of_who_waits_no_more(how: str) -> None:
    world = world_with(Condition.SUCCEEDED, element_count=2 if "array" in how else 1)
    assert world.cluster.book.relations.dependents

    match how:
        case "it is released":
            world.exit(FIRST, 0)
        case "it never can be":
            world.exit(FIRST, 1)
        case _:
            world.cancel()

    assert world.cluster.book.relations.dependents == {}


def test_a_condition_that_holds_already_is_not_waited_for() -> None:
    world = World(a=AMD64)
    world.submit("first")
    world.exit(FIRST, 0)

    job = submitted(world, Condition.SUCCEEDED, world.job("first"))

    assert isinstance(job, Job)
    assert (job.state, job.waits_for) == (JobState.STARTING, ())


def test_a_condition_that_can_never_hold_is_refused() -> None:
    world = World(a=AMD64)
    world.submit("first")
    world.exit(FIRST, 1)

    found = refusal(submitted(world, Condition.SUCCEEDED, world.job("first")))

    assert found.reason == "DEPENDENCY_IMPOSSIBLE"
    assert "jobs/first is FAILED" in found.message


def test_a_job_that_ended_since_it_was_looked_up_is_looked_up_again() -> None:
    world = World(a=AMD64)
    looked_up = world.submit("first")
    world.exit(FIRST, 0)

    assert refusal(submitted(world, Condition.SUCCEEDED, looked_up)).reason == CHANGED


def submitted(world: World, condition: Condition, awaited: Job) -> object:
    wanted = spec(after=after(condition, job=awaited.id))
    return world.ask(lambda token: Submitted(token, "train-1", wanted, PINS, awaited=(awaited,)))


def test_a_condition_is_named_once_by_the_whole_id() -> None:
    wanted = JobSpec("a", "image", after=(*after(Condition.ENDED, job="fir"), *after(Condition.ENDED)))

    assert resolved(wanted, ["first", "first"]).after == after(Condition.ENDED)


@pytest.mark.parametrize("condition", Condition)
@pytest.mark.parametrize("job_state", JobState)
def test_what_holds_of_a_job_that_has_ended_is_settled(condition: Condition, job_state: JobState) -> None:
    job = Job("jobs/a", JobSpec("a", "image"), state=job_state)

    assert (holds(condition, job) is None) is not job.ended


@pytest.mark.parametrize("how", ["its turn", "a cancel", "a limit"])
def test_an_element_is_followed_before_it_has_its_turn(how: str) -> None:
    world = World(a=AMD64)
    world.submit("first", element_count=90, timeouts=Timeouts(queue_ms=60_000))
    turn = found_folded(world.cluster.book, "first-89")
    assert turn is not None
    job = submitted(world, Condition.ENDED, turn)
    assert isinstance(job, Job)
    assert job.state is JobState.QUEUED

    match how:
        case "a cancel":
            world.cancel("first-89")
        case "a limit":
            world.pass_time(62_000)
        case _:
            while "jobs/first-89" not in world.store:
                for one in world.running()["a"]:
                    world.exit(one, 0)
                world.pass_time(1_000)
            assert world.job().waits_for
            world.pass_time(62_000)

    assert world.job().waits_for == ()
