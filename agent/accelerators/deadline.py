"""Calls that may hang in the kernel, with a deadline."""

import asyncio
import threading
from collections.abc import Callable
from concurrent.futures import Future
from typing import TypeVar

Result = TypeVar("Result")


async def within(seconds: float, function: Callable[[], Result]) -> Result:
    """The function's result, from a thread of its own. Raises TimeoutError; the thread is then left to its fate.

    The thread is a daemon: one of a pool would keep the process from ending for as long as the driver hangs.
    """
    future: Future[Result] = Future()
    # It runs from here on and cannot be cancelled, so that the thread may always set its outcome.
    future.set_running_or_notify_cancel()

    def run() -> None:
        try:
            future.set_result(function())
        except BaseException as error:  # noqa: BLE001  Nothing is swallowed: it is raised where it is awaited.
            future.set_exception(error)

    threading.Thread(target=run, daemon=True, name="may-hang").start()
    async with asyncio.timeout(seconds):
        return await asyncio.wrap_future(future)
