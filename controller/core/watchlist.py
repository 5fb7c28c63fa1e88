"""Which live jobs time alone may change something for: found without a look at all that there are."""

from typing import TYPE_CHECKING

from headrace.jobs import Job, JobState

if TYPE_CHECKING:
    from controller.core.progress import Seen


class Watchlist:
    """Jobs by what may become of them. Each is as it was put last."""

    def __init__(self) -> None:
        # Those that may reach a limit.
        self.limited: dict[str, Job] = {}
        # Those that run on devices.
        self.on_devices: dict[str, Job] = {}
        # Those that run and have to get further, and how far each of them, or each gang, was when looked at last.
        self.paced: dict[str, Job] = {}
        self.paces: dict[str, Seen] = {}
        self.paced_ms = 0

    def put(self, job: Job) -> None:
        """The job is like this now."""
        _keep(self.on_devices, job, holds=_is_on_devices(job))
        _keep(self.limited, job, holds=not job.ended and _is_limited(job))
        has_to_progress = job.spec.timeouts.progress_ms is not None and job.attempt is not None
        _keep(self.paced, job, holds=job.state is JobState.RUNNING and has_to_progress)


def _keep(jobs: dict[str, Job], job: Job, *, holds: bool) -> None:
    if holds:
        jobs[job.id] = job
    else:
        jobs.pop(job.id, None)


def _is_on_devices(job: Job) -> bool:
    attempt = job.attempt if job.state is JobState.RUNNING else None
    return attempt is not None and bool(attempt.devices)


def _is_limited(job: Job) -> bool:
    limits = job.spec.timeouts
    if job.is_gang or job.migration is not None:
        return True
    return limits.queue_ms is not None or limits.run_ms is not None
