"""A hop by Headrace, as a user asks for it."""

import asyncio

from agent.runtimes.docker_spec import container_name
from agent.runtimes.runtime import Ref
from benchmarks import hop_job
from benchmarks.hop_engines import HopEngines, Times, Way, first_line
from headrace.client import Client
from headrace.jobs import Job, JobState, Migration, MigrationState

# Long enough that a move does not meet a save under way, as it would not with the usual minute.
INTERVAL_MS = 2_000


class OurHop:
    """Hops of jobs from the node `source`. On the nodes `natives` jobs run for arm64, by agents that do not."""

    def __init__(
        self,
        engines: HopEngines,
        client: Client,
        spec_of: hop_job.SpecOf = hop_job.spec,
        *,
        source: str,
        natives: tuple[str, ...],
    ) -> None:
        self._engines = engines
        self._spec_of = spec_of
        self._client = client
        self._source = source
        self._natives = natives

    async def hop(self, way: Way, target: str) -> tuple[Times, Migration]:
        """Submits the job, lets it save, moves it to the node `target`, and cancels it."""
        both = self._engines
        interval_ms = INTERVAL_MS if way.prefetched else 0
        spec = self._spec_of(both.image, source=self._source, natives=self._natives, interval_ms=interval_ms)
        job = await self._client.create_job(spec)
        left = container_name(self._source, Ref(job.id, 0, 1))
        job = await self._until_ready(job, prefetched=way.prefetched)
        await asyncio.to_thread(first_line, both.source, left, "saved")
        await asyncio.to_thread(both.make_ready, way)
        await self._client.migrate(job.name, target=target)
        move = await self._until_moved(job)
        reached = container_name(target, Ref(job.id, 0, move.target_epoch))
        await asyncio.to_thread(first_line, both.target, reached, "restored")
        lines = await self._said(job)
        times = await asyncio.to_thread(both.times, left, reached, lines)
        await self._client.cancel(job.name)
        await self._client.wait(job.name)
        await asyncio.to_thread(both.gone, reached)
        return times, move

    async def _until_ready(self, job: Job, *, prefetched: bool) -> Job:
        async for now in self._client.watch_job(job.name):
            if now.state is JobState.RUNNING and (now.checkpoint is not None or not prefetched):
                return now
        raise RuntimeError(f"{job.name} ended before it could hop")

    async def _until_moved(self, job: Job) -> Migration:
        async for now in self._client.watch_job(job.name):
            move = now.migrations[-1] if now.migrations else None
            if move is not None and move.state is MigrationState.SUCCEEDED:
                return move
            if move is not None and move.ended:
                raise RuntimeError(f"{job.name} did not hop: {move.reason}")
        raise RuntimeError(f"{job.name} ended while it hopped")

    async def _said(self, job: Job) -> list[str]:
        said = b""
        async for part in self._client.read_log(job.name, follow=True):
            said += part.data
            if b"restored" in said and said.endswith(b"\n"):
                return said.decode().splitlines()
        raise RuntimeError(f"{job.name} ended and its log has no word of its return")
