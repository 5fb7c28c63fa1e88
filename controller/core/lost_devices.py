"""Jobs that run on a device which is not well, or gone: they are moved to another one, or their records say why not."""

from controller.core import gangs, moves
from controller.core.book import Book
from controller.core.leases import REPORTS_A_LEASE
from controller.core.model import moved
from controller.core.placement.fit import Place, fit
from headrace.changes import replace
from headrace.jobs import Job, JobState, Level
from headrace.nodes import Health, Node, NodeState

_LOST = "its device "
LOOKS_MS = 500


def ticked(book: Book) -> None:
    """Looks at what jobs run on, now and then: at those of nodes with news, and at those of which not all is well."""
    watchlist = book.watchlist
    if not watchlist.due("devices", book.now_ms, every_ms=LOOKS_MS):
        return
    here = (job.id for node in watchlist.nodes_changed() for job in book.jobs_at(node))
    looked_at = {**watchlist.doubtful, **dict.fromkeys(here)}
    watchlist.doubtful = {}
    missing: dict[tuple[str, str], int] = {}
    well: dict[str, set[str]] = {}
    for job_id in looked_at:
        job = watchlist.on_devices.get(job_id)
        node = book.nodes.get(job.node) if job is not None else None
        if job is None or node is None or job.attempt is None or gangs.is_done(job):
            continue
        if node.id not in well:
            well[node.id] = {one.id for one in node.devices if one.health is not Health.UNHEALTHY}
        if not well[node.id].issuperset(job.attempt.devices):
            # Until it is well, time and room elsewhere may change what becomes of the job.
            watchlist.doubtful[job_id] = None
        elif not job.reason:
            continue
        why = _lost(book, job, node, missing)
        if why and job.migration is None:
            _left(book, job, node, why)
        elif not why and job.reason.startswith(_LOST):
            book.put(replace(job, reason=""))
    watchlist.missing_since_ms = missing


def _lost(book: Book, job: Job, node: Node, missing: dict[tuple[str, str], int]) -> str:
    """What is wrong with the first of its devices that is not well, as a clause; empty: nothing."""
    if node.state is not NodeState.READY or job.attempt is None:
        return ""
    known = {device.id: device for device in node.devices}
    for one in job.attempt.devices:
        device = known.get(one)
        if device is not None and device.health is Health.UNHEALTHY:
            return f"{_LOST}{one} is lost ({device.health_reason or 'it is not well'})"
        if device is None:
            # An agent that has just started does not know its devices yet.
            since_ms = missing[job.id, one] = book.watchlist.missing_since_ms.get((job.id, one), book.now_ms)
            # Nor does one report say that it is gone: with many nodes the next is far away.
            gone_ms = max(book.policy.device_gone_ms, 2 * book.leases.lease.agent_ms // REPORTS_A_LEASE)
            if book.now_ms - since_ms >= gone_ms:
                return f"{_LOST}{one} is lost (its node does not report it any more)"
    return ""


def _left(book: Book, job: Job, node: Node, why: str) -> None:
    """Has a job leave its device: for another node, which brings all first; else for another device of its own node."""
    if moves.level(job) is Level.RESTART:
        _explained(book, job, f"{why}; it has no `checkpoint:`, and is left to run on, for a move would lose its work")
        return
    if job.gang:
        kept = gangs.leaves(book, job, why)
        if kept:
            _explained(book, job, f"{why}, and {kept}")
        return
    place = moves.elsewhere(book, job)
    if isinstance(place, Place):
        book.note(job.name, "DEVICE_LOST", why)
        moves.begin(book, job, place)
        return
    if isinstance(fit(job, node, book.usage(node.id, without=job.id), now_wall_ms=book.wall_ms), Place):
        book.note(job.name, "DEVICE_LOST", f"{why}: it is asked to save and leave, and gets another one")
        book.put(moved(job, JobState.FREEZING, reason=why))
        return
    _explained(book, job, f"{why}, and it has nowhere to go: {place.removeprefix('waits: ')}")


def _explained(book: Book, job: Job, reason: str) -> None:
    if job.reason == reason:
        return
    if not job.reason.startswith(_LOST):
        book.note(job.name, "DEVICE_LOST", reason)
    book.put(replace(job, reason=reason))
