"""Daemons that are killed at any moment and started again: nothing is lost, and nothing is started twice."""

import pytest

from headrace.jobs import Job, MigrationState
from tests.cluster.jobs import Tokenized, goes_on_where_it_left, tokenizer, work_in
from tests.cluster.observer import Observer

pytestmark = [pytest.mark.engine, pytest.mark.timeout(600)]

AGENTS = ("amd64", "arm64")


async def test_an_agent_that_is_killed_finds_its_container_and_goes_on(eyes: Observer, unmoved: Tokenized) -> None:
    job = await eyes.client.create_job(tokenizer(last_epoch=3))
    await eyes.said(job, "\nmerge ")
    await works_on_without_its_agent(eyes, job, "amd64")
    await eyes.moved(job, "arm64")
    await works_on_without_its_agent(eyes, job, "arm64")
    await eyes.moved(job, "amd64")

    await is_as_if_nothing_had_happened(eyes, job, unmoved, epochs=[1, 2, 3])


@pytest.mark.parametrize(
    ("agent", "moment"),
    [("amd64", MigrationState.FREEZING), ("arm64", MigrationState.STARTING)],
    ids=["source", "target"],
)
async def test_a_move_goes_on_though_an_agent_is_killed_in_it(
    eyes: Observer, unmoved: Tokenized, agent: str, moment: MigrationState
) -> None:
    job = await eyes.client.create_job(tokenizer(last_epoch=3))
    await eyes.said(job, "\nmerge ")
    await eyes.running(job)
    await eyes.client.migrate(job.name, target=eyes.world.node("arm64"))
    await move_comes_to(eyes, job, moment)
    eyes.world.kill(agent)
    eyes.world.start_agent(agent)
    await move_succeeds(eyes, job)
    await eyes.said(job, "on arm64: goes on after merge")
    # An emulated agent that has just begun may be silent for a while where others are at work.
    await eyes.ready("amd64", "arm64")
    await eyes.moved(job, "amd64")

    await is_as_if_nothing_had_happened(eyes, job, unmoved, epochs=[1, 2, 3])


async def test_a_controller_that_is_killed_goes_on_with_jobs_and_moves(eyes: Observer, unmoved: Tokenized) -> None:
    job = await eyes.client.create_job(tokenizer(last_epoch=5))
    said = await eyes.said(job, "\nmerge ")
    eyes.world.kill("controller")
    eyes.world.start_controller()
    said = await eyes.said(job, "\nmerge ", after=said)
    for target, moment in (
        ("arm64", MigrationState.PREFETCHING),
        ("amd64", MigrationState.FREEZING),
        ("arm64", MigrationState.STARTING),
        ("amd64", MigrationState.SUCCEEDED),
    ):
        await eyes.client.migrate(job.name, target=eyes.world.node(target))
        await move_comes_to(eyes, job, moment)
        eyes.world.kill("controller")
        eyes.world.start_controller()
        await move_succeeds(eyes, job)
        said = await eyes.said(job, f"on {target}: goes on after merge", after=said)

    await is_as_if_nothing_had_happened(eyes, job, unmoved, epochs=[1, 2, 3, 4, 5])


async def works_on_without_its_agent(eyes: Observer, job: Job, agent: str) -> None:
    """Kills the agent; the job does not notice, and its log is whole again once there is an agent again."""
    eyes.world.kill(agent)
    said = eyes.world.container_log(job.id).count("\n")
    await eyes.comes(lambda: eyes.world.container_log(job.id).count("\n") > said, f"{job.name} works on")
    last = eyes.world.container_log(job.id).splitlines()[-1]
    assert last not in await eyes.log(job)
    eyes.world.start_agent(agent)
    await eyes.said(job, last)
    await eyes.ready(agent)


async def move_comes_to(eyes: Observer, job: Job, moment: MigrationState) -> None:
    """Waits for a state of the job's newest move, or for a later one where that was over quickly."""
    await eyes.until(job, lambda now: now.migrations[-1].state.value >= moment.value, f"its move is {moment.name}")


async def move_succeeds(eyes: Observer, job: Job) -> None:
    after = await eyes.until(job, lambda now: now.migration is None, "its move has ended")
    assert (after.migrations[-1].state, after.migrations[-1].reason) == (MigrationState.SUCCEEDED, "")


async def is_as_if_nothing_had_happened(eyes: Observer, job: Job, unmoved: Tokenized, *, epochs: list[int]) -> None:
    job = await eyes.ended(job)

    assert job.outputs is not None
    assert job.outputs.digest == unmoved.digest
    assert [attempt.epoch for attempt in job.attempts] == epochs
    log = await eyes.log(job)
    assert [int(line.split()[1]) for line in log.splitlines() if line.startswith("epoch ")] == epochs
    starts = eyes.world.starts(job.id)
    assert len(starts) == len(set(starts))
    assert work_in(log) == unmoved.log
    assert goes_on_where_it_left(log)
