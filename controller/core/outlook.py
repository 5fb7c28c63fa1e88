"""When a job that waits will likely start: once enough has ended for it, and for those whose turn is before it.

A still of the book is asked. When others end is told by runs like them, else by their limits; where it is known of too
few, nothing is told. It is a forecast: more may come meanwhile, or be cancelled.
"""

from bisect import bisect_left
from collections import Counter
from collections.abc import Callable, Sequence
from typing import NamedTuple

import numpy as np

from controller.core import backfill, backoff, keeping, making_way, precedence, those_before
from controller.core.affordable import affordable
from controller.core.asking import patience_of, places
from controller.core.backfill import Kept, how_soon
from controller.core.book import Book
from controller.core.emptied import Emptied, most_tasks, once_back
from controller.core.ends import Ends
from controller.core.making_way import Leaving
from controller.core.placement.demand import demand_of, least
from controller.core.placement.fit import Place, fit
from controller.core.placement.gang import choose_all
from controller.core.placement.snapshot import Integers
from controller.core.placing import look
from headrace.changes import replace
from headrace.explanations import Outlook
from headrace.ids import listed
from headrace.jobs import Job

# So many nodes are looked at, those first that lack least.
_FEW = keeping.FEW
# And of those of which the last is left to others so many are named.
_FEW_LEFT = 4
FITS_NOW = "it fits now"

# By when a job has gone, as far as that is known.
_GoneBy = Callable[[Job, int], int | None]


class Held(NamedTuple):
    """What there is for a job that waits: room that is kept for it, and those that would leave if it does not fit."""

    kept: Kept | None
    leaving: Leaving | None


def outlook(book: Book, job: Job, held: Held, empty: Emptied) -> Outlook:
    """Of a job that waits."""
    found = places(book, job)
    if not isinstance(found, str):
        return _of_one_that_fits(book, job, found)
    patience = patience_of(book, job)
    if patience is not None:
        start_ms = max(book.wall_ms, patience.start_ms, backoff.until_ms(job))
        return Outlook(start_ms, patience.kept.nodes, patience.reason)
    away = [one.expire_time_ms for one in job.exclusions if one.expire_time_ms > book.wall_ms]
    if away and not isinstance(places(book, replace(job, exclusions=())), str):
        return Outlook(max(away), (), "it keeps away until then from where it failed")
    if held.leaving is not None:
        return making_way.outlook(held.leaving)
    return _never(book, job, empty) or _once_others_end(book, job, held.kept, empty.able, found)


def _of_one_that_fits(book: Book, job: Job, found: tuple[Place, ...]) -> Outlook:
    until_ms, nodes = backoff.until_ms(job), tuple(one.node for one in found)
    if until_ms > book.wall_ms:
        return Outlook(until_ms, nodes, "it fits, and pauses until then")
    if job.id in book.jobs:
        found = those_before.in_its_turn(book, job)
        if not found:
            return _whose_turn_is_open(book, job)
        nodes = tuple(one.node for one in found)
    return Outlook(book.wall_ms, nodes, FITS_NOW)


def _whose_turn_is_open(book: Book, job: Job) -> Outlook:
    """It hangs on who else is looked at in the same moment, which is not known."""
    number = len(those_before.before(book, job))
    if number:
        return Outlook(None, (), "there is room, which those before it may have first", number)
    others = [one.id for one in precedence.heads_of(book) if one.spec.project != job.spec.project]
    rule = "who of them comes first changes with their projects' shares"
    return Outlook(None, (), f"there is room, which is kept for {listed(others)} as well: {rule}")


def _never(book: Book, job: Job, empty: Emptied) -> Outlook | None:
    """Where it could not though all others had ended."""
    if not len(empty.able):
        if len(empty.away):
            return Outlook(None, (), f"no node that takes jobs now could run it; {once_back(book, empty.away)}, could")
        return Outlook(None, (), "no node that there is could run it, though it were empty")
    if job.is_gang:
        count, all_of_it = most_tasks(book, job), job.spec.task_count
        if count < all_of_it:
            basis = f"though nothing else ran, there would be places for {count} of its {all_of_it} tasks at most"
            if len(empty.away) and most_tasks(book, job, with_those_away=True) == all_of_it:
                basis += f"; for all with {once_back(book, empty.away)}"
            return Outlook(None, (), basis)
    over = book.projects.over_quota(job.spec.project, book.projects.expected(job))
    return Outlook(None, (), over.removeprefix("waits: ")) if over else None


