"""Has jobs leave so that others find room: they save first, go on elsewhere if there is room, and wait again if not."""

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cache, partial

from controller.core import backoff, gangs, keeping, moves, precedence, preemption
from controller.core.book import Book
from controller.core.fairness import rank
from controller.core.model import moved
from controller.core.placement.alternatives import alone, as_asked_alone, numbered
from controller.core.placement.demand import demand_of, least
from controller.core.placement.fit import Place, Usage, bound, fit
from controller.core.placement.gang import count_at
from controller.core.preemption import Victim
from controller.core.projects import NOTHING
from controller.core.turns import Claim
from headrace.changes import replace
from headrace.jobs import Job, JobState
from headrace.nodes import Node, NodeState
from headrace.projects import Amount

_PLACED = (JobState.STARTING, JobState.RUNNING)
# After so many closer looks for one job, or so many sets that may have had to leave, one in which nobody is needless
# will do: a look takes 25 microseconds or so, a set 8.
MOST_LOOKS = 2_000
MOST_SETS = 2_000
# While others leave for so many, those of the same lines wait until they have their places.
MOST_CLAIMS = 16
# How often others are looked for where the places that were found are kept for somebody before the job.
MOST_AWAY = 4
# As whom it looks at many nodes.
_ASKING = "to ask others"


def settled(book: Book) -> None:
    """At the end of an event: makes room for the first of the jobs that may have others leave."""
    turns = book.turns
    for job_id, claim in [(one, claim) for one, claim in turns.claims.items() if claim.until_ms <= book.now_ms]:
        if _are_still_leaving(book, claim):
            # To save takes as long as it takes. To ask others meanwhile would stop one after the other.
            turns.claims[job_id] = replace(claim, until_ms=book.now_ms + book.policy.preemption_rest_ms)
            continue
        # What was to leave did not, or its node is no longer good for the job.
        for node in turns.claims.pop(job_id).nodes:
            book.touch(node)
        turns.rests_until_ms[job_id] = book.now_ms + book.policy.preemption_rest_ms
        book.capacity_changed()
    while turns.asking and keeping.may_look(book, _ASKING):
        job = book.jobs.get(next(iter(turns.asking)))
        del turns.asking[next(iter(turns.asking))]
        if job is None or job.state is not JobState.QUEUED:
            continue
        turns.rests_until_ms[job.id] = book.now_ms + book.policy.preemption_rest_ms
        found = _sought(book, job)
        if found is not None:
            _make_room(book, job, *found)
            _next_asks(book, job)
        # One at an event: to look takes long where there are many nodes.
        return


def would_leave(book: Book, job: Job) -> tuple[tuple[Victim, ...], tuple[Place, ...]] | None:
    """Who would be asked to leave if the job were looked at now and found no place, and where it would be then.

    A still is asked, and nobody is told. None also of a job before which others of its line are to ask.
    """
    if not precedence.may_ask(book, job) or _is_behind_its_line(book, job):
        return None
    return _sought(book, job)


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


def _next_asks(book: Book, job: Job) -> None:
    """The next one of a line need not wait until the one before it has its place."""
    turns = book.turns
    if len(turns.claims) < MOST_CLAIMS:
        for one in book.queue.line(job.id).first(1, without=turns.claims):
            if backoff.until_ms(book.jobs[one]) <= book.wall_ms:
                precedence.asks(book, book.jobs[one])


def _sought(book: Book, job: Job) -> tuple[tuple[Victim, ...], tuple[Place, ...]] | None:
    """The cheapest set of those that may be asked, and the places at which the job's tasks find room by that.

    Of alternatives the first tasks of a gang may have what is dear, so that of its project's quota nothing is left for
    the others: then it is looked for all of them with each alternative alone.

    Nobody leaves so that it takes what is kept for those before it.
    """
    nodes = keeping.lacking_least(book, job, book.turns.asks)
    precedence.begin_with(book, job)
    for _ in range(MOST_AWAY):
        found = _sought_among(book, job, nodes)
        # Who finds room though nobody leaves, or once those have left that do, has others leave by no means.
        if found is None or not found[0]:
            return None
        kept = precedence.kept_for_others(book, job, keeping.alike(book, job), found[1])
        if not kept:
            return found
        nodes = [node for node in nodes if node.id not in kept]
    return None


