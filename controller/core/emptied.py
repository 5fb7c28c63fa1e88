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
from headrace.ids import and_others
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
    able = np.flatnonzero(_table(book.snapshot.when_empty(), job).code == 0)
    awake = np.flatnonzero(_table(_awake(book), job).code == 0)
    return Emptied(able, np.setdiff1d(awake, able))


def most_tasks(book: Book, job: Job, *, with_those_away: bool = False) -> int:
    """For how many tasks of a gang there would be places beside each other, up to all."""
    snapshot = _awake(book) if with_those_away else book.snapshot.when_empty()
    return places_for(Tables(snapshot), demand_of(job), replace(one_of(book, job), exclusions=()), job.spec.task_count)


def once_back(book: Book, away: Integers) -> str:
    """Which nodes would have to be back, and how: a part of a sentence, "na, once it reports again"."""
    how: dict[tuple[str, str], list[str]] = {}
    for slot in away.tolist():
        node = book.snapshot.nodes[slot]
        how.setdefault(_back(node), []).append(node.id)
    return "; or ".join(
        f"{and_others(sorted(names), named=_NAMED)}, once {once[len(names) > 1]}" for once, names in sorted(how.items())
    )


def _back(node: Node) -> tuple[str, str]:
    """What has it back, said of one node and of several."""
    if node.state is not NodeState.READY:
        return "it reports again", "they report again"
    if node.drain is not Drain.NONE:
        # Both words are commands, too.
        again = "uncordoned" if node.drain is Drain.CORDONED else "undrained"
        closed = f"{again} ({node.drain.name.lower()} now)"
        return f"it is {closed}", f"they are {closed}"
    return "its engine answers", "their engines answer"


def _awake(book: Book) -> Snapshot:
    """As if all nodes that are known took jobs."""
    snapshot = book.snapshot.when_empty()
    for slot, node in enumerate(snapshot.nodes):
        if reasons.standing(node):
            engine = replace(node.engine, reachable=True)
            snapshot.nodes[slot] = replace(node, state=NodeState.READY, drain=Drain.NONE, engine=engine)
            snapshot.standing[slot] = _TAKES_JOBS
    return snapshot


def _table(snapshot: Snapshot, job: Job) -> Table:
    return Tables(snapshot).table(demand_of(job), job)
