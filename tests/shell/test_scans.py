"""Directories that a container may be changing, and what it may have put there to harm its node."""

import os
import socket
import tempfile
import threading
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from agent.scans import Changed, fingerprint, open_beneath, scan
from agent.snapshots import Known, Memo, Snapshot, memo_of
from headrace.chunks import CHUNK_BYTES, MESSAGE_BYTES, digest_of, expanded
from headrace.manifests import Manifest
from headrace.refusals import Code, Refusal

NOBODY = 65534


@pytest.fixture
def directory(tmp_path: Path) -> Path:
    path = tmp_path / "checkpoint"
    path.mkdir()
    return path


def taken(directory: Path, memo: Memo | None = None) -> Manifest:
    snapshot = Snapshot(directory, {} if memo is None else memo)
    try:
        return snapshot.take(threading.Event())
    finally:
        snapshot.close()


@pytest.mark.parametrize("target", ["/etc/passwd", "../outside", "d/../../outside", "d/..", ".."])
def test_a_link_that_points_outside_is_refused_and_named(directory: Path, target: str) -> None:
    (directory / "latest").symlink_to(target)

    with pytest.raises(Refusal) as refused:
        taken(directory)

    assert (refused.value.code, refused.value.reason) == (Code.FAILED_PRECONDITION, "CHECKPOINT_UNSAFE")
    assert f"'latest' points to '{target}', outside of the checkpoint directory" in refused.value.message


def test_a_directory_that_is_a_link_is_not_entered(directory: Path, tmp_path: Path) -> None:
    (tmp_path / "outside").mkdir()
    (tmp_path / "outside" / "secret").write_bytes(b"s")
    (directory / "inside").mkdir()
    (directory / "link").symlink_to("inside")

    assert [entry.path for entry in scan(directory)] == ["inside", "link"]


def test_a_checkpoint_directory_that_was_replaced_by_a_link_is_not_followed(tmp_path: Path) -> None:
    (tmp_path / "link").symlink_to("/etc")

    with pytest.raises(OSError, match=r"Not a directory|Too many levels"):
        scan(tmp_path / "link")


@pytest.mark.parametrize("name", ["state", "d/state"])
def test_a_file_that_was_replaced_by_a_link_on_its_way_is_not_read(directory: Path, tmp_path: Path, name: str) -> None:
    (tmp_path / "state").write_bytes(b"secret")
    (directory / Path(name).parts[0]).symlink_to(tmp_path if "/" in name else tmp_path / "state")

    with pytest.raises(Changed):
        open_beneath(directory, name)


def test_a_file_that_was_replaced_by_a_fifo_is_not_waited_for(directory: Path) -> None:
    os.mkfifo(directory / "state")

    with pytest.raises(Changed):
        open_beneath(directory, "state")


def test_fifos_and_sockets_stay_behind(directory: Path) -> None:
    os.mkfifo(directory / "fifo")
    (directory / "state").write_bytes(b"1")
    with socket.socket(socket.AF_UNIX) as listener:
        folder = os.open(directory, os.O_RDONLY)
        listener.bind(f"/proc/self/fd/{folder}/socket")
        os.close(folder)

        manifest = taken(directory)

    assert [file.path for file in manifest.files] == ["state"]


def test_set_user_id_bits_stay_behind(directory: Path) -> None:
    (directory / "tool").write_bytes(b"1")
    (directory / "tool").chmod(0o4755)

    assert taken(directory).files[0].mode == 0o755


def test_a_directory_that_is_nested_too_deep_is_refused(directory: Path) -> None:
    (directory / Path(*["d"] * 70)).mkdir(parents=True)

    with pytest.raises(Refusal, match="nested too deep; 64 levels are allowed"):
        taken(directory)


@pytest.fixture
def without_powers() -> Iterator[Path]:
    """A directory, and the test is not root while it uses it."""
    root = os.geteuid() == 0
    with tempfile.TemporaryDirectory() as name:
        if root:
            os.chown(name, NOBODY, NOBODY)
            os.seteuid(NOBODY)
        try:
            yield Path(name)
        finally:
            if root:
                os.seteuid(0)


@pytest.mark.parametrize("name", ["state", "d/state", "."])
def test_what_the_agent_may_not_read_is_refused_with_a_remedy(without_powers: Path, name: str) -> None:
    path = without_powers / name
    path.parent.mkdir(exist_ok=True)
    if name == ".":
        path.chmod(0)
    else:
        path.touch(mode=0)

    with pytest.raises(Refusal, match="run the agent as root") as refused:
        taken(without_powers)

    assert (refused.value.code, refused.value.reason) == (Code.FAILED_PRECONDITION, "CHECKPOINT_UNREADABLE")


def test_the_same_directory_has_the_same_fingerprint(directory: Path) -> None:
    (directory / "state").write_bytes(b"1")

    assert fingerprint(directory) == fingerprint(directory)


def test_reading_does_not_change_the_fingerprint(directory: Path) -> None:
    (directory / "state").write_bytes(b"1")
    before = fingerprint(directory)

    taken(directory)
    (directory / "state").read_bytes()

    assert fingerprint(directory) == before


def test_each_change_of_what_would_travel_changes_the_fingerprint(directory: Path) -> None:
    state = directory / "state"
    seen = [fingerprint(directory)]

    def changed() -> bool:
        seen.append(fingerprint(directory))
        return seen[-1] not in seen[:-1]

    state.write_bytes(b"1")
    assert changed()
    state.write_bytes(b"12")
    assert changed()
    (directory / "aside").write_bytes(b"34")
    (directory / "aside").rename(state)
    assert changed()
    state.chmod(0o600)
    assert changed()
    os.utime(state, ns=(0, 0))
    assert changed()
    (directory / "link").symlink_to("state")
    assert changed()
    (directory / "d").mkdir()
    assert changed()
    state.rename(directory / "d" / "state")
    assert changed()


