"""What would be if more were held of some nodes: tried in the snapshot, and taken back."""

from typing import Self

from controller.core.placement.fit import Place, Usage
from controller.core.placement.snapshot import Snapshot
from headrace.jobs import Job


class Trial:
    """What would be if other things were held of nodes. When it is left, all is as it was."""

    def __init__(self, snapshot: Snapshot) -> None:
        self._snapshot = snapshot
        self._before: dict[int, Usage] = {}
        self._gains = snapshot.gains

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        for slot, usage in self._before.items():
            self._snapshot.hold(slot, usage)
        # Nobody has more room by that: who waits need not be looked at again.
        self._snapshot.gains = self._gains

    def hold(self, node: str, usage: Usage) -> None:
        """So much would be held of the node."""
        slot = self._snapshot.slots[node]
        self._before.setdefault(slot, self._snapshot.usages[slot])
        self._snapshot.hold(slot, usage)

    def place(self, job: Job, place: Place) -> None:
        """The job would be there, too."""
        usage = self._snapshot.usages[self._snapshot.slots[place.node]]
        self.hold(place.node, usage.plus(job.spec, place.devices))
