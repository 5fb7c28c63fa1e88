"""Looks images up in their registry: which platforms a reference has, and each platform's digest and size."""

import asyncio
import functools
import ipaddress
import logging
from types import TracebackType
from typing import TYPE_CHECKING, Self

from controller import manifests
from controller.docker_config import Credentials, DockerConfig
from controller.manifests import Descriptor, Kind, Malformed, Manifest
from controller.registry import Answer, Kept, Registry
from headrace import references
from headrace.attempts import Platform
from headrace.jobs import ImagePin
from headrace.platforms import normalised
from headrace.references import Reference
from headrace.refusals import Code, Refusal

if TYPE_CHECKING:
    import httpx

DEADLINE_SECONDS = 10.0
CONCURRENT_REQUESTS = 4
# An index in an index is legal, and nobody goes deeper.
MAX_INDEX_DEPTH = 3
MAX_INDEX_ENTRIES = 100
# What is named by its digest is asked for again and again, by each of many jobs.
PINS_KEPT = 1000

# Three tries at a host that swallows packets must end within the deadline.
_ANSWER_SECONDS, _CONNECT_SECONDS = 5.0, 2.5
_MOST_CONNECTIONS, _MOST_IDLE_CONNECTIONS = 32, 8
_LINUX = "linux"

_log = logging.getLogger(__name__)


class Images:
    """Resolves references to pins. Registries on loopback and `insecure_registries` are spoken to without TLS.

    An insecure registry is "host" (every port) or "host:port". A client that is given is left open.
    """

    def __init__(
        self,
        default_registry: str = "",
        insecure_registries: tuple[str, ...] = (),
        credentials: Credentials | None = None,
        client: "httpx.AsyncClient | None" = None,
        *,
        deadline_seconds: float = DEADLINE_SECONDS,
    ) -> None:
        self._default_registry = references.parse_registry(default_registry) if default_registry else ""
        self._insecure = tuple(
            references.parse_registry(name, subject="setting images.insecure_registries")
            for name in insecure_registries
        )
        self._credentials = credentials or DockerConfig()
        self._own_client = client is None
        self._client = client
        self._opening = asyncio.Lock()
        self._deadline_seconds = deadline_seconds
        self._kept = Kept()
        # By reference: the document that they were made of, while it is kept.
        self._pins: dict[str, tuple[Answer, tuple[ImagePin, ...]]] = {}

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, _kind: type[BaseException] | None, _error: BaseException | None, _trace: TracebackType | None
    ) -> None:
        await self.close()

    async def close(self) -> None:
        """Ends the connections to registries."""
        if self._own_client and self._client is not None:
            await self._client.aclose()

    async def opened(self) -> "httpx.AsyncClient":
        """What registries are spoken to by. It costs 0.1 s to have it, which is not spent before it is wanted.

        Raises Refusal where the environment does not allow it.
        """
        async with self._opening:
            if self._client is None:
                self._client = await asyncio.to_thread(_client)
            return self._client

    async def resolve(self, reference: str) -> tuple[ImagePin, ...]:
        """The image of each Linux platform that `reference` has, in the order of its index; at least one.

        Refuses, each for a reason of its own, what is malformed, missing, forbidden, broken, no image, or for no
        Linux platform, and registries that do not answer.
        """
        parsed = references.parse(reference, default_registry=self._default_registry)
        registry = Registry(
            self._client or await self.opened(),
            self._credentials,
            text=reference,
            reference=parsed,
            secure=self._is_secure(parsed.registry),
            kept=self._kept,
        )
        key = (parsed.registry, parsed.repository, parsed.digest)
        known = self._kept.get(key)
        if known is not None and reference in self._pins and self._pins[reference][0] is known:
            return self._pins[reference][1]
        lookup = _Lookup(registry, parsed, reference)
        try:
            async with asyncio.timeout(self._deadline_seconds):
                pins = await lookup.pins()
        except TimeoutError:
            raise registry.unreachable(f"did not answer in full within {self._deadline_seconds:g} s") from None
        known = self._kept.get(key)
        if known is not None and not lookup.missing:
            if len(self._pins) >= PINS_KEPT:
                self._pins.clear()
            self._pins[reference] = (known, pins)
        return pins

    def _is_secure(self, registry: str) -> bool:
        host = references.host_of(registry)
        return not _is_loopback(host) and not any(name in self._insecure for name in (registry, host, f"[{host}]"))


