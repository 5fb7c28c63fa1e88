"""What the passing of time brings: doubts about silent nodes, lost nodes, limits that are over."""

from itertools import islice

from controller.core import (
    arrays,
    backoff,
    drains,
    exclusions,
    gangs,
    improvements,
    keeping,
    lent,
    limits,
    lost_devices,
    placing,
    progress,
    reading,
    reports,
)
from controller.core.absences import STOOD_STILL_MS
from controller.core.book import Book
from controller.core.model import aborted, moved
from headrace.changes import replace
from headrace.jobs import Job, JobState, MigrationState, Partition, RetryCause
from headrace.nodes import Node, NodeState

# Of so many nodes it is written down twice a second at most when they reported last. With 10,000 nodes each has its
# turn after 8 minutes: each minute, it would cost half as much as their reports do.
WRITTEN_AT_ONCE = 10
WRITING_MS = 500
# Between two beats, what time brings is looked at no more often than so: hundreds of batches come a second, and to look
# takes as long as to judge the report that is in one.
LOOK_MS = 50

STILL_THERE = (JobState.STARTING, JobState.RUNNING, JobState.FREEZING, JobState.CANCELLING)


def is_due(book: Book, now_ms: int) -> bool:
    """Whether what time brings is to be looked at between two beats, too."""
    return book.watchlist.due("time", now_ms, every_ms=LOOK_MS)


def ticked(book: Book, *, now_ms: int, wall_ms: int) -> None:
    """Time has passed."""
    passed_ms, is_first = now_ms - book.now_ms, not book.wall_ms
    book.now_ms, book.wall_ms = now_ms, wall_ms
    if is_first:
        _bound_what_is_kept(book)
    book.leases.ticked(now_ms)
    book.absences.ticked(wall_ms)
    if passed_ms > STOOD_STILL_MS:
        _stood_still(book, passed_ms)
    suspect_ms = book.leases.lease.suspect_ms
    for node, silent_ms in _silent_nodes(book, min(suspect_ms, book.policy.return_ms)):
        # Those that have come back to this process may be silent for longer.
        if silent_ms > suspect_ms or node.id not in book.occupied:
            _doubt(book, node, f"has not reported for {silent_ms / 1000:.0f} s")
        if silent_ms <= book.leases.longest.node_ms:
            continue
        for job in book.jobs_at(node.id):
            _silent(book, job, node.id, silent_ms)
    _doubt_those_that_left(book)
    reports.judged(book)
    for job_id in [*book.watchlist.limited, *book.watchlist.over(wall_ms)]:
        if job_id in book.jobs:
            _limits(book, book.jobs[job_id])
    lent.ticked(book)
    if placing.retry_due(book):
        book.capacity_changed()
    if book.turns.departures.is_begun or (book.queue and len(book.nodes) > keeping.FEW):
        # Whoever wants to know who is where is to find it known, also who asks why a job waits.
        reading.read(book, book.turns.departures)
    _write_down(book)
    progress.ticked(book)
    arrays.ticked(book)
    drains.ticked(book)
    lost_devices.ticked(book)
    improvements.ticked(book)


def _write_down(book: Book) -> None:
    """Writes down what changes with time alone."""
    for use in book.projects.to_save(book.wall_ms, every_ms=book.policy.use_saved_ms):
        book.write(use)
    if (presence := book.absences.to_save(while_jobs_wait=bool(book.queue))) is not None:
        book.write(presence)
    _write_report_times(book)


def _bound_what_is_kept(book: Book) -> None:
    """Bounds exclusions and pauses, for which moments are kept.

    The clock may have been set back since they were written down; while this process goes on, it never is.
    """
    latest_ms = book.wall_ms + book.policy.exclusion_ms
    for job in list(book.jobs.values()):
        bounded = exclusions.bounded(backoff.bounded(job, wall_ms=book.wall_ms), latest_ms=latest_ms)
        if bounded is not job:
            book.put(bounded)


def _silent_nodes(book: Book, millis: int) -> list[tuple[Node, int]]:
    """The nodes that have been silent for longer than that, and for how long."""
    if len(book.heard_ms) < len(book.nodes):
        # By this process's own clock: a controller that has just started gives every node a whole lease.
        for node in book.nodes:
            book.heard_ms.setdefault(node, book.now_ms)
    found = []
    for node, heard_ms in book.heard_ms.items():
        if book.now_ms - heard_ms <= millis:
            break
        found.append((book.nodes[node], book.now_ms - heard_ms))
    return found


def _doubt_those_that_left(book: Book) -> None:
    """Doubts nodes that have been without a stream for a while: with long leases that is seen before their silence."""
    while book.left_ms:
        node_id, left_ms = next(iter(book.left_ms.items()))
        if book.now_ms - left_ms <= book.policy.doubt_ms:
            return
        del book.left_ms[node_id]
        _doubt(book, book.nodes[node_id], f"has been cut off for {(book.now_ms - left_ms) / 1000:.0f} s")


