"""Image manifests as registries serve them: parsed, told apart and checked. Pure."""

import hashlib
import json
import re
from dataclasses import dataclass
from enum import Enum
from typing import Any

from headrace.attempts import Platform


class Kind(Enum):
    """What a document of a registry is."""

    INDEX = 1
    MANIFEST = 2
    SCHEMA1 = 3
    UNKNOWN = 4


class Malformed(Exception):
    """The document is broken; the message says how."""


_KINDS = {
    "application/vnd.oci.image.index.v1+json": Kind.INDEX,
    "application/vnd.docker.distribution.manifest.list.v2+json": Kind.INDEX,
    "application/vnd.oci.image.manifest.v1+json": Kind.MANIFEST,
    "application/vnd.docker.distribution.manifest.v2+json": Kind.MANIFEST,
    "application/vnd.docker.distribution.manifest.v1+json": Kind.SCHEMA1,
    "application/vnd.docker.distribution.manifest.v1+prettyjws": Kind.SCHEMA1,
}
# Some registries and proxies serve manifests under the types of plain files.
_VAGUE_TYPES = ("", "application/json", "application/octet-stream", "text/plain")

ACCEPT = ", ".join(_KINDS)

_CONFIG_TYPES = ("application/vnd.oci.image.config.v1+json", "application/vnd.docker.container.image.v1+json")

# Attestations and signatures stand in an index beside the images that they speak of.
_UNKNOWN = "unknown"
_REFERENCE_TYPE = "vnd.docker.reference.type"


_PLATFORM_PART = re.compile(r"[A-Za-z0-9._-]{1,64}", re.ASCII)

# Beyond any image, and well within the 64 bits of our own messages.
_MAX_SIZE_BYTES = 1 << 60


@dataclass(frozen=True, slots=True)
class Descriptor:
    """What an index or a manifest points to. `platform` is `None` where none is said."""

    media_type: str
    digest: str
    size_bytes: int
    platform: Platform | None = None

    @property
    def kind(self) -> Kind:
        """What is to be found there."""
        return _KINDS.get(self.media_type, Kind.UNKNOWN)


@dataclass(frozen=True, slots=True)
class Manifest:
    """One image: its config, and the bytes of config and layers together, as they travel."""

    config: Descriptor
    size_bytes: int

    @property
    def is_image(self) -> bool:
        """Whether it is an image that containers are made of, and not a chart, a signature, a model."""
        return self.config.media_type in _CONFIG_TYPES


def digest_of(body: bytes, *, like: str = "sha256:") -> str:
    """The digest of a body, by the algorithm that `like` has."""
    algorithm = like.partition(":")[0]
    return f"{algorithm}:{hashlib.new(algorithm, body).hexdigest()}"


def is_digest(text: str) -> bool:
    """Whether it is a digest by an algorithm that we can check."""
    algorithm, _, value = text.partition(":")
    return algorithm in ("sha256", "sha512") and len(value) * 4 == int(algorithm[3:]) and _is_hex(value)


def document(body: bytes) -> dict[str, Any]:
    """The JSON object of a body. Raises Malformed."""
    try:
        found = json.loads(body)
    except (ValueError, RecursionError):
        raise Malformed("it is no JSON") from None
    if not isinstance(found, dict):
        raise Malformed("it is no JSON object")
    return found


def kind_of(found: dict[str, Any], content_type: str) -> Kind:
    """What a document is: by the type that it came under, else by its own word, else by its shape. Raises Malformed."""
    if "manifests" in found and ("layers" in found or "config" in found):
        # Two readers could take it for two different images (CVE-2021-41190).
        raise Malformed("it is an index and a manifest at once")
    said = (content_type.partition(";")[0].strip().lower(), found.get("mediaType"))
    kinds = [_KINDS.get(name, Kind.UNKNOWN) for name in said if isinstance(name, str) and name not in _VAGUE_TYPES]
    if len(kinds) == 2 and kinds[0] is not kinds[1]:
        raise Malformed(f"it came as {said[0]} and calls itself {str(said[1])[:100]}")
    if kinds:
        return kinds[0]
    if found.get("schemaVersion") == 1:
        return Kind.SCHEMA1
    if "manifests" in found:
        return Kind.INDEX
    return Kind.MANIFEST if "layers" in found else Kind.UNKNOWN


def index_entries(found: dict[str, Any]) -> tuple[Descriptor, ...]:
    """The images and indexes of an index, in its order, without attestations and what else is no image."""
    descriptors = [_descriptor(entry) for entry in _list(found, "manifests") if not _is_attestation(entry)]
    return tuple(
        descriptor
        for descriptor in descriptors
        if descriptor.kind in (Kind.INDEX, Kind.MANIFEST)
        and (descriptor.platform is None or descriptor.platform.architecture != _UNKNOWN)
    )


def manifest(found: dict[str, Any]) -> Manifest:
    """The image of a manifest. Raises Malformed."""
    config = _descriptor(found.get("config"))
    layers = [_descriptor(layer) for layer in _list(found, "layers")]
    size_bytes = config.size_bytes + sum(layer.size_bytes for layer in layers)
    if size_bytes > _MAX_SIZE_BYTES:
        raise Malformed(f"its layers are said to be {size_bytes} bytes")
    return Manifest(config, size_bytes)


def config_platform(found: dict[str, Any]) -> Platform:
    """The platform that an image's config says it is for. Raises Malformed."""
    platform = _platform(found)
    if platform is None:
        raise Malformed("its config does not say for which os and architecture it is")
    return platform


def _is_attestation(entry: Any) -> bool:
    annotations = entry.get("annotations") if isinstance(entry, dict) else None
    return isinstance(annotations, dict) and _REFERENCE_TYPE in annotations


def _descriptor(entry: Any) -> Descriptor:
    if not isinstance(entry, dict):
        raise Malformed("an entry of it is no descriptor")
    media_type, digest, size = entry.get("mediaType"), entry.get("digest"), entry.get("size")
    if not isinstance(media_type, str):
        raise Malformed("a descriptor in it has no mediaType")
    if not isinstance(digest, str) or not is_digest(digest):
        raise Malformed(f"a descriptor in it has the digest {str(digest)[:100]!r}")
    if not isinstance(size, int) or isinstance(size, bool) or not 0 <= size <= _MAX_SIZE_BYTES:
        raise Malformed(f"a descriptor in it has the size {str(size)[:100]!r}")
    return Descriptor(media_type, digest, size, _platform(entry.get("platform")))


def _platform(found: Any) -> Platform | None:
    if not isinstance(found, dict):
        return None
    system, architecture, variant = found.get("os"), found.get("architecture"), found.get("variant") or ""
    if not isinstance(system, str) or not isinstance(architecture, str) or not isinstance(variant, str):
        return None
    if not system or not architecture:
        return None
    for name, part in (("os", system), ("architecture", architecture), ("variant", variant)):
        # It is kept with the job, and shown: text that no other program would take must not come that far.
        if part and not _PLATFORM_PART.fullmatch(part):
            raise Malformed(f"it is for the {name} {part[:100]!r}")
    return Platform(system, architecture, variant)


def _list(found: dict[str, Any], name: str) -> list[Any]:
    items = found.get(name)
    if not isinstance(items, list):
        raise Malformed(f"its {name} are no list")
    return items


def _is_hex(text: str) -> bool:
    return all(letter in "0123456789abcdef" for letter in text)
