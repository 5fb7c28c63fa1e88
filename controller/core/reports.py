"""What a node's report changes."""

from dataclasses import fields
from functools import partial
from operator import attrgetter

from controller.core import exclusions, gangs, ledger, moves, progress
from controller.core.book import Book
from controller.core.gangs import TIMED_OUT
from controller.core.model import aborted, moved
from controller.core.outcome import Verdict, at_the_end, is_retried, outcome, with_failure
from headrace.attempts import Attempt, AttemptState, Checkpoint
from headrace.changes import made, replace
from headrace.jobs import Job, JobState, MigrationState, RetryCause
from headrace.nodes import READ_ANEW, Device, Engine, Node, NodeState, Reading, still
from headrace.refusals import Code, Refusal
from headrace.sessions import Report

ALIVE = (AttemptState.RUNNING, AttemptState.PAUSED, AttemptState.STOPPING, AttemptState.SAVING)

# Refusals that say something of the job, not of the node: another node would say the same.
_OF_THE_JOB = ("COMMAND_NOT_FOUND",)

# What the node's init says when it could not run the image's program: such an exit is a refusal that came late.
_NEVER_RAN = ("IMAGE_NOT_RUNNABLE", "COMMAND_NOT_FOUND", "START_FAILED")

# Refusals that say something of the checkpoint. One node's word may come of its own memory or disk; the next one's
# is believed.
_OF_THE_CHECKPOINT = ("MANIFEST_MISSING", "MANIFEST_CORRUPT", "MANIFEST_INVALID", "CHUNKS_MISSING", "CHUNK_CORRUPT")

# Refusals that say nothing of the node: under another epoch it may well start there.
_OF_THE_EPOCH = ("LEFT_BEFORE_START", "EPOCH_TAKEN", "NETWORK_LOST")

# A device's fields before those that a brief report reads anew, these, and those after them. Many reports come each
# second, and `replace` would take half as long again.
_DEVICE = [one.name for one in fields(Device)]
_FIRST = _DEVICE.index(READ_ANEW[0])
_before, _after = attrgetter(*_DEVICE[:_FIRST]), attrgetter(*_DEVICE[_FIRST + len(READ_ANEW) :])
_read_anew = attrgetter(*READ_ANEW)
# What a brief report may change of devices that matters to more than who looks at readings.
_how = attrgetter("id", "health", "health_reason", "holders")

_UNKNOWN_DEVICES = "the report counts on devices that were not told in this session: begin another, and tell all"


def reported(book: Book, report: Report) -> None:
    """Takes a report, unless a newer one was seen (rules 4 and 5)."""
    newest = book.newest.get(report.node, (0, 0))
    if report.session < newest[0]:
        book.reject(report.node, report.session, _superseded(book, report.node, newest[0]))
        return
    if (report.session, report.sequence) <= newest:
        return
    devices = _devices(book, report)
    if devices is None:
        book.reject(report.node, report.session, Refusal(Code.ABORTED, "DEVICES_UNKNOWN", _UNKNOWN_DEVICES))
        return
    if report.brief:
        report = replace(report, devices=devices)
    book.newest[report.node] = (report.session, report.sequence)
    book.node_heard(report.node)
    _node_seen(book, report)
    book.occupied[report.node] = bool(report.attempts)
    for seen in report.attempts:
        attempt_seen(book, report.node, seen)
    for fetched in report.prefetched:
        moves.prefetched(book, report.node, fetched)
    book.acknowledge(report.node)


def left(book: Book, node: str, session: int) -> None:
    """A node's stream is over, unless that was an older one's."""
    if node in book.nodes and book.nodes[node].session == session:
        book.left_ms.setdefault(node, book.now_ms)


def _devices(book: Book, report: Report) -> tuple[Device, ...] | None:
    """All of its devices, whole; `None` where it counts on what was not heard in this session."""
    if not report.brief:
        return report.devices
    node = book.nodes.get(report.node)
    known = {one.id: one for one in node.devices} if node is not None and node.session == report.session else {}
    try:
        return tuple([_reread(known[one.id], one) for one in report.devices])
    except KeyError:
        return None


def _reread(known: Device, read: Device | Reading) -> Device:
    return made(Device, (*_before(known), *_read_anew(read), *_after(known)))


def _superseded(book: Book, node: str, newest: int) -> Refusal:
    message = (
        f"node {node} has a newer session than this one; do two agents have the same `node`? "
        "Give each its own, and its own state folder"
    )
    # Whoever had that session is heard no more, or never was this node: the agent that is there may go on above it.
    # While it is heard, two agents must not put each other out of their jobs.
    silent_ms = book.now_ms - book.heard_ms.get(node, book.now_ms)
    known = {"session": str(newest)} if silent_ms > book.leases.longest.node_ms else {}
    return Refusal(Code.ABORTED, "SESSION_SUPERSEDED", message, **known)


