"""The `headrace` program with a real controller, real agents and a real job: what it says, and its exit codes."""

import asyncio
import json
import os
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from deploy.local import images
from headrace.jobs import JobState
from headrace.nodes import Drain
from tests.cluster.jobs import MERGES, Tokenized, goes_on_where_it_left, work_in
from tests.cluster.observer import Observer

pytestmark = [pytest.mark.engine, pytest.mark.timeout(600)]

AGENTS = ("one", "two")
SECONDS = 120.0
# As the console script that an installation makes.
PROGRAM = "from headrace.cli.main import main; main()"
BPE = str(images.EXAMPLES / "bpe.yaml")
# What docs/contract.md tells users to compare.
DIGEST = "find . -type f -print0 | LC_ALL=C sort -z | xargs -0r sha256sum | sha256sum"


@dataclass(frozen=True, slots=True)
class Said:
    """What a run of the program came to."""

    code: int
    out: str
    err: str

    @property
    def document(self) -> dict[str, Any]:
        """What it said with `-o json`."""
        found: dict[str, Any] = json.loads(self.out)
        return found


async def test_a_job_is_submitted_followed_shown_and_its_outputs_are_fetched(
    eyes: Observer, unmoved: Tokenized, tmp_path: Path
) -> None:
    followed = await headrace(eyes, "submit", BPE, "--set", f"env.MERGES={MERGES}", "--set", "name=shown", "--follow")
    job = followed.err.splitlines()[0]
    logs = await headrace(eyes, "logs", job)
    shown = await headrace(eyes, "job", job, "-o", "json")
    fetched = await headrace(eyes, "outputs", job, str(tmp_path / "result"))
    again = await headrace(eyes, "outputs", job, str(tmp_path / "result"))
    coreutils = await run("sh", "-c", DIGEST, cwd=tmp_path / "result")

    assert (followed.code, logs.code, shown.code, fetched.code) == (0, 0, 0, 0)
    assert followed.out == logs.out
    assert work_in(logs.out) == unmoved.log
    assert shown.document["state"] == "SUCCEEDED"
    assert f"sha256:{coreutils.out.split()[0]}" == shown.document["outputs"]["digest"] == unmoved.digest
    assert unmoved.digest in fetched.out
    assert (again.code, again.out) == (1, "")
    assert again.err.endswith("[DIRECTORY_NOT_EMPTY]\n")


async def test_a_job_is_moved_and_drained_away_and_its_result_stays_the_same(
    eyes: Observer, unmoved: Tokenized
) -> None:
    one, two = map(eyes.world.node, AGENTS)
    at_one = f'prefer={{node == "{one}": 10}}'
    submitted = await headrace(eyes, "submit", BPE, "--set", f"env.MERGES={MERGES}", "--set", at_one)
    job = await eyes.client.job(submitted.out.strip())
    said = await eyes.said(job, "\nmerge ")
    await eyes.running(job)

    planned = await headrace(eyes, "migrate", job.id, "--to", two, "--dry-run")
    moved = await headrace(eyes, "migrate", job.id, "--to", two, "--wait")
    said = await eyes.said(job, "goes on after merge", after=said)
    drained = await headrace(eyes, "drain", two, "--wait", "--deadline", "100s")
    node = await headrace(eyes, "node", two, "-o", "json")
    await eyes.said(job, "goes on after merge", after=said)
    undrained = await headrace(eyes, "undrain", two)
    job = await eyes.ended(job)

    assert [one.code for one in (submitted, planned, moved, drained, undrained)] == [0] * 5
    assert "L1" in planned.out
    assert "Downtime:" in moved.out.partition("restore")[0]
    assert node.document["drain"] == "DRAINED"
    assert [attempt.node for attempt in job.attempts] == [one, two, one]
    assert job.outputs is not None
    assert job.outputs.digest == unmoved.digest
    log = (await headrace(eyes, "logs", job.id)).out
    assert work_in(log) == unmoved.log
    assert goes_on_where_it_left(log)


