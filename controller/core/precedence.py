"""What a job that waits may take: within its project's quota, and with no harm to those whose turn it is before."""

from collections.abc import Callable, Collection, Sequence
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
    """A job that has just come is looked at alone: is it behind the one that room is kept for?"""
    turns = book.turns
    head = book.jobs.get(turns.kept.job) if turns.kept is not None else None
    if turns.kept is None or head is None:
        turns.is_past = False
        return
    holds = turns.kept.start_ms is not None or is_out_of_patience(book, head)
    turns.is_past = holds and in_order(book, (head, job))[0] is head


def usage_for(book: Book, job: Job, usage: Callable[[str], Usage]) -> Callable[[str], Usage]:
    """What is held of nodes, with what others are leaving for jobs other than this one."""
    promised: dict[str, list[Requests]] = {}
    for claimant, claim in book.turns.claims.items():
        if claimant != job.id:
            for node in claim.nodes:
                promised.setdefault(node, []).append(book.jobs[claimant].spec.resources)
    if not promised:
        return usage

    def with_promised(node: str) -> Usage:
        held = usage(node)
        for requests in promised.get(node, ()):
            held = held.with_coming(requests)
        return held

    return with_promised


def scene(book: Book, job: Job) -> Scene:
    """The cluster as it is for a job."""

    def usage(node: Node, gone: Collection[str]) -> Usage:
        def held(_name: str) -> Usage:
            return assignments.held(node, book.jobs_at(node.id), without=gone)

        return usage_for(book, job, held)(node.id)

    return Scene(book.nodes, book.jobs_at, book.wall_ms, usage)


def taken(book: Book, job: Job, tasks: Sequence[Job], look: Look) -> tuple[Place, ...] | str:
    """The places that a job may take; else why it waits. `look` finds places, but on the nodes that it is told."""
    over = book.projects.over_quota(job.spec.project, _least(job))
    found = over or look(())
    if isinstance(found, str):
        return found
    kept = book.turns.kept if book.turns.is_past else None
    head = book.jobs.get(kept.job) if kept is not None else None
    behind = kept is not None and head is not None and head.id != job.id
    if kept and head and behind and delays(kept, alike(book, head), tasks, found, scene(book, head)):
        found = look(kept.nodes)
        if isinstance(found, str):
            return BEHIND
    return _over_quota(book, job, tasks, found) or found


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
    """A job has found no place: if it is the first, room is kept for it; if it may, it asks others to leave."""
    turns = book.turns
    if job.id in turns.claims:
        return
    if not turns.is_past and not book.projects.over_quota(job.spec.project, book.projects.expected(job)):
        _keep(book, job)
    if turns.rests_until_ms.get(job.id, 0) <= book.now_ms and preemption.may_ask(job, book.projects, rules(book)):
        turns.asking[job.id] = None


def _keep(book: Book, job: Job) -> None:
    turns, tasks, seen = book.turns, alike(book, job), scene(book, job)
    kept: Kept | None = None
    if turns.kept is not None and turns.kept.job == job.id and book.now_ms - turns.sought_ms < book.policy.readings_ms:
        # To look at all nodes at every event would take long where there are many.
        kept = earliest(tasks, seen, [book.nodes[node] for node in turns.kept.nodes])
    elif turns.hopeless_until_ms.get(job.id, 0) > book.now_ms:
        return
    if kept is None:
        kept = earliest(tasks, seen)
        turns.sought_ms = book.now_ms
    if kept is None:
        turns.hopeless_until_ms[job.id] = book.now_ms + book.policy.readings_ms
        return
    turns.kept = kept
    turns.is_past = kept.start_ms is not None or is_out_of_patience(book, job)


def is_out_of_patience(book: Book, job: Job) -> bool:
    """Whether room is kept for a job although nothing tells when there will be enough."""
    return job.queue_time_ms is not None and book.wall_ms - job.queue_time_ms >= book.policy.patience_ms


def retry_due(book: Book) -> bool:
    """Whether a job that waits may have others leave by now that found nobody before."""
    return any(until_ms <= book.now_ms for until_ms in book.turns.rests_until_ms.values())
