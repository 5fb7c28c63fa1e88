"""A background service that several commands use at once: the first starts it, the last ends it.

Each user holds a shared lock on a file for as long as it lives. The kernel drops the lock of one that was killed, so no
count can go stale; a process that inherits the lock's descriptor (`make up`'s daemons do) is a user too.
"""

import fcntl
import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol


class Service(Protocol):
    """Something in the background, kept in a folder of its own."""

    @property
    def folder(self) -> Path:
        """Where its locks lie."""
        ...

    def answers(self) -> bool:
        """It can be used now."""
        ...

    def start(self) -> None:
        """Starts it and waits until it answers. Called under a lock, and where it does not answer."""
        ...

    def stop(self) -> None:
        """Ends it and clears what it left, also where it died long ago."""
        ...


@dataclass(frozen=True, slots=True)
class Use:
    """One user's hold on a service."""

    service: Service
    descriptor: int

    def release(self) -> None:
        """Lets go; ends the service if nobody else uses it."""
        with alone(self.service.folder):
            if _try_exclusive(self.descriptor):
                self.service.stop()
            os.close(self.descriptor)

    def hand_down(self) -> None:
        """Lets processes that are started from now on inherit the hold."""
        os.set_inheritable(self.descriptor, True)


def use(service: Service) -> Use:
    """Starts the service unless it answers, and holds it."""
    with alone(service.folder):
        if not service.answers():
            service.stop()
            _start(service)
        descriptor = _open(service.folder / "users.lock")
        fcntl.flock(descriptor, fcntl.LOCK_SH)
    return Use(service, descriptor)


@contextmanager
def used(service: Service) -> Iterator[Use]:
    """`use` for the length of a block."""
    held = use(service)
    try:
        yield held
    finally:
        held.release()


def end_if_unused(service: Service) -> bool:
    """Ends a service that nobody uses any more; answers whether it is over."""
    if not service.folder.exists():
        return True
    with alone(service.folder):
        descriptor = _open(service.folder / "users.lock")
        try:
            unused = _try_exclusive(descriptor)
            if unused:
                service.stop()
            return unused
        finally:
            os.close(descriptor)


@contextmanager
def alone(folder: Path) -> Iterator[None]:
    """Only one of us at a time goes on in here, for each folder."""
    folder.mkdir(parents=True, exist_ok=True)
    descriptor = _open(folder / "alone.lock")
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX)
        yield
    finally:
        os.close(descriptor)


def _start(service: Service) -> None:
    try:
        service.start()
    except BaseException:
        # Half a start, or a Ctrl-C in the middle of it, must leave nothing that runs.
        service.stop()
        raise


def _try_exclusive(descriptor: int) -> bool:
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True


def _open(path: Path) -> int:
    return os.open(path, os.O_RDWR | os.O_CREAT, 0o644)
