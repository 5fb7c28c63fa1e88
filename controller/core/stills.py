"""A still of a book: what is asked of it, or tried in it, changes nothing, and may take its time beside the core.

Records never change, so what is copied is what holds them: each has its `copy`. How long others wait for that is told
in docs/scale.md (row 20).
"""

from controller.core.book import Book
from controller.core.queue import Queue


def still(book: Book) -> Book:
    """The book as it is now."""
    twin = book.copy()
    # Who waits is found in the jobs. Lines are for a core that goes on.
    twin.queue = Queue(book.policy.preempting_priority)
    return twin
