"""How many files the controller may have open: each connection is one, and some are left for its own.

Without one for its store it would end; and whoever reaches its port can take up as many as there are connections.
"""

import ipaddress
import logging
import resource
from pathlib import Path

# For three times as many nodes as it is made for. A connection that says nothing takes 20 KB with TLS, 10 KB without.
WANTED = 32_768
# The store, logs, checkpoints that come, registries that are asked, and HTTP's connections (controller/web/server.py).
OWN = 256

_log = logging.getLogger(__name__)


def raised() -> int:
    """How many this process may have open, once it may have as many as it wants, or as it is allowed to.

    Programs begin with few (1,024), for the sake of those that could not do with more.
    """
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    allowed = WANTED if hard == resource.RLIM_INFINITY else min(WANTED, hard)
    if soft == resource.RLIM_INFINITY or soft >= allowed:
        return WANTED if soft == resource.RLIM_INFINITY else soft
    resource.setrlimit(resource.RLIMIT_NOFILE, (allowed, hard))
    return allowed


def most_connections(files: int, address: str) -> int:
    """How many of so many files may be connections, to each of the addresses for which this one stands."""
    most = min(files, WANTED)
    return max(most - OWN, most // 2) // (2 if _is_name(address) else 1)


def _is_name(address: str) -> bool:
    """A name may stand for two addresses, as localhost does, and gRPC counts for each by itself."""
    if address.startswith("unix"):
        return False
    try:
        ipaddress.ip_address(address.rpartition(":")[0].strip("[]"))
    except ValueError:
        return True
    return False


def tell_if_full(connections: int) -> None:
    """Says so where it has so many: gRPC ends those that come then without a word."""
    if len([*Path("/dev/fd").iterdir()]) > connections:
        _log.warning(
            "all %d connections that there may be are open, or nearly: whoever connects now is turned away; see "
            "docs/security.md, and `ulimit -n`",
            connections,
        )
