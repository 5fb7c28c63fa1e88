"""An agent that is cut off: its jobs are held still and go on, or run elsewhere, once; what it says late is not heard.

The agent is on an island, a network namespace of its own, and so on the other end of a wire.
"""

import asyncio
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import pytest

from deploy.local import cluster
from headrace.client import Client
from headrace.jobs import Job, Partition
from headrace.nodes import NodeState
from tests.cluster.chaos.island import Cut, Island, island
from tests.cluster.chaos.waiting import begun, ended, may_end
from tests.cluster.observer import Observer
from tests.cluster.parts import Parts
from tests.cluster.world import World

pytestmark = [pytest.mark.engine, pytest.mark.timeout(300)]

LEASE, LOST_AFTER_MS = "3s", 8_000


@pytest.fixture(scope="module")
def cut_off() -> Iterator[Island]:
    with island() as made:
        yield made


@pytest.fixture(scope="module")
def world(parts: Parts, cut_off: Island, tmp_path_factory: pytest.TempPathFactory) -> Iterator[World]:
    """A controller at this machine's end of the wire, one agent beside it and one on the island."""
    world = World(tmp_path_factory.mktemp("partitions"), parts, address=cluster.free_address(cut_off.here))
    try:
        world.start_controller({"lease": LEASE, "insecure": True})
        world.start_agent("main", settings={"insecure": True})
        world.start_agent("island", settings={"insecure": True}, through=cut_off.through)
        yield world
    finally:
        world.end()


@pytest.fixture
async def eyes(world: World) -> AsyncIterator[Observer]:
    async with Client(world.address) as client:
        observer = Observer(client, world)
        await observer.ready("main", "island")
        yield observer
        await observer.comes(lambda: not world.containers(), "no container is left")
        await observer.comes(lambda: not world.attempt_folders(), "no attempt's folder is left")


async def test_a_cut_that_is_shorter_than_the_lease_is_not_noticed(eyes: Observer, cut_off: Island) -> None:
    job = await begun(eyes, "island", Partition.PAUSE)
    beats = eyes.world.container_log(job.id).count("beats")
    with cut_off.cut(Cut.BOTH):
        await eyes.comes(lambda: eyes.world.container_log(job.id).count("beats") > beats + 8, "it beats on")
    may_end(eyes, job)

    assert await ended(eyes, job) == "ended in epoch 1\n"
    assert eyes.world.starts(job.id) == [1]
    assert eyes.world.pauses(job.id) == []


@pytest.mark.parametrize("which", list(Cut))
async def test_a_cut_that_is_longer_than_the_lease_holds_jobs_still_and_costs_no_epoch(
    eyes: Observer, cut_off: Island, which: Cut
) -> None:
    paused, kept, stopped = await asyncio.gather(
        begun(eyes, "island", Partition.PAUSE),
        begun(eyes, "island", Partition.KEEP),
        begun(eyes, "island", Partition.STOP),
    )
    with cut_off.cut(which):
        await eyes.comes(lambda: eyes.world.container_state(paused.id) == "paused", "it is held still")
        await eyes.comes(lambda: eyes.world.container_state(stopped.id) == "exited", "it has left")
        beats = eyes.world.container_log(kept.id).count("beats")
        await eyes.comes(lambda: eyes.world.container_log(kept.id).count("beats") > beats, "it beats on")
        if which is not Cut.IN:
            await eyes.node_until("island", lambda node: node.state is NodeState.SUSPECT, "is suspect")
    await eyes.comes(lambda: eyes.world.container_state(paused.id) == "running", "it goes on")
    await eyes.said(stopped, "epoch 2 found left-in-1")
    for job, epoch in ((paused, 1), (kept, 1), (stopped, 2)):
        await eyes.until(job, lambda now, epoch=epoch: now.epoch == epoch, f"is in epoch {epoch}")
        may_end(eyes, job, epoch=epoch)

    assert [await ended(eyes, one) for one in (paused, kept, stopped)] == [
        f"ended in epoch {epoch}\n" for epoch in (1, 1, 2)
    ]
    assert [eyes.world.starts(one.id) for one in (paused, kept, stopped)] == [[1], [1], [1, 2]]
    assert eyes.world.pauses(kept.id) == []


async def test_a_cut_that_is_longer_than_lost_after_has_jobs_replaced_once_and_fences_the_island(
    eyes: Observer, cut_off: Island
) -> None:
    policies = (Partition.PAUSE, Partition.STOP, Partition.PAUSE, Partition.KEEP)
    jobs = await asyncio.gather(*(begun(eyes, "island", policy, lost_after_ms=LOST_AFTER_MS) for policy in policies))
    paused, stopped, over, kept = jobs
    with cut_off.cut(Cut.BOTH):
        # Its output comes too late, as does the last checkpoint of the one that is asked to leave.
        may_end(eyes, over)
        await eyes.comes(lambda: eyes.world.container_state(over.id) == "exited", "it has ended on the island")
        for job in (paused, stopped, over):
            await eyes.said(job, "epoch 2 found begun-in-1")
        beats = eyes.world.container_log(kept.id).count("beats")
        await eyes.comes(lambda: eyes.world.container_log(kept.id).count("beats") > beats, "it beats on")
    await eyes.comes(lambda: not on_the_island(eyes, paused, stopped, over), "nothing of them is left on the island")
    for job in (paused, stopped, over):
        await eyes.running(job, on="main")
        may_end(eyes, job, epoch=2)
    may_end(eyes, kept)

    assert [await ended(eyes, one) for one in jobs] == [f"ended in epoch {epoch}\n" for epoch in (2, 2, 2, 1)]
    assert [eyes.world.starts(one.id) for one in jobs] == [[1, 2], [1, 2], [1, 2], [1]]
    assert [(await eyes.events(one)).count("ATTEMPT_FAILED") for one in jobs] == [1, 1, 1, 0]


def on_the_island(eyes: Observer, *jobs: Job) -> list[Path]:
    names = [f"{job.id}-0-1" for job in jobs]
    return [path for path in eyes.world.attempt_folders() if path.name in names]
