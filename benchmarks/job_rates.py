"""Jobs through the whole controller: submitted, saved, placed, started and ended by simulated agents (rows 3 and 5)."""

import asyncio
import time
import uuid
from collections.abc import Sequence
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from benchmarks import certified, restarts, swarm
from benchmarks.figures import Ratio, Row, Series, of_rounds
from benchmarks.report_rates import connected
from headrace import wire
from headrace.connection import Connection
from headrace.jobs import JobSpec, Requests
from headrace.v1 import job_pb2
from headrace.v1.job_service_pb2 import BatchCreateJobsRequest, CreateJobRequest

if TYPE_CHECKING:
    from benchmarks.scale import Scale

IN_FLIGHT = 64
ROUNDS = 3
OFFERED_PER_SECOND = 1_000
# Who offers more than is taken waits at this point, and its time runs on: more calls at once would only cost more.
OFFERED_AT_ONCE = 512
_BARE = "bare: gRPC, SQLite and NumPy, and nothing else (benchmarks/bare_jobs.py)"
# As many as devices are full of, so that which nodes fit is not the same for all.
SHAPES = tuple(
    Requests(cpu_millis=100 * cpu, memory_bytes=memory << 28) for cpu in range(1, 9) for memory in range(1, 9)
)


def spec(number: int, image: str) -> JobSpec:
    """A job of one of 64 shapes."""
    return JobSpec(f"nothing-{number}", image, command=("true", str(number)), resources=SHAPES[number % len(SHAPES)])


class Submitter:
    """A client that makes jobs, each another one."""

    def __init__(self, connection: Connection, image: str) -> None:
        self._connection = connection
        # The image differs in no job: what a client would make anew for each is made ahead.
        self._specs = [wire.dump(spec(number, image)) for number in range(len(SHAPES))]
        self._number = 0
        # Another one's requests would be answered with its jobs.
        self._requests = uuid.uuid4().hex
        self.seconds: list[float] = []
        self.placed = 0

    def _request(self) -> CreateJobRequest:
        self._number += 1
        number = self._number
        request = CreateJobRequest(spec=self._specs[number % len(SHAPES)], request_id=f"{self._requests}-{number}")
        request.spec.display_name, request.spec.command[1] = f"nothing-{number}", str(number)
        return request

    async def submit(self, since: float | None = None) -> None:
        """Makes one; it is in the store when this is back, and placed if it could be. Timed from `since` on."""
        request = self._request()
        since = since or time.monotonic()
        job = await self._connection.call(self._connection.jobs.CreateJob, request, timeout_seconds=120)
        self.seconds.append(time.monotonic() - since)
        self.placed += job.state == job_pb2.Job.STARTING

    async def submit_all(self, count: int) -> None:
        """The same for so many in one call."""
        request = BatchCreateJobsRequest(requests=[self._request() for _ in range(count)])
        since = time.monotonic()
        made = await self._connection.call(self._connection.jobs.BatchCreateJobs, request, timeout_seconds=120)
        self.seconds += [time.monotonic() - since] * count
        self.placed += sum(job.state == job_pb2.Job.STARTING for job in made.jobs)


@dataclass(frozen=True, slots=True)
class Way:
    """How jobs are submitted: by calls that make `batch` jobs each, so many `in_flight`; and the jobs/s to reach."""

    name: str
    batch: int
    in_flight: int
    goal: float


WAYS = (
    Way("one at a time", 1, 1, 700),
    Way(f"{IN_FLIGHT} in flight", 1, IN_FLIGHT, 1_000),
    Way("batches of 100", 100, 1, 4_500),
    Way("batches of 1,000", 1_000, 1, 13_000),
)


@dataclass(frozen=True, slots=True)
class Rate:
    """What came of one way: jobs a second, how long each took to be placed, and the server's processor time a job."""

    per_second: float
    seconds: tuple[float, ...]
    cpu_millis: float


async def measure(scale: "Scale") -> Row:
    """Row 3: jobs a second by one, many at a time and in batches, from the first submission to the last end.

    Beside it, in turn, the same of a server that does the least that can be done (`benchmarks/bare_jobs.py`): each with
    agents of its own, which are gone before the other begins.
    """
    found: list[tuple[Way, Rate, Rate]] = []
    seconds = scale.seconds / ROUNDS
    for number in range(ROUNDS):
        async with _bare(scale, f"bare-{number}.db") as bare:
            floor = await _rates(scale, bare, seconds)
        with scale.controller(f"jobs-{number}") as controller:
            ours = await _rates(scale, controller, seconds)
        found += zip(WAYS, ours, floor, strict=True)
    return _row(scale, found)


def _bare(scale: "Scale", name: str) -> AbstractAsyncContextManager[swarm.Bare]:
    """That server, whose agents report as often as the controller's."""
    return swarm.bare("benchmarks.bare_jobs", str(scale.folder / name), str(scale.lease_millis))


async def alone(scale: "Scale") -> Row:
    """The same without that server."""
    with scale.controller("jobs") as controller:
        rates = await _rates(scale, controller, scale.seconds)
    return _row(scale, [(way, rate, None) for way, rate in zip(WAYS, rates, strict=True)])


async def _rates(scale: "Scale", server: swarm.Server, seconds: float) -> list[Rate]:
    """What comes of each way."""
    with swarm.agents(server.address, scale.agents, start_seconds=scale.agents / 500) as agents:
        await connected(agents, scale.agents)
        return [await _run(server, agents, scale.image, way, seconds) for way in WAYS]


