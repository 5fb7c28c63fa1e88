"""Gives places to jobs that wait, in their order."""

from collections.abc import Collection, Container, Sequence
from functools import partial
from itertools import groupby

from controller.core import backoff, keeping, patience, precedence, together
from controller.core.affordable import affordable, as_asked
from controller.core.amounts import requests_of
from controller.core.beginning import begin, claimed
from controller.core.book import Book
from controller.core.fairness import rank
from controller.core.order import in_order
from controller.core.placement import tasks as whole
from controller.core.placement.demand import Demand, demand_of
from controller.core.placement.fit import Place, fit
from controller.core.placement.tables import Tables
from controller.core.queue import Line
from controller.core.seen import see_nodes
from headrace.changes import replace
from headrace.jobs import Job, JobState

# A round is the first event after so long; time passes more often than that where much happens.
ROUND_MS = 500
# So many jobs begin with a round, or with another event; the others go on with the next. Each takes a fifth of a
# millisecond or so, and other events wait for that long.
PLACED_A_ROUND, PLACED_AT_ONCE = 512, 32
# Of a line so many jobs are looked at first, and so many times as many each time that all of these found places.
FIRST_LOOK, NEXT_LOOKS = 4, 4
# With each round, and when nodes have come or changed, so many lines are looked at though that may not matter to them.
LINES_A_ROUND, LINES_AT_ONCE = 64, 8
# Jobs that are told with a round why they wait, beside those that were looked at.
TOLD_A_ROUND = 128
# While none waits, so many nodes that have changed are seen at once: a controller that has just started knows all of
# them anew, and is to answer first.
SEEN_AT_ONCE = 256


def settled(book: Book) -> None:
    """Looks at the jobs that wait, if the event at hand may have made room for one."""
    if book.room_changed:
        place_waiting(book)


def retry_due(book: Book) -> bool:
    """Whether a job that waits may find a place by now that it had not when it was looked at last."""
    see_nodes(book, most=None if book.queue else SEEN_AT_ONCE)
    queue, due = book.queue, book.nodes_changed
    if book.now_ms - queue.readings_ms >= book.policy.readings_ms:
        queue.readings_ms = book.now_ms
        due |= queue.choosy_due()
    due |= precedence.retry_due(book)
    due |= queue.moments_passed(book.wall_ms)
    if book.now_ms - queue.round_ms >= ROUND_MS:
        queue.round_ms, queue.in_round = book.now_ms, True
        due |= queue.some_due(book.snapshot.gains, LINES_A_ROUND) or queue.has_untold
        # Whoever is more urgent may have begun where room is kept: who comes is to find it kept as it is now.
        for job in keeping.doubtful(book):
            queue.due(job)
            due = True
    elif book.nodes_changed:
        queue.some_due(book.snapshot.gains, LINES_AT_ONCE)
    return due


def place_waiting(book: Book) -> None:
    """Finds places for those of the jobs that wait for which something has changed, in their order."""
    book.room_changed = book.nodes_changed = False
    see_nodes(book, most=None if book.queue else SEEN_AT_ONCE)
    in_round, book.queue.in_round = book.queue.in_round, False
    if not book.queue:
        book.queue.gained = {}
        return
    book.queue.group()
    precedence.see_who_is_short(book)
    claimed(book)
    rest = _walk(book, book.queue.taken_due(book.snapshot), PLACED_A_ROUND if in_round else PLACED_AT_ONCE)
    if rest:
        book.queue.put_back(rest)
    if rest or (book.turns.released and precedence.retry_due(book)):
        # Others begin with the next event, also where room that was kept is kept no more.
        book.room_changed = True
    # Only in a round: how many nodes have which reason changes with almost all that happens.
    for line, job_id in book.queue.untold(TOLD_A_ROUND if in_round else 0):
        job = book.jobs[job_id]
        if book.turns.patient(job_id, book.wall_ms) is None and not _pause(book, job):
            _told(book, job, line.reason)


def came(book: Book, jobs: Sequence[Job]) -> None:
    """Learns from jobs that have just come what is usually asked for, and places those whose turn it is."""
    see_nodes(book)
    of_shape: dict[Demand, list[Job]] = {}
    for job in jobs:
        of_shape.setdefault(demand_of(job), []).append(job)
    for demand, alike in of_shape.items():
        book.tables.asked(demand, alike)
    waiting = [job for job in jobs if book.jobs[job.id].waits_for_place]
    book.queue.group(without=dict.fromkeys(job.id for job in waiting))
    # Those of one project and priority that came at one time have no order but that of their ids.
    for _, equal in groupby(sorted(waiting, key=rank), key=lambda job: (job.spec.project, rank(job)[:2])):
        _place_equal(book, list(equal))


