"""Jobs that wait for what becomes of others (`after`): released once it has, ended once it never can."""

from collections.abc import Collection, Iterable, Mapping, Sequence
from graphlib import CycleError, TopologicalSorter
from typing import assert_never

from controller.core import arrays, gangs
from controller.core.book import Book
from controller.core.model import Submitted
from headrace.changes import replace
from headrace.jobs import Condition, Dependency, Job, JobSpec, JobState
from headrace.refusals import Code, Refusal

# A job that had not ended when it was looked up, and has by now: it has to be looked up again.
CHANGED = "DEPENDENCY_CHANGED"

NO_NAMES: Mapping[str, str] = {}

_WANTED = {
    Condition.SUCCEEDED: "has succeeded",
    Condition.FAILED: "has failed",
    Condition.ENDED: "has ended",
    Condition.STARTED: "has started",
}


def holds(condition: Condition, job: Job) -> bool | None:
    """Whether a condition holds of a job; None: it does not yet, and may."""
    match condition:
        case Condition.STARTED:
            return True if job.start_time_ms is not None else False if job.ended else None
        case Condition.ENDED:
            return job.ended or None
        case Condition.SUCCEEDED:
            return job.state is JobState.SUCCEEDED if job.ended else None
        case Condition.FAILED:
            return job.state is JobState.FAILED if job.ended else None
        case other:
            assert_never(other)


def unmet(book: Book, event: Submitted, new: Collection[str] = ()) -> tuple[Dependency, ...] | Refusal:
    """What a new job has to wait for; a Refusal where a condition can never hold. `new` are made with it."""
    looked_up = {job.id: job for job in event.awaited}
    found = []
    for one in event.spec.after:
        if one.job in new:
            found.append(one)
            continue
        job = _known(book, one.job, looked_up)
        if isinstance(job, Refusal):
            return job
        met = holds(one.condition, job)
        if met is False:
            message = f"after: {_never(one, job)}, so that this job would never start; name another job or condition"
            return Refusal(Code.FAILED_PRECONDITION, "DEPENDENCY_IMPOSSIBLE", message, field="after")
        if met is None:
            found.append(one)
    return tuple(found)


def _known(book: Book, job_id: str, awaited: Mapping[str, Job]) -> Job | Refusal:
    """The job as it is now: as it is at work, as it ended, or an element whose turn is still to come."""
    job = book.jobs.get(job_id)
    if job is not None:
        return job
    looked_up = awaited[job_id]
    if looked_up.ended:
        return looked_up
    waits = arrays.found_folded(book, job_id)
    if waits is not None and not waits.ended:
        return waits
    return Refusal(Code.ABORTED, CHANGED, f"after: {looked_up.name} has just ended; submit the job again")


def circle(together: Mapping[str, Submitted]) -> list[str]:
    """Of jobs that are to be made together, by id, some that would wait for each other for ever, each for the next."""
    waits = {one: [other.job for other in event.spec.after if other.job in together] for one, event in together.items()}
    try:
        TopologicalSorter(waits).prepare()
    except CycleError as error:
        # Each is one that the next waits for, and the first is the last, too.
        found = error.args[1][:0:-1]
        first = found.index(next(one for one in together if one in found))
        return [*found[first:], *found[:first]]
    return []


def in_a_circle(jobs: Sequence[Submitted]) -> Refusal:
    """Why these cannot be made."""
    first, *others = [one.spec.display_name for one in jobs]
    then = "".join(f" waits for {name}, which" for name in others)
    message = f"after: {first}{then} waits for {first}: none of them would ever start; leave one of these out"
    return Refusal(Code.INVALID_ARGUMENT, "DEPENDENCY_CIRCLE", message, field="after")


def reason(waits_for: Iterable[Dependency], called: Mapping[str, str] = NO_NAMES) -> str:
    """What a job waits for, in a sentence. `called` are those that have no id yet."""
    wanted = [f"{called.get(one.job) or f'jobs/{one.job}'} {_WANTED[one.condition]}" for one in waits_for]
    return f"waits until {', and '.join(wanted)}" if wanted else ""


def settled(book: Book) -> None:
    """Looks again at those that wait for a job which has started or ended."""
    relations = book.relations
    while relations.news:
        job = relations.news.pop(next(iter(relations.news)))
        for one in relations.followers(job):
            dependent = book.jobs.get(one)
            if dependent is not None and dependent.state is JobState.QUEUED:
                _look(book, dependent, job)


def _look(book: Book, job: Job, other: Job) -> None:
    never = [one for one in job.waits_for if one.job == other.id and holds(one.condition, other) is False]
    if never:
        _ended(book, job, f"after: {_never(never[0], other)}")
        return
    left = tuple(one for one in job.waits_for if one.job != other.id or not holds(one.condition, other))
    if left == job.waits_for:
        return
    # Only from here on does it wait for a place.
    since_ms = job.queue_time_ms if left else book.wall_ms
    book.put(replace(job, waits_for=left, reason=reason(left), queue_time_ms=since_ms))
    if not left:
        book.note(job.name, "JOB_RELEASED", f"jobs/{other.id} {_WANTED[_last(job, other)]}")
        book.capacity_changed()


def _last(job: Job, other: Job) -> Condition:
    return next(one.condition for one in job.waits_for if one.job == other.id)


def _ended(book: Book, job: Job, why: str) -> None:
    if job.is_array:
        arrays.cancel(book, job, why)
    elif job.is_gang:
        gangs.end(book, job, JobState.CANCELLED, why)
    else:
        book.end(job, JobState.CANCELLED, why)


def _never(one: Dependency, job: Job) -> str:
    return f"{job.name} is {job.state.name}, and was to be one that {_WANTED[one.condition]}"


def resolved(spec: JobSpec, names: Iterable[str]) -> JobSpec:
    """The spec with the jobs that it names by their whole ids, in the same order; each condition once."""
    after = [replace(one, job=name) for one, name in zip(spec.after, names, strict=True)]
    return replace(spec, after=tuple(dict.fromkeys(after)))
