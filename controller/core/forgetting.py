"""A node that is gone for good is forgotten: nothing is known of it any more, and one of that name is simply new."""

from typing import Any

from controller.core import keeping, preempting
from controller.core.book import Book
from controller.core.model import ForgetAsked
from controller.core.placement.arrivals import Arrivals
from controller.core.placement.tables import Tables
from headrace.changes import replace
from headrace.nodes import Node
from headrace.refusals import Code, Refusal

# How many jobs a refusal names.
_NAMED = 5


def asked(book: Book, event: ForgetAsked) -> None:
    """Answers an operator: with the node as it was last, or only its name where nothing is known of it."""
    node = book.nodes.get(event.node)
    if node is None:
        # Asked twice, it is still done. Only its whole name means it: shortened, it may be another's by then.
        book.answer(event.token, Node(name=f"nodes/{event.node}", forgotten=True))
        return
    refusal = _may_be_there(book, node) or _has_jobs(book, node)
    if refusal is not None:
        book.answer(event.token, refusal)
        return
    gone = replace(node, forgotten=True)
    book.put_node(gone)
    book.note(node.name, "NODE_FORGOTTEN", "by request")
    # An agent that comes to itself with its stream still open begins another session.
    message = f"node {node.id} was forgotten; if it is there after all, it is taken for a new one"
    book.reject(node.id, node.session, Refusal(Code.ABORTED, "NODE_FORGOTTEN", message))
    _let_go(book, node.id)
    book.answer(event.token, gone)


def _may_be_there(book: Book, node: Node) -> Refusal | None:
    """A node that was heard a lease ago may still do what it was told to."""
    lease_ms = book.leases.longest.node_ms
    # A controller that has just started gives every node a whole lease.
    silent_ms = book.now_ms - book.heard_ms.get(node.id, book.now_ms)
    if silent_ms > lease_ms:
        return None
    message = (
        f"{node.id} is not gone: it has been silent for {silent_ms / 1000:.0f} s, and may run jobs until that is more "
        f"than {lease_ms / 1000:.0f} s. Move its jobs away (headrace drain {node.id} --wait), end its agent, and ask "
        "again after that"
    )
    return Refusal(Code.FAILED_PRECONDITION, "NODE_IS_HEARD", message, node=node.id)


def _has_jobs(book: Book, node: Node) -> Refusal | None:
    jobs = book.jobs_at(node.id)
    if not jobs:
        return None
    named = ", ".join(f"{job.name} ({job.state.name})" for job in jobs[:_NAMED])
    more = f" and {len(jobs) - _NAMED} more" if len(jobs) > _NAMED else ""
    message = (
        f"{node.id} still has {named}{more}. Each goes on elsewhere, or has failed, once it has been silent for the "
        "job's lost_after; with `partition: keep` never: cancel those (headrace cancel JOB)"
    )
    return Refusal(Code.FAILED_PRECONDITION, "NODE_HAS_JOBS", message, node=node.id)


def _let_go(book: Book, node: str) -> None:
    """Takes it out of all that is kept of nodes."""
    book.touch(node, is_another=True)
    _look_elsewhere(book, node)
    _out_of_columns(book, node)
    by_node: tuple[dict[str, Any], ...] = (
        *(book.nodes, book.heard_ms, book.written_ms, book.left_ms, book.newest, book.occupied),
        *(book.draining, book.stale, book.read_anew, book.turns.touched),
    )
    for kept in by_node:
        kept.pop(node, None)
    for drift in [one for one in book.drifting_since_ms if one[0] == node]:
        del book.drifting_since_ms[drift]
    book.told_nothing(node)
    book.leases.forget(node)
    book.projects.yardstick.forget(node)
    # Why others wait is told with one node less.
    book.node_changed()


def _look_elsewhere(book: Book, node: str) -> None:
    """Nobody has room kept there, or waits for it, any more."""
    turns = book.turns
    for job in [one for one, kept in turns.kept.items() if node in kept.counts]:
        keeping.give_up(book, job)
    for job in [one for one, claim in turns.claims.items() if node in claim.nodes]:
        preempting.end_claim(book, job)
    for job in [one for one, patience in turns.patience.items() if node in patience.kept.counts]:
        del turns.patience[job]
    for checked in turns.checked.values():
        checked.pop(node, None)
    turns.departures.forget(node)


def _out_of_columns(book: Book, node: str) -> None:
    """The last node of the snapshot has its slot from now on; what goes by slots begins anew, as when a node joins."""
    slot, last = book.snapshot.slots.get(node), len(book.snapshot.nodes) - 1
    if slot is None:
        return
    moved = book.snapshot.nodes[last].id
    book.snapshot.forget(node)
    book.costs.forget(slot, last)
    book.arrivals = Arrivals(book.snapshot, book.foresight.paths)
    book.tables = Tables(book.snapshot, book.costs, book.lengths)
    book.turns.able.clear()
    book.turns.asked.clear()
    book.queue.gained = {slot if one == last else one: None for one in book.queue.gained if one != slot}
    # What its jobs have of it is read anew, for where it is now.
    book.touch(moved)
