"""What batches, quotas of devices and jobs that wait for a better node need: more rules, each with the way without."""

from typing import Any
from unittest.mock import patch

from controller.core import cluster, moves, patience, precedence
from controller.core.book import Book
from controller.core.model import SubmittedTogether
from controller.core.turns import Turns
from controller.core.units import Yardstick
from headrace.projects import Amount
from tests.simulation.emphasis import CROWD, PATIENCE, QUOTAS, RELATIONS
from tests.simulation.rules_off import RULES, Rule

_amount = Yardstick.amount


def _each_by_itself(book: Book, event: SubmittedTogether) -> None:
    for one in event.jobs:
        checked = cluster._checked(book, one, [other.id for other in event.jobs])
        book.answer(event.token, cluster._made(book, one, checked) if isinstance(checked, tuple) else checked)


def _of_what_is_seen(yardstick: Yardstick, requests: Any, devices: Any, *, unseen_count: int = 0) -> Amount:  # noqa: ARG001 - as it is called.
    return _amount(yardstick, requests, devices)


RULES += [
    Rule(
        "together",
        "Of jobs that were submitted together all are made, or none",
        lambda: patch.object(cluster, "_submitted_together", _each_by_itself),
        RELATIONS,
    ),
    Rule(
        "own quota, what it gets",
        "Who does not borrow keeps to its quota with whichever alternative it gets",
        lambda: patch.object(precedence, "over_quota", lambda *_: ""),
        CROWD,
    ),
    Rule(
        "own quota, moved",
        "A move gives a job no more than its project's quota has room for",
        lambda: patch.multiple(moves, affordable=lambda _, job: job, _within_quota=lambda _book, _job, found: found),
        QUOTAS,
    ),
    Rule(
        "own quota, unseen",
        "What a job has of devices counts, though its node tells nothing of them yet",
        lambda: patch.object(Yardstick, "amount", _of_what_is_seen),
        QUOTAS,
    ),
    Rule(
        "patience",
        "Who waits for a better node waits for no longer than it wins",
        lambda: patch.object(Turns, "patient", lambda turns, job, _: turns.patience.get(job)),
        PATIENCE,
    ),
    Rule(
        "patience, in time",
        "Nobody waits for a better node until it is over its time",
        lambda: patch.object(patience, "queue_over_ms", lambda *_: None),
        PATIENCE,
    ),
]
