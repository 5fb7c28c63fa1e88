"""How soon jobs of one shape are done, and at which price: among places that are as good, the soonest are chosen."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass

import numpy as np

from controller.core.placement.arrivals import Arrivals
from controller.core.placement.bills import hourly
from controller.core.placement.fit import Place, Usage, fit
from controller.core.placement.learned import Learned
from controller.core.placement.paths import Paths
from controller.core.placement.profiles import Hardware, Profile, hardware, profile_of
from controller.core.placement.rates import Kinds, kinds_of
from controller.core.placement.snapshot import Booleans, Floats, Integers
from controller.core.placement.speeds import Speed
from headrace.changes import replace
from headrace.jobs import Job, Work
from headrace.nodes import Node

# Of more makes of nodes the first are told apart.
MOST_MAKES = 64
# Jobs of one shape that are not alike in what they do, of which it is kept how long they would run.
_MOST_KEPT = 256
# Of one make so many nodes are tried until the shape fits on one: they may differ in what is no matter of make.
_TRIED = 8
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
    ms_per_price: float
    unknown_run_ms: int

    def as_good_ms(self, least_ms: float) -> float:
        """How long it may take where it is as good as a place where it takes so long."""
        return max(least_ms * self.ratio, least_ms + self.matters_ms)

    def sooner_ms(self, millis: float) -> float:
        """How long it may not take where it is clearly sooner than at a place where it takes so long."""
        return min(millis / self.ratio, millis - self.matters_ms)


@dataclass(frozen=True, slots=True)
class _Run:
    """How long it takes on nodes of a make that do so much with such devices; no number: not known.

    That is as an optimist sees it; `most_ms` as a pessimist does. If it `was_seen`, a job like it has run on such
    hardware or on other; else nothing but figures tells.
    """

    millis: float
    most_ms: float = _UNKNOWN
    kinds: Kinds = ()
    rate: float = _UNKNOWN
    was_seen: bool = False
    hardware: Hardware | None = None


class Lengths:
    """Of the jobs of one table: in milliseconds, how soon they are done at each place, and what that costs."""

    def __init__(self, arrivals: Arrivals, learned: Learned, terms: Terms) -> None:
        self._arrivals = arrivals
        self._snapshot = arrivals.snapshot
        self._learned = learned
        self._terms = terms
        # By make: what the shape would have of such a node, and of which.
        self._places: dict[int, tuple[Node, Place]] = {}
        # And where it fits on none that was tried: on which, and when nodes were last other ones then.
        self._nowhere: dict[int, tuple[int, list[int]]] = {}
        self._rates = arrivals.rates
        self._known_runs: dict[tuple[Profile, Work | None], tuple[tuple[int, int], dict[int, _Run]]] = {}

    def matters(self, job: Job) -> bool:
        """Whether anything is known by which it would be done sooner at one place than at another."""
        return self._differs(job) or self._learned.tells_of(job.spec)

    def soonest(self, job: Job, key: Floats, *, level: float, which: Integers | None = None) -> Floats:
        """Of the places of the best level of keys, those where the job would be done soonest, or nearly so.

        Where it never ran, an optimist's guess is taken: that is how speeds are learned, and it may be moved again. A
        place of which nothing is known is as good as the best. `which` says for each slot what alternative it gives.
        """
        if not self.matters(job):
            return key
        best, differs = key.max(), self._differs(job)
        if best == NOWHERE:
            return key
        alike = np.flatnonzero(key >= level * (best // level))
        if not differs and job.spec.work is None and not self._are_of_several_makes(alike):
            return key
        soonest = alike[self.is_soonest(self.millis(job, alike, which[alike] if which is not None else None))]
        if len(soonest) == len(alike):
            return key
        found: Floats = np.full_like(key, NOWHERE)
        found[soonest] = key[soonest]
        return found

    def is_soonest(self, millis: Floats) -> Booleans:
        """Which of these are the least, or as good as that."""
        found: Booleans = millis <= self._terms.as_good_ms(float(millis.min()))
        return found

    def measures(self, job: Job, slots: Integers) -> list[Integers]:
        """Of these slots, all as good but for this, those by which the others are measured, in sets.

        Which others are as good as the best stays the same until none of one of these has room.
        """
        millis = self.millis(job, slots)
        found = [slots[millis == millis.min()]]
        if self._learned.tells_of(job.spec):
            runs = self._runs_known(job, slots)
            if runs.min() < runs.max() == np.inf:
                # What is not known is taken to be as good as the best that is.
                found.append(slots[runs == runs.min()])
        return found

    @property
    def terms(self) -> Terms:
        """By which they are compared."""
        return self._terms

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

    def millis(self, job: Job, slots: Integers, which: Integers | None = None) -> Floats:
        """Until it is done at each of these slots, from now on; and the price, as so much longer.

        Where it is not known at any how long it runs, only what differs counts: what has to be brought, and the price.
        That is of the alternative which each gives, by `which`; None: there is but one.
        """
        runs = self._runs(job, slots) if self._learned.tells_of(job.spec) else None
        besides = self._besides(job, slots, self._terms.unknown_run_ms if runs is None else runs, which)
        return besides if runs is None else runs + besides

    def _besides(self, job: Job, slots: Integers, runs: Floats | float, which: Integers | None) -> Floats:
        """What runs of these lengths take besides: what has to be brought, and the price."""
        total: Floats = self._arriving(job, slots) if self._arrivals.most_ms(job) else np.zeros(len(slots))
        if self._prices_count:
            hours, per_hour = runs / _HOUR_MS, hourly(self._snapshot, job.spec.resources, slots, which)
            total = total + hours * per_hour * self._terms.ms_per_price
        return total

    def at_least(self, job: Job, slots: Integers) -> Floats:
        """How long it takes, in milliseconds, on each of these nodes, as an optimist sees it; without end: not known.

        What it has to bring there is not in it. Known it is where runs of jobs like it tell, and not figures alone.
        """
        return self._of_each(job, slots, lambda run: run.millis if run.was_seen else _UNKNOWN)

    def at_most(self, job: Job, slots: Integers, *, here: Integers) -> Floats:
        """The same, as a pessimist sees it who would be at these nodes instead of `here`.

        If it declares its work, nodes of one hardware are told apart by their own figures alone: where one of two has
        none, it takes as long there as here, at least.
        """
        both = np.concatenate([slots, np.unique(here)])
        runs = self._of_each(job, both, lambda run: run.most_ms if run.was_seen else _UNKNOWN)
        if job.spec.work is not None:
            told = self._told(job, both)
            makes, tells = self._snapshot.make[both], np.isfinite(self._times(job.spec.work, told, both))
            for index in range(len(slots), len(both)):
                mine = told.get(int(makes[index]))
                alike = [make for make, one in told.items() if mine is not None and one.hardware == mine.hardware]
                apart = tells & tells[index]
                blind = np.isin(makes, alike) & ~apart
                runs[blind] = np.maximum(runs[blind], runs[index])
        found: Floats = runs[: len(slots)]
        return found

    def together(self, job: Job, at: Integers, runs: Floats) -> float:
        """Until a job, or all tasks of one, is done whose runs take so long at these slots, in milliseconds from now.

        With what has to be brought there, and the price, as so much longer: each has its place until the last is done.
        """
        arriving = self._arriving(job, at) if self._arrivals.most_ms(job) else np.zeros(len(at))
        of_price = 0.0
        if self._prices_count:
            per_hour = float(hourly(self._snapshot, job.spec.resources, at, None).sum())
            of_price = float(runs.max()) / _HOUR_MS * per_hour * self._terms.ms_per_price
        return float((runs + arriving).max()) + of_price

    def _runs(self, job: Job, slots: Integers) -> Floats | None:
        """How long it runs; where that is not known, as long as where it is done first. None: nothing is known."""
        runs = self._runs_known(job, slots)
        best = runs.min()
        if best == np.inf:
            return None
        runs[runs == np.inf] = best
        return runs

    def _runs_known(self, job: Job, slots: Integers) -> Floats:
        """How long it runs; without end where that is not known."""
        return self._of_each(job, slots, lambda run: run.millis)

    def _of_each(self, job: Job, slots: Integers, of_run: Callable[[_Run], float]) -> Floats:
        """What runs on its make tell of each of these nodes; and its own figures, where the job declares its work."""
        if not len(slots):
            return np.zeros(0)
        makes, told = self._snapshot.make[slots], self._told(job, slots)
        of_make: Floats = np.full(int(makes.max()) + 1, np.inf)
        of_make[list(told)] = [of_run(one) for one in told.values()]
        of_make[np.isnan(of_make)] = np.inf
        runs: Floats = of_make[makes]
        if job.spec.work is not None:
            times = self._times(job.spec.work, told, slots)
            tells = np.isfinite(times)
            runs[tells] *= times[tells]
            # Without figures, and without a run, nothing is known of a node.
            unseen = [make for make, one in told.items() if one.rate > 0 and not one.was_seen]
            runs[~tells & np.isin(makes, unseen)] = np.inf
        return runs

    def _told(self, job: Job, slots: Integers) -> dict[int, _Run]:
        """What is told of each make of these nodes."""
        makes = self._snapshot.make[slots]
        present = np.flatnonzero(np.bincount(makes)).tolist()
        known = self._known(job)
        unknown = [make for make in present[:MOST_MAKES] if make not in known]
        self._find_out(job, known, {make: slots[makes == make] for make in unknown})
        return {make: known[make] for make in present if make in known}

    def _times(self, work: Work, told: Mapping[int, _Run], slots: Integers) -> Floats:
        """How many times as long each of these takes as is told of its make, by its own figures; no number: not known.

        What is told of a make is told of a node of it that does so much.
        """
        makes = self._snapshot.make[slots]
        found: Floats = np.full(len(slots), _UNKNOWN)
        for kinds in dict.fromkeys(one.kinds for one in told.values()):
            rates: Floats = np.full(int(makes.max()) + 1, _UNKNOWN)
            its = {make: one for make, one in told.items() if one.kinds == kinds and one.rate > 0}
            rates[list(its)] = [one.rate for one in its.values()]
            times = rates[makes] / self._rates.at(work.precision, kinds, slots)
            tells = np.isfinite(times)
            found[tells] = times[tells]
        return found

    def _arriving(self, job: Job, slots: Integers) -> Floats:
        """How long it takes to bring what it needs: the image that nodes of that make would run, and its checkpoint."""
        saved = self._arrivals.of_checkpoint(job)
        if len(job.images) == 1:
            found: Floats = self._arrivals.of_image(job.images[0])[slots]
        else:
            found = np.zeros(len(slots))
            makes = self._snapshot.make[slots]
            for make in np.flatnonzero(np.bincount(makes)).tolist()[:MOST_MAKES]:
                there = makes == make
                place = self._place(job, make, slots[there])
                if place is not None:
                    found[there] = self._arrivals.of_image(place.pin)[slots[there]]
        return found if saved is None else found + saved[slots]

    def _known(self, job: Job) -> dict[int, _Run]:
        key, work = (profile_of(job.spec), job.spec.work), job.spec.work
        edition, known = self._known_runs.get(key, ((-1, -1), {}))
        figures = 0 if work is None else self._rates.renewed(work.precision, [one.kinds for one in known.values()])
        if edition != (self._learned.edition, figures):
            known = {}
            self._known_runs.pop(key, None)
            self._known_runs[key] = ((self._learned.edition, figures), known)
            if len(self._known_runs) > _MOST_KEPT:
                del self._known_runs[next(iter(self._known_runs))]
        return known

    def _find_out(self, job: Job, known: dict[int, _Run], unknown: dict[int, Integers]) -> None:
        found = {make: self._place(job, make, slots) for make, slots in unknown.items()}
        places = {make: place for make, place in found.items() if place is not None}
        if job.spec.work is not None:
            places = {make: self._with_figures(job.spec.work, one, unknown[make]) for make, one in places.items()}
        speeds = self._learned.on_hardware(job.spec, list(places.values()))
        for (make, place), (speed, reference) in zip(places.items(), speeds, strict=True):
            known[make] = self._run(job, speed, place, reference)

    def _with_figures(self, work: Work, place: Place, slots: Integers) -> Place:
        """Of a place without devices, one as good on a node of that make of whose processors figures are known."""
        if place.devices or place.platform.emulated:
            return place
        own = np.array([self._snapshot.slots[place.node]])
        for slot in (own, slots):
            knows = slot[np.isfinite(self._rates.at(work.precision, (), slot))]
            if len(knows):
                return replace(place, node=self._snapshot.nodes[int(knows[0])].id)
        return place

    def _run(self, job: Job, speed: Speed | None, place: Place, reference: float) -> _Run:
        """What it takes at a place, as is told of a node that does so much."""
        millis, most_ms = (_UNKNOWN, _UNKNOWN) if speed is None else (1000 / speed.optimistic, 1000 / speed.pessimistic)
        was_seen, node = speed is not None and speed.runs > 0, self._snapshot.nodes[self._snapshot.slots[place.node]]
        its = hardware(place.platform, place.devices, node)
        if job.spec.work is None or place.platform.emulated:
            # Figures are those of the node's own programs.
            return _Run(millis, most_ms, was_seen=was_seen, hardware=its)
        return _Run(millis, most_ms, kinds_of(place, node), reference, was_seen, its)

    def _place(self, job: Job, make: int, slots: Integers) -> Place | None:
        """What it would have of an empty node of that make, which those at `slots` are of; None: fits on none tried."""
        known = self._places.get(make)
        if known is not None and self._is_still(known[0], make):
            return known[1]
        # Jobs of one shape keep away from other nodes, and each for a while.
        anyone = replace(job, exclusions=()) if job.exclusions else job
        tried = slots[:_TRIED].tolist()
        if self._nowhere.get(make) == (self._snapshot.last_described, tried):
            return None
        for slot in tried:
            node = self._snapshot.nodes[slot]
            found = fit(anyone, node, Usage(), now_wall_ms=0)
            if isinstance(found, Place):
                self._places[make] = node, found
                return found
        self._nowhere[make] = self._snapshot.last_described, tried
        return None

    def _is_still(self, node: Node, make: int) -> bool:
        """Whether a node is of that make, with the same devices."""
        slot = self._snapshot.slots.get(node.id)
        if slot is None or self._snapshot.make[slot] != make:
            return False
        now = self._snapshot.nodes[slot]
        return now.devices is node.devices or [one.id for one in now.devices] == [one.id for one in node.devices]
