"""What would have a job start now that waits for its turn: another priority, of it or of another, or a larger quota."""

from bisect import bisect_left
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from functools import cache

from controller.core import precedence
from controller.core.asking import places
from controller.core.book import Book
from controller.core.keeping import one_of
from controller.core.placement.fit import Place
from controller.core.projects import NOTHING
from controller.core.those_before import after_them
from headrace.changes import replace
from headrace.explanations import Change
from headrace.jobs import Job
from headrace.projects import Quota

HIGHEST_PRIORITY = 100
# Of those before it so many are looked at.
_AHEAD = 3
_WHOLE = 1000


def change(book: Book, field: str, values: tuple[str, str], where: tuple[Place, ...]) -> Change:
    """With the second value of a field instead of the first it would start at these places."""
    return Change(field, *values, tuple(place.node for place in where), book.wall_ms)


def changes(book: Book, job: Job) -> Iterator[Change]:
    """In a still, which is as it was afterwards."""
    found = places(book, job)
    if found == precedence.BEHIND:
        yield from earlier(book, job)
        yield from _behind(book, job)
    elif isinstance(found, str):
        yield from more_quota(book, job)


def earlier(book: Book, job: Job) -> Iterator[Change]:
    """Its own priority, of a job that waits for its turn."""
    own = job.spec.priority

    def placed(more: int) -> tuple[Place, ...]:
        return _placed(book, replace(job, spec=replace(job.spec, priority=own + more)))

    found = _least(HIGHEST_PRIORITY - own, placed)
    if found is not None:
        more, where = found
        yield change(book, "priority", (str(own), str(own + more)), where)


def _behind(book: Book, job: Job) -> Iterator[Change]:
    def has_none_kept(one: Job) -> bool:
        return one.id not in book.turns.kept

    precedence.begin_with(book, job)
    for name in book.turns.before[:_AHEAD]:
        head = book.jobs[name]

        def placed(less: int, head: Job = head) -> tuple[Place, ...]:
            book.jobs[head.id] = replace(head, spec=replace(head.spec, priority=head.spec.priority - less))
            try:
                # Those between them come first: room that was kept from them, too, is theirs then.
                return after_them(book, job, has_none_kept)[0] if _placed(book, job) else ()
            finally:
                book.jobs[head.id] = head

        found = _least(head.spec.priority, placed)
        if found is not None:
            less, where = found
            values = str(head.spec.priority), str(head.spec.priority - less)
            yield change(book, f"{head.name} priority", values, where)


def more_quota(book: Book, job: Job) -> Iterator[Change]:
    """Its project's quota, of a project that does not borrow."""
    projects, project = book.projects, job.spec.project
    declared = projects.of(project)
    if declared.borrows:
        return

    def is_of_it(one: Job) -> bool:
        return one.spec.project == project

    with _declared(book, project, Quota()):
        # Whoever waits for the same quota, and whose turn is before, has of it first.
        where, theirs = after_them(book, job, is_of_it) if _placed(book, job) else ((), NOTHING)
    if not where:
        return
    tasks = [one_of(book, job)] * len(where)
    more = theirs.plus(precedence.amount(book, tasks, where))
    lacks = declared.quota.beyond(projects.held.get(project, NOTHING).plus(more))
    raised = Quota(
        _enough(declared.quota.unit_millis, lacks.unit_millis, more.unit_millis),
        _enough(declared.quota.device_millis, lacks.device_millis, more.device_millis),
        _enough(declared.quota.cpu_millis, lacks.cpu_millis, more.cpu_millis),
    )
    with _declared(book, project, raised):
        where, _ = after_them(book, job, is_of_it)
    if where and raised != declared.quota:
        yield change(book, f"projects.{project}.quota", _told(declared.quota, raised), where)


def without_quota(book: Book, project: str) -> AbstractContextManager[None]:
    """A project has no quota while it is entered."""
    return _declared(book, project, Quota())


@contextmanager
def _declared(book: Book, project: str, quota: Quota) -> Iterator[None]:
    before = book.projects.declared
    book.projects.declared = {**before, project: replace(book.projects.of(project), quota=quota)}
    try:
        yield
    finally:
        book.projects.declared = before


def _enough(most: int | None, lacks: int, more: int) -> int | None:
    return most if most is None or lacks <= 0 or more <= 0 else -(-(most + lacks) // _WHOLE) * _WHOLE


def _told(before: Quota, after: Quota) -> tuple[str, str]:
    """Both in what differs, as the settings have it."""
    named = (
        ("units", before.unit_millis, after.unit_millis),
        ("devices", before.device_millis, after.device_millis),
        ("cpu", before.cpu_millis, after.cpu_millis),
    )
    differing = [(name, was, is_now) for name, was, is_now in named if was is not None and was != is_now]
    first = ", ".join(f"{name} = {was / _WHOLE:g}" for name, was, _ in differing)
    return first, ", ".join(f"{name} = {(is_now or 0) / _WHOLE:g}" for name, _, is_now in differing)


def _least(most: int, placed: Callable[[int], tuple[Place, ...]]) -> tuple[int, tuple[Place, ...]] | None:
    """The least number, from 1 to `most`, with which it has places, and these. More is never worse."""
    tried = cache(placed)
    if most < 1 or not tried(most):
        return None
    number = 1 + bisect_left(range(1, most), True, key=lambda one: bool(tried(one)))
    return number, tried(number)


def _placed(book: Book, job: Job) -> tuple[Place, ...]:
    found = places(book, job)
    return () if isinstance(found, str) else found
