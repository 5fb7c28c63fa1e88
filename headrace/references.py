"""Image references as people write them, by the grammar of the distribution project: parsed and completed."""

import functools
import ipaddress
import re
from dataclasses import dataclass

from headrace.refusals import Code, Refusal

DOCKER_HUB = "docker.io"
DEFAULT_TAG = "latest"
REASON = "IMAGE_REFERENCE_INVALID"
PARSED_KEPT = 1000

_HUB_NAMES = (DOCKER_HUB, "index.docker.io", "registry-1.docker.io")
_MAX_LENGTH = 600
_MAX_REPOSITORY_LENGTH = 255

_LABEL = r"[A-Za-z0-9](?:[A-Za-z0-9-]*[A-Za-z0-9])?"
_REGISTRY = re.compile(rf"(?P<host>{_LABEL}(?:\.{_LABEL})*|\[[0-9A-Fa-f:.]+\])(?::(?P<port>\d{{1,5}}))?", re.ASCII)
_COMPONENT = r"[a-z0-9]+(?:(?:\.|__?|-+)[a-z0-9]+)*"
_REPOSITORY = re.compile(rf"{_COMPONENT}(?:/{_COMPONENT})*", re.ASCII)
_TAG = re.compile(r"\w[\w.-]{0,127}", re.ASCII)
_DIGEST = re.compile(r"sha256:[0-9a-f]{64}|sha512:[0-9a-f]{128}", re.ASCII)
_IMAGE_ID = re.compile(r"[0-9a-f]{64}", re.ASCII)


@dataclass(frozen=True, slots=True)
class Reference:
    """An image's complete name: `registry` is "host" or "host:port"; a `digest` wins over a `tag`."""

    registry: str
    repository: str
    tag: str = ""
    digest: str = ""

    @property
    def name(self) -> str:
        """Registry and repository."""
        return f"{self.registry}/{self.repository}"

    @property
    def version(self) -> str:
        """What a registry is asked for."""
        return self.digest or self.tag

    def __str__(self) -> str:
        tag = f":{self.tag}" if self.tag else ""
        digest = f"@{self.digest}" if self.digest else ""
        return f"{self.name}{tag}{digest}"


# Many jobs name few images.
@functools.lru_cache(PARSED_KEPT)
def parse(text: str, *, default_registry: str = "") -> Reference:
    """The reference that `text` means; refuses what is malformed.

    Without a registry it is in `default_registry`, and if that is empty in Docker Hub.
    """
    name, digest = _without_digest(text)
    name, tag = _without_tag(text, name)
    registry, repository = _split(name)
    if registry:
        registry = parse_registry(registry, subject=_subject(text))
    else:
        registry = parse_registry(default_registry) if default_registry else DOCKER_HUB
    if registry in _HUB_NAMES:
        registry = DOCKER_HUB
        repository = repository if "/" in repository else f"library/{repository}"
    _check_repository(text, repository)
    return Reference(registry, repository, tag or ("" if digest else DEFAULT_TAG), digest)


def parse_registry(text: str, *, subject: str = "setting images.default_registry") -> str:
    """The registry "host" or "host:port" in lower case. Refuses what is none; `subject` is where `text` stands."""
    match = _REGISTRY.fullmatch(text)
    if match is None:
        remedy = "write a host, with a port where it has one, e.g. registry.example:5000"
        raise _refusal(subject, f"{text!r} is no registry", remedy)
    host, port = match["host"], match["port"]
    if host.startswith("[") and not _is_ipv6(host[1:-1]):
        raise _refusal(subject, f"{host} is no IPv6 address", "write e.g. [::1]:5000")
    if port is not None and not 1 <= int(port) <= 65535:
        raise _refusal(subject, f"{port} is no port", "a port is a number from 1 to 65535")
    return text.lower()


def host_of(registry: str) -> str:
    """The host alone, without port and brackets."""
    match = _REGISTRY.fullmatch(registry)
    return match["host"].strip("[]").lower() if match is not None else registry


def _without_digest(text: str) -> tuple[str, str]:
    if not text or len(text) > _MAX_LENGTH or not text.isprintable() or " " in text:
        raise _malformed(text, "it is empty, too long or has a space in it", "write e.g. registry.example/team/train:1")
    if "://" in text:
        raise _malformed(text, "it begins as a web address does", f"leave out {text.partition('://')[0]}://")
    name, at, digest = text.partition("@")
    if at and _DIGEST.fullmatch(digest) is None:
        raise _malformed(
            text, f"{digest!r} is no digest", "a digest is sha256: and 64 hexadecimal digits in lower case"
        )
    return name, digest


def _without_tag(text: str, name: str) -> tuple[str, str]:
    folder, slash, last = name.rpartition("/")
    last, colon, tag = last.partition(":")
    if colon and _TAG.fullmatch(tag) is None:
        raise _malformed(
            text, f"{tag!r} is no tag", "a tag has up to 128 letters, digits and _.- and begins with no . or -"
        )
    return f"{folder}{slash}{last}", tag


def _split(name: str) -> tuple[str, str]:
    # Docker's rule: what stands before the first slash is a registry if it looks like a host. A single word in upper
    # case is taken for a repository here, and refused, where Docker would ask a host of that name.
    first, slash, rest = name.partition("/")
    if slash and ("." in first or ":" in first or first == "localhost"):
        return first, rest
    return "", name


def _check_repository(text: str, repository: str) -> None:
    if _IMAGE_ID.fullmatch(repository.removeprefix("library/")):
        raise _malformed(text, "it is the id of an image in some engine", "write its name, or name@sha256:digest")
    if len(repository) > _MAX_REPOSITORY_LENGTH:
        raise _malformed(text, "its repository is too long", f"use at most {_MAX_REPOSITORY_LENGTH} characters")
    if _REPOSITORY.fullmatch(repository) is not None:
        return
    if _REPOSITORY.fullmatch(repository.lower()) is not None:
        remedy = f"repositories are written in lower case: {repository.lower().removeprefix('library/')}"
        raise _malformed(text, "it has upper case in its repository", remedy)
    raise _malformed(
        text,
        f"{repository.removeprefix('library/')!r} is no repository",
        "use lower-case letters and digits, with one of . _ __ - between them and / between folders",
    )


def _is_ipv6(text: str) -> bool:
    try:
        ipaddress.IPv6Address(text)
    except ValueError:
        return False
    return True


def _malformed(text: str, what: str, remedy: str) -> Refusal:
    return _refusal(_subject(text), what, remedy)


def _subject(text: str) -> str:
    return f"image {text if len(text) <= 200 else text[:200] + '…'!r}"


def _refusal(subject: str, what: str, remedy: str) -> Refusal:
    return Refusal(Code.INVALID_ARGUMENT, REASON, f"{subject}: {what}; {remedy}")