def _once_others_end(book: Book, job: Job, kept: Kept | None, able: Integers, found: str) -> Outlook:
    """`found` is why it waits."""
    ends = Ends(book, job.id)
    before = [(one, 1) for one in those_before.before(book, job)] + those_before.folded_before(book, job)
    number = sum(count for _, count in before)
    left = _left(book, job) if found == precedence.BEHIND else None
    if left is not None:
        return replace(left, jobs_before_count=number)
    room = kept if kept is not None and kept.start_ms is not None else _earliest(book, job, able, ends)
    ahead = _ahead(book, job, [one for one, _ in before], able, ends)
    if ahead is not None and ahead.start_ms is not None and (room is None or how_soon(ahead) < how_soon(room)):
        start_ms = max(ahead.start_ms, backoff.until_ms(job), book.wall_ms)
        return Outlook(start_ms, ahead.places, _once_gone(ahead), number)
    if room is None:
        return Outlook(None, (), _without_room(book, job, able, ends), number)
    if room.start_ms is None:
        whom = listed(room.gone) if room.gone else "too many of those that run where it could"
        return Outlook(None, room.nodes, f"{whom} would have to end, and nothing says when", number)
    turn_ms = _turn_ms(book, job, before, able, ends) if before else book.wall_ms
    if turn_ms is None:
        basis = "those that run where it could will not all have ended for those before it, as far as is known"
        return Outlook(None, (), basis, number)
    start_ms = max(room.start_ms, backoff.until_ms(job), turn_ms)
    if found == precedence.BEHIND and start_ms <= book.wall_ms:
        return Outlook(None, room.nodes, "there is room, which is kept for those before it", number)
    if turn_ms > room.start_ms:
        whom = f"the {number} jobs" if number > 1 else "the job"
        basis = f"once there was room for {whom} before it, too"
        return Outlook(start_ms, (), basis, number)
    return Outlook(start_ms, room.places, _once_gone(room), number)


def _once_gone(room: Kept) -> str:
    return f"once {listed(room.gone)} {'have' if len(room.gone) > 1 else 'has'} ended" if room.gone else "soon"


def _ahead(book: Book, job: Job, before: Sequence[Job], able: Integers, ends: _GoneBy) -> Kept | None:
    """Room that it has before those whose turn is first, and that none of them needs or could use; None: there is none.

    Where many are before it, that is not looked at.
    """
    heads = [one.id for one in before if one.id in book.turns.kept]
    if not before or len(before) > those_before.MOST_ASKED or (job.is_gang and len(able) > _FEW):
        return None
    book.turns.before = []
    room, tasks, seen = _earliest_beside(book, job, able, ends), keeping.alike(book, job), keeping.scene(book, job)
    book.turns.before = heads
    if room is None or room.start_ms is None:
        return None
    nodes = [book.nodes[name] for name in room.nodes]
    there = choose_all(tasks, nodes, lambda name: seen.usage(book.nodes[name], room.going), now_wall_ms=room.start_ms)
    for other in [keeping.one_of(book, one) for one in before if one.id not in book.turns.kept]:
        offered = [fit(other, node, seen.usage(node, room.going), now_wall_ms=room.start_ms) for node in nodes]
        if any(isinstance(one, Place) for one in offered):
            return None
    for name in heads:
        kept, head = book.turns.kept[name], book.jobs[name]
        scene = replace(keeping.scene(book, head), wall_ms=room.start_ms)
        if backfill.delays(kept, keeping.one_of(book, affordable(book, head)), tasks, there, scene):
            return None
    return room if there else None


def _left(book: Book, job: Job) -> Outlook | None:
    """Of one that would take the last of its nodes, which others lack: that is no room that is kept."""
    left: dict[str, list[str]] = {}
    while len(left) < _FEW_LEFT:
        there = look(book, book.tables, demand_of(job), job, left)
        more = precedence.left_to(book, job, there) if not isinstance(there, str) else {}
        if not more:
            break
        left |= more
    if not left:
        return None
    heads = listed(list(dict.fromkeys(one for some in left.values() for one in some)))
    rule = "of a project that has had less for its weight, which needs more there than that"
    return Outlook(None, (), f"what there is on {', '.join(left)} is left to {heads}, {rule}")


def _without_room(book: Book, job: Job, able: Integers, ends: _GoneBy) -> str:
    """Why there is none though all that run had ended: those before it come to have it."""
    heads = [one for one in book.turns.before if one != job.id]
    book.turns.before = []
    if heads and _earliest_beside(book, job, able, ends) is not None:
        come, they = ("come", "they end") if len(heads) > 1 else ("comes", "that ends")
        return f"{listed(heads)} {come} before it, and will have the room that it needs until {they}"
    return "of the nodes that lack least for it none would have room"


