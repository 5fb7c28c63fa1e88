"""What moves nobody asked for, and those let ahead of others, need: more rules, each with the way to do without it."""

from unittest.mock import patch

from controller.core import lent, prospects
from controller.core.improving import Improvements
from headrace.jobs import Job
from tests.simulation.emphasis import BACKLOG, PACING
from tests.simulation.rules_off import RULES, Rule

_recall = Improvements.recall


def _of_live_moves_alone(improvements: Improvements, job: Job) -> None:
    if job.migration is not None:
        _recall(improvements, job)


RULES += [
    Rule(
        "left alone",
        "A job that was moved is left alone for a while",
        lambda: patch.object(prospects, "was_moved_lately", lambda *_: False),
        PACING,
    ),
    Rule(
        "so many an hour",
        "So many are moved unasked in an hour, restarts or not",
        lambda: patch.object(Improvements, "recall", _of_live_moves_alone),
        PACING,
    ),
    Rule(
        "gone in time",
        "Who was let ahead gives back its room when others need it",
        lambda: patch.object(lent, "ticked", lambda *_: None),
        BACKLOG,
    ),
]
