"""Row 15: what a dry run says of a move's downtime and bytes, against what the move then took."""

import asyncio
import statistics
from dataclasses import replace

from benchmarks import hop_job
from benchmarks import setting as settings
from benchmarks.figures import Measured, Ratio, Row
from headrace.client import Client
from headrace.jobs import Job, JobState, Migration, MigrationPlan, MigrationState

ROUNDS = 6
# Longer than the job takes for a step, shorter than what lies between two saves.
STEP_SECONDS = 1.0
BOUND = 0.25
# The last one runs jobs for arm64, by an agent that does not.
NODES = ONE, TWO, FOREIGN = ("bench-one", "bench-two", "bench-foreign")
# From the first node round to it again: each round has each pair once.
TOUR = (TWO, FOREIGN, TWO, ONE, FOREIGN, ONE)
STATES = {"1 MB": 1 << 20, "16 MB": 16 << 20}


async def measure(setting: settings.Setting) -> Row:
    """Measures the row: jobs of several sizes go round, one after the other, each hop foretold and then made."""
    measured, _ = await toured(setting)
    ratios = []
    for what in ("downtime", "bytes"):
        errors = [error for name, one in measured.values.items() if name.endswith(f"{what} off by") for error in one]
        ratios.append(
            Ratio(
                f"{what}: foretold and actual differ by, median of {len(errors)}",
                statistics.median(errors),
                BOUND,
                unit="share",
            )
        )
    notes = (
        "the share of the actual figure by which the foretold one is off",
        "hops that nothing was known of are made and not counted; the first ones are foretold from other jobs' hops",
        "bytes are the sum over the move's phases",
    )
    return Row(15, "what a dry run foretells of a hop", measured.series(), tuple(ratios), notes)


async def toured(setting: settings.Setting) -> tuple[Measured, list[Job]]:
    """The measurements, and the jobs that were moved, as they were at last."""
    image = hop_job.image(setting.registry)
    measured, jobs = Measured("share"), []
    async with settings.daemons(setting, *(settings.Member(node, setting.engine) for node in NODES)) as (_, client):
        for name, state_bytes in STATES.items():
            plain = hop_job.spec(image, source=ONE, natives=(FOREIGN,), interval_ms=2_000)
            spec = replace(plain, env={"STATE_BYTES": str(state_bytes)})
            job = await client.create_job(spec)
            for _ in range(ROUNDS):
                for target in TOUR:
                    await _ready(client, job)
                    await _hop(client, job, target, measured, name)
            jobs.append(await client.job(job.name))
            await client.cancel(job.name)
            await client.wait(job.name)
    return measured, jobs


async def _hop(client: Client, job: Job, target: str, measured: Measured, name: str) -> None:
    plan = await client.plan_migration(job.name, target=target)
    await client.migrate(job.name, target=target)
    move = await _moved(client, job)
    foretold(measured, name, plan, move)


def foretold(measured: Measured, name: str, plan: MigrationPlan, move: Migration) -> None:
    """Adds by which share of the actual figures the plan was off, where it told any."""
    if plan.downtime_millis is None:
        return
    moved_bytes = sum(phase.bytes for phase in move.phases)
    measured.add(f"{name}: downtime off by", abs(plan.downtime_millis / move.downtime_millis - 1))
    measured.add(f"{name}: bytes off by", abs(plan.bytes / moved_bytes - 1))


async def _ready(client: Client, job: Job) -> None:
    """Waits until the job runs, and has saved in this epoch."""
    async for now in client.watch_job(job.name):
        saved = now.checkpoint
        if now.state is JobState.RUNNING and saved is not None and saved.epoch == now.epoch:
            # By then it has changed its state again, as one that saves each minute would have.
            await asyncio.sleep(STEP_SECONDS)
            return
    raise RuntimeError(f"{job.name} ended before it could hop")


async def _moved(client: Client, job: Job) -> Migration:
    async for now in client.watch_job(job.name):
        move = now.migrations[-1] if now.migrations else None
        if move is not None and move.state is MigrationState.SUCCEEDED:
            return move
        if move is not None and move.ended:
            raise RuntimeError(f"{job.name} did not hop: {move.reason}")
    raise RuntimeError(f"{job.name} ended while it hopped")
