"""headrace projects, usage."""

from argparse import Namespace

from headrace.cli import render, words
from headrace.connection import Connection
from headrace.v1.project_pb2 import Amount, Project, Quota
from headrace.v1.project_service_pb2 import ListProjectsRequest, ListProjectsResponse

_HOUR_SECONDS = 3600


async def projects(connection: Connection, arguments: Namespace) -> int:
    """List projects: what is their own, and what they hold."""
    render.show(await _listed(connection), arguments.output, _holdings)
    return 0


async def usage(connection: Connection, arguments: Namespace) -> int:
    """List what projects have used, and what they were due."""
    render.show(await _listed(connection), arguments.output, _uses)
    return 0


async def _listed(connection: Connection) -> ListProjectsResponse:
    return await connection.call(connection.projects.ListProjects, ListProjectsRequest())


def _holdings(found: ListProjectsResponse, wide: bool) -> list[str]:  # noqa: FBT001 - as render.show asks.
    more = ("DEVICES", "CORES", "BORROWS") if wide else ()
    headings = ("PROJECT", "WEIGHT", "QUOTA", "UNITS", "RUNNING", "WAITING", *more)
    return words.columns(headings, [_holding(one, wide=wide) for one in found.projects])


def _holding(project: Project, *, wide: bool) -> tuple[str, ...]:
    held: Amount = project.held
    row = (
        words.id_of(project.name),
        f"{project.weight:g}",
        _quota(project.quota),
        _thousandths(held.unit_millis) + (" (borrows)" if project.borrowing else ""),
        str(project.running_job_count),
        str(project.waiting_job_count),
    )
    if not wide:
        return row
    borrows = "yes" if project.borrows else "no"
    return (*row, _thousandths(held.device_millis), _thousandths(held.cpu_millis), borrows)


def _quota(quota: Quota) -> str:
    parts = []
    for field, name in (("unit_millis", "units"), ("device_millis", "devices"), ("cpu_millis", "cores")):
        if quota.HasField(field):
            parts.append(f"{_thousandths(getattr(quota, field))} {name}")
    return ", ".join(parts)


def _thousandths(millis: int) -> str:
    return f"{millis / 1000:g}" if millis < 100_000 else f"{millis / 1000:.0f}"


def _uses(found: ListProjectsResponse, wide: bool) -> list[str]:  # noqa: FBT001 - as _holdings.
    more = ("RECENT UNIT-H", "AS OF") if wide else ()
    headings = ("PROJECT", "DUE", "USED", "UNIT-H", "DEVICE-H", "CORE-H", *more)
    return words.columns(headings, [_use(one, wide=wide) for one in found.projects])


def _use(project: Project, *, wide: bool) -> tuple[str, ...]:
    use = project.use
    row = (
        words.id_of(project.name),
        f"{project.due_percent:.1f} %",
        f"{project.used_percent:.1f} %",
        _hours(use.unit_seconds),
        _hours(use.device_seconds),
        _hours(use.cpu_seconds),
    )
    return (*row, _hours(use.recent_unit_seconds), words.moment(use, "use_time")) if wide else row


def _hours(seconds: float) -> str:
    return f"{seconds / _HOUR_SECONDS:.2f}"
