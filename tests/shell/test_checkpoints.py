"""Checkpoints from one node's directory, over gRPC, through the store, to another node's directory."""

import os

import pytest

from agent.snapshots import memo_of
from controller.checkpoint_store import FolderStore
from headrace.attempts import Checkpoint
from headrace.chunks import CHUNK_BYTES, ZEROS, digest_of
from headrace.manifests import File, load, manifest_of
from headrace.refusals import Code, Refusal
from tests.shell.checkpoint_world import World, contents, flip_a_bit, saved

MIB = 1 << 20


class OverABadWire(FolderStore):
    """A store whose chunks are whole, and come broken."""

    def get_chunk(self, digest: str) -> bytes:
        data = bytearray(super().get_chunk(digest))
        data[len(data) // 2] ^= 1
        return bytes(data)


async def test_a_checkpoint_is_laid_down_elsewhere_as_it_was_saved(world: World) -> None:
    source = world.directory()
    (source / "model.bin").write_bytes(os.urandom(3 * CHUNK_BYTES + 5))
    (source / "model.bin").chmod(0o640)
    (source / "empty").touch(mode=0o400)
    (source / "run.sh").write_text("#!/bin/sh\n")
    (source / "run.sh").chmod(0o755)
    os.utime(source / "run.sh", ns=(1_234_567_890_123_456_789, -1_000_000_001))
    (source / "steps" / "10").mkdir(parents=True)
    (source / "steps" / "10" / "state").write_bytes(b"ten")
    (source / "steps" / "nothing").mkdir(mode=0o700)
    (source / "steps" / "latest").symlink_to("./10//state")
    (source / "latest").symlink_to("steps/10")
    (source / "dangling").symlink_to("not-there")
    (source / os.fsdecode(b"odd \xff\n\\name")).write_bytes(b"odd")
    (source / "forbidden").mkdir()
    (source / "forbidden" / "file").write_bytes(b"x")
    (source / "forbidden").chmod(0o500)

    checkpoint = await saved(world, source, sequence=7)
    moved = await world.agent("b").lay_down(checkpoint.digest, world.folder / "target")

    assert contents(world.folder / "target") == contents(source)
    assert checkpoint == Checkpoint(checkpoint.digest, 3, 7, 3 * CHUNK_BYTES + 22, checkpoint.sent_bytes, 6)
    assert checkpoint.sent_bytes == moved > 3 * CHUNK_BYTES


@pytest.mark.skipif(os.geteuid() != 0, reason="only root may give files to others")
async def test_files_keep_their_owners(world: World) -> None:
    source = world.directory()
    (source / "d").mkdir()
    (source / "d" / "state").write_bytes(b"1")
    os.chown(source / "d", 1000, 1001)
    os.chown(source / "d" / "state", 65534, 1002)

    await world.agent("b").lay_down((await saved(world, source)).digest, world.folder / "target")

    assert contents(world.folder / "target") == contents(source)


async def test_what_was_laid_down_and_is_saved_again_is_the_same_checkpoint(world: World) -> None:
    source = world.directory()
    (source / "state").write_bytes(os.urandom(MIB))
    first = await saved(world, source)
    b = world.agent("b")
    await b.lay_down(first.digest, world.folder / "target")

    again = await b.save(world.folder / "target", job="train", epoch=3, sequence=2)

    assert again is not None
    assert (again.digest, again.sent_bytes) == (first.digest, 0)


async def test_nothing_moves_the_second_time(world: World) -> None:
    source = world.directory()
    (source / "state").write_bytes(os.urandom(2 * MIB))
    agent = world.agent()

    first = await agent.save(source, job="train", epoch=3, sequence=1)
    second = await agent.save(source, job="train", epoch=3, sequence=2)
    of_an_agent_that_was_restarted = await saved(world, source, sequence=3)

    assert first is not None
    assert second == Checkpoint(first.digest, 3, 2, first.size_bytes, 0, first.file_count)
    assert of_an_agent_that_was_restarted.sent_bytes == 0
    b = world.agent("b")
    assert await b.lay_down(first.digest, world.folder / "target") == first.sent_bytes
    assert await b.lay_down(first.digest, world.folder / "another") == 0


async def test_a_large_sparse_file_moves_one_chunk_and_stays_sparse(world: World) -> None:
    source = world.directory()
    with (source / "sparse").open("wb") as file:
        file.truncate(256 * MIB)

    checkpoint = await saved(world, source)
    await world.agent("b").lay_down(checkpoint.digest, world.folder / "target")

    assert checkpoint.size_bytes == 256 * MIB
    assert checkpoint.sent_bytes < 100
    laid = (world.folder / "target" / "sparse").stat()
    assert laid.st_size == 256 * MIB
    # Not all file systems get by with none.
    assert laid.st_blocks < 8


async def test_a_checkpoint_of_very_many_chunks_has_a_manifest_that_still_travels(world: World) -> None:
    directory = world.directory()
    with (directory / "sparse").open("wb") as file:
        file.truncate(16 << 30)
    chunks = (ZEROS,) * ((16 << 30) // CHUNK_BYTES)
    agent = world.agent()
    agent._memos[directory] = memo_of(manifest_of(files=[File("sparse", 0, 0, 0, 0, 16 << 30, chunks)]), directory)

    checkpoint = await agent.save(directory, job="train", epoch=3, sequence=1)

    assert checkpoint is not None
    assert len(world.store.get_manifest(checkpoint.digest)) > 4 * MIB
    await world.agent("b").lay_down(checkpoint.digest, world.folder / "target")
    assert (world.folder / "target" / "sparse").stat().st_size == 16 << 30


async def test_a_directory_without_files_is_no_checkpoint(world: World) -> None:
    (world.directory() / "later").mkdir()

    assert await world.agent().save(world.directory(), job="train", epoch=3, sequence=1) is None
    assert await world.agent().save(world.folder / "not there", job="train", epoch=3, sequence=1) is None


async def test_a_checkpoint_of_an_epoch_that_is_over_is_refused(world: World) -> None:
    (world.directory() / "state").write_bytes(b"old")

    with pytest.raises(Refusal, match="epoch 2 of job train is over, it is in epoch 3 now") as refused:
        await world.agent().save(world.directory(), job="train", epoch=2, sequence=1)

    assert (refused.value.code, refused.value.reason) == (Code.ABORTED, "STALE_EPOCH")


@pytest.mark.parametrize(("job", "epoch", "reason"), [("unknown", 1, "JOB_NOT_FOUND"), ("train", 4, "EPOCH_UNKNOWN")])
async def test_a_checkpoint_of_nothing_that_runs_is_refused(world: World, job: str, epoch: int, reason: str) -> None:
    (world.directory() / "state").write_bytes(b"1")

    with pytest.raises(Refusal) as refused:
        await world.agent().save(world.directory(), job=job, epoch=epoch, sequence=1)

    assert refused.value.reason == reason


async def test_a_flipped_bit_in_the_store_is_found_and_names_the_chunk(world: World) -> None:
    (world.directory() / "state").write_bytes(os.urandom(1000))
    checkpoint = await saved(world, world.directory())
    flip_a_bit(world.stored_chunks())

    with pytest.raises(Refusal, match=r"broken copy of chunk sha256:.*use an older checkpoint") as refused:
        await world.agent("b").lay_down(checkpoint.digest, world.folder / "target")

    assert (refused.value.code, refused.value.reason) == (Code.INTERNAL, "CHUNK_CORRUPT")
    assert not (world.folder / "target").exists()


async def test_a_checkpoint_that_has_rotted_in_the_store_is_whole_again_once_it_is_saved_again(world: World) -> None:
    (world.directory() / "state").write_bytes(os.urandom(3 * CHUNK_BYTES))
    checkpoint = await saved(world, world.directory())
    flip_a_bit(world.stored_chunks()[:2])
    with pytest.raises(Refusal, match="broken copy"):
        await world.agent("b").lay_down(checkpoint.digest, world.folder / "target")

    again = await saved(world, world.directory(), sequence=2)

    assert again.digest == checkpoint.digest
    assert 2 * CHUNK_BYTES <= again.sent_bytes < 2 * CHUNK_BYTES + 200
    await world.agent("b").lay_down(checkpoint.digest, world.folder / "target")
    assert contents(world.folder / "target") == contents(world.directory())


async def test_a_chunk_that_comes_broken_twice_of_a_store_whose_copy_is_whole_is_not_the_stores_fault(
    world: World,
) -> None:
    (world.directory() / "state").write_bytes(os.urandom(1000))
    checkpoint = await saved(world, world.directory())
    world.service._store = OverABadWire(world.folder / "store")

    with pytest.raises(Refusal, match=r"chunk sha256:.*twice, and the checkpoint store's copy is whole") as refused:
        await world.agent("b").lay_down(checkpoint.digest, world.folder / "target")

    assert refused.value.reason == "CHUNK_CORRUPT"
    assert len(world.stored_chunks()) == 1


async def test_a_flipped_bit_in_the_cache_costs_another_fetch_only(world: World) -> None:
    (world.directory() / "state").write_bytes(os.urandom(2 * CHUNK_BYTES))
    checkpoint = await saved(world, world.directory())
    b = world.agent("b")
    await b.prefetch(checkpoint.digest)
    flip_a_bit(world.cached_chunks("b")[:1])

    moved = await b.lay_down(checkpoint.digest, world.folder / "target")

    assert CHUNK_BYTES <= moved < CHUNK_BYTES + 100
    assert contents(world.folder / "target") == contents(world.directory())


async def test_a_checkpoint_whose_chunks_are_gone_is_refused(world: World) -> None:
    (world.directory() / "state").write_bytes(b"1")
    checkpoint = await saved(world, world.directory())
    for path in world.stored_chunks():
        path.unlink()

    with pytest.raises(Refusal) as refused:
        await world.agent("b").lay_down(checkpoint.digest, world.folder / "target")

    assert (refused.value.code, refused.value.reason) == (Code.NOT_FOUND, "CHUNKS_MISSING")


async def test_a_checkpoint_that_is_not_known_is_refused(world: World) -> None:
    with pytest.raises(Refusal) as refused:
        await world.agent().lay_down(digest_of(b""), world.folder / "target")

    assert (refused.value.code, refused.value.reason) == (Code.NOT_FOUND, "MANIFEST_MISSING")


async def test_a_directory_that_is_not_empty_is_never_replaced(world: World) -> None:
    (world.directory() / "state").write_bytes(b"1")
    checkpoint = await saved(world, world.directory())
    (world.directory("target") / "mine").write_bytes(b"2")

    with pytest.raises(Refusal, match="is not empty"):
        await world.agent("b").lay_down(checkpoint.digest, world.folder / "target")

    assert list(contents(world.folder / "target")) == ["mine"]


async def test_an_empty_directory_keeps_its_own_mode(world: World) -> None:
    (world.directory() / "state").write_bytes(b"1")
    checkpoint = await saved(world, world.directory())
    world.directory("target").chmod(0o1777)

    await world.agent("b").lay_down(checkpoint.digest, world.folder / "target")

    assert (world.folder / "target").stat().st_mode & 0o7777 == 0o1777


async def test_what_an_agent_left_half_done_is_replaced(world: World) -> None:
    (world.directory() / "state").write_bytes(b"1")
    checkpoint = await saved(world, world.directory())
    (world.directory(".target.partial") / "half").write_bytes(b"2")

    await world.agent("b").lay_down(checkpoint.digest, world.folder / "target")

    assert contents(world.folder / "target") == contents(world.directory())
    assert not (world.folder / ".target.partial").exists()


async def test_a_prefetched_checkpoint_is_laid_down_without_the_store(world: World) -> None:
    (world.directory() / "state").write_bytes(os.urandom(MIB))
    checkpoint = await saved(world, world.directory())
    b = world.agent("b")

    assert await b.prefetch(checkpoint.digest) == checkpoint.sent_bytes
    for path in world.stored_chunks():
        path.unlink()

    assert await b.prefetch(checkpoint.digest) == 0
    assert await b.lay_down(checkpoint.digest, world.folder / "target") == 0


async def test_a_release_keeps_what_is_named_and_frees_the_rest(world: World) -> None:
    state = world.directory() / "state"
    b = world.agent("b")
    digests = []
    for _ in range(2):
        state.write_bytes(os.urandom(MIB))
        digests.append((await saved(world, world.directory())).digest)
        await b.prefetch(digests[-1])

    assert await b.release({digests[1]}) > MIB

    assert await b.prefetch(digests[1]) == 0
    assert await b.prefetch(digests[0]) > MIB


async def test_a_save_goes_on_when_the_store_tidied_up_meanwhile(world: World) -> None:
    (world.directory() / "state").write_bytes(b"1")
    agent = world.agent()
    await agent.save(world.directory(), job="train", epoch=3, sequence=1)
    world.store.sweep([], -1)
    assert world.stored_chunks() == []

    again = await agent.save(world.directory(), job="train", epoch=3, sequence=2)

    assert again is not None
    assert again.sent_bytes > 0


async def test_a_file_that_is_not_what_the_agent_remembers_is_read_again(world: World) -> None:
    directory = world.directory()
    (directory / "state").write_bytes(b"1")
    chunks = (digest_of(b"2"),)
    believed = manifest_of(files=[File("state", 0o644, 0, 0, 0, 1, chunks)])
    agent = world.agent()
    agent._memos[directory] = memo_of(believed, directory)

    checkpoint = await agent.save(directory, job="train", epoch=3, sequence=1)

    assert checkpoint is not None
    assert load(world.store.get_manifest(checkpoint.digest)).chunks == (digest_of(b"1"),)
