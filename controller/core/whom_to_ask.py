"""Whom a job that waits may have leave: the cheapest set of those that may be asked, and where it has room by that."""

from collections.abc import Callable, Mapping, Sequence
from functools import cache, partial

from controller.core import keeping, precedence, preemption
from controller.core.amounts import requests_of
from controller.core.askable import Askable
from controller.core.book import Book
from controller.core.least_costs import LeastCosts
from controller.core.making_room import MOST_LOOKS, Chosen, Nodes, Search, Those, free_amounts
from controller.core.placement.alternatives import alone, as_asked_alone
from controller.core.placement.demand import least
from controller.core.placement.fit import Place
from controller.core.placement.gang import count_at
from controller.core.placement.mixtures import choose_mixed
from controller.core.preemption import Victim
from controller.core.reading import read
from controller.core.seen import see_nodes
from headrace.jobs import Job
from headrace.nodes import Node
from headrace.projects import Amount

# How often others are looked for where the places that were found are kept for somebody before the job.
MOST_AWAY = 4
# On so many nodes it is looked for room for some tasks with one alternative beside some with another.
MOST_MIXED = 100

Sought = tuple[tuple[Victim, ...], tuple[Place, ...]]


def is_ready(book: Book) -> bool:
    """Whether it is known who is where; if not, more of it is by now."""
    see_nodes(book)
    return len(book.nodes) <= keeping.FEW or read(book, book.turns.departures)


def sought(book: Book, job: Job) -> Sought | None:
    """The cheapest set of those that may be asked, and the places at which the job's tasks find room by that.

    Of alternatives the first tasks of a gang may have what is dear, so that of its project's quota nothing is left for
    the others, or what alone the others may have: then it is looked for all of them with each alternative alone, and
    after that for some with one beside some with another.

    Nobody leaves so that it takes what is kept for those before it. There are none where it finds room though nobody
    leaves, or once those have left that do.
    """
    while not is_ready(book):
        pass
    precedence.begin_with(book, job)
    away: dict[str, None] = {}
    for _ in range(MOST_AWAY):
        found = _sought_but(book, job, away)
        if found is None:
            return None
        kept = precedence.kept_for_others(book, job, keeping.alike(book, job), found[1])
        if not kept:
            return found
        if not found[0]:
            # Nobody leaves elsewhere for whom there is room that is another's before him.
            return None
        away |= dict.fromkeys(kept)
    return None


def _sought_but(book: Book, job: Job, away: dict[str, None]) -> Sought | None:
    """The same, but on these nodes."""
    # Where it was looked at for nothing it is looked at no more, until it was everywhere.
    but = book.turns.asked.pop(job.id, {})
    found, fruitless = _with_room(book, job, away, but)
    if fruitless:
        book.turns.asked[job.id] = {**but, **fruitless}
    which, others = 0, alone(job) if job.is_gang else []
    while found is None and which < len(others):
        found, _ = _with_room(book, others[which], away)
        if found is not None:
            victims, places = found
            found = victims, as_asked_alone(job, which, places)
        which += 1
    return found if found is not None or not others else _as_mixture(book, job, away)


def _with_room(
    book: Book, job: Job, away: dict[str, None], but: Mapping[int, None] = {}
) -> tuple[Sought | None, Mapping[int, None]]:
    """Who leaves, and where; or where it was looked at for nothing, and may have been on others."""
    # What projects give back already: nothing of that changes meanwhile.
    given_back = cache(partial(precedence.given_back, book))
    askable = Askable(book, job, given_back)
    nodes = _nodes(book, job, askable, away)
    search = Search(Chosen(book, job, given_back), keeping.alike(book, job), nodes, askable, but)
    if not all(map(search.found, search.tasks)):
        return None, search.fruitless if search.is_cut_short else {}
    chosen = _without_needless(search, nodes, Chosen(book, job, given_back), askable)
    return (tuple(chosen.victims.values()), tuple(chosen.places)), {}


def _nodes(book: Book, job: Job, askable: Askable, away: dict[str, None]) -> Nodes:
    if len(book.nodes) <= keeping.FEW:
        return Those(book, [node for node in book.nodes.values() if node.id not in away])
    return LeastCosts(book, job, keeping.one_of(book, job), askable, away)


