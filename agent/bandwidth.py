"""What checkpoints may take of a node's network."""

from aiolimiter import AsyncLimiter

# So much of a second's share may go at once; the rest is spread.
BURST_SECONDS = 0.1


class Bandwidth:
    """So many bytes a second at most, for all transfers together; 0: as many as there is room for."""

    def __init__(self, bytes_per_second: int = 0) -> None:
        burst = bytes_per_second * BURST_SECONDS
        self._limiter = AsyncLimiter(burst, BURST_SECONDS) if bytes_per_second else None

    async def take(self, size: int) -> None:
        """Waits until `size` bytes may go, or more of them may come."""
        if self._limiter is None:
            return
        left = float(size)
        while left > 0:
            part = min(left, self._limiter.max_rate)
            await self._limiter.acquire(part)
            left -= part
