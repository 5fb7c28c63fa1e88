"""The controller's judgement: events in, effects out."""

from collections.abc import Collection, Mapping, Sequence
from typing import assert_never

from controller.core import arrays, dependencies, drains, forgetting, gangs, moves, placing, preempting, reports, ticks
from controller.core.book import Book
from controller.core.dependencies import NO_NAMES
from controller.core.model import (
    CancelAsked,
    DrainAsked,
    Effect,
    Event,
    ForgetAsked,
    MoveAsked,
    Reported,
    SessionOver,
    Submitted,
    SubmittedTogether,
    Ticked,
    aborted,
    made_before,
    moved,
)
from controller.core.placement import admission
from headrace.jobs import Dependency, Job, JobSpec, JobState
from headrace.refusals import Code, Refusal
from headrace.sessions import FAR_APART


class Cluster:
    """Decides on a book. One event at a time; nothing else changes the book."""

    def __init__(self, book: Book) -> None:
        self.book = book

    def handle(self, event: Event) -> list[Effect]:
        """The effects of an event, saves first."""
        match event:
            case Ticked(now_ms, wall_ms, between=True) if not ticks.is_due(self.book, now_ms):
                self.book.now_ms, self.book.wall_ms = now_ms, wall_ms
                return []
            case Ticked(now_ms, wall_ms):
                ticks.ticked(self.book, now_ms=now_ms, wall_ms=wall_ms)
            case Reported(report):
                reports.reported(self.book, report)
                if not self.book.has_changed:
                    # Hundreds of such reports come each second. What follows from other events has followed.
                    return self.book.settled()
            case SessionOver(node, session):
                reports.left(self.book, node, session)
            case Submitted():
                _submitted(self.book, event)
            case SubmittedTogether():
                _submitted_together(self.book, event)
            case CancelAsked(token, job_id):
                _cancelled(self.book, token, job_id)
            case MoveAsked():
                moves.asked(self.book, event)
            case DrainAsked():
                drains.asked(self.book, event)
            case ForgetAsked():
                forgetting.asked(self.book, event)
            case other:
                assert_never(other)
        _settle(self.book)
        placing.settled(self.book)
        preempting.settled(self.book)
        # A gang that has to leave does so with all its tasks, in the same transaction.
        _settle(self.book)
        return self.book.settled()


def is_taken(book: Book, node: str, session: int, *, begun: int = 0) -> bool:
    """Whether another agent has the node than the one that begins this session, and may still count on its lease.

    That its stream is over says nothing: it may go on for as long as its lease lasts, and be back before that. `begun`
    is its newest session whose stream is open, if any.
    """
    known = book.nodes.get(node)
    newest = max(begun, known.session if known is not None else 0)
    if not newest or session - newest < FAR_APART:
        return False
    heard_ms = book.heard_ms.get(node)
    # A controller that has just started gives each node a whole lease; and of one that is new a report is on its way.
    return heard_ms is None or book.now_ms - heard_ms <= book.leases.longest.node_ms


def _settle(book: Book) -> None:
    """Brings up to date what follows from jobs that have changed: an end may be another one's, and another one's."""
    gangs.settled(book)
    relations = book.relations
    while relations.arrays_changed or relations.news:
        arrays.settled(book)
        dependencies.settled(book)


def _submitted(book: Book, event: Submitted) -> None:
    found = _checked(book, event)
    book.answer(event.token, _taken_on(book, [(event, found)])[0] if isinstance(found, tuple) else found)


def _submitted_together(book: Book, event: SubmittedTogether) -> None:
    new = {one.id: one for one in event.jobs if made_before(one.request_id, _known(book, one)) is None}
    if circle := dependencies.circle(new):
        number = next(number for number, one in enumerate(event.jobs) if one.id == circle[0])
        book.answer(event.token, dependencies.in_a_circle([new[one] for one in circle]).within(f"requests[{number}]"))
        return
    taken: list[tuple[Submitted, tuple[Dependency, ...] | Job]] = []
    for number, one in enumerate(event.jobs):
        found = _checked(book, one, new)
        if isinstance(found, Refusal):
            book.answer(event.token, found.within(f"requests[{number}]"))
            return
        taken.append((one, found))
    book.answer(event.token, _taken_on(book, taken))


