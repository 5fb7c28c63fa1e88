"""What a move will cost, as far as earlier moves and saves tell: how long the job stands still, and what travels.

A move's downtime is taken apart: to stop and save is the job's and its source's, to start again the target's. Each part
is foretold by the moves that are most like the one that is planned.
"""

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from operator import itemgetter
from typing import NamedTuple

from controller.core.placement.fit import Place
from controller.core.placement.paths import Paths
from headrace.attempts import Attempt
from headrace.jobs import Job, Level, Migration, MigrationState

# The median of so many, the newest of their kind: older ones tell of another load.
_NEWEST = 3
# Moves that took along so many times as much, or so much less, tell little of this one.
_LIKE = 4
_MOVES_KEPT = 1_000

_PARTS = 1_000_000

_LEAVING = ("stop", "save")
_OF_THE_CHECKPOINT = ("save", "restore", "prefetch-restore")


@dataclass(frozen=True, slots=True)
class _Seen:
    """A move that succeeded; `moved_bytes` is what of the checkpoint travelled, up and down.

    `first` is one to a node to which the job had not moved before.
    """

    job: str
    source: str
    target: str
    level: Level
    leaving_ms: int
    arriving_ms: int
    size_bytes: int
    moved_bytes: int
    first: bool


class _Kind(NamedTuple):
    """Moves of which one like them may be told, and how they are called."""

    holds: Callable[[_Seen], bool]
    text: str


class Foresight:
    """What was seen of moves, the newest alone; made anew from the records of jobs."""

    def __init__(self) -> None:
        self._moves: dict[tuple[str, int], _Seen] = {}
        self.paths = Paths()

    def recall(self, jobs: Iterable[Job]) -> None:
        """What jobs' records tell, each job's once: what began last counts as the newest, whosever it is."""
        each = list(jobs)
        ran = [(job, one) for job in each for one in job.attempts if one.start_time_ms is not None]
        ran.sort(key=_start_ms)
        self.paths.recall(ran)
        moves = [(one.request_time_ms or 0, job, one) for job in each for one in job.migrations]
        for _, job, move in sorted(moves, key=itemgetter(0)):
            self.moved(job, move)

    def moved(self, job: Job, move: Migration) -> None:
        """A move of the job has ended; or one that had succeeded turned out to be none."""
        key = (job.id, move.target_epoch)
        self._moves.pop(key, None)
        if move.state is not MigrationState.SUCCEEDED or not move.downtime_millis:
            return
        self.paths.moved(move)
        leaving_ms = sum(phase.millis for phase in move.phases if phase.name in _LEAVING)
        saved = next((one.checkpoint for one in job.attempts if one.epoch == move.source_epoch), None)
        self._moves[key] = _Seen(
            job=job.id,
            source=move.source,
            target=move.target,
            level=move.level,
            leaving_ms=min(leaving_ms, move.downtime_millis),
            arriving_ms=max(0, move.downtime_millis - leaving_ms),
            size_bytes=saved.size_bytes if saved is not None else 0,
            moved_bytes=sum(phase.bytes for phase in move.phases if phase.name in _OF_THE_CHECKPOINT),
            first=not any((one.job, one.target) == (job.id, move.target) for one in self._moves.values()),
        )
        if len(self._moves) > _MOVES_KEPT:
            del self._moves[next(iter(self._moves))]

    def downtime(self, job: Job, level: Level, *, target: str) -> tuple[int, str] | None:
        """For how long the job will stand still, and from what this is told; None where nothing like it was seen."""
        source = job.node
        leaving = (
            _Kind(lambda one: (one.job, one.source) == (job.id, source), ""),
            _Kind(lambda one: one.job == job.id, ""),
            _Kind(lambda one: (one.source, one.target) == (source, target), ""),
            _Kind(lambda one: one.source == source, ""),
            _Kind(lambda one: one.target == target, ""),
        )
        arriving = (
            _Kind(
                lambda one: (one.job, one.source, one.target) == (job.id, source, target),
                f"of this job from {source} to {target}",
            ),
            _Kind(lambda one: (one.job, one.target) == (job.id, target), f"of this job to {target}"),
            _Kind(lambda one: (one.source, one.target) == (source, target), f"of others from {source} to {target}"),
            _Kind(lambda one: one.target == target, f"of others to {target}"),
            _Kind(lambda one: one.job == job.id, "of this job to other nodes"),
        )
        arrived, text = self._closest(job, level, arriving)
        left, _ = self._closest(job, level, leaving)
        if not arrived:
            return None
        millis = _median(one.leaving_ms for one in left or arrived) + _median(one.arriving_ms for one in arrived)
        return millis, f"{len(arrived)} move{'s' if len(arrived) > 1 else ''} {text}"

    def moved_bytes(self, job: Job, level: Level, place: Place) -> int:
        """What will travel: the image if the target has not run it, and what of the checkpoint goes up and down."""
        image = 0 if self.paths.has(place.node, place.pin.image) else place.pin.size_bytes
        saved = job.checkpoint
        if level is Level.RESTART or saved is None:
            return image
        own = [one for one in self._moves.values() if one.job == job.id and one.size_bytes and one.level is level]
        there_before = [one for one in own if one.target == place.node]
        # A node that has had the job may still have most of its chunks.
        like = [one for one in there_before if not one.first] or there_before or [one for one in own if one.first]
        if like:
            share = _median(one.moved_bytes * _PARTS // one.size_bytes for one in like[-_NEWEST:])
            return image + saved.size_bytes * share // _PARTS
        if saved.sequence == 1:
            # A first save: all of it was sent, and all of it may be sent again.
            return image + 3 * saved.sent_bytes
        # The target brings all of it, and then what changes between two saves, once that was sent.
        return image + saved.size_bytes + 2 * saved.sent_bytes

    def _closest(self, job: Job, level: Level, kinds: Iterable[_Kind]) -> tuple[list[_Seen], str]:
        """The newest moves of the first kind of which there are any."""
        size_bytes = job.checkpoint.size_bytes if job.checkpoint is not None else 0
        seen = [one for one in self._moves.values() if one.level is level]
        for kind in kinds:
            found = [one for one in seen if kind.holds(one)]
            like = [one for one in found if one.size_bytes <= _LIKE * size_bytes <= _LIKE * _LIKE * one.size_bytes]
            if found:
                return (like or found)[-_NEWEST:], kind.text
        return [], ""


def _start_ms(ran: tuple[Job, Attempt]) -> int:
    return ran[1].start_time_ms or 0


def _median(values: Iterable[int]) -> int:
    ordered = sorted(values)
    return (ordered[(len(ordered) - 1) // 2] + ordered[len(ordered) // 2]) // 2
