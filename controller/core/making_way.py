"""What `explain` tells of others that would leave for a job: what has jobs leave is asked, in a still of the book."""

from bisect import bisect_left
from collections.abc import Iterator, Sequence
from functools import cache
from typing import NamedTuple

from controller.core import backoff, preempting
from controller.core.asking import patience_of, places
from controller.core.book import Book
from controller.core.turn_changes import HIGHEST_PRIORITY
from headrace.changes import replace
from headrace.explanations import Change, Outlook
from headrace.ids import listed
from headrace.jobs import Job


class Leaving(NamedTuple):
    """Who would be asked to save and leave for a job, where that has its places then, and by when it would start.

    Those of `lower` have a lower priority, those of `borrowers` what is its project's own. Milliseconds since 1970.
    """

    lower: tuple[str, ...]
    borrowers: tuple[str, ...]
    nodes: tuple[str, ...]
    start_ms: int

    @property
    def all(self) -> tuple[str, ...]:
        """The ids of all of them."""
        return (*self.lower, *self.borrowers)


def leaving(book: Book, job: Job) -> Leaving | None:
    """Of a job that waits; None where nobody would be asked, or those that leave would not be enough."""
    found = preempting.would_leave(book, job)
    if found is None:
        return None
    asked, there = found
    victims = [one for one in asked if not one.is_claim]
    grace_ms = preempting.grace_of(book, (book.jobs[one.id] for one in victims), there)
    return Leaving(
        tuple(one.id for one in victims if not one.borrower),
        tuple(one.id for one in victims if one.borrower),
        tuple(place.node for place in there),
        max(book.wall_ms, backoff.until_ms(job)) + grace_ms,
    )


def outlook(found: Leaving) -> Outlook:
    """When it starts by that."""
    whose = []
    if found.lower:
        whose.append(f"{_have_left(found.lower)} for it, as it is more urgent")
    if found.borrowers:
        whose.append(f"{_have_left(found.borrowers)}, to give back what is its project's own")
    if not whose:
        return Outlook(found.start_ms, found.nodes, "once those have left who do so for jobs that come after it")
    return Outlook(found.start_ms, found.nodes, f"once {'; and '.join(whose)}: that is asked of them if it waits")


def _have_left(ids: Sequence[str]) -> str:
    return f"{listed(ids)} {'have' if len(ids) > 1 else 'has'} left"


def changes(book: Book, job: Job) -> Iterator[Change]:
    """The least priority with which it would have others leave; none where it would have with its own, or need not."""
    own, first = job.spec.priority, book.policy.preempting_priority

    def tried(priority: int) -> Leaving | None:
        other = replace(job, spec=replace(job.spec, priority=priority))
        waits = isinstance(places(book, other), str) and patience_of(book, other) is None
        return leaving(book, other) if waits else None

    there, least = cache(tried), max(own + 1, first)
    if least > HIGHEST_PRIORITY or there(own) is not None or there(HIGHEST_PRIORITY) is None:
        return
    # For a higher priority more have to leave. Mostly the first will do.
    steps = range(least, least if there(least) is not None else HIGHEST_PRIORITY)
    priority = least + bisect_left(steps, True, key=lambda one: there(one) is not None)
    found = there(priority)
    own_array = job.id if job.is_array else job.array
    # What is left for others already would be its own: whom it has leave cannot be named then.
    if (
        found is not None
        and found.all
        and not any(own_array and book.jobs[one].array == own_array for one in found.all)
    ):
        # Elements are as urgent as each other, whatever their array says.
        yield Change("priority", str(own), str(priority), found.nodes, found.start_ms, found.all)