class _Lookup:
    """One reference being resolved."""

    def __init__(self, registry: Registry, parsed: Reference, text: str) -> None:
        self._registry = registry
        self._parsed = parsed
        self._text = text
        self._slots = asyncio.Semaphore(CONCURRENT_REQUESTS)
        self._other_platforms: list[str] = []
        self.missing: list[str] = []

    async def pins(self) -> tuple[ImagePin, ...]:
        answer = await self._registry.manifest(self._parsed.version)
        try:
            found = await self._images(answer, self._parsed.digest, platform=None, depth=0)
        except Malformed as error:
            raise self._registry.corrupt(f"its manifest is broken: {error}") from None
        # As engines do, the first of several for one platform.
        unique: dict[Platform, ImagePin] = {}
        for pin in found:
            unique.setdefault(pin.platform, pin)
        if not unique:
            raise self._nothing_for_linux()
        return tuple(unique.values())

    async def _images(self, answer: Answer, digest: str, *, platform: Platform | None, depth: int) -> list[ImagePin]:
        found = manifests.document(answer.body)
        content_type = answer.headers.get("content-type", "")
        match manifests.kind_of(found, content_type):
            case Kind.INDEX:
                return await self._of_index(manifests.index_entries(found), depth)
            case Kind.MANIFEST:
                image = manifests.manifest(found)
                if image.is_image:
                    return await self._of_image(answer, image, digest, platform)
                if depth:
                    return []  # A signature or the like, beside the images that it speaks of.
                raise self._registry.unsupported(f"it is {image.config.media_type[:100]}")
            case Kind.SCHEMA1:
                raise self._registry.unsupported("it is in Docker's schema 1, which names no platforms; push it again")
            case Kind.UNKNOWN:
                said = str(found.get("mediaType") or content_type or "something unnamed")[:100]
                raise self._registry.unsupported(f"the registry holds {said} under this name")

    async def _of_index(self, entries: tuple[Descriptor, ...], depth: int) -> list[ImagePin]:
        if depth >= MAX_INDEX_DEPTH:
            raise Malformed(f"its indexes are nested more than {MAX_INDEX_DEPTH} deep")
        if len(entries) > MAX_INDEX_ENTRIES:
            raise Malformed(f"its index has more than {MAX_INDEX_ENTRIES} images")
        try:
            async with asyncio.TaskGroup() as group:
                tasks = [group.create_task(self._of_entry(entry, depth)) for entry in entries]
        except ExceptionGroup as errors:
            raise errors.exceptions[0] from None
        return [pin for task in tasks for pin in task.result()]

    async def _of_entry(self, entry: Descriptor, depth: int) -> list[ImagePin]:
        platform = entry.platform
        if platform is not None and platform.os.lower() != _LINUX:
            self._other_platforms.append(str(platform))
            return []
        try:
            async with self._slots:
                answer = await self._registry.manifest(entry.digest)
        except Refusal as refusal:
            if refusal.reason != "IMAGE_NOT_FOUND":
                raise
            # Mirrors copy an index whole and the images of some platforms. What is not there cannot run anywhere.
            _log.info("%s lists %s for %s, which its registry does not have", self._text, entry.digest, platform)
            self.missing.append(str(platform) if platform is not None else entry.digest)
            return []
        return await self._images(answer, entry.digest, platform=platform, depth=depth + 1)

    async def _of_image(
        self, answer: Answer, image: Manifest, digest: str, platform: Platform | None
    ) -> list[ImagePin]:
        platform = platform or await self._config_platform(image.config.digest)
        if platform.os.lower() != _LINUX:
            self._other_platforms.append(str(platform))
            return []
        # Engines ask for exactly this digest, so it is computed over what was read, not believed.
        digest = digest or manifests.digest_of(answer.body)
        return [ImagePin(normalised(platform), f"{self._parsed.name}@{digest}", self._text, image.size_bytes)]

    async def _config_platform(self, digest: str) -> Platform:
        async with self._slots:
            body = await self._registry.config(digest)
        return manifests.config_platform(manifests.document(body))

    def _nothing_for_linux(self) -> Refusal:
        if self.missing:
            what = f"the registry lacks its images for {', '.join(self.missing)}, though its index lists them"
            return self._registry.refusal(
                Code.NOT_FOUND, "IMAGE_NOT_FOUND", f"{what}; push or copy it again with all its platforms"
            )
        has = f"only for {', '.join(self._other_platforms)}" if self._other_platforms else "for no platform at all"
        return self._registry.refusal(
            Code.FAILED_PRECONDITION, "IMAGE_NO_PLATFORM", f"it is {has}; name an image for Linux"
        )


def _unusable(error: Exception) -> Refusal:
    message = (
        f"the controller cannot speak to registries ({error}); see to SSL_CERT_FILE, SSL_CERT_DIR and the proxies"
        " (HTTPS_PROXY, HTTP_PROXY, ALL_PROXY) in the environment that it is started with"
    )
    return Refusal(Code.FAILED_PRECONDITION, "REGISTRY_CLIENT_UNUSABLE", message)


def _client() -> "httpx.AsyncClient":
    import httpx  # noqa: PLC0415 - as in `controller.registry`.

    # A proxy of the environment leads out; registries on this machine are not behind it.
    direct = dict.fromkeys(("all://127.0.0.1", "all://localhost", "all://[::1]"))
    timeout = httpx.Timeout(_ANSWER_SECONDS, connect=_CONNECT_SECONDS, pool=DEADLINE_SECONDS)
    limits = httpx.Limits(max_connections=_MOST_CONNECTIONS, max_keepalive_connections=_MOST_IDLE_CONNECTIONS)
    try:
        return httpx.AsyncClient(timeout=timeout, limits=limits, max_redirects=5, mounts=direct)
    except (OSError, ValueError, ImportError, httpx.InvalidURL) as error:
        raise _unusable(error) from error


# Each job's image is asked for again.
@functools.lru_cache(PINS_KEPT)
def _is_loopback(host: str) -> bool:
    if host == "localhost":
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False
