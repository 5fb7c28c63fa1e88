"""Jobs that leave their place and wait for another one: in which epoch, and since when they wait. Pure."""

from controller.core.model import moved
from controller.core.outcome import NEVER_RAN
from headrace.changes import replace
from headrace.jobs import Job, JobState


def left(job: Job, tasks: list[Job], wall_ms: int, reason: str) -> Job:
    """The job without a node, in its next epoch. `tasks` are those of a gang, else the job itself.

    Where it never ran it had no place, and still waits: one that is refused wherever it goes would else lose its turn
    each time, and never reach its `timeouts.queue`.
    """
    job = moved(job, JobState.QUEUED, epoch=job.epoch + 1, node="", reason=reason)
    if job.queue_time_ms is None or all(map(_has_run, tasks)):
        return replace(job, queue_time_ms=wall_ms)
    # Once it begins again, all of this wait is what its `timeouts.run` does not count: no part of it must be so twice.
    uncounted_ms = max(0, (job.uncounted_ms or 0) - max(0, wall_ms - job.queue_time_ms))
    return replace(job, uncounted_ms=uncounted_ms or None)


def _has_run(job: Job) -> bool:
    """Whether it ran at its last place, or came there from one where it did."""
    last = job.attempts[-1] if job.attempts else None
    if last is None:
        return False
    moves = job.migrations
    came_by_move = bool(moves) and moves[-1].target_epoch == last.epoch
    return came_by_move or (last.start_time_ms is not None and last.reason not in NEVER_RAN)
