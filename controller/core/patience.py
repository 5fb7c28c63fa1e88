"""Jobs that had better wait though they could start: faster nodes have room soon, and a start could not be taken back.

A job that can be moved starts where it can, and goes to the faster node once there is room (`improvements`).
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np

from controller.core import backfill, keeping
from controller.core.backfill import Kept, Scene
from controller.core.book import Book
from controller.core.ends import Ends
from controller.core.limits import queue_over_ms
from controller.core.placement.fit import Place
from controller.core.placement.lengths import Lengths
from controller.core.placement.snapshot import Floats, Integers
from controller.core.placement.tables import Table
from controller.core.turns import Patience
from headrace import units
from headrace.changes import replace
from headrace.jobs import Job, JobSpec

# So many nodes are looked at, those first that lack least.
FEW = 8
# And so many for a gang, if it has no more tasks than that.
FEW_FOR_GANGS = 32
# Of more nodes the first are named.
NAMED = 3


@dataclass(frozen=True, slots=True)
class _Start:
    """Where a job could start now, and in how long it would be done there, as an optimist sees it."""

    slots: Integers
    done_in_ms: float


def may_wait(book: Book, job: Job) -> bool:
    """Whether it may be better for the job to wait: it stays where it starts, and nodes differ in how fast it runs."""
    spec = job.spec
    if job.gang or not _differ(book, spec) or spec.prefer or spec.neighbours is not None:
        # What users prefer comes before how soon it is done.
        return False
    if job.is_gang and spec.task_count > FEW_FOR_GANGS:
        return False
    is_moved_for_speed = spec.checkpoint is not None and book.policy.improving.speed_moves_per_hour > 0
    return not is_moved_for_speed and book.learned.has_seen(spec)


def _differ(book: Book, spec: JobSpec) -> bool:
    """Whether nodes may differ in how fast they run it: in their make, or by figures where it declares its work."""
    if len(book.snapshot.makes) > 1:
        return True
    return spec.work is not None and book.arrivals.rates.differ_by(spec.work.precision) > book.policy.terms.ratio


def pause(book: Book, job: Job, table: Table, places: Sequence[Place]) -> str:
    """Why a job that may wait does not start at the places that it may have; empty where it does, or has none.

    Once others have had what it could have, it waits as any other job: room is kept for it again when it is its turn.
    """
    turns, lengths, began = book.turns, table.lengths, job.id in book.turns.patience
    known = turns.patient(job.id, book.wall_ms)
    if not places or lengths is None or (began and known is None):
        if known is not None:
            turns.patience[job.id] = replace(known, until_ms=book.wall_ms)
        return ""
    now = _start(book, job, lengths, places)
    if now is None:
        return ""
    if known is None:
        known = _better(book, job, table, lengths, now)
        if known is None:
            return ""
        turns.patience[job.id] = known
        book.queue.look_again(job.id, known.until_ms)
    elif now.done_in_ms <= lengths.terms.as_good_ms(known.done_ms - book.wall_ms):
        return ""
    return known.reason


def _start(book: Book, job: Job, lengths: Lengths, places: Sequence[Place]) -> _Start | None:
    """What it would have at these places; None where how long it runs is not known of all of them."""
    one, slots = keeping.one_of(book, job), np.array([book.snapshot.slots[place.node] for place in places])
    runs_ms = lengths.at_least(one, slots)
    return _Start(slots, lengths.together(one, slots, runs_ms)) if np.isfinite(runs_ms).all() else None


def _better(book: Book, job: Job, table: Table, lengths: Lengths, now: _Start) -> Patience | None:
    """Where it would be done soonest if it waited, if that is clearly sooner than where it could start."""
    one = keeping.one_of(book, job)
    runs_ms, slots = _faster(book, table, lengths, one, now)
    scene = replace(keeping.scene(book, job), ends_ms=Ends(book, job.id))
    latest_ms = queue_over_ms(job)
    best: Patience | None = None
    for kept in _rooms(book, job, scene, runs_ms, slots):
        if kept.start_ms is None or not kept.gone:
            continue
        at = np.array([book.snapshot.slots[node] for node in kept.places])
        wait_ms = kept.start_ms - book.wall_ms
        total_ms = wait_ms + lengths.together(one, at, runs_ms[at])
        if now.done_in_ms <= lengths.terms.as_good_ms(total_ms):
            continue
        done_ms = book.wall_ms + round(total_ms)
        # It may take longer than was thought, as much as what is as good as the best.
        until_ms = kept.start_ms + round(wait_ms * (lengths.terms.ratio - 1)) + lengths.terms.matters_ms
        if (best is None or done_ms < best.done_ms) and (latest_ms is None or until_ms < latest_ms):
            reason = _reason(kept.nodes, wait_ms, now.done_in_ms - total_ms)
            best = Patience(kept, kept.start_ms, until_ms, done_ms, reason)
    return best


def _rooms(book: Book, job: Job, scene: Scene, runs_ms: Floats, slots: Integers) -> Iterator[Kept]:
    """Where and when it would have room among these: a job on each node, a gang on the fastest, and on more."""
    snapshot = book.snapshot
    if not job.is_gang:
        each = [[slot] for slot in keeping.by_lack(book, job, slots)[:FEW].tolist()]
    else:
        longest = np.unique(runs_ms[slots])
        # Where there are more, some of all.
        some = longest[np.linspace(0, len(longest) - 1, min(FEW, len(longest))).astype(np.int64)]
        fast = [slots[runs_ms[slots] <= most] for most in some.tolist()]
        each = [keeping.by_lack(book, job, those)[:FEW_FOR_GANGS].tolist() for those in fast]
    tasks = keeping.alike(book, job)
    for those in each:
        kept = backfill.earliest(tasks, scene, [snapshot.nodes[slot] for slot in those])
        if kept is not None:
            yield kept


def _faster(book: Book, table: Table, lengths: Lengths, job: Job, now: _Start) -> tuple[Floats, Integers]:
    """How long it would run, by slot; and the nodes that are so much faster than where it could start.

    These have no room just now; but for a gang, which may have some of its tasks where there is.
    """
    snapshot = book.snapshot
    known = len(snapshot.nodes)
    may_do = (snapshot.standing[:known] == 0) & (bool(job.gang) | (table.code[:known] != 0)) & table.might()
    # One node is waited for by one job: with another one before it, it would be later.
    patient = [one for one in book.turns.patience.values() if book.wall_ms < one.until_ms]
    may_do[[snapshot.slots[node] for one in patient for node in one.kept.nodes if node in snapshot.slots]] = False
    able = np.flatnonzero(may_do)
    runs_ms: Floats = np.full(known, np.inf)
    runs_ms[able] = lengths.at_most(job, able, here=now.slots)
    return runs_ms, np.flatnonzero(runs_ms < lengths.terms.sooner_ms(now.done_in_ms))


def _reason(nodes: Sequence[str], wait_ms: float, saved_ms: float) -> str:
    others = f" and {len(nodes) - NAMED} others" if len(nodes) > NAMED else ""
    return (
        f"waits for {', '.join(nodes[:NAMED])}{others}, which should have room in {_told(wait_ms)}: it would be done "
        f"{_told(saved_ms)} sooner there than where it could start now, and could not be moved later"
    )


def _told(millis: float) -> str:
    return units.format_duration(max(1, round(millis / 1000)) * 1000)
