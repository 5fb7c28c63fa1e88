"""One job for people, whole: where it ran, how it moved, what came out, and why."""

from collections.abc import Iterable

from headrace import elements, units
from headrace.attempts import FIRST_KEPT
from headrace.cli import job_table, job_terms, words
from headrace.v1.attempt_pb2 import Attempt, Phase
from headrace.v1.job_pb2 import Dependency, Exclusion, Job, Migration, MigrationPlan
from headrace.v1.job_service_pb2 import MigrateJobResponse

_LEVELS: dict[int, str] = {Migration.RESTART: "L0 restart", Migration.CHECKPOINT: "L1 checkpoint"}


def sheet(job: Job, wide: bool) -> list[str]:  # noqa: FBT001 - as render.show asks.
    """All that is known of a job; `wide` has the phases of its attempts and the digests of its images too."""
    texts = words.pairs(_facts(job))
    if wide and job.images:
        texts += ["", "Images"]
        rows = [
            (words.platform(pin.platform), units.rounded_bytes(pin.size_bytes) if pin.size_bytes else "", pin.image)
            for pin in job.images
        ]
        texts += words.indented(words.columns(("PLATFORM", "SIZE", "IMAGE"), rows))
    if job.attempts:
        texts += ["", "Attempts", *words.indented(_attempts(job.attempts))]
    if wide:
        for attempt in job.attempts:
            texts += ["", f"Phases of epoch {attempt.epoch}", *words.indented(_phases(attempt.phases))]
    for position, migration in enumerate(job.migrations, start=1):
        number = position + (job.omitted_migration_count if position > FIRST_KEPT else 0)
        texts += ["", f"Migration {number}", *words.indented(migration_sheet(migration))]
    return texts


def migration_sheet(migration: Migration) -> list[str]:
    """One move, with what each phase took."""
    facts = [
        ("Move", f"{migration.source} -> {migration.target}"),
        ("State", words.enum_name(Migration.State, migration.state)),
        ("Level", level(migration.level)),
        ("Platform", words.platform(migration.platform) if migration.HasField("platform") else ""),
        ("Downtime", words.millis(migration.downtime_millis) if migration.downtime_millis else ""),
        ("Moved", units.rounded_bytes(sum(phase.bytes for phase in migration.phases))),
        ("For", migration.expectation),
        ("Why", migration.reason),
    ]
    texts = words.pairs(facts)
    return [*texts, *_phases(migration.phases)] if migration.phases else texts


def plan_sheet(response: MigrateJobResponse, wide: bool) -> list[str]:  # noqa: ARG001, FBT001 - as render.show asks.
    """What a move would be, or is going to be."""
    plan = response.plan
    known = plan.HasField("downtime_millis")
    facts = [
        ("Job", words.id_of(response.job.name)),
        ("Move", f"{plan.source} -> {plan.target}"),
        ("Level", level(plan.level)),
        ("Not better", plan.level_reason),
        ("Loss", _loss(plan)),
        ("Bytes", f"about {units.rounded_bytes(plan.bytes)}"),
        ("Downtime", _downtime(plan) if known else "unknown: nothing was measured yet"),
    ]
    return words.pairs(facts)


def _downtime(plan: MigrationPlan) -> str:
    basis = f" (from {plan.downtime_basis})" if plan.downtime_basis else ""
    return f"about {words.millis(plan.downtime_millis)}{basis}"


def level(number: int) -> str:
    """A level in words."""
    return _LEVELS.get(number) or words.enum_name(Migration.Level, number)


def _loss(plan: MigrationPlan) -> str:
    work = f" ({words.millis(plan.lost_millis)} of work since the last save)" if plan.lost_millis else ""
    return (plan.loss or "nothing") + work


