"""What would have a job start now that waits: changes, each of which was tried by asking what places jobs.

Where no single one helps, two are looked for that do together. A still of the book is asked.
"""

from collections.abc import Iterator, Sequence
from contextlib import ExitStack
from functools import partial
from itertools import combinations, islice

from controller.core import making_way, precedence, shunning, turn_changes, uncordoning
from controller.core.asking import places
from controller.core.book import Book
from controller.core.placement.names import name_of
from controller.core.ways import WHOLE, Found, Way, lesser, looser, tried
from headrace.changes import replace
from headrace.explanations import Change, Edit, JointChange
from headrace.jobs import Job, JobSpec

# So many are told, the smallest first; of those of two, of which one seldom wants many, fewer.
MOST, MOST_JOINT = 5, 3
# So many pairs of kinds are tried, and of so many that help the least is looked for.
PAIRS_TRIED, PAIRS_MEASURED = 40, 6
# Nobody keeps apart from a job of this name.
_NOBODY = "of-a-name-that-nobody-has"


def changes(book: Book, job: Job) -> tuple[Change, ...]:
    """The smallest first; none of a job that would start as it is."""
    if not isinstance(places(book, job), str):
        return ()
    less = [one for way in lesser(job.spec) for one in way.least(book, job)]
    found = [
        *turn_changes.changes(book, job),
        *(one.change for one in sorted(less, key=lambda one: one.part)),
        *(one.change for way in looser(job.spec) for one in way.least(book, job)),
        *shunning.changes(book, job),
        *uncordoning.changes(book, job),
    ]
    if any(one.field == "priority" for one in found):
        return tuple(found[:MOST])
    # What asks others to leave comes last, and is told in any case.
    others = [*making_way.changes(book, job)]
    return (*found[: MOST - len(others)], *others)


def joint_changes(book: Book, job: Job) -> tuple[JointChange, ...]:
    """Two changes at a time, of a job that no single one has start; the smallest first."""
    if not isinstance(places(book, job), str):
        return ()
    helping = [pair for pair in islice(_pairs(book, job), PAIRS_TRIED) if _starts(book, job, pair)]
    found = [told for pair in helping[:PAIRS_MEASURED] for told in _least(book, job, pair)]
    found.sort(key=lambda one: one[0])
    return tuple(told for _, told in found[:MOST_JOINT])


def _pairs(book: Book, job: Job) -> Iterator[tuple[Way, Way]]:
    """Of kinds of change; those alone that may help, as far as all of them together tell, and all but one."""
    ways = [*_turn_ways(job), *lesser(job.spec), *looser(job.spec), *_ways_of_others(book, job)]
    if not _starts(book, job, ways):
        return
    needed = [way for way in ways if not _starts(book, job, [other for other in ways if other is not way])]
    for pair in combinations(ways, 2):
        if all(any(way is one for one in pair) for way in needed) and not all(one.is_of_others for one in pair):
            yield pair


def _starts(book: Book, job: Job, ways: Sequence[Way]) -> bool:
    """Whether it would with the most of each of these."""
    spec = job.spec
    with ExitStack() as stack:
        for way in ways:
            spec = way.most(spec)
            stack.enter_context(way.during(book))
        return bool(tried(book, job, spec))


def _least(book: Book, job: Job, pair: tuple[Way, Way]) -> Iterator[tuple[float, JointChange]]:
    """The smaller of both that there are: as little as helps of the one, and of the other what has to be, or so."""
    found = []
    for first, second in (pair, pair[::-1]):
        if first.is_of_others:
            continue
        with second.during(book):
            one = next(iter(first.least(book, replace(job, spec=second.most(job.spec)))), None)
        if one is None:
            continue
        other = next(iter(second.least(book, replace(job, spec=one.made(job.spec)))), None)
        if other is not None:
            found.append((one.part + other.part, _both(one.change, other.change)))
    yield from sorted(found, key=lambda one: one[0])[:1]


def _both(first: Change, second: Change) -> JointChange:
    """The second was tried when the first had been made: it tells where the job starts."""
    edits = tuple(Edit(one.field, one.from_value, one.to_value) for one in (first, second))
    return JointChange(edits, second.nodes, second.start_time_ms)


# Of whose turn it is, and of others.


def _turn_ways(job: Job) -> Iterator[Way]:
    if job.spec.priority < turn_changes.HIGHEST_PRIORITY:
        yield Way(partial(_with_priority, turn_changes.HIGHEST_PRIORITY), _earlier)


def _ways_of_others(book: Book, job: Job) -> Iterator[Way]:
    declared = book.projects.of(job.spec.project)
    if declared.quota.stated and not declared.borrows:
        lifted = partial(turn_changes.without_quota, project=job.spec.project)
        yield Way(_as_it_is, _with_more_quota, is_of_others=True, during=lifted)
    if book.snapshot.whereabouts.shunned.get(name_of(job.spec)):
        yield Way(lambda spec: replace(spec, display_name=_NOBODY), _shunned_less, is_of_others=True)


def _as_it_is(spec: JobSpec) -> JobSpec:
    return spec


def _with_priority(priority: int, spec: JobSpec) -> JobSpec:
    return replace(spec, priority=priority)


def _earlier(book: Book, job: Job) -> Iterator[Found]:
    if places(book, job) == precedence.BEHIND:
        for one in turn_changes.earlier(book, job):
            yield Found(one, 0.0, partial(_with_priority, int(one.to_value)))


def _with_more_quota(book: Book, job: Job) -> Iterator[Found]:
    yield from (Found(one, 0.0, _as_it_is) for one in turn_changes.more_quota(book, job))


def _shunned_less(book: Book, job: Job) -> Iterator[Found]:
    yield from (Found(one, WHOLE, _as_it_is) for one in shunning.changes(book, job))
