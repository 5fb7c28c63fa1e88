"""What of a checkpoint travels, and how: what changed, over a connection that is cut, and within a bandwidth."""

import asyncio
import os

import pytest
from grpc import StatusCode, aio

from agent.bandwidth import BURST_SECONDS, Bandwidth
from agent.checkpoints import Checkpoints
from headrace import transfers
from headrace.chunks import CHUNK_BYTES
from headrace.refusals import Refusal
from headrace.transfers import Transfer
from headrace.v1.checkpoint_service_pb2_grpc import CheckpointServiceStub
from tests.shell.checkpoint_world import World, contents, saved

MIB = 1 << 20


async def test_one_changed_byte_moves_one_chunk(world: World) -> None:
    source = world.directory()
    (source / "state").write_bytes(os.urandom(2 * MIB))
    agent, b = world.agent(), world.agent("b")
    first = await agent.save(source, job="train", epoch=3, sequence=1)
    assert first is not None
    await b.prefetch(first.digest)
    with (source / "state").open("r+b") as file:
        file.seek(MIB)
        byte = file.read(1)[0]
        file.seek(MIB)
        file.write(bytes([byte ^ 1]))

    second = await agent.save(source, job="train", epoch=3, sequence=2)

    assert second is not None
    assert 0 < second.sent_bytes < CHUNK_BYTES + 100
    assert await b.lay_down(second.digest, world.folder / "target") == second.sent_bytes
    assert contents(world.folder / "target") == contents(source)


async def test_where_one_percent_has_changed_at_most_three_percent_move(world: World) -> None:
    source, size = world.directory(), 64 * MIB
    (source / "state").write_bytes(os.urandom(size))
    agent, b = world.agent(), world.agent("b")
    first = await agent.save(source, job="train", epoch=3, sequence=1)
    assert first is not None
    await b.prefetch(first.digest)
    with (source / "state").open("r+b") as file:
        file.seek(size // 3)
        file.write(os.urandom(size // 100))

    second = await agent.save(source, job="train", epoch=3, sequence=2)

    assert second is not None
    assert second.sent_bytes <= size * 3 // 100
    assert await b.lay_down(second.digest, world.folder / "target") == second.sent_bytes


async def test_a_bandwidth_is_kept_by_all_transfers_together(world: World) -> None:
    bandwidth = Bandwidth(4 * MIB)
    agents = [Checkpoints(world.stub, world.folder / name / "cache", bandwidth) for name in ("a", "b")]
    for name in ("one", "two"):
        (world.directory(name) / "state").write_bytes(os.urandom(MIB))
    loop = asyncio.get_running_loop()
    begun = loop.time()

    saved = await asyncio.gather(
        *(
            agent.save(world.directory(name), job="train", epoch=3, sequence=1)
            for agent, name in zip(agents, ("one", "two"), strict=True)
        )
    )
    up_seconds = loop.time() - begun
    assert saved[0] is not None
    await agents[1].lay_down(saved[0].digest, world.folder / "target")
    both_seconds = loop.time() - begun

    # Two MiB up, and one down; what may go at once does not wait.
    assert up_seconds >= 2 / 4 - 2 * BURST_SECONDS
    assert both_seconds >= 3 / 4 - 2 * BURST_SECONDS


async def test_an_upload_that_is_cut_goes_on_with_what_is_missing(world: World) -> None:
    (world.directory() / "state").write_bytes(os.urandom(8 * MIB))
    world.service.cuts = 3

    checkpoint = await saved(world, world.directory())

    assert world.service.cuts == 0
    # A cut costs what was on its way, never what had arrived.
    assert len(world.service.arrived) == len(world.stored_chunks()) == 32
    assert checkpoint.sent_bytes >= 8 * MIB
    await world.agent("b").lay_down(checkpoint.digest, world.folder / "target")
    assert contents(world.folder / "target") == contents(world.directory())


@pytest.mark.parametrize("code", [StatusCode.INTERNAL, StatusCode.UNKNOWN])
async def test_a_call_that_grpc_itself_gave_up_counts_as_cut(world: World, code: StatusCode) -> None:
    (world.directory() / "state").write_bytes(os.urandom(2 * MIB))
    world.service.gives_up = [code] * 3

    assert (await saved(world, world.directory())).size_bytes == 2 * MIB


async def test_a_call_that_grpc_gives_up_whenever_it_is_made_is_an_end(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(transfers, "_DELAYS_SECONDS", (0.0,))
    (world.directory() / "state").write_bytes(b"one")
    world.service.gives_up = [StatusCode.INTERNAL] * 1_000

    with pytest.raises(Refusal, match="Internal error from Core"):
        await saved(world, world.directory())


async def test_a_download_that_is_cut_fetches_nothing_twice(world: World) -> None:
    (world.directory() / "state").write_bytes(os.urandom(8 * MIB))
    checkpoint = await saved(world, world.directory())
    world.service.cuts = 3

    moved = await world.agent("b").lay_down(checkpoint.digest, world.folder / "target")

    assert world.service.cuts == 0
    assert moved == checkpoint.sent_bytes
    assert contents(world.folder / "target") == contents(world.directory())


async def test_a_transfer_that_is_cancelled_leaves_nothing_half_and_goes_on_later(world: World) -> None:
    (world.directory() / "state").write_bytes(os.urandom(6 * MIB))
    checkpoint = await saved(world, world.directory())
    b = world.agent("b")
    world.service.cuts = 1_000_000
    laying = asyncio.ensure_future(b.lay_down(checkpoint.digest, world.folder / "target"))
    await world.service.was_cut.acquire()
    await world.service.was_cut.acquire()

    laying.cancel()
    with pytest.raises(asyncio.CancelledError):
        await laying

    assert not [path for path in world.folder.iterdir() if "target" in path.name]
    fetched = len(world.cached_chunks("b"))
    world.service.cuts = 0
    moved = await world.agent("b").lay_down(checkpoint.digest, world.folder / "target")
    assert 0 < fetched < 24
    assert 0 < moved <= (24 - fetched) * (CHUNK_BYTES + 100)


async def test_a_transfer_with_so_many_attempts_gives_a_store_that_stays_away_up() -> None:
    async with aio.insecure_channel("127.0.0.1:1") as channel:
        transfer = Transfer(CheckpointServiceStub(channel), attempts=2)

        with pytest.raises(Refusal) as caught:
            await transfer.manifest("sha256:" + "0" * 64)

    assert caught.value.reason == "CONTROLLER_UNREACHABLE"
