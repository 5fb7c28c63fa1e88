"""What it costs at least to make room for a task, on each node where one could be: in columns.

Amounts of cores, memory and devices tell. Costs are in millionths of unit-seconds, so that sums of them are exact.
"""

from collections.abc import Collection, Iterable
from itertools import product

import numpy as np

from controller.core import precedence
from controller.core.able_nodes import able
from controller.core.askable import Askable, amounts
from controller.core.book import Book
from controller.core.departures import (
    GANG,
    LEAVES,
    LEAVING,
    MAY_LEAVE,
    NEVER,
    NO_GANG,
    PRIORITY,
    PROJECT,
    SINCE,
    TIMES,
    UNITS,
)
from controller.core.placement.demand import least
from controller.core.placement.snapshot import Booleans, Floats, Integers
from controller.core.preemption import EXACT
from controller.core.turns import Claim
from headrace.jobs import Job
from headrace.projects import Amount

# So many nodes are looked at first for what the cheapest set costs by amounts, and so many times as many each time.
FIRST, NEXT_TIMES = 32, 4
# So many sets are, in all: that takes ten milliseconds or so.
MOST_SETS = 1 << 20
_CPU, _MEMORY, _DEVICES, _PART = range(4)


class LeastCosts:
    """Nodes in the order of what it costs there at least; of those where it is as much, that of the first name first.

    No more than all who may be asked are counted as such who may not, and what does not fit by its amounts is left out.
    """

    def __init__(self, book: Book, job: Job, one: Job, askable: Askable, without: Collection[str]) -> None:
        """`one` is the job, or a task of it."""
        snapshot = book.snapshot
        slots = able(book, one)
        away = [snapshot.slots[name] for name in without if name in snapshot.slots]
        self._slots: Integers = np.setdiff1d(slots, away) if away else slots
        self._position: Integers = np.full(snapshot.room, -1, dtype=np.int64)
        self._position[self._slots] = np.arange(len(self._slots))
        self._ranks: Integers = snapshot.ranks()[self._slots]
        self._lacks = _lacks(book, one, self._slots, self._position, askable.claims.values())
        self._at, self._has, self._costs = self._askable(book, job, askable.asks)
        counts = np.bincount(self._at, minlength=len(self._slots))
        self._counts, self._first = counts, np.cumsum(counts) - counts
        self._least = self._by_amounts()
        order = np.lexsort((self._ranks, self._least))
        self._order: Integers = order[: int(np.isfinite(self._least).sum())]
        self._given, self._more, self._sets = 0, FIRST, 0

    def __contains__(self, slot: int) -> bool:
        return bool(self._position[slot] >= 0)

    @property
    def next_least(self) -> tuple[float, int] | None:
        """What it costs at least on each node that was not given yet, with which such node by name is the first."""
        if self._given >= len(self._order):
            return None
        first = self._order[self._given]
        return float(self._least[first]), int(self._ranks[first])

    def more(self) -> list[tuple[float, int, int]]:
        """The next nodes: what it costs there at least, how manieth they are by name, and their slots."""
        some = self._order[self._given : self._given + self._more]
        self._given += len(some)
        self._more *= NEXT_TIMES
        costs = self._by_sets(some)
        known = np.isfinite(costs)
        return list(
            zip(
                costs[known].tolist(), self._ranks[some[known]].tolist(), self._slots[some[known]].tolist(), strict=True
            )
        )

    def _askable(self, book: Book, job: Job, asks: Amount) -> tuple[Integers, Floats, Floats]:
        """Of each who might be asked: on which node it is, what it has of that, and what it costs; in nodes' order."""
        departures = book.turns.departures
        traits, slot = departures.traits, departures.slot
        rows = np.flatnonzero((slot >= 0) & (traits[LEAVING] == MAY_LEAVE))
        may = _may_be_asked(book, job, asks, rows)
        costs = _costs(book, traits, slot, rows)
        at = self._position[slot[rows]]
        may &= at >= 0
        may[may] = self._lacks[:, at[may]].any(axis=0)
        rows, at, costs = rows[may], at[may], costs[may]
        order = np.lexsort((costs, at))
        return at[order], _has(departures.amounts, rows[order]), costs[order]

    def _by_amounts(self) -> Floats:
        """What it costs as far as each amount by itself tells: infinite where whoever leaves is not enough."""
        found, nodes = np.zeros(len(self._slots)), len(self._slots)
        for lacks, all_has in zip(self._lacks, self._has, strict=True):
            if not lacks.any():
                continue
            some = np.flatnonzero((all_has > 0) & (lacks[self._at] > 0))
            at, has, costs = self._at[some], all_has[some], self._costs[some]
            # As if parts of them could leave: those first that cost least for what they have.
            order = np.lexsort((costs / has, at))
            taken = np.clip(lacks[at] - _before(at[order], has[order]), 0, has[order])
            in_parts = np.bincount(at, costs[order] * taken / has[order], nodes)
            # And as if each had as much as those who have most: so many at least, who may be the cheapest.
            order = np.lexsort((-has, at))
            count = np.bincount(at, _before(at[order], has[order]) < lacks[at], nodes)
            whole = np.bincount(at, np.where(_before(at, np.ones(len(at))) < count[at], costs, 0), nodes)
            np.maximum(found, np.maximum(np.floor(in_parts), whole), out=found)
            found[np.bincount(at, has, nodes) < lacks] = np.inf
        return found

    def _by_sets(self, positions: Integers) -> Floats:
        """What the cheapest set of them costs, of few by their amounts."""
        found, counts = self._least[positions], self._counts[positions]
        for count in np.flatnonzero(np.bincount(counts[counts > 0])[: EXACT + 1]).tolist():
            which = np.flatnonzero(counts == count)
            rows = self._first[positions[which], None] + np.arange(count)
            lacks = self._lacks[:, positions[which]]
            some = [number for number, lack in enumerate(lacks) if lack.any()]
            # By column what decides: many nodes are alike.
            whole = np.hstack([self._costs[rows], *(np.c_[self._has[one][rows], lacks[one]] for one in some)])
            first, like = _alike(whole)
            self._sets += len(first) << count
            if self._sets > MOST_SETS:
                break
            sets = np.array(list(product((0.0, 1.0), repeat=count))).T
            costs = self._costs[rows[first]] @ sets
            for one in some:
                costs[(self._has[one][rows[first]] @ sets) < lacks[one][first, None]] = np.inf
            found[which] = np.maximum(found[which], costs.min(axis=1)[like])
        return found


