"""Who watches what: subscribers get what was saved, in order."""

import asyncio
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Generic, TypeVar

from headrace.refusals import Code, Refusal

Item = TypeVar("Item")

BACKLOG = 10_000
ALL = ""


class Subscription(Generic[Item]):
    """What one watcher has not read yet."""

    def __init__(self) -> None:
        self._items: asyncio.Queue[Item] = asyncio.Queue(BACKLOG)
        self._overflowed = False

    def push(self, item: Item) -> None:
        """Adds an item."""
        try:
            self._items.put_nowait(item)
        except asyncio.QueueFull:
            self._overflowed = True

    async def next(self) -> Item:
        """The next item, when there is one. Raises a Refusal, upon which clients watch again, if some are missing."""
        if self._overflowed:
            raise Refusal(Code.UNAVAILABLE, "WATCH_TOO_SLOW", "this watch fell too far behind; watch again")
        return await self._items.get()

    def waiting(self) -> list[Item]:
        """All that is there to be read now."""
        return [self._items.get_nowait() for _ in range(self._items.qsize())]


class Feed(Generic[Item]):
    """One kind of thing that can be watched, each under its key, or ALL of them."""

    def __init__(self) -> None:
        self._subscriptions: dict[str, list[Subscription[Item]]] = {}

    def publish(self, key: str, item: Item) -> None:
        """Tells all who watch the key, and all who watch everything."""
        for watched in (key, ALL):
            for subscription in self._subscriptions.get(watched, ()):
                subscription.push(item)

    @contextmanager
    def subscribed(self, key: str = ALL) -> Iterator[Subscription[Item]]:
        """A subscription to what is published under the key from now on."""
        subscription: Subscription[Item] = Subscription()
        self._subscriptions.setdefault(key, []).append(subscription)
        try:
            yield subscription
        finally:
            self._subscriptions[key].remove(subscription)
            if not self._subscriptions[key]:
                del self._subscriptions[key]