def _sought_among(book: Book, job: Job, nodes: Sequence[Node]) -> tuple[tuple[Victim, ...], tuple[Place, ...]] | None:
    found = _with_room(_Search(book, job, nodes))
    which, others = 0, alone(job) if job.is_gang else []
    while found is None and which < len(others):
        found = _with_room(_Search(book, others[which], nodes))
        if found is not None:
            victims, places = found
            found = victims, as_asked_alone(job, which, places)
        which += 1
    return found


def _with_room(search: "_Search") -> tuple[tuple[Victim, ...], tuple[Place, ...]] | None:
    if not all(map(search.found, search.tasks)):
        return None
    fewer = search.without_needless()
    return fewer.chosen, tuple(fewer.places)


@dataclass(frozen=True, slots=True)
class _Found:
    """What it costs to make room for a task at a place, and who leaves."""

    cost: float
    victims: tuple[Victim, ...]
    place: Place


class _Search:
    """Who is to leave for a job: for its tasks one after the other, each beside what was found for those before it.

    Most nodes need no closer look: what it would cost there at least is more than what it costs elsewhere.
    """

    def __init__(self, book: Book, job: Job, nodes: Sequence[Node]) -> None:
        self._book, self._job = book, job
        # What projects give back already: nothing of that changes meanwhile.
        self._given_back = cache(partial(precedence.given_back, book))
        self._asks = book.projects.expected(job)
        self._nodes = {node.id: node for node in nodes}
        self._victims = _by_node(book, job, list(self._nodes.values()), self._given_back)
        self.tasks = keeping.alike(book, job)
        self.chosen: tuple[Victim, ...] = ()
        self.places: list[Place] = []
        # What it costs at each node at least; and so where it was looked at closer, and what was found there.
        self._bounds: dict[str, float] = {}
        self._least: dict[str, float] = {}
        self._known: dict[str, _Found] = {}
        self._looks = self._sets = 0
        # By node, who leaves it anyway.
        self._leaving: dict[str, dict[str, None]] = {}
        # Whether who leaves for one task, and where it goes, decides on who may leave for the next, on whatever node.
        project = book.projects.of(job.spec.project)
        self._is_bound = book.projects.has_quotas or not project.borrows

    def found(self, task: Job) -> bool:
        """Whether there is a place for one more task, which is taken."""
        for name, node in self._nodes.items():
            if name not in self._bounds:
                self._bounds[name] = self._least[name] = self._at_least(task, node)
        best: _Found | None = None
        for name in sorted(self._least, key=lambda one: (self._least[one], one)):
            below = best.cost if best is not None else math.inf
            if self._least[name] >= below:
                break
            there = self._known.get(name) or self._at(task, self._nodes[name], below)
            if there is None:
                self._least[name] = below
            elif there.cost < below:
                best = self._known[name] = there
                self._least[name] = there.cost
        if best is None:
            return False
        self.chosen = (*self.chosen, *best.victims)
        self.places.append(best.place)
        self._forget(best)
        return True

    def without_needless(self) -> "_Search":
        """The same with fewer, where for the first tasks some were chosen that are needless since others leave, too."""
        if len(self.chosen) < 2 or len(self.tasks) < 2:
            return self
        nodes: dict[str, list[Victim]] = {place.node: [] for place in self.places}
        for victim in self.chosen:
            for name in dict.fromkeys(self._book.jobs[task].node for task in victim.tasks):
                if name in self._nodes:
                    nodes.setdefault(name, []).append(victim)
        fewer, count = _Search(self._book, self._job, [self._nodes[name] for name in nodes]), len(self.tasks)

        def room(name: str, leaving: Sequence[Victim]) -> int:
            held = fewer._usage(self._nodes[name], leaving)
            return count_at(self.tasks[0], self._nodes[name], held, count, now_wall_ms=self._book.wall_ms)

        needed = preemption.needed(self.chosen, count, nodes=nodes, room=room, most_looks=MOST_LOOKS)
        fewer.chosen, fewer._victims = needed, {}
        is_enough = len(needed) < len(self.chosen) and all(map(fewer.found, fewer.tasks))
        return fewer if is_enough else self

    def _forget(self, taken: _Found) -> None:
        leave = (self._book.jobs[task].node for victim in taken.victims for task in victim.tasks)
        for name in dict.fromkeys((taken.place.node, *leave)):
            for known in (self._bounds, self._least, self._known):
                known.pop(name, None)
        if self._is_bound:
            self._least = dict(self._bounds)
            self._known.clear()

    def _at_least(self, task: Job, node: Node) -> float:
        victims = [(one.cost, self._has(one, node)) for one in self._others(node)]
        return preemption.at_least(self._lacks(task, node), victims)

    def _lacks(self, task: Job, node: Node) -> list[int]:
        """What has to become free of a node at least: cores, memory, whole devices."""
        has, held = node.description.capacity, self._usage(node, ())
        touched = held.touched
        idle = sum(one.id not in touched for one in node.devices)
        free = (has.cpu_millis - held.cpu_millis, has.memory_bytes - held.memory_bytes, idle)
        return [max(0, wanted - left) for wanted, left in zip(least(task).in_sum, free, strict=True)]

    def _has(self, victim: Victim, node: Node) -> tuple[int, int, int]:
        """What of a node is free once it has left: cores, memory, and devices at most."""
        tasks = [self._book.jobs[one] for one in victim.tasks]
        here = [one for one in tasks if one.node == node.id]
        return (
            sum(one.spec.resources.cpu_millis for one in here),
            sum(one.spec.resources.memory_bytes for one in here),
            sum(len(one.attempt.devices) for one in here if one.attempt is not None),
        )

    def _others(self, node: Node) -> list[Victim]:
        return [one for one in self._victims.get(node.id, []) if one not in self.chosen]

    def _at(self, task: Job, node: Node, below: float) -> _Found | None:
        """Who leaves a node for a task, at a cost `below` that, and the place that it has then."""
        has = {one.id: self._has(one, node) for one in self._others(node)}
        book, lacks = self._book, self._lacks(task, node)

        def place(leaving: Sequence[Victim]) -> Place | None:
            # To have `fit` look takes much longer than this.
            if any(lack > sum([has[one.id][what] for one in leaving]) for what, lack in enumerate(lacks)):
                return None
            self._looks += 1
            held = self._usage(node, leaving)
            found = fit(task, node, held, now_wall_ms=book.wall_ms)
            if not isinstance(found, Place) or self._within_quota(found, leaving):
                return found if isinstance(found, Place) else None
            # What the node gives first may be more than there is room for in the quota, and another alternative not.
            for which, less in enumerate(alone(task)):
                instead = fit(less, node, held, now_wall_ms=book.wall_ms)
                if isinstance(instead, Place) and self._within_quota(instead, leaving):
                    return replace(instead, variant=numbered(task, which, instead.variant))
            return None

        there = place(())
        if there is not None:
            return _Found(0.0, (), there)
        chosen = preemption.cheapest(
            self._others(node),
            enough=lambda leaving: place(leaving) is not None,
            allowed=self._allowed,
            below=below,
            exact=self._looks < MOST_LOOKS and self._sets < MOST_SETS,
        )
        there = place(chosen) if chosen else None
        return _Found(sum(one.cost for one in chosen), chosen, there) if chosen and there is not None else None

    def _allowed(self, leaving: Sequence[Victim]) -> bool:
        self._sets += 1
        return preemption.gives_back_no_more_than_borrowed(
            [*self.chosen, *leaving], self._book.projects, self._asks, self._given_back
        )

    def _usage(self, node: Node, leaving: Sequence[Victim]) -> Usage:
        if node.id not in self._leaving:
            self._leaving[node.id] = _leaving_anyway(self._book, node)
        gone = {task: None for one in (*self.chosen, *leaving) for task in one.tasks} | self._leaving[node.id]
        held = self._book.usage_once_gone(node.id, gone, waiting=self._job.id)
        for task, place in zip(self.tasks, self.places, strict=False):
            if place.node == node.id:
                held = held.plus(task.spec, place.devices)
        return held

    def _within_quota(self, place: Place, leaving: Sequence[Victim]) -> bool:
        """Whether the job keeps to its quota if it does not borrow, or was to ask for its own; counting what leaves."""
        projects, project = self._book.projects, self._job.spec.project
        all_leave = (*self.chosen, *leaving)
        tasks = self.tasks[: len(self.places) + 1]
        amount = precedence.amount(self._book, tasks, (*self.places, place))
        held = projects.held.get(project, NOTHING).plus(amount).plus(precedence.made_free(self._book, project))
        for one in all_leave:
            if not one.borrower:
                held = held.minus(one.amount)
        if any(one.borrower for one in all_leave):
            return projects.owns(project, held, more=amount)
        declared = projects.of(project)
        return declared.borrows or not declared.quota.exceeded(held, by=amount)


