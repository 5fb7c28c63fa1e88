"""A controller that is far away: what is sent to it takes long, and so does what it answers."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from headrace.client import Client
from headrace.peers import Role
from tests.authority import Authority
from tests.shell.running_controller import controller

# One way, and so half as long as to the other side of the earth and back.
WAY_SECONDS = 0.15


async def carried(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    """All that is read is written, each piece so much later, and the end too."""
    later = asyncio.get_running_loop().call_later
    while piece := await reader.read(1 << 16):
        later(WAY_SECONDS, writer.write, piece)
    later(WAY_SECONDS, writer.close)


@asynccontextmanager
async def far(address: str) -> AsyncIterator[str]:
    """An address from which it is far to another one."""
    host, _, port = address.rpartition(":")
    carrying, writers = list[asyncio.Task[None]](), list[asyncio.StreamWriter]()

    async def connected(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        there, back = await asyncio.open_connection(host, int(port))
        writers.extend((writer, back))
        carrying.extend(asyncio.create_task(carried(*pair)) for pair in ((reader, back), (there, writer)))

    server = await asyncio.start_server(connected, "127.0.0.1", 0)
    try:
        yield "{}:{}".format(*server.sockets[0].getsockname())
    finally:
        server.close()
        for one in carrying:
            one.cancel()
        for writer in writers:
            writer.close()
        closed = (writer.wait_closed() for writer in writers)
        await asyncio.gather(*carrying, *closed, return_exceptions=True)


@pytest.mark.parametrize("is_certified", [False, True])
async def test_a_controller_on_the_other_side_of_the_earth_is_reached(tmp_path: Path, *, is_certified: bool) -> None:
    authority = Authority(tmp_path / "authority")
    own, ann = (authority.of(Role.CONTROLLER, "main"), authority.of(Role.USER, "ann")) if is_certified else (None, None)
    async with (
        controller(tmp_path / "controller", **({"tls": own} if own else {})) as running,
        far(running.address) as address,
        Client(address, tls=ann) as client,
    ):
        assert [job async for job in client.jobs()] == []
