"""Work in threads that is over when its awaiter is: files and descriptors must not outlive the call that owns them."""

import asyncio
import threading
from collections.abc import AsyncGenerator, AsyncIterable, AsyncIterator, Callable, Generator
from typing import Concatenate, ParamSpec, TypeVar

_Params = ParamSpec("_Params")
_Result = TypeVar("_Result")


async def finished(function: Callable[_Params, _Result], *args: _Params.args, **kwargs: _Params.kwargs) -> _Result:
    """Runs a function in a thread. Cancelled, it waits for the thread's end, which should therefore be near."""
    working = asyncio.ensure_future(asyncio.to_thread(function, *args, **kwargs))
    try:
        return await asyncio.shield(working)
    finally:
        await _ended(working)


async def stoppable(
    function: Callable[Concatenate[threading.Event, _Params], _Result], *args: _Params.args, **kwargs: _Params.kwargs
) -> _Result:
    """Runs a long function in a thread. Cancelled, it sets the event that the function has to look at."""
    stopped = threading.Event()
    working = asyncio.ensure_future(asyncio.to_thread(function, stopped, *args, **kwargs))
    try:
        return await asyncio.shield(working)
    finally:
        stopped.set()
        await _ended(working)


async def ahead(items: Generator[_Result]) -> AsyncGenerator[_Result]:
    """The items of a blocking generator, which works in a thread and is one item ahead of the consumer.

    Consume it within `contextlib.aclosing`, so that thread and generator are over when the consumer leaves.
    """
    following = _next(items)
    try:
        while item := await asyncio.shield(following):
            following = _next(items)
            yield item[0]
    finally:
        await _ended(following)
        items.close()


async def received(items: AsyncIterable[_Result]) -> AsyncGenerator[_Result]:
    """The items of a stream, of which the next one is received while the consumer works on one.

    Consume it within `contextlib.aclosing`, so that nothing is received when the consumer has left.
    """
    source = aiter(items)
    following = asyncio.ensure_future(_one(source))
    try:
        while item := await following:
            following = asyncio.ensure_future(_one(source))
            yield item[0]
    finally:
        following.cancel()
        await _ended(following)


async def _one(source: AsyncIterator[_Result]) -> tuple[_Result] | None:
    async for item in source:
        return (item,)
    return None


def _next(items: Generator[_Result]) -> asyncio.Future[tuple[_Result] | None]:
    def step() -> tuple[_Result] | None:
        for item in items:
            return (item,)
        return None

    return asyncio.ensure_future(asyncio.to_thread(step))


async def _ended(working: asyncio.Future[_Result]) -> None:
    if not working.done():
        await asyncio.wait([working])
    if not working.cancelled():
        working.exception()  # Seen; whoever awaited it has it, or left.
