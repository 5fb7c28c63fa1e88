"""What a job that waits may take: within its project's quota, and with no harm to those whose turn it is before."""

from collections.abc import Callable, Collection, Sequence

from controller.core import preemption
from controller.core.backfill import Kept, delays
from controller.core.book import Book
from controller.core.keeping import alike, keep, scene
from controller.core.order import in_order
from controller.core.placement.fit import Place
from controller.core.projects import NOTHING
from headrace.jobs import Job
from headrace.projects import Amount
from headrace.shares import WHOLE_MILLIS

# Room is kept for so many of a line.
KEPT_A_LINE = 4

BEHIND = "waits for its turn: the room that there is is kept for a job before it, which it would delay"

Look = Callable[[Collection[str]], tuple[Place, ...] | str]


def rules(book: Book) -> preemption.Rules:
    """Who may have whom leave."""
    policy = book.policy
    return preemption.Rules(policy.preempting_priority, policy.preemptions_max, policy.standstill_ms)


def begin_with(book: Book, job: Job) -> None:
    """A job that has just come is looked at alone: which of those that room is kept for come before it?"""
    turns = book.turns
    heads = heads_of(book)
    ordered = [one.id for one in in_order(book, [*heads, job])] if heads else [job.id]
    turns.before = ordered[: ordered.index(job.id)]


def heads_of(book: Book) -> list[Job]:
    """The jobs that room is kept for."""
    return [book.jobs[one] for one in book.turns.kept]


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
    while harmed := harmed_by(book, job, tasks, found):
        away |= dict.fromkeys(harmed.nodes)
        found = look(away)
        if isinstance(found, str):
            book.turns.blocked[job.id] = None
            return BEHIND
    over = over_quota(book, job, tasks, found)
    if over:
        book.turns.blocked[job.id] = None
    return over or found


def harmed_by(book: Book, job: Job, tasks: Sequence[Job], places: Sequence[Place]) -> Kept | None:
    """The room of one before it that a job would take by these places; one that it may not take it from."""
    nodes = {place.node: None for place in places}
    for name in book.turns.before:
        kept = book.turns.kept[name]
        if name == job.id or not any(node in nodes for node in kept.nodes):
            continue
        head = book.jobs[name]
        if holds_against(book, kept, head, job) and delays(kept, alike(book, head), tasks, places, scene(book, head)):
            return kept
    return None


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


def _had(book: Book, project: str) -> float:
    account = book.projects.account(project, book.wall_ms)
    return book.projects.fading.mean_ahead(account.use, account.held.unit_millis) / account.weight


def _least(job: Job) -> Amount:
    """What it has at least, wherever it comes to be."""
    count = job.spec.task_count if job.is_gang else 1
    asked = job.spec.resources.accelerators
    return Amount(
        job.spec.resources.cpu_millis * count,
        (asked.share_millis or WHOLE_MILLIS if asked.memory_bytes == 0 else 0) * asked.count * count if asked else 0,
        job.spec.resources.cpu_millis * count,
    )


def over_quota(book: Book, job: Job, tasks: Sequence[Job], places: Sequence[Place]) -> str:
    """Why a job may not have these places, if its project would have to borrow and does not."""
    if book.projects.of(job.spec.project).borrows:
        return ""
    return book.projects.over_quota(job.spec.project, amount(book, tasks, places))


def amount(book: Book, tasks: Sequence[Job], places: Sequence[Place]) -> Amount:
    """What these tasks would have at these places."""
    total = NOTHING
    for task, place in zip(tasks, places, strict=True):
        total = total.plus(book.projects.amount_at(task, book.nodes.get(place.node), place.devices))
    return total


def waits(book: Book, job: Job) -> None:
    """A job has found no place: if it is one of the first, room is kept for it; if it may, it asks others to leave."""
    turns = book.turns
    if job.id in turns.claims:
        return
    if not book.projects.over_quota(job.spec.project, book.projects.expected(job)):
        # Those after it in its line find no place either, and are not looked at.
        for one in book.queue.line(job.id).first(KEPT_A_LINE, without={}):
            if one not in turns.before and one not in turns.claims:
                keep(book, book.jobs[one])
    if turns.rests_until_ms.get(job.id, 0) <= book.now_ms and preemption.may_ask(job, book.projects, rules(book)):
        turns.asking[job.id] = None


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
