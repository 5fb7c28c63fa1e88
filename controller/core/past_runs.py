"""How long jobs took, from their start to their end, that succeeded on one node; made anew from their records."""

from dataclasses import dataclass

from headrace.attempts import Platform
from headrace.jobs import Job, JobSpec, JobState

# The newest of each kind, and so many kinds.
_KEPT = 20
_KINDS = 1_000

_Kind = tuple[str, str, tuple[str, ...]]


@dataclass(frozen=True, slots=True)
class PastRun:
    """One job: where it ran, with which devices, for how long."""

    node: str
    platform: Platform
    devices: tuple[str, ...]
    millis: int


class PastRuns:
    """Runs of jobs that were like each other: of one name, image and command."""

    def __init__(self) -> None:
        self._runs: dict[_Kind, tuple[PastRun, ...]] = {}

    def ended(self, job: Job) -> None:
        """A job has ended. One that failed, moved or began anew does not tell how long it takes anywhere."""
        ran = [attempt for attempt in job.attempts if attempt.start_time_ms is not None]
        if job.state is not JobState.SUCCEEDED or len(ran) != 1 or job.end_time_ms is None:
            return
        (attempt,) = ran
        if attempt.start_time_ms is None or attempt.platform is None:
            return
        end_ms = attempt.end_time_ms or job.end_time_ms
        run = PastRun(attempt.node, attempt.platform, attempt.devices, max(0, end_ms - attempt.start_time_ms))
        # Kinds of which none has ended for the longest time go first.
        before = self._runs.pop(_kind(job.spec), ())
        self._runs[_kind(job.spec)] = (*before, run)[-_KEPT:]
        if len(self._runs) > _KINDS:
            del self._runs[next(iter(self._runs))]

    def like(self, spec: JobSpec) -> tuple[PastRun, ...]:
        """Those of jobs like this one, the newest last."""
        return self._runs.get(_kind(spec), ())


def _kind(spec: JobSpec) -> _Kind:
    return spec.display_name, spec.image, spec.command
