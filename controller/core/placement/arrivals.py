"""How long it takes until nodes have what a job needs there: its image, and its last checkpoint."""

from itertools import islice
from typing import Self

import numpy as np

from controller.core.placement.paths import CHECKPOINT, IMAGE, Paths
from controller.core.placement.rates import Rates
from controller.core.placement.snapshot import Booleans, Floats, Snapshot
from headrace.jobs import ImagePin, Job

# Images of which it is kept on which nodes they are.
_MOST_COLUMNS = 64


class Arrivals:
    """Of all jobs, over the paths as they were measured. Where nothing was measured yet, it takes no time."""

    def __init__(self, snapshot: Snapshot, paths: Paths) -> None:
        self.snapshot = snapshot
        self.paths = paths
        # Kept beside what is kept of nodes here: both are for all tables, and begin anew once a node is forgotten.
        self.rates = Rates(snapshot)
        # By image, on which nodes it is, of how many of these that was seen, and what comes of it.
        self._has: dict[str, Booleans] = {}
        self._counts: dict[str, int] = {}
        self._columns: dict[ImagePin, tuple[int, Floats]] = {}
        # By kind, bytes a millisecond; and of which edition, and of how many nodes, that is.
        self._rates: dict[str, Floats] = {}
        self._nothing: Floats = np.zeros(0)
        self._seen = (-1, -1, -1)

    def copy(self, snapshot: Snapshot) -> Self:
        """The same as of now, of a copy of the snapshot."""
        twin = type(self)(snapshot, self.paths)
        twin.rates = self.rates.copy(snapshot)
        return twin

    def most_ms(self, job: Job) -> float:
        """How long it takes at most, were it to bring all over the slowest path that was measured."""
        slowest, found = self.paths.slowest, 0.0
        if IMAGE in slowest and job.images:
            found += max([pin.size_bytes for pin in job.images]) / slowest[IMAGE]
        if CHECKPOINT in slowest and job.checkpoint is not None:
            found += job.checkpoint.size_bytes / slowest[CHECKPOINT]
        return found

    def of_image(self, pin: ImagePin) -> Floats:
        """In milliseconds by slot, for an image; to be read only."""
        self._renew()
        if IMAGE not in self._rates:
            return self._nothing
        having = self._having(pin.image)
        known = self._columns.get(pin)
        if known is None or known[0] != having:
            if known is None and len(self._columns) >= _MOST_COLUMNS:
                self._columns.clear()
            column: Floats = pin.size_bytes / self._rates[IMAGE]
            column[self._has[pin.image]] = 0.0
            known = self._columns[pin] = (having, column)
        return known[1]

    def of_checkpoint(self, job: Job) -> Floats | None:
        """In milliseconds by slot, for a job's last checkpoint; `None`: it takes no time anywhere, as far as is known.

        What a node has of it is not known: all of it is brought to each.
        """
        self._renew()
        if CHECKPOINT not in self._rates or job.checkpoint is None:
            return None
        column: Floats = job.checkpoint.size_bytes / self._rates[CHECKPOINT]
        return column

    def _renew(self) -> None:
        """Rates are others, or of other nodes."""
        paths, snapshot = self.paths, self.snapshot
        now = (paths.edition, len(snapshot.nodes), snapshot.room)
        if self._seen == now:
            return
        self._seen = now
        self._columns, self._has, self._counts = {}, {}, {}
        self._nothing = np.zeros(snapshot.room)
        self._rates = {kind: np.full(snapshot.room, usual) for kind, usual in paths.usual.items()}
        for (node, kind), rate in paths.rates.items():
            if node in snapshot.slots:
                self._rates[kind][snapshot.slots[node]] = rate

    def _having(self, image: str) -> int:
        """How many nodes have it; brings up to date which."""
        nodes, slots = self.paths.images.get(image, {}), self.snapshot.slots
        seen = self._counts.get(image, 0)
        if image not in self._has or seen > len(nodes):
            seen, self._has[image] = 0, np.zeros(self.snapshot.room, dtype=np.bool_)
        if seen < len(nodes):
            new = list(islice(nodes, seen, None))
            self._has[image][[slots[one] for one in new if one in slots]] = True
            seen += len(new)
        self._counts[image] = seen
        return seen
