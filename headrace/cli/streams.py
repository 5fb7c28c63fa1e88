"""headrace logs, events: what comes one after the other."""

from argparse import Namespace

from google.protobuf.timestamp_pb2 import Timestamp

from headrace import units
from headrace.cli import render, tasks, words
from headrace.connection import PAGE_SIZE, Connection
from headrace.v1.event_pb2 import Event
from headrace.v1.job_service_pb2 import ListEventsRequest, ListEventsResponse, ReadLogResponse, WatchEventsRequest

_HEADINGS = ("TIME", "SUBJECT", "REASON", "MESSAGE")
# What the wire carries.
_LIMIT_END = (1 << 31) - 1


async def logs(connection: Connection, arguments: Namespace) -> int:
    """A job's log, byte by byte as it was written; in JSON and YAML, where bytes are base64, part by part."""
    job = await tasks.meant(connection, arguments)
    if arguments.output in ("table", "wide"):
        await show_log(connection, job, follow=arguments.follow)
        return 0
    async for part in connection.read_log(job, follow=arguments.follow):
        render.show_next(ReadLogResponse(offset=part.offset, data=part.data), arguments.output, "")
    return 0


async def show_log(connection: Connection, job: str, *, follow: bool) -> None:
    """Write a job's log to standard output, and say on standard error where it has holes."""
    async for part in connection.read_log(job, follow=follow):
        if part.lost:
            render.note(f"{units.rounded_bytes(part.lost)} of the log before this are no longer kept")
        render.raw(part.data)


async def events(connection: Connection, arguments: Namespace) -> int:
    """What happened, oldest first."""
    limit = arguments.limit
    if not 0 <= limit < _LIMIT_END:
        arguments.usage_error("--limit: write a number of events, or 0 for all")
    since = Timestamp()
    since.FromMilliseconds(arguments.since_ms or 0)
    if arguments.follow:
        watched = WatchEventsRequest(subject=arguments.subject, since=since, newest_count=limit)
        async for event in connection.watch_events(watched):
            render.show_next(event, arguments.output, "  ".join(_row(event)))
        return 0
    # One more than is wanted tells whether there are more.
    request = ListEventsRequest(
        subject=arguments.subject, since=since, newest_count=limit and limit + 1, page_size=PAGE_SIZE
    )
    found = ListEventsResponse()
    async for page in connection.pages(connection.jobs.ListEvents, request):
        found.events.extend(page.events)
    # What came while the pages were read is beyond the limit as well.
    left_out = len(found.events) - limit if limit else 0
    if left_out > 0:
        del found.events[:left_out]
    render.show(found, arguments.output, _table)
    if left_out > 0:
        render.note(f"older events are left out; --limit 0 shows all, not only {limit}")
    return 0


def _table(response: ListEventsResponse, _wide: bool) -> list[str]:  # noqa: FBT001 - as render.show asks.
    return words.columns(_HEADINGS, [_row(event) for event in response.events])


def _row(event: Event) -> tuple[str, ...]:
    return words.moment(event, "create_time"), event.subject, event.reason, event.message
