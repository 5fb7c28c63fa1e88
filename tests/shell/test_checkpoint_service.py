"""Outputs on their way into the store, and what CheckpointService itself refuses."""

import asyncio

import pytest
from grpc import aio

from headrace.chunks import CHUNK_BYTES, DIGESTS_MAX, compressed, digest_of
from headrace.manifests import load
from headrace.status import refusal_of
from headrace.v1 import checkpoint_service_pb2 as pb
from tests.shell.checkpoint_world import EPOCHS, World


async def test_outputs_have_the_digest_of_their_listing(world: World) -> None:
    directory = world.directory()
    (directory / "d").mkdir()
    (directory / "d" / "large").write_bytes(b"l" * (CHUNK_BYTES + 1))
    (directory / "result").write_bytes(b"42\n")

    outputs = await world.agent().save_outputs(directory, job="train", epoch=3)

    command = "find . -type f -print0 | LC_ALL=C sort -z | xargs -0r sha256sum | sha256sum"
    check = await asyncio.create_subprocess_shell(command, cwd=directory, stdout=asyncio.subprocess.PIPE)
    listed = (await check.communicate())[0].split()[0].decode()
    assert outputs is not None
    assert outputs.digest == f"sha256:{listed}"
    assert (outputs.size_bytes, outputs.file_count) == (CHUNK_BYTES + 4, 2)
    assert load(world.store.get_manifest(outputs.manifest)).size_bytes == CHUNK_BYTES + 4


async def test_an_empty_output_directory_is_a_result_and_none_is_not(world: World) -> None:
    outputs = await world.agent().save_outputs(world.directory(), job="train", epoch=3)

    assert outputs is not None
    assert (outputs.digest, outputs.file_count) == (digest_of(b""), 0)
    assert await world.agent().save_outputs(world.folder / "none", job="train", epoch=3) is None


async def test_a_request_for_too_much_at_once_is_refused(world: World) -> None:
    request = pb.FindMissingChunksRequest(digests=[digest_of(b"a")] * (DIGESTS_MAX + 1))

    with pytest.raises(aio.AioRpcError, match="too many") as failed:
        await world.stub.FindMissingChunks(request)

    assert refusal_of(failed.value).reason == "TOO_MANY_DIGESTS"


async def test_a_corrupt_upload_is_refused_over_the_wire(world: World) -> None:
    call = world.stub.UploadChunks()
    chunk = pb.Chunk(digest=digest_of(b"a"), data=compressed(b"b"))
    await call.write(pb.UploadChunksRequest(chunks=[chunk]))
    await call.done_writing()

    with pytest.raises(aio.AioRpcError, match="its bytes are those of") as failed:
        await call

    assert refusal_of(failed.value).reason == "CHUNK_CORRUPT"


async def test_what_an_attempt_put_is_pinned_until_its_epoch_is_over(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    digests = []
    for text in ("one", "two", "three"):
        (world.directory() / "state").write_text(text)
        checkpoint = await world.agent().save(world.directory(), job="train", epoch=3, sequence=1)
        assert checkpoint is not None
        digests.append(checkpoint.digest)

    assert world.service.pinned() == digests[1:]

    monkeypatch.setitem(EPOCHS, "train", 4)
    # The record that names it may be about to be saved.
    assert world.service.pinned() == digests[1:]
    assert world.service.pinned() == []