def _place_equal(book: Book, jobs: Sequence[Job]) -> None:
    """Finds places for jobs that have just come, whatever their order: for those of one line in one pass."""
    if len(jobs) >= together.FEW and not (_is_behind(book) or book.turns.kept):
        of_line: dict[Line, list[Job]] = {}
        for job in jobs:
            of_line.setdefault(book.queue.line(job.id), []).append(job)
        book.turns.before = []
        for line, alike in of_line.items():
            while begun := _placed_together(book, line, alike, dict.fromkeys(job.id for job in alike), {}, {}):
                del alike[:begun]
    for job in jobs:
        if book.jobs[job.id].state is JobState.QUEUED:
            _place_one(book, book.jobs[job.id])


def _is_behind(book: Book) -> bool:
    """Whether others are to be looked at first, which may come before one that has just come."""
    return book.nodes_changed or book.queue.has_due


def _place_one(book: Book, job: Job) -> None:
    """Finds a place for a job that has just come; the others that wait had none, and have none now."""
    if _is_behind(book):
        book.queue.due(job.id)
        place_waiting(book)
        job = book.jobs[job.id]
        if job.state is JobState.QUEUED and not job.reason:
            _told(book, job, precedence.IN_LINE)
        return
    line, gains = book.queue.line(job.id), book.snapshot.gains
    if line.fruitless_at == gains and not line.is_choosy and line.reason != precedence.BEHIND:
        _told(book, job, line.reason)
        # Those before it may have others leave already.
        precedence.next_asks(book, job)
        return
    precedence.begin_with(book, job)
    if _waits_for_better(book, job):
        return
    found = _place(book, job)
    if found:
        line.looked_at = gains
        book.queue.said(line, found, by=job.id, gains=gains)


def look(book: Book, tables: Tables, demand: Demand, job: Job, without: Collection[str]) -> tuple[Place, ...] | str:
    """The best places for a job, one for each of its tasks, but on these nodes; else why there are none."""
    one = keeping.one_of(book, job)
    if job.is_gang:
        return whole.choose_all(tables, demand, one, job.spec.task_count, now_wall_ms=book.wall_ms, without=without)
    found = tables.choose(demand, one, now_wall_ms=book.wall_ms, without=without)
    return (found,) if isinstance(found, Place) else found


def taken(book: Book, tables: Tables, demand: Demand, job: Job, tasks: Sequence[Job]) -> tuple[Place, ...] | str:
    """The places that a job may take, one for each of its tasks; else why it waits.

    Of alternatives the best may be more than its project's quota has room for: then it is to have another, or some of
    its tasks are.
    """
    found = precedence.taken(book, job, tasks, partial(look, book, tables, demand, job))
    if not isinstance(found, str) or job.id not in book.turns.blocked:
        return found
    less = affordable(book, job)
    if less is not job:
        instead = precedence.taken(book, less, tasks, partial(look, book, tables, demand_of(less), less))
        if not isinstance(instead, str):
            return as_asked(book, job, instead)
    if job.is_gang and job.spec.resources.alternatives and not book.projects.of(job.spec.project).borrows:
        instead = precedence.taken(book, job, tasks, partial(_sparing, book, tables, job))
        return found if isinstance(instead, str) else instead
    return found


def _sparing(book: Book, tables: Tables, gang: Job, without: Collection[str]) -> tuple[Place, ...] | str:
    """Places for all tasks of a gang with as few devices as can be; empty where there are none."""
    one, prices = keeping.one_of(book, gang), [request.count for request in requests_of(gang.spec)]
    count, wall_ms = gang.spec.task_count, book.wall_ms
    found = whole.mixed(tables, one, count, now_wall_ms=wall_ms, without=without, prices=prices)
    return "" if isinstance(found, int) else found


def _walk(book: Book, due: dict[Line, list[int]], most: int) -> dict[Line, list[int]]:
    """Places jobs of these lines in their order, so many at most, until of each line one has found no place.

    Answers which lines are still to be looked at.
    """
    count, paused = FIRST_LOOK, dict[str, None]()
    # Lines of which jobs are looked at one by one; and from which nodes those of a line keep away, as the last one did.
    alone, away = dict[Line, None](), dict[Line, dict[str, None]]()
    for line, slots in due.items():
        if not slots:
            line.looked_at = book.snapshot.gains
    while due:
        # A line of which all that were looked at have a place is looked at further, before those whose turn is later.
        shown = {line: dict.fromkeys(line.first(count, without=paused)) for line in due}
        last = {next(reversed(ids)): line for line, ids in shown.items() if len(ids) == count}
        book.turns.before = []
        listed = [book.jobs[one] for one in {**book.turns.kept, **{one: None for ids in shown.values() for one in ids}}]
        ordered, begun = in_order(book, listed), 0
        for index, job in enumerate(ordered):
            if not begun:
                line = book.queue.line(job.id)
                if line not in due or job.id not in shown[line]:
                    precedence.passed(book, job)
                    continue
                if line not in alone:
                    begun = _placed_together(book, line, ordered[index : index + most], shown[line], alone, away)
            if begun or _began(book, line, job, due, paused):
                if not begun and book.turns.avoided[0] == job.id and line not in away:
                    # So do those next to it.
                    away[line] = book.turns.avoided[1]
                    alone.pop(line, None)
                begun, most = max(0, begun - 1), most - 1
            if most == 0:
                return due
            if job.id in last and last[job.id] in due:
                break
        else:
            break
        count *= NEXT_LOOKS
    return {}


