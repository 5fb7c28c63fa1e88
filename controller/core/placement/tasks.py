"""Places for all tasks of a gang at once, each beside the others, in columns; there are places for all, or for none."""

from collections.abc import Collection, Iterator, Sequence

import numpy as np

from controller.core.placement import reasons
from controller.core.placement.alternatives import alone, as_asked_alone
from controller.core.placement.batch import choose_many
from controller.core.placement.chains import chains
from controller.core.placement.demand import Demand, demand_of
from controller.core.placement.fit import Place
from controller.core.placement.lengths import NOWHERE
from controller.core.placement.mixtures import choose_mixed
from controller.core.placement.names import kept_apart, name_of
from controller.core.placement.snapshot import Integers, Snapshot
from controller.core.placement.tables import Table, Tables
from controller.core.placement.trial import Trial
from headrace.changes import replace
from headrace.jobs import Job, JobSpec

# What a query asks may hold of a node no more once some tasks are there: up to so many are tried, so as to say that.
MANY = 64


def choose_all(
    tables: Tables, demand: Demand, task: Job, count: int, *, now_wall_ms: int, without: Collection[str] = ()
) -> tuple[Place, ...] | str:
    """A place for each of so many tasks that ask for the same as this one, but `without` some nodes; else why not.

    Taking the best place for one after the other finds places for all, where there are any. Not so with alternatives of
    devices, of which the first tasks may have what others need: then each is tried for all, and some with one beside
    some with another.
    """
    too_few = _too_few(tables.table(demand, task), task, count, now_wall_ms, without)
    if too_few:
        return reasons.waits_for_all(task, count, too_few)
    found = _one_by_one(tables, demand, task, count, now_wall_ms, without)
    if isinstance(found, str) and task.spec.resources.alternatives:
        for which, less in enumerate(alone(task)):
            instead = choose_all(tables, demand_of(less), less, count, now_wall_ms=now_wall_ms, without=without)
            if not isinstance(instead, str):
                return as_asked_alone(task, which, instead)
        return mixed(tables, task, count, now_wall_ms=now_wall_ms, without=without) or found
    return found


def mixed(
    tables: Tables,
    task: Job,
    count: int,
    *,
    now_wall_ms: int,
    without: Collection[str] = (),
    prices: Sequence[int] = (),
) -> tuple[Place, ...]:
    """Places for so many tasks at the lowest price, some with one alternative beside some with another; else none."""
    snapshot, slots = tables.snapshot, dict[int, None]()
    for less in alone(task):
        key = tables.table(demand_of(less), less).keys(
            less, now_wall_ms=now_wall_ms, without=[snapshot.slots[name] for name in without]
        )
        # Of the nodes for one alternative no more are needed: of so many one is free, whatever the others have.
        best = np.argsort(-key, kind="stable")[:count]
        slots |= dict.fromkeys(best[key[best] > NOWHERE].tolist())
    nodes = [snapshot.nodes[slot] for slot in slots]
    return choose_mixed(
        task,
        count,
        nodes,
        lambda name: snapshot.usages[snapshot.slots[name]],
        now_wall_ms=now_wall_ms,
        prices=prices,
    )


def _one_by_one(
    tables: Tables, demand: Demand, task: Job, count: int, now_wall_ms: int, without: Collection[str]
) -> tuple[Place, ...] | str:
    found: list[Place] = []
    with Trial(tables.snapshot) as trial:
        while True:
            more = choose_many(tables, demand, task, count - len(found), now_wall_ms=now_wall_ms, without=without)
            if isinstance(more, str):
                return reasons.waits_for_all(task, count, more)
            places = list(more)
            found += places
            if len(found) == count:
                return tuple(found)
            for place in places:
                trial.place(task, place)


def places_for(tables: Tables, demand: Demand, task: Job, count: int) -> int:
    """For how many tasks like this one there are places beside each other, up to so many."""
    least, most = 0, count
    while least < most:
        middle = (least + most + 1) // 2
        if isinstance(choose_all(tables, demand, task, middle, now_wall_ms=0), str):
            most = middle - 1
        else:
            least = middle
    return least


def _too_few(table: Table, task: Job, count: int, now_wall_ms: int, without: Collection[str]) -> str:
    """Why there are fewer places than that, where amounts tell; else empty."""
    snapshot = table.snapshot
    key = table.keys(task, now_wall_ms=now_wall_ms)
    slots = np.flatnonzero(key > NOWHERE)
    if without:
        slots = slots[~np.isin(slots, [snapshot.slots[name] for name in without])]
    room = _room(snapshot, task.spec, slots, count)
    if int(room.sum()) >= count or (table.is_unsteady and len(slots) and count <= MANY):
        return ""
    found = table.obstacles(task, now_wall_ms=now_wall_ms)
    del found[""]
    # Once as many have come as there is room for, the next one would find this.
    for text, number in _then(snapshot, task.spec, slots, room):
        found[text] += number
    return reasons.waits({text: number for text, number in found.items() if text and number > 0})


def _then(snapshot: Snapshot, spec: JobSpec, slots: Integers, room: Integers) -> Iterator[tuple[str, int]]:
    """Why no task more has room there, and on how many of these nodes."""
    wants = spec.resources
    request = wants.accelerators
    if _keep_apart(spec):
        yield reasons.SHUNNED, len(slots)
        return
    no_cpu = snapshot.cpu_millis[slots] - room * wants.cpu_millis < wants.cpu_millis
    no_memory = ~no_cpu & (snapshot.memory_bytes[slots] - room * wants.memory_bytes < wants.memory_bytes)
    yield reasons.no_cpu(wants), int(no_cpu.sum())
    yield reasons.no_memory(wants), int(no_memory.sum())
    if request is not None:
        text = reasons.no_part(request) if request.is_part else reasons.no_devices(request, *wants.alternatives)
        yield text, int((~no_cpu & ~no_memory).sum())


def _keep_apart(spec: JobSpec) -> bool:
    """Whether the tasks keep apart from each other."""
    return name_of(spec) in kept_apart(spec)


def _room(snapshot: Snapshot, spec: JobSpec, slots: Integers, count: int) -> Integers:
    """For how many tasks each of these has room at most."""
    wants = spec.resources
    if _keep_apart(spec):
        count = 1
    room = chains(snapshot, slots, replace(wants, accelerators=None, alternatives=()), count).room
    if wants.accelerators is not None:
        each = [replace(wants, accelerators=one, alternatives=()) for one in (wants.accelerators, *wants.alternatives)]
        room = np.minimum(room, sum(chains(snapshot, slots, one, count).room for one in each))
    return room
