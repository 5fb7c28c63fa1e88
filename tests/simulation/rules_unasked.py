"""What moves that nobody asked for need, each with the way to do without it: rules beside those of `rules_off`."""

from unittest.mock import patch

from controller.core import prospects
from controller.core.improving import Improvements
from headrace.jobs import Job
from tests.simulation.emphasis import PACING
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
]
