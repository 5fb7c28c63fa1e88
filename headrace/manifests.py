"""Manifests: what a checkpoint or an output consists of, and the one way to write that down.

A manifest lists directories, regular files (cut into chunks) and symbolic links. Its canonical JSON has one form
only, so that its digest names it. Every manifest that exists was checked: whoever made it, nothing in it leads out of
the directory that it is laid down in.

A path is text in UTF-8; bytes that are not UTF-8 are kept as Python's surrogateescape has them.
"""

import hashlib
import json
from collections.abc import Iterable
from dataclasses import asdict, dataclass, fields
from typing import Any, NoReturn, TypeVar

from headrace.chunks import CHUNK_BYTES, LARGE_CHUNK_BYTES, LARGE_FILE_BYTES, is_digest
from headrace.refusals import Code, Refusal

VERSION = 1

# About 800,000 chunks, 200 GiB. It travels in one message, of at most 64 MiB.
MANIFEST_BYTES_MAX = 60 << 20

PATH_BYTES_MAX = 2048
NAME_BYTES_MAX = 255
DEPTH_MAX = 64

_ID_MAX = 2**32 - 2
_TIME_MAX = 2**63 - 1
_HEX = frozenset("0123456789abcdef")
_HEAD = {"version": VERSION, "chunk_bytes": CHUNK_BYTES}


@dataclass(frozen=True, slots=True)
class Directory:
    """A directory below the top. The top itself has no entry: it belongs to whoever lays the manifest down."""

    path: str
    mode: int
    uid: int
    gid: int


@dataclass(frozen=True, slots=True)
class File:
    """A regular file. `sha256` is of the whole file, in hexadecimal; empty where nobody asked for it."""

    path: str
    mode: int
    uid: int
    gid: int
    mtime_ns: int
    size: int
    chunks: tuple[str, ...] = ()
    sha256: str = ""

    @property
    def chunk_bytes(self) -> int:
        """The size of its chunks, of which the last one may be smaller: of a large file it was smaller once."""
        is_small = self.size < LARGE_FILE_BYTES or len(self.chunks) * CHUNK_BYTES >= self.size
        return CHUNK_BYTES if is_small else LARGE_CHUNK_BYTES


@dataclass(frozen=True, slots=True)
class Link:
    """A symbolic link that stays inside."""

    path: str
    target: str


Entry = TypeVar("Entry", Directory, File, Link)


@dataclass(frozen=True, slots=True)
class Manifest:
    """A tree of files. Made by `manifest_of` or `load`, which check it."""

    directories: tuple[Directory, ...] = ()
    files: tuple[File, ...] = ()
    links: tuple[Link, ...] = ()

    @property
    def size_bytes(self) -> int:
        """The size of all files together."""
        return sum(file.size for file in self.files)

    @property
    def chunks(self) -> tuple[str, ...]:
        """The digests of all chunks, each once, in the order of the files."""
        return tuple(dict.fromkeys(chunk for file in self.files for chunk in file.chunks))


def raw(path: str) -> bytes:
    """A path as the file system has it."""
    return path.encode("utf-8", "surrogateescape")


def manifest_of(
    directories: Iterable[Directory] = (), files: Iterable[File] = (), links: Iterable[Link] = ()
) -> Manifest:
    """The manifest of these entries, in any order. Raises a Refusal if any of them could do harm."""
    manifest = Manifest(_sorted(directories), _sorted(files), _sorted(links))
    _check(manifest)
    return manifest


def dump(manifest: Manifest) -> bytes:
    """The canonical form: sorted by path, keys sorted, no spaces, ASCII alone. Refusal: MANIFEST_TOO_LARGE."""
    body = _HEAD | {
        "directories": [asdict(directory) for directory in manifest.directories],
        "files": [_plain(file) for file in manifest.files],
        "links": [asdict(link) for link in manifest.links],
    }
    data = json.dumps(body, sort_keys=True, separators=(",", ":"), ensure_ascii=True).encode()
    _check_size(data)
    return data


