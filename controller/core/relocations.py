"""Moves that make room: for a job on devices that waits, else for what is usually asked for."""

from collections.abc import Iterator

from controller.core import backoff, precedence, prospects
from controller.core.book import Book
from controller.core.order import in_order
from controller.core.placement.columns import Spot
from controller.core.placement.defragmentation import Placed
from controller.core.placement.demand import demand_of
from controller.core.placement.fit import Place, fit
from controller.core.prospects import Elsewhere, span
from controller.core.seen import see_nodes
from headrace.jobs import Job, MigrationCause

# With a look, room is made for the first of so many that wait, and so many that run on devices are thought away.
WAITING, MOVABLE = 8, 128
# So many of those whose move makes most room are tried before it is given up.
TRIED = 4


def looked(book: Book) -> None:
    """After a look: one such move begins at most, and only while a job on devices waits."""
    if not prospects.may_begin(book, MigrationCause.ROOM, book.policy.improving.room_moves_per_hour):
        return
    waiting = list(_waiting(book))
    if not waiting:
        return
    see_nodes(book)
    movable = _movable(book)
    for job in waiting:
        precedence.begin_with(book, job)
        found = _for_one(book, job, movable)
        if found is not None:
            mover, place, cost_ms = found
            book.improvements.room_for[job.id] = mover.id
            text = (
                f"room: {job.name} waits, and would have a place on {mover.node}; the move costs {span(cost_ms / 1000)}"
            )
            prospects.begin(book, mover, place, MigrationCause.ROOM, text)
            return
    _for_many(book, movable)


def _waiting(book: Book) -> Iterator[Job]:
    """Jobs on devices that have found no place for the length of a look, whose turn it is first."""
    state = book.improvements
    state.room_for = {
        one: mover
        for one, mover in state.room_for.items()
        if one in book.jobs and mover in book.jobs and book.jobs[mover].migration is not None
    }
    lines = [line for line in book.queue.lines() if line.demand.resources.accelerators is not None]
    first = [book.jobs[one] for line in lines for one in line.first(1, without={})]
    count = 0
    for job in in_order(book, first):
        waits_ms = book.wall_ms - (job.queue_time_ms or book.wall_ms)
        if job.is_gang or job.id in state.room_for or waits_ms < book.policy.improving.look_ms:
            continue
        if backoff.pause(job, now_wall_ms=book.wall_ms) or not _lacks_room(book, job):
            continue
        count += 1
        yield job
        if count == WAITING:
            return


def _lacks_room(book: Book, job: Job) -> bool:
    """Whether it waits for room, and not for its turn or its project's quota; and nobody leaves for it."""
    turns, projects = book.turns, book.projects
    if job.id in turns.blocked or job.id in turns.claims or turns.patient(job.id, book.wall_ms) is not None:
        return False
    return not projects.over_quota(job.spec.project, projects.expected(job))


def _movable(book: Book) -> list[Job]:
    """Some of the jobs that run on devices and may be moved; others with the next look."""
    there = list(book.watchlist.on_devices.values())
    start = book.improvements.turn % len(there) if there else 0
    book.improvements.turn = start + MOVABLE
    turned = (there[start:] + there[:start])[:MOVABLE]
    return [job for job in turned if prospects.may_improve(book, job)]


def _for_one(book: Book, waiting: Job, movable: list[Job]) -> tuple[Job, Place, int] | None:
    """The job without which the one that waits would have a place, a place for it, and what it costs: the least."""
    best: tuple[Job, Place, int] | None = None
    for job in movable:
        node = book.nodes[job.node]
        usage = book.usage_once_gone(node.id, (job.id,), waiting=waiting.id)
        found = fit(waiting, node, usage, now_wall_ms=book.wall_ms)
        if not isinstance(found, Place) or precedence.harmed_by(book, waiting, [waiting], [found]):
            continue
        if isinstance(fit(waiting, node, book.usage(node.id, without=waiting.id), now_wall_ms=book.wall_ms), Place):
            # It is not that one that keeps it away.
            continue
        place = place_elsewhere(book, job)
        cost_ms = prospects.cost_ms(book, job, place.node) if place is not None else 0
        if place is not None and (best is None or cost_ms < best[2]):
            best = job, place, cost_ms
    return best


def place_elsewhere(book: Book, job: Job, target: str = "") -> Place | None:
    """Where the job could be moved (to `target`, if it is named) and would be no slower."""
    prospect = prospects.of(book, job)
    if prospect is None:
        return None
    found: list[Elsewhere] = []
    if target:
        offered = fit(job, book.nodes[target], book.usage(target), now_wall_ms=book.wall_ms)
        found = prospects.judged(book, prospect, [offered] if isinstance(offered, Place) else [])
    else:
        chosen = book.tables.choose(demand_of(job), job, now_wall_ms=book.wall_ms, but=job.node)
        found = prospects.judged(book, prospect, [chosen] if isinstance(chosen, Place) else [])
        found += prospects.elsewhere(book, prospect)
    return next((one.place for one in found if prospects.is_no_slower(book, prospect, one)), None)


def _for_many(book: Book, movable: list[Job]) -> None:
    """The move that makes most room for what is usually asked for, if it makes enough."""
    # Shapes are of the columns as they are now.
    book.costs.refresh()
    by_task = dict(enumerate(movable))
    placed = {task: one for task, job in by_task.items() if (one := _placed(book, task, job)) is not None}
    for _ in range(TRIED):
        found = book.costs.best_move(list(placed.values()))
        if found is None:
            return
        job = by_task[found.placed.task]
        place = place_elsewhere(book, job, book.snapshot.nodes[found.to.node].id)
        if place is not None:
            cost = span(prospects.cost_ms(book, job, place.node) / 1000)
            text = f"room: {found.gain / 1000:.2f} devices more for what is usually asked for; the move costs {cost}"
            prospects.begin(book, job, place, MigrationCause.ROOM, text)
            return
        del placed[found.placed.task]


def _placed(book: Book, task: int, job: Job) -> Placed | None:
    """The job in the terms of the measure; `None` where its node does not tell of its devices."""
    slot, attempt = book.snapshot.slots[job.node], job.attempt
    numbers = {one.id: number for number, one in enumerate(book.nodes[job.node].devices)}
    if attempt is None or any(one not in numbers for one in attempt.devices):
        return None
    shape = book.tables.table(demand_of(job), job).shape()
    if shape.devices != len(attempt.devices):
        return None
    return Placed(task, shape, Spot(slot, tuple(numbers[one] for one in attempt.devices)))
