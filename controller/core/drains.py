"""Cordons and drains: a drained node is one that reports that nothing is left."""

from controller.core import gangs, moves
from controller.core.book import Book
from controller.core.model import DrainAsked, aborted, moved
from controller.core.placement.fit import Place
from controller.core.placement.trial import Trial
from controller.core.seen import see_nodes
from headrace.changes import replace
from headrace.jobs import Job, JobState, Level, MigrationState
from headrace.nodes import Drain, Node, NodeState
from headrace.refusals import Code, Refusal

# How many jobs a refusal names.
_NAMED = 5

# What a cordon of a node that was being drained does besides.
_ENDED = "its drain has ended with this: what was to leave stays"
_HERE = (JobState.STARTING, JobState.RUNNING)


def asked(book: Book, event: DrainAsked) -> None:
    """Answers an operator."""
    try:
        node = moves.find_node(book, event.node)
        begins = event.drain is Drain.DRAINING and node.drain in (Drain.NONE, Drain.CORDONED)
        if begins and not event.force:
            _look_for_room(book, node, stops=event.deadline_ms is not None)
    except Refusal as refusal:
        book.answer(event.token, refusal)
        return
    ends = event.drain is Drain.CORDONED and node.drain is Drain.DRAINING
    if node.drain is not event.drain and not (node.drain is Drain.DRAINED and event.drain is Drain.DRAINING):
        node = replace(node, drain=event.drain, blockers=(), drain_deadline_time_ms=None)
        book.put_node(node)
        reason = f"NODE_{event.drain.name}" if event.drain is not Drain.NONE else "NODE_OPEN"
        book.note(node.name, reason, f"by request; {_ENDED}" if ends else "by request")
        book.capacity_changed()
    if node.drain is Drain.DRAINING and event.deadline_ms is not None:
        node = replace(node, drain_deadline_time_ms=book.wall_ms + event.deadline_ms)
        book.put_node(node)
    _advance(book, node)
    now = book.node_now(book.nodes[node.id])
    book.answer(event.token, replace(now, blockers=(_ENDED,)) if ends else now)


def _look_for_room(book: Book, node: Node, *, stops: bool) -> None:
    """Raises a Refusal where jobs that are to leave have nowhere to go, each beside the others.

    A job that a move would cost its work is waited for, unless a deadline `stops` it.
    """
    see_nodes(book)
    with Trial(book.snapshot) as trial:
        stay = _without_room(book, node, trial, stops=stops)
    if not stay:
        return
    named = "; ".join(f"{job.name} has nowhere to go{_beside(book, job)}: {why}" for job, why in stay[:_NAMED])
    more = f"; and {len(stay) - _NAMED} more" if len(stay) > _NAMED else ""
    message = (
        f"{node.id} stays as it was: {named}{more}. Make room elsewhere, or cancel them; with --force they stay until "
        "there is room, or until the deadline"
    )
    jobs = ",".join(job.id for job, _ in stay)
    raise Refusal(Code.FAILED_PRECONDITION, "NO_ROOM_ELSEWHERE", message, node=node.id, jobs=jobs)


def _beside(book: Book, job: Job) -> str:
    """Of a job that would have a place by itself, what is in its way there."""
    is_alone = not job.gang and isinstance(moves.elsewhere(book, job), Place)
    return " beside those that leave with it" if is_alone else ""


def _without_room(book: Book, node: Node, trial: Trial, *, stops: bool) -> list[tuple[Job, str]]:
    stay, rooms = [], gangs.Rooms(book, trial, node.id)
    for job in book.jobs_at(node.id):
        if job.node != node.id or job.migration is not None or job.state not in _HERE or _about_to_end(book, job):
            continue
        if not stops and moves.level(job) is Level.RESTART:
            continue
        if job.gang:
            why = rooms.waits(book.jobs[job.gang])
            stay += [(job, why)] if why else []
            continue
        found = moves.elsewhere(book, job)
        if isinstance(found, Place):
            rooms.takes(job, found)
        else:
            stay.append((job, found.removeprefix("waits: ")))
    return stay


def ticked(book: Book) -> None:
    """Goes on with the drains under way."""
    for node in list(book.draining):
        _advance(book, book.nodes[node])


def _advance(book: Book, node: Node) -> None:
    if node.drain is not Drain.DRAINING:
        return
    blockers = tuple(text for job in book.jobs_at(node.id) if (text := _made_to_leave(book, node, job)))
    done = not blockers and book.occupied.get(node.id) is False and node.state is NodeState.READY
    after = replace(node, blockers=blockers)
    if done:
        after = replace(after, drain=Drain.DRAINED, drain_deadline_time_ms=None)
    if after != node:
        book.put_node(after)
        if done:
            book.note(node.name, "NODE_DRAINED", "reports that nothing is left")


def _made_to_leave(book: Book, node: Node, job: Job) -> str:
    """Has a job leave the node as gently as it can; while it is there, what keeps it, in a sentence."""
    move = job.migration
    if move is not None and move.target == node.id and move.state is MigrationState.PREFETCHING:
        moves.give_up(book, job, f"{node.id}, where it was to go, is being drained")
        return ""
    if job.node == node.id and node.state is NodeState.READY and moves.has_to_be_gone(book, node):
        return _asked_to_leave(book, job)
    if move is not None:
        return f"{job.name} is moving to {move.target}" if move.source == node.id else f"{job.name} is coming"
    return _moved_away(book, job, stops=node.drain_deadline_time_ms is not None)


def _asked_to_leave(book: Book, job: Job) -> str:
    """At the deadline: the job saves and leaves, and then goes on where there is room."""
    move = job.migration
    if job.state is JobState.RUNNING and move is not None and move.state is MigrationState.PREFETCHING:
        # It has a place to go; what was not brought there yet is brought while it stands still.
        moves.freeze(book, job, ())
    elif job.state in _HERE:
        job = aborted(job, book.wall_ms, f"{job.node} has to be empty: its drain is at its deadline")
        book.put(moved(job, JobState.FREEZING, reason="its node's drain is at its deadline"))
        book.note(job.name, "JOB_STOPPED", f"{job.node}'s drain is at its deadline: it is asked to save and leave")
    elif job.state is JobState.CANCELLING:
        return f"{job.name} is {job.state.name}"
    return f"{job.name} was asked to save and leave"


def _moved_away(book: Book, job: Job, *, stops: bool) -> str:
    """Moves a job away if it can be; what keeps it, in a sentence."""
    if job.state is not JobState.RUNNING:
        return f"{job.name} is {job.state.name}"
    why = _about_to_end(book, job)
    if why:
        return f"{job.name} is let end: {why}"
    if moves.level(job) is Level.RESTART:
        # Nobody moves a task of a gang by hand.
        ways = f"Cancel jobs/{job.gang}, or wait for it" if job.gang else "Move it by hand, cancel it, or wait for it"
        what = "At the deadline it is stopped, and begins anew" if stops else ways
        return f"{job.name} has no `checkpoint:`; a move would lose its work. {what}"
    if job.gang:
        kept = gangs.leaves(book, job, f"{job.node} is being drained", node=job.node)
        return kept or f"jobs/{job.gang} was asked to save and leave"
    try:
        moves.movable(book, job)
    except Refusal as refusal:
        return refusal.message
    place = moves.elsewhere(book, job)
    if not isinstance(place, Place):
        return f"{job.name} has nowhere to go: {place.removeprefix('waits: ')}"
    moves.begin(book, job, place)
    return f"{job.name} is moving to {place.node}"


def _about_to_end(book: Book, job: Job) -> str:
    return book.endings.about(job, wall_ms=book.wall_ms)
