"""Room for the tasks of a job, one after the other: each where it costs least to have others leave for it."""

import heapq
import math
from collections.abc import Callable, Container, Sequence
from dataclasses import dataclass
from typing import Protocol

from controller.core import precedence, preemption
from controller.core.askable import Askable, leaving_anyway
from controller.core.book import Book
from controller.core.placement.alternatives import alone, numbered
from controller.core.placement.demand import least
from controller.core.placement.fit import Place, Usage, fit
from controller.core.preemption import Victim
from controller.core.projects import NOTHING
from headrace.changes import replace
from headrace.jobs import Job
from headrace.nodes import Node
from headrace.projects import Amount

# After so many closer looks for one job, or so many sets that may have had to leave, one in which nobody is needless
# will do: a look takes 25 microseconds or so, a set 8.
MOST_LOOKS = 2_000
MOST_SETS = 2_000
# So many nodes are looked at closer for nothing.
MOST_NODES = 100
_MILLION = 1_000_000


class Nodes(Protocol):
    """Slots of nodes, those first where it costs least, as far as is known at once; by name, where it is as much."""

    @property
    def next_least(self) -> tuple[float, int] | None:
        """What it costs at least on the next ones, in millionths of unit-seconds, and how manieth it is by name."""

    def more(self) -> list[tuple[float, int, int]]:
        """Some of the next ones: both, and their slots. Some may be left out where there is no room whoever leaves."""

    def __contains__(self, slot: int, /) -> bool:
        """Whether it is one of them."""


class Those:
    """These nodes, of which nothing is known."""

    def __init__(self, book: Book, nodes: Sequence[Node]) -> None:
        slots, ranks = [book.snapshot.slots[node.id] for node in nodes], book.snapshot.ranks()
        self._slots = dict.fromkeys(slots)
        self._left = [(0.0, rank, slot) for rank, slot in zip(ranks[slots].tolist(), slots, strict=True)]

    @property
    def next_least(self) -> tuple[float, int] | None:
        """See `Nodes`."""
        return (0.0, -1) if self._left else None

    def more(self) -> list[tuple[float, int, int]]:
        """See `Nodes`."""
        found, self._left = self._left, []
        return found

    def __contains__(self, slot: int) -> bool:
        return slot in self._slots


class Chosen:
    """Who leaves for the tasks so far, and where these are then. The snapshot has seen all nodes."""

    def __init__(self, book: Book, job: Job, given_back: Callable[[str], Amount]) -> None:
        self.book, self._job, self._given_back = book, job, given_back
        self.victims: dict[str, Victim] = {}
        self.places: list[Place] = []
        # By node, who leaves it, anyway or for the job; and the tasks that come, with their devices.
        self._gone: dict[str, dict[str, None]] = {}
        self._coming: dict[str, list[tuple[Job, tuple[str, ...]]]] = {}
        self._borrowers: list[Victim] = []
        project = job.spec.project
        self._project = book.projects.of(project)
        self._asks = book.projects.expected(job)
        # What the tasks will have, and what its project holds with that.
        self._amount = NOTHING
        self._held = book.projects.held.get(project, NOTHING).plus(precedence.made_free(book, project))
        # Whether who leaves for one task, and where it goes, decides on who may leave for the next, on whatever node.
        self.is_bound = book.projects.has_quotas or not self._project.borrows

    def add(self, task: Job, victims: Sequence[Victim], place: Place) -> list[str]:
        """These leave, and the task comes to the place; answers which nodes are others by that."""
        changed = self.leave(victims)
        amount = self._amount_at(task, place)
        self._amount, self._held = self._amount.plus(amount), self._held.plus(amount)
        self.places.append(place)
        self._coming.setdefault(place.node, []).append((task, place.devices))
        return list(changed | {place.node: None})

    def leave(self, victims: Sequence[Victim]) -> dict[str, None]:
        """These leave; answers which nodes are others by that."""
        changed: dict[str, None] = {}
        for victim in victims:
            self.victims[victim.id] = victim
            changed |= dict.fromkeys(victim.nodes)
            for name in victim.tasks:
                for at in victim.nodes if victim.is_claim else (self.book.jobs[name].node,):
                    self._gone_at(self.book.nodes[at])[name] = None
            if victim.borrower:
                self._borrowers.append(victim)
            else:
                self._held = self._held.minus(victim.amount)
        return changed

    def usage(self, node: Node, leaving: Sequence[Victim]) -> Usage:
        """What is held of a node once these have left, too."""
        gone = self._gone_at(node)
        if leaving:
            gone = {task: None for one in leaving for task in one.tasks} | gone
        held = self.book.snapshot.usages[self.book.snapshot.slots[node.id]]
        if gone:
            held = self.book.usage_once_gone(node.id, gone, waiting=self._job.id)
        for task, devices in self._coming.get(node.id, ()):
            held = held.plus(task.spec, devices)
        return held

    def _gone_at(self, node: Node) -> dict[str, None]:
        if node.id not in self._gone:
            self._gone[node.id] = leaving_anyway(self.book, node)
        return self._gone[node.id]

    def _amount_at(self, task: Job, place: Place) -> Amount:
        return self.book.projects.amount_at(task, self.book.nodes.get(place.node), place.devices)

    def may_leave(self, leaving: Sequence[Victim]) -> bool:
        """Whether these give back no more than what is not their own."""
        borrowers = [one for one in leaving if one.borrower]
        return not borrowers or preemption.gives_back_no_more_than_borrowed(
            [*self._borrowers, *borrowers], self.book.projects, self._asks, self._given_back
        )

    def is_within_quota(self, task: Job, place: Place, leaving: Sequence[Victim]) -> bool:
        """Whether the job keeps to its quota if it does not borrow, or was to ask for its own; counting what leaves."""
        has_borrowers = bool(self._borrowers) or any(one.borrower for one in leaving)
        if self._project.borrows and not has_borrowers:
            return True
        here = self._amount_at(task, place)
        held, amount = self._held.plus(here), self._amount.plus(here)
        for one in leaving:
            if not one.borrower:
                held = held.minus(one.amount)
        if has_borrowers:
            return self.book.projects.owns(self._job.spec.project, held, more=amount)
        return not self._project.quota.exceeded(held, by=amount)


