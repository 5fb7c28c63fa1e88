"""docker-py's way to an engine's unix socket, mended in three points.

It opens a connection for each path that is asked for, leaks the socket of one that fails, and cannot be told to end
a call that is under way.
"""

import contextlib
import socket
import weakref
from collections.abc import MutableSet

from docker.transport.unixconn import UnixHTTPAdapter, UnixHTTPConnection, UnixHTTPConnectionPool


class _Connection(UnixHTTPConnection):
    def connect(self) -> None:
        sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        try:
            sock.settimeout(self.timeout)
            sock.connect(self.unix_socket)
        except OSError:
            sock.close()
            raise
        self.sock = sock


class _Pool(UnixHTTPConnectionPool):
    def __init__(self, path: str, timeout_seconds: int) -> None:
        super().__init__("http+docker://localhost", path, timeout_seconds, maxsize=1)
        self.timeout_seconds = timeout_seconds
        self.connections: MutableSet[_Connection] = weakref.WeakSet()

    def _new_conn(self) -> _Connection:  # type: ignore[override]  # As docker-py's own.
        connection = _Connection(self.base_url, self.socket_path, self.timeout_seconds)
        self.connections.add(connection)
        return connection


class UnixAdapter(UnixHTTPAdapter):
    """An adapter for requests, with one connection that is kept."""

    def __init__(self, path: str, *, timeout_seconds: int) -> None:
        super().__init__(f"http+unix://{path}", timeout_seconds)
        self._pool = _Pool(path, timeout_seconds)

    def get_connection(self, url: bytes | str, proxies: object = None) -> UnixHTTPConnectionPool:  # noqa: ARG002
        """The one pool; its engine does not depend on the path."""
        return self._pool

    def hang_up(self) -> None:
        """Ends calls that are under way in other threads, with an error there."""
        for connection in list(self._pool.connections):
            sock = connection.sock
            if sock is not None:
                with contextlib.suppress(OSError):
                    sock.shutdown(socket.SHUT_RDWR)

    def close(self) -> None:
        """Closes what is idle."""
        super().close()
        self._pool.close()
