"""JobService: what users call for jobs."""

import asyncio
import uuid
from collections.abc import AsyncIterator, Sequence
from typing import Any

from google.protobuf.message import Message

from controller.core import arrays, cautions, explanations, moves, silence, stills
from controller.core.model import CancelAsked, MoveAnswer, MoveAsked
from controller.creations import Creations, Wanted
from controller.earlier import Earlier
from controller.images import Images
from controller.logs import JobLogs
from controller.reads import Reads
from controller.shell import Shell
from controller.store import JobCursor, Store
from headrace import jobfile, query, stored, wire
from headrace.changes import replace
from headrace.ids import element_of, is_called, task_id
from headrace.jobs import Job, JobSpec
from headrace.refusals import Code, Refusal
from headrace.v1 import event_pb2, job_pb2
from headrace.v1 import job_service_pb2 as pb
from headrace.v1.job_service_pb2_grpc import JobServiceServicer

PAGE_SIZE = 100
PAGE_SIZE_MAX = 1000
BATCH_MAX = 1000
REQUEST_ID_MAX = 200
# Of the jobs that a name may mean so many are named.
_NAMED = 3
_DIGITS_MAX = 18


class JobService(JobServiceServicer):
    """Answers from the store, so that nothing is shown that a crash could take back."""

    def __init__(
        self, shell: Shell, store: Store, reads: Reads, earlier: Earlier, images: Images, logs: JobLogs
    ) -> None:
        self._shell = shell
        self._store = store
        self._reads = reads
        self._logs = logs
        self._creations = Creations(shell, earlier, images, self._job)
        self._explaining = asyncio.Lock()

    async def CreateJob(self, request: pb.CreateJobRequest, context: Any) -> job_pb2.Job:  # noqa: ARG002, N802, D102
        [job] = await self._cautioned((await self._creations.one(_wanted(request)),))
        return _dump(job)

    async def BatchCreateJobs(  # noqa: N802, D102
        self,
        request: pb.BatchCreateJobsRequest,
        context: Any,  # noqa: ARG002
    ) -> pb.BatchCreateJobsResponse:
        if not 0 < len(request.requests) <= BATCH_MAX:
            message = f"requests: {len(request.requests)} of them; send 1 to {BATCH_MAX} at a time"
            raise Refusal(Code.INVALID_ARGUMENT, "BATCH_SIZE_INVALID", message)
        wanted = []
        for number, one in enumerate(request.requests):
            if one.validate_only != request.requests[0].validate_only:
                message = f"requests[{number}]: validate_only: say it of all of them, or of none"
                raise Refusal(Code.INVALID_ARGUMENT, "BATCH_MIXED", message)
            try:
                wanted.append(_wanted(one))
            except Refusal as refusal:
                raise refusal.within(f"requests[{number}]") from refusal
        made = await self._cautioned(await self._creations.all(wanted))
        return pb.BatchCreateJobsResponse(jobs=[_dump(job) for job in made])

    async def _cautioned(self, made: tuple[Job, ...]) -> tuple[Job, ...]:
        """Those that a dry run would make, each with what it would wait for in vain; all others as they are."""
        if all(job.name for job in made):
            return made
        async with self._explaining:
            twin = stills.still(self._shell.cluster.book)
            told = await asyncio.to_thread(cautions.cautions, twin, made)
        both = zip(made, told, strict=True)
        return tuple(replace(job, reason=why) if why and not job.name else job for job, why in both)

    async def GetJob(self, request: pb.GetJobRequest, context: Any) -> job_pb2.Job:  # noqa: ARG002, N802, D102
        return self._shown(await self._job(request.name))

    async def ListJobs(self, request: pb.ListJobsRequest, context: Any) -> pb.ListJobsResponse:  # noqa: ARG002, N802, D102
        matches = query.parse_new(request.filter, query.JOB_FIELDS) if request.filter else None
        wanted = page_size(request.page_size, PAGE_SIZE, PAGE_SIZE_MAX)
        before = JobCursor.from_token(request.page_token) if request.page_token else None
        gang = request.gang.removeprefix("jobs/")
        found: list[Job] = []
        # A filter may find few in many: small pages are read by larger ones.
        limit = wanted if matches is None else max(wanted, PAGE_SIZE)
        while len(found) < wanted:
            page = await self._reads.of(self._store.jobs, limit=limit, before=before, gang=gang)
            for job in page:
                before = JobCursor.of(job)
                if matches is None or matches.holds(query.job_row(job, now_ms=self._shell.cluster.book.wall_ms)):
                    found.append(job)
                if len(found) == wanted:
                    break
            if len(page) < limit:
                break
        token = before.token() if before is not None and len(found) == wanted else ""
        return pb.ListJobsResponse(jobs=[self._shown(job) for job in found], next_page_token=token)

    async def WatchJob(self, request: pb.WatchJobRequest, context: Any) -> AsyncIterator[job_pb2.Job]:  # noqa: ARG002, N802, D102
        name = (await self._job(request.name)).name
        with self._shell.jobs.subscribed(name.removeprefix("jobs/")) as changes:
            job = await self._job(name)
            yield self._shown(job)
            if job.array and not job.ended and await self._known(job.id) is None:
                job = await self._had_its_turn(job)
                yield self._shown(job)
            while not job.ended:
                job = await changes.next()
                yield self._shown(job)

    def _shown(self, job: Job) -> job_pb2.Job:
        return _dump(silence.told(self._shell.cluster.book, job))

    async def _had_its_turn(self, job: Job) -> Job:
        """The element once it has a record, or has ended without one: its array tells of either."""
        with self._shell.jobs.subscribed(job.array) as changes:
            while True:
                job = await self._job(job.name)
                if job.ended or await self._known(job.id) is not None:
                    return job
                await changes.next()

    async def CancelJob(self, request: pb.CancelJobRequest, context: Any) -> job_pb2.Job:  # noqa: ARG002, N802, D102
        job = await self._job(request.name)
        if job.ended:
            return _dump(job)
        try:
            return _dump(await self._shell.ask(lambda token: CancelAsked(token, job.id)))
        except Refusal as refusal:
            # It may have ended a moment ago, of which the core knows no more.
            saved = await self._known(job.id)
            if refusal.reason != "JOB_NOT_FOUND" or saved is None or not saved.ended:
                raise
            return _dump(saved)

    async def ExplainJob(self, request: pb.ExplainJobRequest, context: Any) -> pb.ExplainJobResponse:  # noqa: ARG002, N802, D102
        if request.name:
            job = await self._job(request.name)
        else:
            spec = _load(JobSpec, request.spec)
            jobfile.check(spec)
            # What would not be taken on is refused here, too.
            job = await self._creations.one(Wanted(spec, str(uuid.uuid4()), dry_run=True))
        # Records never change: what is copied here is one moment, and is looked at beside the core. One at a time: they
        # would take processor time from it.
        async with self._explaining:
            twin = stills.still(self._shell.cluster.book)
            found = await asyncio.to_thread(explanations.explained, twin, job)
        message: pb.ExplainJobResponse = wire.dump(found)
        return message

    async def MigrateJob(self, request: pb.MigrateJobRequest, context: Any) -> pb.MigrateJobResponse:  # noqa: ARG002, N802, D102
        if request.where:
            query.parse_new(request.where, query.NODE_FIELDS)
        job = await self._job(request.name)
        if job.ended or (job.array and await self._known(job.id) is None):
            what = "has ended and" if job.ended else "waits for its turn and"
            message = f"{job.name} {what} is {job.state.name}; only a job that is RUNNING can move"
            raise Refusal(Code.FAILED_PRECONDITION, "JOB_NOT_RUNNING", message)
        answer = await self._shell.ask(
            lambda token: MoveAsked(token, job.id, request.target, request.where, dry_run=request.validate_only)
        )
        if not isinstance(answer, MoveAnswer):
            raise TypeError(f"a move was answered with {type(answer).__name__}")
        return pb.MigrateJobResponse(plan=wire.dump(answer.plan), job=_dump(answer.job))

    async def ReadLog(self, request: pb.ReadLogRequest, context: Any) -> AsyncIterator[pb.ReadLogResponse]:  # noqa: ARG002, N802, D102
        job = await self._job(request.name)
        if job.is_gang or job.is_array:
            # Neither writes anything itself. The first task is the one that mostly speaks for all.
            job = await self._job(task_id(job.id, 0))
        if request.follow:
            live = self._shell.cluster.book.jobs

            def ended() -> bool:
                array = live.get(job.array)
                waits = array is not None and arrays.folded(array, job.array_index)
                return job.id not in live and not (waits and not waits.ended)

            async for first, data in self._logs.follow(job.id, request.offset, ended=ended):
                yield pb.ReadLogResponse(offset=first, data=data)
            return
        offset = request.offset
        while True:
            first, data = await asyncio.to_thread(self._logs.read, job.id, offset)
            if not data:
                return
            yield pb.ReadLogResponse(offset=first, data=data)
            offset = first + len(data)

    async def ListEvents(self, request: pb.ListEventsRequest, context: Any) -> pb.ListEventsResponse:  # noqa: ARG002, N802, D102
        limit = page_size(request.page_size, PAGE_SIZE, PAGE_SIZE_MAX)
        subject = await self._subject(request.subject)
        after = _event_token(request.page_token) or await self._events_begin(request, subject)
        found = await self._reads.of(self._store.events, after=after, limit=limit, subject=subject)
        token = str(found[-1].sequence) if len(found) == limit else ""
        return pb.ListEventsResponse(events=[wire.dump(one) for one in found], next_page_token=token)

    async def WatchEvents(self, request: pb.WatchEventsRequest, context: Any) -> AsyncIterator[event_pb2.Event]:  # noqa: ARG002, N802, D102
        subject = await self._subject(request.subject)
        with self._shell.events.subscribed(subject) as changes:
            after = max(request.after_sequence, await self._events_begin(request, subject))
            while page := await self._reads.of(self._store.events, after=after, limit=PAGE_SIZE, subject=subject):
                for one in page:
                    yield wire.dump(one)
                after = page[-1].sequence
            while True:
                one = await changes.next()
                if one.sequence > after:
                    yield wire.dump(one)

    async def _events_begin(self, request: pb.ListEventsRequest | pb.WatchEventsRequest, subject: str) -> int:
        if request.newest_count < 0:
            message = f"newest_count: {request.newest_count} is negative; leave it out for all"
            raise Refusal(Code.INVALID_ARGUMENT, "NEWEST_COUNT_INVALID", message)
        since_ms = request.since.seconds * 1000 + request.since.nanos // 1_000_000
        begin = self._store.events_begin
        return await self._reads.of(begin, since_ms=since_ms, newest=request.newest_count, subject=subject)

    async def _subject(self, written: str) -> str:
        if written.startswith("jobs/"):
            return (await self._job(written)).name
        # Of a node that was forgotten there is what happened while it was known.
        known = self._shell.cluster.book.nodes
        if not written or written.removeprefix("nodes/") in known or await self._happened(written):
            return written
        return moves.find_node(self._shell.cluster.book, written).name

    async def _happened(self, subject: str) -> bool:
        return bool(await self._reads.of(self._store.events, after=0, limit=1, subject=subject))

    async def _job(self, name: str) -> Job:
        written = name.removeprefix("jobs/")
        job = await self._known(written) or await self._folded(written)
        if job is not None:
            return job
        matching = await self._reads.of(self._meant, written) if written else ()
        if len(matching) > 1:
            others = " and others" if len(matching) > _NAMED else ""
            message = f"{written!r} may be {', '.join(matching[:_NAMED])}{others}; write more of it"
            raise Refusal(Code.INVALID_ARGUMENT, "NAME_AMBIGUOUS", message)
        job = await self._known(matching[0]) if matching else None
        if job is None:
            raise Refusal(Code.NOT_FOUND, "JOB_NOT_FOUND", f"there is no job {written!r}; `headrace jobs` lists them")
        return job

    def _meant(self, written: str) -> Sequence[str]:
        """The ids that a name may mean: of jobs called so, live ones where there are any; else of what begins so."""
        live = [one for one in list(self._shell.live) if is_called(one, written)]
        return (
            live
            or self._store.find_jobs(written, _NAMED + 1, called=True)
            or self._store.find_jobs(written, _NAMED + 1)
        )

    async def _known(self, job_id: str) -> Job | None:
        return self._shell.live.get(job_id) or await self._reads.of(self._store.job, job_id)

    async def _folded(self, written: str) -> Job | None:
        """An element that has no record, since its turn is still to come, or it ended before."""
        named = element_of(written)
        if named is None:
            return None
        array = await self._known(named[0])
        return arrays.folded(array, named[1]) if array is not None and array.is_array else None


