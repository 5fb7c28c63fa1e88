"""Worlds in which jobs do not go together, are to be spread or packed, or are content with other devices."""

from dataclasses import replace
from random import Random
from typing import TYPE_CHECKING

from controller.core.placement.names import kept_apart, name_of
from headrace.jobs import AcceleratorRequest, Job, JobSpec
from headrace.neighbours import Neighbours
from tests.simulation.invariants import at
from tests.simulation.occurrences import Occurrence

if TYPE_CHECKING:
    from tests.simulation.world import World

# How likely a world is one of these, where nothing is emphasised.
PARTICULAR = 0.25
_NAMES = ("train", "one", "two")
# When a node is drained two are left.
_MOST_TASKS = 2


class Particular:
    """What jobs are called, and how they are to be beside each other."""

    def __init__(self, rng: Random) -> None:
        self._rng = rng

    def spec(self, wanted: JobSpec) -> JobSpec:
        """The job, which may ask for some of it."""
        rng = self._rng
        name, others = rng.choice(_NAMES), rng.sample(_NAMES, rng.randint(0, 2))
        apart = tuple(one for one in others if one != name or wanted.task_count <= _MOST_TASKS)
        even, close = rng.choice((("", ""), ("node", ""), ("arch", ""), ("", "node")))
        asked = Neighbours(apart if rng.random() < 0.5 else (), even, close)
        devices = wanted.resources.accelerators
        if devices is not None and not devices.is_part and rng.random() < 0.5:
            # As many as a node has, or fewer.
            other = AcceleratorRequest(3 - devices.count)
            wanted = replace(wanted, resources=replace(wanted.resources, alternatives=(other,)))
        return replace(wanted, display_name=name, neighbours=asked if asked != Neighbours() else None)


@at(Occurrence.JOB_DECIDED)
def no_job_is_beside_one_that_keeps_apart_from_it(world: "World", _: Job | None, after: Job) -> str | None:
    """Of two jobs on a node neither keeps apart from the other."""
    if not after.node or after.ended:
        return None
    for other in world.controller.book.jobs_at(after.node):
        if other.id == after.id or other.node != after.node:
            continue
        if name_of(other.spec) in kept_apart(after.spec) or name_of(after.spec) in kept_apart(other.spec):
            return f"{after.name} and {other.name} are both on {after.node}"
    return None
