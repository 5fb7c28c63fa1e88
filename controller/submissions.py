"""Requests that make jobs: those that are alike share one way through."""

import asyncio
from collections.abc import Callable, Coroutine
from typing import Any

from headrace.jobs import Job


class Submissions:
    """One creation at a time for a request id.

    A caller that gave up and asks again, as clients do, would else overtake its own first call: it would find no job
    yet, while the first call's job runs to its end, is forgotten by the core, and is overwritten by the second's.
    """

    def __init__(self) -> None:
        self._under_way: dict[str, tuple[tuple[str, ...], asyncio.Task[tuple[Job, ...]]]] = {}

    async def once(
        self, request_ids: tuple[str, ...], create: Callable[[], Coroutine[Any, Any, tuple[Job, ...]]]
    ) -> tuple[Job, ...]:
        """What `create` comes to, or the creation of these requests that is under way. Raises what that raises.

        One that has a part of them is waited for. A creation goes on when its caller has left: the next one has to find
        what became of it.
        """
        while others := [self._under_way[one] for one in request_ids if one in self._under_way]:
            ids, task = others[0]
            if ids == request_ids:
                return await asyncio.shield(task)
            await asyncio.wait([task])
        task = asyncio.create_task(create())
        self._under_way |= dict.fromkeys(request_ids, (request_ids, task))
        task.add_done_callback(lambda done: self._done(request_ids, done))
        return await asyncio.shield(task)

    def _done(self, request_ids: tuple[str, ...], task: asyncio.Task[tuple[Job, ...]]) -> None:
        for one in request_ids:
            del self._under_way[one]
        if not task.cancelled():
            task.exception()  # Seen, if all callers have left.
