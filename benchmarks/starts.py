"""Row 1: from submission to the container's start, one job at a time on an idle system, against the engine alone."""

import asyncio
import contextlib
import shutil
import time
from collections.abc import Awaitable, Callable, Iterator

import docker

from agent.runtimes.docker_spec import container_name
from agent.runtimes.runtime import Ref
from benchmarks import setting as settings
from benchmarks.engine_events import EngineEvents
from benchmarks.figures import Measured, Ratio, Row, Series, of_medians, of_rounds, of_tails
from benchmarks.rivals import BareApi, Body, Cli, DockerPy, Rival, body_of, folders_in
from headrace.client import Client
from headrace.jobs import JobSpec, JobState, Requests

NODE = "bench-starts"
ROUNDS = 30
WARM_UP = 2
# Between two containers: what the engine still does for the last one must not count against the next one.
REST_SECONDS = 0.15
# What the p50 and the p99 have to reach, by rival.
BOUNDS = {BareApi.name: (1.05, 1.2), DockerPy.name: (None, None), Cli.name: (0.95, None)}
BY_DIGEST, BY_TAG = "Headrace, by digest", "Headrace, by tag"

Way = Callable[[], Awaitable[None]]


async def measure(setting: settings.Setting) -> Row:
    """Measures the row: every way once a round, each round beginning with another one."""
    pinned = setting.pinned()
    pull(setting.engine, pinned)
    member = settings.Member(NODE, setting.engine)
    with EngineEvents(setting.engine) as events, _rivals(setting.engine) as rivals:
        async with settings.daemons(setting, member) as (_, client):
            body = body_of(idle_spec("rival", pinned), pinned, folders_in(setting.folder))
            bench = _Bench(client, events, body)
            ways: list[Way] = [
                lambda: bench.ours(BY_DIGEST, pinned),
                lambda: bench.ours(BY_TAG, setting.image()),
                *(lambda rival=rival: bench.rival(rival) for rival in rivals),
            ]
            for number in range(WARM_UP + ROUNDS):
                if number == WARM_UP:
                    bench.forget()
                turn = number % len(ways)
                for way in ways[turn:] + ways[:turn]:
                    await way()
                    await asyncio.sleep(REST_SECONDS)
    return bench.row([rival.name for rival in rivals])


def idle_spec(name: str, image: str, *, cpu_millis: int = 500) -> JobSpec:
    """A job that does nothing."""
    return JobSpec(name, image, command=("true",), resources=Requests(cpu_millis, 64 << 20))


def pull(engine: str, image: str, architecture: str = "amd64") -> None:
    """Brings an image to an engine."""
    with contextlib.closing(docker.DockerClient(base_url=engine)) as client:
        client.images.pull(image, platform=f"linux/{architecture}")


@contextlib.contextmanager
def _rivals(engine: str) -> Iterator[list[Rival]]:
    found: list[Rival] = [BareApi(engine), DockerPy(engine)]
    if shutil.which("docker") is not None:
        found.append(Cli(engine))
    try:
        yield found
    finally:
        for rival in found:
            rival.close()


class _Bench:
    """One container at a time. All instants are of this machine's clock: ours, and the engine's in its events."""

    def __init__(self, client: Client, events: EngineEvents, body: Body) -> None:
        self._client = client
        self._events = events
        self._body = body
        self._cleaner = docker.APIClient(base_url=events.host)
        self._count = 0
        self.forget()

    def forget(self) -> None:
        """Begins to count."""
        self._started, self._steps = Measured("ms"), Measured("ms")

    async def ours(self, name: str, image: str) -> None:
        """Submits a job by the client, and waits until nothing of it is left."""
        begun = time.time_ns()
        job = await self._client.create_job(idle_spec("bench", image))
        created = time.time_ns()
        seen = 0
        async for now in self._client.watch_job(job.name):
            if not seen and now.state is not JobState.STARTING and now.state is not JobState.QUEUED:
                seen = time.time_ns()
            job = now
        if job.state is not JobState.SUCCEEDED:
            raise RuntimeError(f"{job.name} ended {job.state.name}: {job.reason}")
        container = container_name(NODE, Ref(job.id, 0, 1))
        await self._told(name, container, begun)
        self._add_step(f"{name}: submitted → CreateJob answered", begun, created)
        self._add_step(f"{name}: started → seen RUNNING", await self._at(container, "start"), seen)
        await self._at(container, "destroy")
        begun = time.time_ns()
        await self._client.check_job(idle_spec("bench", image))
        self._add_step(f"{name}: CreateJob that only checks: the image's look-up", begun, time.time_ns())

    async def rival(self, rival: Rival) -> None:
        """Starts a container the other way, and removes it once it has ended."""
        self._count += 1
        container = f"bench-rival-{time.time_ns()}-{self._count}"
        begun = time.time_ns()
        await asyncio.to_thread(rival.start, container, self._body)
        await self._told(rival.name, container, begun)
        await self._at(container, "die")
        await asyncio.to_thread(self._cleaner.remove_container, container, v=True)

    async def _told(self, name: str, container: str, begun: int) -> None:
        made, started = await self._at(container, "create"), await self._at(container, "start")
        self._started.add(name, (started - begun) / 1e6)
        self._add_step(f"{name}: submitted → created", begun, made)
        self._add_step(f"{name}: created → started", made, started)

    def _add_step(self, name: str, since: int, until: int) -> None:
        self._steps.add(name, (until - since) / 1e6)

    async def _at(self, container: str, action: str) -> int:
        return await asyncio.to_thread(self._events.wait, container, action)

    def row(self, rivals: list[str]) -> Row:
        """What came out."""
        self._cleaner.close()
        ratios = [
            ratio
            for ours in (BY_DIGEST, BY_TAG)
            for rival in rivals
            for ratio in _ratios(f"{ours} / {rival}", self._started[ours], self._started[rival], *BOUNDS[rival])
        ]
        notes = () if "docker CLI" in rivals else ("there is no docker CLI on this machine: it was left out",)
        series = (*self._started.series(), *self._steps.series())
        return Row(1, "submitted → container started, one at a time", series, tuple(ratios), notes)


def _ratios(name: str, ours: Series, other: Series, typical: float | None, tail: float | None) -> Iterator[Ratio]:
    yield of_rounds(name, ours, other, typical)
    yield of_medians(name, ours, other)
    yield of_tails(name, ours, other, tail)