def _taken_on(book: Book, taken: Sequence[tuple[Submitted, tuple[Dependency, ...] | Job]]) -> tuple[Job, ...]:
    """The jobs, those that are new at their places if they have any; of the others those that were made before."""
    # What is only looked at has no id by which others could be told of it, and no name.
    called = {one.id: one.spec.display_name for one, _ in taken if one.dry_run}
    jobs = [_made(book, one, found, called) if isinstance(found, tuple) else found for one, found in taken]
    new = [job for job, (_, found) in zip(jobs, taken, strict=True) if isinstance(found, tuple)]
    placing.came(book, [job for job in new if job.name])
    return tuple([book.jobs.get(job.id, job) for job in jobs])


def _known(book: Book, event: Submitted) -> Job | None:
    """The job that the request made before, else one that has its id."""
    return book.requested(event.request_id, event.id) or event.earlier


def _checked(book: Book, event: Submitted, new: Collection[str] = ()) -> tuple[Dependency, ...] | Job | Refusal:
    """What the job has to wait for; or the one that the request made before; or why there can be none.

    `new` are those that are made with it.
    """
    known = _known(book, event)
    if known is not None:
        return made_before(event.request_id, known) or _id_taken(known)
    waits_for = dependencies.unmet(book, event, new)
    if isinstance(waits_for, Refusal):
        return waits_for
    refusal = book.projects.unknown(event.spec.project) or _apart_from_an_id(book, event.spec)
    return refusal or admission.unrunnable(event.spec, event.images, book.nodes.values()) or waits_for


def _made(book: Book, event: Submitted, waits_for: tuple[Dependency, ...], called: Mapping[str, str] = NO_NAMES) -> Job:
    if event.dry_run:
        awaited = dependencies.reason(waits_for, called)
        return Job(name="", spec=event.spec, images=event.images, waits_for=waits_for, reason=awaited)
    job = Job(
        name=f"jobs/{event.id}",
        spec=event.spec,
        epoch=1,
        images=event.images,
        request_id=event.request_id,
        create_time_ms=book.wall_ms,
        queue_time_ms=book.wall_ms,
        waits_for=waits_for,
        reason=dependencies.reason(waits_for),
    )
    book.note(job.name, "JOB_SUBMITTED", f"image {event.spec.image}")
    book.put(job)
    if job.is_gang:
        gangs.submitted(book, job)
    elif job.is_array:
        arrays.submitted(book, job)
    return job


def _apart_from_an_id(book: Book, spec: JobSpec) -> Refusal | None:
    """Names may look like ids, so only one that is the id of a job that is there is known to be meant as one."""
    for one in spec.neighbours.apart_from if spec.neighbours is not None else ():
        job = book.jobs.get(one) or arrays.found_folded(book, one)
        if job is not None:
            name = (
                f"its name, {job.spec.display_name}" if job.spec.project == spec.project else "names of its own project"
            )
            message = f"apart_from: {one} is the id of a job; this one would keep apart from nobody; write {name}"
            return Refusal(Code.INVALID_ARGUMENT, "NEIGHBOUR_IS_ID", message, field="apart_from")
    return None


def _id_taken(job: Job) -> Refusal:
    # Ids are short, for people to type. Answering with another request's job would lose this one without a word.
    message = f"the id of this job would be that of {job.name}, which another request made; submit it again"
    return Refusal(Code.ABORTED, "JOB_ID_TAKEN", message)


def _cancelled(book: Book, token: int, job_id: str) -> None:
    job = book.jobs.get(job_id)
    if job is None:
        book.answer(token, arrays.cancel_folded(book, job_id) or moves.no_such_job(job_id))
        return
    if job.is_array:
        book.answer(token, arrays.cancel(book, job, "a user cancelled it"))
        return
    job = book.jobs[job.gang] if job.gang else job
    if job.state is JobState.QUEUED:
        end = gangs.end if job.is_gang else Book.end
        had_run = job.start_time_ms is not None
        reason = "cancelled while it waited to go on" if had_run else "cancelled before it had started"
        book.answer(token, end(book, job, JobState.CANCELLED, reason))
        return
    if job.state is not JobState.CANCELLING:
        job = aborted(job, book.wall_ms, "the job was cancelled")
        book.put(moved(job, JobState.CANCELLING, reason="a user cancelled it"))
        book.note(job.name, "JOB_CANCELLING", "a user cancelled it")
    book.answer(token, book.jobs[job.id])
