"""Certificates of all that a benchmark starts: an authority in a folder that the environment names, or none."""

import datetime as dt
import os
from collections.abc import Sequence
from functools import cache
from pathlib import Path
from typing import Any

from grpc import aio

from controller.listening import listen as listen_at
from headrace import certificates
from headrace.certificates import Authority
from headrace.peers import Peer, Role

# Processes of simulated agents and of bare servers have it from whoever starts them.
VARIABLE = "HEADRACE_BENCHMARK_AUTHORITY"

_LIFE = dt.timedelta(days=1)
_CONTROLLER, _OPERATOR = "controller", "operator"


def begin(folder: Path) -> None:
    """Has all that is started from now on show certificates of an authority in `folder`."""
    certificates.create_authority(folder)
    os.environ[VARIABLE] = str(folder)
    for role in (Role.CONTROLLER, Role.OPERATOR):
        certificates.write(_authority().issue(Peer(role, "benchmark"), life=_LIFE), folder / role.value)


def note() -> str:
    """Whether there are any, for a row's notes."""
    return "mTLS" if VARIABLE in os.environ else "no TLS"


def operator() -> Path | None:
    """The folder with a client's."""
    return _folder(_OPERATOR)


def told() -> dict[str, object]:
    """What a controller's settings say of it."""
    folder = _folder(_CONTROLLER)
    return {} if folder is None else {"tls": str(folder)}


def listen(server: aio.Server, address: str) -> None:
    """Has a server of the benchmarks' own listen as a controller does."""
    listen_at(server, address, _folder(_CONTROLLER))


def channel(address: str, node: str, options: Sequence[tuple[str, Any]]) -> aio.Channel:
    """A node's channel to its controller, with a certificate of its own."""
    if VARIABLE not in os.environ:
        return aio.insecure_channel(address, options=options)
    pems = _authority().issue(Peer(Role.AGENT, node), life=_LIFE)
    return aio.secure_channel(address, pems.credentials(), options=options)


def _folder(name: str) -> Path | None:
    return Path(os.environ[VARIABLE], name) if VARIABLE in os.environ else None


@cache
def _authority() -> Authority:
    return certificates.read_authority(Path(os.environ[VARIABLE]), key=VARIABLE)
