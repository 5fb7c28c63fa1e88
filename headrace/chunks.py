"""Chunks: pieces of files, named by the sha256 of their bytes and compressed with zstd, on the wire and on disk."""

import hashlib
import re

import zstandard

from headrace.refusals import Code, Refusal

# A file of this many bytes is cut into large chunks, any smaller one into small ones: each costs a file and a sync.
# One hundredth of a file, in one place, is then never more than three of its hundredths in chunks.
LARGE_FILE_BYTES = 128 << 20
CHUNK_BYTES = 256 << 10
LARGE_CHUNK_BYTES = 1 << 20

# What one message of a transfer holds together, and how many digests one request may name.
MESSAGE_BYTES = 1 << 20
DIGESTS_MAX = 10_000

_DIGEST = re.compile(r"sha256:[0-9a-f]{64}", re.ASCII)
_LEVEL = 1

# What hardly shrinks at its beginning travels as it is, in a frame of raw blocks.
_PROBE_BYTES = 16 << 10
_FEWER = 0.97
_FRAME = zstandard.FRAME_HEADER
# One segment, and four bytes that say how long it is.
_SIZED = b"\xa0"
_BLOCK_BYTES = 128 << 10


class ChunkCorrupt(Exception):
    """What came is not what its name says. `digest` is the name."""

    def __init__(self, digest: str, why: str) -> None:
        super().__init__(f"chunk {digest}: {why}")
        self.digest = digest


def digest_of(data: bytes | bytearray | memoryview) -> str:
    """The name of these bytes, "sha256:<hex>"."""
    return "sha256:" + hashlib.sha256(data).hexdigest()


ZEROS = frozenset({digest_of(bytes(CHUNK_BYTES)), digest_of(bytes(LARGE_CHUNK_BYTES))})


def chunk_bytes_of(size: int) -> int:
    """Into chunks of how many bytes a file of this size is cut."""
    return CHUNK_BYTES if size < LARGE_FILE_BYTES else LARGE_CHUNK_BYTES


def is_digest(text: str) -> bool:
    """Whether this is a name as `digest_of` makes it. One that is not may be a path to somewhere."""
    return _DIGEST.fullmatch(text) is not None


def check_digest(text: str) -> str:
    """The digest itself, if it is one; else a Refusal."""
    if not is_digest(text):
        message = f"{text[:100]!r} is not a digest; give sha256: and 64 hexadecimal digits in lower case"
        raise Refusal(Code.INVALID_ARGUMENT, "DIGEST_MALFORMED", message)
    return text


def compressed(data: bytes | bytearray | memoryview) -> bytes:
    """A chunk as it travels."""
    compressor = zstandard.ZstdCompressor(level=_LEVEL)
    if len(data) > 2 * _PROBE_BYTES:
        view = memoryview(data)
        # Files may have a head of another kind than the rest.
        probe = b"".join((view[: _PROBE_BYTES // 2], view[-_PROBE_BYTES // 2 :]))
        if len(compressor.compress(probe)) > _FEWER * _PROBE_BYTES:
            return _stored(view)
    return compressor.compress(data)


def _stored(view: memoryview) -> bytes:
    """A zstd frame of which nothing is compressed."""
    parts: list[bytes | memoryview] = [_FRAME, _SIZED, len(view).to_bytes(4, "little")]
    for start in range(0, len(view), _BLOCK_BYTES):
        block = view[start : start + _BLOCK_BYTES]
        is_last = start + _BLOCK_BYTES >= len(view)
        parts += [(len(block) << 3 | is_last).to_bytes(3, "little"), block]
    return b"".join(parts)


def expanded(digest: str, data: bytes) -> bytes:
    """The bytes of a chunk that came from elsewhere. Raises ChunkCorrupt; never takes more memory than a chunk."""
    try:
        # A frame may claim any size, and the decompressor would make room for it before it looks.
        if zstandard.frame_content_size(data) > LARGE_CHUNK_BYTES:
            raise ChunkCorrupt(digest, f"larger than {LARGE_CHUNK_BYTES} bytes")
        decompressor = zstandard.ZstdDecompressor()
        plain = decompressor.decompress(data, max_output_size=LARGE_CHUNK_BYTES, allow_extra_data=False)
    except zstandard.ZstdError as error:
        raise ChunkCorrupt(digest, f"not a zstd frame of at most {LARGE_CHUNK_BYTES} bytes ({error})") from error
    if not plain:
        raise ChunkCorrupt(digest, "empty")
    if digest_of(plain) != digest:
        raise ChunkCorrupt(digest, f"its bytes are those of {digest_of(plain)}")
    return plain
