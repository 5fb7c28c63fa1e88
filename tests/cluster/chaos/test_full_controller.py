"""A controller whose disk is full: nothing is decided, so jobs are held still; once there is room, all goes on."""

from collections.abc import AsyncIterator, Iterator

import pytest

from headrace.client import Client
from headrace.jobs import JobState
from headrace.refusals import Refusal
from tests.cluster.chaos.waiting import begun, ended, may_end, waiting
from tests.cluster.observer import Observer
from tests.cluster.parts import Parts
from tests.cluster.world import World
from tests.small_disk import fill, mounted

pytestmark = [pytest.mark.engine, pytest.mark.timeout(300)]

DISK_BYTES = 24 << 20


@pytest.fixture
def world(parts: Parts, tmp_path_factory: pytest.TempPathFactory) -> Iterator[World]:
    """A controller on a small disk."""
    world = World(tmp_path_factory.mktemp("full-controller"), parts)
    with mounted(world.folder / "controller" / "state", DISK_BYTES):
        try:
            world.start_controller({"lease": "3s"})
            world.start_agent("one")
            yield world
        finally:
            world.end()


@pytest.fixture
async def eyes(world: World) -> AsyncIterator[Observer]:
    async with Client(world.address) as client:
        observer = Observer(client, world)
        await observer.ready("one")
        yield observer


async def test_a_controller_whose_disk_is_full_decides_nothing_and_loses_nothing(eyes: Observer) -> None:
    job = await begun(eyes, "one")
    filler = fill(eyes.world.folder / "controller" / "state")
    await eyes.comes(lambda: eyes.world.container_state(job.id) == "paused", "it is held still")
    with pytest.raises(Refusal, match="this was not done, as the controller can save nothing"):
        await eyes.client.create_job(waiting(eyes, "one", "true"))
    filler.unlink()
    # It has been heard of again once it runs on, and so what was decided is saved.
    await eyes.comes(lambda: eyes.world.container_state(job.id) == "running", "it runs on")
    await eyes.running(job)
    other = await eyes.ended(await eyes.client.create_job(waiting(eyes, "one", "true")))
    may_end(eyes, job)

    assert await ended(eyes, job) == "ended in epoch 1\n"
    assert (other.state, other.epoch) == (JobState.SUCCEEDED, 1)
    assert [eyes.world.starts(one.id) for one in (job, other)] == [[1], [1]]
    assert [one.id async for one in eyes.client.jobs()] == [other.id, job.id]
    assert "nothing can be saved, and so nothing is done" in eyes.world.said()
