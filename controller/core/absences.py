"""Times in which nothing could be given a place, as there was no controller, or it stood still: no wait counts them."""

from dataclasses import dataclass

# Ticks come far more often than this.
STOOD_STILL_MS = 5_000
# How often it is written down that there is a controller; by so much a time without one may seem longer.
SAVED_MS = 10_000
# Of so many times without one the latest are known; what is older counts as if there had been one.
MOST = 50


@dataclass(frozen=True, slots=True)
class Presence:
    """Until when there was a controller, and from when to when there was none: the next process has to know it.

    Times are in milliseconds since 1970.
    """

    until_ms: int
    gaps: tuple[tuple[int, int], ...] = ()

    @property
    def name(self) -> str:
        """There is one such record."""
        return "presence"


class Absences:
    """When there was no controller, as far as those before this one have written it down."""

    def __init__(self, before: Presence | None) -> None:
        self._known = before or Presence(until_ms=0)
        self._is_first, self._saved_ms = True, 0

    def ticked(self, wall_ms: int) -> None:
        """There is a controller now. Between its own ticks it is missed only where it stood still."""
        known = self._known
        since_ms = known.until_ms or wall_ms
        was_away = wall_ms > since_ms and (self._is_first or wall_ms - since_ms > STOOD_STILL_MS)
        gaps = (*known.gaps, (since_ms, wall_ms))[-MOST:] if was_away else known.gaps
        self._known, self._is_first = Presence(wall_ms, gaps), False

    def since(self, moment_ms: int) -> int:
        """For how long since that moment there was none."""
        return sum(max(0, end_ms - max(begin_ms, moment_ms)) for begin_ms, end_ms in self._known.gaps)

    def to_save(self, *, while_jobs_wait: bool) -> Presence | None:
        """What has to be written down now, if anything: at first, since a job may come in the very next event."""
        if self._saved_ms and not (while_jobs_wait and self._known.until_ms - self._saved_ms >= SAVED_MS):
            return None
        self._saved_ms = self._known.until_ms
        return self._known
