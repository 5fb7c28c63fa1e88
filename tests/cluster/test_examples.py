"""The examples, each moved between architectures, with the result of a run that never moved."""

import json
import math
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from headrace.jobs import Job, JobState, Level, MigrationState
from tests.cluster.jobs import example
from tests.cluster.observer import Observer

pytestmark = [pytest.mark.engine, pytest.mark.timeout(600)]

AGENTS = ("amd64", "arm64")
STEPS, ROUNDS, DIGITS = 600, 6, 4000


async def test_a_floating_point_training_agrees_within_the_tolerance_that_it_declares(
    eyes: Observer, tmp_path: Path
) -> None:
    unmoved = await eyes.client.create_job(example("numpy-sgd", f"env.STEPS={STEPS}", "name=unmoved"))
    job = await eyes.client.create_job(example("numpy-sgd", f"env.STEPS={STEPS}"))
    said = await eyes.said(job, "\nstep ")
    for target, epoch in (("arm64", 2), ("amd64", 3)):
        move = await eyes.moved(job, target)
        assert (move.state, move.level, move.reason) == (MigrationState.SUCCEEDED, Level.CHECKPOINT, "")
        said = await eyes.said(job, f"epoch {epoch}: begins at step", after=said)
    results = [await result(eyes, one, tmp_path / one.id) for one in (job, unmoved)]

    assert results[0]["steps"] == STEPS
    differing = [
        f"{path}: {moved} and {stayed}"
        for (path, moved), (_, stayed) in zip(*(numbers(one) for one in results), strict=True)
        if not math.isclose(moved, stayed, rel_tol=results[0]["tolerance"], abs_tol=results[0]["tolerance"])
    ]
    assert differing == []


async def test_a_job_that_saves_while_it_runs_has_a_checkpoint_while_it_runs(eyes: Observer) -> None:
    job = await eyes.client.create_job(example("numpy-sgd", f"env.STEPS={10**9}", "checkpoint.interval=1s"))

    after = await eyes.until(job, lambda now: now.checkpoint is not None and now.checkpoint.sequence > 1, "saves")

    assert (after.state, after.epoch, len(after.attempts)) == (JobState.RUNNING, 1, 1)
    assert "saved at step" in await eyes.log(job)
    await eyes.client.cancel(job.name)
    await eyes.ended(job, JobState.CANCELLED)


async def test_a_shell_job_with_a_trap_moves_with_nothing_lost(eyes: Observer) -> None:
    unmoved = await eyes.client.create_job(example("wordcount", f"env.ROUNDS={ROUNDS}", "name=unmoved"))
    job = await eyes.client.create_job(example("wordcount", f"env.ROUNDS={ROUNDS}"))
    await eyes.said(job, "round 2 of")
    for target, epoch in (("arm64", 2), ("amd64", 3)):
        move = await eyes.moved(job, target)
        assert (move.state, move.level, move.reason) == (MigrationState.SUCCEEDED, Level.CHECKPOINT, "")
        await eyes.said(job, f"epoch {epoch} on {target}: goes on after round")
    job, unmoved = await eyes.ended(job), await eyes.ended(unmoved)

    assert digest(job) == digest(unmoved)
    rounds = [line for line in (await eyes.log(job)).splitlines() if line.startswith("round ")]
    assert rounds == [line for line in (await eyes.log(unmoved)).splitlines() if line.startswith("round ")]


async def test_a_job_without_a_contract_moves_by_starting_again_as_the_dry_run_says(eyes: Observer) -> None:
    amd64, arm64 = map(eyes.world.node, AGENTS)
    unmoved = await eyes.client.create_job(example("pi", f"env.DIGITS={DIGITS}", "name=unmoved"))
    await eyes.running(unmoved, on="amd64")
    # Where it is slow there is time to move it.
    await eyes.client.cordon(amd64)
    job = await eyes.client.create_job(example("pi", f"env.DIGITS={DIGITS}"))
    await eyes.said(job, "400 of")
    await eyes.client.uncordon(amd64)

    plan = await eyes.client.plan_migration(job.name, target=amd64)
    move = await eyes.moved(job, "amd64")
    job, unmoved = await eyes.ended(job), await eyes.ended(unmoved)

    assert (plan.level, plan.source, plan.target) == (Level.RESTART, arm64, amd64)
    assert "no `checkpoint:`" in plan.level_reason
    assert "all work since its start" in plan.loss
    assert plan.lost_millis > 0
    assert (move.state, move.level) == (MigrationState.SUCCEEDED, Level.RESTART)
    assert digest(job) == digest(unmoved)
    assert (await eyes.log(job)).count("\n400 of") == len(job.attempts) == 2


def digest(job: Job) -> str:
    assert job.outputs is not None
    return job.outputs.digest


async def result(eyes: Observer, job: Job, folder: Path) -> dict[str, Any]:
    """What the training found."""
    await eyes.ended(job)
    await eyes.client.fetch_outputs(job.name, folder)
    found: dict[str, Any] = json.loads((folder / "result.json").read_text())
    return found


def numbers(found: dict[str, Any], above: str = "") -> Iterator[tuple[str, float]]:
    """All the numbers in it, by their paths."""
    for key, value in found.items():
        if isinstance(value, dict):
            yield from numbers(value, f"{above}{key}.")
        else:
            yield f"{above}{key}", value
