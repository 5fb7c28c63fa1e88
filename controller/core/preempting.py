"""Has jobs leave so that others find room: they save first, go on elsewhere if there is room, and wait again if not."""

from collections.abc import Sequence
from dataclasses import replace

from controller.core import gangs, keeping, moves, precedence, preemption
from controller.core.book import Book
from controller.core.model import moved
from controller.core.placement.fit import Place, Usage, choose, fit
from controller.core.preemption import Victim
from controller.core.projects import NOTHING
from controller.core.turns import Claim
from headrace.jobs import Job, JobState
from headrace.nodes import Node, NodeState

_PLACED = (JobState.STARTING, JobState.RUNNING)


def settled(book: Book) -> None:
    """At the end of an event: makes room for the first of the jobs that may have others leave."""
    turns = book.turns
    for job_id in [one for one, claim in turns.claims.items() if claim.until_ms <= book.now_ms]:
        # What was to leave did not in time, or its node is no longer good for the job.
        for node in turns.claims.pop(job_id).nodes:
            book.touch(node)
        turns.rests_until_ms[job_id] = book.now_ms + book.policy.preemption_rest_ms
        book.capacity_changed()
    while turns.asking and keeping.may_look(book):
        job = book.jobs.get(next(iter(turns.asking)))
        del turns.asking[next(iter(turns.asking))]
        if job is None or job.state is not JobState.QUEUED:
            continue
        turns.rests_until_ms[job.id] = book.now_ms + book.policy.preemption_rest_ms
        found = _sought(book, job)
        if found is not None:
            _make_room(book, job, *found)
        # One at an event: to look takes long where there are many nodes.
        return


def _sought(book: Book, job: Job) -> tuple[tuple[Victim, ...], tuple[str, ...]] | None:
    """The cheapest set of those that may be asked, and the nodes at which the job's tasks find room by that."""
    nodes = keeping.lacking_least(book, job, book.turns.asks)
    at_nodes = _by_node(book, job, nodes)
    chosen: tuple[Victim, ...] = ()
    places: list[Place] = []
    tasks = keeping.alike(book, job)
    for task in tasks:
        best: tuple[float, str, tuple[Victim, ...], Place] | None = None
        for node in nodes:
            found = _at(book, job, node, _Asked(task, tasks, chosen, tuple(places)), at_nodes.get(node.id, []))
            if found is not None and (best is None or (found[0], node.id) < best[:2]):
                best = (found[0], node.id, found[1], found[2])
        if best is None:
            return None
        chosen = (*chosen, *best[2])
        places.append(best[3])
    return (chosen, tuple(place.node for place in places)) if chosen else None


class _Asked:
    """A task for which room is looked for, beside those that were asked to leave, and places found, before it."""

    def __init__(self, task: Job, tasks: Sequence[Job], chosen: tuple[Victim, ...], places: tuple[Place, ...]) -> None:
        self.task = task
        self.tasks = tasks
        self.chosen = chosen
        self.places = places


def _at(
    book: Book, job: Job, node: Node, asked: _Asked, victims: Sequence[Victim]
) -> tuple[float, tuple[Victim, ...], Place] | None:
    """What it costs to make room at a node, who leaves, and the place."""
    more = [one for one in victims if one not in asked.chosen]

    def place(leaving: Sequence[Victim]) -> Place | None:
        gone = {task: None for one in (*asked.chosen, *leaving) for task in one.tasks}
        found = fit(asked.task, node, _usage(book, job, node, gone, asked), now_wall_ms=book.wall_ms)
        return found if isinstance(found, Place) and _within_quota(book, job, asked, found, leaving) else None

    there = place(())
    if there is not None:
        return 0.0, (), there
    chosen = preemption.cheapest(
        more,
        enough=lambda leaving: place(leaving) is not None,
        allowed=lambda leaving: preemption.gives_back_no_more_than_borrowed([*asked.chosen, *leaving], book.projects),
    )
    there = place(chosen) if chosen else None
    return (sum(one.cost for one in chosen), chosen, there) if chosen and there is not None else None


def _usage(book: Book, job: Job, node: Node, gone: dict[str, None], asked: _Asked) -> Usage:
    held = book.usage_once_gone(node.id, gone, waiting=job.id)
    for task, place in zip(asked.tasks, asked.places, strict=False):
        if place.node == node.id:
            held = held.plus(task.spec.resources, place.devices)
    return held


