"""What requests made before: most have made nothing, and that is known without a look into the store."""

import asyncio
import logging
from collections.abc import Iterable

import numpy as np

from controller.reads import Reads
from controller.store import Store
from headrace.jobs import Job
from headrace.refusals import Refusal

# 8 MiB: of a million jobs, each with an id and a request id, one in 150 new ones is looked up in vain.
BITS = 1 << 26
_PLACES = (0, 32)
# So many of the store's keys are learned at a time.
LEARNED_AT_ONCE = 10_000

_log = logging.getLogger(__name__)


class Keys:
    """Which keys were told: none of them is ever missing, and of others a few are taken for some that were.

    A Bloom filter (B. H. Bloom, Space/time trade-offs in hash coding with allowable errors, 1970); two places a key.
    """

    def __init__(self) -> None:
        self._bits = np.zeros(BITS // 8, np.uint8)
        self._bytes = self._bits.data

    def add(self, keys: Iterable[str]) -> None:
        """Tells all of these."""
        hashes = np.fromiter(map(hash, keys), np.int64)
        for first in _PLACES:
            places = hashes >> first & BITS - 1
            np.bitwise_or.at(self._bits, places >> 3, (1 << (places & 7)).astype(np.uint8))

    def seen(self, key: str) -> bool:
        """Whether this one was told; from now on it is."""
        hashed, was = hash(key), True
        for first in _PLACES:
            place = hashed >> first & BITS - 1
            byte, bit = self._bytes[place >> 3], 1 << (place & 7)
            if not byte & bit:
                was = False
                self._bytes[place >> 3] = byte | bit
        return was


class Earlier:
    """What requests made before, by the store: those that come while others are looked up are looked up together.

    All jobs that users ask for come by here, and no request id, nor an id made of one, comes into the store otherwise:
    once it knows those that were there before, a request of which neither was seen is new.
    """

    def __init__(self, store: Store, reads: Reads) -> None:
        self._store = store
        self._reads = reads
        self._keys = Keys()
        self._knows_all = False
        self._requests: list[tuple[str, str]] = []
        self._next: asyncio.Task[tuple[Job | None, ...]] | None = None
        self._looking = asyncio.Lock()

    async def learn(self) -> None:
        """Takes in what the store has; all are looked up there until then, and for good where it cannot be read."""
        try:
            for page in (self._store.job_ids, self._store.request_ids):
                keys = [""]
                while keys := await self._reads.of(page, after=keys[-1], limit=LEARNED_AT_ONCE):
                    self._keys.add(keys)
        except Refusal as refusal:
            _log.warning("the store is asked about each new job from now on: its jobs cannot be listed: %s", refusal)
        else:
            self._knows_all = True

    async def of(self, *requests: tuple[str, str]) -> tuple[Job | None, ...]:
        """The job of each request id, else the one that has its id."""
        asked = [one for one in requests if self._may_be_there(*one)]
        found = dict(zip(asked, await self._looked_up(asked), strict=True)) if asked else {}
        return tuple(found.get(one) for one in requests)

    def _may_be_there(self, request_id: str, job: str) -> bool:
        # Both are told, whatever comes of the first.
        seen = [self._keys.seen(one) for one in (request_id, job) if one]
        return any(seen) or not self._knows_all

    async def _looked_up(self, requests: list[tuple[str, str]]) -> tuple[Job | None, ...]:
        first = len(self._requests)
        self._requests += requests
        if self._next is None:
            self._next = asyncio.create_task(self._look())
        found = await asyncio.shield(self._next)
        return found[first : first + len(requests)]

    async def _look(self) -> tuple[Job | None, ...]:
        async with self._looking:
            requests, self._requests, self._next = self._requests, [], None
            return await self._reads.of(self._store.jobs_of, requests)
