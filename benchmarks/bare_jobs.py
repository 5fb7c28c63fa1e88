"""A server that does with jobs the least that can be done: what gRPC, SQLite and NumPy in Python cost alone.

It keeps each job once it is placed and once it has ended, in one transaction for all that came meanwhile, places it
where fewest run, and tells that node. It has no queue, no constraints, no leases and no epochs, answers nothing twice,
and knows nothing after a restart: a floor, not a scheduler.
"""

import asyncio
import sqlite3
import sys
import uuid
from collections.abc import AsyncIterator, Callable, Iterable
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import grpc
import numpy as np
from google.protobuf.message import Message
from grpc import aio

from benchmarks import certified
from benchmarks.agents import raise_limit
from controller.daemon import SERVER_OPTIONS
from headrace.v1 import attempt_pb2, job_pb2, job_service_pb2, session_pb2

NODES_MAX = 10_000
# As the controller's own.
SQL = (
    "PRAGMA journal_mode = WAL",
    "PRAGMA synchronous = FULL",
    "CREATE TABLE jobs (id TEXT PRIMARY KEY, state INTEGER, record BLOB) WITHOUT ROWID",
)
SAVED = (
    "INSERT INTO jobs VALUES (?, ?, ?) ON CONFLICT (id) DO UPDATE SET state = excluded.state, record = excluded.record"
)


@dataclass(slots=True, eq=False)
class _Node:
    """One session, and what its node should run."""

    name: str
    column: int
    session: int = 0
    sequence: int = 0
    generation: int = 0
    placements: dict[str, session_pb2.Placement] = field(default_factory=dict)
    wake: asyncio.Event = field(default_factory=asyncio.Event)


@dataclass(frozen=True, slots=True, eq=False)
class _Call:
    """Jobs that one call makes, and who waits for them."""

    jobs: list[job_pb2.Job]
    saved: asyncio.Future[None]


