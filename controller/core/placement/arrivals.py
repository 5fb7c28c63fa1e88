"""How long it takes until nodes have what a job needs there: its image, and its last checkpoint."""

from itertools import islice

import numpy as np

from controller.core.placement.paths import CHECKPOINT, IMAGE, Paths
from controller.core.placement.snapshot import Booleans, Floats, Integers, Snapshot
from headrace.jobs import ImagePin, Job

# Images of which it is kept on which nodes they are.
_MOST_COLUMNS = 64


class Arrivals:
    """Of all jobs, over the paths as they were measured. Where nothing was measured yet, it takes no time."""

    def __init__(self, snapshot: Snapshot, paths: Paths) -> None:
        self.snapshot = snapshot
        self.paths = paths
        # By image, on which nodes it is, and of how many that was seen.
        self._columns: dict[str, tuple[int, Booleans]] = {}
        # By kind, bytes a millisecond; and of which edition, and how many nodes, that is.
        self._rates: dict[str, Floats] = {}
        self._seen = (-1, -1)

    def most_ms(self, job: Job) -> float:
        """How long it takes at most, were it to bring all over the slowest path that was measured."""
        slowest, found = self.paths.slowest, 0.0
        if IMAGE in slowest and job.images:
            found += max([pin.size_bytes for pin in job.images]) / slowest[IMAGE]
        if CHECKPOINT in slowest and job.checkpoint is not None:
            found += job.checkpoint.size_bytes / slowest[CHECKPOINT]
        return found

    def millis(self, job: Job, slots: Integers, makes: Integers, pins: dict[int, ImagePin]) -> Floats:
        """For each of these slots; `makes` of the nodes there, and the image that those of each make run.

        What a node has of a checkpoint is not known: all of it is brought to each.
        """
        self._renew()
        found: Floats = np.zeros(len(slots))
        if IMAGE in self._rates:
            for pin in dict.fromkeys(pins.values()):
                mine = np.isin(makes, [make for make, its in pins.items() if its == pin])
                mine &= ~self._having(pin.image)[slots]
                found[mine] += pin.size_bytes / self._rates[IMAGE][slots[mine]]
        if CHECKPOINT in self._rates and job.checkpoint is not None:
            found += job.checkpoint.size_bytes / self._rates[CHECKPOINT][slots]
        return found

    def _renew(self) -> None:
        """Rates are others, or of more nodes."""
        paths, snapshot = self.paths, self.snapshot
        if self._seen == (paths.edition, len(snapshot.nodes)):
            return
        self._seen = (paths.edition, len(snapshot.nodes))
        self._rates = {kind: np.full(snapshot.room, usual) for kind, usual in paths.usual.items()}
        for (node, kind), rate in paths.rates.items():
            if node in snapshot.slots:
                self._rates[kind][snapshot.slots[node]] = rate

    def _having(self, image: str) -> Booleans:
        slots, room = self.snapshot.slots, self.snapshot.room
        nodes = self.paths.images.get(image, {})
        seen, column = self._columns.get(image, (0, np.zeros(room, dtype=np.bool_)))
        if len(column) < room or seen > len(nodes):
            seen, column = 0, np.zeros(room, dtype=np.bool_)
        if seen < len(nodes):
            new = list(islice(nodes, seen, None))
            column[[slots[one] for one in new if one in slots]] = True
            seen += len(new)
        if image not in self._columns and len(self._columns) >= _MOST_COLUMNS:
            self._columns.clear()
        self._columns[image] = seen, column
        return column
