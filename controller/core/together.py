"""Places for jobs of one line whose turns follow on each other, in one pass: those that they would have one by one."""

from collections.abc import Collection, Container, Sequence

from controller.core import backoff, patience, precedence
from controller.core.book import Book
from controller.core.placement.batch import choose_many
from controller.core.placement.fit import Place
from controller.core.placement.profiles import profile_of
from controller.core.queue import Line
from headrace.jobs import Job

# Fewer jobs than that are placed as fast one by one.
FEW = 4


def alike(book: Book, line: Line, ordered: Sequence[Job], shown: Container[str]) -> list[Job]:
    """The first of these and those next to it, all of one line, that nothing tells apart; none where they are few."""
    found: list[Job] = []
    for job in ordered:
        is_of_line = job.id in shown and book.queue.line(job.id) is line and not job.is_gang
        if not is_of_line or not _do_the_same(book, ordered[0], job) or backoff.until_ms(job) > book.wall_ms:
            break
        if patience.may_wait(book, job):
            break
        found.append(job)
    return found if len(found) >= FEW else []


def placed(book: Book, line: Line, jobs: Sequence[Job], *, without: Collection[str] = ()) -> int:
    """Has the first of these jobs, which are alike, begin, but on these nodes; answers how many.

    The others are to be looked at one by one: where there are no more such places, and where what is kept for others,
    or a quota, may be in the way.
    """
    found = choose_many(book.tables, line.demand, jobs[0], len(jobs), now_wall_ms=book.wall_ms, without=without)
    if isinstance(found, str):
        return 0
    places = _out_of_the_way(book, found)
    if not places or _may_be_too_many(book, jobs[: len(places)], places):
        return 0
    for job, place in zip(jobs, places, strict=False):
        book.put(book.begin(precedence.let_ahead(book, job), place))
    return len(places)


def _out_of_the_way(book: Book, places: Sequence[Place]) -> list[Place]:
    """Those before the first one on a node of which room is kept for a job before these."""
    kept = dict.fromkeys(node for name in book.turns.before for node in book.turns.kept[name].nodes)
    found: list[Place] = []
    for place in places:
        if place.node in kept:
            break
        found.append(place)
    return found


def _may_be_too_many(book: Book, jobs: Sequence[Job], places: Sequence[Place]) -> bool:
    """Whether with all of these their project has more than its quota, or than others have had that wait."""
    project = jobs[0].spec.project
    is_limited = not book.projects.of(project).borrows
    others_wait = any(heads for other, heads in book.turns.short.items() if other != project)
    if not is_limited and not others_wait:
        return False
    more = precedence.amount(book, jobs, places)
    over = is_limited and bool(book.projects.over_quota(project, more))
    return over or (others_wait and precedence.are_short(book, jobs[0], more))


def _do_the_same(book: Book, one: Job, other: Job) -> bool:
    """Whether they bring the same, and do the same where that tells where they would be done soonest."""
    if one.checkpoint != other.checkpoint:
        return False
    if one.spec is other.spec or not (book.learned.tells_of(one.spec) or book.learned.tells_of(other.spec)):
        return True
    return one.spec.work == other.spec.work and profile_of(one.spec) == profile_of(other.spec)
