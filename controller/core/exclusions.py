"""What a job keeps away from for a while after it failed there: a node, or only the device that failed under it."""

from collections.abc import Iterable

from headrace.changes import replace
from headrace.jobs import Exclusion, Job, RetryCause
from headrace.nodes import Health, Node

# In the place of a device: all of the node.
WHOLE_NODE = ("",)


def with_exclusions(job: Job, added: Iterable[Exclusion], *, wall_ms: int) -> Job:
    """The job with these, in the place of older ones of the same; those that are over are left out."""
    added = tuple(added)
    renewed = [(one.node, one.device) for one in added]
    kept = (one for one in job.exclusions if (one.node, one.device) not in renewed and one.expire_time_ms > wall_ms)
    return replace(job, exclusions=(*kept, *added))


def bounded(job: Job, *, latest_ms: int) -> Job:
    """The job, which keeps away from nothing for longer than until then."""
    if all(one.expire_time_ms <= latest_ms for one in job.exclusions):
        return job
    return replace(
        job,
        exclusions=tuple(replace(one, expire_time_ms=min(one.expire_time_ms, latest_ms)) for one in job.exclusions),
    )


def blamed(job: Job, node: Node | None, cause: RetryCause) -> tuple[str, ...]:
    """The devices of a failed attempt that it failed by; WHOLE_NODE where it was none.

    The others of the node may serve it as well as any. Where it had several, those that are not well are blamed.
    """
    attempt = job.attempt
    if cause is not RetryCause.DEVICE_ERROR or attempt is None or not attempt.devices:
        return WHOLE_NODE
    well = {one.id for one in node.devices if one.health is not Health.UNHEALTHY} if node is not None else {}
    return tuple(one for one in attempt.devices if one not in well) or attempt.devices


def devices_at(job: Job, node: str, *, now_wall_ms: int) -> tuple[Exclusion, ...]:
    """The devices of a node that the job keeps away from."""
    return tuple(one for one in job.exclusions if one.device and one.node == node and now_wall_ms < one.expire_time_ms)
