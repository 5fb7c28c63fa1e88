"""What must hold of arrays and of jobs that follow others, in the form of `invariants.py`."""

from typing import TYPE_CHECKING

from headrace import elements as sets
from headrace.jobs import Condition, Dependency, Elements, Job, JobState
from tests.simulation.engine import Container
from tests.simulation.invariants import at
from tests.simulation.occurrences import Occurrence

if TYPE_CHECKING:
    from tests.simulation.node import SimulatedNode
    from tests.simulation.world import World

# What has to be the state of a job that has ended.
_WANTED = {Condition.SUCCEEDED: JobState.SUCCEEDED, Condition.FAILED: JobState.FAILED}


@at(Occurrence.JOB_SAVED)
def every_element_of_an_array_ends_exactly_once(world: "World", before: Job | None, after: Job) -> str | None:
    """What has ended is told of in its array's record, once and for ever, from the same transaction on."""
    if after.array and after.ended:
        array = world.controller.jobs[after.array]
        told = _ended(array).get(after.array_index)
        return f"{after.name} is {after.state.name}, in its array's record {told}" if told is not after.state else None
    if not after.is_array:
        return None
    was, now = _ended(before) if before is not None else {}, _ended(after)
    changed = [index for index, state in was.items() if now.get(index) is not state]
    if changed:
        return f"{after.name} had element {changed[0]} as {was[changed[0]].name}, and has it as {now.get(changed[0])}"
    known = after.elements or Elements()
    counts = (known.succeeded_count, known.failed_count, known.cancelled_count)
    if after.ended and (sum(counts) != after.spec.element_count or not _is_what_they_came_to(world, after, *counts)):
        return f"{after.name} is {after.state.name}, and {counts} of its elements have ended"
    return None


def _is_what_they_came_to(world: "World", array: Job, succeeded: int, failed: int, cancelled: int) -> bool:
    match array.state:
        case JobState.SUCCEEDED:
            return succeeded == array.spec.element_count
        case JobState.FAILED:
            return failed > 0
        case _:
            return array.id in world.past.cancelled or (cancelled > 0 and not failed)


@at(Occurrence.JOB_SAVED)
def an_array_has_ended_when_no_element_of_it_is_left(world: "World", _before: Job | None, after: Job) -> str | None:
    """No element outlives its array, and none has its turn after that."""
    array = world.controller.jobs.get(after.array or after.id)
    if array is None or not array.is_array or not array.ended:
        return None
    left = [job.name for job in world.controller.jobs.values() if job.array == array.id and not job.ended]
    return f"{array.name} is {array.state.name}, and there are {left}" if left else None


@at(Occurrence.CONTAINER_STARTED)
def nothing_starts_before_its_condition_holds(
    world: "World", site: "SimulatedNode", container: Container
) -> str | None:
    """A job that follows others starts once what it was to follow has come true."""
    job = world.controller.jobs.get(container.ref.job)
    for one in job.spec.after if job is not None else ():
        if not _holds(world, one):
            return f"{container.ref} starts on {site.name}, and {one.job} has not {one.condition.name.lower()}"
    return None


@at(Occurrence.JOB_SAVED)
def a_job_ends_for_what_it_follows_only_if_that_cannot_be(
    world: "World", _before: Job | None, after: Job
) -> str | None:
    """What was to follow an end that never can be is ended for that, and for nothing less."""
    if not after.ended or not after.reason.startswith("after: "):
        return None
    others = [(one, world.controller.jobs[one.job]) for one in after.spec.after]
    if any(other.ended and not _held(one, other) for one, other in others):
        return None
    return f"{after.name} is {after.state.name} ({after.reason}), and all that it follows may still be"


def _ended(array: Job) -> dict[int, JobState]:
    """How each element has ended that has; one that has ended twice fails here."""
    known = array.elements or Elements()
    found: dict[int, JobState] = {}
    states = (JobState.SUCCEEDED, JobState.FAILED, JobState.CANCELLED)
    for state, written in zip(states, (known.succeeded, known.failed, known.cancelled), strict=True):
        for first, last in sets.ranges(sets.loaded(written)):
            for index in range(first, last + 1):
                assert index not in found, f"{array.name}: element {index} is {state.name} and {found[index].name}"
                found[index] = state
    return found


def _holds(world: "World", one: Dependency) -> bool:
    other = world.controller.jobs[one.job]
    if one.condition is not Condition.STARTED:
        return other.ended and _held(one, other)
    # Of a container that somebody removed nobody can tell whether it had run.
    ran = [world.controller.jobs[one.job] for one in (*world.past.started, *world.past.robbed)]
    if other.is_gang:
        return {job.task for job in ran if job.gang == other.id} == set(range(other.spec.task_count))
    return any(other.id in (job.id, job.array) for job in ran)


def _held(one: Dependency, other: Job) -> bool:
    """Whether it came true of one that has ended. What ran, and was never seen to, is not known to have started."""
    if one.condition is Condition.STARTED:
        return other.start_time_ms is not None
    return other.state is _WANTED.get(one.condition, other.state)
