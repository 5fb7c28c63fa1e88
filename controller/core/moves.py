"""Moves of running jobs: planned, begun, committed, ended. Before commit every failure leaves the job at its source."""

from collections.abc import Collection

from controller.core import arrays, gangs, limits, precedence
from controller.core.affordable import affordable, as_asked
from controller.core.book import Book
from controller.core.history import kept
from controller.core.model import MoveAnswer, MoveAsked, aborted, moved
from controller.core.placement.demand import demand_of
from controller.core.placement.fit import Place, Unfit, choose, fit, holds
from controller.core.seen import see_nodes
from headrace.attempts import Attempt, Phase
from headrace.changes import replace
from headrace.jobs import Job, JobState, Level, Migration, MigrationCause, MigrationPlan, MigrationState
from headrace.nodes import Drain, Node, NodeState
from headrace.refusals import Code, Refusal
from headrace.sessions import Prefetched, PrefetchState

ALONE = "there is no other node"


def no_such_job(job_id: str) -> Refusal:
    """There is no live job of that id."""
    return Refusal(Code.NOT_FOUND, "JOB_NOT_FOUND", f"there is no job {job_id}; `headrace jobs` lists them")


def asked(book: Book, event: MoveAsked) -> None:
    """Answers a user who wants a move, or wants to know what it would be."""
    try:
        job, place = _target(book, event)
        plan = planned(book, job, place)
        if not event.dry_run:
            job = begin(book, job, place)
        book.answer(event.token, MoveAnswer(plan, job))
    except Refusal as refusal:
        book.answer(event.token, refusal)


def _target(book: Book, event: MoveAsked) -> tuple[Job, Place]:
    job = book.jobs.get(event.id)
    if job is None:
        raise no_such_job(event.id)
    movable(book, job)
    if event.target:
        target = find_node(book, event.target)
        if target.id == job.node:
            raise Refusal(Code.FAILED_PRECONDITION, "ALREADY_THERE", f"{job.name} runs on {target.id} already")
        found = _offered(book, job, target)
        if isinstance(found, Unfit):
            message = f"{job.name} cannot move to {target.id}: the node {found.reason}"
            raise Refusal(Code.FAILED_PRECONDITION, "TARGET_UNFIT", message, node=target.id)
        return job, found
    place = elsewhere(book, job, event.where)
    if isinstance(place, str):
        raise Refusal(Code.FAILED_PRECONDITION, "NO_TARGET", f"{job.name} has nowhere to move: {place}")
    return job, place


def movable(book: Book, job: Job) -> None:
    """Raises a Refusal where the job cannot move just now."""
    refusal = gangs.unmovable(job) or arrays.unmovable(job)
    if refusal is not None:
        raise refusal
    if job.migration is not None:
        message = f"{job.name} is moving to {job.migration.target} already; wait until that has ended"
        raise Refusal(Code.ABORTED, "MOVE_UNDER_WAY", message)
    if job.state is not JobState.RUNNING:
        message = f"{job.name} is {job.state.name}; only a job that is RUNNING can move"
        raise Refusal(Code.FAILED_PRECONDITION, "JOB_NOT_RUNNING", message)
    if book.nodes[job.node].state is not NodeState.READY:
        message = f"{job.node}, where {job.name} runs, does not report; it cannot be asked to save"
        raise Refusal(Code.FAILED_PRECONDITION, "SOURCE_SILENT", message)


def elsewhere(book: Book, job: Job, where: str = "", *, without: Collection[str] = ()) -> Place | str:
    """The best place for a job but the one it has; where no `where` is given, `without` these nodes."""
    if all(name == job.node for name in book.nodes):
        return ALONE
    less = affordable(book, job)
    if not where:
        see_nodes(book)
        found = book.tables.choose(demand_of(less), less, now_wall_ms=book.wall_ms, but=job.node, without=without)
        return _within_quota(book, job, found) if isinstance(found, Place) else found
    others = [node for name, node in book.nodes.items() if name != job.node]
    matching = [node for node in others if holds(where, book.node_now(node), book.usage(node.id))]
    if not matching:
        return f"no other node matches: {where}"
    found = choose(less, matching, book.usage, now_wall_ms=book.wall_ms)
    return _within_quota(book, job, found) if isinstance(found, Place) else found


def _offered(book: Book, job: Job, node: Node) -> Place | Unfit:
    """What a node offers a job that comes there by a move: nothing by which its project had more than its quota."""
    found = fit(affordable(book, job), node, book.usage(node.id, without=job.id), now_wall_ms=book.wall_ms)
    if isinstance(found, Unfit):
        return found
    place = _within_quota(book, job, found)
    return place if isinstance(place, Place) else Unfit(node.id, f"is no place for it: {place}")


