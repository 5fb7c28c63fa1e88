"""Who may be asked to leave for a job, node by node, and who leaves anyway."""

from collections.abc import Callable, Iterable

from controller.core import precedence, preemption
from controller.core.book import Book
from controller.core.preemption import Victim
from controller.core.projects import NOTHING
from controller.core.reading import PLACED
from controller.core.turns import Claim
from headrace.jobs import Job, JobSpec, JobState
from headrace.nodes import Node, NodeState
from headrace.projects import Amount

# Nobody has to leave for that, but what is as good without is taken first.
CLAIM_COST = 1e-6


class Askable:
    """Those who may be asked for one job. A gang leaves as a whole, and is at all of its nodes."""

    def __init__(self, book: Book, job: Job, given_back: Callable[[str], Amount]) -> None:
        """So much is `given_back` by others of a project that are about to leave."""
        self._book, self._job, self._given_back = book, job, given_back
        beside = precedence.made_free(book, job.spec.project, job)
        claims_own = preemption.claims_its_own(job, book.projects, beside)
        # For nothing, where only who is less urgent may be asked.
        self.asks = book.projects.expected(job) if claims_own else NOTHING
        self._rules, self._known = precedence.rules(book), dict[str, Victim | None]()
        self.claims = precedence.claims_after(book, job)

    def at(self, node: Node) -> list[Victim]:
        """Those that are at a node."""
        if node.state is not NodeState.READY:
            return []
        found, own = dict[str, Victim](), node.id
        for here in self._book.jobs_at(own):
            if here.node == own:
                name = here.gang or here.id
                if name not in self._known:
                    self._known[name] = self._victim(self._book.jobs[name])
                victim = self._known[name]
                if victim is not None:
                    found[name] = victim
        claimed = [self._claimed(name, claim) for name, claim in self.claims.items() if own in claim.at]
        return [*found.values(), *claimed]

    def has(self, victim: Victim, node: Node) -> tuple[int, int, int]:
        """What of a node is free once it has left: cores, memory, and devices at most."""
        own = node.id
        if victim.is_claim:
            return amounts(self.claims[victim.id].at[own])
        here = [task for task in map(self._book.jobs.__getitem__, victim.tasks) if task.node == own]
        return (
            sum(one.spec.resources.cpu_millis for one in here),
            sum(one.spec.resources.memory_bytes for one in here),
            sum(len(one.attempt.devices) for one in here if one.attempt is not None),
        )

    def _claimed(self, name: str, claim: Claim) -> Victim:
        waits = self._book.jobs[name]
        is_own = waits.spec.project == self._job.spec.project
        amount = self._book.projects.expected(waits) if is_own else NOTHING
        return Victim(name, (name,), CLAIM_COST, amount=amount, nodes=tuple(claim.at), is_claim=True)

    def _victim(self, other: Job) -> Victim | None:
        """What having it leave would be."""
        book, job = self._book, self._job
        if other.id == job.preemptor or not _may_leave(book, other):
            return None
        lower = preemption.is_lower(job, other, self._rules)
        if not lower and self.asks == NOTHING:
            return None
        tasks = book.tasks(other) if other.is_gang else [other]
        amount, cost = NOTHING, 0.0
        for task in tasks:
            its = book.projects.holding(task.id)
            amount = amount.plus(its)
            cost += preemption.cost(task, its, wall_ms=book.wall_ms, rules=self._rules)
        if not lower and not self._has_borrowed(other, amount):
            return None
        borrower = "" if lower else other.spec.project
        nodes = tuple(dict.fromkeys(task.node for task in tasks))
        return Victim(other.id, tuple(task.id for task in tasks), cost, borrower, amount, nodes)

    def _has_borrowed(self, other: Job, has: Amount) -> bool:
        theirs = self._given_back(other.spec.project)
        return preemption.has_borrowed(
            self._job, other, self._book.projects, has=has, asks=self.asks, given_back=theirs
        )


def amounts(specs: Iterable[JobSpec]) -> tuple[int, int, int]:
    """What these ask for: cores, memory, and devices at most."""
    wants = [spec.resources for spec in specs]
    return (
        sum(one.cpu_millis for one in wants),
        sum(one.memory_bytes for one in wants),
        sum(one.accelerators.count for one in wants if one.accelerators is not None),
    )


def _may_leave(book: Book, job: Job) -> bool:
    """Whether it can be asked: it has a place, is on no way elsewhere, and its nodes report."""
    tasks = book.tasks(job) if job.is_gang else [job]
    return job.state in PLACED and all(
        task.state in PLACED and task.migration is None and book.nodes[task.node].state is NodeState.READY
        for task in tasks
    )


def leaving_anyway(book: Book, node: Node) -> dict[str, None]:
    """Who is about to leave a node that reports, for whatever reason: their room is as good as free."""
    if node.state is not NodeState.READY:
        return {}
    own = node.id
    here = (one for one in book.jobs_at(own) if one.node == own)
    return {one.id: None for one in here if one.state in (JobState.FREEZING, JobState.CANCELLING)}
