"""A job with each of its alternatives of devices alone, and the numbers that places have for the job itself then."""

from collections.abc import Iterable

from controller.core.amounts import requests_of
from controller.core.placement.fit import Place
from headrace.changes import replace
from headrace.jobs import Job


def alone(job: Job) -> list[Job]:
    """The job, or a task of one, with each of its alternatives alone, the first one first; none where it has none."""
    spec, wants = job.spec, job.spec.resources
    each = (
        [replace(wants, accelerators=one, alternatives=()) for one in requests_of(spec)] if wants.alternatives else []
    )
    return [replace(job, spec=replace(spec, resources=one)) for one in each]


def numbered(job: Job, which: int, variant: int) -> int:
    """The number that a variant has for the job itself with that of its alternatives, for which it is `alone`."""
    return which * (len(job.spec.variants) + 1) + variant


def as_asked_alone(job: Job, which: int, places: Iterable[Place]) -> tuple[Place, ...]:
    """Places for a job with that of its alternatives `alone`, with the numbers that they have for the job itself."""
    return tuple([replace(place, variant=numbered(job, which, place.variant)) for place in places])
