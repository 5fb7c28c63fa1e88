"""Whose turn it is: the order in which jobs that wait are given places."""

from collections.abc import Iterable

from controller.core.book import Book
from controller.core.fairness import in_turn
from headrace.jobs import Job


def in_order(book: Book, waiting: Iterable[Job]) -> list[Job]:
    """The jobs that wait, whose turn it is first: by their projects' shares; of one project, by rank.

    They are not all that wait: of each line (see `controller.core.queue.Line`) those whose rank is first, as far as may
    be of use. So jobs of one line have to stay in the order of their ranks.
    """
    return in_turn(
        waiting,
        account=lambda project: book.projects.account(project, book.wall_ms),
        expected=book.projects.expected,
        own=lambda project, held, more: book.projects.owns(project, held, more=more),
        fading=book.projects.fading,
    )
