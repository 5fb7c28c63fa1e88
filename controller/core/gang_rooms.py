"""Room that is kept for a gang where nodes are many: where and when all its tasks have room first, in columns.

Amounts of cores, memory and devices tell how many tasks a node has room for. Where they do not tell all, as of parts of
devices or of a node with devices of several sorts, `fit` is asked, of so many nodes at a time.
"""

from bisect import bisect_left
from collections.abc import Iterable, Mapping

import numpy as np

from controller.core import limits
from controller.core.able_nodes import able
from controller.core.backfill import Kept, Scene
from controller.core.book import Book
from controller.core.departures import NEVER
from controller.core.placement.demand import demand_of, least
from controller.core.placement.gang import count_at
from controller.core.placement.names import kept_apart, name_of
from controller.core.placement.snapshot import Booleans, Integers
from controller.core.turns import Checked
from headrace.jobs import Job

# So many nodes are looked at closer at a time: that takes some milliseconds, as all else waits meanwhile.
LOOKED_AT_ONCE = 100
# So often the room is found anew meanwhile, with what `fit` has said.
TURNS = 2
# Rows of amounts.
_DEVICES, _PARTS = 2, 3


def found(
    book: Book, one: Job, scene: Scene, before: Kept | None, checked: dict[str, Checked]
) -> tuple[Kept | None, bool]:
    """Where a gang, of which `one` is a task, has room first; None where it never has. And whether all is looked at.

    Of nodes that are as good it is those of `before`. `checked` has what `fit` said, by node, and is kept up to date.
    """
    rooms = _Rooms(book, one, scene, checked)
    looks, names = LOOKED_AT_ONCE, before.counts if before is not None else {}
    kept = rooms.earliest(names)
    late = rooms.doubtful(kept)
    while late and looks > 0:
        for name in late[:looks]:
            rooms.look(name, kept)
        looks -= max(len(late), LOOKED_AT_ONCE // TURNS)
        kept = rooms.earliest(names)
        late = rooms.doubtful(kept)
    return kept, not late


class _Rooms:
    """The nodes on which a task could be, were nothing else there."""

    def __init__(self, book: Book, one: Job, scene: Scene, checked: dict[str, Checked]) -> None:
        self._book, self._one, self._scene, self._checked = book, one, scene, checked
        self._count = one.spec.task_count
        snapshot, departures = book.snapshot, book.turns.departures
        self._slots = able(book, one)
        self._wants = np.array(least(one).in_sum, dtype=np.int64)
        columns = (snapshot.cpu_millis, snapshot.memory_bytes, snapshot.untouched_count)
        self._free = np.stack([column[self._slots] for column in columns])
        self._position: Integers = np.full(snapshot.room, -1, dtype=np.int64)
        self._position[self._slots] = np.arange(len(self._slots))
        self._plain = _is_plain(book, one, self._slots)
        self._promised()
        given_back = _given_back_ms(book, one.gang)
        # The rows of these nodes, in the order in which their jobs go.
        rows = np.flatnonzero(departures.slot >= 0)
        rows = rows[self._position[departures.slot[rows]] >= 0]
        ends = departures.ends_ms(book.wall_ms, given_back)[rows]
        order = np.argsort(ends, kind="stable")
        self._rows, self._ends = rows[order], ends[order]
        self._at: Integers = self._position[departures.slot[self._rows]]
        self._amounts = departures.amounts[:, self._rows].astype(np.float64)
        if self._wants[_DEVICES]:
            self._plain &= np.bincount(self._at, self._amounts[_PARTS], len(self._slots)) == 0
        self._known = int(np.searchsorted(self._ends, NEVER))
        # What `fit` has said: of which place, how many had gone, and for how many tasks there was room.
        self._said: tuple[list[int], list[int], list[int]] = [], [], []
        self._recall()
        # What was found last, and how many have gone of each node then.
        self._room: Integers = np.zeros(0, dtype=np.int64)
        self._gone: Integers = np.zeros(0, dtype=np.int64)

    def _promised(self) -> None:
        """Takes off what is kept for those before it."""
        for spec, counts in self._scene.promised:
            amounts = np.array(least(Job("", spec)).in_sum, dtype=np.int64)
            slots = [self._book.snapshot.slots[name] for name in counts]
            places, each = self._position[slots], np.array(list(counts.values()), dtype=np.int64)
            its = places >= 0
            # Which devices those will have, and whether they are among those for this one, `fit` is asked.
            self._free[:_DEVICES, places[its]] -= amounts[:_DEVICES, None] * each[its]
            if spec.resources.accelerators is not None:
                self._plain[places[its]] = False

    def _recall(self) -> None:
        """Takes over what `fit` has said of nodes that are as they were then."""
        touched, slots = self._book.turns.touched, self._book.snapshot.slots
        for name, one in self._checked.items():
            place = int(self._position[slots[name]])
            if place >= 0 and one.touches == touched.get(name, 0):
                for gone, room in one.rooms.items():
                    self._note(place, gone, room)

    def _note(self, place: int, gone: int, room: int) -> None:
        for column, value in zip(self._said, (place, gone, room), strict=True):
            column.append(value)

    def room(self, gone: int) -> Integers:
        """For how many tasks each node has room once the first so many jobs have gone."""
        at, room = self._at[:gone], np.full(len(self._slots), self._count, dtype=np.int64)
        for number in np.flatnonzero(self._wants).tolist():
            freed = np.bincount(at, self._amounts[number, :gone], len(self._slots)).astype(np.int64)
            np.minimum(room, np.maximum(self._free[number] + freed, 0) // self._wants[number], out=room)
        if self._said[0]:
            # Where fewer have gone there is no more.
            places, its_gone, most = map(np.array, self._said)
            held = np.bincount(at, minlength=len(self._slots))[places] <= its_gone
            np.minimum.at(room, places[held], most[held])
        return room

    def earliest(self, before: Mapping[str, int]) -> Kept | None:
        """Where all have room first, as far as limits tell; else where fewest have to go of whom nothing tells."""
        if int(self.room(self._known).sum()) < self._count:
            every = len(self._rows)
            return self._kept(every, before, None) if int(self.room(every).sum()) >= self._count else None
        gone = bisect_left(range(self._known), self._count, key=lambda one: int(self.room(one).sum()))
        return self._kept(gone, before, int(self._ends[gone - 1]) if gone else self._book.wall_ms)

    def _kept(self, gone: int, before: Mapping[str, int], start_ms: int | None) -> Kept:
        room, leaving = self.room(gone), np.bincount(self._at[:gone], minlength=len(self._slots))
        self._room, self._gone = room, leaving
        was: Integers = np.ones(len(self._slots), dtype=np.int64)
        places = self._places(before)
        was[places[places >= 0]] = 0
        # Room that moves about is nobody's. Then where fewest have to go, and on few nodes.
        order = np.lexsort((self._slots, -room, leaving, was))
        order = order[room[order] > 0]
        chosen = order[: int(np.searchsorted(np.cumsum(room[order]), self._count)) + 1]
        counts = room[chosen]
        counts[-1] -= int(counts.sum()) - self._count
        is_chosen: Booleans = np.zeros(len(self._slots), dtype=np.bool_)
        is_chosen[chosen] = True
        jobs, nodes = self._book.turns.departures.jobs, self._book.snapshot.nodes
        rows = self._rows[:gone][is_chosen[self._at[:gone]]].tolist()
        names = [nodes[slot].id for slot in self._slots[chosen].tolist()]
        places_of = [name for name, count in zip(names, counts.tolist(), strict=True) for _ in range(count)]
        return Kept(tuple(places_of), tuple([jobs[row][0] for row in rows]), start_ms)

    def _places(self, names: Iterable[str]) -> Integers:
        slots = self._book.snapshot.slots
        return self._position[np.array([slots[name] for name in names], dtype=np.int64)]

    def doubtful(self, kept: Kept | None) -> list[str]:
        """Of which of the nodes that were found `fit` is to be asked first."""
        if kept is None:
            return []
        places, touched, found = self._places(kept.counts), self._book.turns.touched, list[str]()
        for name, is_plain, gone in zip(
            kept.counts, self._plain[places].tolist(), self._gone[places].tolist(), strict=True
        ):
            known = None if is_plain else self._checked.get(name)
            is_known = known is not None and known.touches == touched.get(name, 0) and gone in known.rooms
            if not is_plain and not is_known:
                found.append(name)
        return found

    def look(self, name: str, kept: Kept | None) -> None:
        """Has `fit` say how many tasks a node has room for then."""
        if kept is None:
            return
        scene, place = self._scene, int(self._places([name])[0])
        gone, most, node = int(self._gone[place]), int(self._room[place]), scene.nodes[name]
        room = count_at(self._one, node, scene.usage(node, kept.going), most, now_wall_ms=scene.wall_ms)
        touches, known = self._book.turns.touched.get(name, 0), self._checked.get(name)
        before = known.rooms if known is not None and known.touches == touches else {}
        self._checked[name] = Checked(touches, {**before, gone: room})
        self._note(place, gone, room)


def _is_plain(book: Book, one: Job, slots: Integers) -> Booleans:
    """On which of these nodes amounts tell all."""
    snapshot, wants = book.snapshot, one.spec.resources
    request = wants.accelerators
    is_part = request is not None and (request.is_part or bool(wants.alternatives))
    if is_part or demand_of(one).is_choosy or kept_apart(one.spec) or name_of(one.spec) in snapshot.whereabouts.shunned:
        return np.zeros(len(slots), dtype=np.bool_)
    plain = ~snapshot.intricate[slots]
    if request is not None:
        such = snapshot.over_devices(request.where).values[:, slots]
        plain &= such.sum(axis=0) == snapshot.device_count[slots]
        away = [snapshot.slots[item.node] for item in one.exclusions if item.device and item.node in snapshot.slots]
        plain &= ~np.isin(slots, away)
    return plain


def _given_back_ms(book: Book, head: str) -> dict[str, int]:
    """By when those have gone that were let ahead of a job, whatever their limits say."""
    jobs = [book.jobs[one] for one in book.turns.ahead]
    known = {job.id: limits.gives_back_ms(job, book.wall_ms) for job in jobs if head in job.ahead_of}
    return {one: millis for one, millis in known.items() if millis is not None}
