"""Whose turn it is: the order in which jobs that wait are given places."""

from collections.abc import Iterable

from controller.core.book import Book
from headrace.jobs import Job


def in_order(_book: Book, waiting: Iterable[Job]) -> list[Job]:
    """The jobs that wait, whose turn it is first: by priority, then by how long they have waited."""
    return sorted(waiting, key=lambda one: (-one.spec.priority, one.queue_time_ms or 0, one.id))
