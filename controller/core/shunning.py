"""Who keeps a job away from nodes by keeping apart from those of its name, and what would be if one did not."""

from collections.abc import Iterator

from controller.core import assignments
from controller.core.asking import places
from controller.core.book import Book
from controller.core.placement.fit import Place
from controller.core.placement.names import kept_apart, name_of
from controller.core.placement.trial import Trial
from controller.core.those_before import after_them
from controller.core.turn_changes import change
from headrace.changes import replace
from headrace.explanations import Change
from headrace.jobs import Job

# So many of those that keep apart from it are tried.
MOST_TRIED = 5


def keepers(book: Book, job: Job, node: str) -> list[str]:
    """The ids of those that are on a node, or come there, and keep apart from it: of gangs and arrays, theirs.

    Of its own array, those of the elements.
    """
    own_array, found = job.id if job.is_array else job.array, dict[str, None]()
    for one in book.jobs_at(node):
        owner = one.gang or one.array or one.id
        if job.id not in (one.id, one.gang) and name_of(job.spec) in kept_apart(one.spec):
            found[one.id if own_array and owner == own_array else owner] = None
    return list(found)


def changes(book: Book, job: Job) -> Iterator[Change]:
    """Which one other job keeps it waiting, without whose `apart_from` it would start. A still is as it was then."""
    slots = book.snapshot.whereabouts.shunned.get(name_of(job.spec), {})
    tried: dict[str, None] = {}
    for slot in list(slots):
        others = keepers(book, job, book.snapshot.nodes[slot].id)
        # Elements say what their array says.
        tried |= dict.fromkeys(one for one in others if not book.jobs[one].array)
        if len(tried) >= MOST_TRIED:
            break
    for owner in list(tried)[:MOST_TRIED]:
        head = book.jobs[owner]
        where = _without(book, job, head)
        if where and head.spec.neighbours is not None:
            asked = head.spec.neighbours.apart_from
            others = [one for one in asked if one != job.spec.display_name]
            yield change(book, f"{head.name} apart_from", (", ".join(asked), ", ".join(others)), where)


def _without(book: Book, job: Job, head: Job) -> tuple[Place, ...]:
    """Where it would start, if that one did not keep apart from it."""
    family = book.relations.families.get(head.id)
    its = book.tasks(head) if head.is_gang else family.live.values() if family is not None else [head]
    snapshot, name = book.snapshot, name_of(job.spec)
    with Trial(snapshot) as trial:
        for one in its:
            for node in assignments.nodes_of(one):
                usage = snapshot.usages[snapshot.slots[node]]
                shunned = list(usage.shunned)
                if name in shunned:
                    shunned.remove(name)
                    trial.hold(node, replace(usage, shunned=tuple(shunned)))
        if isinstance(places(book, job), str):
            return ()
        # Others of its name are kept away by the same.
        found, _ = after_them(book, job, lambda other: name_of(other.spec) == name)
    return found
