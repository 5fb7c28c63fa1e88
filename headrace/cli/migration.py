"""headrace migrate."""

from argparse import Namespace

from headrace.cli import job_sheet, render, words
from headrace.connection import Connection, job_name
from headrace.refusals import Code, Refusal
from headrace.v1.job_pb2 import Job, Migration
from headrace.v1.job_service_pb2 import MigrateJobRequest, MigrateJobResponse


async def migrate(connection: Connection, arguments: Namespace) -> int:
    """Move a job, or say what a move would be; with --wait until it is there."""
    if arguments.dry_run and arguments.wait:
        arguments.usage_error("--dry-run moves nothing that --wait could wait for; write one of them")
    request = MigrateJobRequest(
        name=job_name(arguments.job), target=arguments.to or "", where=arguments.where, validate_only=arguments.dry_run
    )
    response = await connection.call(connection.jobs.MigrateJob, request)
    if not arguments.wait:
        render.show(response, arguments.output, job_sheet.plan_sheet)
        return 0
    if arguments.output in ("table", "wide"):
        render.lines([*job_sheet.plan_sheet(response, False), ""])
    moved = await _ended(connection, response)
    render.show(moved, arguments.output, lambda migration, _wide: job_sheet.migration_sheet(migration))
    if moved.state == Migration.SUCCEEDED:
        return 0
    why = moved.reason or "no reason was given"
    render.complaint("failed", f"{words.id_of(response.job.name)} was not moved: {why}", "MIGRATION_ABORTED")
    return 1


async def _ended(connection: Connection, response: MigrateJobResponse) -> Migration:
    """The move that `response` began, once it has ended."""
    begun = response.job.migrations[-1]
    told = 0
    async for job in connection.watch_job(response.job.name):
        migration = _same(job, begun)
        if migration is None:
            break
        if migration.state in (Migration.SUCCEEDED, Migration.ABORTED):
            return migration
        if migration.state != told:
            told = migration.state
            render.note(f"{words.id_of(job.name)} {words.enum_name(Migration.State, told)}")
    raise Refusal(
        Code.ABORTED,
        "MIGRATION_UNKNOWN",
        f"{words.id_of(response.job.name)} ended, and nothing was said of its move; headrace job has what is known",
    )


def _same(job: Job, begun: Migration) -> Migration | None:
    for migration in reversed(job.migrations):
        if migration.source_epoch == begun.source_epoch and migration.request_time == begun.request_time:
            return migration
    return None
