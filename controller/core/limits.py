"""Until when a job may wait, and have its place: by its own limits, and where it was let ahead of others. Pure."""

from headrace.jobs import Job


def queue_over_ms(job: Job) -> int | None:
    """After when it has waited for too long, in milliseconds since 1970; None where it has no such limit, or has run.

    An array's is that of the elements that have not had their turn.
    """
    limit_ms = job.spec.timeouts.queue_ms
    if limit_ms is None or job.queue_time_ms is None or (job.start_time_ms is not None and not job.is_array):
        return None
    return job.queue_time_ms + limit_ms


def run_over_ms(job: Job) -> int | None:
    """After when it has run for too long, in milliseconds since 1970; None where it has no limit, or never ran."""
    limit_ms = job.spec.timeouts.run_ms
    if limit_ms is None or job.start_time_ms is None:
        return None
    return job.start_time_ms + limit_ms + (job.uncounted_ms or 0)


def gives_back_ms(job: Job, wall_ms: int) -> int | None:
    """By when it has given back its place to those that it was let ahead of, if it is asked to when they need it.

    None where it was let ahead of nobody, or has left that place.
    """
    move = job.migration
    # One that may have to go back keeps in mind until when it could.
    if job.leave_by_time_ms is None or (move is not None and job.node == move.target):
        return None
    return max(job.leave_by_time_ms, wall_ms + job.spec.grace_ms)


def is_to_make_way(job: Job, wall_ms: int) -> bool:
    """Whether its time is over, counted from when it was given its place: others may need that now."""
    return job.leave_by_time_ms is not None and wall_ms > job.leave_by_time_ms - job.spec.grace_ms
