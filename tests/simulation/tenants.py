"""Worlds in which projects share too few nodes: what is declared of them, and what their jobs are like."""

from collections.abc import Sequence
from dataclasses import replace
from random import Random

from headrace.jobs import AcceleratorRequest, JobSpec, Requests
from headrace.projects import Declared, Quota
from headrace.shares import WHOLE_MILLIS
from tests.core.small_world import GIB

# How likely a world is one of these, where nothing is emphasised.
CROWDED = 0.35
# Of twelve cores on three nodes.
JOBS_AT_ONCE = 9
JOBS_WITH_DEVICES_AT_ONCE = 4
_CORES = (1_000, 2_000, 3_000)
# Of six devices on these; in some projects nothing is said of devices.
_DEVICES = (None, 1_000, 1_000, 2_000, 3_000)
# How many projects borrow, and how many jobs on devices are content with another number of them.
_BORROWING, _CONTENT = 0.5, 0.9
# In how many such worlds some jobs are on devices in any case.
_ON_DEVICES = 0.8
_PRIORITIES = (0, 50, 50, 50, 85, 100)


class Tenants:
    """Two or three projects, with quotas of cores, or without any."""

    def __init__(self, rng: Random) -> None:
        self._rng = rng
        names = ["p", "q", "default"][: rng.randint(2, 3)]
        has_quotas = rng.random() < 0.8
        self._has_devices = rng.random() < _ON_DEVICES
        self.declared = {name: self._drawn(has_quotas=has_quotas) for name in names}

    def _drawn(self, *, has_quotas: bool) -> Declared:
        # The largest job is within each of them: one that does not borrow could never have more.
        cores = self._rng.choice((3_000, 4_000, 6_000))
        quota = Quota(cpu_millis=cores, device_millis=self._rng.choice(_DEVICES)) if has_quotas else Quota()
        return Declared(self._rng.choice((1.0, 2.0)), quota, not has_quotas or self._rng.random() < _BORROWING)

    def specs(self, drawn: Sequence[JobSpec]) -> list[JobSpec]:
        """The kinds of jobs that there are, of which one may be on devices."""
        if not self._has_devices or any(one.resources.accelerators is not None for one in drawn):
            return list(drawn)
        first, *others = drawn
        devices = AcceleratorRequest(self._rng.choice((1, 2)))
        return [replace(first, resources=replace(first.resources, accelerators=devices)), *others]

    def spec(self, wanted: JobSpec) -> JobSpec:
        """A job of one of them, of some priority."""
        resources = Requests(self._rng.choice(_CORES), GIB, wanted.resources.accelerators)
        if wanted.task_count > 1:
            # All of its tasks have to be within a quota, and to fit on two nodes.
            resources = replace(resources, cpu_millis=1_000)
        project = self._rng.choice(list(self.declared))
        resources = self._within(self._alternative(resources), self.declared[project], wanted.task_count)
        return replace(wanted, project=project, priority=self._rng.choice(_PRIORITIES), resources=resources)

    def _alternative(self, resources: Requests) -> Requests:
        """Of those that ask for whole devices most are content with as many as a node has, or with fewer."""
        devices = resources.accelerators
        if devices is None or devices.is_part or self._rng.random() > _CONTENT:
            return resources
        return replace(resources, alternatives=(AcceleratorRequest(3 - devices.count),))

    def _within(self, resources: Requests, declared: Declared, tasks: int) -> Requests:
        """Without devices where even the fewest would be more than the project may ever have."""
        most, first = declared.quota.device_millis, resources.accelerators
        if first is None or most is None or declared.borrows:
            return resources
        fewest = min(one.count * (one.share_millis or WHOLE_MILLIS) for one in (first, *resources.alternatives))
        return resources if fewest * tasks <= most else replace(resources, accelerators=None, alternatives=())
