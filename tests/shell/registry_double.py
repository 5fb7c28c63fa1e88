"""A registry on loopback that serves what a test puts into it, and counts what it was asked. No test by itself."""

import asyncio
import hashlib
import json
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any

import pytest

from controller.docker_config import Credential
from controller.images import Images
from headrace.attempts import Platform
from headrace.jobs import ImagePin
from headrace.refusals import Refusal

OCI = "application/vnd.oci.image"
DOCKER = "application/vnd.docker"
OCI_TYPES = (f"{OCI}.index.v1+json", f"{OCI}.manifest.v1+json", f"{OCI}.config.v1+json")
DOCKER_TYPES = (
    f"{DOCKER}.distribution.manifest.list.v2+json",
    f"{DOCKER}.distribution.manifest.v2+json",
    f"{DOCKER}.container.image.v1+json",
)
AMD64, ARM64, ARMV7 = Platform("linux", "amd64"), Platform("linux", "arm64"), Platform("linux", "arm", "v7")
Document = dict[str, Any]


@dataclass
class Request:
    """What came in; `target` is the path with its query."""

    method: str
    target: str
    headers: dict[str, str]
    body: bytes = b""


@dataclass
class Response:
    """What goes out."""

    status: int = 200
    body: bytes = b""
    headers: dict[str, str] = field(default_factory=dict)


def error(status: int, code: str, **headers: str) -> Response:
    body = json.dumps({"errors": [{"code": code, "message": code.lower()}]}).encode()
    return Response(status, body, {name.replace("_", "-"): value for name, value in headers.items()})


class Registry:
    """A registry's double: repository "team/train" of an HTTP server, one request a connection."""

    def __init__(self) -> None:
        self.contents: dict[str, Response] = {}
        self.requests: list[Request] = []
        self.before: Callable[[Request], Awaitable[Response | None]] | None = None
        self.host = ""

    def put(self, document: Any, media_type: str = "", *, tag: str = "", kind: str = "manifests") -> Document:
        """Keeps a document under its digest, and its tag; answers its descriptor."""
        body = document if isinstance(document, bytes) else json.dumps(document).encode()
        digest = f"sha256:{hashlib.sha256(body).hexdigest()}"
        response = Response(200, body, {"Content-Type": media_type, "Docker-Content-Digest": digest})
        for version in filter(None, (digest, tag)):
            self.contents[f"/v2/team/train/{kind}/{version}"] = response
        return {"mediaType": media_type, "digest": digest, "size": len(body)}

    def image(self, platform: Platform, types: tuple[str, str, str] = OCI_TYPES, *, tag: str = "") -> Document:
        """Puts an image of two layers, 3000 bytes together; its descriptor as an index has it."""
        said = {"os": platform.os, "architecture": platform.architecture, "variant": platform.variant}
        said = {name: value for name, value in said.items() if value}
        config = self.put(said | {"rootfs": {}}, types[2], kind="blobs")
        layers = [{"mediaType": "x", "digest": f"sha256:{number:064x}", "size": number} for number in (1000, 2000)]
        manifest = {"schemaVersion": 2, "mediaType": types[1], "config": config, "layers": layers}
        return self.put(manifest, types[1], tag=tag) | {"platform": said, "config_size": config["size"]}

    def index(self, *entries: Document, types: tuple[str, str, str] = OCI_TYPES, tag: str = "1") -> Document:
        return self.put({"schemaVersion": 2, "manifests": list(entries)}, types[0], tag=tag)

    def forget(self, descriptor: Document) -> None:
        del self.contents[f"/v2/team/train/manifests/{descriptor['digest']}"]

    def pin(self, platform: Platform, descriptor: Document, reference: str) -> ImagePin:
        image = f"{self.host}/team/train@{descriptor['digest']}"
        return ImagePin(platform, image, reference, 3000 + descriptor["config_size"])

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            head = (await reader.readuntil(b"\r\n\r\n")).decode()
            line, *lines = head.strip().split("\r\n")
            headers = {name.lower(): value.strip() for name, _, value in (item.partition(":") for item in lines)}
            body = await reader.readexactly(int(headers.get("content-length", "0")))
            method, target, _ = line.split(" ")
            response = await self.answer(Request(method, target, headers, body))
            lines = [f"{name}: {value}" for name, value in response.headers.items()]
            lines = [
                f"HTTP/1.1 {response.status} X",
                f"Content-Length: {len(response.body)}",
                "Connection: close",
                *lines,
            ]
            writer.write("\r\n".join([*lines, "", ""]).encode() + response.body)
            await writer.drain()
        except (asyncio.IncompleteReadError, ConnectionError):
            pass
        finally:
            writer.close()

    async def answer(self, request: Request) -> Response:
        self.requests.append(request)
        scripted = await self.before(request) if self.before is not None else None
        return scripted or self.contents.get(request.target) or error(404, "MANIFEST_UNKNOWN")


@asynccontextmanager
async def serving() -> AsyncIterator[Registry]:
    """A registry for the time of a test."""
    double = Registry()
    server = await asyncio.start_server(double.serve, "127.0.0.1", 0)
    double.host = f"127.0.0.1:{server.sockets[0].getsockname()[1]}"
    async with server:
        yield double


class Known:
    """Credentials for every registry."""

    def __init__(self, username: str = "", secret: str = "") -> None:
        self._credential = Credential(username, secret) if secret else None

    async def credential(self, _registry: str) -> Credential | None:
        return self._credential


async def resolved(registry: Registry, reference: str = "team/train:1", **settings: Any) -> tuple[ImagePin, ...]:
    settings.setdefault("credentials", Known())
    async with Images(registry.host, **settings) as images:
        return await images.resolve(reference)


async def refused(registry: Registry, reference: str = "team/train:1", **settings: Any) -> Refusal:
    with pytest.raises(Refusal) as caught:
        await resolved(registry, reference, **settings)
    assert caught.value.message.startswith(f"image {reference!r}: ")
    return caught.value
