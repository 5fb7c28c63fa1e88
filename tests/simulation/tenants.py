"""Worlds in which projects share too few nodes: what is declared of them, and what their jobs are like."""

from dataclasses import replace
from random import Random

from headrace.jobs import JobSpec, Requests
from headrace.projects import Declared, Quota
from tests.core.small_world import GIB

# How likely a world is one of these, where nothing is emphasised.
CROWDED = 0.25
# Of twelve cores on three nodes.
JOBS_AT_ONCE = 9
JOBS_WITH_DEVICES_AT_ONCE = 4
_CORES = (1_000, 2_000, 3_000)
_PRIORITIES = (0, 50, 50, 50, 85, 100)


class Tenants:
    """Two or three projects, with quotas of cores, or without any."""

    def __init__(self, rng: Random) -> None:
        self._rng = rng
        names = ["p", "q", "default"][: rng.randint(2, 3)]
        has_quotas = rng.random() < 0.8
        self.declared = {name: self._drawn(has_quotas=has_quotas) for name in names}

    def _drawn(self, *, has_quotas: bool) -> Declared:
        # The largest job is within each of them: one that does not borrow could never have more.
        quota = Quota(cpu_millis=self._rng.choice((3_000, 4_000, 6_000))) if has_quotas else Quota()
        return Declared(self._rng.choice((1.0, 2.0)), quota, not has_quotas or self._rng.random() < 0.7)

    def spec(self, wanted: JobSpec) -> JobSpec:
        """A job of one of them, of some priority."""
        resources = Requests(self._rng.choice(_CORES), GIB, wanted.resources.accelerators)
        if wanted.task_count > 1:
            # All of its tasks have to be within a quota, and to fit on two nodes.
            resources = replace(resources, cpu_millis=1_000)
        project = self._rng.choice(list(self.declared))
        return replace(wanted, project=project, priority=self._rng.choice(_PRIORITIES), resources=resources)
