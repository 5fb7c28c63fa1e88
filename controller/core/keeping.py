"""Keeps room for the first jobs that found none: where each of them would start first, as others end."""

from collections.abc import Collection, Iterable
from functools import partial
from itertools import takewhile

import numpy as np

from controller.core import backfill, backoff, gang_rooms, limits, reading
from controller.core.affordable import affordable
from controller.core.backfill import Kept, Scene, earliest, how_soon
from controller.core.book import Book
from controller.core.order import in_order
from controller.core.placement.demand import least
from controller.core.placement.fit import Usage, given
from controller.core.placement.snapshot import Integers
from controller.core.projects import NOTHING
from controller.core.seen import see_nodes
from controller.core.turns import Checked, Sought
from headrace.changes import replace
from headrace.ids import task_id
from headrace.jobs import Exclusion, Job, JobSpec
from headrace.nodes import Node

# To look at so many nodes takes ten milliseconds or so. Of more, so many are looked at at a time, those first that lack
# least; and after a pause, as all else waits meanwhile.
FEW = 200
LOOK_PAUSE_MS = 200
# Who could not look, and has not wanted to again for so long, has no turn: a little more than from tick to tick.
WISH_MS = 600
# As whom it is looked for whom others have to leave.
ASKING = "to ask others"
# And where room is kept on no more than so many, whether it is sooner there is looked at each time.
FEW_KEPT = 16
# Those that have changed are not looked at at each event then; nor for a gang, for which all are looked at together.
PAUSE_MS = 1_000
# After so long all nodes are looked at again: a job that kept away from some may go there.
AGAIN_MS = 60_000


def alike(book: Book, job: Job) -> list[Job]:
    """A gang's tasks as places are looked for, also where there are none yet; of another job, itself.

    What one of them keeps away from, all do.
    """
    if not job.is_gang:
        return [job]
    one = one_of(book, job)
    return [replace(one, name=f"jobs/{task_id(job.id, number)}", task=number) for number in range(job.spec.task_count)]


def one_of(book: Book, job: Job) -> Job:
    """The first of a gang's tasks as places are looked for; of another job, itself. It stands for all of them."""
    if not job.is_gang:
        return job
    away = (*job.exclusions, *_of_tasks(book, job)[0])
    return replace(job, name=f"jobs/{task_id(job.id, 0)}", gang=job.id, task=0, exclusions=away)


def pauses_until_ms(book: Book, job: Job) -> int:
    """Until when a job, or a gang because of one of its tasks, pauses, in milliseconds since 1970; 0: it does not."""
    return max(backoff.until_ms(job), _of_tasks(book, job)[1] if job.is_gang else 0)


def _of_tasks(book: Book, gang: Job) -> tuple[tuple[Exclusion, ...], int]:
    """What the tasks of a gang keep away from, and until when one of them pauses."""
    known = book.turns.tasks.get(gang.id)
    if known is None:
        tasks = book.tasks(gang)
        away = sum((task.exclusions for task in tasks), ())
        known = away, max(map(backoff.until_ms, tasks), default=0)
        if tasks:
            book.turns.tasks[gang.id] = known
    return known


def scene(book: Book, job: Job) -> Scene:
    """The cluster as it is for a job that waits: with the room that is kept for those before it."""
    before = [
        (affordable(book, book.jobs[other]).spec, book.turns.kept[other], other)
        for other in takewhile(lambda one: one != job.id, book.turns.before)
    ]

    def usage(node: Node, gone: Collection[str]) -> Usage:
        coming: list[JobSpec] = []
        for spec, kept, other in before:
            for _ in range(kept.counts.get(node.id, 0)):
                if spec.resources.alternatives:
                    # Which it will have is known for when those have gone for which it waits.
                    held = _with(book.usage_once_gone(node.id, kept.going, waiting=other), coming)
                    coming.append(given(spec, node, held))
                else:
                    coming.append(spec)
        return _with(book.usage_once_gone(node.id, gone, waiting=job.id), coming)

    promised = tuple((spec, kept.counts) for spec, kept, _ in before)
    return Scene(book.nodes, book.jobs_at, book.wall_ms, usage, partial(ends_ms, book, job.id), promised)


def _with(held: Usage, coming: Iterable[JobSpec]) -> Usage:
    for spec in coming:
        held = held.with_coming(spec)
    return held