def _within_quota(book: Book, job: Job, found: Place) -> Place | str:
    """A place for the job as it is, which was found for it with those of its alternatives alone that it may have."""
    [place] = as_asked(book, job, [found])
    return precedence.over_quota_there(book, job, place).removeprefix("waits: ") or place


def find_node(book: Book, name: str) -> Node:
    """The node of that id, in full or shortened. Raises a Refusal where there is none, or more than one."""
    name = name.removeprefix("nodes/")
    if name in book.nodes:
        return book.nodes[name]
    matching = sorted(node for node in book.nodes if node.startswith(name))
    if len(matching) == 1 and name:
        return book.nodes[matching[0]]
    if not matching or not name:
        known = ", ".join(sorted(book.nodes)[:8]) or "none has reported yet"
        raise Refusal(Code.NOT_FOUND, "NODE_NOT_FOUND", f"there is no node {name!r}; there are: {known}")
    raise Refusal(Code.INVALID_ARGUMENT, "NAME_AMBIGUOUS", f"{name!r} may be: {', '.join(matching[:8])}")


def planned(book: Book, job: Job, place: Place) -> MigrationPlan:
    """What moving the job there would be."""
    downtime = book.foresight.downtime(job, level(job), target=place.node)
    plan = MigrationPlan(
        level=level(job),
        source=job.node,
        target=place.node,
        bytes=book.foresight.moved_bytes(job, level(job), place),
        downtime_millis=downtime[0] if downtime is not None else None,
        downtime_basis=downtime[1] if downtime is not None else "",
    )
    if plan.level is Level.CHECKPOINT:
        return plan
    attempt = job.attempt
    since = attempt.start_time_ms if attempt is not None else None
    lost_ms = max(0, book.wall_ms - since) if since is not None else 0
    return replace(
        plan,
        level_reason="the job file has no `checkpoint:`, so nothing of what the job has done can be taken along",
        loss=f"all work since its start, {lost_ms / 1000:.0f} s: it starts again from the beginning",
        lost_millis=lost_ms,
    )


def level(job: Job) -> Level:
    """The best level that the job's contract allows."""
    return Level.CHECKPOINT if job.spec.checkpoint is not None else Level.RESTART


def begin(
    book: Book,
    job: Job,
    place: Place,
    *,
    cause: MigrationCause = MigrationCause.NEEDED,
    expectation: str = "",
) -> Job:
    """Begins a move: the target brings image and checkpoint while the job runs on.

    Where nobody asked for it, `expectation` says what it brings and costs.
    """
    move = Migration(
        state=MigrationState.PREFETCHING,
        level=level(job),
        source=job.node,
        target=place.node,
        source_epoch=job.epoch,
        image=place.pin.image,
        platform=place.platform,
        variant=place.variant,
        request_time_ms=book.wall_ms,
        cause=cause,
        expectation=expectation,
    )
    migrations = kept((*job.migrations, move))
    omitted = job.omitted_migration_count + len(job.migrations) + 1 - len(migrations)
    job = replace(job, migrations=migrations, omitted_migration_count=omitted)
    book.put(job)
    why = f", for {expectation}" if expectation else ""
    book.note(job.name, "MOVE_BEGUN", f"from {move.source} to {move.target}, level {move.level.name}{why}")
    return job


def prefetched(book: Book, node: str, seen: Prefetched) -> None:
    """The target tells how far it is: freeze once all is there, stay if it cannot be had."""
    job = book.jobs.get(seen.job)
    move = job.migration if job is not None else None
    if job is None or move is None or move.target != node or move.state is not MigrationState.PREFETCHING:
        return
    if seen.image != move.image or seen.state is PrefetchState.FETCHING:
        return
    if seen.state is PrefetchState.FAILED:
        # A drain that tried the same target again at once would try for ever.
        give_up(book, book.excluding(job, node, seen.message), f"{node} could not bring what it needs: {seen.message}")
        return
    if job.state is not JobState.RUNNING:
        return
    found = _offered(book, job, book.nodes[node])
    if isinstance(found, Unfit):
        # Found out now, it costs the job nothing.
        give_up(book, job, f"the node {found.reason}")
        return
    freeze(book, job, tuple(Phase(f"prefetch-{phase.name}", phase.millis, phase.bytes) for phase in seen.phases))


def freeze(book: Book, job: Job, phases: tuple[Phase, ...]) -> None:
    """The source is asked to save and leave, whatever the target has brought by now."""
    move = job.migrations[-1]
    move = replace(move, state=MigrationState.FREEZING, phases=phases, freeze_time_ms=book.wall_ms)
    book.frozen_at_ms[job.id] = book.now_ms
    book.put(moved(job, JobState.FREEZING, migrations=(*job.migrations[:-1], move)))
    book.note(job.name, "MOVE_FREEZING", f"{move.source} is asked to save and leave")


