"""How long the steps of a work take, and what they bring over the network."""

import time
from collections.abc import Awaitable

from headrace.attempts import Phase


async def timed(phases: list[Phase], name: str, work: Awaitable[int | None]) -> None:
    """Does the work, which answers how many bytes it moved, if any; adds its phase."""
    begun = time.monotonic()
    moved_bytes = await work
    phases.append(phase(name, begun, moved_bytes or 0))


def phase(name: str, begun: float, moved_bytes: int) -> Phase:
    """The phase that began then, by the monotonic clock, and ends now."""
    return Phase(name, int((time.monotonic() - begun) * 1000), moved_bytes)
