"""For each shape of jobs, on which nodes one could run, how good each of these is, and why the others are none.

What `controller.core.placement.fit.choose` finds node by node is found here in columns, of which only the nodes are
worked out anew that have changed. `fit` has the last word on the one node that is chosen.
"""

from collections import Counter
from collections.abc import Callable, Collection, Sequence

import numpy as np

from controller.core.placement import links, reasons
from controller.core.placement.columns import Shape
from controller.core.placement.company import Company
from controller.core.placement.costs import Costs
from controller.core.placement.demand import Demand
from controller.core.placement.fit import Place, Unfit, bound, fit, runnable
from controller.core.placement.given import Codes, Devices
from controller.core.placement.lengths import NOWHERE, Lengths
from controller.core.placement.names import kept_apart, name_of
from controller.core.placement.rooms import Floats as Costed
from controller.core.placement.snapshot import UNKNOWN, Booleans, Column, Floats, Integers, Snapshot
from headrace.changes import replace
from headrace.jobs import Job, Network
from headrace.nodes import Node, NodeDescription

# Shapes of which tables are kept; one that is not is made anew.
MOST_TABLES = 512
# More than a node has of devices, and than there are ways for devices to be near each other.
_MOST_DEVICES = 1024
_NEARNESS = links.LINKED + 1
# Keys of one level differ in how near devices are to each other, and in how idle the node is.
_LEVEL = 2.0 * _NEARNESS
# Those of one of these levels, in how many devices are spared, too.
_WHOLE_LEVEL = _LEVEL * _MOST_DEVICES
_FITS, _VACANT = 0, 1
_NO_NETWORK = reasons.NO_HOST_NETWORK


class Tables:
    """The tables of the shapes that were asked for last."""

    def __init__(
        self, snapshot: Snapshot, costs: Costs | None = None, lengths: Callable[[], Lengths] | None = None
    ) -> None:
        """With `costs`, of places that are as good otherwise a job on devices takes the one that costs least.

        With `lengths` (made for each table), one where it would be done soonest, before that.
        """
        self.snapshot = snapshot
        self.costs = costs
        self.lengths = lengths
        self._tables: dict[Demand, Table] = {}

    def asked(self, demand: Demand, jobs: Sequence[Job]) -> None:
        """Jobs of that shape have come."""
        if self.costs is not None and self.snapshot.devices:
            if not self.costs.begun:
                # What devices a shape asks for is told once they are known.
                self.costs.refresh()
            tasks = [one.spec.task_count * one.spec.element_count for one in jobs]
            self.costs.asked(self.table(demand, jobs[0]).shape(), sum(tasks), requests=len(tasks))

    def table(self, demand: Demand, job: Job) -> "Table":
        """The table of a shape, that of the job; up to date."""
        table = self._tables.pop(demand, None)
        if table is None:
            table = Table(self.snapshot, job, self.costs, self.lengths() if self.lengths is not None else None)
        self._tables[demand] = table
        if len(self._tables) > MOST_TABLES:
            del self._tables[next(iter(self._tables))]
        table.refresh()
        return table

    def choose(
        self, demand: Demand, job: Job, *, now_wall_ms: int, but: str = "", without: Collection[str] = ()
    ) -> Place | str:
        """The best place for a job of that shape, or one sentence on why there is none; `but` on one node.

        Nor is it on one of those `without` which there are places enough; of these nothing is said.
        """
        table = self.table(demand, job)
        away = self.snapshot.slots.get(but)
        others = [self.snapshot.slots[name] for name in without]
        found = table.choose(job, now_wall_ms=now_wall_ms, but=away, without=others)
        return found or table.reason(job, now_wall_ms=now_wall_ms, but=away)


