"""headrace authority, certificate."""

import datetime as dt
import re
from argparse import Namespace
from pathlib import Path

from headrace import certificates
from headrace.cli import render
from headrace.peers import Peer, Role
from headrace.refusals import Code, Refusal

# What the agent's setting `node` takes.
_NODE = re.compile(r"[a-z0-9](?:[a-z0-9-]{0,61}[a-z0-9])?")


def authority(arguments: Namespace) -> int:
    """Make an authority."""
    folder = Path(arguments.folder)
    certificates.create_authority(folder)
    line = f"{folder}: keep ca.key to yourself; `headrace certificate … --authority {folder}` makes what others need"
    render.tell({"folder": str(folder)}, arguments.output, [line])
    return 0


def certificate(arguments: Namespace) -> int:
    """Make a certificate."""
    role, folder = Role(arguments.role), Path(arguments.folder)
    _check(role, arguments.name, arguments.hosts)
    signer = certificates.read_authority(Path(arguments.authority), key="--authority")
    life = dt.timedelta(milliseconds=arguments.life_ms)
    pems = signer.issue(Peer(role, arguments.name), hosts=arguments.hosts, life=life)
    # One that is of no use is not written.
    made = certificates.examined(pems, key="--for")
    certificates.write(pems, folder, replace=arguments.replace)
    expires = f"{made.expires:%Y-%m-%dT%H:%M:%SZ}"
    told = {"folder": str(folder), "uri": made.peer.uri, "expires": expires, "hosts": list(made.hosts)}
    line = f"{folder}: of {role.value} {arguments.name}, until {expires}"
    render.tell(told, arguments.output, [f"{line}, for {', '.join(made.hosts)}" if made.hosts else line])
    return 0


def _check(role: Role, name: str, hosts: list[str]) -> None:
    """What is not for every certificate to say."""
    if role is Role.AGENT and not _NODE.fullmatch(name):
        message = f"--name: {name[:80]!r} is no node's id: 1 to 63 lower-case letters, digits and dashes"
        raise Refusal(Code.INVALID_ARGUMENT, "NAME_INVALID", message)
    if hosts and role is not Role.CONTROLLER:
        message = f"--host: nobody connects to {role.value}s; leave it out"
        raise Refusal(Code.INVALID_ARGUMENT, "HOST_INVALID", message)
