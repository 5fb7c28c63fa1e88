"""A second address of a server, which a test can close or hold still: for those who ask there, the server is gone."""

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager, suppress


class Relay:
    """Passes connections on to the server at `there`, as long as it is open."""

    def __init__(self, there: str, *, most_bytes: int | None = None) -> None:
        self._there = there
        self._left_bytes = most_bytes
        self._passing: list[asyncio.Task[None]] = []
        self._moves = asyncio.Event()
        self._moves.set()
        self.address = ""

    async def open(self) -> None:
        """Begins to listen, at an address of its own."""
        self._server = await asyncio.start_server(self._accept, "127.0.0.1", 0)
        host, port = self._server.sockets[0].getsockname()
        self.address = f"{host}:{port}"

    def hold(self) -> None:
        """Keeps connections, and takes others, but passes nothing on, as a server that is held still."""
        self._moves.clear()

    def go_on(self) -> None:
        """Passes on what was kept."""
        self._moves.set()

    async def close(self) -> None:
        """Answers no more, and breaks off what is under way."""
        self._die()
        await asyncio.gather(*self._passing, return_exceptions=True)

    def _die(self) -> None:
        self._server.close()
        for task in self._passing:
            task.cancel()

    @property
    def has_died(self) -> bool:
        """It was to pass more than it does."""
        return self._left_bytes is not None and self._left_bytes < 0

    def passes_no_more(self, some: bytes) -> bool:
        """Whether these bytes are more than it was to pass: then it dies, in the middle of them."""
        if self._left_bytes is None:
            return False
        self._left_bytes -= len(some)
        if self.has_died:
            self._die()
        return self.has_died

    def _accept(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._passing.append(asyncio.create_task(self._pass(reader, writer)))

    async def _pass(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        host, _, port = self._there.rpartition(":")
        there_reader, there_writer = await asyncio.open_connection(host, int(port))
        try:
            async with asyncio.TaskGroup() as both:
                both.create_task(_copy(reader, there_writer, self._moves))
                both.create_task(_copy(there_reader, writer, self._moves, self.passes_no_more))
        finally:
            for each in (writer, there_writer):
                each.transport.abort()


async def _copy(
    reader: asyncio.StreamReader,
    writer: asyncio.StreamWriter,
    moves: asyncio.Event,
    ends: Callable[[bytes], bool] = lambda _: False,
) -> None:
    with suppress(ConnectionError):
        while (data := await reader.read(1 << 16)) and not ends(data):
            await moves.wait()
            writer.write(data)
            await writer.drain()
        writer.write_eof()


@asynccontextmanager
async def relay_to(server: str, *, most_bytes: int | None = None) -> AsyncIterator[Relay]:
    """A relay, open until it is closed, or has passed so many bytes on from the server, or the block is over."""
    relay = Relay(server, most_bytes=most_bytes)
    await relay.open()
    try:
        yield relay
    finally:
        await relay.close()
