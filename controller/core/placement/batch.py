"""Places for many jobs that ask for the same, in one pass: those that they would be given one after the other."""

from collections.abc import Collection, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from controller.core.placement.chains import Chains, chains
from controller.core.placement.columns import row_keys
from controller.core.placement.costs import Costs
from controller.core.placement.demand import Demand
from controller.core.placement.fit import Place, fit
from controller.core.placement.plans import Nodes, Plan
from controller.core.placement.snapshot import Booleans, Floats, Integers, Snapshot
from controller.core.placement.tables import Table, Tables
from headrace.jobs import AcceleratorRequest, Job, Requests

# Of each class so many states are worked out at first, and so many times as many each time that these were too few.
FIRST_DEPTH, DEEPER = 4, 4
# The code of a state that is not worked out yet, behind all others.
_LATER = np.iinfo(np.int64).max
Costing = NDArray[np.float32]


def choose_many(
    tables: Tables, demand: Demand, job: Job, count: int, *, now_wall_ms: int, without: Collection[str] = ()
) -> Sequence[Place] | str:
    """The first places for jobs of that shape, one at least and so many at most, but on these; or why there is none.

    They are those that one job after the other would be given, in that order, each held before the next is chosen; but
    that what a place costs on a node where one of them is, is not put off. There may be fewer than there is room for:
    whoever wants more holds these, and asks again.
    """
    if count > 1:
        found = _batch(tables, tables.table(demand, job), job, count, now_wall_ms, without)
        if found is not None:
            return found
    one = tables.choose(demand, job, now_wall_ms=now_wall_ms, without=without)
    return one if isinstance(one, str) else (one,)


@dataclass(slots=True)
class _Heads:
    """The nodes that come first: their slots; what a job costs there, how good each is, and the order of names.

    Those of a class have the same of all that counts.
    """

    slots: Integers
    cost: Costing
    key: Floats
    rank: Integers
    of_class: Integers


@dataclass(frozen=True, slots=True)
class _Turns:
    """Which head has which of the jobs, and as its how manieth (from 0)."""

    head: Integers
    number: Integers


def _batch(
    tables: Tables, table: Table, job: Job, count: int, now_wall_ms: int, without: Collection[str]
) -> Plan | None:
    """None where places have to be looked for one by one."""
    snapshot = tables.snapshot
    if table.is_unsteady or job.spec.neighbours is not None or job.spec.resources.alternatives:
        return None
    if any(one.device and now_wall_ms < one.expire_time_ms for one in job.exclusions):
        return None
    key = table.keys(job, now_wall_ms=now_wall_ms, without=[snapshot.slots[name] for name in without])
    slots = table.best(table.narrowed(job, key))
    if not len(slots):
        return None
    costs = tables.costs if tables.costs is not None and snapshot.device_count[slots[0]] else None
    heads = _heads(table, costs, slots, key[slots], count)
    if _is_intricate(snapshot, job.spec.resources, heads.slots):
        return None
    request = job.spec.resources.accelerators
    heads.of_class, first = _classes(snapshot, costs, heads.slots, request)
    wide = chains(snapshot, heads.slots[first], job.spec.resources, count)
    if not wide.room.all():
        # `fit` has the last word.
        return None
    codes = _Codes(table, costs, heads, wide, first).found(count)
    turns = _turns(codes, heads, count)
    if table.lengths is not None and table.lengths.matters(job):
        turns = _until_full(table.lengths.measures(job, table.best(key)), heads, wide, turns)
    return _plan(snapshot, job, heads, wide, turns, now_wall_ms)


def _heads(table: Table, costs: Costs | None, slots: Integers, key: Floats, count: int) -> _Heads:
    """Of nodes the first so many: no other is chosen before one of these has been."""
    cost = np.zeros(len(slots), dtype=np.float32)
    if costs is not None:
        costs.refresh()
        cost = costs.of(table.shape(), slots)
    rank = table.snapshot.ranks()[slots]
    chosen: Integers = np.arange(len(slots))
    sure: list[Integers] = []
    for column in (cost, -key, rank):
        some = column[chosen]
        if len(some) <= count:
            break
        last = np.partition(some, count - 1)[count - 1]
        before, chosen = chosen[some < last], chosen[some == last]
        sure.append(before)
        count -= len(before)
    found = np.concatenate([*sure, chosen[:count]])
    return _Heads(slots[found], cost[found], key[found], rank[found], np.zeros(0, dtype=np.int64))


