"""A controller that starts with many nodes and jobs in its store (row 9)."""

import time
from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from benchmarks import certified, swarm
from benchmarks.agents import MEMORY_BYTES, THREADS, node_name
from benchmarks.figures import Ratio, Row, Series
from benchmarks.report_rates import connected
from controller.store import Store
from headrace.attempts import Attempt, AttemptState, Platform
from headrace.connection import Connection
from headrace.jobs import ImagePin, Job, JobSpec, JobState, Requests
from headrace.nodes import Capacity, Cpu, Engine, Node, NodeDescription, NodeState
from headrace.v1.job_service_pb2 import ListJobsRequest

if TYPE_CHECKING:
    from benchmarks.scale import Scale

ROUNDS = 3
AT_ONCE = 10_000
BEGUN_MS = 1_790_000_000_000
AMD64 = Platform("linux", "amd64")


async def measure(scale: "Scale") -> Row:
    """Row 9: from the start of the process until it answers, and its memory; beside it one with an empty store."""
    folder = scale.folder / "restart"
    seed(folder, scale)
    full: list[float] = []
    empty: list[float] = []
    rss: list[float] = []
    for number in range(ROUNDS):
        empty.append(await until_it_answers(scale, f"empty-{number}"))
        full.append(await until_it_answers(scale, "restart", rss))
    with scale.controller("restart") as controller:
        options = ("--run-seconds=-1",)
        with swarm.agents(controller.address, scale.agents, *options, start_seconds=scale.agents / 500) as agents:
            came = await connected(agents, scale.agents)
            with_agents = controller.rss_bytes
    series = (
        Series("start → it answers", "s", tuple(full)),
        Series("the same, empty store", "s", tuple(empty)),
        Series("memory", "MiB", tuple(rss)),
        Series("memory with all agents", "MiB", (with_agents / (1 << 20),)),
        Series("all connected", "s", (came,)),
    )
    ratios = (
        Ratio("start → it answers", series[0].p50, 2.0, unit="s"),
        Ratio("memory with all agents", with_agents / (1 << 30), 1.2, unit="GiB"),
    )
    return Row(9, f"restart with {scale.agents} nodes, {scale.jobs} live and {scale.ended} ended jobs", series, ratios)


async def until_it_answers(scale: "Scale", name: str, rss: list[float] | None = None) -> float:
    """Its first page of jobs."""
    since = time.monotonic()
    with scale.controller(name) as controller:
        async with Connection(controller.address, tls=certified.operator()) as connection:
            await connection.call(connection.jobs.ListJobs, ListJobsRequest(page_size=1))
        seconds = time.monotonic() - since
        if rss is not None:
            rss.append(controller.rss_bytes / (1 << 20))
        return seconds


def seed(folder: Path, scale: "Scale") -> None:
    """A store as a controller leaves it: nodes, jobs that run there, and jobs that have ended."""
    with_spec = JobSpec("run", scale.image, resources=Requests(cpu_millis=1000, memory_bytes=1 << 30))
    live = (job(number, node_name(number % scale.agents), with_spec) for number in range(scale.jobs))
    ended = (
        replace(job(number, "sim-00000", with_spec), state=JobState.SUCCEEDED, exit_code=0, end_time_ms=BEGUN_MS)
        for number in range(scale.jobs, scale.jobs + scale.ended)
    )
    commit(folder, (node(number) for number in range(scale.agents)))
    commit(folder, live)
    commit(folder, ended)


def seed_queued(folder: Path, count: int, specs: Sequence[JobSpec]) -> None:
    """A store in which so many jobs wait, of these in turn."""
    jobs = (job(number, "", specs[number % len(specs)]) for number in range(count))
    commit(folder, (replace(one, state=JobState.QUEUED, attempts=(), start_time_ms=None) for one in jobs))


def commit(folder: Path, records: Iterator[Job | Node]) -> None:
    """Writes them into the store of that folder."""
    path = folder / swarm.STORE
    path.parent.mkdir(parents=True, exist_ok=True)
    store = Store.open(f"sqlite:///{path}")
    for several in _batches(records):
        store.commit(several)
    store.close()


def _batches(records: Iterator[Job | Node]) -> Iterator[list[Job | Node]]:
    batch: list[Job | Node] = []
    for record in records:
        batch.append(record)
        if len(batch) == AT_ONCE:
            yield batch
            batch = []
    yield batch


def node(number: int) -> Node:
    """One of 64 cores, as its agent would tell of it."""
    described = NodeDescription(
        hostname=node_name(number),
        agent_version="0.1.0",
        region="west",
        labels={"probe": "0"},
        cpu=Cpu("AMD EPYC 9554", threads=THREADS),
        platforms=(AMD64,),
        capacity=Capacity(THREADS * 1000, MEMORY_BYTES, 1 << 40),
    )
    name = f"nodes/{node_name(number)}"
    return Node(name, NodeState.READY, description=described, engine=Engine(True, "28.2.2"), session=1, generation=1)


def job(number: int, node: str, spec: JobSpec) -> Job:
    """One that runs; each has a name, a command and a request of its own, as users' jobs have."""
    name = f"run-{number}-{number:08x}"
    spec = replace(spec, display_name=f"run-{number}", command=("train", "--seed", str(number)))
    image = f"{spec.image}"
    attempt = Attempt(
        name,
        1,
        node,
        state=AttemptState.RUNNING,
        platform=AMD64,
        image=image,
        start_time_ms=BEGUN_MS + number,
    )
    return Job(
        f"jobs/{name}",
        spec,
        JobState.RUNNING,
        epoch=1,
        node=node,
        images=(ImagePin(AMD64, image, image, 100 << 20),),
        attempts=(attempt,),
        request_id=f"request-{number}",
        create_time_ms=BEGUN_MS + number,
        queue_time_ms=BEGUN_MS + number,
        start_time_ms=BEGUN_MS + number,
    )
