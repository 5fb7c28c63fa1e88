"""Beside whom the jobs of one table would be on each node: who is kept apart, and where those of their name are."""

import numpy as np

from controller.core.placement.names import Name, kept_apart, name_of
from controller.core.placement.paths import Paths
from controller.core.placement.snapshot import UNKNOWN, Booleans, Floats, Integers, Snapshot
from controller.core.placement.whereabouts import NO_VALUE, Values
from headrace import query
from headrace.jobs import Job, JobSpec

# The key of a place that is none.
NOWHERE = -np.inf
# Where more nodes have changed, all are worked out anew.
_MANY = 64
# To be nearer comes before how many are where: more than there are jobs.
_NEARER = 1e12


class Company:
    """What of it changes with who is there is worked out anew where that has changed; what nodes are, all share."""

    def __init__(self, snapshot: Snapshot, spec: JobSpec, paths: Paths | None = None) -> None:
        """`paths` know where others ran."""
        self._snapshot = snapshot
        self._paths = paths
        self._near = spec.neighbours.near if spec.neighbours is not None else ()
        self._apart: tuple[Name, ...] = kept_apart(spec)
        self._own = name_of(spec)
        self._packs = spec.neighbours is not None and bool(spec.neighbours.pack)
        field = spec.neighbours.field if spec.neighbours is not None else ""
        # Jobs may write it in any form that queries know.
        self._field = query.parse_field(field, query.NODE_FIELDS).name if field else ""
        self._clear()

    def _clear(self) -> None:
        room = self._snapshot.room
        self._seen = UNKNOWN
        self._beside: Booleans = np.zeros(room, dtype=np.bool_)
        # How many of the job's own name are there.
        self._count: Integers = np.zeros(room, dtype=np.int64)
        # What the node is by which they are spread or packed, and where it is.
        self._values = self._regions = Values(np.full(room, NO_VALUE, dtype=np.int64))

    def refresh(self) -> None:
        """Works out anew the nodes that have changed."""
        snapshot = self._snapshot
        if len(self._count) < snapshot.room:
            self._clear()
        if self._field:
            self._values = snapshot.over_field(self._field)
        if self._near:
            self._regions = snapshot.over_field("region")
        apart = [snapshot.named(one) for one in self._apart]
        own = snapshot.named(self._own) if self._field else {}
        late = np.flatnonzero(snapshot.changed > self._seen)
        self._seen = snapshot.clock
        if len(late) > _MANY:
            # It takes as long as there are nodes that have such jobs, however many there are in all.
            self._beside[:], self._count[:] = False, 0
            for there in apart:
                self._beside[list(there)] = True
            self._count[list(own)] = list(own.values())
            return
        for slot in late.tolist():
            self._beside[slot] = any(slot in there for there in apart)
            self._count[slot] = own.get(slot, 0)

    def beside(self, slots: Integers) -> Booleans:
        """On which of these is a job that they keep apart from."""
        found: Booleans = self._beside[slots]
        return found

    def narrowed(self, job: Job, key: Floats, *, level: float, but: int | None) -> Floats:
        """Of the places of the best level of keys, those nearest to others, then by how many of its name are there.

        `but`: at this one it is not to be; if it is there now, it does not count.
        """
        best = key.max() if self._field or self._near else NOWHERE
        if best == NOWHERE:
            return key
        alike = np.flatnonzero(key >= level * (best // level))
        merits = self.merits(alike, away=but if self._snapshot.slots.get(job.node) == but else None)
        kept = alike[merits == merits.max()]
        if len(kept) == len(alike):
            return key
        found: Floats = np.full_like(key, NOWHERE)
        found[kept] = key[kept]
        return found

    def merits(self, slots: Integers, *, away: int | None = None) -> Floats:
        """Of these slots the best are the highest. `away`: one job of the name has left there.

        A node that has no such value comes last.
        """
        nearest = _NEARER * self._nearness(slots)
        if not self._field:
            return nearest
        value = self._values.of_slot
        counts = np.zeros(len(self._values.numbers) + 1)
        counts += np.bincount(value, weights=self._count, minlength=len(counts))
        if away is not None:
            counts[value[away]] -= 1
        merits: Floats = counts[value[slots]] * (1.0 if self._packs else -1.0)
        merits[value[slots] == NO_VALUE] = -_NEARER / 2
        return nearest + merits

    def _nearness(self, slots: Integers) -> Floats:
        """2 where a job that it is to be near to was started last, 1 in the same region, else 0."""
        found, snapshot = np.zeros(len(slots)), self._snapshot
        names = [self._paths.last_node(self._own[0], one) for one in self._near] if self._paths is not None else []
        there = [snapshot.slots[one] for one in names if one in snapshot.slots]
        if there:
            region = self._regions.of_slot
            regions = region[there]
            found[np.isin(region[slots], regions[regions != NO_VALUE])] = 1.0
            found[np.isin(slots, there)] = 2.0
        return found

    def is_worse(self, here: int, there: int) -> bool:
        """Whether those of the name would be less even (or less together) once the job has moved."""
        before, after = self.merits(np.array([here, there]), away=here)
        return bool(after < before)
