"""Has jobs leave so that others find room: they save first, go on elsewhere if there is room, and wait again if not."""

from collections.abc import Iterable

import numpy as np

from controller.core import backoff, gangs, keeping, moves, precedence
from controller.core.affordable import affordable
from controller.core.book import Book
from controller.core.fairness import behind, rank
from controller.core.model import moved
from controller.core.placement.demand import Demand, demand_of
from controller.core.placement.fit import Place, bound
from controller.core.placement.lengths import NOWHERE
from controller.core.preemption import Victim
from controller.core.turns import Claim
from controller.core.whom_to_ask import is_ready, sought
from headrace.changes import replace
from headrace.jobs import Job, JobSpec, JobState
from headrace.nodes import Drain, NodeState

# For so many jobs, or tasks of gangs, others are asked at an event: with many nodes each takes twenty milliseconds or
# so, and other events wait for that long.
ASKED_AT_ONCE = 2


def settled(book: Book) -> None:
    """At the end of an event: makes room for the first ones of the jobs that may have others leave."""
    turns = book.turns
    # Who was put out of its line, as others are kept apart from it now, has another one.
    book.queue.group()
    for job_id, claim in [(one, claim) for one, claim in turns.claims.items() if claim.until_ms <= book.now_ms]:
        if _are_still_leaving(book, claim):
            # To save takes as long as it takes. To ask others meanwhile would stop one after the other.
            turns.claims[job_id] = replace(claim, until_ms=book.now_ms + book.policy.preemption_rest_ms)
            continue
        # What was to leave did not, or its node is no longer good for the job.
        end_claim(book, job_id)
    if turns.asking and keeping.may_look(book, keeping.ASKING) and is_ready(book):
        _ask(book)


def _ask(book: Book) -> None:
    turns, left = book.turns, ASKED_AT_ONCE
    while turns.asking and left > 0:
        job = book.jobs.get(next(iter(turns.asking)))
        del turns.asking[next(iter(turns.asking))]
        if job is None or job.state is not JobState.QUEUED:
            continue
        left -= job.spec.task_count if job.is_gang else 1
        turns.rests_until_ms[job.id] = book.now_ms + book.policy.preemption_rest_ms
        found = sought(book, job)
        if found is not None and found[0]:
            _make_room(book, job, *found)
            # The next one of a line need not wait until the one before it has its place.
            precedence.next_asks(book, job)


def end_claim(book: Book, job: str) -> None:
    """What others were asked to leave for a job is kept for it no more."""
    _unclaimed(book, job)
    book.turns.rests_until_ms[job] = book.now_ms + book.policy.preemption_rest_ms


def would_leave(book: Book, job: Job) -> tuple[tuple[Victim, ...], tuple[Place, ...]] | None:
    """Who would be asked to leave if the job were looked at now and found no place, and where it would be then.

    A still is asked, and nobody is told. None also of a job before which others of its line are to ask.
    """
    if not precedence.may_ask(book, job) or _is_behind_its_line(book, job):
        return None
    if not is_ready(book):
        # To read all of it would take seconds, for each that asks. It is read as jobs wait.
        return None
    found = sought(book, job)
    return found if found is not None and found[0] else None


def _is_behind_its_line(book: Book, job: Job) -> bool:
    if job.is_gang:
        return False
    own, spec = rank(job), job.spec
    for one in book.jobs.values():
        if one.state is not JobState.QUEUED or one.spec.project != spec.project or one.id == job.id:
            continue
        if one.spec.resources != spec.resources or one.is_gang or not one.waits_for_place or rank(one) > own:
            continue
        is_of_line = demand_of(one) == demand_of(job) and one.exclusions == job.exclusions
        if is_of_line and one.id not in book.turns.claims and backoff.until_ms(one) <= book.wall_ms:
            return True
    return False


def _are_still_leaving(book: Book, claim: Claim) -> bool:
    """Whether one of those that were asked is still about to, and all nodes are as good for the job as they were."""
    if not all(_takes_jobs(book, node) for node in claim.nodes):
        return False
    asked = [book.jobs[one] for one in claim.leaving if one in book.jobs]
    return any(one.state is JobState.FREEZING and one.node in claim.nodes for one in asked)


def _takes_jobs(book: Book, name: str) -> bool:
    node = book.nodes[name]
    return node.state is NodeState.READY and node.engine.reachable and node.drain is Drain.NONE


