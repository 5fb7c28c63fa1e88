"""What each node is for a job: whether it fits there, or why not, and for how long it would run."""

from controller.core.book import Book
from controller.core.placement.fit import Place, Usage, bound, fit
from controller.core.placement.learned import Foretold
from headrace.jobs import Candidate, Job
from headrace.nodes import Node


def candidates(book: Book, job: Job) -> tuple[Candidate, ...]:
    """Those that fit first, the best of them first; then by name. Changes nothing."""
    foretold = Foretold(job.spec, book.past_runs.all(), book.nodes)
    found = [_candidate(book, job, node, foretold) for node in sorted(book.nodes.values(), key=lambda node: node.id)]
    # As fit.choose chooses: the highest score, and of equals the first name.
    fitting = sorted((one for one in found if one[1] is not None), key=lambda one: one[1] or (), reverse=True)
    return tuple(one for one, _ in (*fitting, *(one for one in found if one[1] is None)))


def _candidate(book: Book, job: Job, node: Node, foretold: Foretold) -> tuple[Candidate, tuple[float, ...] | None]:
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
    return candidate, offered.score if isinstance(offered, Place) else None
