"""headrace submit, run."""

import json
import re
import uuid
from argparse import Namespace

from headrace import jobfile, wire
from headrace.cli import job_sheet, job_table, render, words
from headrace.cli.streams import show_log
from headrace.connection import CREATE_TIMEOUT_SECONDS, Connection
from headrace.jobs import JobSpec
from headrace.refusals import Code, Refusal
from headrace.v1.job_pb2 import Job
from headrace.v1.job_service_pb2 import BatchCreateJobsRequest, BatchCreateJobsResponse, CreateJobRequest
from headrace.yaml_tree import MAX_CHARACTERS

_REQUEST = re.compile(r"requests\[(\d+)\]")


async def submit(connection: Connection, arguments: Namespace) -> int:
    """Submit job files: several in one transaction, all or none."""
    specs, sources = [], []
    for file in arguments.files:
        text, source = read_job_file(file)
        specs.append(jobfile.load(text, source=source, sets=arguments.sets))
        sources.append(source)
    if len(specs) == 1:
        return await _create(connection, specs[0], arguments)
    return await _create_all(connection, specs, sources, arguments)


async def run(connection: Connection, arguments: Namespace) -> int:
    """Submit a job that is only an image and a command."""
    # A job file too, so that --set means the same, and is checked in the same words. JSON is YAML.
    fields = {"name": arguments.name or _name_of(arguments.image), "image": arguments.image}
    text = json.dumps(fields | ({"command": arguments.argv} if arguments.argv else {}))
    return await _create(connection, jobfile.load(text, source="command line", sets=arguments.sets), arguments)


def read_job_file(file: str) -> tuple[str, str]:
    """A job file's text, as far as it is read, and what it is called."""
    given = file == "-"
    source = "standard input" if given else file
    try:
        with open(0 if given else file, encoding="utf-8", closefd=not given) as opened:
            return opened.read(MAX_CHARACTERS + 1), source
    except UnicodeDecodeError:
        raise Refusal(Code.INVALID_ARGUMENT, "JOB_FILE_INVALID", f"{source} is no text in UTF-8") from None


def _name_of(image: str) -> str:
    # "registry.example:5000/team/Python_3.11:1" is "python-3-11".
    last = image.partition("@")[0].rpartition("/")[2].partition(":")[0]
    return re.sub(r"[^a-z0-9]+", "-", last.lower()).strip("-")[:40].strip("-")


async def _create_all(connection: Connection, specs: list[JobSpec], sources: list[str], arguments: Namespace) -> int:
    if arguments.wait or arguments.follow:
        message = "--wait and --follow take one job file; `headrace jobs --watch` shows what becomes of several"
        raise Refusal(Code.INVALID_ARGUMENT, "WAITS_FOR_ONE", message)
    request = BatchCreateJobsRequest(requests=[_request(spec, arguments) for spec in specs])
    try:
        made = await connection.call(connection.jobs.BatchCreateJobs, request, timeout_seconds=CREATE_TIMEOUT_SECONDS)
    except Refusal as refusal:
        raise _of_files(refusal, sources) from refusal
    if arguments.dry_run:
        render.show(made, arguments.output, _would_all_be)
    else:
        render.show(made, arguments.output, lambda made, _wide: [words.id_of(job.name) for job in made.jobs])
    return 0


def _of_files(refusal: Refusal, sources: list[str]) -> Refusal:
    # The controller counts requests; whoever submits knows files.
    found = _REQUEST.match(refusal.message)
    if found is None or int(found[1]) >= len(sources):
        return refusal
    message = sources[int(found[1])] + refusal.message[found.end() :]
    return Refusal(refusal.code, refusal.reason, message, **refusal.metadata)


def _request(spec: JobSpec, arguments: Namespace) -> CreateJobRequest:
    request = CreateJobRequest(spec=wire.dump(spec), validate_only=arguments.dry_run)
    if not arguments.dry_run:
        request.request_id = str(uuid.uuid4())
    return request


async def _create(connection: Connection, spec: JobSpec, arguments: Namespace) -> int:
    job = await connection.call(
        connection.jobs.CreateJob, _request(spec, arguments), timeout_seconds=CREATE_TIMEOUT_SECONDS
    )
    if arguments.dry_run:
        render.show(job, arguments.output, _would_be)
        return 0
    if not (arguments.wait or arguments.follow):
        render.show(job, arguments.output, lambda job, _wide: [words.id_of(job.name)])
        return 0
    render.note(words.id_of(job.name))
    if arguments.follow:
        await show_log(connection, job.name, follow=True)
    ended = await _ended(connection, job, quiet=arguments.follow)
    return _verdict(ended, arguments)


async def _ended(connection: Connection, created: Job, *, quiet: bool) -> Job:
    job, told = created, ""
    async for job in connection.watch_job(created.name):
        line = job_table.change(job)
        if line != told and not quiet:
            render.note(line)
        told = line
    return job


def _verdict(job: Job, arguments: Namespace) -> int:
    if not arguments.follow:
        render.show(job, arguments.output, lambda job, _wide: [words.id_of(job.name)])
    if job.state == Job.SUCCEEDED:
        return 0
    why = job.reason or f"headrace job {words.id_of(job.name)} has what is known"
    render.complaint("failed", f"{words.id_of(job.name)} {job_table.state(job)}: {why}", "JOB_NOT_SUCCEEDED")
    return 1


def _would_all_be(made: BatchCreateJobsResponse, wide: bool) -> list[str]:  # noqa: FBT001 - as render.show asks.
    return [line for job in made.jobs for line in _would_be(job, wide)]


def _would_be(job: Job, wide: bool) -> list[str]:  # noqa: FBT001 - as render.show asks.
    images: dict[str, list[str]] = {job.spec.image: []}
    for pin in job.images:
        images.setdefault(pin.reference or job.spec.image, []).append(words.platform(pin.platform))
    made = "; ".join(f"{image} has {', '.join(has) or 'no platform pinned'}" for image, has in images.items())
    texts = [f"{job.spec.display_name} would be accepted: {made}"]
    if job.reason:
        texts.append(f"{job.spec.display_name} would wait: {job.reason}")
    return [*texts, "", *job_sheet.sheet(job, wide)] if wide else texts
