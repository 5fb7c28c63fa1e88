"""Where a job would fit if nothing else ran, and where else once nodes are back. A still of the book is asked."""

from typing import NamedTuple

import numpy as np

from controller.core.book import Book
from controller.core.keeping import one_of
from controller.core.placement import reasons
from controller.core.placement.demand import demand_of
from controller.core.placement.snapshot import Integers, Snapshot
from controller.core.placement.tables import Table, Tables
from controller.core.placement.tasks import places_for
from headrace.changes import replace
from headrace.jobs import Job
from headrace.nodes import Drain, Node, NodeState

# So many nodes that take no jobs are named.
_NAMED = 3
_TAKES_JOBS = 0


class Emptied(NamedTuple):
    """The slots of the nodes that a task of the job would fit on, and of those that it would but take no jobs now."""

    able: Integers
    away: Integers


def emptied(book: Book, job: Job) -> Emptied:
    """As if nothing ran anywhere."""
    able = np.flatnonzero(_table(_empty(book), job).code == 0)
    awake = np.flatnonzero(_table(_awake(book), job).code == 0)
    return Emptied(able, np.setdiff1d(awake, able))


def most_tasks(book: Book, job: Job, *, with_those_away: bool = False) -> int:
    """For how many tasks of a gang there would be places beside each other, up to all."""
    snapshot = _awake(book) if with_those_away else _empty(book)
    return places_for(Tables(snapshot), demand_of(job), replace(one_of(book, job), exclusions=()), job.spec.task_count)


def once_back(book: Book, away: Integers) -> str:
    """Which nodes would have to be back, and how: a part of a sentence, "na, once it reports again"."""
    how: dict[str, list[str]] = {}
    for slot in away.tolist():
        node = book.snapshot.nodes[slot]
        how.setdefault(_back(node), []).append(node.id)
    told = []
    for once, names in sorted(how.items()):
        more = f" and {len(names) - _NAMED} more" if len(names) > _NAMED else ""
        told.append(f"{', '.join(sorted(names)[:_NAMED])}{more}, once {'they' if len(names) > 1 else 'it'} {once}")
    return "; or ".join(told).replace("they is ", "they are ").replace("they reports", "they report")


def _back(node: Node) -> str:
    if node.state is not NodeState.READY:
        return "reports again"
    if node.drain is not Drain.NONE:
        return f"is uncordoned ({node.drain.name.lower()} now)"
    return "has an engine that answers"


def _empty(book: Book) -> Snapshot:
    snapshot = book.snapshot.copy()
    snapshot.emptied()
    return snapshot


def _awake(book: Book) -> Snapshot:
    """As if all nodes that are known took jobs."""
    snapshot = _empty(book)
    for slot, node in enumerate(snapshot.nodes):
        if reasons.standing(node):
            engine = replace(node.engine, reachable=True)
            snapshot.nodes[slot] = replace(node, state=NodeState.READY, drain=Drain.NONE, engine=engine)
            snapshot.standing[slot] = _TAKES_JOBS
    return snapshot


def _table(snapshot: Snapshot, job: Job) -> Table:
    return Tables(snapshot).table(demand_of(job), job)
