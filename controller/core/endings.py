"""Which jobs are about to end, as far as their own limit, or jobs like them that have ended, tell."""

from controller.core import limits
from headrace.jobs import Job, JobState

# So many like it must have ended before anything is concluded from them.
_ENOUGH = 3
# Of so many kinds of jobs the last few lengths are known.
_KINDS = 1_000

_Kind = tuple[str, str, str, tuple[str, ...]]


class Endings:
    """How long jobs took that succeeded; made anew from their records. What is forgotten costs a move, no work."""

    def __init__(self, within_ms: int) -> None:
        self._within_ms = within_ms
        self._lengths_ms: dict[_Kind, tuple[int, ...]] = {}

    def ended(self, job: Job) -> None:
        """A job has ended."""
        # How long an array took says nothing of how long one of its elements does.
        if job.is_array or job.state is not JobState.SUCCEEDED or job.start_time_ms is None or job.end_time_ms is None:
            return
        # Those of which none has ended for the longest time go first.
        before = self._lengths_ms.pop(_kind(job), ())
        self._lengths_ms[_kind(job)] = (*before, job.end_time_ms - job.start_time_ms)[-_ENOUGH:]
        if len(self._lengths_ms) > _KINDS:
            del self._lengths_ms[next(iter(self._lengths_ms))]

    def about(self, job: Job, *, wall_ms: int) -> str:
        """Why a job is about to end, as a clause; empty where nothing says so."""
        if job.start_time_ms is None:
            return ""
        over_ms = limits.run_over_ms(job)
        if over_ms is not None and over_ms - wall_ms <= self._within_ms:
            return "its `timeouts.run` is almost over"
        lengths_ms = self._lengths_ms.get(_kind(job), ())
        # One that takes longer than all of them did is no longer waited for.
        if len(lengths_ms) == _ENOUGH and 0 <= job.start_time_ms + max(lengths_ms) - wall_ms <= self._within_ms:
            return f"the last {_ENOUGH} like it took no longer than it will have taken in a minute"
        return ""


def _kind(job: Job) -> _Kind:
    spec = job.spec
    return spec.project, spec.display_name, spec.image, spec.command
