"""When capacity would be free that is taken now, as far as the time limits of jobs tell: a function of a snapshot."""

from collections.abc import Sequence

from controller.core import assignments, limits
from controller.core.capacity import Site, takes_jobs
from headrace import query
from headrace.ids import and_others
from headrace.jobs import Job, JobState
from headrace.searches import FreeTime

_NAMED = 3


def free_times(matches: query.Expression, sites: Sequence[Site], *, wall_ms: int, limit: int) -> tuple[FreeTime, ...]:
    """When what is left of each node matches, the earliest first; those of unknown time last. Never is left out.

    It is when the last of the jobs that must go has gone by its own limit: it may end sooner, and a job that waits may
    take its place.
    """
    open_now = [site for site in sites if takes_jobs(site.node)]
    found = [one for site in open_now if (one := free_time(matches, site, wall_ms=wall_ms)) is not None]
    known = sorted((one for one in found if one.free_time_ms is not None), key=lambda one: (one.free_time_ms, one.node))
    unknown = sorted((one for one in found if one.free_time_ms is None), key=lambda one: one.node)
    return tuple([*known, *unknown][:limit])


def free_time(matches: query.Expression, site: Site, *, wall_ms: int) -> FreeTime | None:
    """When what is left of the node matches; None if it would not though all its jobs had ended."""
    node = site.node.id
    here = [job for job in site.jobs if job.node == node or assignments.is_coming(job, node)]
    ends = {job.id: end_ms for job in here if (end_ms := gone_by_ms(job, wall_ms)) is not None}
    ending = sorted(ends, key=lambda job: (ends[job], job))
    for count in range(len(ending) + 1):
        if matches.holds(site.remaining(without=ending[:count])):
            gone = tuple(ending[:count])
            return FreeTime(node, ends[gone[-1]] if gone else wall_ms, gone, _waits_for(gone))
    lasting = [job for job in here if job.id not in ends]
    if not lasting or not matches.holds(site.remaining(without=[job.id for job in site.jobs])):
        return None
    return FreeTime(node, None, tuple(job.id for job in lasting), _unknown(lasting))


def gone_by_ms(job: Job, wall_ms: int) -> int | None:
    """By when, at the latest, nothing of it runs any more; None where nothing says so.

    A job is asked to leave when its time is over, and then has its grace.
    """
    if job.state is JobState.CANCELLING:
        return wall_ms + job.spec.grace_ms
    over_ms = limits.run_over_ms(job)
    return None if over_ms is None else max(wall_ms, over_ms + job.spec.grace_ms)


def _waits_for(gone: Sequence[str]) -> str:
    return f"once {_listed(gone)} {'have' if len(gone) > 1 else 'has'} ended" if gone else "free now"


def _unknown(lasting: Sequence[Job]) -> str:
    unlimited = [job.id for job in lasting if job.spec.timeouts.run_ms is None]
    if unlimited:
        return f"{_listed(unlimited)} {'have' if len(unlimited) > 1 else 'has'} no timeouts.run"
    begun = [job.id for job in lasting]
    return f"{_listed(begun)} {'have' if len(begun) > 1 else 'has'} not started yet"


def _listed(names: Sequence[str]) -> str:
    return and_others(names, named=_NAMED)