def _placed_together(
    book: Book,
    line: Line,
    ordered: Sequence[Job],
    shown: Container[str],
    alone: dict[Line, None],
    away: dict[Line, dict[str, None]],
) -> int:
    """How many of the first of these jobs have begun; where none of several could, theirs are looked at `alone`."""
    jobs = together.alike(book, line, ordered, shown)
    if not jobs:
        return 0
    see_nodes(book)
    begun = together.placed(book, line, jobs, without=away.get(line, ()))
    if not begun:
        alone[line] = None
    return begun


def _began(book: Book, line: Line, job: Job, due: dict[Line, list[int]], paused: dict[str, None]) -> bool:
    """Whether the first job of a line has a place now. If not, it is paused, or its line is not looked at further."""
    pause = _pause(book, job)
    if pause:
        _told(book, job, pause)
    if pause or _waits_for_better(book, job):
        paused[job.id] = None
        return False
    if not _next_placed(book, line, job, due[line]):
        del due[line]
        return False
    return True


def _waits_for_better(book: Book, job: Job) -> bool:
    """Whether the job waits though it could start. No room is kept for it meanwhile where it could."""
    if not patience.may_wait(book, job):
        return False
    demand, tasks = book.queue.line(job.id).demand, _tasks(book, job)
    found = taken(book, book.tables, demand, job, tasks)
    table = book.tables.table(demand, tasks[0])
    pause = patience.pause(book, job, table, () if isinstance(found, str) else found)
    if not pause:
        return False
    if job.id in book.turns.before:
        book.turns.before.remove(job.id)
    keeping.keep(book, job)
    _told(book, job, pause)
    return True


def _next_placed(book: Book, line: Line, job: Job, slots: list[int]) -> bool:
    """Whether the first job of a line has found a place: on one of these nodes, where the line had none on others."""
    if not slots or job.is_gang or not job.reason:
        return _placed(book, line, job)
    see_nodes(book)
    snapshot = book.snapshot
    able = [slot for slot in slots if book.queue.may_go_to(line, snapshot, slot)]
    offered = [fit(job, snapshot.nodes[one], snapshot.usages[one], now_wall_ms=book.wall_ms) for one in able]
    places = [one for one in offered if isinstance(one, Place)]
    if len(places) > 1:
        # Which of them is best hangs on more than they tell: how soon it would be done, and where others are.
        return _placed(book, line, job)
    if places:
        if not precedence.harmed_by(book, job, [job], places) and not precedence.over_quota(book, job, [job], places):
            book.put(book.begin(precedence.let_ahead(book, job), places[0]))
            return True
        book.turns.blocked[job.id] = None
    precedence.waits(book, job)
    return False


def _placed(book: Book, line: Line, job: Job) -> bool:
    """Whether the first job of a line has found a place on any node; if not, the line is said why."""
    found = _place(book, job)
    if found:
        book.queue.said(line, found, by=job.id, gains=book.snapshot.gains)
    return not found


def _place(book: Book, job: Job) -> str:
    """Has a job that waits begin where it can, and is empty then; else why it cannot, which it is told."""
    see_nodes(book)
    tasks = _tasks(book, job)
    found = taken(book, book.tables, book.queue.line(job.id).demand, job, tasks)
    if isinstance(found, str):
        precedence.waits(book, job)
        _told(book, job, found)
        return found
    begin(book, precedence.let_ahead(book, job), found)
    return ""


def _tasks(book: Book, job: Job) -> list[Job]:
    """As places are looked for: all tasks of a gang are alike."""
    return [keeping.one_of(book, job)] * (job.spec.task_count if job.is_gang else 1)


def _told(book: Book, job: Job, reason: str) -> None:
    if reason != job.reason:
        book.put(replace(job, reason=reason))


def _pause(book: Book, job: Job) -> str:
    if keeping.pauses_until_ms(book, job) <= book.wall_ms:
        return ""
    tasks = book.tasks(job) if job.is_gang else [job]
    return next(filter(None, (backoff.pause(task, now_wall_ms=book.wall_ms) for task in tasks)), "")
