"""Answers of the engine that go on for as long as something happens: events, logs, pulls, files.

docker-py reads them in blocking threads that nobody outside can end. Here asyncio reads them: to cancel is to hang
up. HTTP/1.0 is asked for on purpose: its answers come as they are and end with the connection, whereas in HTTP/1.1
each line of a log is a chunk of its own, to be taken apart a second time.
"""

import asyncio
import json
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass
from typing import Any
from urllib.parse import quote, urlencode, urlsplit

from agent.runtimes.docker_errors import readable
from agent.runtimes.runtime import EngineUnreachable
from headrace.refusals import Code, Refusal

READ_BYTES = 128 * 1024


@dataclass(frozen=True, slots=True)
class Address:
    """Where an engine listens: a socket's path, or host and port."""

    path: str = ""
    host: str = ""
    port: int = 0

    @property
    def url(self) -> str:
        """The address as docker-py takes it."""
        return f"unix://{self.path}" if self.path else f"tcp://{self.host}:{self.port}"


@dataclass(frozen=True, slots=True)
class Answer:
    """An answer whose body is still coming; header names are in lower case."""

    status: int
    headers: Mapping[str, str]
    body: asyncio.StreamReader

    async def message(self) -> str:
        """What the engine says in an answer that is an error."""
        text = (await self.read_all()).decode(errors="replace").strip()
        try:
            return str(json.loads(text)["message"])
        except (ValueError, KeyError, TypeError):
            return text

    async def read(self, limit: int = READ_BYTES) -> bytes:
        """What has come, at least one byte; empty at the end."""
        try:
            return await self.body.read(limit)
        except OSError as error:
            raise EngineUnreachable(f"the engine's answer broke off: {error}") from error

    async def read_all(self) -> bytes:
        """All that comes until the end."""
        parts = []
        while part := await self.read():
            parts.append(part)
        return b"".join(parts)

    async def documents(self) -> AsyncIterator[dict[str, Any]]:
        """The JSON objects of a body that has one a line, as they come; a half one at the end is none."""
        rest = b""
        while part := await self.read():
            *lines, rest = (rest + part).split(b"\n")
            for line in lines:
                if line.strip():
                    yield _document(line)


def _document(line: bytes) -> dict[str, Any]:
    with readable():
        document = json.loads(line)
        if not isinstance(document, dict):
            raise TypeError(f"no object: {line[:200]!r}")
    return document


def address_of(host: str) -> Address:
    """The address that DOCKER_HOST means; refuses what is neither unix:// nor tcp://."""
    parts = urlsplit(host)
    if parts.scheme == "unix" and parts.path and not parts.netloc:
        return Address(path=parts.path)
    try:
        if parts.scheme in ("tcp", "http") and parts.hostname and parts.port:
            return Address(host=parts.hostname, port=parts.port)
    except ValueError:
        pass  # A port that is no number; said below.
    raise Refusal(
        Code.INVALID_ARGUMENT,
        "ENGINE_ADDRESS_INVALID",
        f"engine {host!r}: no address of an engine; write unix:///run/docker.sock or tcp://127.0.0.1:2375",
    )


@asynccontextmanager
async def request(
    address: Address,
    method: str,
    path: str,
    query: Mapping[str, str],
    *,
    headers: Mapping[str, str] | None = None,
    timeout_seconds: float | None,
) -> AsyncIterator[Answer]:
    """Asks, and hangs up at the block's end. The timeout is for connection and headers; None waits for ever."""
    try:
        async with asyncio.timeout(timeout_seconds):
            reader, writer = await _connect(address)
    except OSError as error:
        raise EngineUnreachable(f"no engine answers at {address.path or address.host}: {error}") from error
    try:
        try:
            writer.write(_head(method, path, query, headers or {}))
            async with asyncio.timeout(timeout_seconds):
                answer = await _answer(reader)
        except (OSError, ValueError, IndexError, asyncio.IncompleteReadError, asyncio.LimitOverrunError) as error:
            raise EngineUnreachable(f"the engine did not answer {method} {path}: {error!r}") from error
        yield answer
    finally:
        writer.close()
        with suppress(OSError):
            await writer.wait_closed()


async def _connect(address: Address) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
    if address.path:
        return await asyncio.open_unix_connection(address.path, limit=READ_BYTES)
    return await asyncio.open_connection(address.host, address.port, limit=READ_BYTES)


def _head(method: str, path: str, query: Mapping[str, str], headers: Mapping[str, str]) -> bytes:
    lines = [f"{method} {quote(path)}?{urlencode(query)} HTTP/1.0", "Host: docker", "Content-Length: 0"]
    lines += [f"{name}: {value}" for name, value in headers.items()]
    return "\r\n".join([*lines, "", ""]).encode()


async def _answer(reader: asyncio.StreamReader) -> Answer:
    head = (await reader.readuntil(b"\r\n\r\n")).decode("latin-1")
    first, *lines = head.rstrip().split("\r\n")
    headers = {name.strip().lower(): value.strip() for name, _, value in (line.partition(":") for line in lines)}
    return Answer(int(first.split(" ", 2)[1]), headers, reader)
