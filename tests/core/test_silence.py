"""Laws of what users are told of a job whose node is silent."""

from dataclasses import replace
from datetime import UTC, datetime

import pytest

from controller.core.silence import told
from headrace.jobs import JobState, Partition, Retry
from tests.core.small_world import AMD64, World

MINUTE_MS = 60_000


def silent(world: World, **changes: object) -> str:
    """What a job says once its node has not reported for a minute."""
    world.submit(**changes)
    world.sites["a"].cut = True
    world.pass_time(MINUTE_MS)
    return told(world.cluster.book, world.job()).reason


@pytest.mark.parametrize("task_count", [1, 2], ids=["a job", "a gang"])
def test_a_job_whose_node_is_silent_says_since_when_and_when_it_begins_again(task_count: int) -> None:
    world = World(a=AMD64)

    reason = silent(world, task_count=task_count)

    assert world.job().state is JobState.RUNNING
    assert reason.startswith("a does not report since 2023-11-14 22:13:2")
    assert reason.endswith(", the job begins again elsewhere")


def test_what_it_says_is_what_comes() -> None:
    world = World(a=AMD64)
    text = silent(world).partition("still so at ")[2].partition(",")[0]
    moment = datetime.strptime(text, "%Y-%m-%d %H:%M:%S %Z").replace(tzinfo=UTC)
    world.pass_time(1000 * int(moment.timestamp()) - world.cluster.book.wall_ms)
    assert world.job().state is JobState.RUNNING
    assert text in told(world.cluster.book, world.job()).reason

    world.pass_time(2_000)

    assert world.job().state is JobState.QUEUED


def test_one_that_is_not_tried_again_says_so() -> None:
    assert silent(World(a=AMD64), retry=Retry(on=())).endswith("the job fails")


def test_one_that_is_left_there_says_so() -> None:
    assert silent(World(a=AMD64), partition=Partition.KEEP).endswith("until it does (`partition: keep`)")


def test_one_that_is_to_end_says_why_and_when_it_does() -> None:
    world = World(a=AMD64)
    silent(world)
    world.cancel()

    reason = told(world.cluster.book, world.job()).reason

    assert reason.startswith("a user cancelled it; a does not report since ")
    assert reason.endswith(", the job ends")


def test_a_job_whose_node_reports_and_one_that_has_none_say_nothing_of_it() -> None:
    world = World(a=AMD64)
    job = world.submit()
    assert told(world.cluster.book, job) is job
    waits = replace(job, state=JobState.QUEUED, node="")
    assert told(world.cluster.book, waits) is waits
