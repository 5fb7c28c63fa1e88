"""headrace explain."""

import os
from argparse import Namespace

from headrace import jobfile, wire
from headrace.cli import render, words
from headrace.cli.submission import read_job_file
from headrace.connection import CREATE_TIMEOUT_SECONDS, Connection, job_name
from headrace.v1.job_pb2 import Candidate, Job
from headrace.v1.job_service_pb2 import ExplainJobRequest, ExplainJobResponse

_EXACT_MILLIS = 120_000


async def explain(connection: Connection, arguments: Namespace) -> int:
    """Say what each node is for a job, or for a job file."""
    subject = arguments.subject
    if _is_file(subject):
        text, source = read_job_file(subject)
        request = ExplainJobRequest(spec=wire.dump(jobfile.load(text, source=source, sets=arguments.sets)))
    elif arguments.sets:
        arguments.usage_error("--set is for job files; of a job that was submitted nothing can be changed")
    else:
        request = ExplainJobRequest(name=job_name(subject))
    response = await connection.call(connection.jobs.ExplainJob, request, timeout_seconds=CREATE_TIMEOUT_SECONDS)
    render.show(response, arguments.output, _sheet)
    return 0


def _is_file(subject: str) -> bool:
    # A job's name has neither a dot nor a slash, but for that of its collection.
    named = subject.removeprefix("jobs/")
    return subject == "-" or "." in named or "/" in named or os.path.isfile(subject)  # noqa: PTH113 - pathlib takes 5 ms.


def _sheet(response: ExplainJobResponse, wide: bool) -> list[str]:  # noqa: FBT001 - as render.show asks.
    fitting = [one for one in response.candidates if not one.reason]
    rows = [_row(one, wide) for one in response.candidates]
    headings = ("NODE", "FITS", "PLATFORM", "RUNS FOR", "FROM", "WHY NOT", *(("DEVICES",) if wide else ()))
    summary = _summary(response.job, len(fitting), len(rows))
    return [summary, *words.indented(response.standing), "", *words.columns(headings, rows)]


def _summary(job: Job, fitting: int, known: int) -> str:
    name = words.id_of(job.name) or job.spec.display_name
    if not known:
        return f"{name}: no node has reported yet"
    where = (
        f"; it is {words.enum_name(Job.State, job.state)}{f' on {job.node}' if job.node else ''}" if job.name else ""
    )
    return f"{name} fits {fitting} of {known} node{'s' if known > 1 else ''}{where}"


def _row(candidate: Candidate, wide: bool) -> tuple[str, ...]:  # noqa: FBT001 - as _sheet.
    known, millis = candidate.HasField("run_millis"), candidate.run_millis
    length = words.millis(millis) if millis < _EXACT_MILLIS else words.span(millis)
    return (
        candidate.node,
        "no" if candidate.reason else "yes",
        words.platform(candidate.platform) if candidate.HasField("platform") else "",
        f"about {length}" if known else "unknown",
        candidate.run_basis,
        candidate.reason,
        *((", ".join(candidate.devices),) if wide else ()),
    )
