"""How soon jobs of one shape are done, and at which price: among places that are as good, the soonest are chosen."""

from dataclasses import dataclass

import numpy as np

from controller.core.placement.arrivals import Arrivals
from controller.core.placement.fit import Place, Usage, fit
from controller.core.placement.learned import Learned
from controller.core.placement.paths import Paths
from controller.core.placement.profiles import Profile, profile_of
from controller.core.placement.snapshot import Booleans, Floats, Integers
from headrace import shares
from headrace.jobs import Job, Work

# Of more makes of nodes the first are told apart.
MOST_MAKES = 64
# Jobs of one shape that are not alike in what they do, of which it is kept how long they would run.
_MOST_KEPT = 256
_HOUR_MS = 3_600_000
_UNKNOWN = float("nan")
# The key of a place that is none.
NOWHERE = -np.inf


@dataclass(frozen=True, slots=True)
class Terms:
    """The named numbers by which seconds are compared, and what else is counted in them."""

    # A place is as good as the best where it takes no more than `ratio` times as long, or `matters_ms` longer.
    ratio: float
    matters_ms: int
    # What a unit of the owners' price is worth; of a job of which it is not known how long it runs, for so long.
    ms_per_price: float = 0.0
    unknown_run_ms: int = 3_600_000


class Lengths:
    """Of the jobs of one table: in milliseconds, how soon they are done at each place, and what that costs."""

    def __init__(self, arrivals: Arrivals, learned: Learned, terms: Terms) -> None:
        self._arrivals = arrivals
        self._snapshot = arrivals.snapshot
        self._learned = learned
        self._terms = terms
        # By make: what the shape would have of such a node.
        self._places: dict[int, Place | None] = {}
        self._millis: dict[tuple[Profile, Work | None], tuple[int, dict[int, float]]] = {}

    def soonest(self, job: Job, key: Floats, *, level: float) -> Floats:
        """Of the places of the best level of keys, those where the job would be done soonest, or nearly so.

        Where it never ran, an optimist's guess is taken: that is how speeds are learned, and it may be moved again. A
        place of which nothing is known is as good as the best.
        """
        best, differs = key.max(), self._differs(job)
        if best == NOWHERE or not (differs or self._learned.tells_of(job.spec)):
            return key
        alike = np.flatnonzero(key >= level * (best // level))
        if not differs and not self._are_of_several_makes(alike):
            return key
        soonest = alike[self.is_soonest(self.millis(job, alike))]
        if len(soonest) == len(alike):
            return key
        found: Floats = np.full_like(key, NOWHERE)
        found[soonest] = key[soonest]
        return found

    def is_soonest(self, millis: Floats) -> Booleans:
        """Which of these are the least, or as good as that."""
        least, terms = float(millis.min()), self._terms
        found: Booleans = millis <= max(least * terms.ratio, least + terms.matters_ms)
        return found

    @property
    def paths(self) -> Paths:
        """Where jobs ran, and how nodes are reached."""
        return self._arrivals.paths

    @property
    def _prices_count(self) -> bool:
        return self._terms.ms_per_price > 0 and self._snapshot.is_priced

    def _differs(self, job: Job) -> bool:
        """Whether nodes of one make may differ: by what has to be brought there, or their price."""
        return self._prices_count or self._arrivals.most_ms(job) > self._terms.matters_ms

    def _are_of_several_makes(self, slots: Integers) -> bool:
        makes = self._snapshot.make[slots]
        return bool((makes != makes[0]).any())

    def millis(self, job: Job, slots: Integers) -> Floats:
        """Until it is done at each of these slots, from now on; and the price, as so much longer.

        Where it is not known at any how long it runs, only what differs counts: what has to be brought, and the price.
        """
        makes: Integers = self._snapshot.make[slots].astype(np.int64)
        present = np.flatnonzero(np.bincount(makes)).tolist()
        told = present[:MOST_MAKES]
        known = self._known(job)
        self._find_out(job, known, {make: slots[makes == make] for make in told if make not in known})
        of_make: Floats = np.full(present[-1] + 1, _UNKNOWN)
        of_make[present] = [known.get(make, _UNKNOWN) for make in present]
        runs: Floats = of_make[makes]
        is_known = ~np.isnan(runs)
        runs[~is_known] = runs[is_known].min() if is_known.any() else 0.0
        total: Floats = np.add(runs, self._arriving(job, slots, makes, told))
        if self._prices_count:
            hours = (runs if is_known.any() else np.full(len(slots), float(self._terms.unknown_run_ms))) / _HOUR_MS
            total += hours * self._prices(job, slots) * self._terms.ms_per_price
        return total

    def _arriving(self, job: Job, slots: Integers, makes: Integers, told: list[int]) -> Floats:
        if not self._arrivals.most_ms(job):
            return np.zeros(len(slots))
        pins = {make: place.pin for make in told if (place := self._places.get(make)) is not None}
        return self._arrivals.millis(job, slots, makes, pins)

    def _prices(self, job: Job, slots: Integers) -> Floats:
        """What an hour of the job costs at each."""
        wants = job.spec.resources
        prices: Floats = self._snapshot.core_prices[slots] * (wants.cpu_millis / 1000)
        if wants.accelerators is not None:
            share = (wants.accelerators.share_millis or shares.WHOLE_MILLIS) / shares.WHOLE_MILLIS
            prices = prices + self._snapshot.device_prices[slots] * (wants.accelerators.count * share)
        return prices

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
