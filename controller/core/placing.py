"""Gives places to jobs that wait, in their order."""

from collections.abc import Callable
from dataclasses import replace

from controller.core import backoff
from controller.core.book import Book
from controller.core.model import moved
from controller.core.order import in_order
from controller.core.placement.fit import Place, Usage, choose
from controller.core.placement.gang import choose_all, meeting_point
from headrace.jobs import Job, JobState, Network


def settled(book: Book) -> None:
    """Looks at the jobs that wait, if the event at hand may have made room for one."""
    if book.room_changed:
        place_waiting(book)


def retry_due(book: Book) -> bool:
    """Whether a job that waits may find a place by now that it had not when it was looked at last."""
    if book.nodes_changed:
        return True
    if book.wall_ms - book.looked_at_wall_ms >= book.policy.readings_ms and book.watchlist.choosy:
        return True
    ends = (end for job in book.watchlist.pausing.values() for end in _waits_for_ms(job))
    return any(book.looked_at_wall_ms < end <= book.wall_ms for end in ends)


def place_waiting(book: Book) -> None:
    """Finds places for the jobs that wait, in their order."""
    book.room_changed = book.nodes_changed = False
    book.looked_at_wall_ms = book.wall_ms
    waiting = [job for job in book.watchlist.waiting.values() if not job.gang]
    if not waiting:
        return
    held = {node: book.usage(node) for node in book.nodes}
    for job in in_order(book, waiting):
        for node in _place(book, job, held.__getitem__):
            held[node] = book.usage(node)


def place(book: Book, job: Job) -> None:
    """Finds a place for a job that has just come; the others that wait had none, and have none now."""
    if book.nodes_changed:
        place_waiting(book)
    else:
        _place(book, job, book.usage)


def _place(book: Book, job: Job, usage: Callable[[str], Usage]) -> tuple[str, ...]:
    """Has a job that waits begin where it can; answers on which nodes. Else it is written down why it cannot."""
    tasks = book.tasks(job) if job.is_gang else [job]
    pause = next(filter(None, (backoff.pause(task, now_wall_ms=book.wall_ms) for task in tasks)), "")
    found = pause or _places(book, job, usage)
    if isinstance(found, str):
        if found != job.reason:
            book.put(replace(job, reason=found))
        return ()
    if job.is_gang:
        rendezvous = _rendezvous(book, job, found[0].node)
        tasks = [replace(task, rendezvous=rendezvous) for task in tasks]
        book.put(moved(job, JobState.STARTING, reason="", rendezvous=rendezvous))
    for task, its_place in zip(tasks, found, strict=True):
        book.put(book.begin(task, its_place))
    return tuple(one.node for one in found)


def _places(book: Book, job: Job, usage: Callable[[str], Usage]) -> tuple[Place, ...] | str:
    nodes = book.nodes.values()
    if job.is_gang:
        return choose_all(alike(book, job), nodes, usage, now_wall_ms=book.wall_ms)
    found = choose(job, nodes, usage, now_wall_ms=book.wall_ms)
    return (found,) if isinstance(found, Place) else found


def alike(book: Book, gang: Job) -> list[Job]:
    """A gang's tasks as places are looked for: what one of them keeps away from, all do."""
    tasks = book.tasks(gang)
    away = sum((task.exclusions for task in tasks), gang.exclusions)
    return [replace(task, exclusions=away) for task in tasks]


def _rendezvous(book: Book, gang: Job, node: str) -> str:
    """Where the tasks of a gang meet: at the first one's node. Other networks than the node's own lead nowhere."""
    host = book.nodes[node].description.address
    if gang.spec.network is not Network.HOST or not host:
        return ""
    taken = [job.rendezvous for job in book.jobs.values() if job.is_gang and job.id != gang.id]
    return meeting_point(gang, host, taken)


def _waits_for_ms(job: Job) -> tuple[int, ...]:
    """The moments from which on it may start, or may go where it could not."""
    return (backoff.until_ms(job), *(one.expire_time_ms for one in job.exclusions))
