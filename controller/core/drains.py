"""Cordons and drains: a drained node is one that reports that nothing is left."""

from dataclasses import replace

from controller.core import moves
from controller.core.book import Book
from controller.core.model import DrainAsked
from controller.core.placement.fit import Place
from headrace.jobs import Job, JobState, Level
from headrace.nodes import Drain, Node, NodeState
from headrace.refusals import Refusal


def asked(book: Book, event: DrainAsked) -> None:
    """Answers an operator."""
    try:
        node = moves.find_node(book, event.node)
    except Refusal as refusal:
        book.answer(event.token, refusal)
        return
    if node.drain is not event.drain and not (node.drain is Drain.DRAINED and event.drain is Drain.DRAINING):
        node = replace(node, drain=event.drain, blockers=())
        book.put_node(node)
        book.note(node.name, f"NODE_{event.drain.name}" if event.drain is not Drain.NONE else "NODE_OPEN", "by request")
        book.capacity_changed()
        _advance(book, node)
    book.answer(event.token, book.node_now(book.nodes[node.id]))


def ticked(book: Book) -> None:
    """Goes on with the drains under way."""
    for node in list(book.nodes.values()):
        _advance(book, node)


def _advance(book: Book, node: Node) -> None:
    if node.drain is not Drain.DRAINING:
        return
    blockers = tuple(text for job in book.jobs_at(node.id) if (text := _moved_away(book, node, job)))
    done = not blockers and book.occupied.get(node.id) is False and node.state is NodeState.READY
    after = replace(node, blockers=blockers, drain=Drain.DRAINED if done else Drain.DRAINING)
    if after != node:
        book.put_node(after)
        if done:
            book.note(node.name, "NODE_DRAINED", "reports that nothing is left")


def _moved_away(book: Book, node: Node, job: Job) -> str:
    """Moves a job away if it can be; else what keeps it, in a sentence."""
    move = job.migration
    if move is not None:
        return f"{job.name} is moving to {move.target}" if move.source == node.id else f"{job.name} is coming"
    if job.state is not JobState.RUNNING:
        return f"{job.name} is {job.state.name}"
    if moves.level(job) is Level.RESTART:
        return (
            f"{job.name} has no `checkpoint:`; a move would lose its work. Wait for it, move it by hand, or cancel it"
        )
    try:
        moves.movable(book, job)
    except Refusal as refusal:
        return refusal.message
    place = moves.elsewhere(book, job)
    if not isinstance(place, Place):
        return f"{job.name} has nowhere to go: {place}"
    moves.begin(book, job, place)
    return f"{job.name} is moving to {place.node}"
