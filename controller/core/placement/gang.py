"""Where the tasks of a gang meet: a function of the gang and of what others have."""

from collections.abc import Sequence
from zlib import crc32

from headrace.jobs import Job

# At which ports gangs meet: below those that kernels give out by themselves.
FIRST_PORT, PORTS = 29_000, 1_000


def meeting_point(gang: Job, host: str, taken: Sequence[str]) -> str:
    """Where on a host the tasks meet: a port of their own in each epoch, but for those that other gangs have."""
    first = crc32(f"{gang.id} {gang.epoch}".encode())
    host = f"[{host}]" if ":" in host else host
    ports = (FIRST_PORT + (first + turn) % PORTS for turn in range(PORTS))
    return next((point for port in ports if (point := f"{host}:{port}") not in taken), "")