def _doubt(book: Book, node: Node, why: str) -> None:
    if node.state is NodeState.READY:
        book.put_node(replace(node, state=NodeState.SUSPECT))
        book.note(node.name, "NODE_SUSPECT", why)
        progress.doubted(book, node)


def _write_report_times(book: Book) -> None:
    """Writes down now and then when nodes reported last, a few of them each time."""
    if not book.watchlist.due("report times", book.now_ms, every_ms=WRITING_MS):
        return
    for node_id, written_ms in list(islice(book.written_ms.items(), WRITTEN_AT_ONCE)):
        if book.now_ms - written_ms < book.policy.report_time_saved_ms:
            break
        if book.nodes[node_id].state is NodeState.READY:
            book.put_node(book.nodes[node_id])
        else:
            # Nothing of it is new until it reports, and then it is written down.
            del book.written_ms[node_id]


def _stood_still(book: Book, millis: int) -> None:
    """What nodes said while this process stood still (its disk was full, it was stopped) is heard only now."""
    book.heard_ms = {node: heard_ms + millis for node, heard_ms in book.heard_ms.items()}
    book.left_ms = {node: left_ms + millis for node, left_ms in book.left_ms.items()}
    progress.stood_still(book)


def _silent(book: Book, job: Job, node: str, silent_ms: int) -> None:
    move = job.migration
    if move is not None and move.target == node and move.state is MigrationState.PREFETCHING:
        book.put(aborted(job, book.wall_ms, f"{node}, where it was to go, does not report"))
        return
    if job.node != node or job.state not in STILL_THERE or gangs.is_done(job):
        return
    if silent_ms <= kept_ms(book, job):
        return
    if job.state is JobState.CANCELLING:
        reports.cancelled(book, job, f"{job.reason}; {node} was lost meanwhile")
        return
    # `keep` lets it run on for as long as it likes: there must be no other one.
    if job.spec.partition is Partition.KEEP:
        whole = book.jobs.get(job.gang, job)
        # One that leaves is gone after its grace, and has reached no limit by that; of this one nobody hears it.
        if whole.state is JobState.FREEZING and _is_over(book, limits.run_over_ms(whole)):
            _run_over(book, whole)
        return
    reports.failed(book, job, RetryCause.NODE_LOST, f"{node} has not reported for {silent_ms / 1000:.0f} s")


def kept_ms(book: Book, job: Job) -> int:
    """How long a silent node keeps the job, counted from its last report."""
    return max(job.spec.lost_after_ms, _held_still_after_ms(book, job))


def _held_still_after_ms(book: Book, job: Job) -> int:
    """How long after a node's last report no container of the job runs there: its agent must have given up first."""
    if job.spec.partition is not Partition.STOP:
        return book.leases.longest.node_ms
    # Its agent asks it to leave when the lease is over, and waits for that as long as the job may take.
    return book.leases.longest.node_ms + job.spec.grace_ms


def _limits(book: Book, job: Job) -> None:
    if job.waits_for:
        return
    if job.is_array:
        if _waited_too_long(book, job):
            arrays.limited(book, job)
        return
    if job.is_gang:
        gangs.ticked(book, job)
        job = book.jobs[job.id]
    if job.state is JobState.QUEUED and _waited_too_long(book, job):
        end = gangs.end if job.is_gang else Book.end
        end(book, job, JobState.FAILED, f"{gangs.TIMED_OUT}queue: found no place in time; {job.reason}")
        return
    if job.state in (JobState.STARTING, JobState.RUNNING) and _is_over(book, limits.run_over_ms(job)):
        _run_over(book, job)
        return
    move = job.migration
    if move is None or move.state is not MigrationState.PREFETCHING:
        return
    if move.request_time_ms is not None and _is_over(book, move.request_time_ms + book.policy.prefetch_ms):
        book.put(aborted(job, book.wall_ms, f"{move.target} did not bring what it needs in time"))


def _run_over(book: Book, job: Job) -> None:
    job = aborted(job, book.wall_ms, "the job's time was over")
    book.put(moved(job, JobState.CANCELLING, reason=f"{gangs.TIMED_OUT}run: ran for longer than it may"))


def _waited_too_long(book: Book, job: Job) -> bool:
    over_ms = limits.queue_over_ms(job)
    if over_ms is None or not _is_over(book, over_ms):
        return False
    over_ms += book.absences.since(job.queue_time_ms or 0)
    book.watchlist.reaches(job.id, over_ms)
    return _is_over(book, over_ms)


def _is_over(book: Book, moment_ms: int | None) -> bool:
    return moment_ms is not None and book.wall_ms > moment_ms
