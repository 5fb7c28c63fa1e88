"""A checkpoint that is laid ahead, while the job still runs, and then made the one that it has left."""

import asyncio
import os
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

from headrace.chunks import CHUNK_BYTES
from tests.shell.checkpoint_world import World, contents, saved

MIB = 1 << 20


def nothing(source: Path) -> None:
    """The job has not saved since."""


def a_byte(source: Path) -> None:
    with (source / "model").open("r+b") as file:
        file.seek(MIB)
        file.write(b"other")


def longer(source: Path) -> None:
    with (source / "model").open("ab") as file:
        file.write(os.urandom(CHUNK_BYTES + 3))


def shorter(source: Path) -> None:
    os.truncate(source / "model", MIB + 7)


def shorter_and_longer(source: Path) -> None:
    os.truncate(source / "model", 3)
    os.truncate(source / "model", 2 * MIB)


def zeros(source: Path) -> None:
    with (source / "model").open("r+b") as file:
        file.write(bytes(CHUNK_BYTES))


def another_name(source: Path) -> None:
    (source / "steps").rename(source / "later")


def a_directory_for_a_file(source: Path) -> None:
    (source / "model").unlink()
    (source / "model").mkdir()
    (source / "model" / "part").write_bytes(os.urandom(9))


def a_file_for_a_directory(source: Path) -> None:
    shutil.rmtree(source / "steps")
    (source / "steps").write_bytes(b"none")


def a_link_for_a_file(source: Path) -> None:
    (source / "model").rename(source / "renamed")
    (source / "model").symlink_to("renamed")


def all_of_it(source: Path) -> None:
    for path in source.iterdir():
        path.unlink() if path.is_file() else shutil.rmtree(path)
    (source / "other").write_bytes(b"1")


CHANGES = (
    nothing,
    a_byte,
    longer,
    shorter,
    shorter_and_longer,
    zeros,
    another_name,
    a_directory_for_a_file,
    a_file_for_a_directory,
    a_link_for_a_file,
    all_of_it,
)


def job_directory(world: World) -> Path:
    source = world.directory()
    (source / "model").write_bytes(os.urandom(2 * MIB + 5))
    (source / "steps" / "10").mkdir(parents=True)
    (source / "steps" / "10" / "state").write_bytes(os.urandom(CHUNK_BYTES + 1))
    (source / "steps" / "latest").symlink_to("10")
    return source


@pytest.mark.parametrize("change", CHANGES)
async def test_what_was_laid_ahead_becomes_what_the_job_has_left(world: World, change: Callable[[Path], None]) -> None:
    source, target = job_directory(world), world.directory("target")
    agent, b = world.agent(), world.agent("b")
    first = await agent.save(source, job="train", epoch=3, sequence=1)
    assert first is not None
    await b.lay_ahead(first.digest, target)
    change(source)
    second = await agent.save(source, job="train", epoch=3, sequence=2)
    assert second is not None

    assert await b.lay_down(second.digest, target) == second.sent_bytes

    assert contents(target) == contents(source)
    assert await world.agent("c").lay_down(second.digest, world.folder / "anew") > 0
    assert contents(target) == contents(world.folder / "anew")


async def test_nobody_sees_what_is_laid_ahead(world: World) -> None:
    target = world.directory("target")

    await world.agent("b").lay_ahead((await saved(world, job_directory(world))).digest, target)

    assert list(target.iterdir()) == []


async def test_what_did_not_change_is_not_written_again(world: World) -> None:
    source, target = job_directory(world), world.directory("target")
    b = world.agent("b")
    await b.lay_ahead((await saved(world, source)).digest, target)
    a_byte(source)
    second = await saved(world, source, sequence=2)
    # Neither the store nor the cache has any chunk but those that changed.
    changed = {path.name for path in world.stored_chunks()}
    for path in world.cached_chunks("b"):
        changed.discard(path.name.removeprefix("sha256:"))
        path.unlink()
    for path in world.stored_chunks():
        if path.name not in changed:
            path.unlink()

    assert 0 < await b.lay_down(second.digest, target) < CHUNK_BYTES + 100
    assert contents(target) == contents(source)


async def test_a_folder_that_was_made_anew_is_filled_anew(world: World) -> None:
    source, target = job_directory(world), world.directory("target")
    checkpoint, b = await saved(world, source), world.agent("b")
    await b.lay_ahead(checkpoint.digest, target)
    shutil.rmtree(world.folder / ".target.partial")

    await b.lay_down(checkpoint.digest, target)

    assert contents(target) == contents(source)


async def test_what_is_laid_ahead_and_cut_leaves_nothing_half(world: World) -> None:
    checkpoint, target = await saved(world, job_directory(world)), world.directory("target")
    b = world.agent("b")
    world.service.cuts = 1_000_000
    laying = asyncio.ensure_future(b.lay_ahead(checkpoint.digest, target))
    await world.service.was_cut.acquire()
    laying.cancel()
    with pytest.raises(asyncio.CancelledError):
        await laying
    world.service.cuts = 0
    assert not (world.folder / ".target.partial").exists()

    await b.lay_down(checkpoint.digest, target)

    assert contents(target) == contents(world.directory())


async def test_two_that_lay_down_in_one_directory_do_so_one_after_the_other(world: World) -> None:
    source, target = job_directory(world), world.directory("target")
    first, b = await saved(world, source), world.agent("b")
    a_byte(source)
    second = await saved(world, source, sequence=2)

    await asyncio.gather(b.lay_ahead(first.digest, target), b.lay_down(second.digest, target))

    assert contents(target) == contents(source)


async def test_chunks_that_were_seen_before_keep_their_names_wherever_they_come_up(world: World) -> None:
    source, agent = world.directory(), world.agent()
    parts = [os.urandom(CHUNK_BYTES) for _ in range(300)]
    (source / "state").write_bytes(b"".join(parts))
    first = await agent.save(source, job="train", epoch=3, sequence=1)
    parts[7] = os.urandom(CHUNK_BYTES)
    (source / "state").write_bytes(b"".join(reversed(parts)))

    again = await agent.save(source, job="train", epoch=3, sequence=2)

    assert first is not None
    assert again is not None
    assert again.digest == (await saved(world, source, sequence=2, agent="nobody")).digest
    assert CHUNK_BYTES < again.sent_bytes < 2 * CHUNK_BYTES
