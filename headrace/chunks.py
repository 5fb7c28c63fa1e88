"""Chunks: pieces of files, named by the sha256 of their bytes and compressed with zstd, on the wire and on disk."""

import hashlib
import re

import zstandard

from headrace.refusals import Code, Refusal

CHUNK_BYTES = 256 << 10

# What one message of a transfer holds together, and how many digests one request may name.
MESSAGE_BYTES = 1 << 20
DIGESTS_MAX = 10_000

_DIGEST = re.compile(r"sha256:[0-9a-f]{64}", re.ASCII)
_LEVEL = 1


class ChunkCorrupt(Exception):
    """What came is not what its name says. `digest` is the name."""

    def __init__(self, digest: str, why: str) -> None:
        super().__init__(f"chunk {digest}: {why}")
        self.digest = digest


def digest_of(data: bytes | bytearray | memoryview) -> str:
    """The name of these bytes, "sha256:<hex>"."""
    return "sha256:" + hashlib.sha256(data).hexdigest()


ZEROS = digest_of(bytes(CHUNK_BYTES))


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
    return zstandard.ZstdCompressor(level=_LEVEL).compress(data)


def expanded(digest: str, data: bytes) -> bytes:
    """The bytes of a chunk that came from elsewhere. Raises ChunkCorrupt; never takes more memory than a chunk."""
    try:
        # A frame may claim any size, and the decompressor would make room for it before it looks.
        if zstandard.frame_content_size(data) > CHUNK_BYTES:
            raise ChunkCorrupt(digest, f"larger than {CHUNK_BYTES} bytes")
        decompressor = zstandard.ZstdDecompressor()
        plain = decompressor.decompress(data, max_output_size=CHUNK_BYTES, allow_extra_data=False)
    except zstandard.ZstdError as error:
        raise ChunkCorrupt(digest, f"not a zstd frame of at most {CHUNK_BYTES} bytes ({error})") from error
    if not plain:
        raise ChunkCorrupt(digest, "empty")
    if digest_of(plain) != digest:
        raise ChunkCorrupt(digest, f"its bytes are those of {digest_of(plain)}")
    return plain
