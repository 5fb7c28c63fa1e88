"""Parts that break under a running cluster: each ends in a clear state and message, and what was saved is not lost."""

from contextlib import closing
from dataclasses import replace
from pathlib import Path

import docker
import pytest

from deploy.local.engine import OwnEngine
from headrace.attempts import AttemptState
from headrace.chunks import expanded
from headrace.jobs import JobState, MigrationState
from tests.cluster.chaos.waiting import begun, ended, may_end, waiting
from tests.cluster.observer import Observer
from tests.cluster.relay import relay_to

pytestmark = [pytest.mark.engine, pytest.mark.timeout(300)]

AGENTS = ("one", "bare")
ENGINES = {"bare": "tests-bare"}
# An engine waits ever longer before it asks again.
DOWNLOAD_ATTEMPTS = 1

# Deaf, and always in the middle of writing.
ALWAYS_WRITES = """
trap '' TERM
found=nothing; [ -f /checkpoint/state ] && read found < /checkpoint/state
echo "epoch $HEADRACE_EPOCH found $found"
echo whole > /checkpoint/new && mv /checkpoint/new /checkpoint/state
while [ $HEADRACE_EPOCH = 1 ]; do
  (echo half; sleep 0.02; head -c 100000 /dev/urandom) > /checkpoint/new
done
echo "$found" > /output/result
"""


async def test_a_registry_that_dies_in_the_middle_of_a_pull_is_named_and_the_job_runs_elsewhere(
    eyes: Observer,
) -> None:
    without_the_image(ENGINES["bare"])
    await eyes.ended(await eyes.client.create_job(waiting(eyes, "one", "true")))
    async with relay_to(eyes.world.parts.registry, most_bytes=4 << 20) as relay:
        image = f"{relay.address}/headrace/python"
        # This one needs no more than the manifest: the engine has the layers by now.
        await eyes.ended(await eyes.client.create_job(replace(waiting(eyes, "one", "true", image=image))))
        # A job goes elsewhere while its node is busy with what the other tests do.
        await eyes.ready("bare")
        job = await eyes.ended(await eyes.client.create_job(waiting(eyes, "bare", "true", image=image)))

    assert relay.has_died, job.attempts
    first, last = job.attempts
    assert (first.node, first.state) == (eyes.world.node("bare"), AttemptState.REFUSED)
    assert first.reason == "IMAGE_PULL_FAILED"
    assert f"{relay.address}/headrace/python" in first.message
    assert "the registry cannot be reached from the node" in first.message
    assert (last.node, last.epoch, last.exit_code) == (eyes.world.node("one"), 2, 0)
    assert eyes.world.starts(job.id) == [2]


async def test_a_job_that_is_deaf_and_killed_while_it_writes_goes_on_from_what_is_whole(eyes: Observer) -> None:
    job = await eyes.client.create_job(waiting(eyes, "one", ALWAYS_WRITES))
    await eyes.said(job, "epoch 1 found nothing")
    await eyes.running(job, on="one")
    move = await eyes.moved(job, "bare")
    text = await ended(eyes, job)

    assert move.state is MigrationState.SUCCEEDED
    assert (await eyes.client.job(job.name)).attempts[0].killed
    assert text == "whole\n"
    assert eyes.world.starts(job.id) == [1, 2]


async def test_a_bit_that_flips_in_the_store_is_found_before_the_job_is_stopped_and_the_next_save_mends_it(
    eyes: Observer,
) -> None:
    job = await begun(eyes, "one")
    store = eyes.world.folder / "controller" / "state" / "checkpoints"
    chunks = flipped(store / "chunks")
    move = await eyes.moved(job, "bare")
    after = await eyes.client.job(job.name)
    aside = [path.name.removeprefix("chunks-") for path in (store / "broken").iterdir()]
    again = [store / "chunks" / one[:2] / one for one in aside]
    await eyes.comes(lambda: all(path.exists() for path in again), "they are saved again")
    may_end(eyes, job)

    assert move.state is MigrationState.ABORTED
    assert "the checkpoint store holds a broken copy of" in move.reason
    assert any(chunk in move.reason for chunk in chunks)
    assert (after.state, after.epoch) == (JobState.RUNNING, 1)
    assert set(aside) & set(chunks)
    assert all(expanded(f"sha256:{path.name}", path.read_bytes()) for path in again)
    assert await ended(eyes, job) == "ended in epoch 1\n"


def without_the_image(engine: str) -> None:
    with closing(docker.DockerClient(base_url=OwnEngine(engine).host)) as client:
        for image in client.images.list():
            if any("/headrace/python@" in name for name in image.attrs["RepoDigests"] or ()):
                client.images.remove(image.id, force=True)


def flipped(chunks: Path) -> list[str]:
    """Turns one bit of each chunk over; answers their digests."""
    found = [path for path in chunks.glob("*/*") if path.is_file()]
    for path in found:
        data = bytearray(path.read_bytes())
        data[len(data) // 2] ^= 1
        path.write_bytes(data)
    return [path.name for path in found]
