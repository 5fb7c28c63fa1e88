"""A second address of the registry, which a test can close: for those who pull, the registry is gone."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress


class Relay:
    """Passes connections on to the registry at `there`, as long as it is open."""

    def __init__(self, there: str) -> None:
        self._there = there
        self._passing: list[asyncio.Task[None]] = []
        self.address = ""

    async def open(self) -> None:
        """Begins to listen, at an address of its own."""
        self._server = await asyncio.start_server(self._accept, "127.0.0.1", 0)
        host, port = self._server.sockets[0].getsockname()
        self.address = f"{host}:{port}"

    async def close(self) -> None:
        """Answers no more, and breaks off what is under way."""
        self._server.close()
        for task in self._passing:
            task.cancel()
        await asyncio.gather(*self._passing, return_exceptions=True)

    def _accept(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._passing.append(asyncio.create_task(self._pass(reader, writer)))

    async def _pass(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        host, _, port = self._there.rpartition(":")
        there_reader, there_writer = await asyncio.open_connection(host, int(port))
        try:
            async with asyncio.TaskGroup() as both:
                both.create_task(_copy(reader, there_writer))
                both.create_task(_copy(there_reader, writer))
        finally:
            for each in (writer, there_writer):
                each.transport.abort()


async def _copy(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    with suppress(ConnectionError):
        while data := await reader.read(1 << 16):
            writer.write(data)
            await writer.drain()
        writer.write_eof()


@asynccontextmanager
async def relay_to(registry: str) -> AsyncIterator[Relay]:
    """A relay, open until it is closed or the block is over."""
    relay = Relay(registry)
    await relay.open()
    try:
        yield relay
    finally:
        await relay.close()
