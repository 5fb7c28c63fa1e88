"""The best place on the nodes of each make: where jobs may run faster than where they do."""

import numpy as np

from controller.core.placement.fit import Place, fit
from controller.core.placement.lengths import MOST_MAKES, NOWHERE
from controller.core.placement.tables import Table
from headrace.jobs import Job


def best_of_each(table: Table, job: Job, *, now_wall_ms: int, but: int) -> list[Place]:
    """Places that the job could have now, `but` where it is: one a make, of those as good where it is done soonest."""
    snapshot, key = table.snapshot, table.keys(job, now_wall_ms=now_wall_ms, but=but)
    slots = np.flatnonzero(key > NOWHERE)
    makes = snapshot.make[slots]
    # Nodes of one make differ for a job that declares its work alone.
    runs = None
    if table.lengths is not None and job.spec.work is not None:
        runs = table.lengths.at_most(job, slots, here=np.array([but]))
    found: list[Place] = []
    for make in np.flatnonzero(np.bincount(makes)).tolist()[:MOST_MAKES]:
        those = slots[makes == make]
        if runs is not None:
            good, took = table.best(key[those]), runs[makes == make]
            those = those[good[took[good] == took[good].min()]]
        slot = snapshot.first(those[key[those] == key[those].max()])
        offered = fit(job, snapshot.nodes[slot], snapshot.usages[slot], now_wall_ms=now_wall_ms)
        found += [offered] if isinstance(offered, Place) else []
    return found