def test_a_file_that_came_and_went_does_not_change_the_fingerprint(directory: Path) -> None:
    before = fingerprint(directory)
    (directory / "lock").touch()
    (directory / "lock").unlink()

    assert fingerprint(directory) == before


def test_a_directory_that_is_not_there_has_the_fingerprint_of_an_empty_one(directory: Path) -> None:
    assert fingerprint(directory / "none") == fingerprint(directory)


def known_as(directory: Path, believed: bytes) -> Memo:
    """What an agent knows that believes a file "state" to consist of these bytes."""
    manifest = taken(directory)
    file = replace(manifest.files[0], chunks=(digest_of(believed),))
    return memo_of(replace(manifest, files=(file,)), directory)


def test_a_file_that_is_known_is_not_read_again(directory: Path) -> None:
    (directory / "state").write_bytes(b"1")

    assert taken(directory, known_as(directory, b"2")).chunks == (digest_of(b"2"),)


def test_a_file_that_was_replaced_is_read_again(directory: Path) -> None:
    (directory / "state").write_bytes(b"1")
    known = known_as(directory, b"2")
    (directory / "aside").write_bytes(b"3")
    (directory / "aside").rename(directory / "state")

    assert taken(directory, known).chunks == (digest_of(b"3"),)


@pytest.mark.parametrize(("rest_ms", "remembered"), [(50, False), (150, True)])
def test_a_file_is_remembered_once_it_has_rested(directory: Path, rest_ms: int, *, remembered: bool) -> None:
    (directory / "state").write_bytes(b"1")
    changed_ns = (directory / "state").stat().st_ctime_ns

    snapshot = Snapshot(directory, {}, clock_ns=lambda: changed_ns + rest_ms * 1_000_000)
    snapshot.take(threading.Event())

    assert ("state" in snapshot.memo) is remembered


class Busy(dict[str, Known]):
    """A memo that is asked while the job goes on to write, the first `writes` times."""

    def __init__(self, directory: Path, writes: int) -> None:
        super().__init__()
        self.directory = directory
        self.writes = writes

    def get(self, path: str, default: Any = None) -> Any:
        if self.writes:
            self.writes -= 1
            (self.directory / f"new-{self.writes}").write_bytes(b"1")
        return super().get(path, default)


def test_a_snapshot_is_of_one_moment(directory: Path) -> None:
    (directory / "state").write_bytes(b"1")

    manifest = taken(directory, Busy(directory, 2))

    assert [file.path for file in manifest.files] == ["new-0", "new-1", "state"]


def test_a_directory_that_never_rests_is_refused(directory: Path) -> None:
    (directory / "state").write_bytes(b"1")

    with pytest.raises(Refusal, match="save aside and rename") as refused:
        taken(directory, Busy(directory, 1_000_000))

    assert (refused.value.code, refused.value.reason) == (Code.FAILED_PRECONDITION, "CHECKPOINT_UNSTABLE")


def test_a_snapshot_that_is_stopped_ends(directory: Path) -> None:
    (directory / "state").write_bytes(b"1")
    stopped = threading.Event()
    stopped.set()

    with pytest.raises(Changed):
        Snapshot(directory, {}).take(stopped)


@pytest.fixture
def large(directory: Path) -> Iterator[tuple[Snapshot, Manifest]]:
    """A snapshot of a file "state" of two chunks."""
    (directory / "state").write_bytes(b"a" * CHUNK_BYTES + b"b")
    snapshot = Snapshot(directory, {})
    yield snapshot, snapshot.take(threading.Event())
    snapshot.close()


def test_a_large_file_that_is_replaced_while_it_is_sent_is_sent_as_it_was(
    directory: Path, large: tuple[Snapshot, Manifest]
) -> None:
    snapshot, manifest = large
    (directory / "aside").write_bytes(b"c" * CHUNK_BYTES + b"d")
    (directory / "aside").rename(directory / "state")

    sent = [expanded(*chunk) for batch in snapshot.pack(manifest.chunks) for chunk in batch]

    assert sent == [b"a" * CHUNK_BYTES, b"b"]


def test_a_file_that_is_written_in_place_while_it_is_sent_is_found_out(
    directory: Path, large: tuple[Snapshot, Manifest]
) -> None:
    snapshot, manifest = large
    with (directory / "state").open("ab") as file:
        file.write(b"c")

    with pytest.raises(Changed):
        list(snapshot.pack(manifest.chunks))


def test_only_the_chunks_that_are_asked_for_are_packed(large: tuple[Snapshot, Manifest]) -> None:
    snapshot, manifest = large

    assert [digest for batch in snapshot.pack(manifest.chunks[1:]) for digest, _ in batch] == [digest_of(b"b")]


def test_a_message_holds_about_a_mebibyte(directory: Path) -> None:
    (directory / "state").write_bytes(os.urandom(2 * MESSAGE_BYTES))
    snapshot = Snapshot(directory, {})
    chunks = snapshot.take(threading.Event()).chunks

    sizes = [sum(len(data) for _, data in batch) for batch in snapshot.pack(chunks)]
    snapshot.close()

    assert len(sizes) == 3
    assert all(size <= MESSAGE_BYTES for size in sizes)
