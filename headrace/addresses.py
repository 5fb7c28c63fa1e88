"""Addresses of controllers: "host:port" or "unix:/path", and which of them only this machine can reach."""

import re

from headrace.refusals import Code, Refusal

DEFAULT_ADDRESS = "127.0.0.1:7400"

_HOST_AND_PORT = re.compile(
    r"(?P<host>\[[0-9A-Fa-f:.]+\]|[A-Za-z0-9](?:[A-Za-z0-9._-]*[A-Za-z0-9])?):(?P<port>\d{1,5})", re.ASCII
)
_UNIX = ("unix:", "unix-abstract:")


def is_local(address: str) -> bool:
    """Whether nobody outside this machine can reach it: a unix socket, localhost, a loopback address."""
    if address.startswith(_UNIX):
        return True
    match = _HOST_AND_PORT.fullmatch(address)
    if match is None:
        return False
    host = match["host"].strip("[]")
    if host.lower() == "localhost":
        return True
    import ipaddress  # noqa: PLC0415 - 5 ms, and most addresses are the default.

    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:  # A name: it may lead anywhere.
        return False


def check_shape(address: str, *, key: str) -> None:
    """Refuses what is no address; `key` is where it was written."""
    example = "write host:port, e.g. 127.0.0.1:7400, or unix:/path/to/socket"
    match = _HOST_AND_PORT.fullmatch(address)
    if address.startswith(_UNIX):
        problem = "" if address.partition(":")[2].strip("/") else f"{address!r} names no socket; {example}"
    elif match is None:
        problem = f"{address!r} is no address; {example}"
    else:
        problem = "" if int(match["port"]) <= 65535 else f"{match['port']} is no port; at most 65535"
    if problem:
        raise Refusal(Code.INVALID_ARGUMENT, "ADDRESS_INVALID", f"{key}: {problem}", key=key)


def check_address(address: str, *, guarded: bool, key: str) -> None:
    """Refuses what is no address, and one that others could reach, unless it is guarded.

    `guarded`: certificates keep strangers out, or the operator says that there are none.
    """
    check_shape(address, key=key)
    if guarded or is_local(address):
        return
    message = (
        f"{key}: {address} can be reached from other machines, and nothing keeps strangers out; take a loopback "
        "address (127.0.0.1:7400) or a unix socket (unix:/path/to/socket), or give all sides certificates (tls, "
        "docs/security.md), or set insecure = true if the network is all yours"
    )
    raise Refusal(Code.FAILED_PRECONDITION, "ADDRESS_NOT_LOCAL", message, key=key, address=address)