def _earliest(book: Book, job: Job, able: Integers, ends: _GoneBy) -> Kept | None:
    precedence.begin_with(book, job)
    return _earliest_beside(book, job, able, ends)


def _earliest_beside(book: Book, job: Job, able: Integers, ends: _GoneBy) -> Kept | None:
    """Beside those that have their turn before it."""
    if job.is_gang and len(able) > _FEW:
        return _for_all(book, job, able, ends)
    scene = replace(keeping.scene(book, job), ends_ms=ends)
    slots = keeping.by_lack(book, job, able)[:_FEW].tolist()
    return backfill.earliest(keeping.alike(book, job), scene, [book.snapshot.nodes[slot] for slot in slots])


def _for_all(book: Book, job: Job, able: Integers, ends: _GoneBy) -> Kept | None:
    """Of a gang, by columns: when all its tasks have room beside each other, as far as amounts tell."""
    snapshot, wants = book.snapshot, np.maximum(np.array(least(job).in_sum, dtype=np.int64), 0)
    counts, tasks = wants > 0, job.spec.task_count
    free = np.stack([snapshot.cpu_millis[able], snapshot.memory_bytes[able], snapshot.untouched_count[able]])
    here = [(row, one) for row, slot in enumerate(able.tolist()) for one in book.jobs_at(snapshot.nodes[slot].id)]
    known = [(end_ms, row, one) for row, one in here if (end_ms := ends(one, book.wall_ms)) is not None]
    known.sort(key=lambda one: (one[0], one[2].id))
    rows = np.array([row for _, row, _ in known], dtype=np.int64)
    freed = np.array([least(one).in_sum for *_, one in known], dtype=np.int64).reshape(len(known), len(wants))

    def room(gone: int) -> Integers:
        then = free.copy()
        for number in range(len(wants)):
            np.add.at(then[number], rows[:gone], freed[:gone, number])
        fitting: Integers = (then[counts] // wants[counts, None]).min(axis=0)
        return fitting

    if room(len(known)).sum() < tasks:
        return Kept((), (), None)
    first = bisect_left(range(len(known)), tasks, key=lambda gone: int(room(gone).sum()))
    fitting = room(first)
    order = np.argsort(-fitting, kind="stable")
    chosen = order[: int(np.searchsorted(np.cumsum(fitting[order]), tasks)) + 1].tolist()
    gone = tuple(one.id for _, row, one in known[:first] if row in chosen)
    nodes = tuple(snapshot.nodes[int(able[row])].id for row in chosen)
    return Kept(nodes, gone, known[first - 1][0] if first else book.wall_ms)


def _turn_ms(book: Book, job: Job, before: list[tuple[Job, int]], able: Integers, ends: _GoneBy) -> int | None:
    """When what is free by then where it could run is as much as those before it ask for, so many of each, and itself.

    As if room were one: the least that it takes. None where that is never, as far as is known.
    """
    snapshot = book.snapshot
    most = (
        max((node.description.capacity.cpu_millis for node in snapshot.nodes), default=0),
        max((node.description.capacity.memory_bytes for node in snapshot.nodes), default=0),
        int(snapshot.device_count.max(initial=0)),
    )
    own = least(job).in_sum
    # Those that no node could ever run take nothing.
    needed = np.array(own, dtype=np.float64) * _count(job)
    # Most are alike in what they ask for.
    times: Counter[tuple[int, int, int]] = Counter()
    for one, count in before:
        times[least(one).in_sum] += count * _count(one)
    for wants, count in times.items():
        if all(want <= has for want, has in zip(wants, most, strict=True)):
            needed += np.array(wants, dtype=np.float64) * count
    columns = (snapshot.cpu_millis, snapshot.memory_bytes, snapshot.untouched_count)
    have = np.array([float(one[able].sum()) for one in columns])
    counts = np.array(own) > 0
    if np.all(have[counts] >= needed[counts]):
        return book.wall_ms
    here = [one for slot in able.tolist() for one in book.jobs_at(snapshot.nodes[slot].id)]
    leaving = sorted((end_ms, one.id) for one in here if (end_ms := ends(one, book.wall_ms)) is not None)
    if not leaving:
        return None
    freed = have + np.cumsum(np.array([least(book.jobs[one]).in_sum for _, one in leaving], dtype=np.float64), axis=0)
    enough = np.flatnonzero(np.all(freed[:, counts] >= needed[counts], axis=1))
    return leaving[int(enough[0])][0] if len(enough) else None


def _count(job: Job) -> int:
    return job.spec.task_count if job.is_gang else 1
