"""Places for all tasks of a gang at once, each beside the others, in columns; there are places for all, or for none."""

from collections.abc import Collection, Sequence

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


def choose_all(
    tables: Tables, demand: Demand, task: Job, count: int, *, now_wall_ms: int, without: Collection[str] = ()
) -> tuple[Place, ...] | str:
    """A place for each of so many tasks that ask for the same as this one, but `without` some nodes; else why not.

    Taking the best place for one after the other finds places for all, where there are any. Not so with alternatives of
    devices, of which the first tasks may have what others need: then each is tried for all, and some with one beside
    some with another.
    """
    table = tables.table(demand, task)
    slots = _able(table, task, now_wall_ms, without)
    most = int(_room(tables.snapshot, task.spec, slots, count).sum())
    if most >= count:
        found = _one_by_one(tables, demand, task, count, now_wall_ms, without)
        if len(found) == count:
            return found
        most = len(found)
        for which, less in enumerate(alone(task)):
            instead = choose_all(tables, demand_of(less), less, count, now_wall_ms=now_wall_ms, without=without)
            if not isinstance(instead, str):
                return as_asked_alone(task, which, instead)
        if task.spec.resources.alternatives:
            some = mixed(tables, task, count, now_wall_ms=now_wall_ms, without=without)
            if not isinstance(some, int):
                return some
            most = max(most, some)
    found_of = tables.table(demand, task).obstacles(task, now_wall_ms=now_wall_ms)
    others = {text: number for text, number in found_of.items() if text and number > 0}
    return reasons.waits_for_all(task, count, most, len(slots), others)


def mixed(
    tables: Tables,
    task: Job,
    count: int,
    *,
    now_wall_ms: int,
    without: Collection[str] = (),
    prices: Sequence[int] = (),
) -> tuple[Place, ...] | int:
    """Places for so many tasks at the lowest price, some with one alternative beside some with another.

    Where there are not so many, for how many there are.
    """
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
) -> tuple[Place, ...]:
    """The best place for one after the other: as many as there are, up to so many."""
    found: list[Place] = []
    with Trial(tables.snapshot) as trial:
        while True:
            more = choose_many(tables, demand, task, count - len(found), now_wall_ms=now_wall_ms, without=without)
            found += [] if isinstance(more, str) else list(more)
            if isinstance(more, str) or len(found) == count:
                return tuple(found)
            for place in more:
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


def _able(table: Table, task: Job, now_wall_ms: int, without: Collection[str]) -> Integers:
    """The nodes where one task has room."""
    away = [table.snapshot.slots[name] for name in without]
    return np.flatnonzero(table.keys(task, now_wall_ms=now_wall_ms, without=away) > NOWHERE)


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
