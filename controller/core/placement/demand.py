"""What of a job decides where it can run: jobs that are alike in it have the same places."""

from dataclasses import dataclass, field
from typing import NamedTuple

from controller.core.placement.names import Name, name_of
from headrace import query
from headrace.jobs import Emulation, ImagePin, Job, Network, Preference, Requests
from headrace.neighbours import Neighbours

# What a query reads of these changes with every report, or with every job that comes or goes; all else stands still
# until a node says that it is another.
_UNSTEADY = ("free.", "load.")
_READINGS = ("memory_used", "busy_percent", "temperature", "power_watts")


@dataclass(frozen=True, slots=True, eq=True)
class Demand:
    """A job's shape. Beside it, only which nodes a job keeps away from decides."""

    resources: Requests
    where: str
    prefer: tuple[Preference, ...]
    # Of each variant where it is, and its image.
    variants: tuple[tuple[str, str], ...]
    image: str
    images: tuple[ImagePin, ...]
    emulation: Emulation
    network: Network
    # Beside whom, and by which name it is known to those; None: it is all the same.
    company: tuple[Name, Neighbours] | None
    # Of all that: to make it anew for each look into a dict would take longer than most of a look at the nodes.
    _hash: int = field(default=0, compare=False, repr=False)

    def __hash__(self) -> int:
        return self._hash

    @property
    def is_choosy(self) -> bool:
        """Whether a node that was no place for it may become one by what its sensors read, or jobs hold."""
        wheres = (self.where, *(where for where, _ in self.variants))
        request = self.resources.accelerators
        asked = (*((request,) if request is not None else ()), *self.resources.alternatives)
        of_device = any(is_unsteady(one.where, query.DEVICE_FIELDS) for one in asked)
        return of_device or any(is_unsteady(where, query.NODE_FIELDS) for where in wheres)


class Least(NamedTuple):
    """What a task takes of a node at least. A part of a device is no whole one, and is of one that has so much left."""

    cpu_millis: int
    memory_bytes: int
    devices: int
    part_millis: int

    @property
    def in_sum(self) -> tuple[int, int, int]:
        """Cores, memory, whole devices: what is left of two devices does not make one."""
        return self.cpu_millis, self.memory_bytes, self.devices


def is_unsteady(where: str, schema: query.Schema) -> bool:
    """Whether what a query comes to on a node may change while the node stays what it is.

    It does where it reads what sensors tell, or what jobs hold.
    """
    names = [one.name for one in query.names_of(query.parse(where, schema))]
    return any(name.startswith(_UNSTEADY) or name.rpartition(".")[2] in _READINGS for name in names)


def demand_of(job: Job) -> Demand:
    """The job's, or that of each task of a gang."""
    spec = job.spec
    variants = tuple((one.where, one.image) for one in spec.variants)
    company = None if spec.neighbours is None else (name_of(spec), spec.neighbours)
    own = (spec.resources, spec.where, spec.prefer, variants, spec.image, job.images)
    parts = (*own, spec.emulation, spec.network, company)
    return Demand(*parts, hash(parts))


def least(job: Job) -> Least:
    """What the job takes of its node at least, or each task of a gang of theirs."""
    wants = job.spec.resources
    request = wants.accelerators
    if request is None:
        return Least(wants.cpu_millis, wants.memory_bytes, 0, 0)
    if request.is_part:
        # One that is asked for by memory alone is as large as its device makes it.
        return Least(wants.cpu_millis, wants.memory_bytes, 0, max(1, request.share_millis))
    count = min([request.count, *(one.count for one in wants.alternatives)])
    return Least(wants.cpu_millis, wants.memory_bytes, count, 0)