class BareJobs:
    """The jobs and the nodes, in memory and in one table."""

    def __init__(self, path: Path, lease_millis: int) -> None:
        self._lease_millis = lease_millis
        self._database = sqlite3.connect(path, isolation_level=None, check_same_thread=False)
        for statement in SQL:
            self._database.execute(statement)
        self._committing = ThreadPoolExecutor(1)
        self._columns: list[_Node] = []
        self._free = np.zeros((2, NODES_MAX))
        self._running = np.zeros(NODES_MAX)
        self._jobs: dict[str, tuple[job_pb2.Job, _Node]] = {}
        self._calls: list[_Call] = []
        self._ended: list[str] = []
        self._came = asyncio.Event()

    async def run(self) -> None:
        """Places, saves and tells, until cancelled."""
        while True:
            await self._came.wait()
            self._came.clear()
            calls, self._calls = self._calls, []
            ended, self._ended = self._ended, []
            told = {self._end(job) for job in ended}
            told |= {self._place(job) for call in calls for job in call.jobs}
            changed = [self._jobs[one][0] for one in ended] + [job for call in calls for job in call.jobs]
            await asyncio.get_running_loop().run_in_executor(self._committing, self._commit, changed)
            for job in ended:
                del self._jobs[job]
            for call in calls:
                call.saved.set_result(None)
            for node in told:
                node.wake.set()

    async def create(self, request: job_service_pb2.CreateJobRequest, _: Any) -> job_pb2.Job:
        """CreateJob."""
        (job,) = await self._created([request])
        return job

    async def create_all(
        self, request: job_service_pb2.BatchCreateJobsRequest, _: Any
    ) -> job_service_pb2.BatchCreateJobsResponse:
        """BatchCreateJobs."""
        return job_service_pb2.BatchCreateJobsResponse(jobs=await self._created(request.requests))

    async def session(self, reports: AsyncIterator[session_pb2.Report], context: Any) -> AsyncIterator[Any]:
        """NodeService's Session."""
        await context.send_initial_metadata(())
        first = await anext(reports)
        node = _Node(first.node, len(self._columns), first.session)
        self._columns.append(node)
        capacity = first.description.capacity
        self._free[:, node.column] = capacity.cpu_millis, capacity.memory_bytes
        self._hear(node, first)
        node.wake.set()
        reading = asyncio.create_task(self._read(node, reports))
        try:
            while True:
                await node.wake.wait()
                node.wake.clear()
                node.generation += 1
                yield session_pb2.Assignment(
                    cluster="bare",
                    session=node.session,
                    generation=node.generation,
                    acked_sequence=node.sequence,
                    lease_millis=self._lease_millis,
                    placements=node.placements.values(),
                )
        finally:
            reading.cancel()

    async def _created(self, requests: Iterable[job_service_pb2.CreateJobRequest]) -> list[job_pb2.Job]:
        jobs = [job_pb2.Job(name=f"jobs/{uuid.uuid4().hex}", spec=one.spec) for one in requests]
        call = _Call(jobs, asyncio.get_running_loop().create_future())
        self._calls.append(call)
        self._came.set()
        await call.saved
        return jobs

    async def _read(self, node: _Node, reports: AsyncIterator[session_pb2.Report]) -> None:
        with suppress(aio.AioRpcError):
            async for report in reports:
                self._hear(node, report)

    def _hear(self, node: _Node, report: session_pb2.Report) -> None:
        node.sequence = report.sequence
        for attempt in report.attempts:
            if attempt.state == attempt_pb2.Attempt.EXITED and node.placements.pop(attempt.job, None) is not None:
                self._ended.append(attempt.job)
                self._came.set()

    def _place(self, job: job_pb2.Job) -> _Node:
        wanted = np.array([[job.spec.resources.cpu_millis], [job.spec.resources.memory_bytes]])
        nodes = len(self._columns)
        fits = (self._free[:, :nodes] >= wanted).all(axis=0)
        column = int(np.where(fits, self._running[:nodes], np.inf).argmin())
        self._free[:, column] -= wanted[:, 0]
        self._running[column] += 1
        node = self._columns[column]
        job.state, job.node, job.epoch = job_pb2.Job.STARTING, node.name, 1
        self._jobs[job.name] = job, node
        node.placements[job.name] = session_pb2.Placement(
            job=job.name, epoch=1, goal=session_pb2.Placement.RUN, image=job.spec.image, spec=job.spec
        )
        return node

    def _end(self, name: str) -> _Node:
        job, node = self._jobs[name]
        job.state = job_pb2.Job.SUCCEEDED
        self._free[:, node.column] += job.spec.resources.cpu_millis, job.spec.resources.memory_bytes
        self._running[node.column] -= 1
        return node

    def _commit(self, jobs: list[job_pb2.Job]) -> None:
        self._database.execute("BEGIN")
        self._database.executemany(SAVED, [(one.name, one.state, one.SerializeToString()) for one in jobs])
        self._database.execute("COMMIT")


async def _serve(address: str, path: Path, lease_millis: int) -> None:
    bare = BareJobs(path, lease_millis)
    server = aio.server(options=SERVER_OPTIONS)
    jobs = {
        "CreateJob": _method(grpc.unary_unary_rpc_method_handler, bare.create, job_service_pb2.CreateJobRequest),
        "BatchCreateJobs": _method(
            grpc.unary_unary_rpc_method_handler, bare.create_all, job_service_pb2.BatchCreateJobsRequest
        ),
    }
    nodes = {"Session": _method(grpc.stream_stream_rpc_method_handler, bare.session, session_pb2.Report)}
    for name, methods in (("JobService", jobs), ("NodeService", nodes)):
        server.add_generic_rpc_handlers((grpc.method_handlers_generic_handler(f"headrace.v1.{name}", methods),))
    certified.listen(server, address)
    await server.start()
    await bare.run()


def _method(kind: Callable[..., Any], behaviour: Callable[..., Any], request: type[Message]) -> Any:
    return kind(behaviour, request_deserializer=request.FromString, response_serializer=_written)


def _written(message: Message) -> bytes:
    return message.SerializeToString()


if __name__ == "__main__":
    raise_limit()
    asyncio.run(_serve(sys.argv[1], Path(sys.argv[2]), int(sys.argv[3])))
