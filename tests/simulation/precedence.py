"""What must hold of whose turn it is: invariants of projects, priorities and jobs that start ahead."""

from collections.abc import Collection
from dataclasses import replace
from typing import TYPE_CHECKING

from controller.core.backfill import Kept, earliest
from controller.core.fairness import rank
from controller.core.keeping import PAUSE_MS, alike, scene
from headrace.jobs import Job, JobState
from headrace.projects import Amount, Declared, Quota
from tests.simulation.invariants import at, millis_of
from tests.simulation.occurrences import Occurrence

if TYPE_CHECKING:
    from controller.core.placement.fit import Usage
    from headrace.nodes import Node
    from tests.simulation.world import World

URGENT = 80
MOST_TIMES = 3


@at(Occurrence.JOB_DECIDED)
def a_job_has_to_leave_only_for_one_that_may_have_it_leave(
    world: "World", before: Job | None, after: Job
) -> str | None:
    """A job leaves for a more urgent one of its project, or gives back what its project has borrowed."""
    if before is None or after.gang or (before.preemptor, before.state) == (after.preemptor, after.state):
        return None
    if after.state is not JobState.FREEZING or before.state is JobState.FREEZING or not after.preemptor:
        return None
    if (before.preemptor, before.preemption_count) == (after.preemptor, after.preemption_count):
        # It leaves for another reason, or gives back once more to the same.
        return None
    world.past.asked[after.preemptor] = None
    # It may have come with the event at hand, have left a node by it, or have begun with it.
    known = (world.controller.decided.get(after.preemptor), world.controller.book.jobs.get(after.preemptor))
    waiting = [one for one in known if one is not None and one.state is JobState.QUEUED]
    if not waiting or waiting[-1].preemptor == after.id:
        return f"{after.name} leaves for {after.preemptor}, which is {[one.state.name for one in known if one]}"
    who = waiting[-1]
    if after.preemption_count > before.preemption_count:
        lower = who.spec.priority >= URGENT and after.spec.priority < who.spec.priority
        same = who.spec.project == after.spec.project
        return (
            None if lower and same and after.preemption_count <= MOST_TIMES else f"{after.name} leaves for {who.name}"
        )
    asks = _least(who)
    owns = _held(world, who.spec.project).plus(asks)
    mine, its = _quota(world, who.spec.project), _quota(world, after.spec.project)
    if not mine.stated or mine.exceeded(owns, by=asks) or who.spec.project == after.spec.project:
        return f"{after.name} leaves for {who.name}, whose project has {mine} and would have {owns}"
    had = _held(world, after.spec.project)
    has = Amount(*[min(each) for each in zip(_least(after).figures, asks.figures, strict=True)])
    if its.stated and not its.exceeded(had, by=has):
        return f"{after.name} gives back, and its project has {had} of {its}"
    return None


@at(Occurrence.JOB_DECIDED)
def a_project_that_does_not_borrow_keeps_to_its_quota(world: "World", before: Job | None, after: Job) -> str | None:
    """What the jobs of a project that does not borrow have is within its quota, whichever alternatives they have."""
    if before is None or not after.node or before.node == after.node:
        return None
    project = after.spec.project
    if world.declared.get(project, Declared()).borrows:
        return None
    had, most = _held(world, project), _quota(world, project)
    return f"{after.name} begins, and {project} has {had} of {most}" if most.exceeded(had, by=_least(after)) else None


@at(Occurrence.JOB_DECIDED)
def who_starts_ahead_does_not_delay_whose_turn_it_is(world: "World", before: Job | None, after: Job) -> str | None:
    """A job that starts where room is kept for another one does not make it start later."""
    book = world.controller.book
    if before is None or before.state is not JobState.QUEUED or after.state is not JobState.STARTING:
        return None
    for name in book.turns.before:
        if after.node in book.turns.kept[name].nodes:
            wrong = _delayed(world, book.turns.kept[name], book.jobs[name], before, after)
            if wrong:
                return wrong
    return None


def _delayed(world: "World", kept: Kept, head: Job, before: Job, after: Job) -> str | None:
    book = world.controller.book
    if head.id in (after.id, after.gang) or not _is_senior(head, book.jobs.get(before.gang, before)):
        return None
    if (after.gang or after.id) in world.past.asked:
        # What others had left was kept for it.
        return None
    sought = book.turns.sought.get(head.id)
    if head.is_gang and kept.start_ms is None and sought is not None and book.now_ms - sought.last_ms < PAUSE_MS:
        # For a gang all nodes are looked at, and so not with each event: who leaves since the last look is not seen.
        return None
    tasks, seen, nodes = alike(book, head), scene(book, head), [book.nodes[name] for name in kept.nodes]

    def without_it(node: "Node", gone: Collection[str]) -> "Usage":
        return seen.usage(node, [*gone, after.id])

    others = [job for job in book.jobs_at(after.node) if job.id != after.id]
    bare = replace(seen, usage=without_it, jobs_at=lambda name: others if name == after.node else book.jobs_at(name))
    first, now = earliest(tasks, bare, nodes), earliest(tasks, seen, nodes)
    if first is None or first.start_ms is None or (now and now.start_ms and now.start_ms <= first.start_ms):
        return None
    return f"{after.name} starts on {after.node} and has {head.name} start at {now}, not {first}"


def _is_senior(head: Job, job: Job) -> bool:
    """Whether its turn is before the other's: of one project's jobs that can be told without their shares."""
    return head.spec.project == job.spec.project and rank(head) < rank(job)


def _held(world: "World", project: str) -> Amount:
    """Cores and devices; units are not looked at."""
    # At the end of the event: who was asked to leave is still there.
    jobs = world.controller.book.jobs.values()
    own = [job for job in jobs if job.spec.project == project and job.node and not job.is_gang]
    devices = sum(len(job.attempt.devices) * millis_of(job.spec) for job in own if job.attempt is not None)
    return Amount(device_millis=devices, cpu_millis=sum(job.spec.resources.cpu_millis for job in own))


def _least(job: Job) -> Amount:
    """What it has at least, wherever it comes to be."""
    first, others = job.spec.resources.accelerators, job.spec.resources.alternatives
    fewest = min(one.count for one in (first, *others)) * millis_of(job.spec) if first is not None else 0
    return Amount(
        device_millis=fewest * job.spec.task_count, cpu_millis=job.spec.resources.cpu_millis * job.spec.task_count
    )


def _quota(world: "World", project: str) -> Quota:
    return world.declared.get(project, Declared()).quota
