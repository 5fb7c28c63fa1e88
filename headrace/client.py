"""The client for users' programs: jobs and nodes of a controller as records.

    async with Client("127.0.0.1:7400") as client:
        job = await client.create_job(JobSpec("pi", "registry.example/pi:1"))
        job = await client.wait(job.name)

Names may be shortened wherever they are unambiguous. What the controller refuses is raised as a Refusal. A watch or a
log that is left before its end goes on until it is closed: read it within `contextlib.aclosing`.

A program that makes hundreds of calls a second makes more of them (with 64 at one time a tenth) if it does
`headrace.transport.read_in_one_thread(os.environ)` before it imports this, or anything else of gRPC.
"""

import uuid
from collections.abc import AsyncGenerator, Sequence
from contextlib import aclosing
from pathlib import Path
from types import TracebackType
from typing import Any, Self, TypeVar

from google.protobuf.message import Message

from headrace import outputs, wire
from headrace.addresses import DEFAULT_ADDRESS
from headrace.attempts import Outputs
from headrace.connection import (
    CALL_TIMEOUT_SECONDS,
    CREATE_TIMEOUT_SECONDS,
    PAGE_SIZE,
    PATIENCE_SECONDS,
    Connection,
    LogPart,
    job_name,
    node_name,
)
from headrace.events import Event
from headrace.explanations import Explanation
from headrace.jobs import Candidate, Job, JobSpec, MigrationPlan
from headrace.nodes import Node
from headrace.projects import Project
from headrace.refusals import Code, Refusal
from headrace.searches import Found, Search
from headrace.v1 import job_service_pb2 as job_pb
from headrace.v1 import node_service_pb2 as node_pb
from headrace.v1 import project_service_pb2 as project_pb

_Record = TypeVar("_Record")