def ends_ms(book: Book, head: str, job: Job, wall_ms: int) -> int | None:
    """By when a job of the book has gone for one that waits, as far as limits tell: a task of a gang with its gang."""
    whole = book.jobs.get(job.gang, job)
    since_ms = book.turns.leaving_since_ms.get(whole.id)
    gives_back_ms = limits.gives_back_ms(whole, wall_ms) if head in whole.ahead_of else None
    return backfill.ends_ms(whole, wall_ms, leaving_since_ms=since_ms, gives_back_ms=gives_back_ms)


def keep(book: Book, job: Job) -> None:
    """Room is kept for a job from those that are looked at after it, if there will be any."""
    turns = book.turns
    kept, sought = turns.kept.get(job.id), turns.sought.get(job.id)
    gives_way: Job | None = None
    if kept is None and len(turns.kept) >= book.policy.kept_max:
        gives_way = _gives_way(book, job)
        if gives_way is None:
            return
    patience = turns.patient(job.id, book.wall_ms)
    if _over_quota(book, job):
        found = None
    elif patience is not None:
        # Who waits for what is better leaves to others meanwhile what it could have. Of the nodes that a gang waits for
        # others would else have the first.
        found = patience.kept if job.is_gang else None
    elif is_wide(book, job):
        found = _in_columns(book, job, kept, sought)
    elif sought is None or book.now_ms - sought.first_ms >= AGAIN_MS:
        found = _among_all(book, job, kept)
    elif (len(book.nodes) > FEW or job.is_gang) and book.now_ms - sought.last_ms < PAUSE_MS:
        # It was so a moment ago: who comes after it may still not have it later.
        found = _sooner(book, job, kept, sought) if kept is not None else None
    else:
        found = _anew(book, job, kept, sought)
    if found is not None:
        if gives_way is not None:
            give_up(book, gives_way.id)
        turns.kept[job.id] = found
        turns.before.append(job.id)
    elif turns.kept.pop(job.id, None) is not None:
        turns.released = True


def _gives_way(book: Book, job: Job) -> Job | None:
    """For whom room is kept no more if it is kept for the job; None: all others come before it.

    The first ones of their lines come before all others, and each of both in turn: so no two give way to each other.
    """
    if book.queue.line(job.id).first(1, without={}) != [job.id]:
        return None
    lines, first, further = dict[object, None](), list[Job](), list[Job]()
    for one in in_order(book, [*(book.jobs[one] for one in book.turns.kept), job]):
        line = book.queue.line(one.id)
        (further if line in lines else first).append(one)
        lines[line] = None
    last = [*first, *further][-1]
    return None if last is job else last


def give_up(book: Book, head: str) -> None:
    """No room is kept for that job any more."""
    turns = book.turns
    del turns.kept[head]
    turns.sought.pop(head, None)
    if head in turns.before:
        turns.before.remove(head)
    turns.released = True


def doubtful(book: Book) -> list[str]:
    """Jobs that room is kept for, on few nodes, where something has changed since it was looked for."""
    turns = book.turns
    return [one for one, kept in turns.kept.items() if len(kept.nodes) <= FEW_KEPT and _is_doubtful(book, one, kept)]


def _is_doubtful(book: Book, job: str, kept: Kept) -> bool:
    sought, touched = book.turns.sought.get(job), book.turns.touched
    if sought is None or book.turns.patient(job, book.wall_ms) is not None:
        return False
    return any(touched.get(node, 0) > sought.touches for node in kept.nodes)


def is_wide(book: Book, job: Job) -> bool:
    """Whether it is a gang that is so large, or may be on so many nodes, that room for it is found in columns."""
    return job.is_gang and max(len(book.nodes), job.spec.task_count) > book.policy.few_for_gangs


