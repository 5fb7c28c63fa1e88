"""What a node should run, derived from the jobs: never kept on its own."""

from collections.abc import Collection, Iterable, Mapping, Sequence

from controller.core.placement.fit import Usage, bound
from headrace.changes import replace
from headrace.jobs import Job, JobState, Migration, MigrationState
from headrace.nodes import Node
from headrace.sessions import Goal, Placement, Prefetch
from headrace.shares import settled

GOALS = {
    JobState.STARTING: Goal.RUN,
    JobState.RUNNING: Goal.RUN,
    JobState.FREEZING: Goal.FREEZE,
    JobState.CANCELLING: Goal.CANCEL,
}

Wanted = tuple[tuple[Placement, ...], tuple[Prefetch, ...]]

# A node's generation is written down once in so many, not with each job: a controller that starts counts on from as
# many above what was written.
GENERATIONS_AHEAD = 256


def above_all_sent(node: Node) -> Node:
    """The node as a controller that starts takes it over: the next generation is newer than any that it was told."""
    return replace(node, generation=node.generation + GENERATIONS_AHEAD)


def offers(node: Node) -> tuple[object, ...]:
    """What of a node decides whether it takes jobs, and which."""
    return node.state, node.drain, node.engine, node.description, node.devices


def usage(node: str, jobs: Iterable[Job]) -> Usage:
    """What those of `jobs` that are at `node`, or are about to come there, hold of it."""
    placed, coming = [], []
    for job in jobs:
        if job.node == node:
            attempt = job.attempt
            placed.append((job.spec, attempt.devices if attempt is not None else ()))
        elif job.migration is not None and is_coming(job, node):
            coming.append(bound(job.spec, job.migration.variant))
    held = Usage.of(placed)
    for spec in coming:
        held = held.with_coming(spec)
    return held


def held(node: Node, jobs: Sequence[Job], *, without: Collection[str] = ()) -> Usage:
    """What is held of a node by its `jobs` but for those (or gangs) in `without`; devices, by others as well."""
    by_jobs = usage(node.id, [job for job in jobs if not (job.id in without or job.gang in without)])
    if not any(device.holders for device in node.devices):
        return by_jobs
    names = [job.name for job in jobs]
    taken = tuple(device.id for device in node.devices if any(one not in names for one in device.holders))
    return replace(by_jobs, devices=by_jobs.devices + taken)


def is_coming(job: Job, node: str) -> bool:
    """Whether a move under way will bring the job to the node."""
    move = job.migration
    return move is not None and move.target == node and job.node != node


def is_left_behind(job: Job, node: str) -> bool:
    """Whether the node still holds what the job left there: it is let go once the target runs."""
    move = job.migration
    return move is not None and move.state is MigrationState.STARTING and move.source == node


def nodes_of(job: Job) -> tuple[str, ...]:
    """The nodes that have something of it, or are about to: its own, its move's target, and what it left."""
    move = job.migration
    found = [job.node] if job.node else []
    if move is not None:
        checks = ((is_coming, move.target), (is_left_behind, move.source))
        found += [node for holds, node in checks if node not in found and holds(job, node)]
    return tuple(found)


def by_node(jobs: Mapping[str, Job]) -> dict[str, dict[str, None]]:
    """The ids of the jobs of each node, as `nodes_of` has them."""
    found: dict[str, dict[str, None]] = {}
    for job_id, job in jobs.items():
        # Most have their own alone.
        for node in nodes_of(job) if job.migrations else (job.node,):
            if node in found:
                found[node][job_id] = None
            elif node:
                found[node] = {job_id: None}
    return found


def wanted(node: Node, jobs: Sequence[Job], told: Wanted | None) -> Wanted:
    """What the node should run, and what it may soon need, after it was `told` that."""
    return placements(node, jobs, told[0] if told is not None else ()), prefetches(node, jobs)


def placements(node: Node, jobs: Iterable[Job], told: Iterable[Placement] = ()) -> tuple[Placement, ...]:
    """All attempts that the node should have. Those that are as it was `told` are not made again."""
    before = {(one.job, one.epoch): one for one in told}
    found = []
    for job in jobs:
        if job.node == node.id and job.state in GOALS:
            found.append(_placement(node, job, job.epoch, GOALS[job.state], before))
        move = job.migration
        if move is not None and is_left_behind(job, node.id):
            found.append(_placement(node, job, move.source_epoch, Goal.FREEZE, before))
    return tuple(found)


def _placement(node: Node, job: Job, epoch: int, goal: Goal, before: Mapping[tuple[str, int], Placement]) -> Placement:
    attempt = next(one for one in reversed(job.attempts) if one.epoch == epoch)
    if attempt.platform is None:
        raise ValueError(f"{job.name} epoch {epoch} was placed without a platform")
    restore = job.checkpoint.digest if job.checkpoint is not None and job.checkpoint.epoch < epoch else ""
    spec = settled(bound(job.spec, attempt.variant), _memory_bytes(node, attempt.devices))
    told = before.get((job.id, epoch))
    if told is not None:
        now = goal, restore, job.rendezvous, attempt.image, attempt.platform, attempt.devices, spec
        then = told.goal, told.restore, told.rendezvous, told.image, told.platform, told.devices, told.spec
        # The rest no job has otherwise later on.
        if now == then:
            return told
    return Placement(
        job=job.id,
        task=job.task,
        gang=job.gang,
        array=job.array,
        array_index=job.array_index,
        rendezvous=job.rendezvous,
        epoch=epoch,
        goal=goal,
        image=attempt.image,
        platform=attempt.platform,
        spec=spec,
        restore=restore,
        devices=attempt.devices,
    )


def _memory_bytes(node: Node, devices: tuple[str, ...]) -> int | None:
    return next((device.memory_bytes for device in node.devices if device.id in devices), None)


def prefetches(node: Node, jobs: Iterable[Job]) -> tuple[Prefetch, ...]:
    """What the node may soon need."""
    found = []
    for job in jobs:
        move = job.migration
        if move is not None and is_coming(job, node.id):
            checkpoint = job.checkpoint.digest if job.checkpoint is not None else ""
            standby = _standby(job, move, checkpoint)
            found.append(
                Prefetch(job=job.id, image=move.image, platform=move.platform, checkpoint=checkpoint, standby=standby)
            )
    return tuple(found)


def _standby(job: Job, move: Migration, checkpoint: str) -> Placement | None:
    """The attempt that the commit will make, as far as can be told; none where it needs devices, granted only then."""
    if job.spec.resources.accelerators is not None:
        return None
    return Placement(
        job=job.id,
        epoch=job.epoch + 1,
        image=move.image,
        platform=move.platform,
        spec=bound(job.spec, move.variant),
        restore=checkpoint,
    )
