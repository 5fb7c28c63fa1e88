"""Has jobs begin at the places that were found for them, and those for which others were asked to leave."""

from collections.abc import Sequence
from functools import partial

from controller.core import keeping, precedence
from controller.core.affordable import affordable, as_asked
from controller.core.amounts import requests_of
from controller.core.book import Book
from controller.core.model import begun
from controller.core.placement import tasks as whole
from controller.core.placement.alternatives import alone, numbered
from controller.core.placement.demand import demand_of
from controller.core.placement.fit import Place, fit
from controller.core.placement.gang import at_each, choose_all, meeting_point
from controller.core.turns import Claim
from headrace.changes import replace
from headrace.jobs import Job, Network
from headrace.nodes import Node


def claimed(book: Book) -> None:
    """Has those begin for which others have left."""
    for job_id, claim in list(book.turns.claims.items()):
        if book.now_ms < claim.look_ms:
            continue
        job = book.jobs[job_id]
        nodes = [book.nodes[node] for node in claim.at]
        found = _there(book, job, nodes)
        less = affordable(book, job)
        if not found and less is not job:
            found = as_asked(book, job, _there(book, less, nodes))
        found = found or _as_claimed(book, job, claim) or _partly_there(book, job, nodes)
        if found:
            line = book.queue.line(job_id)
            begin(book, job, found)
            for following in line.first(1, without=()):
                # It may have others leave, too.
                book.queue.due(following)
        elif len(claim.at) > keeping.FEW_KEPT:
            # As those leave one after the other, all nodes would be looked at as often.
            book.turns.claims[job_id] = replace(claim, look_ms=book.now_ms + keeping.PAUSE_MS)
            book.queue.look_again(job_id, book.wall_ms + keeping.PAUSE_MS)


def _there(book: Book, job: Job, nodes: Sequence[Node]) -> tuple[Place, ...]:
    """Places on these nodes, where others were asked to leave for the job; none where it may not begin there yet."""
    tasks = keeping.alike(book, job)
    found = choose_all(tasks, nodes, partial(book.usage, without=job.id), now_wall_ms=book.wall_ms)
    return () if not found or precedence.over_quota(book, job, tasks, found) else found


def _partly_there(book: Book, job: Job, nodes: Sequence[Node]) -> tuple[Place, ...]:
    """Places for a gang where others have left some of these nodes for it, and elsewhere for the rest of its tasks."""
    tasks, here = keeping.alike(book, job) if job.is_gang else [], list[Place]()
    for node in nodes:
        held = book.usage(node.id, without=job.id)
        while len(here) < len(tasks):
            found = fit(tasks[0], node, held, now_wall_ms=book.wall_ms)
            if not isinstance(found, Place):
                break
            here.append(found)
            held = held.plus(job.spec, found.devices)
    rest, away = tasks[len(here) :], {node.id: None for node in nodes}
    if not here or not rest:
        return ()
    there = whole.choose_all(book.tables, demand_of(job), rest[0], len(rest), now_wall_ms=book.wall_ms, without=away)
    if isinstance(there, str):
        return ()
    precedence.begin_with(book, job)
    places = (*here, *there)
    is_good = not precedence.harmed_by(book, job, rest, there) and not precedence.over_quota(book, job, tasks, places)
    return places if is_good else ()


def _as_claimed(book: Book, job: Job, claim: Claim) -> tuple[Place, ...]:
    """Those that were found when the others were asked, with the same alternatives; none where they are none now."""
    asked = requests_of(job.spec)
    if len(asked) < 2:
        return ()
    tasks, nodes = keeping.alike(book, job), [book.nodes[node] for node in claim.nodes]
    which = [
        asked.index(spec.resources.accelerators) for spec in claim.specs if spec.resources.accelerators is not None
    ]
    less = [alone(task)[number] for task, number in zip(tasks, which, strict=True)]
    found = at_each(less, nodes, partial(book.usage, without=job.id), now_wall_ms=book.wall_ms)
    if not found:
        return ()
    numbers = [numbered(job, number, place.variant) for place, number in zip(found, which, strict=True)]
    places = tuple([replace(place, variant=number) for place, number in zip(found, numbers, strict=True)])
    return () if precedence.over_quota(book, job, tasks, places) else places


def begin(book: Book, job: Job, found: Sequence[Place]) -> None:
    """The job, or all tasks of a gang, at these places."""
    tasks = book.tasks(job) if job.is_gang else [job]
    if job.is_gang:
        rendezvous = _rendezvous(book, job, found[0].node)
        tasks = [replace(task, rendezvous=rendezvous) for task in tasks]
        book.put(begun(job, book.wall_ms, rendezvous=rendezvous))
    for task, its_place in zip(tasks, found, strict=True):
        book.put(book.begin(task, its_place))


def _rendezvous(book: Book, gang: Job, node: str) -> str:
    """Where the tasks of a gang meet: at the first one's node. Other networks than the node's own lead nowhere."""
    host = book.nodes[node].description.address
    if gang.spec.network is not Network.HOST or not host:
        return ""
    gangs = (job for job in book.watchlist.limited.values() if job.is_gang)
    taken = [job.rendezvous for job in gangs if job.id != gang.id]
    return meeting_point(gang, host, taken)
