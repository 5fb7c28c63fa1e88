"""What is said of a job: where it fits or why not, how long it would run, what would change it, when it will start.

All but the few nodes that are shown are looked at in columns. What is asked is a still of the book (`stills`).
"""

from collections import Counter
from collections.abc import Iterator, Sequence
from typing import NamedTuple

import numpy as np

from controller.core import arrays, asking, backoff, counterfactuals, making_way, precedence, shunning
from controller.core.book import Book
from controller.core.emptied import emptied
from controller.core.outlook import FITS_NOW, Held, outlook
from controller.core.placement import reasons
from controller.core.placement.demand import demand_of
from controller.core.placement.fit import Place, Unfit, Usage, bound, fit, level
from controller.core.placement.learned import Foretold
from controller.core.placement.tables import Table
from controller.core.seen import see_nodes
from controller.core.standing import standing
from headrace.changes import replace
from headrace.explanations import Explanation, Obstacle
from headrace.ids import listed
from headrace.jobs import Candidate, Job, JobState
from headrace.nodes import Node

# Of more nodes only some are shown: the best of those that fit, and of each reason a few.
SHOWN = 12
# Of two nodes the first of these decides in which they differ; see `_Offer.merits`.
_BETTER = (
    "it runs the image natively",
    "more of `prefer` holds there",
    "it is beside others there as it asks for by near, spread or pack",
    "it has fewer devices, which this job does not need",
    "by what is known of speeds, paths and prices, the job may well be done sooner there, or be cheaper",
    "its devices are nearer to each other",
)
# Where in a score it is said how near devices are to each other.
_NEAR = 2
# And of what decides, so much comes before how soon it would be done.
_SOONEST = 4
# The id of one that has none yet: no job can have it, and of those that come in the same moment it is the last.
_NOBODY = "~"
_FITTING_SHOWN, _A_REASON_SHOWN, _OBSTACLES_SHOWN = 5, 2, 8


def explained(book: Book, job: Job) -> Explanation:
    """All that is said of a job, whether it was submitted or (one without a name) not. `book` is a still, for this."""
    see_nodes(book)
    precedence.seen_anew(book)
    known = book.jobs.get(job.id)
    whole = _that_has_a_turn(book, known or job)
    held = Held(book.turns.kept.get(whole.id), None)
    # An element that has no record yet has its place in turn all the same.
    asked = whole if job.name else _as_if_submitted(book, job)
    # With what others were asked to leave for it, if they were.
    if _waits_for_place(book, asked):
        held = held._replace(leaving=making_way.leaving(book, asked))
    stands = standing(book, job, is_to_ask=held.leaving is not None)
    asking.withdrawn(book, whole)
    empty = emptied(book, asked)
    found = Explanation(job, (), len(book.snapshot.nodes), 0, len(empty.able), standing=stands)
    if _waits_for_place(book, asked):
        paused = backoff.pause(asked, now_wall_ms=book.wall_ms)
        told = outlook(book, asked, held, empty)
        found = replace(found, outlook=told)
        if not paused:
            single = counterfactuals.changes(book, asked)
            joint = () if single else counterfactuals.joint_changes(book, asked)
            found = replace(found, changes=single, joint_changes=joint)
    table = book.tables.table(demand_of(asked), asked)
    obstacles = table.obstacles(asked, now_wall_ms=book.wall_ms)
    here = _here(job, found)
    offers = _offers(
        book, known if known is not None and known.gang else asked, _shown(book, table, asked, here), table
    )
    why = _preferred(asked, here, offers)
    return replace(
        found,
        candidates=tuple(one.candidate for one in offers),
        fitting_count=obstacles.pop("", 0),
        obstacles=tuple(_most_frequent(obstacles)),
        standing=(*why, *stands),
    )


def _that_has_a_turn(book: Book, job: Job) -> Job:
    """The gang of a task; of an array the first element that waits, and the array itself where none does."""
    if job.gang:
        return book.jobs[job.gang]
    if job.is_array and job.id in book.jobs and job.state is JobState.QUEUED and not job.waits_for:
        return arrays.first_waiting(book, job) or job
    return job


def _waits_for_place(book: Book, job: Job) -> bool:
    # All elements of an array may have places, and none of them runs yet.
    is_begun = job.is_array and job.id in book.jobs
    return job.state is JobState.QUEUED and not job.waits_for and not is_begun


def _as_if_submitted(book: Book, job: Job) -> Job:
    now_ms = book.wall_ms
    return replace(job, name=f"jobs/{_NOBODY}", create_time_ms=now_ms, queue_time_ms=now_ms)


def _codes(book: Book, table: Table) -> "np.ndarray[tuple[int], np.dtype[np.int16]]":
    return table.code[: len(book.snapshot.nodes)]


def _most_frequent(counts: Counter[str]) -> Iterator[Obstacle]:
    told = sorted(((count, text) for text, count in counts.items() if count > 0), key=lambda one: (-one[0], one[1]))
    yield from (Obstacle(reason, count) for count, reason in told[:_OBSTACLES_SHOWN])


def _here(job: Job, found: Explanation) -> str:
    """Where it is, or would start now; empty where neither is so."""
    starts = found.outlook is not None and found.outlook.basis == FITS_NOW
    return job.node or (found.outlook.nodes[0] if found.outlook is not None and starts else "")


