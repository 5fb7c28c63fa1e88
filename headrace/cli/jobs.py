"""headrace jobs, job, cancel."""

import asyncio
from argparse import Namespace
from collections.abc import AsyncGenerator

from headrace.cli import job_table, render, tasks, words
from headrace.connection import PAGE_SIZE, Connection, job_name
from headrace.members import is_gang
from headrace.v1.job_pb2 import Job
from headrace.v1.job_service_pb2 import CancelJobRequest, GetJobRequest, ListJobsRequest, ListJobsResponse

_WATCH_SECONDS = 1.0

_ENDED = '"succeeded", "failed", "cancelled"'
# So many are cancelled side by side.
_AT_ONCE = 32


async def jobs(connection: Connection, arguments: Namespace) -> int:
    """List jobs, newest first."""
    if arguments.limit < 0:
        arguments.usage_error("--limit: write a number of jobs, or 0 for all")
    if arguments.of:
        whole = await connection.call(connection.jobs.GetJob, GetJobRequest(name=job_name(arguments.of)))
        arguments.of = whole.name
    if arguments.watch:
        await _watch(connection, arguments)
    response, more = await _list(connection, arguments)
    render.show(response, arguments.output, job_table.table)
    if more:
        render.note(f"older jobs are left out; --limit 0 shows all, not only {arguments.limit}")
    return 0


async def job(connection: Connection, arguments: Namespace) -> int:
    """Show a job, whole."""
    found = await connection.call(connection.jobs.GetJob, GetJobRequest(name=job_name(arguments.job)))
    members = await tasks.of(connection, found) if is_gang(found) else []
    _show(found, members, arguments.output)
    return 0


async def cancel(connection: Connection, arguments: Namespace) -> int:
    """End a job, or all those of a query that have not ended."""
    if bool(arguments.job) == bool(arguments.where):
        arguments.usage_error("name a JOB, or say with --where which are meant; not both")
    if arguments.where:
        return await _cancel_all(connection, arguments)
    cancelled = await connection.call(connection.jobs.CancelJob, CancelJobRequest(name=job_name(arguments.job)))
    render.show(cancelled, arguments.output, lambda job, _wide: [job_table.change(job)])
    return 0


async def _cancel_all(connection: Connection, arguments: Namespace) -> int:
    from headrace.query import JOB_FIELDS, parse  # noqa: PLC0415 - `headrace jobs` does without, and is to be quick.

    # By itself first: a mistake would be told of what nobody wrote, and `a) or (b` would be none.
    parse(arguments.where, JOB_FIELDS)
    live = f"({arguments.where}) and state not in ({_ENDED})"
    request = ListJobsRequest(filter=live, page_size=PAGE_SIZE)
    names = [one.name async for page in connection.pages(connection.jobs.ListJobs, request) for one in page.jobs]
    turn = asyncio.Semaphore(_AT_ONCE)

    async def cancelled(name: str) -> Job:
        async with turn:
            return await connection.call(connection.jobs.CancelJob, CancelJobRequest(name=name))

    # One that is refused is no reason to leave the others.
    answers = await asyncio.gather(*map(cancelled, names), return_exceptions=True)
    ended = ListJobsResponse(jobs=[one for one in answers if isinstance(one, Job)])
    render.show(ended, arguments.output, lambda ended, _wide: [job_table.change(job) for job in ended.jobs])
    render.note(f"{words.counted(len(ended.jobs), 'job')} cancelled" if names else "no job that has not ended is so")
    for one in answers:
        if isinstance(one, BaseException):
            raise one
    return 0


def _show(found: Job, members: list[Job], output: str) -> None:
    from headrace.cli import job_sheet  # noqa: PLC0415 - `headrace jobs` does without, and is to be quick.

    listed = ["", "Tasks", *words.indented(tasks.table(members))] if members else []
    render.show(found, output, lambda job, wide: job_sheet.sheet(job, wide) + listed)


async def _list(connection: Connection, arguments: Namespace) -> tuple[ListJobsResponse, bool]:
    """The newest jobs, and whether there are more of them than were asked for."""
    limit = arguments.limit
    # One more than is wanted: a token for a next page is given also where nothing may be on it.
    size = min(limit + 1, PAGE_SIZE) if limit else PAGE_SIZE
    request = ListJobsRequest(filter=arguments.where, page_size=size, gang=arguments.of or "")
    found, more = ListJobsResponse(), False
    async for page in connection.pages(connection.jobs.ListJobs, request):
        found.jobs.extend(page.jobs)
        if limit and len(found.jobs) > limit:
            more = True
            del found.jobs[limit:]
            break
        if limit:
            request.page_size = min(limit + 1 - len(found.jobs), PAGE_SIZE)
    return found, more


async def _watch(connection: Connection, arguments: Namespace) -> None:
    told: dict[str, str] = {}
    redraws = render.interactive() and arguments.output in ("table", "wide")
    async for response in connection.stream(lambda: _again_and_again(connection, arguments)):
        if redraws:
            render.screen(job_table.table(response, arguments.output == "wide"))
            continue
        for changed in job_table.changed(told, response.jobs):
            render.show_next(changed, arguments.output, told[changed.name])


async def _again_and_again(connection: Connection, arguments: Namespace) -> AsyncGenerator[ListJobsResponse]:
    # There is no watch over all jobs to ask for; a list a second costs the controller little.
    while True:
        response, _ = await _list(connection, arguments)
        yield response
        await asyncio.sleep(_WATCH_SECONDS)
