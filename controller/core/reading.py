"""Reads what jobs have of nodes into columns: of the nodes that have changed since, so many jobs at a time."""

from controller.core import assignments
from controller.core.book import Book
from controller.core.departures import LEAVES, MAY_LEAVE, NEVER, STAYS, Departures, End, Part, end_of
from headrace.jobs import Job, JobState

PLACED = (JobState.STARTING, JobState.RUNNING)
# That takes some milliseconds, as all else waits meanwhile.
READ_AT_ONCE = 2_000


def read(book: Book, departures: Departures) -> bool:
    """Reads nodes that have changed since; answers whether all are read."""
    touched = book.turns.touched_since(departures.touches) if departures.touches is not None else book.nodes
    departures.unread |= dict.fromkeys(touched)
    departures.touches = book.turns.touches
    most = READ_AT_ONCE
    while departures.unread and most > 0:
        node, _ = departures.unread.popitem()
        slot = book.snapshot.slots.get(node)
        if slot is not None:
            most -= 1 + departures.put(node, slot, _parts(book, node))
    for gang in list(departures.gangs.values()):
        now = book.jobs.get(gang.id)
        if now is not None and now is not gang:
            departures.gang_changed(now, _end(book, now))
    return not departures.unread


def _parts(book: Book, node: str) -> list[Part]:
    found = []
    for job in book.jobs_at(node):
        if job.node != node and not assignments.is_coming(job, node):
            continue
        whole, wants, attempt = book.jobs.get(job.gang, job), job.spec.resources, job.attempt
        asked = wants.accelerators
        expected = asked.count if asked is not None else 0
        devices = len(attempt.devices) if job.node == node and attempt is not None else expected
        parts = devices if asked is not None and asked.is_part else 0
        amounts = wants.cpu_millis, wants.memory_bytes, devices, parts
        cost = book.projects.holding(job.id).unit_millis, _loses_since_ms(job)
        found.append(Part(job.id, whole, amounts, _end(book, whole), _leaving(job, node), *cost))
    return found


def _leaving(job: Job, node: str) -> int:
    """Whether it might be asked to leave the node, as far as the node tells, or leaves it anyway."""
    if job.node != node:
        return STAYS
    if job.state in (JobState.FREEZING, JobState.CANCELLING):
        return LEAVES
    return MAY_LEAVE if job.state in PLACED and job.migration is None else STAYS


def _loses_since_ms(job: Job) -> int:
    """Since when what it has done would be lost."""
    start_ms = job.attempt.start_time_ms if job.attempt is not None and job.spec.checkpoint is None else None
    return NEVER if start_ms is None else start_ms


def _end(book: Book, whole: Job) -> End:
    return end_of(whole, book.turns.leaving_since_ms.get(whole.id))
