"""The fields of jobs that queries know. A further one is a line here and a line in docs/query.md."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from headrace import platforms
from headrace.attempts import Platform
from headrace.jobs import Job, JobState
from headrace.query_fields import NODE_FIELDS, word, words
from headrace.query_schema import Field, Kind, RecordRow, Row, Schema


@dataclass(frozen=True, slots=True)
class JobView:
    """A job, and by which time its ages are told; `None` is unknown."""

    job: Job
    now_ms: int | None


def job_row(job: Job, *, now_ms: int | None = None) -> Row:
    """A job as JOB_FIELDS see it at `now_ms`, by the clock that its record has its times of."""
    return RecordRow(JOB_FIELDS, JobView(job, now_ms))


def _job(kind: Kind, read: Callable[[Job], Any], among: tuple[str, ...] = ()) -> Field:
    return Field(kind, lambda view: read(view.job), words=among)


def _span(begin_ms: int | None, end_ms: int | None) -> int | None:
    return None if begin_ms is None or end_ms is None else max(0, end_ms - begin_ms)


def _age(view: JobView) -> int | None:
    return _span(view.job.create_time_ms, view.now_ms)


def _run_time(view: JobView) -> int | None:
    job = view.job
    if job.start_time_ms is None and job.create_time_ms is not None:
        return 0
    return _span(job.start_time_ms, job.end_time_ms if job.ended else view.now_ms)


def _time_left(view: JobView) -> int | None:
    # Without a limit nobody knows; of a job that has not started, all of it is left.
    job, limit_ms, ran_ms = view.job, view.job.spec.timeouts.run_ms, _run_time(view)
    if job.ended:
        return 0
    return None if limit_ms is None or ran_ms is None else max(0, limit_ms + (job.uncounted_ms or 0) - ran_ms)


def _platform(job: Job) -> Platform | None:
    return job.attempt.platform if job.attempt is not None and job.node else None


def _architecture(view: JobView) -> str | None:
    own = _platform(view.job)
    return own.architecture if own is not None else None


def _devices(job: Job) -> tuple[str, ...]:
    return job.attempt.devices if job.attempt is not None and job.node else ()


JOB_FIELDS = Schema(
    "job",
    {
        "name": _job(Kind.TEXT, lambda job: job.id),
        "display_name": _job(Kind.TEXT, lambda job: job.spec.display_name),
        "state": _job(Kind.WORD, lambda job: word(job.state), words(JobState)),
        "reason": _job(Kind.TEXT, lambda job: job.reason),
        "node": _job(Kind.TEXT, lambda job: job.node),
        "arch": Field(Kind.WORD, _architecture, platforms.ARCHITECTURES, normal=NODE_FIELDS.fields["arch"].normal),
        "emulated": _job(Kind.BOOL, lambda job: own.emulated if (own := _platform(job)) else None),
        "devices": _job(Kind.LIST, _devices),
        "device_count": _job(Kind.NUMBER, lambda job: len(_devices(job))),
        "project": _job(Kind.TEXT, lambda job: job.spec.project),
        "array": _job(Kind.TEXT, lambda job: job.array),
        "image": _job(Kind.TEXT, lambda job: job.spec.image),
        "priority": _job(Kind.NUMBER, lambda job: job.spec.priority),
        "epoch": _job(Kind.NUMBER, lambda job: job.epoch),
        "moves": _job(Kind.NUMBER, lambda job: len(job.migrations) + job.omitted_migration_count),
        "failures": _job(Kind.NUMBER, lambda job: job.failures),
        "exit_code": _job(Kind.NUMBER, lambda job: job.exit_code),
        "cpu": _job(Kind.CPU, lambda job: job.spec.resources.cpu_millis),
        "memory": _job(Kind.SIZE, lambda job: job.spec.resources.memory_bytes),
        "accelerators": _job(
            Kind.NUMBER, lambda job: wanted.count if (wanted := job.spec.resources.accelerators) else 0
        ),
        "age": Field(Kind.DURATION, _age),
        "run_time": Field(Kind.DURATION, _run_time),
        "time_left": Field(Kind.DURATION, _time_left),
    },
)