@dataclass(frozen=True, slots=True)
class _Found:
    """What it costs to make room for a task at a place, in millionths of unit-seconds, and who leaves."""

    cost: int
    victims: tuple[Victim, ...]
    place: Place


@dataclass(frozen=True, slots=True)
class _There:
    """Who may be asked to leave a node, and what of it each has; and what has to become free of it at least."""

    others: list[tuple[Victim, tuple[int, int, int]]]
    lacks: list[int]


class Search:
    """Room for the tasks of a job one after the other, each beside what was found for those before it.

    Each is where it costs least, of nodes where it is as much on that of the first name. Most nodes need no closer
    look: what it would cost there at least is more than what it costs elsewhere.
    """

    def __init__(
        self,
        chosen: Chosen,
        tasks: Sequence[Job],
        nodes: Nodes,
        askable: Askable | None,
        but: Container[int] = (),
    ) -> None:
        """On these nodes, `but` not on those of some slots, where those leave who may be asked; None: nobody."""
        self._book, self._nodes, self._askable, self._but = chosen.book, nodes, askable, but
        self.tasks, self.chosen = tasks, chosen
        self._ranks = self._book.snapshot.ranks()
        # What it costs at each slot at least, as far as was found out: by amounts alone, and so where it was looked at
        # closer, and what was found there. The heap has it with all that was so before.
        self._bounds: dict[int, float] = {}
        self._least: dict[int, float] = {}
        self._known: dict[int, _Found] = {}
        # And who is at each slot, as far as it was looked at.
        self._there: dict[int, _There] = {}
        self._heap: list[tuple[float, int, int]] = []
        # Where it was looked at closer since who may leave was last another question.
        self._seen: list[int] = []
        self._fruitless: dict[int, None] = {}
        self._closer = self._looks = self._sets = 0

    @property
    def is_cut_short(self) -> bool:
        """Whether there may be more than was found, but nodes enough were looked at."""
        return self._closer - len(self.chosen.places) > MOST_NODES

    @property
    def fruitless(self) -> dict[int, None]:
        """The slots that were looked at closer for nothing: where no task has a place, whatever it costs."""
        slots = self._book.snapshot.slots
        has_place = {slots[place.node]: None for place in self.chosen.places}
        return {slot: None for slot in self._fruitless if slot not in has_place}

    def found(self, task: Job) -> bool:
        """Whether there is a place for one more task, which is taken."""
        while (slot := self._next()) is not None:
            if slot in self._known:
                self._take(task, slot)
                return True
            if self.is_cut_short:
                if not self._known:
                    return False
                self._take(task, min(self._known, key=lambda one: (self._known[one].cost, self._ranks[one])))
                return True
            self._look(task, slot)
        return False

    def _next(self) -> int | None:
        """Where it costs least, as far as is known."""
        while True:
            while self._heap and self._least[self._heap[0][2]] != self._heap[0][0]:
                heapq.heappop(self._heap)
            following = self._nodes.next_least
            if following is None or (self._heap and self._heap[0][:2] <= following):
                return self._heap[0][2] if self._heap else None
            for cost, rank, slot in self._nodes.more():
                if slot not in self._least and slot not in self._but:
                    self._least[slot] = cost
                    heapq.heappush(self._heap, (cost, rank, slot))

    def _put(self, slot: int, cost: float) -> None:
        self._least[slot] = cost
        if cost < math.inf:
            heapq.heappush(self._heap, (cost, int(self._ranks[slot]), slot))

    def _look(self, task: Job, slot: int) -> None:
        """Finds out more of what it costs at a slot: first by amounts, then who has to leave."""
        if slot not in self._bounds:
            self._bounds[slot] = max(self._least[slot], self._at_least(task, slot))
            self._put(slot, self._bounds[slot])
            return
        self._closer += 1
        self._seen.append(slot)
        # A half more, so that what costs as much is found, too.
        below = min((one.cost for one in self._known.values()), default=math.inf) + 0.5
        there = self._at(task, slot, below / _MILLION)
        if there is None:
            if below == math.inf:
                self._fruitless[slot] = None
            self._put(slot, below)
        else:
            self._known[slot] = there
            self._put(slot, there.cost)

    def _take(self, task: Job, slot: int) -> None:
        best = self._known[slot]
        for name in self.chosen.add(task, best.victims, best.place):
            changed = self._book.snapshot.slots[name]
            self._known.pop(changed, None)
            self._bounds.pop(changed, None)
            self._there.pop(changed, None)
            if changed in self._nodes and changed not in self._but:
                self._put(changed, 0.0)
        if self.chosen.is_bound:
            self._known.clear()
            for seen in self._seen:
                if seen in self._bounds:
                    self._put(seen, self._bounds[seen])
            self._seen = []

    def _at_least(self, task: Job, slot: int) -> float:
        there = self._who_is_there(task, slot)
        victims = [(_cost([one]), has) for one, has in there.others]
        found = preemption.at_least(there.lacks, victims)
        return float(math.floor(found)) if found < math.inf else found

    def _who_is_there(self, task: Job, slot: int) -> _There:
        """Of a node for a task; all tasks ask for the same. It holds until somebody is chosen who is there."""
        if slot not in self._there:
            node = self._book.snapshot.nodes[slot]
            self._there[slot] = _There(self._others(node), self._lacks(task, node))
        return self._there[slot]

    def _lacks(self, task: Job, node: Node) -> list[int]:
        free = free_amounts(node, self.chosen.usage(node, ()))
        return [max(0, wanted - left) for wanted, left in zip(least(task).in_sum, free, strict=True)]

    def _others(self, node: Node) -> list[tuple[Victim, tuple[int, int, int]]]:
        askable = self._askable
        if askable is None:
            return []
        return [(one, askable.has(one, node)) for one in askable.at(node) if one.id not in self.chosen.victims]

    def _at(self, task: Job, slot: int, below: float) -> _Found | None:
        """Who leaves a node for a task, at a cost `below` that, and the place that it has then."""
        node, there = self._book.snapshot.nodes[slot], self._who_is_there(task, slot)
        has = {one.id: its for one, its in there.others}

        def are_too_few(leaving: Sequence[Victim]) -> bool:
            return any(lack > sum([has[one.id][what] for one in leaving]) for what, lack in enumerate(there.lacks))

        def place(leaving: Sequence[Victim]) -> Place | None:
            self._looks += 1
            return self._fitting(task, node, leaving)

        def cheapest(enough: Callable[[Sequence[Victim]], bool]) -> tuple[Victim, ...] | None:
            is_exact = self._looks < MOST_LOOKS and self._sets < MOST_SETS
            victims = [one for one, _ in there.others]
            return preemption.cheapest(victims, enough=enough, allowed=self._may_leave, below=below, exact=is_exact)

        free = place(()) if not are_too_few(()) else None
        if free is not None:
            return _Found(0, (), free)
        # To have `fit` look takes much longer than to add amounts, and mostly these tell all.
        chosen = cheapest(lambda leaving: not are_too_few(leaving))
        found = place(chosen) if chosen else None
        if chosen and found is None:
            chosen = cheapest(lambda leaving: not are_too_few(leaving) and place(leaving) is not None)
            found = place(chosen) if chosen else None
        return _Found(_cost(chosen), chosen, found) if chosen and found is not None else None

    def _fitting(self, task: Job, node: Node, leaving: Sequence[Victim]) -> Place | None:
        held, now_ms = self.chosen.usage(node, leaving), self._book.wall_ms
        found = fit(task, node, held, now_wall_ms=now_ms)
        if not isinstance(found, Place) or self.chosen.is_within_quota(task, found, leaving):
            return found if isinstance(found, Place) else None
        # What the node gives first may be more than there is room for in the quota, and another alternative not.
        for which, less in enumerate(alone(task)):
            instead = fit(less, node, held, now_wall_ms=now_ms)
            if isinstance(instead, Place) and self.chosen.is_within_quota(task, instead, leaving):
                return replace(instead, variant=numbered(task, which, instead.variant))
        return None

    def _may_leave(self, leaving: Sequence[Victim]) -> bool:
        self._sets += 1
        return self.chosen.may_leave(leaving)


def free_amounts(node: Node, held: Usage) -> tuple[int, int, int]:
    """What is free of a node: cores, memory, whole devices; less than nothing where more is held than there is."""
    has, touched = node.description.capacity, held.touched
    idle = sum(one.id not in touched for one in node.devices)
    return has.cpu_millis - held.cpu_millis, has.memory_bytes - held.memory_bytes, idle


def _cost(victims: Sequence[Victim]) -> int:
    return sum(round(one.cost * _MILLION) for one in victims)
