"""Who has to leave so that another job finds room: the cheapest set of those that may be asked to. Pure."""

import heapq
import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass

from controller.core.projects import NOTHING, Projects
from headrace.jobs import Job
from headrace.projects import Amount

# Of so many that might leave a node all sets are looked at, the cheapest first; of more, only some.
EXACT = 10


@dataclass(frozen=True, slots=True)
class Victim:
    """A job, or a gang, that may be asked to leave; `tasks` are what runs of it. `cost` is in unit-seconds of work.

    `borrower` is its project where that gives back what is not its own; empty: its priority is lower. It is at `nodes`.
    One that `is_claim` waits itself: others are asked to leave for it there, and that may be another's.
    """

    id: str
    tasks: tuple[str, ...]
    cost: float
    borrower: str = ""
    amount: Amount = NOTHING
    nodes: tuple[str, ...] = ()
    is_claim: bool = False


@dataclass(frozen=True, slots=True)
class Rules:
    """The named numbers. A job of `priority` or more may have others of its project leave whose priority is lower.

    None has to leave for such a one more than `most_times`. One that saves when asked loses `standstill_ms`.
    """

    priority: int
    most_times: int
    standstill_ms: int


def may_ask(job: Job, projects: Projects, rules: Rules, beside: Amount = NOTHING) -> bool:
    """Whether others may have to leave for a job that waits, when so much is made free for others of its project."""
    return job.spec.priority >= rules.priority or claims_its_own(job, projects, beside)


def claims_its_own(job: Job, projects: Projects, beside: Amount = NOTHING) -> bool:
    """Whether what it asks for is its project's own, so that whoever has borrowed it has to give it back."""
    if not projects.has_quotas:
        return False
    project, more = job.spec.project, projects.expected(job)
    held = projects.held.get(project, NOTHING).plus(beside)
    return projects.owns(project, held.plus(more), more=more)


def is_lower(job: Job, victim: Job, rules: Rules) -> bool:
    """Whether `victim` has to leave for `job` because its priority is lower. Priorities are a project's own word."""
    return (
        job.spec.priority >= rules.priority
        and victim.spec.priority < job.spec.priority
        and victim.spec.project == job.spec.project
        and victim.preemption_count < rules.most_times
    )


def has_borrowed(
    job: Job, victim: Job, projects: Projects, *, has: Amount, asks: Amount, given_back: Amount = NOTHING
) -> bool:
    """Whether `victim` is of another project, and `has` something of which that has more than its own.

    And that of a figure of which `job` asks for some. So much is `given_back` by others of its project that are about
    to leave.
    """
    if victim.spec.project == job.spec.project:
        return False
    beyond = projects.beyond(victim.spec.project, without=given_back)
    return any(min(each) > 0 for each in zip(beyond.figures, has.figures, asks.figures, strict=True))


def gives_back_no_more_than_borrowed(
    chosen: Sequence[Victim], projects: Projects, asks: Amount, given_back: Callable[[str], Amount] = lambda _: NOTHING
) -> bool:
    """Whether each of those that give back goes, in some order, while its project still has more than its own.

    And that of something that it has and for which the job for which they go `asks`.
    """
    for project in dict.fromkeys(one.borrower for one in chosen if one.borrower):
        beyond = projects.beyond(project, without=given_back(project)).figures
        asked = [more if ask > 0 else 0 for more, ask in zip(beyond, asks.figures, strict=True)]
        if not _is_lent([one.amount.figures for one in chosen if one.borrower == project], asked):
            return False
    return True


def _is_lent(amounts: Sequence[tuple[int, int, int]], beyond: Sequence[int]) -> bool:
    """Whether there is an order in which each of these goes while there is still more of what it has than the own."""
    while amounts:
        # If that is so of a figure before the one with most of it goes, as the last, all that have some of it may go
        # after the others: those need another figure.
        lent = [
            which
            for which, more in enumerate(beyond)
            if more > sum([one[which] for one in amounts]) - max([one[which] for one in amounts])
        ]
        others = [one for one in amounts if not any(one[which] > 0 for which in lent)]
        if len(others) == len(amounts):
            return False
        amounts = others
    return True


def cost(job: Job, amount: Amount, *, wall_ms: int, rules: Rules) -> float:
    """What it costs to have a job leave, in unit-seconds: its standstill; and its work, if it cannot save that."""
    attempt = job.attempt
    lost_ms = rules.standstill_ms
    if job.spec.checkpoint is None and attempt is not None and attempt.start_time_ms is not None:
        lost_ms += max(0, wall_ms - attempt.start_time_ms)
    return amount.unit_millis / 1000 * lost_ms / 1000


def at_least(lacks: Sequence[int], frees: Sequence[tuple[float, Sequence[int]]]) -> float:
    """What sets cost at least by which what `lacks` becomes free; infinite where none does.

    `frees` has what each of those that may leave costs, and what it has of each. It is as if parts of them could leave.
    """
    least = 0.0
    for what, lack in enumerate(lacks):
        total, left = 0.0, lack
        for cost, has in sorted(frees, key=lambda one: one[0] / one[1][what] if one[1][what] > 0 else math.inf):
            if left <= 0 or has[what] <= 0:
                break
            total += cost * min(1.0, left / has[what])
            left -= has[what]
        least = max(least, total if left <= 0 else math.inf)
    return least


