"""Those who wait whose turn is before a job's, and what is left for it once they have begun. A still is asked."""

from collections.abc import Callable, Collection, Iterable, Mapping, Sequence

from controller.core import backoff, precedence
from controller.core.affordable import affordable
from controller.core.arrays import folded_count
from controller.core.asking import once_asked, places_by
from controller.core.backfill import Scene, delays, earliest
from controller.core.book import Book
from controller.core.fairness import rank
from controller.core.keeping import one_of, scene
from controller.core.order import in_order
from controller.core.placement.demand import demand_of
from controller.core.placement.fit import Place, Usage
from controller.core.placement.names import name_of
from controller.core.placement.tables import Tables
from controller.core.placement.trial import Trial
from controller.core.projects import NOTHING
from headrace.changes import replace
from headrace.jobs import Job, JobState
from headrace.nodes import Node
from headrace.projects import Amount

# So many of them are asked where they would begin.
MOST_ASKED = 16

# Those that have begun by a change, by their nodes.
_Begun = Mapping[str, list[tuple[Job, Place]]]


def before(book: Book, job: Job) -> list[Job]:
    """The jobs that wait whose turn comes first, in their order."""
    waiting = _others(book, job)
    if all(one.spec.project == job.spec.project for one in waiting):
        own = rank(job)
        return sorted((one for one in waiting if rank(one) < own), key=rank)
    ordered = in_order(book, [*waiting, job])
    return ordered[: next(number for number, one in enumerate(ordered) if one.id == job.id)]


def _others(book: Book, job: Job) -> list[Job]:
    queued = (one for one in book.jobs.values() if one.state is JobState.QUEUED)
    return [one for one in queued if one.waits_for_place and not one.gang and one.name != job.name]


def _may_be_before(book: Book, job: Job) -> list[Job]:
    """All that wait but those of its project that come after it; of one that was not submitted yet, these as well.

    Whose turn it is of several projects' jobs hangs on which of them are looked at together, and that is not known.
    """
    is_known, own = job.id in book.jobs, rank(job)
    others = _others(book, job)
    return in_order(
        book, [one for one in others if not is_known or one.spec.project != job.spec.project or rank(one) < own]
    )


def in_any_order(book: Book, job: Job, is_helped: Callable[[Job], bool]) -> tuple[Place, ...]:
    """Where a job would begin by a change that others have at once, whoever of them comes before it (see `after_them`).

    Room that is kept for others may be kept elsewhere by that change.
    """
    found, _ = after_them(book, job, is_helped, before(book, job), are_moving=True)
    if not found:
        return ()
    behind, _ = after_them(book, job, is_helped, _may_be_before(book, job), are_moving=True)
    return found if behind == found else ()


def in_its_turn(book: Book, job: Job) -> tuple[Place, ...]:
    """Where a job that waits begins now, once those have that are before it; nowhere, where that is not certain."""
    return after_them(book, job, lambda _: True)[0]


def folded_before(book: Book, job: Job) -> list[tuple[Job, int]]:
    """Arrays of its project with elements that have no record yet and their turn before the job's, and how many.

    How many of another project's come before it is told by shares, which change with each that begins.
    """
    own, found = rank(job), list[tuple[Job, int]]()
    for array in book.jobs.values():
        if not array.is_array or array.ended or array.waits_for or array.spec.project != job.spec.project:
            continue
        its = rank(array)
        # Of those that came at one time the lower numbers go first: of its own array, too.
        end = array.spec.element_count if its[:2] < own[:2] else job.array_index if its[:2] == own[:2] else 0
        count = folded_count(array, end)
        if count:
            found.append((array, count))
    return found


def after_them(
    book: Book,
    job: Job,
    is_helped: Callable[[Job], bool],
    ordered: Sequence[Job] | None = None,
    *,
    are_moving: bool = False,
) -> tuple[tuple[Place, ...], Amount]:
    """Where a job would begin once those before it have that begin by the same change, which `is_helped` tells of each.

    Those before it are those of `ordered`, where that is given. With `are_moving` room is kept elsewhere by the change.

    And what those would have. Nowhere, where more than a few would have to be asked; or where room may be kept there
    for another, one that would still find no place or one that has it elsewhere now.
    """
    projects, held = book.projects, book.projects.held
    # Those before it have asked long ago.
    tables = once_asked(book, job)
    total, asked, fruitless = NOTHING, 0, dict[tuple[object, ...], Job]()
    begun = dict[str, list[tuple[Job, Place]]]()
    with Trial(book.snapshot) as trial:
        try:
            ordered = before(book, job) if ordered is None else ordered
            for number, one in enumerate(ordered):
                if not is_helped(one) or _shape(book, one) in fruitless or backoff.pause(one, now_wall_ms=book.wall_ms):
                    continue
                asked += 1
                if asked > MOST_ASKED:
                    return (), total
                there = _places(book, tables, one, ordered[:number], begun)
                if isinstance(there, str):
                    fruitless[_shape(book, one)] = one
                    continue
                if _are_in_doubt(book, one, there, fruitless.values(), begun, are_moving=are_moving):
                    return (), total
                for place in there:
                    trial.place(one, place)
                    begun.setdefault(place.node, []).append((one, place))
                more = precedence.amount(book, [one_of(book, one)] * len(there), there)
                total = total.plus(more)
                project = one.spec.project
                projects.held = {**projects.held, project: projects.held.get(project, NOTHING).plus(more)}
            found = _places(book, tables, job, ordered, begun)
            if isinstance(found, str) or _are_in_doubt(
                book, job, found, fruitless.values(), begun, are_moving=are_moving
            ):
                return (), total
        finally:
            projects.held = held
    return found, total


