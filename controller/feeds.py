"""Who watches what: subscribers get what was saved, in order."""

import asyncio
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Generic, TypeVar

Item = TypeVar("Item")

# A watcher that is this far behind is cut off; it asks again and is told how things stand.
BACKLOG = 10_000


class Subscription(Generic[Item]):
    """What one watcher has not read yet. `overflowed` once it read too slowly."""

    def __init__(self) -> None:
        self._items: asyncio.Queue[Item] = asyncio.Queue(BACKLOG)
        self.overflowed = False

    def push(self, item: Item) -> None:
        """Adds an item."""
        try:
            self._items.put_nowait(item)
        except asyncio.QueueFull:
            self.overflowed = True

    async def next(self) -> Item:
        """The next item, when there is one."""
        return await self._items.get()


class Feed(Generic[Item]):
    """One kind of thing that can be watched."""

    def __init__(self) -> None:
        self._subscriptions: dict[int, Subscription[Item]] = {}
        self._count = 0

    def publish(self, item: Item) -> None:
        """Tells all who watch."""
        for subscription in self._subscriptions.values():
            subscription.push(item)

    @contextmanager
    def subscribed(self) -> Iterator[Subscription[Item]]:
        """A subscription to what is published from now on."""
        self._count += 1
        key = self._count
        self._subscriptions[key] = Subscription()
        try:
            yield self._subscriptions[key]
        finally:
            del self._subscriptions[key]