def _in_columns(book: Book, job: Job, kept: Kept | None, sought: Sought | None) -> Kept | None:
    """Room for a gang, of all nodes; looked for anew after a pause, where anything has changed."""
    turns = book.turns
    if sought is not None:
        rests = book.now_ms - sought.last_ms < PAUSE_MS
        is_old = book.now_ms - sought.first_ms >= AGAIN_MS
        is_same = sought.touches == turns.touches and sought.beside == _beside(book, job, kept)
        if rests and kept is not None:
            return _sooner(book, job, kept, sought)
        if rests or (is_same and not is_old):
            return kept
    if not may_look(book, job.id):
        if sought is None:
            book.queue.look_again(job.id, book.wall_ms)
        return kept
    # Who has begun a moment ago counts.
    see_nodes(book)
    found, is_all = kept, reading.read(book, turns.departures)
    if is_all:
        one, seen = one_of(book, affordable(book, job)), scene(book, job)
        found, is_all = gang_rooms.found(book, one, seen, kept, _checked(book, job, one, seen))
    if is_all:
        beside = _beside(book, job, found)
        turns.sought[job.id] = Sought(turns.touches, beside, first_ms=book.now_ms, last_ms=book.now_ms)
    else:
        turns.sought.pop(job.id, None)
        book.queue.look_again(job.id, book.wall_ms)
    return found


def _checked(book: Book, gang: Job, one: Job, seen: Scene) -> dict[str, Checked]:
    """What was looked at for a gang, while it holds: no node tells of what is kept beside it, nor of its task."""
    turns, away = book.turns, tuple(item for item in one.exclusions if book.wall_ms < item.expire_time_ms)
    looked_for = one.spec, away, seen.promised
    if turns.checked_for.get(gang.id) != looked_for:
        turns.checked[gang.id], turns.checked_for[gang.id] = {}, looked_for
    return turns.checked[gang.id]


def _sooner(book: Book, job: Job, kept: Kept, sought: Sought) -> Kept:
    """The room that is kept for it, as it is now if that is sooner: who goes there has to be gone by then."""
    touched = book.turns.touched
    if _is_many(job, kept) or all(touched.get(node, 0) <= sought.touches for node in kept.counts):
        return kept
    found = as_now(book, job, kept)
    return kept if found is None or how_soon(found) > how_soon(kept) else found


def _is_many(job: Job, kept: Kept) -> bool:
    return len(kept.counts) > FEW_KEPT or (job.is_gang and job.spec.task_count > FEW)


def as_now(book: Book, job: Job, kept: Kept, others: Iterable[str] = ()) -> Kept | None:
    """When a job that waits has room where it is kept for it, as jobs end; None where it would not though all had.

    It may also have it on `others`, where they are few.
    """
    seen = scene(book, job)
    if not _is_many(job, kept):
        tasks = alike(book, affordable(book, job))
        return earliest(tasks, seen, [book.nodes[node] for node in dict.fromkeys((*kept.counts, *others))])
    left = tuple(one for one in kept.gone if one in book.jobs)
    ends = [seen.ends_ms(book.jobs[one], book.wall_ms) for one in left]
    known = [end_ms for end_ms in ends if end_ms is not None]
    start_ms = max(known, default=book.wall_ms) if len(known) == len(ends) else None
    return Kept(kept.places, left, start_ms)


def _over_quota(book: Book, job: Job) -> bool:
    """Whether its project's quota has no room for it, once those before it have the room that is kept for them."""
    if book.projects.of(job.spec.project).borrows:
        return False
    all_of_it = [book.jobs[one] for one in book.turns.before if book.jobs[one].spec.project == job.spec.project]
    theirs = NOTHING
    for one in all_of_it:
        theirs = theirs.plus(book.projects.expected(one))
    return bool(book.projects.over_quota(job.spec.project, book.projects.expected(job), beside=theirs))


def may_look(book: Book, who: str) -> bool:
    """Whether many nodes may be looked at now, and notes that they are: by turns, where several want to.

    Each second turn is that of whom others may have to leave for: of those that look for room there may be many.
    """
    if len(book.nodes) <= FEW:
        return True
    turns = book.turns
    turns.wishes = {one: last for one, last in turns.wishes.items() if book.now_ms - last < WISH_MS}
    waiting = [one for one in {**turns.wishes, who: 0} if (one == ASKING) != (turns.looked_last == ASKING)]
    if book.now_ms - turns.looked_ms < LOOK_PAUSE_MS or next(iter(waiting or turns.wishes), who) != who:
        turns.wishes[who] = book.now_ms
        return False
    turns.wishes.pop(who, None)
    turns.looked_ms, turns.looked_last = book.now_ms, who
    return True


