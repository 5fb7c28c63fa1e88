"""What the core is told of the time: by a clock that nobody sets, so that what it times lasts as long as it should."""

import logging
import time
from collections.abc import Callable

from controller.core.model import Ticked

# Before that it is the machine's clock being kept, and nobody set it.
_WORTH_TELLING_NS = 10 * 10**9
_MS, _S = 10**6, 10**9

_log = logging.getLogger(__name__)


def _passed_ns() -> int:
    # The time that the machine was suspended passes too.
    return time.clock_gettime_ns(time.CLOCK_BOOTTIME)


class Clock:
    """The time since 1970 is the machine's as it was when this began, and what has passed since.

    Timeouts, exclusions and deadlines are times of records: a machine's clock that is set would stretch or end them.
    Until the controller is started anew, its records go by the clock as it was.
    """

    def __init__(self, wall_ns: Callable[[], int] = time.time_ns, passed_ns: Callable[[], int] = _passed_ns) -> None:
        self._wall_ns = wall_ns
        self._passed_ns = passed_ns
        self._began_ns = wall_ns() - passed_ns()
        self._told_ns = 0

    def now(self) -> Ticked:
        """That time has passed."""
        wall_ns = self._began_ns + self._passed_ns()
        self._tell(self._wall_ns() - wall_ns)
        return Ticked(now_ms=time.monotonic_ns() // _MS, wall_ms=wall_ns // _MS)

    def _tell(self, off_ns: int) -> None:
        if abs(off_ns - self._told_ns) < _WORTH_TELLING_NS:
            return
        self._told_ns = off_ns
        _log.warning(
            "this machine's clock was set, by %+d s since the controller started; the controller goes by what has"
            " passed, and takes the machine's time on when it is started anew",
            off_ns // _S,
        )
