"""What each node is for a job: whether it fits there, or why not, and for how long it would run."""

from controller.core.book import Book
from controller.core.placement.fit import Place, Usage, bound, fit, level
from controller.core.placement.learned import Foretold
from headrace.jobs import Candidate, Job
from headrace.nodes import Node


def candidates(book: Book, job: Job) -> tuple[Candidate, ...]:
    """Those that fit first, the best of them first; then by name. Changes nothing."""
    foretold = Foretold(job.spec, book.learned, book.past_runs.like(job.spec), book.nodes)
    found = [_candidate(book, job, node, foretold) for node in sorted(book.nodes.values(), key=lambda node: node.id)]
    return (*_ordered(book, job, found), *(one for one, place in found if place is None))


def _ordered(book: Book, job: Job, found: list[tuple[Candidate, Place | None]]) -> list[Candidate]:
    """By score, but of those that are as good those first where it is done soonest; then by name."""
    fitting = [(one, place) for one, place in found if place is not None]
    speeds = book.learned.speeds(job.spec, [place for _, place in fitting])
    millis = [1000 / one.optimistic if one is not None else None for one in speeds]
    numbers = book.policy.improving
    best: dict[tuple[float, ...], float] = {}
    for (_, place), its in zip(fitting, millis, strict=True):
        if its is not None:
            best[level(place)] = min(its, best.get(level(place), its))
    ranked = []
    for (one, place), its in zip(fitting, millis, strict=True):
        least = best.get(level(place), 0.0)
        most = max(least * numbers.reluctance.gain_ratio, least + numbers.matters_ms)
        ranked.append(((*level(place), its is None or its <= most, *place.score), one))
    return [one for _, one in sorted(ranked, key=lambda pair: pair[0], reverse=True)]


def _candidate(book: Book, job: Job, node: Node, foretold: Foretold) -> tuple[Candidate, Place | None]:
    # The job itself is not in its own way.
    offered = fit(job, node, book.usage(node.id, without=job.id), now_wall_ms=book.wall_ms)
    # For how long it would run is told of a node that is full, too.
    place = offered if isinstance(offered, Place) else fit(job, node, Usage(), now_wall_ms=book.wall_ms)
    if not isinstance(place, Place):
        return Candidate(node.id, place.reason), None
    estimate = foretold.at(bound(job.spec, place.variant), place)
    candidate = Candidate(
        node=node.id,
        reason="" if isinstance(offered, Place) else offered.reason,
        platform=place.platform,
        devices=place.devices if isinstance(offered, Place) else (),
        run_millis=estimate.millis if estimate is not None else None,
        run_basis=estimate.basis if estimate is not None else "",
    )
    return candidate, offered if isinstance(offered, Place) else None
