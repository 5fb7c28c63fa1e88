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
from headrace.nodes import Node, NodeState

# How often it is looked at.
LOOKS_MS = 1_000

STALLED = f"{gangs.TIMED_OUT}progress"


def ticked(book: Book) -> None:
    """Ends attempts that get no further, or has all of a gang leave."""
    watchlist = book.watchlist
    if not watchlist.due("paces", book.now_ms, every_ms=LOOKS_MS):
        return
    # The others are as they were, and not over their limit.
    looked_at = {**watchlist.repaced, **dict.fromkeys(watchlist.stalls.over(book.now_ms))}
    watchlist.repaced = {}
    for job_id in looked_at:
        _look(book, job_id)


def _look(book: Book, job_id: str) -> None:
    """At a job, or at a gang."""
    watchlist, job = book.watchlist, book.jobs.get(job_id)
    tasks = book.tasks(job) if job is not None and job.is_gang else [job]
    paced = [one for one in tasks if one is not None and one.id in watchlist.paced and not gangs.is_done(one)]
    limit_ms = job.spec.timeouts.progress_ms if job is not None else None
    if job is None or limit_ms is None or not paced:
        watchlist.paces.pop(job_id, None)
        watchlist.stalls.put(job_id, None)
        return
    now = {one.id: _mark(book, one) for one in paced}
    since_ms = _since_ms(book, watchlist.paces.get(job_id), now)
    watchlist.paces[job_id] = Seen(now, since_ms)
    if job.state is JobState.RUNNING and book.now_ms - since_ms > limit_ms:
        _stalled(book, job, limit_ms)
    elif None in now.values():
        # That its node is heard again is told by no change of the job.
        watchlist.repaced[job_id] = None
    elif job_id not in watchlist.stalls and book.now_ms - since_ms <= limit_ms:
        # A moment that is too early by now is put anew when it is over: jobs may get further many times a minute.
        watchlist.stalls.put(job_id, since_ms + limit_ms)


def doubted(book: Book, node: Node) -> None:
    """The node is not heard: its jobs have a whole limit again once it is."""
    here = (job for job in book.jobs_at(node.id) if job.id in book.watchlist.paced)
    book.watchlist.repaced.update({job.gang or job.id: None for job in here})


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
    # Between two looks it may have left and begun again: what runs now has got no further for no time at all.
    return job.epoch, steps, job.checkpoint.digest if job.checkpoint is not None else ""


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
