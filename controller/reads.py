"""What is asked of the store beside the loop, and for how long: a server that does not answer keeps no thread."""

import asyncio
import contextlib
import os
import socket
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from typing import ParamSpec, TypeVar

from controller.troubles import UNAVAILABLE
from headrace.refusals import Code, Refusal

P = ParamSpec("P")
T = TypeVar("T")

# For so long the store may take to answer; whoever asks is then told that it does not.
READING_SECONDS = 10.0
# Fewer than the store has connections: what is read otherwise finds one.
THREADS = 12

# A store that did not answer is asked again after so long.
AGAIN_SECONDS = 1.0
SLOW = "STORE_SLOW"
# The refusals of which all that is asked would have the same.
AWAY = (SLOW, UNAVAILABLE.reason)

_here = threading.local()


class Deadline:
    """Of one use of the store. Once it has come, the connection on which a server is waited for is over."""

    def __init__(self) -> None:
        self.has_come = False
        self._lock = threading.Lock()
        self._waited_for: socket.socket | None = None

    @contextlib.contextmanager
    def held(self) -> Iterator[None]:
        """What this thread does in the block is to be over by then."""
        _here.deadline = self
        try:
            yield
        finally:
            _here.deadline = None
            self._forget()

    def holds(self, use: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> T:
        """What this use of the store, in this thread, comes to by then."""
        with self.held():
            return use(*args, **kwargs)

    def watch(self, descriptor: int) -> None:
        """From now on a server is waited for on this socket. Raises TimeoutError where it is too late for that."""
        self._forget()
        with self._lock:
            if self.has_come:
                raise TimeoutError
            # One of our own: the number may be another one's by the time that it is ended.
            self._waited_for = socket.socket(fileno=os.dup(descriptor))

    def come(self) -> None:
        """It is time. A socket that is shut down wakes whoever reads from it, which nothing else does."""
        with self._lock:
            self.has_come = True
            if self._waited_for is not None:
                with contextlib.suppress(OSError):
                    self._waited_for.shutdown(socket.SHUT_RDWR)

    def _forget(self) -> None:
        with self._lock:
            if self._waited_for is not None:
                self._waited_for.close()
                self._waited_for = None


def deadline() -> Deadline | None:
    """That of what this thread does just now; None: it has none."""
    found: Deadline | None = getattr(_here, "deadline", None)
    return found


class Reads:
    """Threads that read from the store. One that is broken off is free again, so none pile up.

    Once the store does not answer, `probe` is looked for until it does, and nobody else waits meanwhile: clients ask
    five times before they tell of it.
    """

    def __init__(self, probe: Callable[[], object]) -> None:
        self._probe = probe
        self._threads = ThreadPoolExecutor(THREADS, "read")
        self._limits: dict[Deadline, None] = {}
        # Why nobody is answered just now; None: all are.
        self._unable: Refusal | None = None
        self._probing: asyncio.Task[None] | None = None

    async def of(self, look: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> T:
        """What the store answers. Raises Refusal: as the store does, and STORE_SLOW once it took too long."""
        if self._unable is not None:
            raise Refusal(self._unable.code, self._unable.reason, self._unable.message)
        try:
            return await self._answered(partial(look, *args, **kwargs))
        except Refusal as refusal:
            if refusal.reason in AWAY:
                self._unable = refusal
                if self._probing is None:
                    self._probing = asyncio.create_task(self._until_answered())
            raise

    async def _until_answered(self) -> None:
        try:
            while self._unable is not None:
                try:
                    await self._answered(self._probe)
                except Refusal as refusal:
                    self._unable = refusal if refusal.reason in AWAY else None
                    await asyncio.sleep(AGAIN_SECONDS)
                else:
                    self._unable = None
        finally:
            self._unable = self._probing = None

    async def _answered(self, look: Callable[[], T]) -> T:
        limit = Deadline()
        reading = self._threads.submit(self._within, limit, look)
        # Also where whoever asked has gone meanwhile.
        timer = asyncio.get_running_loop().call_later(READING_SECONDS, limit.come)
        try:
            async with asyncio.timeout(READING_SECONDS):
                return await asyncio.wrap_future(reading)
        except (TimeoutError, Refusal) as error:
            if isinstance(error, Refusal) and not limit.has_come:
                raise
            message = f"the store has not answered for {READING_SECONDS:g} s; look at it and its locks, then ask again"
            raise Refusal(Code.UNAVAILABLE, SLOW, message) from error
        finally:
            if reading.done():
                timer.cancel()

    def close(self) -> None:
        """Breaks off what is under way: nobody waits for it any more."""
        if self._probing is not None:
            self._probing.cancel()
        self._threads.shutdown(wait=False, cancel_futures=True)
        for limit in list(self._limits):
            limit.come()

    def _within(self, limit: Deadline, look: Callable[[], T]) -> T:
        self._limits[limit] = None
        try:
            return limit.holds(look)
        finally:
            del self._limits[limit]
