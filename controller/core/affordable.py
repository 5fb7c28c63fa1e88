"""Of the alternatives of a job's devices those that its project's quota has room for: by others it may not begin."""

from collections.abc import Iterable

from controller.core.amounts import requests_of
from controller.core.book import Book
from controller.core.placement.alternatives import alone, numbered
from controller.core.placement.fit import Place
from controller.core.projects import NOTHING
from headrace.changes import replace
from headrace.jobs import Job
from headrace.projects import Amount


def affordable(book: Book, job: Job) -> Job:
    """The job with those alone, as far as can be told; as it is where that is all of them, or none."""
    kept = _kept(book, job)
    wants, asked = job.spec.resources, requests_of(job.spec)
    if not kept or len(kept) == len(asked):
        return job
    first, *others = [asked[one] for one in kept]
    return replace(
        job, spec=replace(job.spec, resources=replace(wants, accelerators=first, alternatives=tuple(others)))
    )


def as_asked(book: Book, job: Job, places: Iterable[Place]) -> tuple[Place, ...]:
    """The same places with the numbers that alternatives have for the job itself; theirs are those of `affordable`."""
    kept, numbers = _kept(book, job), len(job.spec.variants) + 1
    if not kept or len(kept) == len(requests_of(job.spec)):
        return tuple(places)
    counted = [(place, *divmod(place.variant, numbers)) for place in places]
    return tuple([replace(place, variant=numbered(job, kept[which], variant)) for place, which, variant in counted])


def has_now(book: Book, job: Job) -> Amount:
    """What it has where it is, measured as what it would have elsewhere: units change as nodes come and go."""
    known = book.jobs.get(job.id)
    if known is None or not known.node:
        return NOTHING
    devices = known.attempt.devices if known.attempt is not None else ()
    return book.projects.amount_at(known, book.nodes.get(known.node), devices)


def _kept(book: Book, job: Job) -> list[int]:
    wants, project = job.spec.resources, job.spec.project
    asked = requests_of(job.spec)
    if not wants.alternatives or book.projects.of(project).borrows:
        return list(range(len(asked)))
    # What it has where it is, it would have no more.
    has = has_now(book, job)
    amounts = [book.projects.expected(one).minus(has) for one in alone(job)]
    return [number for number, amount in enumerate(amounts) if not book.projects.over_quota(project, amount)]
