"""How long jobs of one shape would run on nodes of each make: among places that are as good, the soonest are chosen."""

import numpy as np

from controller.core.placement.fit import Place, Usage, fit
from controller.core.placement.learned import Learned
from controller.core.placement.profiles import Profile, profile_of
from controller.core.placement.snapshot import Floats, Integers, Snapshot
from headrace.jobs import Job, Work

# Of more makes of nodes the first are told apart.
MOST_MAKES = 64
# Jobs of one shape that are not alike in what they do, of which it is kept how long they would run.
_MOST_KEPT = 256
_UNKNOWN = float("nan")
# The key of a place that is none.
NOWHERE = -np.inf


class Lengths:
    """Of the jobs of one table."""

    def __init__(self, snapshot: Snapshot, learned: Learned, *, ratio: float, matters_ms: int) -> None:
        """A place is as good as the best where it takes no more than `ratio` times as long, or `matters_ms` longer."""
        self._snapshot = snapshot
        self._learned = learned
        self._ratio = ratio
        self._matters_ms = matters_ms
        # By make: what the shape would have of such a node.
        self._places: dict[int, Place | None] = {}
        self._millis: dict[tuple[Profile, Work | None], tuple[int, dict[int, float]]] = {}

    def tells_of(self, job: Job) -> bool:
        """Whether anything is known of how long it would run."""
        return self._learned.tells_of(job.spec)

    def soonest(self, job: Job, key: Floats, *, level: float) -> Floats:
        """Of the places of the best level of keys, those where the job would be done soonest, or nearly so.

        Where it never ran, an optimist's guess is taken: that is how speeds are learned, and it may be moved again. A
        place of which nothing is known is as good as the best.
        """
        best = key.max()
        if best == NOWHERE or not self.tells_of(job):
            return key
        alike = np.flatnonzero(key >= level * (best // level))
        soonest = self._soonest_of(job, alike)
        if len(soonest) == len(alike):
            return key
        found: Floats = np.full_like(key, NOWHERE)
        found[soonest] = key[soonest]
        return found

    def _soonest_of(self, job: Job, slots: Integers) -> Integers:
        makes = self._snapshot.make[slots]
        present = np.flatnonzero(np.bincount(makes)).tolist()
        if len(present) == 1:
            return slots
        known = self._known(job)
        self._find_out(job, known, {make: slots[makes == make] for make in present[:MOST_MAKES] if make not in known})
        of_make: Floats = np.full(present[-1] + 1, _UNKNOWN)
        of_make[present] = [known.get(make, _UNKNOWN) for make in present]
        millis = of_make[makes]
        if np.isnan(millis).all():
            return slots
        best = float(np.nanmin(millis))
        found: Integers = slots[~(millis > max(best * self._ratio, best + self._matters_ms))]
        return found

    def _known(self, job: Job) -> dict[int, float]:
        key = (profile_of(job.spec), job.spec.work)
        edition, known = self._millis.get(key, (-1, {}))
        if edition != self._learned.edition:
            known = {}
            self._millis.pop(key, None)
            self._millis[key] = (self._learned.edition, known)
            if len(self._millis) > _MOST_KEPT:
                del self._millis[next(iter(self._millis))]
        return known

    def _find_out(self, job: Job, known: dict[int, float], unknown: dict[int, Integers]) -> None:
        for make, slots in unknown.items():
            if make not in self._places:
                found = fit(job, self._snapshot.nodes[int(slots[0])], Usage(), now_wall_ms=0)
                self._places[make] = found if isinstance(found, Place) else None
        places = {make: place for make in unknown if (place := self._places[make]) is not None}
        speeds = self._learned.speeds(job.spec, list(places.values()))
        known |= dict.fromkeys(unknown, _UNKNOWN)
        known |= {
            make: 1000 / speed.optimistic for make, speed in zip(places, speeds, strict=True) if speed is not None
        }
