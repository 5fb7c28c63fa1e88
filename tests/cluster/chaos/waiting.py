"""Jobs that say what they found saved, save, and end when a test lets them."""

import asyncio
from dataclasses import replace

from headrace.jobs import CheckpointPolicy, Job, JobSpec, Partition, Preference, Requests
from tests.cluster.observer import Observer

# Leaves with a word when it is asked to; ends when it finds that it may.
ENDS_WHEN_IT_MAY = """
trap leaves=1 TERM
found=nothing; [ -f /checkpoint/state ] && read found < /checkpoint/state
echo "epoch $HEADRACE_EPOCH found $found"
echo "begun-in-$HEADRACE_EPOCH" > /checkpoint/new && mv /checkpoint/new /checkpoint/state
until [ -f /checkpoint/may-end ]; do
  if [ "$leaves" ]; then echo "left-in-$HEADRACE_EPOCH" > /checkpoint/state; exit 85; fi
  echo beats
  sleep 0.1
done
echo "ended in epoch $HEADRACE_EPOCH" > /output/result
"""
NEVER_MS = 300_000


def waiting(eyes: Observer, at: str, text: str = ENDS_WHEN_IT_MAY, *, image: str = "headrace/python") -> JobSpec:
    """The job, which prefers that agent's node."""
    return JobSpec(
        "waits",
        image,
        command=("sh", "-c", text),
        resources=Requests(cpu_millis=100, memory_bytes=64 << 20),
        checkpoint=CheckpointPolicy("/checkpoint", interval_ms=1000, grace_ms=2000),
        output_path="/output",
        prefer=(Preference(f'node == "{eyes.world.node(at)}"', 10),),
    )


async def begun(
    eyes: Observer, at: str, partition: Partition = Partition.PAUSE, *, lost_after_ms: int = NEVER_MS
) -> Job:
    """One that runs there, and has a checkpoint."""
    spec = replace(waiting(eyes, at), partition=partition, lost_after_ms=lost_after_ms)
    job = await eyes.client.create_job(spec)
    await eyes.said(job, "epoch 1 found nothing")
    await eyes.running(job, on=at)
    return await eyes.until(job, lambda now: now.checkpoint is not None, "has a checkpoint")


def may_end(eyes: Observer, job: Job, *, epoch: int = 1) -> None:
    """Lets it end, in that epoch."""
    [folder] = eyes.world.folder.glob(f"*/state/attempts/{job.id}-0-{epoch}")
    (folder / "checkpoint" / "may-end").touch()


async def ended(eyes: Observer, job: Job) -> str:
    """What the job left, once it has ended."""
    await eyes.ended(job)
    folder = eyes.world.folder / f"outputs-of-{job.id}"
    await eyes.client.fetch_outputs(job.name, folder)
    return await asyncio.to_thread((folder / "result").read_text)