def _lacking_least(book: Book, job: Job) -> list[Node]:
    """All nodes, where there are few; else those that lack least of what a task asks for, and each time others."""
    if len(book.nodes) <= FEW:
        return list(book.nodes.values())
    snapshot, looks = book.snapshot, book.turns.looks
    first = looks.get(job.id, 0) * FEW % len(snapshot.nodes)
    looks[job.id] = looks.get(job.id, 0) + 1
    order = by_lack(book, job, np.flatnonzero(snapshot.standing == 0))
    return [snapshot.nodes[slot] for slot in order[first : first + FEW].tolist()]


def by_lack(book: Book, job: Job, slots: Integers) -> Integers:
    """These slots of the snapshot, those first whose nodes lack least of what a task of the job asks for."""
    snapshot = book.snapshot
    lacks = np.zeros(len(slots))
    columns = (snapshot.cpu_millis, snapshot.memory_bytes, snapshot.untouched_count)
    for asked, free in zip(least(job).in_sum, columns, strict=True):
        if asked:
            lacks += np.maximum(0, asked - free[slots]) / asked
    return slots[np.argsort(lacks, kind="stable")]


def _among_all(book: Book, job: Job, kept: Kept | None) -> Kept | None:
    turns = book.turns
    if not may_look(book, job.id):
        if kept is None:
            book.queue.look_again(job.id, book.wall_ms + LOOK_PAUSE_MS)
        return kept
    nodes = _lacking_least(book, job)
    known = {node.id: None for node in nodes} if kept is not None else {}
    nodes += [book.nodes[node] for node in kept.nodes if node not in known] if kept is not None else []
    found = earliest(alike(book, affordable(book, job)), scene(book, job), nodes)
    if found is None and len(book.nodes) > FEW * turns.looks.get(job.id, 1):
        # The others are looked at next time.
        turns.sought.pop(job.id, None)
        return None
    turns.looks.pop(job.id, None)
    beside = _beside(book, job, found)
    turns.sought[job.id] = Sought(book.turns.touches, beside, first_ms=book.now_ms, last_ms=book.now_ms)
    return found


def _anew(book: Book, job: Job, kept: Kept | None, sought: Sought) -> Kept | None:
    """Where it would start first, of what it was before and of the nodes that have changed since."""
    changed = {one: None for one in book.turns.touched_since(sought.touches) if one in book.nodes}
    beside = _beside(book, job, kept)
    doubtful = kept is not None and (beside != sought.beside or any(node in changed for node in kept.nodes))
    if not changed and not doubtful:
        return kept
    if job.is_gang:
        return _among_all(book, job, kept)
    nodes = dict.fromkeys((*_likely(book, job, changed), *(kept.nodes if kept is not None and doubtful else ())))
    found = earliest([affordable(book, job)], scene(book, job), [book.nodes[node] for node in nodes])
    if kept is not None and doubtful and (found is None or how_soon(found) > how_soon(kept)):
        # Of the nodes that have not changed one may be better now.
        return _among_all(book, job, found)
    if kept is not None and not doubtful and (found is None or how_soon(kept) <= how_soon(found)):
        found = kept
    book.turns.sought[job.id] = replace(
        sought, touches=book.turns.touches, beside=_beside(book, job, found), last_ms=book.now_ms
    )
    return found


def _likely(book: Book, job: Job, changed: Iterable[str]) -> list[str]:
    """Nodes that have changed; of many those that lack least, so that all for whom room is kept look at few in all."""
    names, snapshot, most = list(changed), book.snapshot, FEW // max(1, len(book.turns.kept))
    if len(book.nodes) <= FEW or len(names) <= most:
        return names
    order = by_lack(book, job, np.array([snapshot.slots[name] for name in names], dtype=np.int64))
    return [snapshot.nodes[slot].id for slot in order[:most].tolist()]


def _beside(book: Book, job: Job, kept: Kept | None) -> tuple[tuple[str, tuple[str, ...]], ...]:
    """What is kept on the same nodes for those before it."""
    turns = book.turns
    before = turns.before[: turns.before.index(job.id)] if job.id in turns.before else turns.before
    nodes = dict.fromkeys(kept.nodes if kept is not None else ())
    places = ((one, turns.kept[one].places) for one in before)
    return tuple((one, at) for one, at in places if any(node in nodes for node in at))
