"""What every checkpoint store does. A test module subclasses CheckpointStoreSuite and gives it the fixtures `stored`
and `rot`, by which the store's copy of a chunk rots."""

import os
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

import pytest

from controller.checkpoint_store import CheckpointStore
from headrace.chunks import CHUNK_BYTES, compressed, digest_of
from headrace.manifests import File, dump, manifest_of
from headrace.refusals import Code, Refusal

HOUR = 3600


@dataclass
class Clock:
    """The store's time, which passes when the test says so, and by `step` each time that it is looked at."""

    now: float = 1_800_000_000
    step: float = 0

    def __call__(self) -> float:
        self.now += self.step
        return self.now


@dataclass
class Stored:
    """A store that is empty, and the clock that it goes by."""

    store: CheckpointStore
    clock: Clock

    def put(self, *parts: bytes) -> bytes:
        """Puts chunks; answers a manifest of one file that consists of them, not put yet."""
        for part in parts:
            self.store.put_chunk(digest_of(part), compressed(part))
        return manifest(*parts)

    def missing(self, *parts: bytes) -> Sequence[str]:
        return self.store.missing([digest_of(part) for part in parts])


def manifest(*parts: bytes) -> bytes:
    sizes = [len(part) for part in parts]
    return dump(manifest_of(files=[File("a", 0o644, 0, 0, 0, sum(sizes), tuple(digest_of(part) for part in parts))]))


def full(letter: bytes) -> bytes:
    """A chunk of the full size."""
    return letter * CHUNK_BYTES


