"""Waits for what a test expects of jobs, logs and nodes, by watching; says what it saw instead where it never comes."""

import asyncio
from collections.abc import AsyncGenerator, AsyncIterator, Callable
from contextlib import aclosing, asynccontextmanager
from typing import TypeVar, cast

import pytest

from headrace.attempts import AttemptState
from headrace.client import Client
from headrace.jobs import Job, JobState, Migration
from headrace.nodes import Node, NodeState
from tests.cluster.world import World

Item = TypeVar("Item")

SECONDS = 120.0
LOOK_SECONDS = 0.1


class Observer:
    """Eyes on one world, and the client to act on it."""

    def __init__(self, client: Client, world: World) -> None:
        self.client = client
        self.world = world
        self._seen: object = None

    async def ready(self, *names: str) -> None:
        """Waits until the nodes of these agents report, with an engine that answers."""
        for name in names:
            await self.node_until(name, lambda node: node.state is NodeState.READY and node.engine.reachable, "ready")

    async def node_until(self, name: str, holds: Callable[[Node], bool], what: str, seconds: float = SECONDS) -> Node:
        """The node of that agent, once it is as wanted."""
        wanted = self.world.node(name)
        async with self._within(seconds, f"node {wanted}: {what}"):
            while True:
                async for node in self.client.nodes(f'name == "{wanted}"'):
                    self._seen = node
                    if holds(node):
                        return node
                await asyncio.sleep(LOOK_SECONDS)

    async def comes(self, holds: Callable[[], bool], what: str, seconds: float = SECONDS) -> None:
        """Waits for something that can only be looked for again and again."""
        async with self._within(seconds, what):
            while True:
                if await asyncio.to_thread(holds):
                    return
                await asyncio.sleep(LOOK_SECONDS)

    async def until(self, job: Job, holds: Callable[[Job], bool], what: str, seconds: float = SECONDS) -> Job:
        """The job, as soon as it is as wanted."""
        watch = _closing(self.client.watch_job(job.name))
        async with self._within(seconds, f"{job.name}: {what}"), watch as states:
            async for state in states:
                self._seen = state
                if holds(state):
                    return state
        raise self._failure(f"{job.name}: ended, and was never: {what}")

    async def running(self, job: Job, *, on: str = "", seconds: float = SECONDS) -> Job:
        """The job once it runs, on the node of the agent `on` if one is named."""
        return await self.until(job, lambda now: runs(now, self.world.node(on) if on else ""), f"runs {on}", seconds)

    async def ended(self, job: Job, state: JobState = JobState.SUCCEEDED, seconds: float = SECONDS) -> Job:
        """The job once it has ended, which it must have done so."""
        after = await self.until(job, lambda now: now.ended, f"has ended {state.name}", seconds)
        if after.state is not state:
            raise self._failure(f"{job.name} ended {after.state.name}, not {state.name}: {after.reason}")
        return after

    async def said(self, job: Job, words: str, *, times: int = 1, after: int = 0, seconds: float = SECONDS) -> int:
        """Waits until the log says the words so often beyond the offset `after`; answers the log's length then."""
        text = b""
        log = _closing(self.client.read_log(job.name, offset=after, follow=True))
        async with self._within(seconds, f"{job.name}: {times} x {words!r} in its log"), log as parts:
            async for part in parts:
                self._seen = text = text + part.data
                if text.count(words.encode()) >= times:
                    return after + len(text)
        raise self._failure(f"{job.name} ended, and did not say {words!r} {times} times but {text[-300:]!r}")

    async def log(self, job: Job) -> str:
        """All that is kept of a job's log."""
        return b"".join([part.data async for part in self.client.read_log(job.name)]).decode()

    async def moved(self, job: Job, target: str, seconds: float = SECONDS) -> Migration:
        """Moves the job to the node of that agent, and waits until it is there.

        What a job says may be heard before its node has reported that it runs.
        """
        await self.running(job)
        await self.client.migrate(job.name, target=self.world.node(target))
        after = await self.until(job, lambda now: now.migration is None, f"has moved to {target}", seconds)
        return after.migrations[-1]

    async def events(self, job: Job) -> list[str]:
        """The reasons of what happened to a job, in order."""
        return [event.reason async for event in self.client.events(job.name)]

    @asynccontextmanager
    async def _within(self, seconds: float, what: str) -> AsyncIterator[None]:
        self._seen = None
        try:
            async with asyncio.timeout(seconds):
                yield
        except TimeoutError:
            raise self._failure(f"{what}: not within {seconds:.0f} s") from None

    def _failure(self, what: str) -> BaseException:
        return pytest.fail.Exception(f"{what}\n  last seen: {self._seen}\n{self.world.said()}", pytrace=False)


def _closing(stream: AsyncIterator[Item]) -> aclosing[AsyncGenerator[Item, None]]:
    return aclosing(cast("AsyncGenerator[Item, None]", stream))


def runs(job: Job, node: str = "") -> bool:
    """Its container runs, on that node if one is named."""
    attempt = job.attempt
    return (
        job.state is JobState.RUNNING
        and attempt is not None
        and attempt.state is AttemptState.RUNNING
        and node in ("", job.node)
    )
