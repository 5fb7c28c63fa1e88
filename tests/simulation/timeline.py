"""When things happen: one clock for a whole world, and what is due, in order."""

import heapq
from collections.abc import Callable

# What may happen at one moment. Whoever needs more goes round in a circle.
AT_ONE_MOMENT = 5_000
# When worlds begin, in milliseconds since 1970.
EPOCH_BEGAN_MS = 1_700_000_000_000


class EndlessMoment(AssertionError):
    """Things follow on each other for ever, and no time passes."""


class Timeline:
    """What is due at one moment happens in the order in which it was asked for."""

    def __init__(self) -> None:
        self.now_ms = 0
        self._due: list[tuple[int, int, Callable[[], object]]] = []
        self._count = 0

    def after(self, delay_ms: int, do: Callable[[], object]) -> None:
        """Has something happen later."""
        self._count += 1
        heapq.heappush(self._due, (self.now_ms + delay_ms, self._count, do))

    def run_until(self, end_ms: int) -> None:
        """Lets time pass."""
        due, at_this_moment = self._due, 0
        while due and due[0][0] <= end_ms:
            at_ms, _, do = heapq.heappop(due)
            at_this_moment = at_this_moment + 1 if at_ms == self.now_ms else 0
            if at_this_moment > AT_ONE_MOMENT:
                raise EndlessMoment(f"{AT_ONE_MOMENT} things happened at {self.now_ms} ms")
            self.now_ms = at_ms
            do()
        self.now_ms = end_ms
