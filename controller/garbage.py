"""When garbage that refers to itself is looked for. All other goes at once, as everywhere in Python."""

import contextlib
import gc
import sys
from collections.abc import Iterator

# Among the youngest objects after so many more were made than let go; among what came since the look before after more
# than so many of these; and, once one has not been set aside, among all. Records have no cycles: with Python's own
# numbers it cost a sixth of a busy controller's processor time.
THRESHOLDS = (10_000, 2, 0)
# All are looked at after so many looks at what came, and not before what has come since is a quarter of all (which is
# Python's own rule). Each may have set aside what was garbage a moment later.
LOOKS = 400


@contextlib.contextmanager
def no_collections() -> Iterator[None]:
    """Records have no cycles; looking for some in all that is loaded so far, over and over, doubles the time."""
    collects = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if collects:
            gc.enable()


class Aside:
    """What has stayed is set aside, and not gone through again before all is; that holds everything up.

    With 10,000 nodes all is a million objects, of which ten thousand are garbage, and takes up to a second.
    """

    def __init__(self, looks: int = LOOKS) -> None:
        self._looks = looks
        self._left = looks

    def begin(self) -> None:
        """From now on. What was loaded stays, for the most part: with 100,000 jobs it takes a third of a second."""
        gc.freeze()
        gc.set_threshold(*THRESHOLDS)
        # From 3.14 on Python goes through old objects little by little, and has no look at all of them to wait for.
        if sys.version_info < (3, 14):
            gc.callbacks.append(self.looked)
        gc.enable()

    def looked(self, phase: str, info: dict[str, int]) -> None:
        """Python tells of each look (`gc.callbacks`)."""
        every = info["generation"] == len(THRESHOLDS) - 1
        if phase == "start":
            if every:
                gc.unfreeze()
        elif every:
            self._left = self._looks
            gc.freeze()
        elif info["generation"] > 0:
            self._left -= 1
            # It also has Python forget that it has looked: it goes through all once this is left out.
            if self._left > 0:
                gc.freeze()