def _node_seen(book: Book, report: Report) -> None:
    before = book.nodes.get(report.node)
    unknown = Engine(message="not asked yet")
    node = before or Node(name=f"nodes/{report.node}", create_time_ms=book.wall_ms, engine=unknown)
    if report.session != node.session:
        # What the node was told in an older session it may not have kept.
        book.told_nothing(node.id)
    node = replace(
        node,
        state=NodeState.READY,
        description=report.description or node.description,
        devices=report.devices,
        load=report.load,
        # An agent that was started anew has not lost its engine by that, nor a move there its target.
        engine=report.engine or node.engine,
        session=report.session,
        report_time_ms=book.wall_ms,
    )
    node = ledger.compared(book, node)
    if before is None or _lasting(node) != _lasting(before):
        book.put_node(node)
        book.node_changed()
        if before is None or before.state is not NodeState.READY:
            book.note(node.name, "NODE_READY", "reports")
    else:
        # Where the report is brief, all else of its devices was taken from those before.
        told = partial(map, _how) if report.brief else still
        is_another = [*told(node.devices)] != [*told(before.devices)]
        if is_another and _usable(node) != _usable(before):
            book.node_changed()
        book.put_readings(node, is_another=is_another or node.engine != before.engine)
        if is_another:
            book.changed(node.id)


def _usable(node: Node) -> tuple[object, ...]:
    """What of its devices decides whether a job has a place there: a part of what is shown."""
    devices = (
        (
            *(one.id, one.kind, one.vendor, one.model, one.memory_bytes),
            *(one.health, one.holders, one.figures, one.shareable),
        )
        for one in node.devices
    )
    return tuple(devices)


def _lasting(node: Node) -> tuple[object, ...]:
    return node.state, node.description, node.session, node.engine.reachable, node.drifts, node.drift_count


def attempt_seen(book: Book, node: str, seen: Attempt) -> None:
    """What a node says of an attempt: heard only from the node whose job it is, in the job's present epoch."""
    job = book.jobs.get(seen.job)
    if job is None or job.node != node or job.epoch != seen.epoch:
        return
    known = job.attempt
    if known is None or book.heard.get(job.id) is seen or gangs.is_done(job):
        return
    if job.gang and _has_failed(job, seen) and gangs.is_judged_later(book, job, seen):
        return
    book.heard[job.id] = seen
    attempt = _merged(book, known, seen)
    if attempt == known:
        return
    job = replace(job, attempts=(*job.attempts[:-1], attempt))
    if attempt.steps is not None:
        book.learned.paced(job, least_ms=book.policy.improving.pace_ms)
    if attempt.checkpoint is not None and _is_newer(attempt.checkpoint, job.checkpoint):
        job = replace(job, checkpoint=attempt.checkpoint)
    if attempt.state in ALIVE or (attempt.state is AttemptState.EXITED and attempt.reason not in _NEVER_RAN):
        job = _runs(book, job, attempt)
    book.put(job)
    if attempt.state is AttemptState.EXITED:
        _exited(book, job, attempt)
    elif attempt.state is AttemptState.REFUSED:
        _refused(book, job, attempt)


def judged(book: Book) -> None:
    """Judges failures of tasks for which it was too early as they were heard of."""
    are_due: dict[str, bool] = {}
    for task_id, one in list(book.watchlist.unjudged.items()):
        task = book.jobs.get(task_id)
        if task is None or task.epoch != one.seen.epoch:
            del book.watchlist.unjudged[task_id]
            continue
        if task.gang not in are_due:
            are_due[task.gang] = gangs.has_silent(book, task.gang)
        if are_due[task.gang] or not gangs.is_awaited(book, one):
            attempt_seen(book, task.node, one.seen)
            # All of the gang may be another one by that.
            are_due.pop(task.gang)


def _has_failed(job: Job, seen: Attempt) -> bool:
    """Whether it has ended as one does whose fellow is gone; that it could not be begun has other reasons."""
    if seen.state is not AttemptState.EXITED or seen.reason in _NEVER_RAN:
        return False
    found = outcome(seen, job.spec)
    return found.verdict is Verdict.FAILED and found.cause is not RetryCause.NODE_LOST


def _is_newer(seen: Checkpoint, known: Checkpoint | None) -> bool:
    return known is None or (seen.epoch, seen.sequence) > (known.epoch, known.sequence)


def _merged(book: Book, known: Attempt, seen: Attempt) -> Attempt:
    started = known.start_time_ms
    if started is None and seen.state in (*ALIVE, AttemptState.EXITED):
        started = book.wall_ms
    ended = known.end_time_ms
    if ended is None and seen.ended:
        ended = book.wall_ms
    return replace(
        seen,
        node=known.node,
        image=known.image,
        platform=known.platform,
        devices=known.devices,
        variant=known.variant,
        start_time_ms=started,
        end_time_ms=ended,
    )


def _runs(book: Book, job: Job, attempt: Attempt) -> Job:
    if job.state is JobState.STARTING:
        job = moved(job, JobState.RUNNING)
        book.foresight.paths.ran(job, attempt)
        book.note(job.name, "JOB_RUNNING", f"epoch {job.epoch} runs on {job.node}")
    job = moves.arrived(book, job, attempt)
    return replace(job, start_time_ms=job.start_time_ms or book.wall_ms)


