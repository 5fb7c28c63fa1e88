"""How long a job that keeps ending soon after its start waits before it starts again.

Nothing of this is kept on its own: the job's attempts tell it, after a restart of the controller too.
"""

from datetime import UTC, datetime

from headrace.attempts import Attempt, AttemptState
from headrace.changes import replace
from headrace.jobs import Job

# An attempt that ran for longer was of some use, and ends the row.
SOON_MS = 10_000
SHORTEST_MS = 1_000
LONGEST_MS = 60_000


def pause(job: Job, *, now_wall_ms: int) -> str:
    """Why a job that could start again does not do so yet; empty where it may."""
    end_ms = until_ms(job)
    if now_wall_ms >= end_ms:
        return ""
    row, _ = _ended_soon(job)
    return f"starts again at {as_text(end_ms)}: it ended {row} times in a row within {SOON_MS // 1000} s of its start"


def as_text(moment_ms: int) -> str:
    """A moment in milliseconds since 1970, as reasons tell it."""
    return datetime.fromtimestamp(moment_ms // 1000, UTC).strftime("%Y-%m-%d %H:%M:%S UTC")


def until_ms(job: Job) -> int:
    """When its pause is over, in milliseconds since 1970; 0 where it has none.

    Once may have its reason; from the second end in a row on the pause doubles.
    """
    row, end_ms = _ended_soon(job)
    return end_ms + min(SHORTEST_MS << (row - 2), LONGEST_MS) if row > 1 else 0


def bounded(job: Job, *, wall_ms: int) -> Job:
    """The job, whose pause is no longer from now on than it was to be from the end of its last attempt on.

    What has ended did so before now: an end that is ahead was written down by a clock that has been set back since.
    The attempt's start goes with its end, since for how long it ran is as it was.
    """
    row, end_ms = _ended_soon(job)
    if row < 2 or end_ms <= wall_ms:
        return job
    number = max(number for number, one in enumerate(job.attempts) if one.start_time_ms is not None)
    last = job.attempts[number]
    start_ms = (last.start_time_ms or 0) - (end_ms - wall_ms)
    last = replace(last, start_time_ms=start_ms, end_time_ms=wall_ms)
    return replace(job, attempts=(*job.attempts[:number], last, *job.attempts[number + 1 :]))


def _ended_soon(job: Job) -> tuple[int, int]:
    """How many attempts up to now ended soon in a row, and when the last of them did."""
    row, last_ms = 0, 0
    for attempt in reversed(job.attempts):
        if attempt.start_time_ms is None:
            continue  # It never ran, which says nothing of how long it would have.
        if not _ended_soon_by_itself(attempt, attempt.start_time_ms):
            break
        row += 1
        last_ms = last_ms or attempt.end_time_ms or 0
    return row, last_ms


def _ended_soon_by_itself(attempt: Attempt, start_ms: int) -> bool:
    """Whether it left unasked. A container that was lost, or whose node was, has no exit code."""
    if attempt.state is not AttemptState.EXITED or attempt.stop_requested or attempt.exit_code is None:
        return False
    return attempt.end_time_ms is not None and attempt.end_time_ms - start_ms < SOON_MS
