"""Where a job would begin at this moment, if it were as it is asked: what places jobs is asked, in a still of the book.

Nothing is placed. That a still is asked is what allows it: turns and tables are left as the question needs them.
"""

from collections.abc import Sequence

from controller.core import patience, precedence
from controller.core.book import Book
from controller.core.keeping import one_of
from controller.core.placement.costs import MANY_HOSTS
from controller.core.placement.demand import demand_of
from controller.core.placement.fit import Place
from controller.core.placement.tables import Tables
from controller.core.placing import taken
from controller.core.turns import Patience
from headrace.jobs import Job


def withdrawn(book: Book, job: Job) -> None:
    """From now on the job is in nobody's way, nor is anything kept for it: it is as one that has just come."""
    # Where room was looked for in vain others leave it none: that is so still.
    vain = None if job.id in book.turns.kept else book.turns.sought.get(job.id)
    # And that it waited for what is better, or does so no more.
    waited = book.turns.patience.get(job.id)
    tasks = book.tasks(job) if job.is_gang else []
    touched = [*book.turns.forget(job.id), *(one.node for one in (job, *tasks) if one.node)]
    touched += [job.migration.target] if job.migration is not None else []
    if vain is not None:
        book.turns.sought[job.id] = vain
    if waited is not None:
        book.turns.patience[job.id] = waited
    for node in touched:
        slot = book.snapshot.slots.get(node)
        if slot is not None:
            book.snapshot.hold(slot, book.usage(node, without=job.id))


def places(book: Book, job: Job) -> tuple[Place, ...] | str:
    """Where it would begin, a place for each of its tasks; else why it would wait, as it would say."""
    return places_by(book, once_asked(book, job), job)


def once_asked(book: Book, job: Job) -> Tables:
    """The tables as they are when it has come: what it asks for counts among what is usual."""
    tables = book.tables
    if book.snapshot.devices and tables.costs is not None:
        # Of places that are as good it takes the one that costs least: by what is usual once it has asked, too.
        if len(book.nodes) > MANY_HOSTS:
            # To begin anew each time would take long. As closely as it will when it has come.
            tables.costs.refresh(job.spec.resources)
        tables = Tables(book.snapshot, tables.costs.copy(book.snapshot), tables.lengths)
        tables.asked(demand_of(job), [job])
    return tables


def places_by(book: Book, tables: Tables, job: Job, heads: Sequence[str] | None = None) -> tuple[Place, ...] | str:
    """The same, by these tables; where it is not looked at alone, with those before it that room is kept for."""
    found = _taken(book, tables, job, heads)
    waits_for = None if isinstance(found, str) else _patience(book, tables, job, found)
    return waits_for.reason if waits_for is not None else found


def patience_of(book: Book, job: Job) -> Patience | None:
    """For what a job would wait that could begin; None where it would not, or could not."""
    if not patience.may_wait(book, job):
        return None
    tables = once_asked(book, job)
    found = _taken(book, tables, job)
    return None if isinstance(found, str) else _patience(book, tables, job, found)


def _taken(book: Book, tables: Tables, job: Job, heads: Sequence[str] | None = None) -> tuple[Place, ...] | str:
    if heads is None:
        precedence.begin_with(book, job)
    else:
        book.turns.before = [*heads]
    tasks = [one_of(book, job)] * (job.spec.task_count if job.is_gang else 1)
    return taken(book, tables, demand_of(job), job, tasks)


def _patience(book: Book, tables: Tables, job: Job, found: Sequence[Place]) -> Patience | None:
    if not patience.may_wait(book, job):
        return None
    noted = book.turns.patience
    book.turns.patience = {**noted}
    try:
        table = tables.table(demand_of(job), one_of(book, job))
        return book.turns.patient(job.id, book.wall_ms) if patience.pause(book, job, table, found) else None
    finally:
        book.turns.patience = noted