def _is_intricate(snapshot: Snapshot, wants: Requests, slots: Integers) -> bool:
    """Whether on one of these it is not the order of its devices alone by which they are given."""
    several = wants.accelerators is not None and wants.accelerators.count > 1
    return bool(snapshot.intricate[slots].any() or (several and snapshot.near[slots].any()))


def _classes(
    snapshot: Snapshot, costs: Costs | None, slots: Integers, request: AcceleratorRequest | None
) -> tuple[Integers, Integers]:
    """The class of each of these nodes, and the first of each class."""
    columns = [
        snapshot.cpu_millis[slots],
        snapshot.memory_bytes[slots],
        snapshot.whole_cpu_millis[slots],
        snapshot.whole_memory_bytes[slots],
    ]
    if costs is not None:
        columns.append(costs.models(slots))
    if (costs is not None or request is not None) and snapshot.devices:
        columns += [*snapshot.over_devices("").values[:, slots], *snapshot.held_millis[:, slots]]
    if request is not None:
        such = snapshot.over_devices(request.where).values[:, slots]
        columns += [*such, *snapshot.untouched[:, slots], *snapshot.device_bytes[:, slots]]
    if request is not None and request.is_part:
        columns += [*snapshot.shareable[:, slots], *snapshot.held_bytes[:, slots]]
    rows = np.stack([column.astype(np.int64, copy=False) for column in columns], axis=1)
    numbers: dict[bytes, int] = {}
    of_class = np.array([numbers.setdefault(key, len(numbers)) for key in row_keys(rows)], dtype=np.int64)
    first = np.zeros(len(numbers), dtype=np.int64)
    first[of_class[::-1]] = np.arange(len(slots))[::-1]
    return of_class, first


