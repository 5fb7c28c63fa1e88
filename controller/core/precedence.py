"""What a job that waits may take: within its project's quota, and with no harm to those whose turn it is before."""

from collections.abc import Callable, Collection, Iterable, Sequence

from controller.core import backoff, keeping, preemption
from controller.core.affordable import affordable, has_now
from controller.core.backfill import Kept, delays
from controller.core.book import Book
from controller.core.keeping import keep, one_of, scene
from controller.core.order import in_order
from controller.core.placement.demand import Least, least
from controller.core.placement.fit import Place, Usage, fit, free
from controller.core.projects import NOTHING
from controller.core.turns import Claim
from headrace.changes import replace
from headrace.jobs import Job, JobState
from headrace.nodes import Node
from headrace.projects import Amount
from headrace.shares import WHOLE_MILLIS

# Room is kept for so many of a line, and so many lines of a project are heeded by others that have had more.
KEPT_A_LINE, LINES_SHORT = 4, 4
# Of more lines these are not found out at each event.
MANY_LINES, SHORT_PAUSE_MS = 1_000, 500
# While others leave for so many, those of the same lines wait until they have their places.
MOST_CLAIMS = 16
# How often other places are looked for where a job would be in the way of others; and how often one is tried there on
# another of the nodes on which room is kept for the same one.
MOST_AWAY, FIRST_TRIES = 16, 2

# As one says that was not looked at yet.
IN_LINE = "waits for its turn"
BEHIND = "waits for its turn: the room that there is is kept for a job before it, which it would delay"

Look = Callable[[Collection[str]], tuple[Place, ...] | str]


def rules(book: Book) -> preemption.Rules:
    """Who may have whom leave."""
    policy = book.policy
    return preemption.Rules(policy.preempting_priority, policy.preemptions_max, policy.standstill_ms)


def made_free(book: Book, project: str, before: Job | None = None) -> Amount:
    """What others are about to leave for jobs of a project; where a job is given, for those that come before it."""
    waiting = [book.jobs[one] for one in book.turns.claims]
    own = [job for job in waiting if job.spec.project == project]
    return _sum(book.projects.expected(job) for job in own if before is None or not _comes_after(book, job, before))


def claims_after(book: Book, job: Job) -> dict[str, Claim]:
    """Room that others leave for jobs that come after this one: it is this one's, if it needs it."""
    return {one: claim for one, claim in book.turns.claims.items() if _comes_after(book, book.jobs[one], job)}


def _comes_after(book: Book, one: Job, job: Job) -> bool:
    return in_order(book, [one, job])[0].id == job.id


def given_back(book: Book, project: str) -> Amount:
    """What jobs of a project have that are about to leave for others, and go nowhere else."""
    leaving = [book.jobs[one] for one in book.turns.leaving if one in book.jobs]
    return _sum(
        book.projects.holding(job.id) for job in leaving if job.spec.project == project and job.migration is None
    )


def _sum(amounts: Iterable[Amount]) -> Amount:
    total = NOTHING
    for one in amounts:
        total = total.plus(one)
    return total


def begin_with(book: Book, job: Job) -> None:
    """A job that has just come is looked at alone: which of those that room is kept for come before it?"""
    turns = book.turns
    heads = heads_of(book)
    ordered = [one.id for one in in_order(book, [*heads, job])] if heads else [job.id]
    turns.before = ordered[: ordered.index(job.id)]


def heads_of(book: Book) -> list[Job]:
    """The jobs that room is kept for."""
    return [book.jobs[one] for one in book.turns.kept]


def seen_anew(book: Book) -> None:
    """Room that is kept where something has changed since is looked for again now. Of a still."""
    doubtful = dict.fromkeys(keeping.doubtful(book))
    if not doubtful:
        return
    book.turns.before = []
    for head in in_order(book, heads_of(book)):
        if head.id in doubtful:
            keep(book, head)
        else:
            book.turns.before.append(head.id)


def passed(book: Book, head: Job) -> None:
    """Whoever is looked at from now on comes after this one, that room is kept for."""
    if head.id in book.turns.kept and head.id not in book.turns.before:
        keep(book, head)


def taken(book: Book, job: Job, tasks: Sequence[Job], look: Look) -> tuple[Place, ...] | str:
    """The places that a job may take; else why it waits. `look` finds places, but on the nodes that it is told."""
    over = book.projects.over_quota(job.spec.project, _least(job))
    found = over or look(())
    if isinstance(found, str):
        if over:
            book.turns.blocked[job.id] = None
        return found
    away: dict[str, None] = {}
    tries, book.turns.avoided = 0, ("", {})
    while harmed := harmed_by(book, job, tasks, found):
        # At first it keeps away from those alone that were tried: others may have room for both.
        tried = [place.node for place in found if place.node in harmed]
        away |= dict.fromkeys(tried if tries < FIRST_TRIES else harmed)
        tries += 1
        found = look(away) if tries <= MOST_AWAY else BEHIND
        if isinstance(found, str):
            book.turns.blocked[job.id] = None
            return BEHIND
    over = over_quota(book, job, tasks, found)
    if over:
        book.turns.blocked[job.id] = None
    elif tries:
        book.turns.avoided = job.id, away
    return over or found


