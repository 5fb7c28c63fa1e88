"""What cannot be done is refused with a reason and a remedy, and leaves everything as it was."""

from dataclasses import replace

import pytest

from headrace.attempts import AttemptState
from headrace.jobs import JobSpec, JobState, MigrationState
from headrace.refusals import Code, Refusal
from tests.cluster.jobs import program
from tests.cluster.observer import Observer

pytestmark = [pytest.mark.engine, pytest.mark.timeout(600)]

AGENTS = ("amd64", "arm64")

# Says so when it can be asked to leave, and then takes its time.
SLOW_TO_LEAVE = """
import signal, time
signal.signal(signal.SIGTERM, lambda *_: (time.sleep(1), open("/checkpoint/state", "w").close(), exit(85)))
print("works", flush=True)
while True:
    signal.pause()
"""

SAVES_AND_LEAVES_ONCE = """
import pathlib, signal
state = pathlib.Path("/checkpoint/state")
signal.pthread_sigmask(signal.SIG_BLOCK, [signal.SIGTERM])
print("found", state.read_text() if state.exists() else "nothing", flush=True)
if not state.exists():
    signal.sigwait([signal.SIGTERM])
    state.write_text("something")
    exit(85)
"""


@pytest.mark.parametrize(
    ("image", "reason", "said"),
    [
        ("headrace/python:no-such-tag", "IMAGE_NOT_FOUND", "has no tag no-such-tag"),
        ("headrace/no-such-image", "IMAGE_NOT_FOUND", "check the name, or push the image"),
        ("127.0.0.1:1/some/image", "REGISTRY_UNREACHABLE", "is it running, and is its address right"),
    ],
    ids=["tag", "image", "registry"],
)
async def test_an_image_that_cannot_be_looked_up_makes_no_job(
    eyes: Observer, image: str, reason: str, said: str
) -> None:
    with pytest.raises(Refusal, match=said) as refused:
        await eyes.client.create_job(JobSpec("unfounded", image))

    assert refused.value.reason == reason
    assert image in refused.value.message
    assert [job async for job in eyes.client.jobs('name == "unfounded"')] == []


async def test_a_move_to_a_node_that_is_not_there_is_refused_and_the_job_stays_as_it_is(eyes: Observer) -> None:
    job = await eyes.client.create_job(program("stays", SLOW_TO_LEAVE))
    # What it says may come before its node tells that it runs.
    before = await eyes.running(job)

    with pytest.raises(Refusal, match="there is no node 'nowhere'; there are: ") as refused:
        await eyes.client.migrate(job.name, target="nowhere")

    assert (refused.value.code, refused.value.reason) == (Code.NOT_FOUND, "NODE_NOT_FOUND")
    assert await eyes.client.job(job.name) == before
    await eyes.client.cancel(job.name)
    await eyes.ended(job, JobState.CANCELLED)


async def test_a_second_move_at_the_same_time_is_refused_and_the_first_goes_on(eyes: Observer) -> None:
    amd64, arm64 = map(eyes.world.node, AGENTS)
    job = await eyes.client.create_job(program("twice", SLOW_TO_LEAVE))
    await eyes.said(job, "works")
    await eyes.running(job)

    await eyes.client.migrate(job.name, target=arm64)
    for target in (arm64, amd64):
        with pytest.raises(Refusal, match=f"is moving to {arm64} already; wait until that has ended") as refused:
            await eyes.client.migrate(job.name, target=target)
        assert refused.value.reason == "MOVE_UNDER_WAY"
    after = await eyes.until(job, lambda now: now.migration is None, "has moved")

    assert [(move.state, move.target) for move in after.migrations] == [(MigrationState.SUCCEEDED, arm64)]
    await eyes.client.cancel(job.name)
    await eyes.ended(job, JobState.CANCELLED)


async def test_an_image_for_no_architecture_at_hand_makes_no_job(eyes: Observer) -> None:
    image = eyes.world.parts.far()

    with pytest.raises(Refusal, match="which is for linux/s390x; the nodes that there are run ") as refused:
        await eyes.client.create_job(JobSpec("far", image))

    assert (refused.value.code, refused.value.reason) == (Code.FAILED_PRECONDITION, "IMAGE_NO_NODE")
    assert image in refused.value.message
    assert [job async for job in eyes.client.jobs('display_name == "far"')] == []


async def test_an_image_that_lies_of_one_platform_is_run_on_the_honest_one(eyes: Observer) -> None:
    spec = replace(program("half-lying", "print('runs')"), image=eyes.world.parts.half_lying(of="amd64"), command=())

    job = await eyes.ended(await eyes.client.create_job(spec))

    refused, ran = job.attempts
    assert (refused.node, refused.state) == (eyes.world.node("amd64"), AttemptState.EXITED)
    assert refused.reason == "IMAGE_NOT_RUNNABLE"
    assert ran.node == eyes.world.node("arm64")
    assert [pin.platform.architecture for pin in job.images] == ["arm64"]


async def test_a_job_that_moves_to_where_its_image_lies_goes_on_where_it_came_from(eyes: Observer) -> None:
    amd64, arm64 = map(eyes.world.node, AGENTS)
    spec = program("comes-back", SAVES_AND_LEAVES_ONCE, image=eyes.world.parts.half_lying(of="arm64"))
    job = await eyes.client.create_job(spec)
    await eyes.said(job, "found nothing")
    await eyes.running(job)

    await eyes.client.migrate(job.name, target=arm64)
    job = await eyes.ended(job)

    assert [attempt.node for attempt in job.attempts] == [amd64, arm64, amd64]
    assert [migration.state for migration in job.migrations] == [MigrationState.ABORTED]
    assert (await eyes.log(job)).splitlines()[-1] == "found something"


async def test_an_image_that_lies_of_all_its_platforms_fails_and_says_so(eyes: Observer) -> None:
    spec = replace(program("lying", ""), image=eyes.world.parts.lying(), command=())

    job = await eyes.ended(await eyes.client.create_job(spec), JobState.FAILED)

    assert [attempt.reason for attempt in job.attempts] == ["IMAGE_NOT_RUNNABLE"] * 2
    assert "the image's program" in job.reason
    assert job.images == ()