class _Rooms:
    """For how many tasks of a gang each node has room once some have left it; nobody leaves yet in `chosen`."""

    def __init__(self, chosen: Chosen, askable: Askable, tasks: Sequence[Job]) -> None:
        self._chosen, self._askable, self._count, self._task = chosen, askable, len(tasks), tasks[0]
        self._asked = least(tasks[0]).in_sum
        self._free: dict[str, tuple[int, int, int]] = {}

    def count(self, name: str, leaving: Sequence[Victim]) -> int:
        """For how many, and no more than there are."""
        node, now_ms = self._chosen.book.nodes[name], self._chosen.book.wall_ms
        return count_at(self._task, node, self._chosen.usage(node, leaving), self._count, now_wall_ms=now_ms)

    def at_most(self, name: str, leaving: Sequence[Victim]) -> int:
        """The same as far as amounts tell, for which nothing is looked at."""
        node = self._chosen.book.nodes[name]
        if name not in self._free:
            self._free[name] = free_amounts(node, self._chosen.usage(node, ()))
        has = [self._askable.has(one, node) for one in leaving]
        amounts = zip(self._asked, self._free[name], strict=True)
        rooms = [(free + sum(its[what] for its in has)) // one for what, (one, free) in enumerate(amounts) if one]
        return min([self._count, *rooms])


def _as_mixture(book: Book, job: Job, away: dict[str, None]) -> Sought | None:
    """Who leaves so that some tasks of a gang have room with one alternative beside some with another.

    As if all who may be asked left the nodes where it costs least for one task, until there is room for all; of these
    the dearest stay without whom there still is.
    """
    given_back = cache(partial(precedence.given_back, book))
    askable, tasks = Askable(book, job, given_back), keeping.alike(book, job)
    whole, few = Chosen(book, job, given_back), _nodes(book, job, askable, away)
    count, each, rooms, leave = len(tasks), _Rooms(whole, askable, tasks), dict[str, int](), dict[str, Victim]()
    while sum(rooms.values()) < count and len(rooms) < MOST_MIXED and few.next_least is not None:
        for _, _, slot in sorted(few.more()):
            node = book.snapshot.nodes[slot]
            here = sorted(askable.at(node), key=lambda victim: (victim.cost, victim.id))
            for victim in here:
                if victim.id not in leave and whole.may_leave([*leave.values(), victim]):
                    leave[victim.id] = victim
            rooms[node.id] = each.count(node.id, [victim for victim in here if victim.id in leave])
            if sum(rooms.values()) >= count or len(rooms) >= MOST_MIXED:
                break
    at = {name: [victim for victim in leave.values() if name in victim.nodes] for name in rooms}
    if sum(rooms.values()) < count:
        return None
    needed = _needed(list(leave.values()), count, at, each)
    return _mixed_at(book, job, [book.nodes[name] for name in at], needed, given_back)


def _needed(
    chosen: Sequence[Victim], count: int, at: Mapping[str, Sequence[Victim]], rooms: _Rooms
) -> tuple[Victim, ...]:
    return preemption.needed(chosen, count, nodes=at, room=rooms.count, at_most=rooms.at_most, most_looks=MOST_LOOKS)


def _mixed_at(
    book: Book, job: Job, nodes: Sequence[Node], leaving: tuple[Victim, ...], given_back: Callable[[str], Amount]
) -> Sought | None:
    """Places for the tasks on these nodes once these have left, where the quota has room for that."""
    tasks = keeping.alike(book, job)
    for prices in ((), tuple([one.count for one in requests_of(job.spec)])):
        chosen = Chosen(book, job, given_back)
        chosen.leave(leaving)
        usages = {node.id: chosen.usage(node, ()) for node in nodes}
        found = choose_mixed(tasks[0], len(tasks), nodes, usages.__getitem__, now_wall_ms=book.wall_ms, prices=prices)
        if not isinstance(found, int) and _have_room_in_quota(chosen, tasks, found):
            return leaving, found
    return None


def _have_room_in_quota(chosen: Chosen, tasks: Sequence[Job], places: Sequence[Place]) -> bool:
    for task, place in zip(tasks, places, strict=True):
        if not chosen.is_within_quota(task, place, ()):
            return False
        chosen.add(task, (), place)
    return True


def _without_needless(search: Search, nodes: Nodes, fewer: Chosen, askable: Askable) -> Chosen:
    """What was found, with fewer, where for the first tasks some were chosen that are needless since others leave, too.

    In `fewer` nobody leaves yet.
    """
    found, tasks, book = search.chosen, search.tasks, fewer.book
    if len(found.victims) < 2 or len(tasks) < 2:
        return found
    at: dict[str, list[Victim]] = {place.node: [] for place in found.places}
    for victim in found.victims.values():
        for name in victim.nodes:
            if book.snapshot.slots[name] in nodes:
                at.setdefault(name, []).append(victim)
    needed = _needed(list(found.victims.values()), len(tasks), at, _Rooms(fewer, askable, tasks))
    if len(needed) == len(found.victims):
        return found
    fewer.leave(needed)
    again = Search(fewer, tasks, Those(book, [book.nodes[name] for name in at]), None)
    return fewer if all(map(again.found, tasks)) else found
