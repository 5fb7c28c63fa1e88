"""A way to the controller on which is counted what an agent sends: all bytes, and messages by the frames of HTTP/2."""

import asyncio
import contextlib
from collections.abc import AsyncIterator
from dataclasses import dataclass, field

_PREFACE_BYTES = len(b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n")
_HEAD_BYTES = 9
_DATA = 0


@dataclass(slots=True)
class Counted:
    """What went up. A message is its DATA frame with the frame's head: small ones have one each."""

    address: str = ""
    bytes_up: int = 0
    messages: list[int] = field(default_factory=list)

    def clear(self) -> None:
        """From here on."""
        self.bytes_up = 0
        self.messages.clear()


@contextlib.asynccontextmanager
async def counted(there: str) -> AsyncIterator[Counted]:
    """An address that leads to `there`, for as long as the block lasts."""
    found = Counted()
    passing: list[asyncio.Task[None]] = []

    def accept(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        passing.append(asyncio.create_task(_passed(reader, writer, there, found)))

    server = await asyncio.start_server(accept, "127.0.0.1", 0)
    host, port = server.sockets[0].getsockname()
    found.address = f"{host}:{port}"
    try:
        yield found
    finally:
        server.close()
        for task in passing:
            task.cancel()
        await asyncio.gather(*passing, return_exceptions=True)


async def _passed(reader: asyncio.StreamReader, writer: asyncio.StreamWriter, there: str, found: Counted) -> None:
    host, _, port = there.rpartition(":")
    there_reader, there_writer = await asyncio.open_connection(host, int(port))
    try:
        async with asyncio.TaskGroup() as both:
            both.create_task(_up(reader, there_writer, found))
            both.create_task(_down(there_reader, writer))
    finally:
        for each in (writer, there_writer):
            each.transport.abort()


async def _up(reader: asyncio.StreamReader, writer: asyncio.StreamWriter, found: Counted) -> None:
    """Frame by frame."""
    with contextlib.suppress(asyncio.IncompleteReadError, ConnectionError):
        writer.write(await reader.readexactly(_PREFACE_BYTES))
        while True:
            head = await reader.readexactly(_HEAD_BYTES)
            length, kind = int.from_bytes(head[:3]), head[3]
            writer.write(head + await reader.readexactly(length))
            await writer.drain()
            found.bytes_up += _HEAD_BYTES + length
            if kind == _DATA and length:
                found.messages.append(_HEAD_BYTES + length)


async def _down(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    with contextlib.suppress(ConnectionError):
        while some := await reader.read(1 << 16):
            writer.write(some)
            await writer.drain()