def _leaving_anyway(book: Book, node: Node) -> dict[str, None]:
    """Who is about to leave a node that reports, for whatever reason: their room is as good as free."""
    if node.state is not NodeState.READY:
        return {}
    here = (one for one in book.jobs_at(node.id) if one.node == node.id)
    return {one.id: None for one in here if one.state in (JobState.FREEZING, JobState.CANCELLING)}


def _are_still_leaving(book: Book, claim: Claim) -> bool:
    """Whether one of those that were asked is still about to, and all nodes are as good for the job as they were."""
    if any(node not in book.nodes or book.nodes[node].state is not NodeState.READY for node in claim.nodes):
        return False
    asked = [book.jobs[one] for one in claim.leaving if one in book.jobs]
    return any(one.state is JobState.FREEZING and one.node in claim.nodes for one in asked)


def _by_node(
    book: Book, job: Job, nodes: Sequence[Node], given_back: Callable[[str], Amount]
) -> dict[str, list[Victim]]:
    """Who may be asked to leave, by node; a gang leaves as a whole, and is at all of its nodes."""
    claims_own = preemption.claims_its_own(job, book.projects, precedence.made_free(book, job.spec.project))
    asks = book.projects.expected(job) if claims_own else NOTHING
    found: dict[str, list[Victim]] = {}
    seen: dict[str, Victim | None] = {}
    for node in nodes:
        if node.state is not NodeState.READY:
            continue
        for here in book.jobs_at(node.id):
            name = here.gang or here.id
            if here.node != node.id:
                continue
            if name not in seen:
                seen[name] = _victim(book, job, book.jobs[name], asks, given_back)
            victim = seen[name]
            if victim is not None and victim not in found.setdefault(node.id, []):
                found[node.id].append(victim)
    return found


