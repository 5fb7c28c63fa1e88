"""Jobs that run and get no further: `timeouts.progress`. New steps and new checkpoints are progress; log lines are not.

A job that only complains, over and over, writes a log too. Since when a job gets no further is told by this process's
own clock: a restarted controller gives each a whole limit again.
"""

from controller.core import gangs
from controller.core.book import Book
from controller.core.model import aborted, moved
from controller.core.outcome import is_retried, with_failure
from controller.core.watchlist import Mark, Seen
from headrace import units
from headrace.attempts import AttemptState
from headrace.changes import replace
from headrace.jobs import Job, JobState, RetryCause
from headrace.nodes import NodeState

# How often it is looked at.
LOOKS_MS = 1_000

STALLED = f"{gangs.TIMED_OUT}progress"


def ticked(book: Book) -> None:
    """Ends attempts that get no further, or has all of a gang leave."""
    if not book.watchlist.due("paces", book.now_ms, every_ms=LOOKS_MS):
        return
    marks: dict[str, dict[str, Mark | None]] = {}
    for job in book.watchlist.paced.values():
        if not gangs.is_done(job):
            marks.setdefault(job.gang or job.id, {})[job.id] = _mark(book, job)
    before, book.watchlist.paces = book.watchlist.paces, {}
    for job_id, now in marks.items():
        since_ms = _since_ms(book, before.get(job_id), now)
        book.watchlist.paces[job_id] = Seen(now, since_ms)
        job = book.jobs[job_id]
        limit_ms = job.spec.timeouts.progress_ms
        if limit_ms is not None and job.state is JobState.RUNNING and book.now_ms - since_ms > limit_ms:
            _stalled(book, job, limit_ms)


def _mark(book: Book, job: Job) -> Mark | None:
    """How far it is; None while it is held still, or nobody hears of it."""
    attempt, node = job.attempt, book.nodes.get(job.node)
    if (
        attempt is None
        or attempt.state is not AttemptState.RUNNING
        or node is None
        or node.state is not NodeState.READY
    ):
        return None
    steps = attempt.steps.done_count if attempt.steps is not None else None
    return steps, job.checkpoint.digest if job.checkpoint is not None else ""


def _since_ms(book: Book, before: Seen | None, now: dict[str, Mark | None]) -> int:
    still = before is not None and before.marks == now and None not in now.values()
    return before.since_ms if before is not None and still else book.now_ms


def _stalled(book: Book, job: Job, limit_ms: int) -> None:
    reason = f"{STALLED}: no new step and no new checkpoint for {units.format_duration(limit_ms)}"
    job = aborted(job, book.wall_ms, "the job gets no further")
    book.note(job.name, "JOB_STALLED", reason)
    if not is_retried(job, RetryCause.NO_PROGRESS, wall_ms=book.wall_ms):
        book.put(moved(job, JobState.CANCELLING, reason=reason))
    elif job.is_gang:
        gangs.regroup(book, with_failure(job, wall_ms=book.wall_ms), f"{reason}; all begin again")
    else:
        # What it saves on being asked is kept; that it leaves counts as a failure then.
        book.put(moved(job, JobState.FREEZING, reason=reason))


def was_stalled(job: Job) -> bool:
    """Whether it leaves because it got no further."""
    return job.state is JobState.FREEZING and job.reason.startswith(STALLED)


def stood_still(book: Book) -> None:
    """What nodes said was not heard for a while, as this process stood still: all have a whole limit again."""
    book.watchlist.paces = {job: replace(seen, since_ms=book.now_ms) for job, seen in book.watchlist.paces.items()}
