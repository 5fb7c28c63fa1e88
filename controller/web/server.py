"""The HTTP server, in the controller's own event loop."""

import asyncio
import contextlib
import socket
import stat
from collections.abc import Iterator
from pathlib import Path

import uvicorn
from starlette.types import ASGIApp
from uvicorn.protocols.http.h11_impl import H11Protocol

from headrace.refusals import Code, Refusal

_BACKLOG = 128
# Each connection is an open file, of those that the controller keeps for itself (controller/open_files.py).
MOST_CONNECTIONS = 64
SILENT_SECONDS = 20.0


class _Connection(H11Protocol):
    """One of a client's. More than there may be are turned away, and who asks for nothing is let go.

    uvicorn ends only those that have been answered, and bounds how many it answers at one time, not how many there are.
    """

    _silent: asyncio.TimerHandle | None = None

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        super().connection_made(transport)
        if len(self.connections) > MOST_CONNECTIONS:
            transport.abort()
        else:
            self._silent = self.loop.call_later(SILENT_SECONDS, self._let_go_if_silent)

    def connection_lost(self, exc: Exception | None) -> None:
        if self._silent is not None:
            self._silent.cancel()
        super().connection_lost(exc)

    def _let_go_if_silent(self) -> None:
        # A request that has come in whole has a cycle.
        if self.cycle is None:
            self.transport.abort()


class Server(uvicorn.Server):
    """One that is ended by the controller, and leaves the signals to it."""

    @contextlib.contextmanager
    def capture_signals(self) -> Iterator[None]:
        """None: the controller has them."""
        yield


def bound(address: str) -> socket.socket:
    """A socket that listens on "host:port" or "unix:/path". Refusal: ADDRESS_IN_USE."""
    try:
        if address.startswith("unix:"):
            path = address.removeprefix("unix:").removeprefix("//")
            _clear(path)
            return _listening(socket.AF_UNIX, path)
        host, _, port = address.rpartition(":")
        family = socket.AF_INET6 if host.startswith("[") else socket.AF_INET
        return _listening(family, (host.strip("[]"), int(port)))
    except OSError as error:
        why = error.strerror or str(error)
        message = f"web.address: {address} cannot be had: {why}; set another, or none: web.address = ''"
        raise Refusal(Code.UNAVAILABLE, "ADDRESS_IN_USE", message) from error


def server(application: ASGIApp) -> Server:
    """A server of the application, to be run by `serve(sockets=[…])`."""
    options = uvicorn.Config(
        application, http=_Connection, lifespan="off", log_config=None, access_log=False, ws="none"
    )
    return Server(options)


def _clear(path: str) -> None:
    """Removes a socket on which nobody listens any more: the program before this one left it."""
    with contextlib.suppress(OSError), socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as asking:
        if stat.S_ISSOCK(Path(path).stat().st_mode):
            try:
                asking.connect(path)
            except ConnectionRefusedError:
                Path(path).unlink()


def _listening(family: socket.AddressFamily, where: str | tuple[str, int]) -> socket.socket:
    # Where the protocol is named, asyncio turns off Nagle's delay, which would hold each answer back for 40 ms.
    protocol = 0 if family is socket.AF_UNIX else socket.IPPROTO_TCP
    found = socket.socket(family, socket.SOCK_STREAM, protocol)
    try:
        found.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        found.bind(where)
        found.listen(_BACKLOG)
    except OSError:
        found.close()
        raise
    return found