def _before(at: Integers, has: Floats) -> Floats:
    """What those before each have that are at the same node; they are in the order of nodes."""
    sums = np.cumsum(has) - has
    starts = np.flatnonzero(np.diff(at, prepend=-1))
    found: Floats = sums - np.repeat(sums[starts], np.diff(starts, append=len(at)))
    return found


def _alike(rows: Floats) -> tuple[Integers, Integers]:
    """Some of the rows, of which each other one is like one; and for each row which of them that is."""
    order = np.lexsort(rows.T)
    ordered = rows[order]
    is_another = np.append(True, (ordered[1:] != ordered[:-1]).any(axis=1))
    like: Integers = np.empty(len(rows), dtype=np.int64)
    like[order] = np.cumsum(is_another) - 1
    return order[is_another], like


def _lacks(book: Book, one: Job, slots: Integers, position: Integers, claims: Iterable[Claim]) -> Floats:
    """What has to become free of each node: cores, memory, whole devices; and whether who has a device must leave."""
    snapshot, departures, wants = book.snapshot, book.turns.departures, least(one)
    free = np.zeros((4, len(slots)))
    free[_CPU], free[_MEMORY] = snapshot.cpu_millis[slots], snapshot.memory_bytes[slots]
    request, others = one.spec.resources.accelerators, one.spec.resources.alternatives
    if request is not None and not request.is_part and not others:
        such = snapshot.over_devices(request.where).values
        free[_DEVICES] = (such[:, slots] & snapshot.untouched[:, slots]).sum(axis=0)
    else:
        free[_DEVICES] = snapshot.untouched_count[slots]
    free[_PART] = snapshot.roomiest_millis[slots] >= wants.part_millis
    # They are as good as gone.
    rows = np.flatnonzero((departures.slot >= 0) & (departures.traits[LEAVING] == LEAVES))
    rows = rows[position[departures.slot[rows]] >= 0]
    at = position[departures.slot[rows]]
    for number, has in enumerate(_has(departures.amounts, rows)):
        free[number] += np.bincount(at, has, len(slots))
    # So is what others leave for those that come after it.
    for claim in claims:
        for name, specs in claim.at.items():
            place = position[book.snapshot.slots[name]]
            if place >= 0:
                its = amounts(specs)
                free[:_PART, place] += its
                free[_PART, place] += its[_DEVICES] > 0
    asked = np.array([*wants.in_sum, wants.part_millis > 0], dtype=np.float64)
    lacks: Floats = np.maximum(0, asked[:, None] - free)
    return lacks


def _has(amounts: Integers, rows: Integers) -> Floats:
    found = amounts[:, rows].astype(np.float64)
    found[_PART] = found[_DEVICES] > 0
    return found


def _may_be_asked(book: Book, job: Job, asks: Amount, rows: Integers) -> Booleans:
    """Which of these might be asked to leave for the job; more than may."""
    departures, rules, own = book.turns.departures, precedence.rules(book), job.spec.project
    project, priority, times = departures.traits[[PROJECT, PRIORITY, TIMES]][:, rows]
    lends = np.zeros(len(departures.projects), dtype=np.bool_)
    for name, number in departures.projects.items():
        beyond = book.projects.beyond(name)
        lends[number] = name != own and any(min(both) > 0 for both in zip(beyond.figures, asks.figures, strict=True))
    may: Booleans = lends[project]
    if job.spec.priority >= rules.priority and own in departures.projects:
        is_own = project == departures.projects[own]
        may |= is_own & (priority < job.spec.priority) & (times < rules.most_times)
    return may


def _costs(book: Book, traits: Integers, slot: Integers, rows: Integers) -> Floats:
    """What it costs to have each of these leave; a gang leaves as a whole, with a part of its cost a node."""
    units, since = traits[UNITS, rows], traits[SINCE, rows]
    lost = precedence.rules(book).standstill_ms + np.where(since == NEVER, 0, np.maximum(0, book.wall_ms - since))
    costs = units.astype(np.float64) * lost
    tasks = np.flatnonzero(traits[GANG, rows] != NO_GANG)
    if len(tasks):
        _, whole = np.unique(traits[GANG, rows[tasks]], return_inverse=True)
        _, here, count = np.unique(whole * len(slot) + slot[rows[tasks]], return_inverse=True, return_counts=True)
        costs[tasks] = np.floor(np.bincount(whole, costs[tasks])[whole] / count[here])
    found: Floats = costs
    return found
