"""Which live jobs time alone may change something for: found without a look at all that there are."""

from headrace.jobs import Job, JobState


class Watchlist:
    """Jobs by what may become of them. Each is as it was put last."""

    def __init__(self) -> None:
        # Those that wait for a node; of these, those whose place depends on what sensors read, and those that keep
        # away from a node, or from all, for a while.
        self.waiting: dict[str, Job] = {}
        self.choosy: dict[str, Job] = {}
        self.pausing: dict[str, Job] = {}
        # Those that may reach a limit.
        self.limited: dict[str, Job] = {}
        # Those that run on devices.
        self.on_devices: dict[str, Job] = {}

    def put(self, job: Job) -> None:
        """The job is like this now."""
        waits = job.state is JobState.QUEUED
        _keep(self.waiting, job, holds=waits)
        _keep(self.choosy, job, holds=waits and _is_choosy(job))
        # What an attempt came to decides on a pause.
        _keep(self.pausing, job, holds=waits and bool(job.exclusions or job.attempts))
        _keep(self.on_devices, job, holds=_is_on_devices(job))
        _keep(self.limited, job, holds=not job.ended and _is_limited(job))


def _keep(jobs: dict[str, Job], job: Job, *, holds: bool) -> None:
    if holds:
        jobs[job.id] = job
    else:
        jobs.pop(job.id, None)


def _is_choosy(job: Job) -> bool:
    """Whether a node that was none for it may become one by what its sensors read."""
    spec = job.spec
    devices = spec.resources.accelerators
    return bool(spec.where or spec.variants or (devices is not None and devices.where))


def _is_on_devices(job: Job) -> bool:
    attempt = job.attempt if job.state is JobState.RUNNING else None
    return attempt is not None and bool(attempt.devices)


def _is_limited(job: Job) -> bool:
    limits = job.spec.timeouts
    if job.is_gang or job.migration is not None:
        return True
    return limits.queue_ms is not None or limits.run_ms is not None