class Client:
    """An open connection to the controller at `address`: "127.0.0.1:7400", "unix:/run/headrace.sock".

    `tls` is the folder of this side's certificate (docs/security.md). Watches go on over a restart of the controller;
    one that stays away for `patience_seconds` is refused.
    """

    def __init__(
        self,
        address: str = DEFAULT_ADDRESS,
        *,
        tls: Path | None = None,
        patience_seconds: float = PATIENCE_SECONDS,
    ) -> None:
        self._connection = Connection(address, tls=tls, patience_seconds=patience_seconds)

    async def __aenter__(self) -> Self:
        await self._connection.__aenter__()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self._connection.__aexit__(kind, error, trace)

    async def create_job(self, spec: JobSpec, *, request_id: str = "") -> Job:
        """Submit a job. Sent twice with one `request_id` (made here if none is given), it is still one job."""
        request = job_pb.CreateJobRequest(spec=_message(spec), request_id=request_id or str(uuid.uuid4()))
        return await self._create(request)

    async def create_jobs(self, specs: Sequence[JobSpec], *, request_ids: Sequence[str] = ()) -> tuple[Job, ...]:
        """Submit up to 1,000 jobs in one transaction: all of them, or none. `request_ids`: one each, or none at all."""
        if request_ids and len(request_ids) != len(specs):
            message = f"request_ids: {len(request_ids)} of them for {len(specs)} jobs; give one for each job, or none"
            raise Refusal(Code.INVALID_ARGUMENT, "REQUEST_IDS_UNEVEN", message)
        ids = request_ids or [str(uuid.uuid4()) for _ in specs]
        requests = [
            job_pb.CreateJobRequest(spec=_message(spec), request_id=one) for spec, one in zip(specs, ids, strict=True)
        ]
        request = job_pb.BatchCreateJobsRequest(requests=requests)
        calling = self._connection.call(
            self._connection.jobs.BatchCreateJobs, request, timeout_seconds=CREATE_TIMEOUT_SECONDS
        )
        return tuple(wire.load(Job, job) for job in (await calling).jobs)

    async def check_job(self, spec: JobSpec) -> Job:
        """The job that `create_job` would make, its images pinned. Nothing is created; it has no name."""
        return await self._create(job_pb.CreateJobRequest(spec=_message(spec), validate_only=True))

    async def job(self, name: str) -> Job:
        """A job with its attempts and migrations."""
        request = job_pb.GetJobRequest(name=job_name(name))
        return await self._call(Job, self._connection.jobs.GetJob, request)

    async def jobs(self, where: str = "") -> AsyncGenerator[Job]:
        """Live and ended jobs for which `where` (query language) holds, newest first."""
        request = job_pb.ListJobsRequest(filter=where, page_size=PAGE_SIZE)
        async for page in self._connection.pages(self._connection.jobs.ListJobs, request):
            for job in page.jobs:
                yield wire.load(Job, job)

    async def tasks(self, name: str) -> AsyncGenerator[Job]:
        """The tasks of a gang, or those elements of an array that have had their turn, by their numbers."""
        request = job_pb.ListJobsRequest(gang=(await self.job(name)).name, page_size=PAGE_SIZE)
        pages = self._connection.pages(self._connection.jobs.ListJobs, request)
        found = [wire.load(Job, job) async for page in pages for job in page.jobs]
        for job in sorted(found, key=lambda one: (one.task, one.array_index)):
            yield job

    def watch_job(self, name: str) -> AsyncGenerator[Job]:
        """The job now, and again whenever it changed, until it has ended."""
        return _records(Job, self._connection.watch_job(name))

    async def wait(self, name: str) -> Job:
        """The job once it has ended, however it did: see its `state` and `reason`."""
        async with aclosing(self._connection.watch_job(name)) as messages:
            async for message in messages:
                newest = message
        # A watch that ends without a refusal has told of the end.
        return wire.load(Job, newest)

    async def cancel(self, name: str) -> Job:
        """Ask the job to leave; it is CANCELLED once no attempt is left."""
        request = job_pb.CancelJobRequest(name=job_name(name))
        return await self._call(Job, self._connection.jobs.CancelJob, request)

    async def explain(self, job: str | JobSpec) -> tuple[Candidate, ...]:
        """What nodes are for a job, or for one that would be submitted: those that fit first, the best first."""
        return (await self.explanation(job)).candidates

    async def explanation(self, job: str | JobSpec) -> Explanation:
        """Why a job is where it is or waits, what would change that, and when it will likely start."""
        if isinstance(job, str):
            request = job_pb.ExplainJobRequest(name=job_name(job))
        else:
            request = job_pb.ExplainJobRequest(spec=wire.dump(job))
        calling = self._connection.call(
            self._connection.jobs.ExplainJob, request, timeout_seconds=CREATE_TIMEOUT_SECONDS
        )
        return wire.load(Explanation, await calling)

    async def migrate(self, name: str, *, target: str = "", where: str = "") -> Job:
        """Begin a move to the node `target`, or to any for which `where` holds. Its progress is in `migrations`."""
        request = job_pb.MigrateJobRequest(name=job_name(name), target=target, where=where)
        response = await self._connection.call(self._connection.jobs.MigrateJob, request)
        return wire.load(Job, response.job)

    async def plan_migration(self, name: str, *, target: str = "", where: str = "") -> MigrationPlan:
        """What `migrate` would do, found without touching the job."""
        request = job_pb.MigrateJobRequest(name=job_name(name), target=target, where=where, validate_only=True)
        response = await self._connection.call(self._connection.jobs.MigrateJob, request)
        return wire.load(MigrationPlan, response.plan)

    def read_log(self, name: str, *, offset: int = 0, follow: bool = False) -> AsyncGenerator[LogPart]:
        """One log over all attempts, from `offset` (negative: from the end); with `follow` until the job has ended."""
        return self._connection.read_log(name, offset=offset, follow=follow)

    async def fetch_outputs(self, name: str, directory: Path) -> Outputs:
        """Put the job's results into `directory`, which must be absent or empty, verified; or nothing at all."""
        return wire.load(Outputs, await outputs.fetch(self._connection, name, directory))

    async def events(self, subject: str = "", *, since_ms: int = 0, newest: int = 0) -> AsyncGenerator[Event]:
        """What happened to `subject` ("jobs/…", "nodes/…"; empty: to all), oldest first.

        With `since_ms` (since 1970) what happened then or later, with `newest` of that so many that came last.
        """
        request = job_pb.ListEventsRequest(subject=subject, page_size=PAGE_SIZE, newest_count=newest)
        if since_ms:
            request.since.FromMilliseconds(since_ms)
        async for page in self._connection.pages(self._connection.jobs.ListEvents, request):
            for event in page.events:
                yield wire.load(Event, event)

    def watch_events(self, subject: str = "", *, after_sequence: int = 0) -> AsyncGenerator[Event]:
        """The events after `after_sequence`, then new ones as they come. Does not end by itself."""
        request = job_pb.WatchEventsRequest(subject=subject, after_sequence=after_sequence)
        return _records(Event, self._connection.watch_events(request))

    async def node(self, name: str) -> Node:
        """A node as its last report told."""
        request = node_pb.GetNodeRequest(name=node_name(name))
        return await self._call(Node, self._connection.nodes.GetNode, request)

    async def nodes(self, where: str = "") -> AsyncGenerator[Node]:
        """The nodes for which `where` (query language) holds, by name."""
        request = node_pb.ListNodesRequest(filter=where, page_size=PAGE_SIZE)
        async for page in self._connection.pages(self._connection.nodes.ListNodes, request):
            for node in page.nodes:
                yield wire.load(Node, node)

    def watch_nodes(self, where: str = "", *, readings: bool = False) -> AsyncGenerator[Node]:
        """The nodes for which `where` holds, all of them now, then each that changed. Does not end by itself.

        With `readings`, each with every report. One that is `forgotten` has only its name.
        """
        return _records(Node, self._connection.watch_nodes(where, readings=readings))

    async def projects(self) -> tuple[Project, ...]:
        """All projects by name: what they are due, hold and have used."""
        found = await self._connection.call(self._connection.projects.ListProjects, project_pb.ListProjectsRequest())
        return tuple(wire.load(Project, one) for one in found.projects)

    async def find(self, search: Search) -> Found:
        """Capacity, now: nodes, devices or jobs, with sums and groups, and when there would be more."""
        return await self._call(Found, self._connection.finds.FindCapacity, wire.dump(search))

    async def cordon(self, name: str) -> Node:
        """Give a node no new jobs; those it has stay."""
        request = node_pb.CordonNodeRequest(name=node_name(name))
        return await self._call(Node, self._connection.nodes.CordonNode, request)

    async def uncordon(self, name: str) -> Node:
        """Give a node jobs again, whether it was cordoned or drained."""
        request = node_pb.UncordonNodeRequest(name=node_name(name))
        return await self._call(Node, self._connection.nodes.UncordonNode, request)

    async def drain(self, name: str, *, deadline_ms: int | None = None, force: bool = False) -> Node:
        """Give a node no new jobs, and move away those it has. Its `drain` is DRAINED once nothing is left.

        Refused where jobs have nowhere to go, unless `force`. After `deadline_ms` those that could not be moved are
        asked to save and leave; without, they may stay for ever.
        """
        request = node_pb.DrainNodeRequest(name=node_name(name), force=force)
        if deadline_ms is not None:
            request.deadline.FromMilliseconds(deadline_ms)
        return await self._call(Node, self._connection.nodes.DrainNode, request)

    async def forget(self, name: str) -> Node:
        """Forget a node that is gone for good; `name` in full. Refused while it may be there, or has jobs."""
        request = node_pb.ForgetNodeRequest(name=node_name(name))
        return await self._call(Node, self._connection.nodes.ForgetNode, request)

    async def _create(self, request: job_pb.CreateJobRequest) -> Job:
        return await self._call(Job, self._connection.jobs.CreateJob, request, timeout_seconds=CREATE_TIMEOUT_SECONDS)

    async def _call(
        self, kind: type[_Record], method: Any, request: Message, *, timeout_seconds: float = CALL_TIMEOUT_SECONDS
    ) -> _Record:
        answer: Message = await self._connection.call(method, request, timeout_seconds=timeout_seconds)
        return wire.load(kind, answer)


async def _records(kind: type[_Record], messages: AsyncGenerator[Any]) -> AsyncGenerator[_Record]:
    async with aclosing(messages):
        async for message in messages:
            yield wire.load(kind, message)


def _message(spec: JobSpec) -> Any:
    """The spec as it is sent. Refusal: JOB_INVALID, where it has values that no message can hold."""
    try:
        return wire.dump(spec)
    except ValueError:
        # What else is wrong the controller tells; most programs never need these rules.
        from headrace import job_rules  # noqa: PLC0415 - as that.

        job_rules.check(spec)
        raise
