"""How gRPC is told to read sockets, and how much of a stream may be on its way."""

import asyncio
import os
import subprocess
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from importlib.metadata import PackageNotFoundError
from pathlib import Path

import grpc
import pytest
from grpc import aio

from agent.assembly import channel_to
from controller.daemon import SERVER_OPTIONS
from headrace.transport import UNPOOLED, VARIABLE, VERBOSITY, WINDOW_BYTES, log_as, read_in_one_thread

PATIENCE_SECONDS = 20
PIECE = bytes(1 << 20)
A_SERVER = """
import asyncio
from grpc import aio
async def main():
    server = aio.server()
    server.add_insecure_port("127.0.0.1:0")
    await server.start()
    await server.stop(0)
asyncio.run(main())
"""


def complaints(experiments: str) -> str:
    environment = {**os.environ, VARIABLE: experiments}
    done = subprocess.run([sys.executable, "-c", A_SERVER], env=environment, capture_output=True, text=True, check=True)
    return done.stderr


def test_the_installed_grpc_knows_what_it_is_told() -> None:
    assert "Unknown experiment" in complaints("-no_such_thing")
    assert "Unknown experiment" not in complaints(UNPOOLED)


def test_what_the_operator_chose_stands() -> None:
    environment = {VARIABLE: "event_engine_listener"}

    read_in_one_thread(environment)

    assert environment == {VARIABLE: "event_engine_listener"}


