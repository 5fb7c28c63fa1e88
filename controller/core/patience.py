"""Jobs that had better wait though they could start: a faster node has room soon, and a start could not be taken back.

A job that can be moved starts where it can, and goes to the faster node once there is room (`improvements`).
"""

import numpy as np

from controller.core import backfill, keeping
from controller.core.book import Book
from controller.core.ends import Ends
from controller.core.placement.fit import Place
from controller.core.placement.lengths import Lengths
from controller.core.placement.snapshot import Integers
from controller.core.placement.tables import Table
from controller.core.turns import Patience
from headrace import units
from headrace.changes import replace
from headrace.jobs import Job

# So many nodes are looked at, those first that lack least.
FEW = 8


def may_wait(book: Book, job: Job) -> bool:
    """Whether it may be better for the job to wait: it stays where it starts, and nodes differ in how fast it runs."""
    spec = job.spec
    if job.is_gang or job.gang or len(book.snapshot.makes) < 2 or spec.prefer or spec.neighbours is not None:
        # What users prefer comes before how soon it is done.
        return False
    is_moved_for_speed = spec.checkpoint is not None and book.policy.improving.speed_moves_per_hour > 0
    return not is_moved_for_speed and book.learned.tells_of(spec)


def pause(book: Book, job: Job, table: Table, place: Place | None) -> str:
    """Why a job that may wait does not start at the place that it may have; empty where it does, or has none.

    Once others have had that place, it waits as any other job: room is kept for it again when it is its turn.
    """
    turns, lengths, began = book.turns, table.lengths, job.id in book.turns.patience
    known = turns.patient(job.id, book.wall_ms)
    if place is None or lengths is None or (began and known is None):
        if known is not None:
            turns.patience[job.id] = replace(known, until_ms=book.wall_ms)
        return ""
    slot = book.snapshot.slots[place.node]
    run_ms = lengths.at_least(job, slot)
    if run_ms is None:
        return ""
    here_ms = run_ms + lengths.beside(job, slot, run_ms)
    if known is None:
        known = _better(book, job, table, lengths, here_ms)
        if known is None:
            return ""
        turns.patience[job.id] = known
        book.queue.look_again(job.id, known.until_ms)
    elif here_ms <= lengths.terms.as_good_ms(known.done_ms - book.wall_ms):
        return ""
    return known.reason


def _better(book: Book, job: Job, table: Table, lengths: Lengths, here_ms: float) -> Patience | None:
    """Where it would be done soonest if it waited, if that is clearly sooner than where it could start."""
    runs_ms, slots = _faster(book, table, lengths, job, here_ms)
    scene = replace(keeping.scene(book, job), ends_ms=Ends(book, job.id))
    latest_ms = _latest_ms(job)
    best: Patience | None = None
    for slot in keeping.by_lack(book, job, slots)[:FEW].tolist():
        node = book.snapshot.nodes[slot]
        kept = backfill.earliest([job], scene, [node])
        if kept is None or kept.start_ms is None:
            continue
        wait_ms = kept.start_ms - book.wall_ms
        run_ms = runs_ms[int(book.snapshot.make[slot])]
        total_ms = wait_ms + run_ms + lengths.beside(job, slot, run_ms)
        if here_ms <= lengths.terms.as_good_ms(total_ms):
            continue
        done_ms = book.wall_ms + round(total_ms)
        # It may take longer than was thought, as much as what is as good as the best.
        until_ms = kept.start_ms + round(wait_ms * (lengths.terms.ratio - 1)) + lengths.terms.matters_ms
        if (best is None or done_ms < best.done_ms) and (latest_ms is None or until_ms < latest_ms):
            best = Patience(node.id, kept.start_ms, until_ms, done_ms, _reason(node.id, wait_ms, here_ms - total_ms))
    return best


def _faster(book: Book, table: Table, lengths: Lengths, job: Job, here_ms: float) -> tuple[dict[int, float], Integers]:
    """By make how long it would run, of those that are so much faster; and their nodes, which have no room just now."""
    snapshot = book.snapshot
    known = len(snapshot.nodes)
    full = np.flatnonzero((table.code[:known] != 0) & (snapshot.standing[:known] == 0))
    runs_ms = lengths.at_most(job, full)
    runs_ms = {make: millis for make, millis in runs_ms.items() if here_ms > lengths.terms.as_good_ms(millis)}
    # One node is waited for by one job: with another one before it, it would be later.
    patient = [one for one in book.turns.patience.values() if book.wall_ms < one.until_ms]
    awaited = [snapshot.slots[one.node] for one in patient if one.node in snapshot.slots]
    return runs_ms, full[np.isin(snapshot.make[full], list(runs_ms)) & ~np.isin(full, awaited)]


def _latest_ms(job: Job) -> int | None:
    """When it would have waited for too long, in milliseconds since 1970."""
    queue_ms = job.spec.timeouts.queue_ms
    return job.queue_time_ms + queue_ms if queue_ms is not None and job.queue_time_ms is not None else None


def _reason(node: str, wait_ms: float, saved_ms: float) -> str:
    return (
        f"waits for {node}, which should have room in {_told(wait_ms)}: it would be done {_told(saved_ms)} sooner "
        "there than where it could start now, and could not be moved later"
    )


def _told(millis: float) -> str:
    return units.format_duration(max(1, round(millis / 1000)) * 1000)
