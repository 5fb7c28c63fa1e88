"""Clocks that are set by an hour under running daemons: leases, jobs and what is timed do not notice."""

import asyncio
from collections.abc import AsyncIterator, Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from deploy.local import packages
from headrace.client import Client
from headrace.jobs import JobState, MigrationState, Timeouts
from tests.cluster.chaos.waiting import begun, ended, may_end, waiting
from tests.cluster.observer import Observer
from tests.cluster.parts import Parts
from tests.cluster.world import World

pytestmark = [pytest.mark.engine, pytest.mark.timeout(300)]

HOUR_MS = 3_600_000
BRIEF_MS = 15_000


@pytest.fixture
def clock(tmp_path: Path) -> Path:
    """What the daemons' clock is put forward by, in seconds."""
    path = tmp_path / "clock"
    path.write_text("+0")
    return path


@pytest.fixture
def world(parts: Parts, clock: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[World]:
    """Daemons to whom libfaketime tells the time. How long something takes they learn from the kernel, as ever."""
    packages.ensure(packages.TESTS)
    [library] = Path("/usr/lib").glob("*/faketime/libfaketimeMT.so.1")
    told = {
        "LD_PRELOAD": str(library),
        "FAKETIME_TIMESTAMP_FILE": str(clock),
        "FAKETIME_CACHE_DURATION": "1",
        "FAKETIME_DONT_FAKE_MONOTONIC": "1",
    }
    world = World(tmp_path_factory.mktemp("clocks"), parts, variables=told)
    try:
        world.start_controller({"lease": "10s"})
        world.start_agent("one")
        world.start_agent("two")
        yield world
    finally:
        world.end()


@pytest.fixture
async def eyes(world: World) -> AsyncIterator[Observer]:
    async with Client(world.address) as client:
        observer = Observer(client, world)
        await observer.ready("one", "two")
        yield observer


async def test_clocks_that_are_set_back_an_hour_cost_no_lease_and_no_epoch(eyes: Observer, clock: Path) -> None:
    job = await begun(eyes, "one")
    await clock_set(eyes, clock, "-3600")
    meanwhile = await eyes.running(job, on="one")
    move = await eyes.moved(job, "two")
    await eyes.said(job, "epoch 2 found left-in-1")
    may_end(eyes, job, epoch=2)

    assert meanwhile.epoch == 1
    assert (move.state, move.reason) == (MigrationState.SUCCEEDED, "")
    assert await ended(eyes, job) == "ended in epoch 2\n"
    assert eyes.world.starts(job.id) == [1, 2]
    assert eyes.world.pauses(job.id) == []
    assert "NODE_SUSPECT" not in [event.reason async for event in eyes.client.events()]


@pytest.mark.parametrize("by", ["-3600", "+3600"])
async def test_a_clock_that_is_set_by_an_hour_neither_stretches_nor_shortens_a_timeout(
    eyes: Observer, clock: Path, by: str
) -> None:
    brief, long = [
        await eyes.client.create_job(replace(waiting(eyes, "one"), timeouts=Timeouts(run_ms=run_ms)))
        for run_ms in (BRIEF_MS, HOUR_MS // 2)
    ]
    await eyes.running(brief)
    await eyes.running(long)
    await clock_set(eyes, clock, by)
    brief = await eyes.ended(brief, JobState.FAILED, seconds=4 * BRIEF_MS / 1000)
    long = await eyes.running(long)
    may_end(eyes, long)

    assert brief.reason.startswith("timeouts.run")
    assert await ended(eyes, long) == "ended in epoch 1\n"


async def clock_set(eyes: Observer, clock: Path, by: str) -> None:
    """Sets the daemons' clocks, and waits until the controller has seen that."""
    log = eyes.world.folder / "controller" / "controller.log"
    await asyncio.to_thread(clock.write_text, by)
    await eyes.comes(lambda: f"clock was set, by {by[0]}" in log.read_text(), "the controller sees it")