def give_up(book: Book, job: Job, reason: str) -> None:
    """A move that ends before its source was asked to leave: it has cost the job nothing."""
    book.put(aborted(job, book.wall_ms, reason))
    book.note(job.name, "MOVE_ABORTED", reason)


def commit(book: Book, job: Job, attempt: Attempt) -> None:
    """The source has saved and left. The checkpoint and the next epoch are one record, and one transaction."""
    move = job.migration
    if move is None:
        book.put(book.leave(job, "left its node"))
        return
    target = book.nodes.get(move.target)
    found = _offered(book, job, target) if target is not None else Unfit(move.target, "is gone")
    phases = (*move.phases, *(phase for phase in attempt.phases if phase.name in _SOURCE_PHASES))
    if isinstance(found, Unfit):
        go_back(book, job, f"the node {found.reason}")
        return
    lost = "" if attempt.saved_on_request or move.level is Level.RESTART else _unsaved(attempt)
    move = replace(move, state=MigrationState.STARTING, target_epoch=job.epoch + 1, phases=phases, reason=lost)
    job = replace(job, migrations=(*job.migrations[:-1], move))
    # It may have to go back.
    book.put(book.begin(_with_mark_of(job, book.leave(job, "")), found))
    book.note(job.name, "MOVE_COMMITTED", f"epoch {move.target_epoch} is {move.target}'s")


_SOURCE_PHASES = ("stop", "save")


def _unsaved(attempt: Attempt) -> str:
    why = attempt.message or ("it was ended when its grace was over" if attempt.killed else "it left without saving")
    return f"the job did not save on request ({why}); it went on from its last checkpoint"


def go_back(book: Book, job: Job, reason: str) -> None:
    """A move that failed after its source had left: the job starts again there, or where there is room."""
    move, before = job.migration, job
    job = book.leave(aborted(job, book.wall_ms, reason), "")
    book.note(job.name, "MOVE_ABORTED", reason)
    source = book.nodes.get(move.source) if move is not None else None
    if source is not None and not has_to_be_gone(book, source) and not limits.is_to_make_way(before, book.wall_ms):
        # It is the job's own place: one that takes no other jobs, because it is being drained, takes this one back.
        source = replace(source, drain=Drain.NONE)
        found = _offered(book, job, source)
        if isinstance(found, Place):
            book.put(book.begin(_with_mark_of(before, job), found))
            return
    book.put(job)


def _with_mark_of(before: Job, job: Job) -> Job:
    return replace(job, ahead_of=before.ahead_of, leave_by_time_ms=before.leave_by_time_ms)


def has_to_be_gone(book: Book, node: Node) -> bool:
    """Whether the node is being drained, and the time is over in which jobs may be moved away from it."""
    return node.drain_deadline_time_ms is not None and node.drain_deadline_time_ms <= book.wall_ms


def arrived(book: Book, job: Job, attempt: Attempt) -> Job:
    """The job with its move ended, once the target runs it."""
    move = job.migration
    if move is None or move.target_epoch != attempt.epoch:
        return job
    since_ms = book.frozen_at_ms.pop(job.id, None)
    if since_ms is not None:
        downtime_ms = book.now_ms - since_ms
    else:
        downtime_ms = max(0, book.wall_ms - (move.freeze_time_ms or book.wall_ms))
    move = replace(
        move,
        state=MigrationState.SUCCEEDED,
        phases=move.phases + attempt.phases,
        downtime_millis=downtime_ms,
        end_time_ms=book.wall_ms,
    )
    book.foresight.moved(job, move)
    book.note(job.name, "MOVE_SUCCEEDED", f"runs on {move.target}; it stood still for {downtime_ms} ms")
    return replace(job, migrations=(*job.migrations[:-1], move), ahead_of=(), leave_by_time_ms=None)


def undone(book: Book, job: Job, attempt: Attempt) -> Job:
    """The job whose target seemed to run it, until its init said that it could not: that was no arrival."""
    move = job.migrations[-1] if job.migrations else None
    if move is None or move.state is not MigrationState.SUCCEEDED or move.target_epoch != attempt.epoch:
        return job
    book.note(job.name, "MOVE_ABORTED", attempt.message)
    move = replace(move, state=MigrationState.ABORTED, reason=attempt.message, downtime_millis=0)
    book.foresight.moved(job, move)
    return replace(job, migrations=(*job.migrations[:-1], move))
