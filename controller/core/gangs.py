"""Gangs: jobs of several tasks that run all at once or not at all.

Each task is a job in its record, and keeps the rules of one: agents know no other. The gang is a record beside them
that runs nothing. What it is follows from its tasks (`settled`), at the end of each event that has changed one of them.
"""

from controller.core import keeping
from controller.core.book import Book
from controller.core.exclusions import blamed as blamed_devices
from controller.core.model import moved
from controller.core.outcome import is_retried, with_failure
from controller.core.placement.demand import demand_of
from controller.core.placement.fit import Place
from controller.core.placement.tasks import choose_all
from controller.core.placement.trial import Trial
from controller.core.seen import see_nodes
from controller.core.watchlist import Unjudged
from headrace.attempts import Attempt, AttemptState
from headrace.changes import replace
from headrace.ids import task_id
from headrace.jobs import Job, JobState, RetryCause
from headrace.refusals import Code, Refusal

TIMED_OUT = "timeouts."
# How the reason of a gang begins that ends because a task of it has failed.
_FAILED_BY = "task "

_PLACED = (JobState.STARTING, JobState.RUNNING)


def submitted(book: Book, gang: Job) -> None:
    """A gang was taken on: here are its tasks."""
    for task in range(gang.spec.task_count):
        name = f"jobs/{task_id(gang.id, task)}"
        book.put(replace(gang, name=name, gang=gang.id, task=task, request_id="", waits_for=(), reason=""))


def is_done(job: Job) -> bool:
    """Whether it is a task that has done its work, and keeps its place until the others have too."""
    attempt = job.attempt
    return bool(job.gang) and not job.ended and attempt is not None and attempt.state is AttemptState.EXITED


def is_judged_later(book: Book, task: Job, seen: Attempt) -> bool:
    """Whether a task's failure is not to be judged yet, as a fellow's node may have been lost, which is found out soon.

    A node without power is lost only after a while, but who computes with it may fail at once. So each fellow's node
    has to report after the failure was heard of, or to be lost. Until then nothing of the failure is taken over: its
    node tells it again, also to a controller that was started anew meanwhile.
    """
    gang, unjudged = book.jobs[task.gang], book.watchlist.unjudged
    nodes = dict.fromkeys(one.node for one in book.tasks(gang) if one.node and one.node != task.node)
    if gang.state in _PLACED and _silent(book, gang) is None:
        known = unjudged.get(task.id)
        if known is None or known.seen.epoch != seen.epoch:
            known = Unjudged(seen, {node: book.newest.get(node, (0, 0)) for node in nodes})
        if is_awaited(book, known):
            unjudged[task.id] = known
            return True
    unjudged.pop(task.id, None)
    return False


def failed(book: Book, task: Job, cause: RetryCause, message: str) -> None:
    """An attempt of a task failed: that is the gang's failure, once, whatever its other tasks come to by that."""
    gang = book.jobs[task.gang]
    if gang.state is JobState.FREEZING:
        book.put(book.leave(task, message))
        return
    silent, node, why = _silent(book, gang), task.node, message
    if silent is not None:
        # A task that leaves because another one's node is lost does not use up the gang's retries.
        cause, node, why = RetryCause.NODE_LOST, silent, f"did not report when task {task.task} failed"
    if gang.state is JobState.CANCELLING or not is_retried(gang, cause, wall_ms=book.wall_ms):
        fail(book, task, message)
        return
    if cause is not RetryCause.NODE_LOST:
        gang = with_failure(gang, wall_ms=book.wall_ms)
    gang = book.excluding(gang, node, why, blamed_devices(task, book.nodes.get(node), cause))
    regroup(book, gang, f"task {task.task} failed, and all begin again: {message}")
    book.put(book.leave(task, f"failed, tries again: {message}"))


def is_awaited(book: Book, one: Unjudged) -> bool:
    """Whether a fellow's node has not reported since the failure was heard of. Those that have are forgotten."""
    while one.newest:
        node, newest = next(iter(one.newest.items()))
        if book.newest.get(node, (0, 0)) <= newest:
            return True
        del one.newest[node]
    return False


