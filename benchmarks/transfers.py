"""Row 11: a checkpoint from a node to the store and from the store to a node, against `cp` of the same file.

The store is that of a real controller, the node's side is what an agent runs: hashed, compressed, verified, and kept.
"""

import asyncio
import filecmp
import os
import shutil
import subprocess
import tempfile
import time
from contextlib import AsyncExitStack
from pathlib import Path
from typing import NamedTuple

from agent.assembly import channel_to
from agent.checkpoints import Checkpoints
from benchmarks import secure_store
from benchmarks import setting as settings
from benchmarks.figures import Measured, Row, of_medians, of_rounds
from benchmarks.starts import idle_spec
from headrace.v1.checkpoint_service_pb2_grpc import CheckpointServiceStub

ROUNDS = 5
WARM_UP = 1
SIZE_BYTES = 256 << 20
BOUND = 0.25
CP, CP_SYNCED = "cp", "cp, then fsync"
UP, DOWN = "node → store", "store → node"
PLAIN, SECURE = "", ", mTLS"


class _End(NamedTuple):
    """Ways to a store, and the job that it knows, in epoch 1."""

    stub: CheckpointServiceStub
    job: str


async def measure(setting: settings.Setting) -> Row:
    """Measures the row: new bytes each round, copied and moved in turn."""
    measured = Measured("MB/s")
    async with AsyncExitStack() as opened:
        address, client = await opened.enter_async_context(settings.daemons(setting))
        # A job that waits for a node: the store takes checkpoints of jobs that there are.
        job = await client.create_job(idle_spec("transfers", setting.image()))
        channel = await opened.enter_async_context(channel_to(address))
        secure = await opened.enter_async_context(secure_store.served(setting.folder / "secure", job=job.id))
        ends = {PLAIN: _End(CheckpointServiceStub(channel), job.id), SECURE: _End(secure, job.id)}
        for number in range(WARM_UP + ROUNDS):
            if number == WARM_UP:
                measured = Measured("MB/s")
            with tempfile.TemporaryDirectory(prefix="transfers-", dir=setting.folder) as name:
                await _round(measured, ends, Path(name), sequence=number + 1)
    ratios = []
    for way in (UP, DOWN):
        for remark in ends:
            name, pair = f"{way}{remark} / {CP}", (measured[way + remark], measured[CP + remark])
            ratios += [of_rounds(name, *pair, BOUND, at_least=True), of_medians(name, *pair)]
    ratios.append(of_rounds(f"{UP} / {CP_SYNCED}", measured[UP], measured[CP_SYNCED]))
    notes = (
        f"{SIZE_BYTES >> 20} MiB that cannot be compressed; `cp` leaves its copy to be synced later, the store syncs",
        "a second transfer of the same moved no byte, each time, either way",
        "mTLS: the same service behind it, in a process of its own",
    )
    return Row(11, "checkpoint bytes a second between a node and the store", measured.series(), tuple(ratios), notes)


async def _round(measured: Measured, ends: dict[str, _End], folder: Path, *, sequence: int) -> None:
    source = folder / "source"
    source.mkdir()
    for remark, end in ends.items():
        # Bytes that no store has.
        (source / "state").write_bytes(os.urandom(SIZE_BYTES))
        _copy(measured, remark, source / "state", folder / "copy")
        node, other = Checkpoints(end.stub, folder / f"node{remark}"), Checkpoints(end.stub, folder / f"other{remark}")
        begun = time.perf_counter()
        saved = await node.save(source, job=end.job, epoch=1, sequence=sequence)
        _add(measured, UP + remark, begun)
        again = await Checkpoints(end.stub, folder / "nobody").save(source, job=end.job, epoch=1, sequence=sequence)
        if saved is None or again is None or saved.sent_bytes < SIZE_BYTES or again.sent_bytes:
            raise RuntimeError(f"the first transfer moved {saved}, the second one {again}")
        begun = time.perf_counter()
        fetched = await other.lay_down(saved.digest, folder / f"target{remark}")
        _add(measured, DOWN + remark, begun)
        if fetched < SIZE_BYTES or await other.lay_down(saved.digest, folder / f"again{remark}"):
            raise RuntimeError(f"{fetched} bytes were fetched, or the second time some were")
        for name in (f"target{remark}", f"again{remark}"):
            if not await asyncio.to_thread(filecmp.cmp, source / "state", folder / name / "state", shallow=False):
                raise RuntimeError(f"{name} is not what was saved")
            shutil.rmtree(folder / name)


def _copy(measured: Measured, remark: str, file: Path, copy: Path) -> None:
    copy.unlink(missing_ok=True)
    begun = time.perf_counter()
    subprocess.run(["cp", file, copy], check=True)
    copied = time.perf_counter()
    with copy.open("rb") as written:
        os.fsync(written.fileno())
    measured.add(CP + remark, SIZE_BYTES / 1e6 / (copied - begun))
    _add(measured, CP_SYNCED + remark, begun)


def _add(measured: Measured, name: str, begun: float) -> None:
    measured.add(name, SIZE_BYTES / 1e6 / (time.perf_counter() - begun))
