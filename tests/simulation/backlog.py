"""Worlds in which images take long to come, jobs have limits and nothing fails: nobody may start later by that."""

from collections.abc import Collection, Iterable
from dataclasses import replace
from random import Random
from typing import TYPE_CHECKING

from controller.core.backfill import Kept
from controller.core.fairness import rank
from controller.core.keeping import alike, ends_ms, scene
from controller.core.limits import gives_back_ms
from controller.core.placement.gang import choose_all
from headrace.jobs import Job, JobSpec, JobState, Requests, Timeouts
from headrace.projects import Declared
from tests.core.small_world import GIB
from tests.simulation.invariants import at
from tests.simulation.occurrences import Occurrence

if TYPE_CHECKING:
    from controller.core.book import Book
    from tests.simulation.world import World

_CORES = (1_000, 2_000, 3_000)
_LIMITS_MS = (None, 3_000, 6_000, 12_000, 24_000)
_PULLS_MS = (0, 0, 1_000, 6_000, 15_000, 40_000)
# A tick, what a save takes, and what has to be told in between.
SOON_MS = 6_000
_THERE = (JobState.STARTING, JobState.RUNNING, JobState.FREEZING)


class Backlog:
    """One project, of whose jobs too many wait; how long their images take to come, and what was told of them."""

    def __init__(self, rng: Random) -> None:
        self._rng = rng
        self.declared: dict[str, Declared] = {}
        self._there: dict[tuple[str, str], None] = {}
        # By job and epoch: when those that wait would start at first, and when those that have begun are gone.
        self.promised_ms: dict[tuple[str, int], int] = {}
        self.gone_by_ms: dict[tuple[str, int], int] = {}
        self.delayed_since_ms: dict[str, int] = {}

    def spec(self, wanted: JobSpec) -> JobSpec:
        """A job of some size, with a limit or without."""
        limits = Timeouts(run_ms=self._rng.choice(_LIMITS_MS))
        tasks = self._rng.choice((1, 1, 1, 2))
        resources = Requests(self._rng.choice(_CORES), GIB)
        return replace(wanted, resources=resources, timeouts=limits, task_count=tasks)

    def pull_ms(self, node: str, job: str) -> int:
        """How long an image takes to come: what has come once, or has begun to, is there."""
        if (node, job) in self._there:
            return 0
        self._there[node, job] = None
        return self._rng.choice(_PULLS_MS)


@at(Occurrence.JOB_DECIDED)
def the_first_that_waits_starts_by_when_it_was_reckoned_to(
    world: "World", _before: Job | None, after: Job
) -> str | None:
    """Where limits told when there is room for whose turn is first, it has begun by then, whoever was let ahead."""
    backlog = world.backlog
    if backlog is None:
        return None
    book = world.controller.book
    waiting = [one for one in book.jobs.values() if one.waits_for_place and not one.gang]
    first = min(waiting, key=rank, default=None)
    kept = book.turns.kept.get(first.id) if first is not None else None
    start_ms = kept.start_ms if kept is not None else None
    if first is not None and kept is not None and start_ms is not None and _is_firm(book, first.id, kept, start_ms):
        backlog.promised_ms.setdefault((first.id, first.epoch), start_ms)
    for one in waiting:
        late_ms = book.wall_ms - backlog.promised_ms.get((one.id, one.epoch), book.wall_ms)
        if late_ms > SOON_MS:
            return f"{one.name} waits {late_ms} ms longer than was reckoned; {after.name} changes"
    return None


@at(Occurrence.JOB_DECIDED)
def who_was_let_ahead_is_gone_when_others_need_its_room(world: "World", _before: Job | None, after: Job) -> str | None:
    """A job that waits would find no room though those had gone that are over their time, for longer than they need."""
    backlog = world.backlog
    if backlog is None:
        return None
    book = world.controller.book
    gone_by_ms = gives_back_ms(after, 0)
    if gone_by_ms is not None and after.state is JobState.STARTING:
        backlog.gone_by_ms.setdefault((after.id, after.epoch), gone_by_ms)
    late = [one for one in book.jobs.values() if _is_late(book, backlog, one)]
    for name in dict.fromkeys(one for job in late for one in job.ahead_of):
        head = book.jobs.get(name)
        own = [one for one in late if name in one.ahead_of]
        if head is None or not head.waits_for_place or not _has_room(book, head, [one.id for one in own], book.nodes):
            backlog.delayed_since_ms.pop(name, None)
            continue
        since_ms = backlog.delayed_since_ms.setdefault(name, book.wall_ms)
        if book.wall_ms - since_ms > max(one.spec.grace_ms for one in own) + SOON_MS:
            return f"{head.name} would start, but for {[one.name for one in own]}"
    return None


def _is_firm(book: "Book", head: str, kept: Kept, start_ms: int) -> bool:
    """Whether all that has to be gone by then has begun, or was let ahead of it and is told by when it is gone."""
    # Who has ended since is no longer in the way. Who has begun since, before it, may have what those had.
    if not _has_room(book, book.jobs[head], kept.gone, kept.nodes):
        return False
    gone = [book.jobs[one] for one in kept.gone if one in book.jobs]
    whole = [book.jobs[one.gang] if one.gang else one for one in gone]
    begun = all(one.start_time_ms is not None or head in one.ahead_of for one in whole)
    return begun and all((ends_ms(book, head, one, book.wall_ms) or start_ms + 1) <= start_ms for one in gone)


def _is_late(book: "Book", backlog: Backlog, job: Job) -> bool:
    gone_by_ms = backlog.gone_by_ms.get((job.id, job.epoch))
    return gone_by_ms is not None and job.state in _THERE and not job.gang and book.wall_ms > gone_by_ms


def _has_room(book: "Book", head: Job, gone: Collection[str], among: Iterable[str]) -> bool:
    """Whether it would start on some of these nodes once others have `gone`."""
    seen, nodes = scene(book, head), [book.nodes[one] for one in among if one in book.nodes]
    here = [one for one in gone if one in book.jobs]
    tasks = alike(book, head)
    return bool(choose_all(tasks, nodes, lambda name: seen.usage(seen.nodes[name], here), now_wall_ms=seen.wall_ms))
