"""Those who wait whose turn is before a job's, and what is left for it once they have begun. A still is asked."""

from collections.abc import Callable, Mapping, Sequence

from controller.core import backoff, precedence
from controller.core.asking import once_asked, places_by
from controller.core.backfill import Kept
from controller.core.book import Book
from controller.core.fairness import rank
from controller.core.keeping import one_of
from controller.core.order import in_order
from controller.core.placement.demand import demand_of
from controller.core.placement.fit import Place, Usage, fit
from controller.core.placement.names import name_of
from controller.core.placement.trial import Trial
from controller.core.projects import NOTHING
from headrace.jobs import Job, JobState
from headrace.projects import Amount

# So many of them are asked where they would begin.
MOST_ASKED = 16


def before(book: Book, job: Job) -> list[Job]:
    """The jobs that wait whose turn comes first, in their order."""
    queued = (one for one in book.jobs.values() if one.state is JobState.QUEUED)
    waiting = [one for one in queued if one.waits_for_place and not one.gang and one.name != job.name]
    if all(one.spec.project == job.spec.project for one in waiting):
        own = rank(job)
        return sorted((one for one in waiting if rank(one) < own), key=rank)
    ordered = in_order(book, [*waiting, job])
    return ordered[: next(number for number, one in enumerate(ordered) if one.id == job.id)]


def after_them(book: Book, job: Job, is_helped: Callable[[Job], bool]) -> tuple[tuple[Place, ...], Amount]:
    """Where a job would begin once those before it have that begin by the same change, which `is_helped` tells of each.

    And what those would have. Nowhere, where more than a few would have to be asked; or where one that would still find
    no place may have room kept for it there.
    """
    projects, held = book.projects, book.projects.held
    # Those before it have asked long ago.
    tables = once_asked(book, job)
    total, asked, fruitless = NOTHING, 0, dict[tuple[object, ...], Job]()
    begun = dict[str, list[Job]]()
    with Trial(book.snapshot) as trial:
        try:
            for one in before(book, job):
                if not is_helped(one) or _shape(book, one) in fruitless or backoff.pause(one, now_wall_ms=book.wall_ms):
                    continue
                asked += 1
                if asked > MOST_ASKED:
                    return (), total
                there = places_by(book, tables, one)
                if isinstance(there, str):
                    fruitless[_shape(book, one)] = one
                    continue
                for place in there:
                    trial.place(one, place)
                    begun.setdefault(place.node, []).append(one)
                more = precedence.amount(book, [one_of(book, one)] * len(there), there)
                total = total.plus(more)
                project = one.spec.project
                projects.held = {**projects.held, project: projects.held.get(project, NOTHING).plus(more)}
            found = places_by(book, tables, job)
        finally:
            projects.held = held
    if isinstance(found, str) or any(_may_be_kept(book, one, job, found, begun) for one in fruitless.values()):
        return (), total
    return found, total


def _may_be_kept(book: Book, head: Job, job: Job, places: Sequence[Place], begun: Mapping[str, list[Job]]) -> bool:
    """Whether room for one that finds no place may be kept from a job at one of these, once others have begun there."""
    for node in dict.fromkeys(place.node for place in places):
        there = [*book.jobs_at(node), *begun.get(node, ())]
        ends = any(book.jobs.get(one.gang, one).spec.timeouts.run_ms is not None for one in there)
        kept = Kept((node,), (), book.wall_ms if ends else None)
        if precedence.holds_against(book, kept, head, job) and isinstance(
            fit(one_of(book, head), book.snapshot.nodes[book.snapshot.slots[node]], Usage(), now_wall_ms=book.wall_ms),
            Place,
        ):
            return True
    return False


def _shape(book: Book, job: Job) -> tuple[object, ...]:
    """Where one of these has no place, none has."""
    name = name_of(job.spec)
    return demand_of(job), job.exclusions, job.spec.project, name if name in book.snapshot.whereabouts.shunned else None