def harmed_by(book: Book, job: Job, tasks: Sequence[Job], places: Sequence[Place]) -> Collection[str]:
    """Nodes where a job would take at these places what is kept for others before it, or what others lack."""
    kept = kept_for_others(book, job, tasks, places)
    if kept:
        return kept
    heads = _short(book, job)
    return tuple(place.node for place in places if any(_takes_the_last(book, job, place, one) for one in heads))


def kept_for_others(book: Book, job: Job, tasks: Sequence[Job], places: Sequence[Place]) -> Collection[str]:
    """Nodes on which room is kept for one before the job that these places would delay."""
    for name in book.turns.before:
        kept = book.turns.kept[name]
        if name == job.id or not any(place.node in kept.counts for place in places):
            continue
        head = book.jobs[name]
        is_in_the_way = holds_against(book, kept, head, job) and delays(
            kept, one_of(book, affordable(book, head)), tasks, places, scene(book, head)
        )
        if is_in_the_way and not _is_left_to(book, job, head, kept):
            return kept.counts
    return ()


def _is_left_to(book: Book, job: Job, head: Job, kept: Kept) -> bool:
    """Whether a head that could begin where room is kept for it waits there for this job: neither would ever begin.

    It comes before the job by what is to be given to others of the job's project before, and that has had less yet.
    """
    if all(one.id != job.id for one in _short(book, head)):
        return False
    one = one_of(book, affordable(book, head))
    slots = [book.snapshot.slots[name] for name in kept.counts if name in book.snapshot.slots]
    offered = [
        fit(one, book.snapshot.nodes[slot], book.snapshot.usages[slot], now_wall_ms=book.wall_ms) for slot in slots
    ]
    return any(_takes_the_last(book, one, place, job) for place in offered if isinstance(place, Place))


def left_to(book: Book, job: Job, places: Sequence[Place]) -> dict[str, list[str]]:
    """The nodes of these places whose last is left to jobs of projects that have had less, and these by their ids."""
    heads, found = _short(book, job), dict[str, list[str]]()
    for place in places:
        theirs = [one.id for one in heads if _takes_the_last(book, job, place, one)]
        if theirs:
            found[place.node] = theirs
    return found


def let_ahead(book: Book, job: Job) -> Job:
    """The job, which is to begin now: if it has a limit and others before it wait, it has its room until then only.

    Its limit itself counts from its first start, and what it needs may take long to be brought there.
    """
    limit_ms, before = job.spec.timeouts.run_ms, tuple(one for one in book.turns.before if one != job.id)
    if limit_ms is None or not before:
        return job
    return replace(job, ahead_of=before, leave_by_time_ms=book.wall_ms + limit_ms + job.spec.grace_ms)


def are_short(book: Book, job: Job, more: Amount) -> bool:
    """Whether jobs of other projects wait that would have had less, once the job's own has so much more."""
    return bool(_short(book, job, more))


def _short(book: Book, job: Job, more: Amount = NOTHING) -> list[Job]:
    """Jobs that wait of other projects that have had less for their weight: the first of some lines."""
    heads = [one for project, some in book.turns.short.items() if project != job.spec.project for one in some]
    if not heads:
        return []
    had, projects, turns = _had(book, job.spec.project, more), book.projects, book.turns
    owns = preemption.claims_its_own(job, projects)
    return [
        one
        for one in heads
        if one.id in book.jobs
        and book.jobs[one.id].state is JobState.QUEUED
        and not projects.over_quota(one.spec.project, projects.expected(one))
        # One that would find no room though all others had ended needs none left for it.
        and (one.id in turns.kept or one.id not in turns.sought)
        and _had(book, one.spec.project) < had
        and (not owns or preemption.claims_its_own(one, projects))
    ]


def _takes_the_last(book: Book, job: Job, place: Place, head: Job) -> bool:
    """Whether all that another job lacks at a node is what this one would take of it.

    Small jobs would else always find room before a larger one does. Whoever has a part of a device takes a whole one
    from others only if it was idle.
    """
    slot = book.snapshot.slots.get(place.node)
    if slot is None:
        return False
    node, held = book.nodes[place.node], book.snapshot.usages[slot]
    left, after = _left(node, held), _left(node, held.plus(job.spec, place.devices))
    of_each = tuple(zip(least(head), left, after, strict=True))
    if any(want > had == has for want, had, has in of_each):
        return False
    if not any(had > has and want > has for want, had, has in of_each):
        return False
    return isinstance(fit(head, node, Usage(), now_wall_ms=book.wall_ms), Place)


def _left(node: Node, held: Usage) -> Least:
    """How much a task may take of a node at most, of each by itself."""
    rest, touched = free(node, held), held.touched
    idle = sum(one.id not in touched for one in node.devices)
    parts = (sum(part.millis for part in held.parts_of(one)) for one in node.devices if one.shareable)
    return Least(rest.cpu_millis, rest.memory_bytes, idle, WHOLE_MILLIS - min(parts, default=WHOLE_MILLIS))


