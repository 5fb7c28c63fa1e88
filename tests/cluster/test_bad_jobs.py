"""Jobs that do what they should not, or what few do: the node and the controller keep their feet."""

import asyncio
from dataclasses import replace
from pathlib import Path

import pytest

from headrace.attempts import AttemptState
from headrace.jobs import CheckpointPolicy, JobSpec, JobState, MigrationState, Requests
from tests.cluster.jobs import program
from tests.cluster.observer import Observer

pytestmark = [pytest.mark.engine, pytest.mark.timeout(600)]

AGENTS = ("one", "two")
LOG_BYTES = 8 << 20
CONTROLLER = {"logs": {"max_bytes": f"{LOG_BYTES >> 20}MiB"}}

# Its checkpoint is good until it is asked to leave; then it lays down a link that would take the node's files along.
LEAVES_A_LINK = """
import os, pathlib, signal
state, output = pathlib.Path("/checkpoint/state"), pathlib.Path("/output/result")
signal.pthread_sigmask(signal.SIG_BLOCK, [signal.SIGTERM])
epoch, found = os.environ["HEADRACE_EPOCH"], state.read_text() if state.exists() else "nothing"
print(f"epoch {epoch} found {found}", flush=True)
if epoch == "1":
    if "SAVES_BEFORE" in os.environ:
        state.write_text("good")
    print("works", flush=True)
    signal.sigwait([signal.SIGTERM])
    os.symlink("/etc/passwd", "/checkpoint/link")
    state.write_text("bad")
    exit(85)
output.write_text(found)
"""

GIBIBYTE_OF_LOG = """
import os
line = b"x" * 4095 + b"\\n"
for number in range(1 << 10):
    os.write(1, line * (1 << 8))
print("the end of the log", flush=True)
"""


@pytest.mark.parametrize("saves_before", [True, False], ids=["saved before", "never saved"])
async def test_a_checkpoint_that_points_outside_is_not_taken_and_the_job_is_not_lost(
    eyes: Observer, tmp_path: Path, *, saves_before: bool
) -> None:
    env = {"SAVES_BEFORE": "1"} if saves_before else {}
    policy = CheckpointPolicy("/checkpoint", interval_ms=1000, grace_ms=20_000)
    job = await eyes.client.create_job(replace(program("link", LEAVES_A_LINK), env=env, checkpoint=policy))
    await eyes.said(job, "works")
    if saves_before:
        await eyes.until(job, lambda now: now.checkpoint is not None, "has a checkpoint")
    source = (await eyes.running(job)).node
    move = await eyes.moved(job, "two" if source == eyes.world.node("one") else "one")
    job = await eyes.ended(job)
    await eyes.client.fetch_outputs(job.name, tmp_path / "outputs")

    assert job.attempts[0].reason == "CHECKPOINT_UNSAFE"
    assert "link" in job.attempts[0].message
    assert move.state is MigrationState.SUCCEEDED
    assert move.reason.startswith("the job did not save on request")
    assert (tmp_path / "outputs" / "result").read_text() == ("good" if saves_before else "nothing")


async def test_a_log_of_a_gibibyte_fills_no_disk_and_its_end_is_kept(eyes: Observer) -> None:
    spec = JobSpec("talks", "headrace/python", command=("python3", "-c", GIBIBYTE_OF_LOG), resources=Requests(1000))
    job = await eyes.client.create_job(spec)
    ended = asyncio.create_task(eyes.ended(job, seconds=300))
    kept, largest = eyes.world.folder / "controller" / "state" / "logs" / job.id, 0
    while not ended.done():
        largest = max(largest, size(kept) + eyes.world.engine_log_bytes(job.id))
        await asyncio.wait([ended], timeout=0.2)
    await ended

    assert largest < LOG_BYTES + (2 << 20) + (130 << 20)
    assert size(kept) < LOG_BYTES + (2 << 20)
    end = b"".join([part.data async for part in eyes.client.read_log(job.name, offset=-100)])
    assert end.endswith(b"x\nthe end of the log\n")


async def test_a_command_that_the_image_does_not_hold_fails_at_once(eyes: Observer) -> None:
    job = await eyes.client.create_job(JobSpec("typo", "headrace/python", command=("pyhton3", "-c", "pass")))

    job = await eyes.ended(job, JobState.FAILED)

    [attempt] = job.attempts
    assert attempt.reason == "COMMAND_NOT_FOUND"
    assert "check the job's command" in job.reason


async def test_a_job_that_takes_more_memory_than_it_asked_for_is_told_so(eyes: Observer) -> None:
    spec = JobSpec("greedy", "headrace/python", command=("python3", "-c", "x = bytearray(1 << 28); print(len(x))"))

    job = await eyes.client.create_job(replace(spec, resources=Requests(500, 64 << 20)))
    job = await eyes.ended(job, JobState.FAILED)

    [attempt] = job.attempts
    assert (attempt.state, attempt.exit_code) == (AttemptState.EXITED, 137)
    if attempt.reason:
        assert attempt.reason == "OUT_OF_MEMORY"
        assert job.reason == "the container used more memory than resources.memory allows"
    else:
        # The engine was too busy to hear of it: 6 in 240 times, with twelve at once.
        assert "perhaps for using more memory than resources.memory allows" in job.reason


async def test_an_image_that_runs_as_another_user_keeps_its_checkpoint_and_its_outputs(
    eyes: Observer, tmp_path: Path
) -> None:
    image = eyes.world.parts.recipe("nonroot").reference
    job = await eyes.client.create_job(replace(program("nonroot", ""), image=image, command=()))
    await eyes.said(job, "user 1000, begun by nobody")
    source = (await eyes.running(job)).node
    move = await eyes.moved(job, "two" if source == eyes.world.node("one") else "one")
    await eyes.ended(job)
    await eyes.client.fetch_outputs(job.name, tmp_path / "outputs")

    assert (move.state, move.reason) == (MigrationState.SUCCEEDED, "")
    assert (tmp_path / "outputs" / "who").read_text() == "user 1000 user 1000 "


def size(folder: Path) -> int:
    """The bytes of the files in a folder that may come and go."""
    found = 0
    for path in folder.glob("*"):
        try:
            found += path.stat().st_size
        except FileNotFoundError:
            continue
    return found
