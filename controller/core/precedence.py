"""What a job that waits may take: within its project's quota, and with no harm to those whose turn it is before."""

from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import replace

from controller.core import assignments, preemption
from controller.core.backfill import Kept, Scene, delays, earliest
from controller.core.book import Book
from controller.core.order import in_order
from controller.core.placement.fit import Place, Usage
from controller.core.projects import NOTHING
from headrace.jobs import Job, Requests
from headrace.nodes import Node
from headrace.projects import Amount
from headrace.shares import WHOLE_MILLIS

BEHIND = "waits for its turn: the room that there is is kept for a job before it, which it would delay"

Look = Callable[[Collection[str]], tuple[Place, ...] | str]


def rules(book: Book) -> preemption.Rules:
    """Who may have whom leave."""
    policy = book.policy
    return preemption.Rules(policy.preempting_priority, policy.preemptions_max, policy.standstill_ms)


def alike(book: Book, job: Job) -> list[Job]:
    """A gang's tasks as places are looked for: what one of them keeps away from, all do. Of another job, itself."""
    if not job.is_gang:
        return [job]
    tasks = book.tasks(job)
    away = sum((task.exclusions for task in tasks), job.exclusions)
    return [replace(task, exclusions=away) for task in tasks]


def begin_with(book: Book, job: Job) -> None:
    """A job that has just come is looked at alone: which of those that room is kept for come before it?"""
    turns = book.turns
    heads = [book.jobs[one] for one in turns.kept if one in book.jobs]
    ordered = [one.id for one in in_order(book, [*heads, job])] if heads else [job.id]
    turns.before = ordered[: ordered.index(job.id)]


def begin(book: Book) -> None:
    """All that wait are looked at, in their order."""
    book.turns.before = []


def ended(book: Book) -> None:
    """All were looked at: of those for which no room was kept anew, none is kept."""
    turns = book.turns
    turns.kept = {one: turns.kept[one] for one in turns.before if one in turns.kept}


def usage_for(book: Book, job: Job, usage: Callable[[str], Usage]) -> Callable[[str], Usage]:
    """What is held of nodes, with what others are leaving for jobs other than this one."""
    promised: dict[str, list[Requests]] = {}
    for claimant, claim in book.turns.claims.items():
        if claimant != job.id:
            for node in claim.nodes:
                promised.setdefault(node, []).append(book.jobs[claimant].spec.resources)
    return _with_promised(usage, promised) if promised else usage


def _with_promised(usage: Callable[[str], Usage], promised: Mapping[str, Sequence[Requests]]) -> Callable[[str], Usage]:
    def with_promised(node: str) -> Usage:
        held = usage(node)
        for requests in promised.get(node, ()):
            held = held.with_coming(requests)
        return held

    return with_promised


def scene(book: Book, job: Job) -> Scene:
    """The cluster as it is for a job that waits: with the room that is kept for those before it."""
    promised: dict[str, list[Requests]] = {}
    for other in book.turns.before:
        if other == job.id:
            break
        for task, node in zip(alike(book, book.jobs[other]), book.turns.kept[other].places, strict=True):
            promised.setdefault(node, []).append(task.spec.resources)

    def usage(node: Node, gone: Collection[str]) -> Usage:
        def held(_name: str) -> Usage:
            return assignments.held(node, book.jobs_at(node.id), without=gone)

        return _with_promised(usage_for(book, job, held), promised)(node.id)

    return Scene(book.nodes, book.jobs_at, book.wall_ms, usage)


def taken(book: Book, job: Job, tasks: Sequence[Job], look: Look) -> tuple[Place, ...] | str:
    """The places that a job may take; else why it waits. `look` finds places, but on the nodes that it is told."""
    over = book.projects.over_quota(job.spec.project, _least(job))
    found = over or look(())
    if isinstance(found, str):
        return found
    away: dict[str, None] = {}
    while harmed := _harmed(book, job, tasks, found):
        away |= dict.fromkeys(harmed.nodes)
        found = look(away)
        if isinstance(found, str):
            return BEHIND
    return _over_quota(book, job, tasks, found) or found


def _harmed(book: Book, job: Job, tasks: Sequence[Job], places: Sequence[Place]) -> Kept | None:
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


def _over_quota(book: Book, job: Job, tasks: Sequence[Job], places: Sequence[Place]) -> str:
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
    expected = book.projects.expected(job)
    if len(turns.before) < book.policy.kept_max and not book.projects.over_quota(job.spec.project, expected):
        _keep(book, job)
    if turns.rests_until_ms.get(job.id, 0) <= book.now_ms and preemption.may_ask(job, book.projects, rules(book)):
        turns.asking[job.id] = None


def _keep(book: Book, job: Job) -> None:
    turns, tasks, seen = book.turns, alike(book, job), scene(book, job)
    if turns.hopeless_until_ms.get(job.id, 0) > book.now_ms:
        return
    kept, sought_ms = turns.kept.get(job.id), turns.sought_ms.get(job.id, 0)
    if kept is not None and book.now_ms - sought_ms < book.policy.readings_ms:
        # To look at all nodes at every event would take long where there are many.
        kept = earliest(tasks, seen, [book.nodes[node] for node in kept.nodes])
    else:
        kept = None
    if kept is None:
        if not turns.may_look(book.now_ms, len(book.nodes)):
            return
        kept = earliest(tasks, seen)
        turns.sought_ms[job.id] = book.now_ms
    if kept is None:
        turns.hopeless_until_ms[job.id] = book.now_ms + book.policy.readings_ms
        return
    turns.kept[job.id] = kept
    if job.id not in turns.before:
        turns.before.append(job.id)


def retry_due(book: Book) -> bool:
    """Whether a job that waits may have others leave by now that found nobody before."""
    return any(until_ms <= book.now_ms for until_ms in book.turns.rests_until_ms.values())