def cheapest(
    victims: Sequence[Victim],
    *,
    enough: Callable[[Sequence[Victim]], bool],
    allowed: Callable[[Sequence[Victim]], bool],
    below: float = math.inf,
    exact: bool = True,
) -> tuple[Victim, ...] | None:
    """The cheapest set that costs less than `below`, is `enough` and is `allowed`; None where there is none.

    What is enough stays so with more; what is allowed stays so with less. Of few victims it is the cheapest of all
    sets, where `exact`, and of those the smallest; of many, one in which nobody is needless.
    """
    ordered = sorted(victims, key=lambda one: (one.cost, one.id))
    if not ordered or not enough(ordered):
        return None
    if exact and len(ordered) <= EXACT:
        return next((one for one in _by_cost(ordered, allowed, below) if enough(one)), None)
    several = _one_by_one(ordered, enough, allowed)
    cost = sum(one.cost for one in several) if several is not None else math.inf
    # Many cheap ones may cost more than one that is enough alone, or as much.
    alone = (one for one in ordered if several is None or (len(several) > 1 and one.cost <= cost))
    single = next((one for one in alone if enough([one]) and allowed([one])), None)
    found = (single,) if single is not None else several
    return found if found is not None and sum(one.cost for one in found) < below else None


def _one_by_one(
    ordered: Sequence[Victim],
    enough: Callable[[Sequence[Victim]], bool],
    allowed: Callable[[Sequence[Victim]], bool],
) -> tuple[Victim, ...] | None:
    """The first of them that are enough together, but those that are needless."""
    chosen: list[Victim] = []
    for one in ordered:
        if allowed([*chosen, one]):
            chosen.append(one)
            if enough(chosen):
                break
    else:
        return None
    for one in sorted(chosen, key=lambda one: (-one.cost, one.id)):
        fewer = [other for other in chosen if other is not one]
        if fewer and enough(fewer):
            chosen = fewer
    return tuple(chosen)


def needed(
    chosen: Sequence[Victim],
    count: int,
    *,
    nodes: Mapping[str, Sequence[Victim]],
    room: Callable[[str, Sequence[Victim]], int],
    at_most: Callable[[str, Sequence[Victim]], int],
    most_looks: int,
) -> tuple[Victim, ...]:
    """Those without whom so many tasks have no places on these `nodes`: of the others the dearest stay first.

    Each node has those who leave it; `room` is for how many tasks it has room once some of these have left, and
    `at_most` for how many by what can be told without a look. To count a task is a look: after so many of them whoever
    is left leaves.
    """
    left = {node: list(its) for node, its in nodes.items()}
    rooms = {node: room(node, its) for node, its in left.items()}
    at: dict[str, list[str]] = {}
    for node, its in nodes.items():
        for one in its:
            at.setdefault(one.id, []).append(node)
    all_rooms = sum(rooms.values())
    looks, kept = all_rooms + len(rooms), {one.id: one for one in chosen}
    for one in sorted(chosen, key=lambda one: (-one.cost, one.id)):
        others = {node: [other for other in left[node] if other is not one] for node in at.get(one.id, ())}
        if all_rooms + sum(min(0, at_most(node, its) - rooms[node]) for node, its in others.items()) < count:
            continue
        without: dict[str, int] = {}
        for node, its in others.items():
            if looks >= most_looks:
                return tuple(kept.values())
            without[node] = room(node, its)
            looks += without[node] + 1
        fewer = all_rooms - sum(rooms[node] for node in without) + sum(without.values())
        if fewer >= count:
            all_rooms, rooms = fewer, {**rooms, **without}
            del kept[one.id]
            left |= others
    return tuple(kept.values())


def _by_cost(
    ordered: Sequence[Victim], allowed: Callable[[Sequence[Victim]], bool], below: float
) -> Iterator[tuple[Victim, ...]]:
    """All sets of them that are allowed and cost less than that, the cheapest and smallest first; none is empty."""
    # In millionths, as integers: else sums that are the same might differ by how they were added.
    costs = [round(one.cost * 1_000_000) for one in ordered]
    # Each set is reached once: from the one without its last member, or with the one before in that place.
    heap: list[tuple[int, int, tuple[int, ...]]] = [(costs[0], 1, (0,))]
    while heap and heap[0][0] < below * 1_000_000:
        total, count, members = heapq.heappop(heap)
        found = tuple([ordered[one] for one in members])
        is_allowed = allowed(found)
        if is_allowed:
            yield found
        last = members[-1]
        if last + 1 < len(ordered):
            if is_allowed:
                heapq.heappush(heap, (total + costs[last + 1], count + 1, (*members, last + 1)))
            heapq.heappush(heap, (total - costs[last] + costs[last + 1], count, (*members[:-1], last + 1)))