def _victim(book: Book, job: Job, other: Job, asks: Amount, given_back: Callable[[str], Amount]) -> Victim | None:
    """What having it leave would be; the job `asks` for nothing where only who is less urgent may be asked."""
    if other.id == job.preemptor or not _may_leave(book, other):
        return None
    lower = preemption.is_lower(job, other, precedence.rules(book))
    if not lower and asks == NOTHING:
        return None
    tasks = book.tasks(other) if other.is_gang else [other]
    amount, cost = NOTHING, 0.0
    for task in tasks:
        its = book.projects.holding(task.id)
        amount = amount.plus(its)
        cost += preemption.cost(task, its, wall_ms=book.wall_ms, rules=precedence.rules(book))
    theirs = NOTHING if lower else given_back(other.spec.project)
    if not lower and not preemption.has_borrowed(job, other, book.projects, has=amount, asks=asks, given_back=theirs):
        return None
    borrower = "" if lower else other.spec.project
    return Victim(other.id, tuple(task.id for task in tasks), cost, borrower, amount)


def _may_leave(book: Book, job: Job) -> bool:
    """Whether it can be asked: it has a place, is on no way elsewhere, and its nodes report."""
    tasks = book.tasks(job) if job.is_gang else [job]
    return job.state in _PLACED and all(
        task.state in _PLACED and task.migration is None and book.nodes[task.node].state is NodeState.READY
        for task in tasks
    )


def _make_room(book: Book, job: Job, victims: tuple[Victim, ...], places: tuple[Place, ...]) -> None:
    leave = [book.jobs[one.id] for one in victims]
    grace_ms = max(one.spec.grace_ms for one in leave)
    # An agent that hears of it late ends them late.
    until_ms = book.now_ms + grace_ms + 2 * book.leases.longest.node_ms
    leaving = tuple(task for one in victims for task in one.tasks)
    nodes, specs = zip(*((place.node, bound(job.spec, place.variant)) for place in places), strict=True)
    book.turns.claims[job.id] = Claim(nodes, specs, until_ms, leaving)
    for node in nodes:
        book.touch(node)
    for victim, other in zip(victims, leave, strict=True):
        why = f"{job.name} has its project's own back" if victim.borrower else f"{job.name} is more urgent"
        count = other.preemption_count + (0 if victim.borrower else 1)
        book.note(other.name, "JOB_PREEMPTED", f"asked to save and leave: {why}")
        leaves(book, replace(other, preemptor=job.id, preemption_count=count), f"had to leave: {why}")


def leaves(book: Book, job: Job, reason: str) -> None:
    """It saves and leaves; if there is room for it elsewhere, it goes on there, and what it needs there is brought.

    What it loses by that, if it saves nothing, does not count for its `timeouts.run`.
    """
    job = _without_what_is_lost(book, job)
    if job.is_gang:
        gangs.regroup(book, job, reason)
        return
    kept = dict.fromkeys(node for one in book.turns.kept.values() for node in one.nodes)
    place = moves.elsewhere(book, job, without=kept)
    if job.state is JobState.RUNNING and isinstance(place, Place):
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
