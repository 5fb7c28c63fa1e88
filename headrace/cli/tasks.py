"""The tasks of gangs and the elements of arrays: each has a log, results and attempts of its own."""

from argparse import Namespace
from collections.abc import Sequence

from headrace.cli import job_table, words
from headrace.connection import PAGE_SIZE, Connection, job_name
from headrace.ids import task_id
from headrace.members import is_array, is_gang
from headrace.refusals import Code, Refusal
from headrace.v1.job_pb2 import Job
from headrace.v1.job_service_pb2 import GetJobRequest, ListJobsRequest


async def meant(connection: Connection, arguments: Namespace) -> str:
    """The job that a command names, or the task of it. Raises Refusal where it has no such task."""
    if arguments.task is None:
        return str(arguments.job)
    job = await connection.call(connection.jobs.GetJob, GetJobRequest(name=job_name(arguments.job)))
    named = "tasks" if is_gang(job) else "elements" if is_array(job) else ""
    count = job.spec.element_count if is_array(job) else job.spec.task_count
    if not named or not 0 <= arguments.task < count:
        what = f"has {named} 0 to {count - 1}" if named else "is no gang and no array; leave --task out"
        raise Refusal(Code.NOT_FOUND, "TASK_NOT_FOUND", f"{job.name} {what}")
    return task_id(job.name, arguments.task)


async def of(connection: Connection, gang: Job) -> list[Job]:
    """The tasks of a gang, by their numbers."""
    found: list[Job] = []
    async for page in connection.pages(connection.jobs.ListJobs, ListJobsRequest(gang=gang.name, page_size=PAGE_SIZE)):
        found.extend(page.jobs)
    return sorted(found, key=lambda task: task.task)


def table(tasks: Sequence[Job]) -> list[str]:
    """A line for each."""
    rows = [
        (
            words.id_of(task.name),
            job_table.state(task),
            task.node,
            str(task.epoch),
            str(task.exit_code) if task.HasField("exit_code") else "",
            task.reason,
        )
        for task in tasks
    ]
    return words.columns(("TASK", "STATE", "NODE", "EPOCH", "EXIT", "WHY"), rows)
