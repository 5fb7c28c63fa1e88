"""Whom a job that waits may have leave: the cheapest set of those that may be asked, and where it has room by that."""

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cache, partial

from controller.core import keeping, precedence, preemption
from controller.core.book import Book
from controller.core.placement.alternatives import alone, as_asked_alone, numbered
from controller.core.placement.demand import least
from controller.core.placement.fit import Place, Usage, fit
from controller.core.placement.gang import count_at
from controller.core.preemption import Victim
from controller.core.projects import NOTHING
from headrace.changes import replace
from headrace.jobs import Job, JobState
from headrace.nodes import Node, NodeState
from headrace.projects import Amount

_PLACED = (JobState.STARTING, JobState.RUNNING)
# After so many closer looks for one job, or so many sets that may have had to leave, one in which nobody is needless
# will do: a look takes 25 microseconds or so, a set 8.
MOST_LOOKS = 2_000
MOST_SETS = 2_000
# How often others are looked for where the places that were found are kept for somebody before the job.
MOST_AWAY = 4


def sought(book: Book, job: Job) -> tuple[tuple[Victim, ...], tuple[Place, ...]] | None:
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
