"""Manifests: one form, one name, and nothing that leads out of the directory."""

import hashlib
import json
import os
import random
import subprocess
from pathlib import Path
from typing import Any

import pytest
import zstandard
from hypothesis import given
from hypothesis import strategies as st

from headrace.chunks import (
    CHUNK_BYTES,
    LARGE_CHUNK_BYTES,
    LARGE_FILE_BYTES,
    ChunkCorrupt,
    compressed,
    digest_of,
    expanded,
)
from headrace.manifests import (
    MANIFEST_BYTES_MAX,
    Directory,
    File,
    Link,
    Manifest,
    dump,
    leads_outside,
    load,
    manifest_of,
    outputs_digest,
    raw,
)
from headrace.refusals import Refusal

A = digest_of(b"a")

names = st.binary(min_size=1, max_size=8).filter(lambda name: name not in (b".", b"..") and not set(name) & {0, 47})
texts = names.map(lambda name: name.decode("utf-8", "surrogateescape"))
trees: st.SearchStrategy[dict[str, Any]] = st.recursive(
    st.dictionaries(texts, st.one_of(st.integers(0, 3 * CHUNK_BYTES), texts), max_size=4),
    lambda inner: st.dictionaries(texts, inner, max_size=4),
    max_leaves=12,
)


def entries_of(tree: dict[str, Any], prefix: str = "") -> tuple[list[Directory], list[File], list[Link]]:
    directories: list[Directory] = []
    files: list[File] = []
    links: list[Link] = []
    for name, what in tree.items():
        path = prefix + name
        match what:
            case int():
                files.append(File(path, 0o644, 0, 0, 1, what, (A,) * -(-what // CHUNK_BYTES)))
            case str():
                links.append(Link(path, what))
            case _:
                directories.append(Directory(path, 0o755, 0, 0))
                inner = entries_of(what, f"{path}/")
                directories += inner[0]
                files += inner[1]
                links += inner[2]
    return directories, files, links


def file(path: str = "a", **changes: Any) -> dict[str, Any]:
    plain = {"path": path, "mode": 0o644, "uid": 0, "gid": 0, "mtime_ns": 0, "size": 1, "chunks": [A]}
    return plain | changes


def folder(path: str, **changes: Any) -> dict[str, Any]:
    return {"path": path, "mode": 0o755, "uid": 0, "gid": 0} | changes


def link(path: str, target: str) -> dict[str, Any]:
    return {"path": path, "target": target}


def written(*, files: Any = (), directories: Any = (), links: Any = (), **changes: Any) -> bytes:
    body = {"version": 1, "chunk_bytes": CHUNK_BYTES, "files": files, "directories": directories, "links": links}
    return json.dumps(body | changes, sort_keys=True, separators=(",", ":")).encode()


@given(trees, st.randoms(use_true_random=False))
def test_a_tree_has_one_form_in_whatever_order_it_is_found(tree: dict[str, Any], order: random.Random) -> None:
    directories, files, links = entries_of(tree)
    manifest = manifest_of(directories, files, links)
    for entries in (directories, files, links):
        order.shuffle(entries)

    assert dump(manifest_of(directories, files, links)) == dump(manifest)
    assert load(dump(manifest)) == manifest


def test_an_empty_tree_has_a_form() -> None:
    assert load(dump(Manifest())) == Manifest()


def test_the_form_of_a_manifest_does_not_change_between_versions_of_this_program() -> None:
    manifest = manifest_of([Directory("d", 0o700, 1, 2)], [File("d/f", 0o644, 1, 2, 3, 1, (A,))], [Link("l", "d/f")])

    assert dump(manifest) == (
        b'{"chunk_bytes":262144,"directories":[{"gid":2,"mode":448,"path":"d","uid":1}],'
        b'"files":[{"chunks":["sha256:ca978112ca1bbdcafac231b39a23dc4da786eff8147c4e72b9807785afee48bb"],'
        b'"gid":2,"mode":420,"mtime_ns":3,"path":"d/f","size":1,"uid":1}],'
        b'"links":[{"path":"l","target":"d/f"}],"version":1}'
    )


def test_paths_are_sorted_by_their_bytes() -> None:
    high, low = File("\U00010000", 0o644, 0, 0, 0, 0), File("\uffff", 0o644, 0, 0, 0, 0)

    assert manifest_of(files=[high, low]).files == (low, high)


HOSTILE = {
    "an absolute path": written(files=[file("/etc/passwd")]),
    "a path that goes up": written(files=[file("../a")]),
    "a path that goes up in the middle": written(directories=[folder("d")], files=[file("d/../../a")]),
    "the top itself": written(directories=[folder(".")]),
    "an empty path": written(files=[file("")]),
    "an empty name": written(directories=[folder("d")], files=[file("d//a")]),
    "a zero byte": written(files=[file("a\0b")]),
    "a lone surrogate": written(files=[file("\ud800")]),
    "a second spelling of é": written(files=[file("\udcc3\udca9")]),
    "a long name": written(files=[file("a" * 256)]),
    "a long path": written(
        directories=[folder("/".join(["d" * 200] * depth)) for depth in range(1, 12)],
    ),
    "a deep path": written(directories=[folder("/".join(["d"] * depth)) for depth in range(1, 66)]),
    "a file given twice": written(files=[file("a"), file("a")]),
    "a file that is a link too": written(files=[file("a")], links=[link("a", "b")]),
    "a file in no directory": written(files=[file("d/a")]),
    "a file beneath a link": written(files=[file("l/a")], links=[link("l", "d")]),
    "a directory beneath a link": written(directories=[folder("l/d")], links=[link("l", "d")]),
    "a file beneath a file": written(files=[file("a"), file("a/b")]),
    "a link to an absolute path": written(links=[link("l", "/etc/passwd")]),
    "a link that goes up": written(links=[link("l", "../x")]),
    "a link to nothing": written(links=[link("l", "")]),
    "a link with a zero byte": written(links=[link("l", "a\0")]),
    "a link with half a letter": written(links=[link("l", "\ud800")]),
    "a set-user-id file": written(files=[file(mode=0o4755)]),
    "a negative owner": written(files=[file(uid=-1)]),
    "an owner that means 'leave it'": written(files=[file(uid=2**32 - 1)]),
    "a time out of range": written(files=[file(mtime_ns=2**63)]),
    "too few chunks": written(files=[file(size=CHUNK_BYTES + 1)]),
    "too many chunks": written(files=[file(size=0)]),
    "a negative size": written(files=[file(size=-1, chunks=[])]),
    "a chunk that is a path": written(files=[file(chunks=["../../etc/passwd"])]),
    "a digest of another kind": written(files=[file(chunks=["sha512:" + "0" * 128])]),
    "a sha256 that is none": written(files=[file(sha256="x")]),
    "a size in text": written(files=[file(size="1")]),
    "a size that is true": written(files=[file(size=True)]),
    "a size with a fraction": written(files=[file(size=1.0)]),
    "chunks that are no list": written(files=[file(chunks=A)]),
    "chunks that are numbers": written(files=[file(chunks=[1])]),
    "a field that is not known": written(files=[file(owner="root")]),
    "a field that lacks": written(links=[{"path": "l"}]),
    "an entry that is no object": written(files=["a"]),
    "files that are no list": written(files={}),
    "another version": written(version=2),
    "another chunk size": written(chunk_bytes=1),
    "a part that is not known": written(devices=[]),
    "a list at the top": b"[]",
    "no JSON": b"\x89PNG",
    "nothing": b"",
    "JSON of great depth": b"[" * 100_000,
    "a number of great length": b'{"version":' + b"1" * 10_000 + b"}",
    "entries out of order": written(files=[file("b"), file("a")]),
    "spaces": written().replace(b",", b", "),
    "a key given twice": written().replace(b'"version":1', b'"version":1,"version":1'),
}


@pytest.mark.parametrize("data", HOSTILE.values(), ids=HOSTILE.keys())
def test_a_manifest_that_could_do_harm_is_refused(data: bytes) -> None:
    with pytest.raises(Refusal) as refused:
        load(data)

    assert refused.value.reason == "MANIFEST_INVALID"


def test_a_manifest_that_does_not_fit_into_a_message_is_refused() -> None:
    with pytest.raises(Refusal, match="save less") as refused:
        load(b" " * (MANIFEST_BYTES_MAX + 1))

    assert refused.value.reason == "MANIFEST_TOO_LARGE"


def test_a_refusal_names_the_entry_and_the_limit() -> None:
    with pytest.raises(Refusal, match=r"files\[1\]\.size must be a whole number"):
        load(written(files=[file("a"), file("b", size="1")]))


@pytest.mark.parametrize(
    ("path", "target", "outside"),
    [
        ("l", "a", False),
        ("l", "./a", False),
        ("l", ".", False),
        ("d/l", "..", False),
        ("d/l", "../a", False),
        ("d/e/l", "../../a/b", False),
        ("l", "..", True),
        ("d/l", "../..", True),
        ("d/l", ".//../..", True),
        ("l", "/a", True),
        # Where "m" is itself a link, "m/.." may be anywhere.
        ("l", "m/..", True),
        ("d/l", "m/../a", True),
    ],
)
def test_a_link_may_go_up_only_as_far_as_the_top(path: str, target: str, *, outside: bool) -> None:
    assert leads_outside(path, target) is outside


def coreutils(directory: Path) -> str:
    """What a user does who wants to check."""
    command = "find . -type f -print0 | LC_ALL=C sort -z | xargs -0r sha256sum | sha256sum"
    answer = subprocess.run(["sh", "-c", command], cwd=directory, check=True, capture_output=True, text=True)
    return f"sha256:{answer.stdout.split()[0]}"


def listed(contents: dict[bytes, bytes]) -> Manifest:
    directories = {path.rpartition(b"/")[0].decode() for path in contents if b"/" in path}
    return manifest_of(
        [Directory(path, 0o755, 0, 0) for path in directories],
        [
            File(
                path.decode("utf-8", "surrogateescape"), 0o644, 0, 0, 0, len(data),
                (digest_of(data),) if data else (), hashlib.sha256(data).hexdigest(),
            )
            for path, data in contents.items()
        ],
    )  # fmt: skip


@pytest.mark.parametrize(
    "contents",
    [
        {},
        {b"empty": b""},
        {b"model.bin": b"1", b"log": b"2", b"d/model.bin": b"3", b"d-e": b"4", b"Z": b"5", b"d/.hidden": b"6"},
        {b"two words": b"1", b"line\nbreak": b"2", b"back\\slash": b"3", b"carriage\rreturn": b"4", b" ": b"5"},
        {b"\xc3\xa9": b"1", b"\xff": b"2", b"\xf0\x90\x80\x80": b"3", b"\xef\xbf\xbf": b"4", b"-": b"5"},
    ],
)
def test_users_get_the_same_outputs_digest_from_coreutils(tmp_path: Path, contents: dict[bytes, bytes]) -> None:
    for name, data in contents.items():
        path = tmp_path / os.fsdecode(name)
        path.parent.mkdir(exist_ok=True)
        path.write_bytes(data)
    (tmp_path / "link").symlink_to("model.bin")

    assert outputs_digest(listed(contents)) == coreutils(tmp_path)


def test_outputs_without_the_files_own_digests_have_no_digest() -> None:
    with pytest.raises(ValueError, match="'a' has no sha256"):
        outputs_digest(manifest_of(files=[File("a", 0o644, 0, 0, 0, 1, (A,))]))


def test_a_path_that_is_not_utf8_is_kept_to_the_byte() -> None:
    manifest = manifest_of(files=[File(b"\xff\xc3\xa9".decode("utf-8", "surrogateescape"), 0o644, 0, 0, 0, 0)])

    assert raw(load(dump(manifest)).files[0].path) == b"\xff\xc3\xa9"


def test_each_chunk_is_named_once_in_the_order_of_the_files() -> None:
    b = digest_of(b"b")
    manifest = manifest_of(
        files=[File("2", 0o644, 0, 0, 0, 1, (A,)), File("1", 0o644, 0, 0, 0, 2 * CHUNK_BYTES, (b, A))]
    )

    assert manifest.chunks == (b, A)


def test_a_chunk_comes_back_as_it_was() -> None:
    assert expanded(A, compressed(b"a")) == b"a"


@pytest.mark.parametrize("size", [1, 32 << 10, (32 << 10) + 1, 128 << 10, CHUNK_BYTES, LARGE_CHUNK_BYTES - 1])
def test_what_cannot_be_compressed_travels_as_it_is_in_a_frame_that_anybody_can_read(size: int) -> None:
    plain = random.Random(size).randbytes(size)

    data = compressed(plain)

    assert len(data) <= size + 64
    assert zstandard.ZstdDecompressor().decompress(data) == expanded(digest_of(plain), data) == plain


@pytest.mark.parametrize("start", [0, LARGE_CHUNK_BYTES // 2])
def test_a_chunk_of_which_an_end_can_be_compressed_is(start: int) -> None:
    half = random.Random(1).randbytes(LARGE_CHUNK_BYTES // 2)
    plain = bytearray(LARGE_CHUNK_BYTES)
    plain[start : start + len(half)] = half

    data = compressed(plain)

    assert len(data) < LARGE_CHUNK_BYTES * 3 // 4
    assert expanded(digest_of(plain), data) == plain


@pytest.mark.parametrize("chunk_bytes", [CHUNK_BYTES, LARGE_CHUNK_BYTES])
def test_a_large_file_may_have_chunks_of_either_size(chunk_bytes: int) -> None:
    large = File("a", 0o644, 0, 0, 0, LARGE_FILE_BYTES, (A,) * (LARGE_FILE_BYTES // chunk_bytes))

    [loaded] = load(dump(manifest_of(files=[large]))).files

    assert loaded.chunk_bytes == chunk_bytes


@pytest.mark.parametrize(
    ("size", "count"),
    [
        (LARGE_FILE_BYTES, LARGE_FILE_BYTES // LARGE_CHUNK_BYTES - 1),
        (LARGE_FILE_BYTES, LARGE_FILE_BYTES // LARGE_CHUNK_BYTES + 1),
        (LARGE_FILE_BYTES - 1, LARGE_FILE_BYTES // LARGE_CHUNK_BYTES),
    ],
)
def test_chunks_of_neither_size_are_refused(size: int, count: int) -> None:
    with pytest.raises(Refusal, match=f"has {count} chunks"):
        manifest_of(files=[File("a", 0o644, 0, 0, 0, size, (A,) * count)])


BOMB = compressed(bytes(64 << 20))
UNSIZED_BOMB = zstandard.ZstdCompressor(level=1, write_content_size=False).compress(bytes(64 << 20))

BROKEN = {
    "other bytes": compressed(b"b"),
    "no frame": b"a",
    "nothing": b"",
    "half a frame": compressed(b"a" * 100)[:-1],
    "more after the frame": compressed(b"a") + b"x",
    "an empty frame": compressed(b""),
    "a frame that claims to be huge": BOMB,
    "a frame that is huge and does not say so": UNSIZED_BOMB,
}


@pytest.mark.parametrize("data", BROKEN.values(), ids=BROKEN.keys())
def test_a_chunk_that_is_not_what_its_name_says_is_found_out(data: bytes) -> None:
    with pytest.raises(ChunkCorrupt, match=A):
        expanded(A, data)