def has_silent(book: Book, gang: str) -> bool:
    """Whether the gang's failures are to be judged now, as a node of it is lost, or it has no places any more."""
    found = book.jobs.get(gang)
    return found is None or found.state not in _PLACED or _silent(book, found) is not None


def _silent(book: Book, gang: Job) -> str | None:
    """A node of a gang that has been silent for so long that it is lost, and not only doubted."""
    nodes = dict.fromkeys(one.node for one in book.tasks(gang) if one.node)
    lost_ms = book.leases.longest.node_ms
    return next((one for one in nodes if book.now_ms - book.heard_ms.get(one, book.now_ms) > lost_ms), None)


def fail(book: Book, task: Job, message: str) -> None:
    """A task has failed for good, and with it the gang."""
    gang = book.jobs[task.gang]
    if gang.state is not JobState.CANCELLING:
        book.put(moved(gang, JobState.CANCELLING, reason=f"{_FAILED_BY}{task.task}: {message}"))
    book.end(task, JobState.FAILED, message)


def end(book: Book, gang: Job, state: JobState, reason: str) -> Job:
    """A gang that waits has ended."""
    for task in book.tasks(gang):
        book.end(task, state, reason)
    return book.end(gang, state, reason)


def ticked(book: Book, gang: Job) -> None:
    """A gang of which not all tasks run in time gives back what it has, and waits anew."""
    if gang.state is not JobState.STARTING:
        book.starting_since_ms.pop(gang.id, None)
        return
    limit_ms = gang.spec.timeouts.start_ms
    if limit_ms is None or book.now_ms - book.starting_since_ms.setdefault(gang.id, book.now_ms) <= limit_ms:
        return
    late = [task for task in book.tasks(gang) if task.state is JobState.STARTING]
    for task in late:
        gang = book.excluding(gang, task.node, "did not start it in time")
    numbers = ", ".join(str(task.task) for task in late)
    regroup(book, gang, f"{TIMED_OUT}start: task {numbers} did not run in time; all give back what they have")


def unmovable(job: Job) -> Refusal | None:
    """Why a user cannot move this one, where it is a gang or a task of one."""
    if not job.gang and not job.is_gang:
        return None
    name = f"jobs/{job.gang}" if job.gang else job.name
    ways = "drain the node that it should leave (it saves and goes on elsewhere, as a whole), or "
    if job.spec.checkpoint is None:
        # Without a deadline no drain moves it.
        ways = "it has no `checkpoint:`: "
    message = (
        f"{name} is a gang of {job.spec.task_count} tasks, which are not moved one by one; "
        f"{ways}cancel it and submit it again"
    )
    return Refusal(Code.FAILED_PRECONDITION, "GANG_NOT_MOVABLE", message)


class Rooms:
    """Which places jobs would have that leave a node one after the other, each beside what was found for the others.

    `trial` has that held which those would have who were looked at, and not what their gangs have now.
    """

    def __init__(self, book: Book, trial: Trial, node: str) -> None:
        self._book, self._trial, self._node = book, trial, node
        self._placed: list[tuple[Job, Place]] = []
        # Gangs that would leave; and those that cannot, with what they wait for.
        self._leaving: list[str] = []
        self._staying: dict[str, str] = {}

    def takes(self, job: Job, place: Place) -> None:
        """The job would go there."""
        self._trial.place(job, place)
        self._placed.append((job, place))

    def waits(self, gang: Job) -> str:
        """Why a gang would not find places for all its tasks if it left, but on the node; empty: it would, and goes."""
        if gang.id in self._leaving or gang.id in self._staying:
            return self._staying.get(gang.id, "")
        tasks = keeping.alike(self._book, gang)
        with Trial(self._book.snapshot) as trial:
            self._leave(gang, trial)
            found = _places(self._book, gang, self._node)
        if isinstance(found, str):
            self._staying[gang.id] = found.removeprefix("waits ")
            return self._staying[gang.id]
        self._leave(gang, self._trial)
        self._leaving.append(gang.id)
        for task, place in zip(tasks, found, strict=True):
            self.takes(task, place)
        return ""

    def _leave(self, gang: Job, trial: Trial) -> None:
        """Of the nodes that the gang has, all is held but what it has, and what others do that have left before it."""
        nodes = dict.fromkeys(task.node for task in self._book.tasks(gang) if task.node)
        for node in nodes:
            trial.hold(node, self._book.usage_once_gone(node, (gang.id, *self._leaving), waiting=gang.id))
        for job, place in self._placed:
            if place.node in nodes:
                trial.place(job, place)