@pytest.mark.parametrize(
    ("installed", "told"),
    [
        ("1.51.1+ds", {}),
        ("1.79.0", {}),
        ("1.80rc1", {VARIABLE: UNPOOLED}),
        ("2.0", {VARIABLE: UNPOOLED}),
        ("unknown", {}),
        ("", {}),
        (None, {}),
    ],
)
def test_a_grpc_that_has_no_pool_or_no_number_is_told_nothing(
    installed: str | None, told: dict[str, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    def version(_: str) -> str | None:
        if installed == "":
            raise PackageNotFoundError
        return installed

    monkeypatch.setattr("headrace.transport.version", version)
    environment: dict[str, str] = {}

    read_in_one_thread(environment)

    assert environment == told


@pytest.mark.parametrize(("program", "loaded"), [("controller", "daemon"), ("agent", "assembly")])
def test_programs_tell_it_before_grpc_is_there(program: str, loaded: str, tmp_path: Path) -> None:
    # In place of what loads gRPC, a module that looks at what has been told by then.
    config = tmp_path / "settings.toml"
    config.write_text('[log]\nlevel = "warning"\n')
    watched = f"""
import importlib.abc, importlib.machinery, os, sys

class Watching(importlib.abc.MetaPathFinder, importlib.abc.Loader):
    def find_spec(self, name, path, target=None):
        return importlib.machinery.ModuleSpec(name, self) if name == "{program}.{loaded}" else None

    def exec_module(self, module):
        told = os.environ.get("{VARIABLE}"), os.environ.get("{VERBOSITY}"), "grpc" in sys.modules
        sys.stdout.write(str(told))
        sys.stdout.flush()
        os._exit(0)

sys.meta_path.insert(0, Watching())
sys.argv = ["{program}", "--config", {str(config)!r}]
import {program}.main
{program}.main.main()
"""
    environment = {name: value for name, value in os.environ.items() if name not in (VARIABLE, VERBOSITY)}
    done = subprocess.run([sys.executable, "-c", watched], env=environment, capture_output=True, text=True, check=False)
    assert done.stdout == str((UNPOOLED, "ERROR", False)), done.stderr


A_STRANGER = """
import os, socket, ssl, sys
from pathlib import Path
from headrace import transport
transport.log_as(sys.argv[1], os.environ)
import asyncio
from grpc import aio
from controller.listening import listen

async def main():
    server = aio.server()
    port = listen(server, "127.0.0.1:0", Path(sys.argv[2]))
    await server.start()
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    writer.write(b"GET / HTTP/1.1\\r\\n\\r\\n")
    await reader.read()
    await server.stop(0)

asyncio.run(main())
"""


@pytest.mark.parametrize(("level", "told"), [("debug", 1), ("info", 1), ("warning", 0), ("error", 0)])
def test_connections_that_are_refused_are_told_of_where_the_log_has_what_is_of_no_harm(
    level: str, told: int, own: Path
) -> None:
    environment = {name: value for name, value in os.environ.items() if name != VERBOSITY}

    command = [sys.executable, "-c", A_STRANGER, level, str(own)]
    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=True)

    assert done.stderr.count("Handshake failed") == told, done.stderr


def test_how_much_the_operator_has_it_say_stands() -> None:
    environment = {VERBOSITY: "DEBUG"}

    log_as("error", environment)

    assert environment == {VERBOSITY: "DEBUG"}


class Way:
    """What a relay passes on in one direction, unless that is kept back."""

    def __init__(self) -> None:
        self.passed_bytes = 0
        self.open = asyncio.Event()
        self.open.set()
        self._awaited_bytes = 0
        self._come = asyncio.Event()

    async def more(self, count: int) -> None:
        """Until so many bytes more have come."""
        self._awaited_bytes = self.passed_bytes + count
        self._come.clear()
        await self._come.wait()

    async def relay(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Until there is no more."""
        while data := await reader.read(1 << 16):
            self.passed_bytes += len(data)
            if self.passed_bytes >= self._awaited_bytes:
                self._come.set()
            await self.open.wait()
            writer.write(data)


@asynccontextmanager
async def relayed(port: int, up: Way, down: Way) -> AsyncIterator[int]:
    """A port from which all is passed on to that one, and what is answered back."""
    writers: list[asyncio.StreamWriter] = []

    async def connected(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        from_server, to_server = await asyncio.open_connection("127.0.0.1", port)
        writers.extend((writer, to_server))
        await asyncio.gather(up.relay(reader, to_server), down.relay(from_server, writer))

    async with await asyncio.start_server(connected, "127.0.0.1", 0) as server:
        yield server.sockets[0].getsockname()[1]
        for writer in writers:
            writer.close()
            await writer.wait_closed()


async def several(count: int) -> AsyncIterator[bytes]:
    for _ in range(count):
        yield PIECE


async def length(pieces: AsyncIterator[bytes]) -> int:
    return sum([len(piece) async for piece in pieces])


@asynccontextmanager
async def checkpoints() -> AsyncIterator[int]:
    """The port of a server, with a controller's options, to which pieces are sent, and from which they come."""

    async def put(pieces: AsyncIterator[bytes], _: object) -> bytes:
        return str(await length(pieces)).encode()

    async def get(count: bytes, _: object) -> AsyncIterator[bytes]:
        async for piece in several(int(count)):
            yield piece

    server = aio.server(options=SERVER_OPTIONS)
    handlers = {"Put": grpc.stream_unary_rpc_method_handler(put), "Get": grpc.unary_stream_rpc_method_handler(get)}
    server.add_generic_rpc_handlers((grpc.method_handlers_generic_handler("Test", handlers),))
    port = server.add_insecure_port("127.0.0.1:0")
    await server.start()
    try:
        yield port
    finally:
        await server.stop(None)


# On a path of 200 ms, with 64 KiB on their way, a checkpoint would take an hour for each gigabyte.
ON_THEIR_WAY = WINDOW_BYTES // len(PIECE) - 1


@asynccontextmanager
async def channel_through(up: Way, down: Way) -> AsyncIterator[aio.Channel]:
    """An agent's channel to such a server, through a relay."""
    async with (
        asyncio.timeout(PATIENCE_SECONDS),
        checkpoints() as port,
        relayed(port, up, down) as relay,
        channel_to(f"127.0.0.1:{relay}") as channel,
    ):
        yield channel


async def test_an_agent_sends_a_checkpoint_on_while_nothing_is_heard_of_the_controller() -> None:
    up, down = Way(), Way()
    async with channel_through(up, down) as channel:
        put = channel.stream_unary("/Test/Put")
        assert int(await put(several(1))) == len(PIECE)
        down.open.clear()
        call = put(several(ON_THEIR_WAY))
        await up.more(ON_THEIR_WAY * len(PIECE))
        down.open.set()
        assert int(await call) == ON_THEIR_WAY * len(PIECE)


async def test_a_controller_sends_a_checkpoint_on_while_nothing_is_heard_of_the_agent() -> None:
    up, down = Way(), Way()
    async with channel_through(up, down) as channel:
        get = channel.unary_stream("/Test/Get")
        assert await length(aiter(get(b"1"))) == len(PIECE)
        call = get(str(ON_THEIR_WAY).encode())
        coming = asyncio.create_task(down.more(ON_THEIR_WAY * len(PIECE)))
        first = len(await anext(aiter(call)))
        up.open.clear()
        await coming
        up.open.set()
        assert first + await length(aiter(call)) == ON_THEIR_WAY * len(PIECE)
