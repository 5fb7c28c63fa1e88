"""`make demo`: a real job hops from amd64 to arm64 and back, and its result is that of a copy that never moved."""

import asyncio
import shutil
import sys
import tempfile
import time
from collections.abc import Awaitable, Callable
from pathlib import Path

from deploy.local import cluster, places, prepared, progress
from deploy.local.command import carried_out
from headrace import jobfile
from headrace.attempts import AttemptState
from headrace.client import Client
from headrace.jobs import Job, JobSpec, JobState, Migration, MigrationState
from headrace.nodes import NodeState
from headrace.refusals import Code, Refusal

JOB_FILE = places.ROOT / "examples" / "bpe.yaml"
AMD64, ARM64 = "demo-amd64", "demo-arm64"
# Enough that both hops fall into the middle of the work.
MERGES = 1200
HOPS = (ARM64, AMD64)
# How many lines of progress a job makes on a node before it hops on.
LINES_BEFORE_HOP = 3
READY_SECONDS = 90.0
HOP_SECONDS = 90.0
DONE_SECONDS = 400.0


def main() -> int:
    """Runs the demo; 0 if all of it was so, 1 if not."""
    return carried_out(_done)


def _done() -> int:
    with prepared.prepare() as local:
        folder = Path(tempfile.mkdtemp(prefix="demo-", dir=places.STATE))
        try:
            return _with_daemons(local, folder)
        finally:
            shutil.rmtree(folder, ignore_errors=True)


def _with_daemons(local: prepared.Local, folder: Path) -> int:
    image = local.agent_image()
    address = cluster.free_address()
    daemons: list[cluster.Daemon] = []
    try:
        with progress.step("starting a controller, an amd64 agent, and an arm64 agent (an arm64 program in QEMU)"):
            daemons.append(cluster.start_controller(folder / "controller", registry=local.registry, address=address))
            daemons.append(cluster.start_agent(folder / AMD64, node=AMD64, engine=local.engine, controller=address))
            daemons.append(
                cluster.start_arm64_agent(
                    folder / ARM64, node=ARM64, engine=local.engine, image=image, controller=address
                )
            )
        try:
            return asyncio.run(_shown(address, folder))
        except TimeoutError:
            message = "a step took longer than it may on this machine; try again when it is less busy"
            raise Refusal(Code.DEADLINE_EXCEEDED, "DEMO_FAILED", message) from None
    except Refusal:
        for daemon in daemons:
            print(f"  {daemon.log}:\n{progress.end_of(daemon.log)}", file=sys.stderr)
        raise
    finally:
        for daemon in reversed(daemons):
            daemon.stop()
        # An agent that leaves lets its jobs run on; where the demo was broken off there are some.
        cluster.remove_containers(local.engine, (AMD64, ARM64))


async def _shown(address: str, folder: Path) -> int:
    async with Client(address) as client:
        await _ready(client)
        unmoved = await client.create_job(_spec("unmoved", where=f'node == "{AMD64}"'))
        moving = await client.create_job(_spec("moving", where=""))
        progress.note(f"{unmoved.id} stays on {AMD64}; {moving.id} starts there and hops")
        for target in HOPS:
            await _hop(client, moving, target)
        ended = [await _ended(client, job) for job in (moving, unmoved)]
        for job in ended:
            await client.fetch_outputs(job.name, folder / "outputs" / job.id)
    _print_moves(ended[0])
    return _verdict(*ended)


def _spec(name: str, *, where: str) -> JobSpec:
    sets = [f"name={name}", f"env.MERGES={MERGES}", *([f"where={where}"] if where else [])]
    return jobfile.load(JOB_FILE.read_text(), source=str(JOB_FILE), sets=sets)


async def _ready(client: Client) -> None:
    with progress.step("waiting for both nodes"):
        await _until(lambda: _both_ready(client), READY_SECONDS, f"{AMD64} and {ARM64} did not both report in time")
    async for node in client.nodes():
        platform = node.description.platforms[0]
        how = "emulated" if platform.emulated else "native"
        progress.note(f"{node.id}: {platform}, {how}, agent {node.description.agent_version}, {node.engine.message}")


