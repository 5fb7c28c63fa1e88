"""Who is at the other end of a connection, as certificates name them: SPIFFE IDs with a role and a name."""

import re
from dataclasses import dataclass
from enum import Enum


class Role(Enum):
    """What somebody is to a controller."""

    CONTROLLER = "controller"
    AGENT = "agent"
    USER = "user"
    OPERATOR = "operator"


# The letters that SPIFFE allows in a part of a path.
NAME = re.compile(r"[A-Za-z0-9._-]{1,63}")

_ID = re.compile(r"spiffe://[a-z0-9._-]{1,255}/(controller|agent|user|operator)/([A-Za-z0-9._-]{1,63})")


@dataclass(frozen=True, slots=True)
class Peer:
    """Somebody with a role; an agent's name is its node's."""

    role: Role
    name: str

    @property
    def uri(self) -> str:
        """Its SPIFFE ID (github.com/spiffe/spiffe, standards/SPIFFE-ID.md), as our certificates have it."""
        return f"spiffe://headrace/{self.role.value}/{self.name}"


def peer(uri: str) -> Peer | None:
    """Whom a SPIFFE ID of whatever trust domain means, since the authority vouches; None where it names no role."""
    found = _ID.fullmatch(uri)
    return Peer(Role(found[1]), found[2]) if found else None
