"""What nodes have had, and how fast they bring what they lack: measured as jobs were brought there."""

from collections import OrderedDict, deque
from collections.abc import Iterable, Sequence
from statistics import median

from headrace.attempts import Attempt, Phase
from headrace.jobs import Job, Migration

# Images come from registries, and checkpoints from the controller's store.
IMAGE, CHECKPOINT = "image", "checkpoint"
_KINDS = {"pull": IMAGE, "prefetch-pull": IMAGE, "restore": CHECKPOINT, "prefetch-restore": CHECKPOINT}
# Of less, how long it took tells of everything but the path.
LEAST_BYTES = 1 << 20
# So many of the newest transfers of a node count.
_NEWEST = 8
# So many images of nodes, and jobs that ran somewhere, are known.
_IMAGES_KEPT, _JOBS_KEPT = 100_000, 10_000


class Paths:
    """Made anew from the records of jobs. What is measured counts from the next `renew` on; what a node has, at once.

    It may be read by another thread: what is replaced is replaced as a whole, and else there are only additions.
    """

    def __init__(self) -> None:
        # By image, the nodes that have run it: somebody may have deleted it since.
        self.images: dict[str, dict[str, None]] = {}
        self._image_count = 0
        # By project, and then by resource name as well as by the job's own, where a job was started last.
        self._ran: OrderedDict[tuple[str, str], str] = OrderedDict()
        # By node and kind: bytes and milliseconds of the newest transfers.
        self._brought: dict[tuple[str, str], deque[tuple[int, int]]] = {}
        # Bytes a millisecond, by node and kind, as of the last renewal; of nodes without a measurement, what is usual.
        self.rates: dict[tuple[str, str], float] = {}
        self.usual: dict[str, float] = {}
        self.slowest: dict[str, float] = {}
        self.edition = 0
        self._is_new = False

    def recall(self, ran: Sequence[tuple[Job, Attempt]]) -> None:
        """These attempts ran, the newest last: as if each was told to one that knows of none."""
        for _, attempt in ran:
            self._has_run(attempt)
        newest: dict[tuple[str, str], str] = {}
        for job, attempt in reversed(ran):
            for key in reversed(_names(job)):
                newest.setdefault(key, attempt.node)
            if len(newest) >= _JOBS_KEPT:
                break
        self._ran = OrderedDict(reversed(list(newest.items())[:_JOBS_KEPT]))

    def ran(self, job: Job, attempt: Attempt) -> None:
        """An attempt of the job runs: its node has its image, and brought what it lacked."""
        self._has_run(attempt)
        for key in _names(job):
            self._ran[key] = attempt.node
            self._ran.move_to_end(key)
            if len(self._ran) > _JOBS_KEPT:
                # A plain dict looks for its first key beyond all that were before it.
                self._ran.popitem(last=False)

    def _has_run(self, attempt: Attempt) -> None:
        nodes = self.images.setdefault(attempt.image, {})
        if attempt.node not in nodes:
            nodes[attempt.node] = None
            self._image_count += 1
            while self._image_count > _IMAGES_KEPT:
                self._image_count -= len(self.images.pop(next(iter(self.images))))
        if attempt.phases:
            self.brought(attempt.node, attempt.phases)

    def moved(self, move: Migration) -> None:
        """A move has succeeded: its target brought what it lacked ahead."""
        self.brought(move.target, [one for one in move.phases if one.name.startswith("prefetch-")])

    def brought(self, node: str, phases: Iterable[Phase]) -> None:
        """Transfers to a node were measured."""
        for phase in phases:
            kind = _KINDS.get(phase.name)
            if kind is not None and phase.bytes >= LEAST_BYTES:
                measured = self._brought.setdefault((node, kind), deque(maxlen=_NEWEST))
                measured.append((phase.bytes, max(1, phase.millis)))
                self._is_new = True

    def renew(self) -> None:
        """From now on what is new counts."""
        if not self._is_new:
            return
        self._is_new = False
        self.edition += 1
        self.rates = {
            one: sum(size for size, _ in measured) / sum(millis for _, millis in measured)
            for one, measured in self._brought.items()
        }
        by_kind = {kind: [rate for (_, its), rate in self.rates.items() if its == kind] for kind in (IMAGE, CHECKPOINT)}
        self.usual = {kind: median(rates) for kind, rates in by_kind.items() if rates}
        self.slowest = {kind: min(rates) for kind, rates in by_kind.items() if rates}

    def has(self, node: str, image: str) -> bool:
        """Whether a node has run the image."""
        return node in self.images.get(image, {})

    def last_node(self, project: str, name: str) -> str:
        """Where a job of the project of that id, or else of that name, was started last; empty: that is not known.

        Of a gang or an array, by its id, where one of its tasks or elements was.
        """
        return self._ran.get((project, _resource(name))) or self._ran.get((project, name), "")


def _names(job: Job) -> list[tuple[str, str]]:
    """By what it is asked where the job was started last."""
    # Of a gang and an array only their tasks and elements are started.
    ids = [_resource(one) for one in (job.id, job.gang, job.array) if one]
    return [(job.spec.project, name) for name in (*ids, job.spec.display_name)]


def _resource(job_id: str) -> str:
    # No display name has a slash.
    return f"jobs/{job_id}"
