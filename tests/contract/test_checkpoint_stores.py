"""The checkpoint stores that there are, each against the suite, and what only a folder can do wrong."""

import os
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from controller.checkpoint_store import FolderStore
from headrace.chunks import compressed, digest_of
from headrace.refusals import Code, Refusal
from tests.contract.checkpoint_store_suite import HOUR, CheckpointStoreSuite, Clock, Stored, manifest


class TestFolderStore(CheckpointStoreSuite):
    @pytest.fixture
    def stored(self, tmp_path: Path) -> Stored:
        clock = Clock()
        return Stored(FolderStore(tmp_path / "store", clock), clock)

    @pytest.fixture
    def rot(self, tmp_path: Path) -> Callable[[str], None]:
        return lambda digest: rotten(tmp_path / "store" / "chunks", digest)


def rotten(part: Path, digest: str) -> bytes:
    """Turns a bit of this file over; answers what it has become."""
    [path] = part.rglob(digest.removeprefix("sha256:"))
    data = bytearray(path.read_bytes())
    data[len(data) // 2] ^= 1
    path.write_bytes(data)
    return bytes(data)


def files_of(folder: Path) -> list[Path]:
    return [path for path in folder.rglob("*") if path.is_file()]


def test_a_folder_store_that_is_opened_again_has_all_that_was_put(tmp_path: Path) -> None:
    before = Stored(FolderStore(tmp_path), Clock())
    digest = before.store.put_manifest(before.put(b"a"))

    after = FolderStore(tmp_path)

    assert after.missing([digest_of(b"a")]) == []
    assert after.get_manifest(digest) == manifest(b"a")


def test_half_a_file_of_a_controller_that_was_killed_is_tidied_up(tmp_path: Path) -> None:
    FolderStore(tmp_path)
    (tmp_path / "aside" / "half").write_bytes(b"half")

    FolderStore(tmp_path)

    assert files_of(tmp_path) == []


def test_what_has_rotted_is_kept_aside_whatever_is_swept_or_opened_again(tmp_path: Path) -> None:
    stored = Stored(FolderStore(tmp_path, clock := Clock()), clock)
    stored.put(b"a")
    data = rotten(tmp_path / "chunks", digest_of(b"a"))
    with pytest.raises(Refusal, match=str(tmp_path / "broken")):
        stored.store.check_chunk(digest_of(b"a"))
    clock.now += 2 * HOUR

    stored.store.sweep([], HOUR)
    FolderStore(tmp_path)

    assert [path.read_bytes() for path in files_of(tmp_path)] == [data]


def test_a_manifest_that_has_rotted_is_whole_again_once_it_is_put_again(tmp_path: Path) -> None:
    stored = Stored(FolderStore(tmp_path), Clock())
    digest = stored.store.put_manifest(data := stored.put(b"a"))
    broken = rotten(tmp_path / "manifests", digest)

    assert stored.store.put_manifest(data) == digest

    assert stored.store.get_manifest(digest) == data
    assert [path.read_bytes() for path in files_of(tmp_path / "broken")] == [broken]


def test_a_refused_chunk_leaves_no_file(tmp_path: Path) -> None:
    with pytest.raises(Refusal):
        FolderStore(tmp_path).put_chunk(digest_of(b"a"), compressed(b"b"))

    assert files_of(tmp_path) == []


def test_a_broken_manifest_stops_a_sweep_before_it_deletes_anything(tmp_path: Path) -> None:
    stored = Stored(FolderStore(tmp_path, clock := Clock()), clock)
    digest = stored.store.put_manifest(stored.put(b"a"))
    path = next(path for path in files_of(tmp_path / "manifests"))
    path.write_bytes(path.read_bytes().replace(b"420", b"421"))
    clock.now += 2 * HOUR

    with pytest.raises(Refusal, match="is broken") as refused:
        stored.store.sweep([digest], HOUR)

    assert refused.value.reason == "MANIFEST_CORRUPT"
    assert stored.missing(b"a") == []


@pytest.mark.parametrize(
    "where", ["chunks/README", "chunks/ab/notes.txt", "manifests/ab/notes.txt", "manifests/README"]
)
def test_a_file_of_someone_else_is_neither_read_nor_deleted_by_a_sweep(tmp_path: Path, where: str) -> None:
    stored = Stored(FolderStore(tmp_path, clock := Clock()), clock)
    stored.put(b"a")
    clock.now += 2 * HOUR
    foreign = tmp_path / where
    foreign.parent.mkdir(exist_ok=True)
    foreign.write_bytes(b"mine")
    os.utime(foreign, (0, 0))

    assert stored.store.sweep([], HOUR) > 0
    assert foreign.read_bytes() == b"mine"


@pytest.mark.parametrize("where", ["chunks/ab/sub", f"chunks/ab/{'a' * 64}", f"manifests/ab/{'a' * 64}"])
def test_a_folder_among_the_files_stops_no_sweep(tmp_path: Path, where: str) -> None:
    stored = Stored(FolderStore(tmp_path, clock := Clock()), clock)
    stored.put(b"a")
    clock.now += 2 * HOUR
    (tmp_path / where).mkdir(parents=True)
    os.utime(tmp_path / where, (0, 0))

    assert stored.store.sweep([], HOUR) > 0


def test_a_folder_among_half_written_files_does_not_keep_the_store_from_opening(tmp_path: Path) -> None:
    FolderStore(tmp_path)
    (tmp_path / "aside" / "lost+found").mkdir()

    FolderStore(tmp_path)


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """A file system of 4 MiB."""
    folder = tmp_path / "disk"
    folder.mkdir()
    mount = ["mount", "-t", "tmpfs", "-o", "size=4m", "tmpfs", str(folder)]
    if os.geteuid() != 0 or subprocess.run(mount, check=False, capture_output=True).returncode != 0:
        pytest.skip("only root may mount a small disk")
    yield folder
    subprocess.run(["umount", str(folder)], check=True)


def test_a_full_disk_is_a_refusal_with_a_remedy_and_leaves_no_partial_file(small_disk: Path) -> None:
    store = FolderStore(small_disk)
    chunks = [os.urandom(200_000) for _ in range(64)]
    kept = 0

    def fill() -> None:
        nonlocal kept
        for chunk in chunks:
            store.put_chunk(digest_of(chunk), compressed(chunk))
            kept += 1

    with pytest.raises(Refusal, match="more room") as refused:
        fill()

    assert (refused.value.code, refused.value.reason) == (Code.RESOURCE_EXHAUSTED, "STORE_FULL")
    assert len(files_of(small_disk)) == kept > 0


def uses(store: FolderStore, kept: str, chunk: bytes) -> list[Callable[[], object]]:
    """What somebody may want of a store that has this manifest, of this chunk."""
    other = digest_of(b"another")
    return [
        lambda: store.missing([digest_of(chunk)]),
        lambda: store.put_chunk(other, compressed(b"another")),
        lambda: store.get_chunk(digest_of(chunk)),
        lambda: store.get_manifest(kept),
        lambda: store.put_manifest(manifest(chunk)),
    ]


def test_of_a_folder_whose_disk_is_gone_nobody_is_told_that_checkpoints_are_missing(tmp_path: Path) -> None:
    folder = tmp_path / "store"
    stored = Stored(FolderStore(folder), Clock())
    kept = stored.store.put_manifest(stored.put(b"a"))
    folder.rename(tmp_path / "gone")
    folder.mkdir()

    for use in uses(stored.store, kept, b"a"):
        with pytest.raises(Refusal, match="see whether its disk is mounted") as refused:
            use()

        assert (refused.value.code, refused.value.reason) == (Code.FAILED_PRECONDITION, "STORE_UNUSABLE")
    folder.rmdir()
    (tmp_path / "gone").rename(folder)
    assert stored.store.missing([digest_of(b"a")]) == []
    assert stored.store.get_manifest(kept) == manifest(b"a")


def test_a_disk_that_fails_is_told_by_its_folder(tmp_path: Path) -> None:
    stored = Stored(FolderStore(tmp_path), Clock())
    stored.put(b"a")
    folder = next(path for path in files_of(tmp_path / "chunks")).parent
    folder.rename(tmp_path / "gone")
    folder.touch()

    for use in (stored.store.missing, lambda digests: stored.store.get_chunk(digests[0])):
        with pytest.raises(Refusal, match=r"cannot be used .*Not a directory") as refused:
            use([digest_of(b"a")])

        assert refused.value.reason == "STORE_UNUSABLE"
