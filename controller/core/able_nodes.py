"""On which nodes a task could be, were nothing else there: in columns."""

import numpy as np

from controller.core.book import Book
from controller.core.placement.demand import demand_of, least
from controller.core.placement.snapshot import Booleans, Integers
from controller.core.placement.tables import Tables
from headrace.jobs import Job

# Shapes of which it is known.
MOST_SHAPES = 16


def able(book: Book, one: Job) -> Integers:
    """The slots where a task could be, were nothing else there; more, where what a query asks hangs on what is free."""
    snapshot = book.snapshot
    found = _of_shape(book, one).copy()
    away = [item for item in one.exclusions if not item.device and book.wall_ms < item.expire_time_ms]
    found[[snapshot.slots[item.node] for item in away if item.node in snapshot.slots]] = False
    return np.flatnonzero(found)


def _of_shape(book: Book, one: Job) -> Booleans:
    snapshot, demand, known = book.snapshot, demand_of(one), book.turns.able
    seen, found = known.pop(demand, (-1, np.zeros(0, dtype=np.bool_)))
    if seen < snapshot.last_described:
        wants = least(one)
        found = (snapshot.standing == 0) & (snapshot.whole_cpu_millis >= wants.cpu_millis)
        found &= snapshot.whole_memory_bytes >= wants.memory_bytes
        if not demand.is_choosy:
            # Who keeps away from which nodes is no matter of the shape.
            found &= Tables(snapshot.when_empty()).table(demand, one).code == 0
    known[demand] = snapshot.last_described, found
    if len(known) > MOST_SHAPES:
        del known[next(iter(known))]
    return found