def _places(book: Book, gang: Job, away: str) -> tuple[Place, ...] | str:
    one, count = keeping.one_of(book, gang), gang.spec.task_count
    without = (away,) if away in book.snapshot.slots else ()
    return choose_all(book.tables, demand_of(gang), one, count, now_wall_ms=book.wall_ms, without=without)


def room_elsewhere(book: Book, gang: Job, node: str) -> str:
    """Why the gang would not find places for all if it left and kept away from `node`; empty: it would."""
    see_nodes(book)
    with Trial(book.snapshot) as trial:
        return Rooms(book, trial, node).waits(gang)


def leaves(book: Book, task: Job, why: str, *, node: str = "") -> str:
    """Has a gang that runs save and leave, where it will find other places (but on `node`); else what keeps it."""
    gang = book.jobs[task.gang]
    if gang.state is not JobState.RUNNING:
        return f"{gang.name} is {gang.state.name}"
    kept = room_elsewhere(book, gang, node)
    if kept:
        return f"{gang.name} has nowhere to go; it would wait {kept}"
    regroup(book, gang, f"{why}: all save, and go on elsewhere")
    return ""


def regroup(book: Book, gang: Job, reason: str) -> None:
    """All tasks are to leave, saving first; once they have, the gang waits for places again."""
    book.starting_since_ms.pop(gang.id, None)
    book.put(moved(gang, JobState.FREEZING, reason=reason))
    book.note(gang.name, "GANG_LEAVES", reason)


def settled(book: Book) -> None:
    """Makes each gang whole again of which a task has changed."""
    for gang_id in list(book.gangs_changed):
        gang = book.jobs.get(gang_id)
        if gang is not None:
            _settle(book, gang)
    book.gangs_changed.clear()


def _settle(book: Book, gang: Job) -> None:
    tasks = book.tasks(gang)
    if gang.state is JobState.CANCELLING:
        _ends(book, gang)
    elif tasks and all(map(is_done, tasks)):
        for task in tasks:
            book.end(task, JobState.SUCCEEDED)
        book.end(gang, JobState.SUCCEEDED)
    elif gang.state is JobState.FREEZING:
        _leaves(book, gang)
    elif gang.state in _PLACED and not all(task.state in _PLACED for task in tasks):
        left = next(task for task in tasks if task.state not in _PLACED)
        regroup(book, gang, f"task {left.task} left its node, and all go on together: {left.reason}")
        _leaves(book, book.jobs[gang.id])
    elif gang.state is JobState.STARTING and all(task.state is JobState.RUNNING for task in tasks):
        start_ms = gang.start_time_ms or book.wall_ms
        book.put(moved(gang, JobState.RUNNING, start_time_ms=start_ms))
        book.note(gang.name, "JOB_RUNNING", f"all {len(tasks)} tasks run")


def _ends(book: Book, gang: Job) -> None:
    for task in book.tasks(gang):
        if task.state is not JobState.QUEUED and task.state is not JobState.CANCELLING:
            book.put(moved(task, JobState.CANCELLING, reason=gang.reason))
        if task.state is JobState.QUEUED or is_done(task):
            book.end(book.jobs[task.id], JobState.CANCELLED, gang.reason)
    if not book.tasks(gang):
        has_failed = gang.reason.startswith((_FAILED_BY, TIMED_OUT))
        book.end(gang, JobState.FAILED if has_failed else JobState.CANCELLED, gang.reason)


def _leaves(book: Book, gang: Job) -> None:
    for task in book.tasks(gang):
        if task.state in _PLACED and not is_done(task):
            book.put(moved(task, JobState.FREEZING, reason=gang.reason))
    tasks = book.tasks(gang)
    if not all(task.state is JobState.QUEUED or is_done(task) for task in tasks):
        return
    for task in tasks:
        if is_done(task):
            # What one has done alone is not the gang's result: it goes on with the others, from its last checkpoint.
            book.put(book.leave(replace(task, outputs=None), gang.reason))
    book.put(book.leave(gang, gang.reason))
