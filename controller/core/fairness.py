"""Weighted fair shares: what projects have used, fading with time, and whose turn it is by that. Pure."""

import math
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import NamedTuple

from headrace.changes import replace
from headrace.jobs import Job
from headrace.projects import Amount, Use

# What a point of priority is worth, in waiting.
POINT_MS = 600_000

_SECOND_MS = 1000

Rank = tuple[int, int, int, str]


@dataclass(frozen=True, slots=True)
class Fading:
    """How use fades: by half in `half_life_ms`; and so far ahead is looked when turns are given."""

    half_life_ms: int
    ahead_ms: int

    def later(self, use: Use, held: Amount, wall_ms: int) -> Use:
        """The use at that time, with so much held since it was told. A clock that was put back counts anew."""
        passed_ms = wall_ms - use.use_time_ms
        if passed_ms <= 0:
            return use if passed_ms == 0 else replace(use, use_time_ms=wall_ms)
        seconds = passed_ms / _SECOND_MS
        left = math.exp2(-passed_ms / self.half_life_ms)
        return replace(
            use,
            use_time_ms=wall_ms,
            recent_unit_seconds=use.recent_unit_seconds * left + held.unit_millis / 1000 * self._lasting_s * (1 - left),
            unit_seconds=use.unit_seconds + held.unit_millis / 1000 * seconds,
            device_seconds=use.device_seconds + held.device_millis / 1000 * seconds,
            cpu_seconds=use.cpu_seconds + held.cpu_millis / 1000 * seconds,
        )

    @property
    def _lasting_s(self) -> float:
        """How many seconds' worth is left of what is held for ever."""
        return self.half_life_ms / _SECOND_MS / math.log(2)

    def mean_units(self, use: Use) -> float:
        """How many units were held of late, in the mean in which what is older counts for less."""
        return use.recent_unit_seconds / self._lasting_s

    def mean_ahead(self, use: Use, unit_millis: int) -> float:
        """The same, as it would be a little later if so much were held: so what was just given counts at once."""
        left = math.exp2(-self.ahead_ms / self.half_life_ms)
        return self.mean_units(use) * left + unit_millis / 1000 * (1 - left)


class Account(NamedTuple):
    """What turns are given by: a project's weight, its use, and what it holds."""

    weight: float
    use: Use
    held: Amount


def rank(job: Job) -> Rank:
    """Of one project's jobs the lowest goes first: by priority, a point of which is worth some waiting.

    So no job is passed for ever: those that come long after it are behind it, whatever their priority.
    """
    queued_ms = job.queue_time_ms or 0
    return queued_ms - job.spec.priority * POINT_MS, queued_ms, job.array_index, job.id


def behind(job: Job, other: Job) -> Job:
    """The job of the same project with its turn after the other's, and no later than that if it was before it."""
    after_ms = rank(other)[0] + job.spec.priority * POINT_MS + 1
    return replace(job, queue_time_ms=max(job.queue_time_ms or 0, after_ms))


def in_turn(
    waiting: Iterable[Job],
    *,
    account: Callable[[str], Account],
    expected: Callable[[Job], Amount],
    own: Callable[[str, Amount, Amount], bool],
    fading: Fading,
) -> list[Job]:
    """The jobs that wait, whose turn it is first.

    Those that their project's quota has room for (`own`: it would keep to its quota with so much, the job's part of
    which is the last) go before those that would borrow. Of either, the next is always of the project that has had
    least for its weight, counting what was given before in this very order.
    """
    by_project: dict[str, list[Job]] = {}
    for job in waiting:
        by_project.setdefault(job.spec.project, []).append(job)
    for jobs in by_project.values():
        jobs.sort(key=rank)
    if len(by_project) == 1:
        return next(iter(by_project.values()))
    turns: list[tuple[bool, float, Rank, Job]] = []
    for project, jobs in by_project.items():
        known = account(project)
        held, borrows = known.held, False
        for job in jobs:
            had = fading.mean_ahead(known.use, held.unit_millis) / known.weight
            more = expected(job)
            held = held.plus(more)
            # What comes after one that borrows borrows too: within a project the order is its own.
            borrows = borrows or not own(project, held, more)
            turns.append((borrows, had, rank(job), job))
    turns.sort(key=lambda turn: turn[:3])
    return [turn[3] for turn in turns]


def due(weights: Mapping[str, float]) -> dict[str, float]:
    """Which part of all each is due, in percent."""
    total = sum(weights.values())
    return {name: 100 * weight / total for name, weight in weights.items()}