def see_who_is_short(book: Book) -> None:
    """Notes, where several projects have jobs that wait, the first of some lines of each."""
    turns = book.turns
    if len(book.queue.lines()) > MANY_LINES and turns.short and book.now_ms - turns.short_ms < SHORT_PAUSE_MS:
        return
    turns.short_ms = book.now_ms
    short: dict[str, list[Job]] = {}
    if len(book.queue.projects) > 1:
        waiting = [line for line in book.queue.lines() if line.reason and line.ranks]
        for line in sorted(waiting, key=lambda one: one.ranks[0]):
            some = short.setdefault(line.key[2], [])
            if len(some) < LINES_SHORT:
                some.append(book.jobs[line.ranks[0][3]])
    book.turns.short = short


def holds_against(book: Book, kept: Kept, head: Job, job: Job) -> bool:
    """Whether room is kept for one from the other.

    Where nothing tells when there will be enough of it, only once it has waited long; or from a project that has had
    more for its weight.
    """
    if kept.start_ms is not None:
        return True
    if head.queue_time_ms is not None and book.wall_ms - head.queue_time_ms >= book.policy.patience_ms:
        return True
    if head.spec.project == job.spec.project:
        return False
    first, second = (_had(book, one.spec.project) for one in (head, job))
    return first < second


def _had(book: Book, project: str, more: Amount = NOTHING) -> float:
    account = book.projects.account(project, book.wall_ms)
    held = account.held.unit_millis + more.unit_millis
    return book.projects.fading.mean_ahead(account.use, held) / account.weight


def _least(job: Job) -> Amount:
    """What it has at least, wherever it comes to be."""
    count = job.spec.task_count if job.is_gang else 1
    asked, others = job.spec.resources.accelerators, job.spec.resources.alternatives
    fewest = min([asked.count, *(one.count for one in others)]) if asked is not None else 0
    return Amount(
        job.spec.resources.cpu_millis * count,
        (asked.share_millis or WHOLE_MILLIS if asked.memory_bytes == 0 else 0) * fewest * count if asked else 0,
        job.spec.resources.cpu_millis * count,
    )


def over_quota(book: Book, job: Job, tasks: Sequence[Job], places: Sequence[Place]) -> str:
    """Why a job may not have these places, if its project would have to borrow and does not."""
    return book.projects.over_quota(job.spec.project, amount(book, tasks, places))


def over_quota_there(book: Book, job: Job, place: Place) -> str:
    """Why a job may not move to a place: it would have more there, for which its project would have to borrow."""
    return book.projects.over_quota(job.spec.project, amount(book, [job], [place]).minus(has_now(book, job)))


def amount(book: Book, tasks: Sequence[Job], places: Sequence[Place]) -> Amount:
    """What these tasks would have at these places."""
    return _sum(
        book.projects.amount_at(task, book.nodes.get(place.node), place.devices)
        for task, place in zip(tasks, places, strict=True)
    )


def waits(book: Book, job: Job) -> None:
    """A job has found no place: if it is one of the first, room is kept for it; if it may, it asks others to leave."""
    turns = book.turns
    if job.id in turns.claims:
        next_asks(book, job)
        return
    # Those after it in its line find no place either, and are not looked at.
    for one in book.queue.line(job.id).first(KEPT_A_LINE, without=turns.claims):
        if one not in turns.before:
            keep(book, book.jobs[one])
    asks(book, job)


def asks(book: Book, job: Job) -> None:
    """A job that may have others leave is to be looked at for that, unless that was a moment ago."""
    turns = book.turns
    if turns.rests_until_ms.get(job.id, 0) <= book.now_ms and may_ask(book, job):
        turns.asking[job.id] = None


def next_asks(book: Book, job: Job) -> None:
    """The first of a job's line that has nobody leave yet is to be looked at for that."""
    turns = book.turns
    if len(turns.claims) < MOST_CLAIMS:
        for one in book.queue.line(job.id).first(1, without=turns.claims):
            if backoff.until_ms(book.jobs[one]) <= book.wall_ms:
                asks(book, book.jobs[one])


def may_ask(book: Book, job: Job) -> bool:
    """Whether others may have to leave for a job that has found no place, and were not asked to yet."""
    if job.id in book.turns.claims:
        return False
    # What is made free for those after it would give way to it.
    beside = made_free(book, job.spec.project, job) if book.projects.has_quotas else NOTHING
    return preemption.may_ask(job, book.projects, rules(book), beside)


def retry_due(book: Book) -> bool:
    """Has jobs looked at that may have others leave by now, and those that were passed over where that may be over."""
    turns = book.turns
    due = [job for job, until_ms in turns.rests_until_ms.items() if until_ms <= book.now_ms]
    for job in due:
        del turns.rests_until_ms[job]
    # Shares move with time alone.
    if turns.released or book.now_ms - turns.reviewed_ms >= book.policy.readings_ms:
        due += turns.blocked
        turns.blocked, turns.released, turns.reviewed_ms = {}, False, book.now_ms
    for job in due:
        book.queue.due(job)
    return bool(due)