def page_size(asked: int, default: int, most: int) -> int:
    """How many to answer with. Raises a Refusal for a negative number."""
    if asked < 0:
        message = f"page_size: {asked} is negative; leave it out or ask for 1 to {most}"
        raise Refusal(Code.INVALID_ARGUMENT, "PAGE_SIZE_INVALID", message)
    return min(asked or default, most)


def _event_token(token: str) -> int:
    # SQLite takes no number of more than 63 bits.
    if token and not (token.isdecimal() and len(token) <= _DIGITS_MAX):
        raise Refusal(Code.INVALID_ARGUMENT, "PAGE_TOKEN_INVALID", "page_token: not one of ours; begin without one")
    return int(token or 0)


def _wanted(request: pb.CreateJobRequest) -> Wanted:
    spec = _load(JobSpec, request.spec)
    jobfile.check(spec)
    if len(request.request_id) > REQUEST_ID_MAX or "\0" in request.request_id:
        # An index of the store holds it: a database that cannot would keep everything else from being saved as well.
        message = f"request_id: has a zero byte, or more than {REQUEST_ID_MAX} characters; send a UUID, or leave it out"
        raise Refusal(Code.INVALID_ARGUMENT, "REQUEST_ID_INVALID", message, field="request_id")
    return Wanted(spec, request.request_id or str(uuid.uuid4()), request.validate_only)


def _load(kind: type[JobSpec], message: Message) -> JobSpec:
    try:
        return wire.load(kind, message)
    except ValueError as error:
        raise Refusal(Code.INVALID_ARGUMENT, "FIELD_INVALID", str(error)) from error


def _dump(record: object) -> job_pb2.Job:
    message: job_pb2.Job = stored.message(record)
    return message
