"""Where a job would begin at this moment, if it were as it is asked: what places jobs is asked, in a still of the book.

Nothing is placed. That a still is asked is what allows it: turns and tables are left as the question needs them.
"""

from collections.abc import Collection, Sequence
from dataclasses import replace

from controller.core import precedence
from controller.core.book import Book
from controller.core.placement.costs import MANY_HOSTS
from controller.core.placement.demand import demand_of
from controller.core.placement.fit import Place
from controller.core.placement.tables import Tables
from headrace.ids import task_id
from headrace.jobs import Exclusion, Job


def withdrawn(book: Book, job: Job) -> None:
    """From now on the job is in nobody's way, nor is anything kept for it: it is as one that has just come."""
    touched = [*book.turns.forget(job.id), *(one.node for one in (job, *_tasks_known(book, job)) if one.node)]
    touched += [job.migration.target] if job.migration is not None else []
    for node in touched:
        slot = book.snapshot.slots.get(node)
        if slot is not None:
            book.snapshot.hold(slot, book.usage(node, without=job.id))


def places(book: Book, job: Job) -> tuple[Place, ...] | str:
    """Where it would begin, a place for each of its tasks; else why it would wait, as it would say."""
    tables = book.tables
    if book.snapshot.devices and tables.costs is not None:
        # Of places that are as good it takes the one that costs least: by what is usual once it has asked, too.
        if len(book.nodes) > MANY_HOSTS:
            # To begin anew each time would take long.
            tables.costs.refresh()
        tables = Tables(book.snapshot, tables.costs.copy(book.snapshot), tables.lengths)
        tables.asked(demand_of(job), job)
    return _places(book, job, tables)


def _places(book: Book, job: Job, tables: Tables) -> tuple[Place, ...] | str:
    precedence.begin_with(book, job)
    tasks = tasks_of(book, job)

    def look(without: Collection[str]) -> tuple[Place, ...] | str:
        return _look(book, tables, tasks, without, is_gang=job.is_gang)

    return precedence.taken(book, job, tasks, look)


def tasks_of(book: Book, job: Job) -> list[Job]:
    """A gang's tasks as places are looked for, also where there are none yet; of another job, itself."""
    if not job.is_gang:
        return [job]
    away = sum((task.exclusions for task in _tasks_known(book, job)), job.exclusions)
    numbers = range(job.spec.task_count)
    return [
        replace(job, name=f"jobs/{task_id(job.id, number)}", gang=job.id, task=number, exclusions=away)
        for number in numbers
    ]


def _tasks_known(book: Book, job: Job) -> list[Job]:
    return book.tasks(job) if job.is_gang else []


def _look(
    book: Book, tables: Tables, tasks: Sequence[Job], without: Collection[str], *, is_gang: bool
) -> tuple[Place, ...] | str:
    if without:
        away = tuple(Exclusion(node, precedence.BEHIND, book.wall_ms + 1) for node in without)
        tasks = [replace(task, exclusions=(*task.exclusions, *away)) for task in tasks]
    demand = demand_of(tasks[0])
    if is_gang:
        return tables.choose_all(demand, tasks, now_wall_ms=book.wall_ms)
    found = tables.choose(demand, tasks[0], now_wall_ms=book.wall_ms)
    return (found,) if isinstance(found, Place) else found