def _row(scale: "Scale", found: Sequence[tuple[Way, Rate, Rate | None]]) -> Row:
    series: list[Series] = []
    ratios: list[Ratio] = []
    for way in WAYS:
        ours = [rate for each, rate, _ in found if each is way]
        floor = [rate for each, _, rate in found if each is way and rate is not None]
        rates = Series(way.name, "jobs/s", tuple(one.per_second for one in ours))
        series += (
            rates,
            Series(f"{way.name}: submitted → placed", "ms", _millis([each for one in ours for each in one.seconds])),
            Series(f"{way.name}: controller's processor time, a job", "ms", tuple(one.cpu_millis for one in ours)),
        )
        ratios.append(Ratio(way.name, rates.p50, way.goal, at_least=True, unit="jobs/s"))
        if floor:
            bare = Series(f"{way.name}: bare", "jobs/s", tuple(one.per_second for one in floor))
            series += (
                bare,
                Series(f"{way.name}: bare, its processor time, a job", "ms", tuple(one.cpu_millis for one in floor)),
            )
            ratios.append(of_rounds(f"{way.name} / bare", rates, bare))
    notes = [f"a lease of {scale.lease_millis / 1000:g} s; {certified.note()}"]
    if any(floor is not None for _, _, floor in found):
        notes.append(_BARE)
    return Row(3, f"jobs a second, {scale.agents} nodes", tuple(series), tuple(ratios), tuple(notes))


async def _run(server: swarm.Server, agents: swarm.Swarm, image: str, way: Way, last_seconds: float) -> Rate:
    async with Connection(server.address, tls=certified.operator()) as connection:
        submitter = Submitter(connection, image)
        await submitter.submit()
        await _all_ended(agents, 1)
        submitter.seconds.clear()
        cpu, since = server.cpu_seconds, time.monotonic()

        async def submit() -> None:
            while time.monotonic() < since + last_seconds:
                await (submitter.submit() if way.batch == 1 else submitter.submit_all(way.batch))

        async with asyncio.TaskGroup() as tasks:
            for _ in range(way.in_flight):
                tasks.create_task(submit())
        made = len(submitter.seconds)
        await _all_ended(agents, made)
        seconds = time.monotonic() - since
        return Rate(made / seconds, tuple(submitter.seconds), 1000 * (server.cpu_seconds - cpu) / made)


async def _all_ended(agents: swarm.Swarm, count: int) -> None:
    ended = 0
    while ended < count:
        await asyncio.sleep(0.01)
        ended += agents.count()["ended"]


def waiting(image: str) -> list[JobSpec]:
    """Jobs that wait for what no node has."""
    large = [replace(one, cpu_millis=one.cpu_millis + 1_000_000) for one in SHAPES]
    return [replace(spec(number, image), resources=one) for number, one in enumerate(large)]


async def queued(scale: "Scale") -> Row:
    """Row 5: from a submission to its place, at a rate that is offered, where many wait for what is not there.

    Before it, the same of a server that does the least that can be done, with as many agents and none that wait.
    """
    async with _bare(scale, "bare-queue.db") as server:
        floor, floor_rate = await _taken(scale, server.address)
    folder = scale.folder / "queue"
    restarts.seed_queued(folder, scale.queued, waiting(scale.image))
    with scale.controller("queue") as controller:
        ours, rate = await _taken(scale, controller.address)
    placed = Series("submitted → placed", "ms", _millis(ours.seconds))
    bare = Series("bare: submitted → placed", "ms", _millis(floor.seconds))
    series = (placed, Series("answered", "jobs/s", (rate,)), bare, Series("bare: answered", "jobs/s", (floor_rate,)))
    ratios = (Ratio("p50", placed.p50, 20.0, unit="ms"), Ratio("p99", placed.p99, 100.0, unit="ms"))
    title = f"{OFFERED_PER_SECOND} submissions a second, {scale.agents} nodes, {scale.queued} queued"
    notes = (
        f"a lease of {scale.lease_millis / 1000:g} s",
        f"{ours.placed} of {len(ours.seconds) + 1} were placed at once; jobs run on: no place is given up",
        _BARE,
    )
    return Row(5, title, series, ratios, notes)


async def _taken(scale: "Scale", address: str) -> tuple[Submitter, float]:
    """What came of the submissions that were offered, and how many a second were answered."""
    started = swarm.agents(address, scale.agents, "--run-seconds=-1", start_seconds=scale.agents / 500)
    with started as agents:
        await connected(agents, scale.agents)
        async with Connection(address, tls=certified.operator()) as connection:
            submitter = Submitter(connection, scale.image)
            await submitter.submit()
            submitter.seconds.clear()
            since = time.monotonic()
            await offered(submitter, since, scale.seconds)
            return submitter, len(submitter.seconds) / (time.monotonic() - since)


async def offered(submitter: Submitter, since: float, seconds: float) -> None:
    """Submits at a steady rate; what has to wait for its turn is timed from when it was due."""
    slots = asyncio.Semaphore(OFFERED_AT_ONCE)

    async def submit(due: float) -> None:
        try:
            await submitter.submit(due)
        finally:
            slots.release()

    number = 0
    async with asyncio.TaskGroup() as tasks:
        while time.monotonic() < since + seconds:
            due = since + number / OFFERED_PER_SECOND
            await asyncio.sleep(max(0.0, due - time.monotonic()))
            await slots.acquire()
            tasks.create_task(submit(due))
            number += 1


def _millis(seconds: Sequence[float]) -> tuple[float, ...]:
    return tuple(1000 * one for one in seconds)