class Table:
    """One shape's. `code` says for each slot why it is no place, and is 0 where it is one; `key` is higher the better.

    Keys order as the scores of `fit` do.
    """

    def __init__(
        self, snapshot: Snapshot, job: Job, costs: Costs | None = None, lengths: Lengths | None = None
    ) -> None:
        self.snapshot = snapshot
        self._costs = costs
        self.lengths = lengths
        paths = lengths.paths if lengths is not None else None
        self.company = Company(snapshot, job.spec, paths) if job.spec.neighbours is not None else None
        self._begun, self._shapes = -1, dict[int, Shape]()
        self._spec, self._images = job.spec, job.images
        self._texts: dict[str, int] = {"": _FITS, "vacant": _VACANT}
        wants = job.spec.resources
        self._no_cpu, self._no_memory = self._coded(reasons.no_cpu(wants)), self._coded(reasons.no_memory(wants))
        self._no_match, self._no_network = self._coded(reasons.no_match(job.spec.where)), self._coded(_NO_NETWORK)
        self._apart = self._coded(reasons.kept_apart(kept_apart(job.spec)))
        self._standings: Codes = np.zeros(0, dtype=np.int16)
        # By variant (0 is none) and class of platforms: why the image does not run, and whether it runs natively.
        self._images_run: Codes = np.zeros((len(job.spec.variants) + 1, 0), dtype=np.int16)
        self._native: Booleans = np.zeros(self._images_run.shape, dtype=np.bool_)
        self._likes: Floats = np.zeros(1, dtype=np.float64)
        self._devices = Devices(snapshot, job, self._coded)
        # Whether it depends on what sensors read, or jobs hold of nodes.
        self.is_unsteady = False
        self._clear()

    def _clear(self) -> None:
        room = self.snapshot.room
        self.code: Codes = np.full(room, _VACANT, dtype=np.int16)
        self.key: Floats = np.full(room, NOWHERE)
        # Which of the alternatives it would be given there; 0 is what is asked for first.
        self.which: Integers = np.zeros(room, dtype=np.int64)
        self._seen = UNKNOWN

    def refresh(self) -> None:
        """Works out anew the nodes that have changed."""
        snapshot = self.snapshot
        if len(self.key) < snapshot.room:
            self._clear()
        if self._seen == snapshot.clock:
            return
        columns = self._columns()
        late = snapshot.changed > self._seen
        self.is_unsteady = any(one.unsteady for one in columns)
        if self.is_unsteady:
            late |= snapshot.read > self._seen
        slots = np.flatnonzero(late)
        self._seen = snapshot.clock
        if len(slots):
            self._work_out(slots)

    def choose(
        self, job: Job, *, now_wall_ms: int, but: int | None = None, without: Sequence[int] = ()
    ) -> Place | None:
        """The best place (`but` at one slot, and `without` others); of those as good, on the node of the first name."""
        snapshot = self.snapshot
        key = self.keys(job, now_wall_ms=now_wall_ms, but=but, without=without)
        while True:
            slot = self._best(self.narrowed(job, key, but))
            if slot is None:
                return None
            found = fit(job, snapshot.nodes[slot], snapshot.usages[slot], now_wall_ms=now_wall_ms)
            if isinstance(found, Place):
                return found
            key[slot] = self.key[slot] = NOWHERE
            self.code[slot] = self._coded(found.reason)

    def narrowed(self, job: Job, key: Floats, but: int | None = None) -> Floats:
        """Of the best places by their keys, those that are also best beside others, and where it is done soonest."""
        if self.company is not None:
            key = self.company.narrowed(job, key, level=_WHOLE_LEVEL, but=but)
        return key if self.lengths is None else self.lengths.soonest(job, key, level=_LEVEL, which=self.which)

    def keys(self, job: Job, *, now_wall_ms: int, but: int | None = None, without: Sequence[int] = ()) -> Floats:
        """How good each slot is for the job (`but` one, and `without` others); to be read only."""
        away = [*self._kept_away(job, now_wall_ms), *((but,) if but is not None else ()), *without]
        if not away:
            return self.key
        key = self.key.copy()
        key[away] = NOWHERE
        return key

    def might(self) -> Booleans:
        """For each node whether neither its size, its network nor what is asked of it keeps the job away for good."""
        snapshot, spec = self.snapshot, self._spec
        known, wants = len(snapshot.nodes), spec.resources
        able: Booleans = snapshot.whole_cpu_millis[:known] >= wants.cpu_millis
        able &= snapshot.whole_memory_bytes[:known] >= wants.memory_bytes
        if spec.network is Network.HOST:
            able &= snapshot.host_network[:known]
        if self._where is not None:
            able &= self._where.values[:known]
        return able

    def shape(self, which: int = 0) -> Shape:
        """What it is in the terms of the measure of what places cost, with that of its alternatives."""
        wants, such = self._spec.resources, self._devices.such
        if self._costs is None or not such:
            return Shape(wants.cpu_millis, wants.memory_bytes)
        if self._begun != self._costs.begun:
            self._begun, self._shapes = self._costs.begun, {}
        if which not in self._shapes:
            devices = (wants.accelerators, *wants.alternatives)[which]
            self._shapes[which] = self._costs.shape(replace(wants, accelerators=devices), such[which].values)
        return self._shapes[which]

    def _cost(self, costs: Costs, slots: Integers) -> Costed:
        """What it costs on each of these nodes, with the alternative which it would be given there."""
        which = self.which[slots]
        found = np.empty(len(slots), dtype=np.float32)
        for number in np.unique(which).tolist():
            there = which == number
            found[there] = costs.of(self.shape(number), slots[there])
        return found

    def best(self, key: Floats) -> Integers:
        """The slots that are as good as the best by their keys, but for what they cost and how idle their nodes are."""
        return np.flatnonzero(self._good(key))

    def _good(self, key: Floats) -> Booleans:
        best = key.max()
        # The whole part of half of it says how good a place is but for how idle the node is.
        good: Booleans = key >= 2.0 * (best // 2.0) if best > NOWHERE else key > NOWHERE
        return good

    def _best(self, key: Floats) -> int | None:
        snapshot, good = self.snapshot, self._good(key)
        first = int(good.argmax())
        if not good[first]:
            return None
        if self._costs is not None and snapshot.device_count[first] and np.count_nonzero(good) > 1:
            self._costs.refresh(self._spec.resources)
            slots = self._cheapest(self._costs, good)
        else:
            slots = np.flatnonzero(good)
        key = key[slots]
        return snapshot.first(slots[key == key.max()])

    def _cheapest(self, costs: Costs, good: Booleans) -> Integers:
        """Those of these nodes on which it costs least, with the alternative which it would be given there."""
        if not self._spec.resources.alternatives:
            return costs.cheapest(self.shape(), good)
        slots = np.flatnonzero(good)
        found = self._cost(costs, slots)
        cheapest: Integers = slots[found == found.min()]
        return cheapest

    def reason(self, job: Job, *, now_wall_ms: int, but: int | None = None) -> str:
        """Why the job waits that has no place."""
        found = self.obstacles(job, now_wall_ms=now_wall_ms, but=but)
        return reasons.waits({text: count for text, count in found.items() if text and count > 0})

    def obstacles(self, job: Job, *, now_wall_ms: int, but: int | None = None) -> Counter[str]:
        """On how many nodes what keeps the job away; the empty text is where it fits."""
        nodes = len(self.snapshot.nodes)
        counts = np.bincount(self.code[:nodes], minlength=len(self._texts)).tolist()
        texts = list(self._texts)
        found: Counter[str] = Counter(dict(zip(texts, counts, strict=True)))
        if but is not None:
            found[texts[self.code[but]]] -= 1
        for slot, reason in self._kept_away(job, now_wall_ms).items():
            if not self.snapshot.standing[slot] and slot != but:
                found[texts[self.code[slot]]] -= 1
                found[reason] += 1
        return found

    def _kept_away(self, job: Job, now_wall_ms: int) -> dict[int, str]:
        there = self.snapshot.whereabouts.shunned
        shunned = there.get(name_of(job.spec), ()) if there else ()
        found: dict[int, str] = dict.fromkeys(shunned, reasons.SHUNNED)
        for one in job.exclusions:
            slot = self.snapshot.slots.get(one.node)
            if slot is None or now_wall_ms >= one.expire_time_ms:
                continue
            if not one.device:
                found[slot] = reasons.kept_away(one)
            elif slot not in found:
                # Another device of the node may do.
                other = fit(job, self.snapshot.nodes[slot], self.snapshot.usages[slot], now_wall_ms=now_wall_ms)
                if isinstance(other, Unfit):
                    found[slot] = other.reason
        return found

    def _coded(self, text: str) -> int:
        return self._texts.setdefault(text, len(self._texts))

    def _columns(self) -> list[Column]:
        """Of all queries of the shape; they are up to date by that."""
        spec, snapshot = self._spec, self.snapshot
        self._variants = [snapshot.over_nodes(one.where) for one in spec.variants]
        self._preferred = [snapshot.over_nodes(one.where) for one in spec.prefer]
        self._where = snapshot.over_nodes(spec.where) if spec.where else None
        if self.company is not None:
            self.company.refresh()
        of_nodes = [*self._variants, *self._preferred, *([self._where] if self._where is not None else [])]
        return [*of_nodes, *self._devices.columns()]

    def _work_out(self, slots: Integers) -> None:
        snapshot, spec = self.snapshot, self._spec
        variant = np.zeros(len(slots), dtype=np.int64)
        for number in range(len(self._variants), 0, -1):
            variant[self._variants[number - 1].values[slots]] = number
        self._learn_platforms()
        platform = snapshot.platform[slots]
        given = self._devices.of(slots)
        code, self.which[slots] = given.code, given.which
        devices = code.copy() if given.never.any() else code
        # What is said of a node is the first of these that keeps the job from it, the last one written; and what no end
        # of a job changes before what one may.
        if self.company is not None:
            code[self.company.beside(slots)] = self._apart
        wants = spec.resources
        code[snapshot.memory_bytes[slots] < wants.memory_bytes] = self._no_memory
        code[snapshot.cpu_millis[slots] < wants.cpu_millis] = self._no_cpu
        code[given.never] = devices[given.never]
        if self._where is not None:
            code[~self._where.values[slots]] = self._no_match
        if spec.network is Network.HOST:
            code[~snapshot.host_network[slots]] = self._no_network
        runs = self._images_run[variant, platform]
        code = np.where(runs > 0, runs, code)
        standing = self._standings[snapshot.standing[slots]]
        code = np.where(standing > 0, standing, code)
        self.code[slots] = code
        self._rate(slots, self._native[variant, platform], given.near)

    def _learn_platforms(self) -> None:
        """Takes in what nodes have come to say that none had said before."""
        snapshot = self.snapshot
        if len(self._standings) < len(snapshot.standings):
            self._standings = np.array([self._coded(text) for text in snapshot.standings], dtype=np.int16)
        known = self._images_run.shape[1]
        for able in list(snapshot.platforms)[known:]:
            node = Node("", description=NodeDescription(platforms=able))
            found = [
                runnable(self._images, bound(self._spec, variant), node) for variant in range(len(self._images_run))
            ]
            codes = [[self._coded(one) if isinstance(one, str) else 0] for one in found]
            native = [[not isinstance(one, str) and not one[1].emulated] for one in found]
            self._images_run = np.append(self._images_run, np.array(codes, dtype=np.int16), axis=1)
            self._native = np.append(self._native, np.array(native, dtype=np.bool_), axis=1)

    def _rate(self, slots: Integers, native: Booleans, near: Integers) -> None:
        snapshot = self.snapshot
        rank = np.zeros(len(slots), dtype=np.int64)
        if self._preferred:
            liked = np.zeros(len(slots))
            for one, column in zip(self._spec.prefer, self._preferred, strict=True):
                liked += np.where(column.values[slots], one.weight, 0.0)
            rank = np.minimum(np.searchsorted(self._likes, liked), len(self._likes) - 1)
            if np.any(self._likes[rank] != liked):
                # Ranks are others now, on all nodes.
                self._likes = np.unique(np.append(self._likes, liked))
                self._seen = UNKNOWN
                self.refresh()
                return
        spared: Integers | int = 0
        if self._spec.resources.accelerators is None:
            spared = _MOST_DEVICES - 1 - np.minimum(snapshot.device_count[slots], _MOST_DEVICES - 1)
        tier = ((native * len(self._likes) + rank) * _MOST_DEVICES + spared) * _NEARNESS + near
        # Idle is 1 at most.
        self.key[slots] = np.where(self.code[slots] == _FITS, 2.0 * tier + snapshot.idle[slots], NOWHERE)