def _shown(book: Book, table: Table, job: Job, here: str) -> list[Node]:
    """In the order in which they would be chosen, as far as the table tells; then by name."""
    snapshot = book.snapshot
    if len(snapshot.nodes) <= SHOWN:
        return sorted(snapshot.nodes, key=lambda node: node.id)
    code, key = _codes(book, table), table.key
    narrowed = table.narrowed(job, key)
    best = dict.fromkeys(np.lexsort((-key, -narrowed))[:_FITTING_SHOWN].tolist())
    best = {slot: None for slot in best if slot < len(snapshot.nodes)}
    if here in snapshot.slots:
        best[snapshot.slots[here]] = None
    found = [snapshot.nodes[slot] for slot in best if code[slot] == 0]
    others = {one: count for one, count in Counter(code.tolist()).most_common() if one}
    reasons = list(others)[: (SHOWN - len(found)) // _A_REASON_SHOWN]
    rest = [snapshot.nodes[slot] for one in reasons for slot in np.flatnonzero(code == one)[:_A_REASON_SHOWN].tolist()]
    return [*found, *sorted(rest, key=lambda node: node.id)]


class _Offer(NamedTuple):
    """A node, and the place there; none where it does not fit."""

    candidate: Candidate
    place: Place | None
    # Whether it would be done there as soon as at any of the places of this level, or nearly so, as far as is known.
    is_soonest: bool = True
    millis: float = 0.0
    # How even, or how close, those of the job's name are with it there.
    company: float = 0.0

    def merits(self, place: Place) -> tuple[float, ...]:
        """What decides on it, but for what it costs the others and how idle the node is."""
        native, liked, spared = level(place)
        return native, liked, self.company, spared, self.is_soonest, place.score[_NEAR]


def _preferred(job: Job, here: str, offers: Sequence[_Offer]) -> Iterator[str]:
    """Why it is here, and not on the best of the others that are shown. `offers`: those that fit come first, in order.

    Where another one is better now, nothing is said: things were others when it was placed.
    """
    fitting = [(one, one.place) for one in offers if one.place is not None]
    own = next(((one, place) for one, place in fitting if place.node == here), None)
    best = next(((one, place) for one, place in fitting if place.node != here), None)
    if own is None or best is None:
        return
    other, idle, its_idle = best[1].node, own[1].score[-1], best[1].score[-1]
    seconds = f"; in seconds, {own[0].millis / 1000:.0f} and not {best[0].millis / 1000:.0f}"
    pairs = zip(own[0].merits(own[1]), best[0].merits(best[1]), strict=True)
    for number, ((mine, its), why) in enumerate(zip(pairs, _BETTER, strict=True)):
        if mine != its:
            if mine > its:
                yield f"{here} comes before {other}: {why}{seconds if number == _SOONEST else ''}"
            return
    if job.spec.resources.accelerators is not None:
        yield f"{here} is as good as {other}, and leaves the others more room for devices, or is as good in that, too"
    elif idle >= its_idle:
        idler = "is more idle" if idle > its_idle else "comes first by its name"
        yield f"{here} is as good as {other}, and {idler}"


def _offers(book: Book, job: Job, nodes: list[Node], table: Table) -> list[_Offer]:
    foretold = Foretold(job.spec, book.learned, book.past_runs.like(job.spec), book.nodes)
    slots = np.array([book.snapshot.slots[node.id] for node in nodes], dtype=np.int64)
    beside = table.company.merits(slots).tolist() if table.company is not None else [0.0] * len(nodes)
    pairs = zip(nodes, beside, strict=True)
    found = [_offer(book, job, node, foretold)._replace(company=company) for node, company in pairs]
    return [*_ordered(book, job, found, table), *(one for one in found if one.place is None)]


def _ordered(book: Book, job: Job, found: Sequence[_Offer], table: Table) -> list[_Offer]:
    """By score, but of those that are as good those first where it is done soonest; then by name."""
    fitting = [(one, one.place) for one in found if one.place is not None]
    alike: dict[tuple[float, ...], list[int]] = {}
    for number, (one, place) in enumerate(fitting):
        alike.setdefault(one.merits(place)[:_SOONEST], []).append(number)
    lengths = table.lengths or book.lengths()
    for numbers in alike.values():
        slots = np.array([book.snapshot.slots[fitting[one][1].node] for one in numbers], dtype=np.int64)
        # Places have as many numbers for each alternative as there are variants and none.
        given = np.array([fitting[one][1].variant // (len(job.spec.variants) + 1) for one in numbers], dtype=np.int64)
        millis = lengths.millis(job, slots, given)
        for number, soonest, its in zip(numbers, lengths.is_soonest(millis).tolist(), millis.tolist(), strict=True):
            offer, place = fitting[number]
            fitting[number] = offer._replace(is_soonest=soonest, millis=its), place
    ranked = [((*one.merits(place), *place.score), one) for one, place in fitting]
    return [one for _, one in sorted(ranked, key=lambda pair: pair[0], reverse=True)]


def _told(book: Book, job: Job, found: Unfit) -> str:
    """Why a node is no place for it, and whose doing that is."""
    if found.reason != reasons.SHUNNED:
        return found.reason
    return f"{found.reason}: {listed(shunning.keepers(book, job, found.node))}"


def _offer(book: Book, job: Job, node: Node, foretold: Foretold) -> _Offer:
    # The job itself is not in its own way.
    offered = fit(job, node, book.usage(node.id, without=job.id), now_wall_ms=book.wall_ms)
    # For how long it would run is told of a node that is full, too.
    place = offered if isinstance(offered, Place) else fit(job, node, Usage(), now_wall_ms=book.wall_ms)
    if not isinstance(place, Place):
        return _Offer(Candidate(node.id, place.reason), None)
    estimate = foretold.at(bound(job.spec, place.variant), place)
    candidate = Candidate(
        node=node.id,
        reason="" if isinstance(offered, Place) else _told(book, job, offered),
        platform=place.platform,
        devices=place.devices if isinstance(offered, Place) else (),
        run_millis=estimate.millis if estimate is not None else None,
        run_basis=estimate.basis if estimate is not None else "",
    )
    return _Offer(candidate, offered if isinstance(offered, Place) else None)