def load(data: bytes) -> Manifest:
    """The manifest of a canonical form, checked. Raises a Refusal (MANIFEST_INVALID) for anything else."""
    _check_size(data)
    try:
        body = json.loads(data)
    except (ValueError, RecursionError) as error:
        _refuse("manifest", f"is not JSON ({error})")
    if not isinstance(body, dict) or body.keys() != {*_HEAD, "directories", "files", "links"}:
        _refuse("manifest", f"must have version, chunk_bytes, directories, files and links, as version {VERSION} has")
    for key, expected in _HEAD.items():
        if body[key] != expected:
            _refuse(key, f"is {body[key]!r}; this program knows {expected} only")
    manifest = manifest_of(
        _entries(Directory, body["directories"], "directories"),
        _entries(File, body["files"], "files"),
        _entries(Link, body["links"], "links"),
    )
    if dump(manifest) != data:
        _refuse("manifest", "is not in its canonical form (order, keys given twice, spaces)")
    return manifest


def outputs_digest(manifest: Manifest) -> str:
    """The digest that users compare, "sha256:<hex>", over the lines that coreutils print for these files.

    `cd DIR && find . -type f -print0 | LC_ALL=C sort -z | xargs -0r sha256sum | sha256sum` gives the same. Raises
    ValueError for a manifest without the files' own digests.
    """
    listing = hashlib.sha256()
    for file in manifest.files:
        if not file.sha256:
            raise ValueError(f"{file.path!r} has no sha256")
        name = raw(f"./{file.path}")
        quoted = name.replace(b"\\", b"\\\\").replace(b"\n", b"\\n").replace(b"\r", b"\\r")
        # sha256sum marks a line in which it had to escape something.
        mark = b"\\" if quoted != name else b""
        listing.update(mark + file.sha256.encode() + b"  " + quoted + b"\n")
    return "sha256:" + listing.hexdigest()


def leads_outside(link: str, target: str) -> bool:
    """Whether a link at the path `link` may lead out of the tree.

    ".." is allowed at the beginning only, and no further up than the top: after a name it could go up from wherever
    that name, itself a link, has led to.
    """
    steps = [step for step in target.split("/") if step not in ("", ".")]
    ups = next((index for index, step in enumerate(steps) if step != ".."), len(steps))
    return target.startswith("/") or ups > link.count("/") or ".." in steps[ups:]


def _check_size(data: bytes) -> None:
    if len(data) > MANIFEST_BYTES_MAX:
        message = f"the list of files and chunks takes {len(data)} bytes, {MANIFEST_BYTES_MAX} are allowed; save less"
        raise Refusal(Code.RESOURCE_EXHAUSTED, "MANIFEST_TOO_LARGE", message)


def _sorted(entries: Iterable[Entry]) -> tuple[Entry, ...]:
    try:
        return tuple(sorted(entries, key=lambda entry: raw(entry.path)))
    except UnicodeEncodeError as error:
        _refuse("path", f"{error.object!r} is no path")


def _plain(file: File) -> dict[str, Any]:
    # asdict() would copy every digest of a large file one by one.
    plain: dict[str, Any] = {name: getattr(file, name) for name in _FIELDS[File] if name != "sha256"}
    return plain | {"sha256": file.sha256} if file.sha256 else plain


_FIELDS = {kind: tuple(field.name for field in fields(kind)) for kind in (Directory, File, Link)}
_TEXTS = ("path", "target", "sha256")


def _entries(kind: type[Entry], items: object, name: str) -> list[Entry]:
    if not isinstance(items, list):
        _refuse(name, "must be a list")
    return [_entry(kind, item, f"{name}[{index}]") for index, item in enumerate(items)]


