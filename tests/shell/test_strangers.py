"""Those who reach the controller's port and are none of its own: what they can take up, and for how long."""

import asyncio
import resource
import socket
import subprocess
import sys
from collections.abc import AsyncIterator, Iterable
from contextlib import asynccontextmanager
from pathlib import Path

import grpc
import pytest
from grpc import aio

from agent.assembly import channel_to
from controller.daemon import SERVER_OPTIONS
from controller.listening import listen
from controller.open_files import OWN, WANTED, most_connections, tell_if_full
from headrace.client import Client
from headrace.peers import Role
from tests.authority import Authority

PATIENCE_SECONDS = 20
# What begins a connection of HTTP/2, and the settings that have to come next.
PREFACE, NO_SETTINGS = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", b"\0\0\0\4\0\0\0\0\0"
# A controller waits for longer; these are as its own options, but for the numbers.
SOON = {"grpc.server_handshake_timeout_ms": 300, "grpc.max_connection_idle_ms": 300}
FILES, STRANGERS = 128, 200
ADDRESS = "127.0.0.1:7400"


def sooner() -> Iterable[tuple[str, int]]:
    return [(name, SOON.get(name, value)) for name, value in SERVER_OPTIONS]


@asynccontextmanager
async def serving(folder: Path | None = None) -> AsyncIterator[tuple[int, asyncio.Event]]:
    """A port where one may watch; what is watched comes once the event is set."""
    happens = asyncio.Event()

    async def watch(_: bytes, __: object) -> AsyncIterator[bytes]:
        yield b"first"
        await happens.wait()
        yield b"second"

    server = aio.server(options=tuple(sooner()))
    handlers = {"Watch": grpc.unary_stream_rpc_method_handler(watch)}
    server.add_generic_rpc_handlers((grpc.method_handlers_generic_handler("Test", handlers),))
    port = listen(server, "127.0.0.1:0", folder)
    await server.start()
    try:
        yield port, happens
    finally:
        await server.stop(None)


async def let_go(port: int, *said: bytes) -> bytes:
    """What is heard of it until it ends the connection."""
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    writer.writelines(said)
    try:
        async with asyncio.timeout(PATIENCE_SECONDS):
            return await reader.read()
    finally:
        writer.close()


@pytest.mark.parametrize("said", [(), (PREFACE,), (PREFACE, NO_SETTINGS)])
async def test_who_says_nothing_more_is_let_go(said: tuple[bytes, ...]) -> None:
    async with serving() as (port, _):
        await let_go(port, *said)


async def test_who_shows_no_certificate_is_let_go(own: Path) -> None:
    async with serving(own) as (port, _):
        assert await let_go(port) == b""


async def test_who_watches_is_not_let_go_though_there_is_nothing_to_tell(authority: Authority, own: Path) -> None:
    for folder, theirs in [(None, None), (own, authority.of(Role.USER, "ann"))]:
        async with serving(folder) as (port, happens), channel_to(f"127.0.0.1:{port}", theirs) as channel:
            call = channel.unary_stream("/Test/Watch")(b"")
            assert await call.read() == b"first"
            # As long as others are waited for, one after the other.
            for _ in range(3):
                await let_go(port)
            happens.set()
            assert await call.read() == b"second"


async def test_a_client_that_was_let_go_is_answered_when_it_calls_again() -> None:
    async with serving() as (port, happens), channel_to(f"127.0.0.1:{port}") as channel:
        happens.set()
        watch = channel.unary_stream("/Test/Watch")
        assert [one async for one in watch(b"")] == [b"first", b"second"]

        async with asyncio.timeout(PATIENCE_SECONDS):
            state = channel.get_state()
            while state is grpc.ChannelConnectivity.READY:
                await channel.wait_for_state_change(state)
                state = channel.get_state()

        assert [one async for one in watch(b"")] == [b"first", b"second"]


def free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as free:
        port: int = free.getsockname()[1]
        return port


@asynccontextmanager
async def program(tmp_path: Path) -> AsyncIterator[tuple[int, asyncio.subprocess.Process]]:
    """A controller that may have few files open, and its port."""
    port = free_port()
    config = tmp_path / "c.toml"
    config.write_text(f'state = "{tmp_path}/c"\n[grpc]\naddress = "127.0.0.1:{port}"\n[web]\naddress = ""\n')
    process = await asyncio.create_subprocess_exec(
        *("sh", "-c", f'ulimit -n {FILES} && exec "$@"', "sh"),
        *(sys.executable, "-m", "controller.main", "--config", str(config)),
        stderr=subprocess.PIPE,
    )
    assert process.stderr is not None
    try:
        async with asyncio.timeout(PATIENCE_SECONDS):
            while b"serves on" not in (line := await process.stderr.readline()):
                assert line, "it has ended"
        yield port, process
    finally:
        if process.returncode is None:
            process.terminate()
        await process.wait()


async def test_those_who_take_up_connections_leave_the_controller_its_own_files(tmp_path: Path) -> None:
    async with program(tmp_path) as (port, process), asyncio.timeout(PATIENCE_SECONDS):
        strangers = [await asyncio.open_connection("127.0.0.1", port) for _ in range(STRANGERS)]
        # It begins to speak with those that it takes.
        heard = await asyncio.gather(*(reader.read(1) for reader, _ in strangers), return_exceptions=True)
        assert sum(isinstance(one, bytes) and bool(one) for one in heard) == most_connections(FILES, ADDRESS)
        for _, writer in strangers:
            writer.close()

        async with Client(f"127.0.0.1:{port}") as client:
            assert [one async for one in client.nodes()] == []
        assert process.returncode is None


@pytest.mark.parametrize(
    ("files", "connections"), [(64, 32), (1024, 768), (WANTED, WANTED - OWN), (1 << 30, WANTED - OWN)]
)
@pytest.mark.parametrize("address", ["127.0.0.1:7400", "[::]:7400", "0.0.0.0:7400", "unix:/run/c"])
def test_some_files_are_its_own(files: int, connections: int, address: str) -> None:
    assert most_connections(files, address) == connections


def test_a_name_that_stands_for_two_addresses_has_no_more_connections_than_one() -> None:
    assert most_connections(1024, "localhost:7400") == most_connections(1024, ADDRESS) // 2


def test_a_controller_takes_as_many_files_as_it_is_allowed_to() -> None:
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    program = "import resource as r; from controller.open_files import raised; "
    program += f"r.setrlimit(r.RLIMIT_NOFILE, (64, {hard})); print(raised(), r.getrlimit(r.RLIMIT_NOFILE)[0])"

    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)

    may_have = WANTED if hard == resource.RLIM_INFINITY else min(WANTED, hard)
    assert done.stdout.split() == [str(may_have)] * 2


def test_a_controller_that_has_as_many_connections_as_it_may_says_so(caplog: pytest.LogCaptureFixture) -> None:
    open_now = len([*Path("/dev/fd").iterdir()])

    tell_if_full(10 * open_now)
    assert caplog.text == ""

    tell_if_full(open_now - 1)
    assert "whoever connects now is turned away" in caplog.text
