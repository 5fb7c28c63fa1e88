"""Worlds in which several jobs are submitted together: sometimes with one that can never be, and so none of them.

Sometimes they follow each other.
"""

from collections.abc import Sequence
from dataclasses import replace
from itertools import pairwise
from random import Random
from typing import TYPE_CHECKING

from headrace.jobs import Condition, Dependency, Job, JobSpec, JobState
from tests.simulation.invariants import at
from tests.simulation.occurrences import Occurrence

if TYPE_CHECKING:
    from tests.simulation.world import Wanted, World

# How likely a world is one of these, where nothing is emphasised; and a batch, where there is room for one.
BATCHED, TOGETHER = 0.5, 0.6
MOST = 3
_HOPELESS = 0.5
_LINKED = 0.4


class Batches:
    """How many jobs are submitted at once, which of them are hopeless, and which follow which."""

    def __init__(self, rng: Random, links: Random | None) -> None:
        """`links` draws which follow which; None: none does."""
        self._rng = rng
        self._links = links

    def size(self, room: int) -> int:
        """How many jobs, where there is room for so many; none yet where users wait for room for more."""
        is_together = self._rng.random() < TOGETHER
        return self._rng.randint(2, min(room, MOST)) if is_together and room > 1 else 0 if is_together else 1

    def linked(self, several: Sequence["Wanted"]) -> list["Wanted"]:
        """The jobs, some of which may follow others of them, whoever of them comes first."""
        found = list(several)
        if len(found) < 2 or self._links is None or self._links.random() > _LINKED:
            return found
        order = self._links.sample(range(len(found)), len(found))
        for before, number in pairwise(order):
            one = found[number]
            after = Dependency(found[before].job_id, self._links.choice((Condition.ENDED, Condition.STARTED)))
            found[number] = one._replace(spec=replace(one.spec, after=(*one.spec.after, after)))
        return found

    def hopeless(self, wanted: JobSpec, jobs: Sequence[Job]) -> JobSpec | None:
        """The job as one that follows what can no longer come true of one of these; None where it is not to be."""
        failing = [job for job in jobs if job.ended and not (job.gang or job.array)]
        if not failing or self._rng.random() > _HOPELESS:
            return None
        one = self._rng.choice(failing)
        never = Condition.FAILED if one.state is not JobState.FAILED else Condition.SUCCEEDED
        return replace(wanted, after=(Dependency(one.id, never),))


@at(Occurrence.JOB_SAVED)
def a_batch_is_made_whole_or_not_at_all(world: "World", before: Job | None, after: Job) -> str | None:
    """Of jobs that were submitted together all are made in one transaction; and none, where one of them is refused."""
    batch = world.past.together.get(after.id)
    if before is not None or batch is None:
        return None
    missing = [one for one in batch if one not in world.controller.jobs]
    if missing:
        return f"{after.name} is made, and of its batch {missing} are not"
    return f"{after.name} is made, and its batch was refused" if after.id in world.past.refused else None
