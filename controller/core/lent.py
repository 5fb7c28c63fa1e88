"""Has jobs that were let ahead of others give back their room in time, if one of those waits for it.

When they would be gone was told by their limits. These count from a job's first start, and its image may have taken
long to come: that would else be the delay of others.
"""

from controller.core import assignments, backfill, backoff, keeping, limits, moves, preempting
from controller.core.backfill import Kept
from controller.core.book import Book
from headrace.jobs import Job, JobState, MigrationState
from headrace.nodes import NodeState

# Ticks come more often than this.
PAUSE_MS = 500
_PLACED = (JobState.STARTING, JobState.RUNNING)


def ticked(book: Book) -> None:
    """Of the jobs whose time is over, those are asked to leave whose room is what others lack that were before them."""
    if not book.turns.kept or not book.watchlist.due("lent", book.now_ms, every_ms=PAUSE_MS):
        return
    # Once for all: many may have been let ahead, and few of them are over their time.
    late = [one for one in book.turns.ahead if limits.is_to_make_way(book.jobs[one], book.wall_ms)]
    for name, kept in list(book.turns.kept.items()) if late else ():
        # One that was asked for another one's sake leaves already.
        jobs = [book.jobs[one] for one in late if one in book.jobs]
        over = {job.id: job for job in jobs if name in job.ahead_of and job.state in _PLACED}
        if over:
            _given_back(book, book.jobs[name], kept, over)


def _given_back(book: Book, head: Job, kept: Kept, over: dict[str, Job]) -> None:
    one, seen = keeping.one_of(book, head), keeping.scene(book, head)
    tasks = [task for job in over.values() for task in (book.tasks(job) if job.is_gang else [job])]
    # It may have room where they are before it has it where it is kept: what has to leave there may never have begun.
    theirs = dict.fromkeys(node for task in tasks for node in assignments.nodes_of(task))
    found = keeping.as_now(book, head, kept, theirs)
    if found is None or found.start_ms is None:
        return
    start_ms, staying = max(found.start_ms, backoff.until_ms(head)), dict[str, None]()
    # Who saves loses least: the others stay if that is enough.
    for job in sorted(over.values(), key=lambda one: (one.spec.checkpoint is not None, one.id)):
        gives_back_ms = limits.gives_back_ms(job, book.wall_ms)
        if gives_back_ms is None or start_ms > gives_back_ms:
            # Others will be there for longer.
            continue
        its = dict.fromkeys(task.id for task in (book.tasks(job) if job.is_gang else [job]))
        if not backfill.lacks(found, one, {**staying, **its}, seen):
            staying |= its
        elif _may_be_asked(book, job):
            _asked(book, job, f"its time was over, and {head.name}, which it was let ahead of, needs its room")


def _may_be_asked(book: Book, job: Job) -> bool:
    nodes = [task.node for task in (book.tasks(job) if job.is_gang else [job]) if task.node]
    return all(book.nodes[node].state is NodeState.READY for node in nodes)


def _asked(book: Book, job: Job, why: str) -> None:
    book.note(job.name, "JOB_MAKES_WAY", f"asked to save and leave: {why}")
    move = job.migration
    if job.state is JobState.RUNNING and move is not None and move.state is MigrationState.PREFETCHING:
        # It has a place to go; what was not brought there yet is brought while it stands still.
        moves.freeze(book, job, ())
    else:
        preempting.leaves(book, job, f"had to leave: {why}", preempting.Elsewhere(book))
