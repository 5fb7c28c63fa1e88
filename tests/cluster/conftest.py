"""A world for each module, of the agents that its AGENTS names, and an observer for each test."""

import asyncio
from collections.abc import AsyncIterator, Iterator
from contextlib import ExitStack

import pytest

from deploy.local import engine
from headrace.client import Client
from tests.cluster import parts as real_parts
from tests.cluster.jobs import Tokenized, tokenizer, work_in
from tests.cluster.observer import Observer
from tests.cluster.parts import Parts
from tests.cluster.world import World


@pytest.fixture(scope="session")
def parts() -> Parts:
    return real_parts.found()


@pytest.fixture(scope="module")
def world(parts: Parts, tmp_path_factory: pytest.TempPathFactory, request: pytest.FixtureRequest) -> Iterator[World]:
    """Ends with nothing left of any job, on an engine or on the disk.

    The module's ENGINES gives agents an engine of their own, by its name, which asks for a layer DOWNLOAD_ATTEMPTS
    times; its CONTROLLER has settings. Where it is CERTIFIED, all have certificates.
    """
    module = request.module
    own, attempts = getattr(module, "ENGINES", {}), getattr(module, "DOWNLOAD_ATTEMPTS", 5)
    with ExitStack() as engines:
        hosts = {agent: engines.enter_context(engine.own(own[agent], download_attempts=attempts)).host for agent in own}
        folder = tmp_path_factory.mktemp(module.__name__.rpartition(".")[2])
        world = World(folder, parts, certified=getattr(module, "CERTIFIED", False))
        try:
            world.start_controller(getattr(module, "CONTROLLER", {}))
            for name in module.AGENTS:
                world.start_agent(name, host=hosts.get(name, ""))
            yield world
            asyncio.run(_emptied(world))
        finally:
            world.end()


@pytest.fixture
async def eyes(world: World, request: pytest.FixtureRequest) -> AsyncIterator[Observer]:
    """Open once all the world's nodes can run jobs."""
    async with Client(world.address, tls=world.tls) as client:
        observer = Observer(client, world)
        await observer.ready(*request.module.AGENTS)
        yield observer


@pytest.fixture(scope="session")
def tokenized() -> list[Tokenized]:
    """What a tokenizer that stayed where it was came to, once one has."""
    return []


@pytest.fixture
async def unmoved(eyes: Observer, tokenized: list[Tokenized]) -> Tokenized:
    if not tokenized:
        job = await eyes.ended(await eyes.client.create_job(tokenizer("name=unmoved")))
        assert job.outputs is not None
        tokenized.append(Tokenized(job.outputs.digest, work_in(await eyes.log(job))))
    return tokenized[0]


async def _emptied(world: World) -> None:
    async with Client(world.address, tls=world.tls) as client:
        observer = Observer(client, world)
        # Live ones are those of tests that failed.
        for job in [job async for job in client.jobs() if not job.ended]:
            await client.cancel(job.name)
        await observer.comes(lambda: not world.containers(), "no container is left")
        await observer.comes(lambda: not world.attempt_folders(), "no attempt's folder is left")
