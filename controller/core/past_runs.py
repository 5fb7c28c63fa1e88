"""How long jobs took, from their start to their end, that succeeded on one node; made anew from their records."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Self

from controller.core.copies import with_its_own
from controller.core.placement.profiles import Profile, profile_of
from headrace.attempts import Attempt, Platform
from headrace.jobs import Job, JobSpec, JobState

# The newest of each kind, and so many kinds.
_KEPT = 20
_KINDS = 1_000


@dataclass(frozen=True, slots=True)
class PastRun:
    """One job: where it ran, with which devices, for how long; or would have, by the steps that it told of there."""

    node: str
    platform: Platform
    devices: tuple[str, ...]
    millis: int


class PastRuns:
    """Runs of jobs that were like each other: of one profile."""

    def __init__(self) -> None:
        self._runs: dict[Profile, tuple[PastRun, ...]] = {}

    def copy(self) -> Self:
        """The same as of now."""
        return with_its_own(self)

    def __bool__(self) -> bool:
        return bool(self._runs)

    def ended(self, job: Job) -> tuple[PastRun, ...]:
        """A job has ended: what it tells. If it failed, moved or began anew, that is only by its steps."""
        found = tuple(_runs_of(job))
        if not found:
            return ()
        profile = profile_of(job.spec)
        # Kinds of which none has ended for the longest time go first.
        self._runs[profile] = (*self._runs.pop(profile, ()), *found)[-_KEPT:]
        if len(self._runs) > _KINDS:
            del self._runs[next(iter(self._runs))]
        return found

    def like(self, spec: JobSpec) -> tuple[PastRun, ...]:
        """Those of jobs like this one, the newest last."""
        return self._runs.get(profile_of(spec), ())


def _runs_of(job: Job) -> Iterator[PastRun]:
    ran = [attempt for attempt in job.attempts if attempt.start_time_ms is not None]
    whole = job.state is JobState.SUCCEEDED and len(ran) == 1 and job.end_time_ms is not None
    for attempt in ran:
        millis = _millis(job, attempt) if whole else attempt.steps.whole_millis if attempt.steps is not None else None
        if millis is not None and attempt.platform is not None:
            yield PastRun(attempt.node, attempt.platform, attempt.devices, millis)


def _millis(job: Job, attempt: Attempt) -> int | None:
    end_ms = attempt.end_time_ms or job.end_time_ms
    if end_ms is None or attempt.start_time_ms is None:
        return None
    return max(0, end_ms - attempt.start_time_ms)