def _places(book: Book, tables: Tables, job: Job, earlier: Iterable[Job], begun: _Begun) -> tuple[Place, ...] | str:
    """Where a job would begin; nowhere (empty) where that hangs on whose turn is first of it and other projects' jobs.

    Their order is one of those that are looked at together, which are not known.
    """
    heads = [one for one in book.turns.kept if one not in _started(begun)]
    own = [one.id for one in earlier if one.id in heads and one.spec.project == job.spec.project]
    others = [one for one in heads if book.jobs[one].spec.project != job.spec.project]
    found = places_by(book, tables, job, own)
    if not others:
        return found
    behind = places_by(book, tables, job, [*others, *own])
    return behind if found == behind or (isinstance(found, str) and isinstance(behind, str)) else ()


def _are_in_doubt(
    book: Book, job: Job, places: Sequence[Place], fruitless: Iterable[Job], begun: _Begun, *, are_moving: bool
) -> bool:
    """Whether room may be kept there for others, of which it is not known where it will be once others have begun."""
    kept = book.turns.kept
    # It is looked for anew where others have begun.
    heads = book.turns.before
    moving = [book.jobs[one] for one in heads if are_moving or not begun.keys().isdisjoint(kept[one].counts)]
    return not places or any(_is_harmed(book, one, job, places, begun) for one in (*fruitless, *moving))


def _started(begun: _Begun) -> set[str]:
    return {one.id for some in begun.values() for one, _ in some}


def _is_harmed(book: Book, head: Job, job: Job, places: Sequence[Place], begun: _Begun) -> bool:
    """Whether room for one that finds no place would be kept from a job at one of these, once others have begun.

    Where it is kept on another node, or for one of several tasks, that is not looked at: it may be here.
    """
    less = affordable(book, head)
    if book.projects.over_quota(less.spec.project, book.projects.expected(less)):
        return False
    precedence.begin_with(book, head)
    started = _started(begun)
    book.turns.before = [one for one in book.turns.before if one not in started]
    nodes = [book.snapshot.nodes[book.snapshot.slots[name]] for name in dict.fromkeys(place.node for place in places)]
    seen, task = _scene(book, head, nodes, begun), one_of(book, less)
    tasks = [one_of(book, job)] * len(places)
    for node in nodes:
        kept = earliest([task], seen, [node])
        if kept is None or not precedence.holds_against(book, kept, head, job):
            continue
        if head.is_gang or delays(kept, task, tasks, places, seen):
            return True
    return False


def _scene(book: Book, head: Job, nodes: Sequence[Node], begun: _Begun) -> Scene:
    """These nodes as they are for one that waits once others have begun, and as they are tried in the snapshot."""
    seen, snapshot = scene(book, head), book.snapshot

    def usage(node: Node, gone: Collection[str]) -> Usage:
        held = seen.usage(node, gone)
        for one, place in begun.get(node.id, ()):
            if one.id not in gone:
                held = held.plus(one.spec, place.devices)
        # Who is tried to keep apart no more.
        still = snapshot.usages[snapshot.slots[node.id]].shunned
        return replace(held, shunned=tuple(name for name in held.shunned if name in still))

    def jobs_at(node: str) -> list[Job]:
        return [*book.jobs_at(node), *{one.id: one for one, _ in begun.get(node, ())}.values()]

    return replace(seen, nodes={node.id: node for node in nodes}, jobs_at=jobs_at, usage=usage)


def _shape(book: Book, job: Job) -> tuple[object, ...]:
    """Where one of these has no place, none has."""
    name = name_of(job.spec)
    return demand_of(job), job.exclusions, job.spec.project, name if name in book.snapshot.whereabouts.shunned else None
