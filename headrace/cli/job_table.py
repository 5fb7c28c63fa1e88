"""Jobs for people, one a line. Loads little: `headrace jobs` is typed often."""

from collections.abc import Iterable, Sequence

from headrace.cli import words
from headrace.v1.job_pb2 import Job
from headrace.v1.job_service_pb2 import ListJobsResponse

_HEADINGS = ("NAME", "STATE", "NODE", "AGE", "MOVES", "WHY")
_WIDE_HEADINGS = ("NAME", "STATE", "NODE", "PLATFORM", "AGE", "MOVES", "EPOCH", "FAILURES", "PROJECT", "IMAGE", "WHY")


def table(response: ListJobsResponse, wide: bool) -> list[str]:  # noqa: FBT001 - as render.show asks.
    """The jobs under their headings."""
    headings, *cells = rows(response, words.now_ms(), wide=wide)
    return words.columns(headings, cells)


def rows(response: ListJobsResponse, now: int, *, wide: bool) -> list[Sequence[str]]:
    """The headings, and the cells of each job."""
    if wide:
        return [_WIDE_HEADINGS, *(_wide_row(job, now) for job in response.jobs)]
    return [_HEADINGS, *(_row(job, now) for job in response.jobs)]


def state(job: Job) -> str:
    """The state of a job, in a word."""
    return words.enum_name(Job.State, job.state)


def elements(job: Job) -> str:
    """How many of an array's elements are how; empty for any other job."""
    if not job.HasField("elements"):
        return ""
    found = job.elements
    counts = [
        (found.succeeded_count, "succeeded"),
        (found.failed_count, "failed"),
        (found.cancelled_count, "cancelled"),
        (found.running_count, "running"),
    ]
    waiting = job.spec.element_count - sum(count for count, _ in counts)
    told = ", ".join(f"{count} {what}" for count, what in [*counts, (waiting, "waiting")] if count > 0)
    return f"{job.spec.element_count} elements: {told}"


def change(job: Job) -> str:
    """A line about a job that changed: no ages, so that it is the same while nothing did."""
    where = f" on {job.node}" if job.node else ""
    told = "; ".join(one for one in (elements(job), words.one_line(job.reason)) if one)
    why = f": {told}" if told else ""
    return f"{words.id_of(job.name)} {state(job)}{where} (epoch {job.epoch}){why}"


def changed(before: dict[str, str], jobs: Iterable[Job]) -> list[Job]:
    """The jobs of which there is something new to say since `before`, which is brought up to date."""
    found = []
    for job in jobs:
        line = change(job)
        if before.get(job.name) != line:
            before[job.name] = line
            found.append(job)
    return found


def _row(job: Job, now: int) -> tuple[str, ...]:
    return (
        words.id_of(job.name),
        state(job),
        job.node,
        words.age(job, "create_time", now=now),
        str(len(job.migrations) + job.omitted_migration_count),
        words.shortened(elements(job) or job.reason),
    )


def _wide_row(job: Job, now: int) -> tuple[str, ...]:
    name, word, node, age, moves, _ = _row(job, now)
    last = job.attempts[-1] if job.attempts else None
    runs_on = words.platform(last.platform) if last is not None and last.HasField("platform") else ""
    counts = (str(job.epoch), str(job.failures))
    return (
        name,
        word,
        node,
        runs_on,
        age,
        moves,
        *counts,
        job.spec.project,
        job.spec.image,
        elements(job) or job.reason,
    )
