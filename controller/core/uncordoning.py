"""What would be of a job that waits if one node took jobs again that an operator had closed. A still is asked."""

from collections.abc import Iterator

from controller.core.asking import places
from controller.core.book import Book
from controller.core.placement.fit import Place, fit
from controller.core.turn_changes import change
from headrace.changes import replace
from headrace.explanations import Change
from headrace.jobs import Job
from headrace.nodes import Drain

# Of those where one of its tasks would fit so many are tried.
MOST_TRIED = 3


def changes(book: Book, job: Job) -> Iterator[Change]:
    """Which one cordoned, or drained, node would have it start if it took jobs again."""
    tried = 0
    for slot, node in enumerate(book.snapshot.nodes):
        if node.drain is Drain.NONE:
            continue
        again = replace(node, drain=Drain.NONE)
        usage = book.snapshot.usages[slot]
        if not isinstance(fit(job, again, usage, now_wall_ms=book.wall_ms), Place):
            continue
        book.snapshot.put(again, usage)
        where = places(book, job)
        book.snapshot.put(node, usage)
        if not isinstance(where, str):
            yield change(book, f"{node.name} drain", (node.drain.name.lower(), "none"), where)
        tried += 1
        if tried == MOST_TRIED:
            return
