"""An engine of the tests' own that hangs, leaves, dies and comes back."""

import os
import signal
from collections.abc import Iterator
from contextlib import contextmanager

from deploy.local.engine import OwnEngine
from deploy.local.processes import Process

NAME = "tests-away"


def engine(name: str = NAME) -> OwnEngine:
    """The engine, with what it started."""
    return OwnEngine(name)


def dockerd(name: str = NAME) -> Process:
    """Its daemon alone."""
    process = engine(name).process()
    assert process is not None
    return process


def start_again(name: str = NAME) -> None:
    """Starts the engine on what it left."""
    # containerd dies with it. Where nobody reaps it, dockerd would take its zombie for the living, and wait.
    (engine(name)._sockets / "exec" / "containerd" / "containerd.pid").unlink(missing_ok=True)
    engine(name).start()


@contextmanager
def held_still(process: Process) -> Iterator[None]:
    """A process that hangs meanwhile."""
    os.kill(process.pid, signal.SIGSTOP)
    try:
        yield
    finally:
        os.kill(process.pid, signal.SIGCONT)