def _facts(job: Job) -> list[tuple[str, str]]:
    return [
        ("Job", job.name),
        ("Name", job.spec.display_name),
        ("Project", job.spec.project),
        ("State", job_table.state(job)),
        ("Why", job.reason),
        ("Gang", job.gang),
        ("Tasks", str(job.spec.task_count) if job.spec.task_count > 1 and not job.gang else ""),
        ("Meets at", job.rendezvous),
        ("Array", f"{job.array}, element {job.array_index} of {job.spec.element_count}" if job.array else ""),
        ("Elements", job_table.elements(job)),
        ("Failed", elements.described(job.elements.failed)),
        ("Cancelled", elements.described(job.elements.cancelled)),
        ("After", ", ".join(f"{one.job}: {_condition(one)}" for one in job.spec.after)),
        ("Node", job.node),
        ("Devices", _devices(job)),
        ("Epoch", str(job.epoch)),
        *job_terms.program(job),
        *job_terms.terms(job.spec),
        ("Created", words.moment(job, "create_time")),
        ("Started", words.moment(job, "start_time")),
        ("Ended", words.moment(job, "end_time")),
        ("Exit code", str(job.exit_code) if job.HasField("exit_code") else ""),
        ("Retries", _retries(job)),
        ("Had to leave", _had_to_leave(job)),
        ("Checkpoint", _checkpoint(job)),
        ("Outputs", _outputs(job)),
        ("Digest", job.outputs.digest),
        ("Keeps away", "; ".join(f"{_kept_away_from(item)}: {item.reason}" for item in job.exclusions)),
    ]


def _condition(one: Dependency) -> str:
    return words.enum_name(Dependency.Condition, one.condition).lower()


def _retries(job: Job) -> str:
    retry = job.spec.retry
    within = f" within {units.format_duration(retry.within.ToMilliseconds())}" if retry.HasField("within") else ""
    return f"{job.failures} of {retry.limit} allowed{within}" if job.failures else ""


def _had_to_leave(job: Job) -> str:
    """For whom it had to leave its node last, and how often that was for jobs of higher priority."""
    times = f"; {job.preemption_count} times for more urgent ones" if job.preemption_count > 1 else ""
    return f"for jobs/{job.preemptor}{times}" if job.preemptor else ""


def _kept_away_from(item: Exclusion) -> str:
    return f"{item.device} of {item.node}" if item.device else item.node


def _devices(job: Job) -> str:
    if not job.node or not job.attempts or not job.attempts[-1].devices:
        return ""
    devices, asked = ", ".join(job.attempts[-1].devices), job.spec.resources.accelerators
    parts = [f"{asked.share_millis / 1000:g} of it"] if asked.share_millis else []
    parts += [f"{units.format_bytes(asked.memory_bytes)} of its memory"] if asked.memory_bytes else []
    return f"{devices}: {' and '.join(parts)} (advisory: it keeps to that by itself)" if parts else devices


def _checkpoint(job: Job) -> str:
    if not job.HasField("checkpoint"):
        return ""
    saved = job.checkpoint
    size, sent = units.rounded_bytes(saved.size_bytes), units.rounded_bytes(saved.sent_bytes)
    return f"number {saved.sequence} of epoch {saved.epoch}: {words.files(saved.file_count)}, {size}, {sent} sent"


def _outputs(job: Job) -> str:
    if not job.HasField("outputs"):
        return ""
    return f"{words.files(job.outputs.file_count)}, {units.rounded_bytes(job.outputs.size_bytes)}"


def _attempts(attempts: Iterable[Attempt]) -> list[str]:
    headings = ("EPOCH", "NODE", "PLATFORM", "STATE", "EXIT", "STARTED", "RAN", "WHY")
    return words.columns(headings, [_attempt(attempt) for attempt in attempts])


def _attempt(attempt: Attempt) -> tuple[str, ...]:
    ran = ""
    if attempt.HasField("start_time"):
        end = words.millis_of(attempt.end_time) if attempt.HasField("end_time") else words.now_ms()
        ran = words.span(end - words.millis_of(attempt.start_time))
    return (
        str(attempt.epoch),
        attempt.node,
        words.platform(attempt.platform) if attempt.HasField("platform") else "",
        words.enum_name(Attempt.State, attempt.state),
        str(attempt.exit_code) if attempt.HasField("exit_code") else "",
        words.moment(attempt, "start_time"),
        ran,
        attempt.message or attempt.reason,
    )


def _phases(phases: Iterable[Phase]) -> list[str]:
    rows = [
        (phase.name, words.millis(phase.millis), units.rounded_bytes(phase.bytes) if phase.bytes else "")
        for phase in phases
    ]
    return words.columns(("PHASE", "TIME", "BYTES"), rows)