def _make_room(book: Book, job: Job, victims: tuple[Victim, ...], places: tuple[Place, ...]) -> None:
    late = [one.id for one in victims if one.is_claim]
    for one in late:
        _give_up(book, one)
    victims = tuple([one for one in victims if not one.is_claim])
    leave = [book.jobs[one.id] for one in victims]
    grace_ms = grace_of(book, leave, places)
    # An agent that hears of it late ends them late.
    until_ms = book.now_ms + grace_ms + 2 * book.leases.longest.node_ms
    leaving = (*(task for one in victims for task in one.tasks), *(one.id for one in _leaving_these(book, places)))
    nodes, specs = zip(*((place.node, bound(job.spec, place.variant)) for place in places), strict=True)
    at: dict[str, list[JobSpec]] = {}
    for node, spec in zip(nodes, specs, strict=True):
        at.setdefault(node, []).append(spec)
    book.turns.claims[job.id] = Claim(nodes, specs, at, until_ms, leaving)
    for node in at:
        book.touch(node)
    elsewhere = Elsewhere(book)
    for victim, other in zip(victims, leave, strict=True):
        why = f"{job.name} has its project's own back" if victim.borrower else f"{job.name} is more urgent"
        book.note(other.name, "JOB_PREEMPTED", f"asked to save and leave: {why}")
        asked = replace(other, preemptor=job.id)
        if not victim.borrower:
            # If it waited for long, its turn may be the first. It would have its room back, and be asked again.
            asked = behind(replace(asked, preemption_count=asked.preemption_count + 1), job)
        leaves(book, asked, f"had to leave: {why}", elsewhere)
    for one in late:
        # At once: what has been left for it would be another's until it asked again.
        found = sought(book, book.jobs[one])
        if found is not None:
            _make_room(book, book.jobs[one], *found)


def grace_of(book: Book, leave: Iterable[Job], places: Iterable[Place]) -> int:
    """For how long at most these may take to leave, and those that leave the nodes of these places anyway."""
    return max([one.spec.grace_ms for one in (*leave, *_leaving_these(book, places))], default=0)


def _leaving_these(book: Book, places: Iterable[Place]) -> list[Job]:
    nodes = dict.fromkeys(place.node for place in places)
    return [one for node in nodes for one in book.jobs_at(node) if one.state is JobState.FREEZING and one.node == node]


def _give_up(book: Book, job: str) -> None:
    """What others leave for the job is another's whose turn is before."""
    _unclaimed(book, job)
    book.queue.due(job)


def _unclaimed(book: Book, job: str) -> None:
    for node in book.turns.claims.pop(job).at:
        book.touch(node)
    book.capacity_changed()


class Elsewhere:
    """Where those go on that leave in one event, in which room becomes but less; not where it is kept for others."""

    def __init__(self, book: Book) -> None:
        self._book = book
        self._kept = dict.fromkeys(node for one in book.turns.kept.values() for node in one.nodes)
        # Shapes of jobs for which no node had room, whichever it is that they leave.
        self._full: dict[Demand, None] = {}

    def place(self, job: Job) -> Place | None:
        """The best place for a job but the one it has."""
        book, less = self._book, affordable(self._book, job)
        demand = demand_of(less)
        if demand in self._full:
            return None
        found = moves.elsewhere(book, job, without=self._kept)
        if isinstance(found, Place):
            return found
        kept = [book.snapshot.slots[name] for name in self._kept if name in book.snapshot.slots]
        if not (np.delete(book.tables.table(demand, less).key, kept) > NOWHERE).any():
            self._full[demand] = None
        return None


def leaves(book: Book, job: Job, reason: str, elsewhere: Elsewhere) -> None:
    """It saves and leaves; if there is room for it elsewhere, it goes on there, and what it needs there is brought.

    What it loses by that, if it saves nothing, does not count for its `timeouts.run`.
    """
    job = _without_what_is_lost(book, job)
    if job.is_gang:
        gangs.regroup(book, job, reason)
        return
    place = elsewhere.place(job) if job.state is JobState.RUNNING else None
    if place is not None:
        moves.freeze(book, moves.begin(book, job, place), ())
    else:
        book.put(moved(job, JobState.FREEZING, reason=reason))


def _without_what_is_lost(book: Book, job: Job) -> Job:
    if job.spec.checkpoint is not None or job.state is not JobState.RUNNING:
        return job
    attempts = [one.attempt for one in (book.tasks(job) if job.is_gang else [job])]
    # A gang has run since the last of its tasks has.
    begun = [one.start_time_ms for one in attempts if one is not None and one.start_time_ms is not None]
    lost_ms = max(0, book.wall_ms - max(begun, default=book.wall_ms))
    return replace(job, uncounted_ms=(job.uncounted_ms or 0) + lost_ms)
