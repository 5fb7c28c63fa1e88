"""What a dry run says beside that a job would be accepted: why, as nodes and quotas are, it would never start."""

from collections.abc import Sequence

from controller.core.book import Book
from controller.core.placement.demand import demand_of
from controller.core.placement.tables import Tables
from controller.core.seen import see_nodes
from headrace.jobs import Job


def cautions(book: Book, jobs: Sequence[Job]) -> list[str]:
    """Of each a sentence, or two with a ";" between; empty where it may well start. `book` is a still, for this."""
    see_nodes(book)
    tables = Tables(book.snapshot.when_empty())
    return ["; ".join(filter(None, (_of_nodes(book, tables, job), _of_its_quota(book, job)))) for job in jobs]


def _of_nodes(book: Book, tables: Tables, job: Job) -> str:
    if not tables.snapshot.nodes:
        return "no node has reported yet"
    table = tables.table(demand_of(job), job)
    if table.obstacles(job, now_wall_ms=book.wall_ms)[""] > 0:
        return ""
    why = table.reason(job, now_wall_ms=book.wall_ms).removeprefix("waits: ")
    return f"no node could run it now, though it were empty ({why})"


def _of_its_quota(book: Book, job: Job) -> str:
    project = job.spec.project
    declared, amount = book.projects.of(project), book.projects.expected(job)
    limit = "" if declared.borrows else declared.quota.exceeded(amount)
    return f"its project {project} does not borrow, and its quota of {limit} is less than it asks for" if limit else ""
