"""How gRPC reads sockets, how much may be on its way, and what it logs: for programs that hold many connections.

Loads nothing of gRPC: what it is to do is told before it is there.
"""

import re
from collections.abc import MutableMapping
from importlib.metadata import PackageNotFoundError, version

# From this version on gRPC for Python reads sockets in a pool of threads of its own, unless it is told not to.
POOLED_SINCE = (1, 80)
VARIABLE = "GRPC_EXPERIMENTS"
UNPOOLED = "-event_engine_listener,-event_engine_client"

VERBOSITY = "GRPC_VERBOSITY"

# So much of a stream may be on its way: for 160 MB/s on a path of 100 ms, if TCP's own buffers are as large. gRPC would
# find out by itself how much is of use, from a ping with what it reads; with 10,000 connections, and a small report now
# and then on each, it goes on with that for ever (docs/decisions/0021).
WINDOW_BYTES = 16 << 20
WINDOWS = (("grpc.http2.bdp_probe", 0), ("grpc.http2.lookahead_bytes", WINDOW_BYTES))


def read_in_one_thread(environment: MutableMapping[str, str]) -> None:
    """Has gRPC, which is loaded after this, read sockets in the thread that waits for calls, where it can.

    `environment` is that of this process, or of one to be started. A choice that is in it already stands.
    """
    try:
        # None where what tells of the package is incomplete.
        installed = re.match(r"(\d+)\.(\d+)", version("grpcio") or "")
    except PackageNotFoundError:
        # Put there by hand. It works as it does by default.
        return
    if installed is not None and (int(installed[1]), int(installed[2])) >= POOLED_SINCE:
        environment.setdefault(VARIABLE, UNPOOLED)


def log_as(level: str, environment: MutableMapping[str, str]) -> None:
    """Has gRPC, which is loaded after this, log no less than what is wrong; by itself it tells of all that `info` may.

    `environment` as above. A server tells of each connection that is refused: as many lines as strangers like.
    """
    if level in ("warning", "error"):
        environment.setdefault(VERBOSITY, "ERROR")