class CheckpointStoreSuite:
    def test_a_chunk_comes_back_as_it_was_put(self, stored: Stored) -> None:
        stored.put(b"a")

        assert stored.store.get_chunk(digest_of(b"a")) == compressed(b"a")

    def test_what_was_not_put_is_missing_in_the_order_of_asking(self, stored: Stored) -> None:
        stored.put(b"b")

        assert stored.missing(b"c", b"b", b"a") == [digest_of(b"c"), digest_of(b"a")]

    def test_a_chunk_that_is_put_twice_is_there_once_and_whole(self, stored: Stored) -> None:
        stored.put(b"a")
        stored.put(b"a")

        assert stored.store.get_chunk(digest_of(b"a")) == compressed(b"a")

    def test_a_chunk_that_is_not_what_its_name_says_is_refused_and_not_kept(self, stored: Stored) -> None:
        with pytest.raises(Refusal) as refused:
            stored.store.put_chunk(digest_of(b"a"), compressed(b"b"))

        assert (refused.value.code, refused.value.reason) == (Code.INVALID_ARGUMENT, "CHUNK_CORRUPT")
        assert stored.missing(b"a") == [digest_of(b"a")]

    def test_a_chunk_that_has_rotted_is_missing_once_somebody_has_looked(
        self, stored: Stored, rot: Callable[[str], None]
    ) -> None:
        for part in (b"a", b"b"):
            stored.put(part)
        rot(digest_of(b"a"))
        stored.store.check_chunk(digest_of(b"b"))

        with pytest.raises(Refusal, match=f"broken copy of chunk {digest_of(b'a')}") as refused:
            stored.store.check_chunk(digest_of(b"a"))

        assert (refused.value.code, refused.value.reason) == (Code.INTERNAL, "CHUNK_CORRUPT")
        assert stored.missing(b"a", b"b") == [digest_of(b"a")]
        stored.store.check_chunk(digest_of(b"a"))

    def test_a_chunk_that_has_rotted_can_be_put_again(self, stored: Stored, rot: Callable[[str], None]) -> None:
        data = stored.put(b"a")
        rot(digest_of(b"a"))
        with pytest.raises(Refusal):
            stored.store.check_chunk(digest_of(b"a"))

        stored.put(b"a")

        stored.store.check_chunk(digest_of(b"a"))
        assert stored.store.get_chunk(digest_of(b"a")) == compressed(b"a")
        assert stored.store.put_manifest(data) == digest_of(data)

    def test_a_chunk_that_is_too_large_is_refused(self, stored: Stored) -> None:
        large = bytes(CHUNK_BYTES + 1)

        with pytest.raises(Refusal, match="larger than 262144 bytes"):
            stored.store.put_chunk(digest_of(large), compressed(large))

    def test_a_chunk_that_is_not_there_is_refused(self, stored: Stored) -> None:
        with pytest.raises(Refusal) as refused:
            stored.store.get_chunk(digest_of(b"a"))

        assert (refused.value.code, refused.value.reason) == (Code.NOT_FOUND, "CHUNKS_MISSING")

    @pytest.mark.parametrize("name", ["", "a", "../../etc/passwd", "sha256:" + "A" * 64, "sha256:" + "a" * 64 + "\n"])
    def test_a_name_that_is_no_digest_is_refused_everywhere(self, stored: Stored, name: str) -> None:
        for ask in (
            lambda: stored.store.missing([name]),
            lambda: stored.store.put_chunk(name, compressed(b"a")),
            lambda: stored.store.get_chunk(name),
            lambda: stored.store.check_chunk(name),
            lambda: stored.store.get_manifest(name),
        ):
            with pytest.raises(Refusal) as refused:
                ask()
            assert refused.value.reason == "DIGEST_MALFORMED"

    def test_a_manifest_comes_back_as_it_was_put(self, stored: Stored) -> None:
        data = stored.put(full(b"a"), b"b")

        digest = stored.store.put_manifest(data)

        assert digest == digest_of(data)
        assert stored.store.get_manifest(digest) == data

    def test_a_manifest_that_is_put_twice_has_one_name(self, stored: Stored) -> None:
        data = stored.put(b"a")

        assert stored.store.put_manifest(data) == stored.store.put_manifest(data)

    def test_a_manifest_is_refused_while_a_chunk_is_missing(self, stored: Stored) -> None:
        stored.put(full(b"a"))
        data = manifest(full(b"a"), b"b")

        with pytest.raises(Refusal, match=digest_of(b"b")) as refused:
            stored.store.put_manifest(data)

        assert (refused.value.code, refused.value.reason) == (Code.FAILED_PRECONDITION, "CHUNKS_MISSING")
        with pytest.raises(Refusal):
            stored.store.get_manifest(digest_of(data))

    def test_a_manifest_that_is_none_is_refused(self, stored: Stored) -> None:
        with pytest.raises(Refusal) as refused:
            stored.store.put_manifest(b"{}")

        assert (refused.value.code, refused.value.reason) == (Code.INVALID_ARGUMENT, "MANIFEST_INVALID")

    def test_a_manifest_that_is_not_there_is_refused(self, stored: Stored) -> None:
        with pytest.raises(Refusal) as refused:
            stored.store.get_manifest(digest_of(b"a"))

        assert (refused.value.code, refused.value.reason) == (Code.NOT_FOUND, "MANIFEST_MISSING")

    def test_a_sweep_keeps_what_a_live_manifest_reaches_and_deletes_the_rest(self, stored: Stored) -> None:
        live = stored.store.put_manifest(stored.put(full(b"a"), b"shared"))
        dead = stored.store.put_manifest(stored.put(full(b"b"), b"shared"))
        stored.clock.now += 2 * HOUR

        freed = stored.store.sweep([live], HOUR)

        assert freed > 0
        assert stored.missing(full(b"a"), b"shared", full(b"b")) == [digest_of(full(b"b"))]
        assert stored.store.get_manifest(live)
        with pytest.raises(Refusal):
            stored.store.get_manifest(dead)

    def test_a_sweep_of_what_is_all_live_frees_nothing(self, stored: Stored) -> None:
        live = stored.store.put_manifest(stored.put(b"a"))
        stored.clock.now += 2 * HOUR

        assert stored.store.sweep([live], HOUR) == 0

    def test_a_sweep_keeps_chunks_that_were_just_put(self, stored: Stored) -> None:
        stored.put(b"a")
        stored.clock.now += HOUR / 2

        stored.store.sweep([], HOUR)

        assert stored.missing(b"a") == []

    def test_a_sweep_keeps_old_chunks_that_an_upload_was_told_not_to_send(self, stored: Stored) -> None:
        stored.put(b"a")
        stored.clock.now += 2 * HOUR
        assert stored.missing(b"a") == []

        stored.store.sweep([], HOUR)

        assert stored.missing(b"a") == []

    def test_a_sweep_keeps_old_chunks_that_were_put_again(self, stored: Stored) -> None:
        stored.put(b"a")
        stored.clock.now += 2 * HOUR
        stored.put(b"a")

        stored.store.sweep([], HOUR)

        assert stored.missing(b"a") == []

    def test_a_sweep_keeps_a_manifest_that_no_record_names_yet_with_its_chunks(self, stored: Stored) -> None:
        data = stored.put(b"a")
        stored.store.put_manifest(data)
        stored.clock.now += 2 * HOUR
        again = stored.store.put_manifest(data)
        stored.clock.now += HOUR / 2

        stored.store.sweep([], HOUR)

        assert stored.store.get_manifest(again) == data
        assert stored.store.get_chunk(digest_of(b"a"))

    def test_a_sweep_keeps_the_chunks_of_a_young_manifest_though_they_are_older(self, stored: Stored) -> None:
        data = stored.put(b"a")
        stored.clock.step = 10
        stored.store.put_manifest(data)
        stored.clock.step = 0

        stored.store.sweep([], 5)

        assert stored.store.get_manifest(digest_of(data)) == data
        assert stored.store.get_chunk(digest_of(b"a"))

    def test_a_live_manifest_that_is_gone_does_not_stop_a_sweep(self, stored: Stored) -> None:
        stored.put(b"a")
        stored.clock.now += 2 * HOUR

        assert stored.store.sweep([digest_of(b"gone")], HOUR) > 0

    def test_a_live_name_that_is_no_digest_names_nothing_and_stops_no_sweep(self, stored: Stored) -> None:
        stored.put(b"a")
        stored.clock.now += 2 * HOUR

        assert stored.store.sweep(["sha256:1-1", "../chunks"], HOUR) > 0

    def test_uploads_at_once_and_a_sweep_among_them_lose_nothing(self, stored: Stored) -> None:
        parts = [full(bytes([65 + index])) for index in range(8)]

        def upload(index: int) -> str:
            mine = [*parts[index % 4 :], os.urandom(8)]
            return stored.store.put_manifest(stored.put(*mine))

        with ThreadPoolExecutor(4) as threads:
            uploads = [threads.submit(upload, index) for index in range(12)]
            sweep = threads.submit(stored.store.sweep, [], HOUR)
            digests = [done.result() for done in uploads]

        assert sweep.result() == 0
        assert all(stored.store.get_manifest(digest) for digest in digests)
        assert stored.missing(*parts) == []
