"""Reads the log of one container by the engine's API, from a cursor to its end."""

import asyncio
import logging
from collections.abc import AsyncGenerator, Awaitable, Callable
from contextlib import AbstractAsyncContextManager, aclosing
from http import HTTPStatus

from agent.runtimes import docker_containers as containers
from agent.runtimes.docker_logs import Cursor, Frames, Position, chunks, cursor_of
from agent.runtimes.docker_stream import Answer
from agent.runtimes.runtime import ContainerState, LogChunk, RuntimeRefused

# How long the event of an exit is waited for before the engine is asked for the container's state.
DEATH_SECONDS = 0.2

# Before a log that broke off, though its container runs, is asked for again.
RETRY_SECONDS = 1.0

_QUERY = {"stdout": "1", "stderr": "1", "timestamps": "1"}

_log = logging.getLogger(__name__)


class LogReader:
    """The log of the container `name`.

    `ask` asks for its log, with a query; `state` for its state, which is none where it is not there, and refuses one
    that has no log yet; `death` is set once the engine has told of its exit.
    """

    def __init__(
        self,
        name: str,
        *,
        ask: Callable[[dict[str, str]], AbstractAsyncContextManager[Answer]],
        state: Callable[[], Awaitable[ContainerState | None]],
        death: asyncio.Event,
    ) -> None:
        self._name = name
        self._ask = ask
        self._state = state
        self._death = death

    async def read(self, after: Cursor) -> AsyncGenerator[LogChunk, None]:
        """What comes after this place, as it comes, until the container is over and all is read."""
        # What is over so soon is read at once, as a whole: to follow it would cost the engine three more answers.
        state = await self._state_soon()
        if state is None:
            raise containers.missing(self._name)
        while state is not None:
            position = Position(after)
            async with aclosing(self._part(position, follow=state is not ContainerState.EXITED)) as part:
                async for chunk in part:
                    after = cursor_of(chunk.cursor)
                    yield chunk
            if state is ContainerState.EXITED:
                return
            state = await self._state_soon()
            if state is ContainerState.EXITED:
                # The engine may end a log a little early that is followed: what is missing is read as a last part.
                if await self._is_whole(position):
                    return
            elif after == position.start:
                await asyncio.sleep(RETRY_SECONDS)

    async def _state_soon(self) -> ContainerState | None:
        """The state of a container that may be about to exit, or has exited: of that an event tells first."""
        try:
            async with asyncio.timeout(DEATH_SECONDS):
                await self._death.wait()
        except TimeoutError:
            return await self._state()
        return ContainerState.EXITED

    async def _is_whole(self, position: Position) -> bool:
        async with self._ask({**_QUERY, "tail": "1"}) as answer:
            if answer.status != HTTPStatus.OK:
                return False
            last = list(Frames().entries(await answer.read_all()))
            # An answer that was cut off ends as any other does: that nothing is in it says nothing of the log.
            return bool(last) and all(map(position.is_at, last))

    async def _part(self, position: Position, *, follow: bool) -> AsyncGenerator[LogChunk, None]:
        query = {**_QUERY, "follow": str(int(follow)), "since": position.start.seconds}
        async with self._ask(query) as answer:
            if answer.status in (HTTPStatus.NOT_FOUND, HTTPStatus.CONFLICT):
                return  # It is removed, or being removed.
            if answer.status != HTTPStatus.OK:
                raise RuntimeRefused("LOG_UNREADABLE", await answer.message())
            async with aclosing(chunks(answer, position)) as read:
                async for chunk in read:
                    yield chunk
            if position.lost:
                _log.warning(
                    "the engine has rotated away a part of the log of %s that nobody may have read", self._name
                )