async def test_a_drain_waits_for_a_job_without_a_contract_and_at_its_deadline_begins_it_anew_elsewhere(
    eyes: Observer,
) -> None:
    one, two = map(eyes.world.node, AGENTS)
    waits = ("--", "sh", "-c", "sleep 100 & wait")
    at_one = f'prefer={{node == "{one}": 10}}'
    job = (await headrace(eyes, "run", "headrace/python", "--name", "stays", "--set", at_one, *waits)).out.strip()
    await eyes.running(await eyes.client.job(job), on="one")

    begun = await headrace(eyes, "drain", one)
    drained = await headrace(eyes, "drain", one, "--wait", "--deadline", "1s")
    after = await eyes.running(await eyes.client.job(job), on="two")
    undrained = await headrace(eyes, "undrain", one)
    cancelled = await headrace(eyes, "cancel", job)

    assert [said.code for said in (begun, drained, undrained, cancelled)] == [0] * 4
    assert f"jobs/{job} has no `checkpoint:`; a move would lose its work" in begun.out
    assert "no deadline: what cannot be moved is waited for, for ever" in begun.out
    assert drained.out == f"{one} READY, DRAINED\n"
    assert [attempt.node for attempt in after.attempts] == [one, two]


async def test_a_drain_without_room_is_refused_and_if_forced_nothing_is_lost_at_its_deadline(
    eyes: Observer, unmoved: Tokenized
) -> None:
    one = eyes.world.node("one")
    only_there = f'where=node == "{one}"'
    submitted = await headrace(eyes, "submit", BPE, "--set", f"env.MERGES={MERGES}", "--set", only_there)
    job = await eyes.client.job(submitted.out.strip())
    said = await eyes.said(job, "\nmerge ")

    refused = await headrace(eyes, "drain", one, "--deadline", "3s")
    node = await eyes.client.node(one)
    forced = await headrace(eyes, "drain", one, "--deadline", "3s", "--force")
    eyes.world.kill("controller")
    eyes.world.start_controller()
    drained = await headrace(eyes, "drain", one, "--wait")
    waits = await eyes.client.job(job.name)
    undrained = await headrace(eyes, "undrain", one)
    await eyes.said(job, "goes on after merge", after=said)
    job = await eyes.ended(job)

    assert [said.code for said in (refused, forced, drained, undrained)] == [1, 0, 0, 0]
    assert f"{job.name} has nowhere to go: 1 node: does not match where" in refused.err
    assert refused.err.endswith("[NO_ROOM_ELSEWHERE]\n")
    assert node.drain is Drain.NONE
    assert f"{job.name} has nowhere to go" in forced.out
    assert (waits.state, waits.failures) == (JobState.QUEUED, 0)
    assert job.outputs is not None
    assert job.outputs.digest == unmoved.digest
    log = await eyes.log(job)
    assert work_in(log) == unmoved.log
    assert goes_on_where_it_left(log)


@pytest.mark.parametrize(
    ("arguments", "code", "said"),
    [
        (("run", "headrace/python", "--wait", "--", "sh", "-c", "exit 7"), 1, "exited with code 7 [JOB_NOT_SUCCEEDED]"),
        (("job", "no-such-job"), 1, "there is no job 'no-such-job'; `headrace jobs` lists them [JOB_NOT_FOUND]"),
        (("migrate",), 2, "the following arguments are required: JOB"),
        (("jobs", "--where", "colour == 1"), 1, "colour"),
        (("submit", BPE, "--set", "resources.cpu=many"), 1, "resources.cpu"),
    ],
    ids=["failed job", "unknown job", "wrong usage", "unknown field", "wrong job file"],
)
async def test_what_goes_wrong_is_told_by_the_exit_code_and_in_one_line(
    eyes: Observer, arguments: tuple[str, ...], code: int, said: str
) -> None:
    told = await headrace(eyes, *arguments)

    assert told.code == code
    assert said in told.err.splitlines()[-1]


async def headrace(eyes: Observer, *arguments: str) -> Said:
    """Runs the program against the test's controller."""
    environment = {**os.environ, "HEADRACE_CONTROLLER": eyes.world.address}
    return await run(sys.executable, "-c", PROGRAM, *arguments, env=environment)


async def run(*argv: str, env: dict[str, str] | None = None, cwd: Path | None = None) -> Said:
    """Runs a program to its end."""
    pipe = asyncio.subprocess.PIPE
    process = await asyncio.create_subprocess_exec(*argv, stdout=pipe, stderr=pipe, env=env, cwd=cwd)
    try:
        async with asyncio.timeout(SECONDS):
            out, err = await process.communicate()
    except TimeoutError:
        process.kill()
        out, err = await process.communicate()
        pytest.fail(f"{argv} did not end in {SECONDS:.0f} s; it said {out.decode()} {err.decode()}")
    return Said(process.returncode or 0, out.decode(), err.decode())
