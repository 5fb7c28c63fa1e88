"""headrace explain."""

import os
import re
from argparse import Namespace
from collections.abc import Sequence

from headrace import jobfile, wire
from headrace.cli import render, words
from headrace.cli.submission import read_job_file
from headrace.connection import CREATE_TIMEOUT_SECONDS, Connection, job_name
from headrace.ids import and_others, listed
from headrace.v1.job_pb2 import Candidate, Job
from headrace.v1.job_service_pb2 import Change, Edit, ExplainJobRequest, ExplainJobResponse, Outlook

_EXACT_MILLIS = 120_000
_NAMED = 3
_CLOSED_NODE = re.compile(r"nodes/(.+) drain")


async def explain(connection: Connection, arguments: Namespace) -> int:
    """Say where a job, or a job file, fits; why it waits; what would change that, and when it will start."""
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
    rows = [_row(one, wide) for one in response.candidates]
    headings = ("NODE", "FITS", "PLATFORM", "RUNS FOR", "FROM", "WHY NOT", *(("DEVICES",) if wide else ()))
    lines = [_summary(response), *words.indented(response.standing), *words.indented(_waits(response))]
    lines += ["", *words.columns(headings, rows)]
    if len(rows) < response.node_count:
        obstacles = [f"{one.node_count} nodes: {one.reason}" for one in response.obstacles]
        lines += ["", f"{len(rows)} of {response.node_count} nodes are shown; in all", *words.indented(obstacles)]
    return lines


def _summary(response: ExplainJobResponse) -> str:
    job, known = response.job, max(response.node_count, len(response.candidates))
    name = words.id_of(job.name) or job.spec.display_name
    if not known:
        return f"{name}: no node has reported yet"
    where = (
        f"; it is {words.enum_name(Job.State, job.state)}{f' on {job.node}' if job.node else ''}" if job.name else ""
    )
    fitting = max(response.fitting_count, sum(not one.reason for one in response.candidates))
    empty = response.fitting_empty_count
    if_empty = f", and would fit {empty} if nothing else ran there" if empty > fitting else ""
    return f"{name} fits {fitting} of {known} node{'s' if known > 1 else ''}{if_empty}{where}"


def _waits(response: ExplainJobResponse) -> list[str]:
    """When it will start, and what would have it start now."""
    lines = []
    if response.HasField("outlook"):
        lines.append(_outlook(response.outlook))
    lines += map(_change, response.changes)
    for joint in response.joint_changes:
        both = ", and ".join(map(_edit, joint.edits))
        lines.append(f"with {both}, it would start now on {_nodes(joint.nodes)}")
    return lines


def _change(one: Change) -> str:
    if not one.leaving:
        return f"with {_edit(one)} it would start now on {_nodes(one.nodes)}"
    in_millis = max(0, words.millis_of(one.start_time) - words.now_ms())
    whom, where = listed(one.leaving), _nodes(one.nodes)
    return f"with {_edit(one)} it would have {whom} leave, and start in about {words.span(in_millis)} on {where}"


def _edit(one: Change | Edit) -> str:
    if not one.to_value:
        return f"no {one.field}: {one.from_value}"
    edit = f"{one.field} {one.to_value} instead of {one.from_value}"
    closed = _CLOSED_NODE.fullmatch(one.field)
    if closed is None:
        return edit
    return f"{edit} (headrace {'uncordon' if one.from_value == 'cordoned' else 'undrain'} {closed[1]})"


def _outlook(outlook: Outlook) -> str:
    before = outlook.jobs_before_count
    turn = f" ({before} job{'s' if before > 1 else ''} before it)" if before else ""
    if not outlook.HasField("start_time"):
        return f"when it will start cannot be told: {outlook.basis}{turn}"
    in_millis = words.millis_of(outlook.start_time) - words.now_ms()
    where = f" on {_nodes(outlook.nodes)}" if outlook.nodes else ""
    when = f"in about {words.span(in_millis)}" if in_millis > 0 else "now"
    return f"it will likely start {when}{where}: {outlook.basis}{turn}"


def _nodes(names: Sequence[str]) -> str:
    return and_others(list(dict.fromkeys(names)), named=_NAMED)


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