async def _both_ready(client: Client) -> bool:
    ready = [node.id async for node in client.nodes() if node.state is NodeState.READY and node.engine.reachable]
    return {AMD64, ARM64} <= set(ready)


async def _hop(client: Client, job: Job, target: str) -> None:
    source = AMD64 if target == ARM64 else ARM64
    with progress.step(f"{job.id} works on {source}"):
        await _worked(client, job.name)
    plan = await client.plan_migration(job.name, target=target)
    progress.note(f"dry run to {target}: level {plan.level.name}, loses {plan.loss or 'nothing'}")
    with progress.step(f"{job.id} hops to {target}"):
        await client.migrate(job.name, target=target)
        await _until(lambda: _move_over(client, job.name), HOP_SECONDS, f"the hop to {target} did not end in time")
    move = (await client.job(job.name)).migrations[-1]
    if move.state is not MigrationState.SUCCEEDED:
        raise Refusal(Code.ABORTED, "DEMO_FAILED", f"the hop to {target} ended {move.state.name}: {move.reason}")


async def _worked(client: Client, name: str) -> None:
    """Waits until the job has said enough lines of progress since this call."""
    await _until(lambda: _runs(client, name), READY_SECONDS, f"{name} does not run")
    lines = 0
    offset = sum([len(part.data) async for part in client.read_log(name)])
    async with asyncio.timeout(HOP_SECONDS):
        async for part in client.read_log(name, offset=offset, follow=True):
            lines += part.data.count(b"\nmerge ") + part.data.startswith(b"merge ")
            if lines >= LINES_BEFORE_HOP:
                return
    raise Refusal(Code.ABORTED, "DEMO_FAILED", f"{name} ended before it could hop")


async def _runs(client: Client, name: str) -> bool:
    job = await client.job(name)
    attempt = job.attempt
    return job.state is JobState.RUNNING and attempt is not None and attempt.state is AttemptState.RUNNING


async def _move_over(client: Client, name: str) -> bool:
    return (await client.job(name)).migration is None


async def _ended(client: Client, job: Job) -> Job:
    with progress.step(f"waiting for the end of {job.id}"):
        async with asyncio.timeout(DONE_SECONDS):
            ended = await client.wait(job.name)
    if ended.state is not JobState.SUCCEEDED or ended.outputs is None:
        raise Refusal(Code.ABORTED, "DEMO_FAILED", f"{job.id} ended {ended.state.name}: {ended.reason}")
    return ended


async def _until(holds: Callable[[], Awaitable[bool]], seconds: float, otherwise: str) -> None:
    deadline = time.monotonic() + seconds
    while not await holds():
        if time.monotonic() > deadline:
            raise Refusal(Code.DEADLINE_EXCEEDED, "DEMO_FAILED", otherwise)
        await asyncio.sleep(0.2)


def _print_moves(job: Job) -> None:
    for number, move in enumerate(job.migrations, 1):
        print(f"\nhop {number}: {move.source} -> {move.target}, level {move.level.name}, as {move.platform}")
        for phase in move.phases:
            print(f"  {phase.name:<18}{phase.millis:>8} ms{_bytes(phase.bytes):>14}")
        print(f"  {'downtime':<18}{move.downtime_millis:>8} ms{_bytes(_moved_bytes(move)):>14}")


def _moved_bytes(move: Migration) -> int:
    return sum(phase.bytes for phase in move.phases)


def _bytes(count: int) -> str:
    return f"{count:,} B" if count else "-"


def _verdict(moving: Job, unmoved: Job) -> int:
    digests = [job.outputs.digest if job.outputs is not None else "none" for job in (moving, unmoved)]
    where = [attempt.platform.architecture for attempt in moving.attempts if attempt.platform is not None]
    print(f"\n{moving.id:<16} {len(moving.migrations)} moves ({' -> '.join(where)})  {digests[0]}")
    print(f"{unmoved.id:<16} {len(unmoved.migrations)} moves  {digests[1]}")
    same = digests[0] == digests[1] != "none" and where == ["amd64", "arm64", "amd64"] and not unmoved.migrations
    print("\nThe digests are equal: nothing was lost." if same else "\nThis is not as it should be.")
    return 0 if same else 1


if __name__ == "__main__":
    sys.exit(main())
