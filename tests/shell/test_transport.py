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
from headrace.transport import UNPOOLED, VARIABLE, WINDOW_BYTES, read_in_one_thread

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
    config.write_text("")
    watched = f"""
import importlib.abc, importlib.machinery, os, sys

class Watching(importlib.abc.MetaPathFinder, importlib.abc.Loader):
    def find_spec(self, name, path, target=None):
        return importlib.machinery.ModuleSpec(name, self) if name == "{program}.{loaded}" else None

    def exec_module(self, module):
        sys.stdout.write(str((os.environ.get("{VARIABLE}"), "grpc" in sys.modules)))
        sys.stdout.flush()
        os._exit(0)

sys.meta_path.insert(0, Watching())
sys.argv = ["{program}", "--config", {str(config)!r}]
import {program}.main
{program}.main.main()
"""
    environment = {name: value for name, value in os.environ.items() if name != VARIABLE}
    done = subprocess.run([sys.executable, "-c", watched], env=environment, capture_output=True, text=True, check=False)
    assert done.stdout == str((UNPOOLED, False)), done.stderr


class Relay:
    """Between a client and a server: counts what the client sends, and can keep back what the server says."""

    def __init__(self) -> None:
        self.sent_bytes = 0
        self.awaited_bytes = 0
        self.come = asyncio.Event()
        self.answers = asyncio.Event()
        self.answers.set()

    @asynccontextmanager
    async def listening(self, port: int) -> AsyncIterator[int]:
        """The port where it listens; `port` is the server's."""
        writers: list[asyncio.StreamWriter] = []

        async def relay(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            from_server, to_server = await asyncio.open_connection("127.0.0.1", port)
            writers.extend((writer, to_server))
            await asyncio.gather(self._requests(reader, to_server), self._answers(from_server, writer))

        async with await asyncio.start_server(relay, "127.0.0.1", 0) as server:
            yield server.sockets[0].getsockname()[1]
            for writer in writers:
                writer.close()
                await writer.wait_closed()

    async def _requests(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while data := await reader.read(1 << 16):
            self.sent_bytes += len(data)
            if self.sent_bytes >= self.awaited_bytes:
                self.come.set()
            writer.write(data)

    async def _answers(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while data := await reader.read(1 << 16):
            await self.answers.wait()
            writer.write(data)


async def test_a_checkpoint_need_not_wait_for_what_the_other_side_says() -> None:
    # On a path of 200 ms, with 64 KiB on their way, it would take an hour for each gigabyte.
    async def taken(pieces: AsyncIterator[bytes], _: object) -> bytes:
        return str(sum([len(piece) async for piece in pieces])).encode()

    server = aio.server(options=SERVER_OPTIONS)
    handlers = {"Put": grpc.stream_unary_rpc_method_handler(taken)}
    server.add_generic_rpc_handlers((grpc.method_handlers_generic_handler("Test", handlers),))
    port = server.add_insecure_port("127.0.0.1:0")
    await server.start()
    relay = Relay()
    pieces = WINDOW_BYTES // len(PIECE) - 1

    async def several(count: int) -> AsyncIterator[bytes]:
        for _ in range(count):
            yield PIECE

    try:
        async with (
            asyncio.timeout(PATIENCE_SECONDS),
            relay.listening(port) as relayed,
            channel_to(f"127.0.0.1:{relayed}") as channel,
        ):
            put = channel.stream_unary("/Test/Put")
            assert await put(several(1)) == str(len(PIECE)).encode()
            relay.answers.clear()
            relay.awaited_bytes = relay.sent_bytes + pieces * len(PIECE)
            relay.come.clear()
            call = put(several(pieces))
            await relay.come.wait()
            relay.answers.set()
            assert await call == str(pieces * len(PIECE)).encode()
    finally:
        await server.stop(None)
