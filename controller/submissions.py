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
        self._under_way: dict[str, asyncio.Task[Job]] = {}

    async def once(self, request_id: str, create: Callable[[], Coroutine[Any, Any, Job]]) -> Job:
        """What `create` comes to, or the creation of this request that is under way. Raises what that raises.

        A creation goes on when its caller has left: the next one has to find what became of it.
        """
        task = self._under_way.get(request_id)
        if task is None:
            task = asyncio.create_task(create())
            self._under_way[request_id] = task
            task.add_done_callback(lambda done: self._done(request_id, done))
        return await asyncio.shield(task)

    def _done(self, request_id: str, task: asyncio.Task[Job]) -> None:
        del self._under_way[request_id]
        if not task.cancelled():
            task.exception()  # Seen, if all callers have left.