def _within_quota(book: Book, job: Job, asked: _Asked, place: Place, leaving: Sequence[Victim]) -> bool:
    """Whether the job keeps to its quota if it does not borrow, or was to ask for its own; counting what leaves."""
    projects, project = book.projects, job.spec.project
    all_leave = (*asked.chosen, *leaving)
    tasks = asked.tasks[: len(asked.places) + 1]
    held = projects.held.get(project, NOTHING).plus(precedence.amount(book, tasks, (*asked.places, place)))
    for one in all_leave:
        if not one.borrower:
            held = held.minus(one.amount)
    if any(one.borrower for one in all_leave):
        return projects.owns(project, held)
    declared = projects.of(project)
    return declared.borrows or not declared.quota.exceeded(held)


def _by_node(book: Book, job: Job, nodes: Sequence[Node]) -> dict[str, list[Victim]]:
    """Who may be asked to leave, by node; a gang leaves as a whole, and is at all of its nodes."""
    claims_own = preemption.claims_its_own(job, book.projects)
    found: dict[str, list[Victim]] = {}
    seen: dict[str, Victim | None] = {}
    for node in nodes:
        if node.state is not NodeState.READY:
            continue
        for here in book.jobs_at(node.id):
            name = here.gang or here.id
            if here.node != node.id:
                continue
            if name not in seen:
                seen[name] = _victim(book, job, book.jobs[name], claims_own=claims_own)
            victim = seen[name]
            if victim is not None and victim not in found.setdefault(node.id, []):
                found[node.id].append(victim)
    return found


def _victim(book: Book, job: Job, other: Job, *, claims_own: bool) -> Victim | None:
    if other.id == job.preemptor or not _may_leave(book, other):
        return None
    lower = preemption.is_lower(job, other, precedence.rules(book))
    if not lower and not (claims_own and preemption.has_borrowed(job, other, book.projects)):
        return None
    tasks = book.tasks(other) if other.is_gang else [other]
    amount, cost = NOTHING, 0.0
    for task in tasks:
        its = book.projects.holding(task.id)
        amount = amount.plus(its)
        cost += preemption.cost(task, its, wall_ms=book.wall_ms, rules=precedence.rules(book))
    borrower = "" if lower else other.spec.project
    return Victim(other.id, tuple(task.id for task in tasks), cost, borrower, amount)


def _may_leave(book: Book, job: Job) -> bool:
    """Whether it can be asked: it has a place, is on no way elsewhere, and its nodes report."""
    tasks = book.tasks(job) if job.is_gang else [job]
    return job.state in _PLACED and all(
        task.state in _PLACED and task.migration is None and book.nodes[task.node].state is NodeState.READY
        for task in tasks
    )


def _make_room(book: Book, job: Job, victims: tuple[Victim, ...], nodes: tuple[str, ...]) -> None:
    leave = [book.jobs[one.id] for one in victims]
    grace_ms = max(one.spec.grace_ms for one in leave)
    # An agent that hears of it late ends them late.
    book.turns.claims[job.id] = Claim(nodes, job.spec.resources, book.now_ms + grace_ms + 2 * book.policy.node_lease_ms)
    for node in nodes:
        book.touch(node)
    for victim, other in zip(victims, leave, strict=True):
        why = f"{job.name} has its project's own back" if victim.borrower else f"{job.name} is more urgent"
        count = other.preemption_count + (0 if victim.borrower else 1)
        book.note(other.name, "JOB_PREEMPTED", f"asked to save and leave: {why}")
        _leaves(book, replace(other, preemptor=job.id, preemption_count=count), f"had to leave: {why}")


def _leaves(book: Book, job: Job, reason: str) -> None:
    """It saves and leaves; if there is room for it elsewhere, it goes on there, and what it needs there is brought."""
    if job.is_gang:
        gangs.make_way(book, job, reason)
        return
    kept = {node: None for one in book.turns.kept.values() for node in one.nodes}
    others = [node for node in book.nodes.values() if node.id != job.node and node.id not in kept]
    place = choose(job, others, book.usage, now_wall_ms=book.wall_ms)
    if job.state is JobState.RUNNING and isinstance(place, Place):
        moves.freeze(book, moves.begin(book, job, place), ())
    else:
        book.put(moved(job, JobState.FREEZING, reason=reason))