def _exited(book: Book, job: Job, attempt: Attempt) -> None:
    job = replace(job, exit_code=attempt.exit_code)
    if attempt.reason == "CONTAINER_MISSING" and attempt.devices:
        ledger.lost(book, job.node, job.name, attempt.devices)
    if job.state is JobState.CANCELLING:
        cancelled(book, job, job.reason)
        return
    if attempt.reason in _NEVER_RAN and (attempt.reason == "IMAGE_NOT_RUNNABLE" or _ran_before(job)):
        _refused(book, job, attempt)
        return
    found = outcome(attempt, job.spec)
    if found.verdict is not Verdict.DONE and progress.was_stalled(job):
        failed(book, job, RetryCause.NO_PROGRESS, job.reason)
        return
    match found.verdict:
        case Verdict.DONE if job.gang:
            book.put(replace(job, outputs=attempt.outputs))
        case Verdict.DONE:
            book.end(replace(job, outputs=attempt.outputs), JobState.SUCCEEDED)
        case Verdict.RESUME if job.state is JobState.FREEZING:
            moves.commit(book, job, attempt)
        case Verdict.RESUME:
            _left_unasked(book, job)
        case Verdict.FAILED:
            failed(book, job, found.cause, found.message)


def _left_unasked(book: Book, job: Job) -> None:
    if job.gang:
        book.put(at_the_end(book.jobs[job.gang], wall_ms=book.wall_ms))
    job = at_the_end(aborted(job, book.wall_ms, "the job left before it was asked"), wall_ms=book.wall_ms)
    book.put(book.leave(job, "goes on elsewhere"))


def cancelled(book: Book, job: Job, reason: str) -> None:
    """A job that was to end has ended: because a user, or its own limit, said so."""
    book.end(job, JobState.FAILED if job.reason.startswith(TIMED_OUT) else JobState.CANCELLED, reason)


def failed(book: Book, job: Job, cause: RetryCause, message: str) -> None:
    """An attempt failed: another one follows if the retry rules say so."""
    book.note(job.name, "ATTEMPT_FAILED", f"epoch {job.epoch} on {job.node}: {message}")
    if job.gang:
        gangs.failed(book, job, cause, message)
        return
    if not is_retried(job, cause, wall_ms=book.wall_ms):
        book.end(job, JobState.FAILED, message)
        return
    if cause is not RetryCause.NODE_LOST:
        # A lost node says nothing of the job; it does not use up the job's retries.
        job = with_failure(job, wall_ms=book.wall_ms)
    job = aborted(job, book.wall_ms, f"the job failed: {message}")
    job = book.excluding(job, job.node, message, exclusions.blamed(job, book.nodes.get(job.node), cause))
    book.put(book.leave(job, f"failed, tries again: {message}"))


def _refused(book: Book, job: Job, attempt: Attempt) -> None:
    book.note(job.name, "ATTEMPT_REFUSED", f"epoch {job.epoch} on {job.node}: {attempt.message}")
    if job.state is JobState.CANCELLING:
        cancelled(book, job, job.reason)
        return
    if attempt.reason in _OF_THE_JOB and not _ran_before(job):
        _failed_for_good(book, job, attempt.message)
        return
    if _checkpoint_is_lost(job):
        # To begin anew without a word would lose what it has done: whoever submitted it decides that.
        message = f"its checkpoint cannot be laid down anywhere ({attempt.message}); submit it again to begin anew"
        _failed_for_good(book, job, message)
        return
    if attempt.reason == "IMAGE_NOT_RUNNABLE" and not _ran_before(job, attempt.image):
        # The manifest lies: this image is not for the platform it says it is for, on whatever node.
        job = replace(job, images=tuple(pin for pin in job.images if pin.image != attempt.image))
        if not job.images:
            _failed_for_good(book, job, attempt.message)
            return
    node = job.node
    job = moves.undone(book, job, attempt)
    if attempt.reason not in _OF_THE_EPOCH:
        job = book.excluding(job, node, attempt.message)
    move = job.migration
    if move is not None and move.state is MigrationState.STARTING:
        moves.go_back(book, job, f"{node} could not start it: {attempt.message}")
        return
    if job.state is JobState.FREEZING:
        # It was asked to leave before it had started: it may as well start at the target.
        moves.commit(book, job, attempt)
        return
    book.put(book.leave(aborted(job, book.wall_ms, attempt.message), f"{node} could not start it: {attempt.message}"))


def _failed_for_good(book: Book, job: Job, message: str) -> None:
    if job.gang:
        gangs.fail(book, job, message)
    else:
        book.end(job, JobState.FAILED, message)


def _checkpoint_is_lost(job: Job) -> bool:
    """Whether two attempts in a row found that the checkpoint is no good."""
    return all(one.reason in _OF_THE_CHECKPOINT for one in job.attempts[-2:])


def _ran_before(job: Job, image: str = "") -> bool:
    """Whether an earlier attempt of it ran, with this image if one is named: then it is not the job's own fault."""
    earlier = (one for one in job.attempts if one.epoch < job.epoch and one.start_time_ms is not None)
    return any(one.reason not in _NEVER_RAN and image in ("", one.image) for one in earlier)
