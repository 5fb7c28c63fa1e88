"""Whose turn it is: the order in which jobs that wait are given places."""

from collections.abc import Iterable

from controller.core.book import Book
from controller.core.fairness import in_turn
from headrace.jobs import Job


def in_order(book: Book, waiting: Iterable[Job]) -> list[Job]:
    """The jobs that wait, whose turn it is first: those for which others have left; then by their projects' shares.

    Within a project, by priority and by how long they have waited.
    """
    ordered = in_turn(
        waiting,
        account=lambda project: book.projects.account(project, book.wall_ms),
        expected=book.projects.expected,
        own=book.projects.owns,
        fading=book.projects.fading,
        point_ms=book.policy.priority_point_ms,
    )
    claims = book.turns.claims
    return sorted(ordered, key=lambda job: job.id not in claims) if claims else ordered
