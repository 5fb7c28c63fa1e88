"""What would be of a job that waits if one node took jobs again that an operator had closed. A still is asked."""

from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial

from controller.core.asking import places
from controller.core.book import Book
from controller.core.placement.demand import Demand, demand_of
from controller.core.placement.fit import Place, Usage, fit
from controller.core.those_before import in_any_order
from controller.core.turn_changes import change
from headrace.changes import replace
from headrace.explanations import Change
from headrace.jobs import Job
from headrace.nodes import Drain, Node

# Of those where one of its tasks would fit so many are tried.
MOST_TRIED = 3


def changes(book: Book, job: Job) -> Iterator[Change]:
    """Which one cordoned, or drained, node would have it start if it took jobs again: they come whose turn is first."""
    tried = 0
    for slot, node in enumerate(book.snapshot.nodes):
        if node.drain is Drain.NONE:
            continue
        again = replace(node, drain=Drain.NONE)
        usage = book.snapshot.usages[slot]
        if not isinstance(fit(job, again, usage, now_wall_ms=book.wall_ms), Place):
            continue
        with _open(book, again, usage):
            where: tuple[Place, ...] = ()
            if not isinstance(places(book, job), str):
                where = in_any_order(book, job, partial(_might_go, book, again, usage, {}))
        if where:
            yield change(book, f"{node.name} drain", (node.drain.name.lower(), "none"), where)
        tried += 1
        if tried == MOST_TRIED:
            return


@contextmanager
def _open(book: Book, again: Node, usage: Usage) -> Iterator[None]:
    """The node takes jobs again while it is entered."""
    closed = book.nodes[again.id]
    book.nodes[again.id] = again
    book.snapshot.put(again, usage)
    try:
        yield
    finally:
        book.nodes[again.id] = closed
        book.snapshot.put(closed, usage)


def _might_go(book: Book, node: Node, usage: Usage, known: dict[Demand, bool], job: Job) -> bool:
    """Whether one of its tasks fits there, as far as its shape tells; many are alike."""
    demand = demand_of(job)
    if demand not in known:
        known[demand] = isinstance(fit(job, node, usage, now_wall_ms=book.wall_ms), Place)
    return known[demand]