class _Codes:
    """When each class's nodes have their jobs: a row a class, of each of its jobs a number; the lowest comes first.

    A node's next job is chosen when nothing else is better, so one that is better than the one before it on the same
    node follows it at once. So what counts is the worst so far.
    """

    def __init__(self, table: Table, costs: Costs | None, heads: _Heads, wide: Chains, first: Integers) -> None:
        self._table, self._costs, self._wide = table, costs, wide
        self._slots = heads.slots[first]
        self._many = np.bincount(heads.of_class)
        most = int(wide.room.max())
        self._cost: Costing = np.zeros((len(first), most), dtype=np.float32)
        self._key: Floats = np.zeros((len(first), most))
        self._cost[:, 0], self._key[:, 0] = heads.cost[first], heads.key[first]
        # All of one level but for how idle the node is.
        self._base = float(2.0 * (heads.key[0] // 2.0))

    def found(self, count: int) -> Integers:
        """As far as so many jobs matter."""
        room, most = self._wide.room, self._key.shape[1]
        known: Booleans = np.zeros(self._key.shape, dtype=np.bool_)
        depth = min(FIRST_DEPTH, most)
        known[:, :depth] = np.arange(depth) < room[:, None]
        self._work_out(*np.nonzero(known & (np.arange(most) > 0)))
        while True:
            codes = self._coded(known)
            last = _last(codes, self._many, count)
            # Further jobs of a node come after the worst so far.
            ends = codes[np.arange(len(codes)), np.minimum(room, depth) - 1]
            on = np.flatnonzero((room > depth) & (ends <= last))
            if not len(on):
                return codes
            further = min(DEEPER * depth, most)
            numbers = np.arange(depth, further)
            known[np.ix_(on, numbers)] = numbers < room[on, None]
            self._work_out(*np.nonzero(known & (np.arange(most) >= depth)))
            depth = further

    def _work_out(self, classes: Integers, numbers: Integers) -> None:
        left = self._wide.left(classes, numbers)
        self._key[classes, numbers] = self._base + self._wide.idle(classes, left)
        if self._costs is not None:
            self._cost[classes, numbers] = self._costs.then(self._table.shape(), self._slots[classes], left)

    def _coded(self, known: Booleans) -> Integers:
        cost, busy = self._cost[known], -self._key[known]
        order = np.lexsort((busy, cost))
        cost, busy = cost[order], busy[order]
        codes: Integers = np.zeros(len(order), dtype=np.int64)
        codes[order[1:]] = np.cumsum((cost[1:] != cost[:-1]) | (busy[1:] != busy[:-1]))
        found: Integers = np.full(known.shape, _LATER)
        found[known] = codes
        return np.maximum.accumulate(found, axis=1)


def _last(codes: Integers, many: Integers, count: int) -> int:
    """The code of the last of so many jobs, or of all that there are."""
    classes, numbers = np.nonzero(codes != _LATER)
    jobs = np.cumsum(np.bincount(codes[classes, numbers], weights=many[classes]))
    return min(int(np.searchsorted(jobs, count)), len(jobs) - 1)


def _turns(codes: Integers, heads: _Heads, count: int) -> _Turns:
    """Which head has which of so many jobs, the first to be chosen first."""
    last = _last(codes, np.bincount(heads.of_class), count)
    jobs = (codes < last).sum(axis=1)[heads.of_class]
    more = (codes == last).sum(axis=1)[heads.of_class]
    # Of those that are as good, the one whose node has the first name has all of its own first.
    by_name = np.argsort(heads.rank)
    rest = count - int(jobs.sum())
    before = np.cumsum(more[by_name]) - more[by_name]
    jobs[by_name] += np.clip(rest - before, 0, more[by_name])
    head = np.repeat(np.arange(len(jobs)), jobs)
    number = np.arange(len(head)) - np.repeat(np.cumsum(jobs) - jobs, jobs)
    order = np.lexsort((number, heads.rank[head], codes[heads.of_class[head], number]))
    return _Turns(head[order], number[order])


def _until_full(measures: Sequence[Integers], heads: _Heads, wide: Chains, turns: _Turns) -> _Turns:
    """No further than until of one of these sets of nodes none has room: then others may be as good as the best."""
    end = len(turns.head)
    for some in measures:
        its = np.isin(heads.slots, some)
        if its.sum() < len(some):
            continue
        turn = np.flatnonzero(its[turns.head])
        if len(turn) >= wide.room[heads.of_class][its].sum():
            end = min(end, int(turn[-1]) + 1)
    return _Turns(turns.head[:end], turns.number[:end])


def _plan(snapshot: Snapshot, job: Job, heads: _Heads, wide: Chains, turns: _Turns, now_wall_ms: int) -> Plan | None:
    """None where `fit` would not have it so."""
    kinds = _kinds(snapshot, job, heads.slots)
    jobs = np.bincount(turns.head, minlength=len(heads.slots))
    models: dict[int, Place] = {}
    for kind, slot in zip(kinds[jobs > 0].tolist(), heads.slots[jobs > 0].tolist(), strict=True):
        if kind not in models:
            found = fit(job, snapshot.nodes[slot], snapshot.usages[slot], now_wall_ms=now_wall_ms)
            if not isinstance(found, Place):
                return None
            models[kind] = found
    nodes = Nodes(heads.slots, heads.of_class, wide, kinds, models)
    return Plan(snapshot.nodes, nodes, turns.head, turns.number)


def _kinds(snapshot: Snapshot, job: Job, slots: Integers) -> Integers:
    """A number for each variant of a job and what nodes can run."""
    variant = np.zeros(len(slots), dtype=np.int64)
    for number in range(len(job.spec.variants), 0, -1):
        variant[snapshot.over_nodes(job.spec.variants[number - 1].where).values[slots]] = number
    return variant * len(snapshot.platforms) + snapshot.platform[slots]