def _entry(kind: type[Entry], item: object, where: str) -> Entry:
    expected = _FIELDS[kind]
    if not isinstance(item, dict) or (item | {"sha256": ""} if kind is File else item).keys() != set(expected):
        _refuse(where, f"must have {', '.join(expected)} and nothing else")
    for key, value in item.items():
        if key == "chunks":
            if not isinstance(value, list) or not all(isinstance(chunk, str) for chunk in value):
                _refuse(f"{where}.chunks", "must be a list of digests")
        elif type(value) is not (str if key in _TEXTS else int):
            _refuse(f"{where}.{key}", f"must be {'text' if key in _TEXTS else 'a whole number'}")
    return kind(**(item | {"chunks": tuple(item["chunks"])} if kind is File else item))


def _check(manifest: Manifest) -> None:
    parents = {""}
    seen: dict[str, str] = {}
    for kind, entries in (("directory", manifest.directories), ("file", manifest.files), ("link", manifest.links)):
        for entry in entries:
            path = entry.path
            where = f"{kind} {path!r}"
            _check_path(path, where)
            if path in seen:
                _refuse(where, f"is there already, as a {seen[path]}")
            # Directories come first, and a parent sorts before what is in it. That nothing lies beneath a link or a
            # file follows: only directories are parents.
            if path.rpartition("/")[0] not in parents:
                _refuse(where, "is in no directory of this manifest")
            seen[path] = kind
            if kind == "directory":
                parents.add(path)
    for directory in manifest.directories:
        _check_owner(directory)
    for file in manifest.files:
        _check_owner(file)
        _check_contents(file)
    for link in manifest.links:
        _check_target(link)


def _check_path(path: str, where: str) -> None:
    encoded = raw(path)
    # Two surrogates may stand for bytes that together are a letter: that would be a second name of one file.
    if encoded.decode("utf-8", "surrogateescape") != path:
        _refuse(where, "has a second spelling")
    names = encoded.split(b"/")
    if any(name in (b"", b".", b"..") or b"\0" in name for name in names):
        _refuse(where, "must be relative to the directory, without '.', '..' and empty names")
    if len(encoded) > PATH_BYTES_MAX or len(names) > DEPTH_MAX or any(len(name) > NAME_BYTES_MAX for name in names):
        limits = f"{PATH_BYTES_MAX} bytes, {DEPTH_MAX} levels, {NAME_BYTES_MAX} bytes a name"
        _refuse(f"{where[:200]}…", f"is too long; allowed are {limits}")


def _check_owner(entry: Directory | File) -> None:
    if not (0 <= entry.mode <= 0o777 and 0 <= entry.uid <= _ID_MAX and 0 <= entry.gid <= _ID_MAX):
        _refuse(repr(entry.path), "must have a mode of at most 0777 (no set-user-id), and ids of 32 bits")


def _check_contents(file: File) -> None:
    where = f"file {file.path!r}"
    if len(file.chunks) != -(-file.size // file.chunk_bytes) or file.size < 0:
        _refuse(
            where, f"has {len(file.chunks)} chunks of {file.chunk_bytes} bytes, and says that its size is {file.size}"
        )
    if not all(map(is_digest, file.chunks)):
        _refuse(where, "has chunks that are no digests")
    if file.sha256 and not (len(file.sha256) == 64 and _HEX.issuperset(file.sha256)):
        _refuse(where, "has a sha256 that is not 64 hexadecimal digits")
    if abs(file.mtime_ns) > _TIME_MAX:
        _refuse(where, "has a time that no file can have")


def _check_target(link: Link) -> None:
    where = f"link {link.path!r}"
    try:
        encoded = raw(link.target)
    except UnicodeEncodeError:
        _refuse(where, "has a target that is no path")
    if not encoded or b"\0" in encoded or len(encoded) > PATH_BYTES_MAX:
        _refuse(where, f"must have a target of 1 to {PATH_BYTES_MAX} bytes")
    if encoded.decode("utf-8", "surrogateescape") != link.target:
        _refuse(where, "has a target with a second spelling")
    if leads_outside(link.path, link.target):
        _refuse(where, f"points to {link.target!r}, which leads outside, or may")


def _refuse(where: str, why: str) -> NoReturn:
    raise Refusal(Code.INVALID_ARGUMENT, "MANIFEST_INVALID", f"{where} {why}")
