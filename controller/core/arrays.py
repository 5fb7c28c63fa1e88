"""Arrays: jobs of many elements that run each by itself, and of which few have a record at a time.

An element that has its turn is a job in its record, and keeps the rules of one: agents know no other. Those whose turn
is still to come are a number in the array's record; those that have ended are a bit there, and their own records are
looked at no more. What the array is follows from its elements (`settled`), at the end of each event that changed one.
"""

from controller.core.book import Book
from controller.core.fairness import rank
from controller.core.gangs import TIMED_OUT
from controller.core.model import aborted, moved
from headrace import elements as sets
from headrace.changes import replace
from headrace.ids import element_of, task_id
from headrace.jobs import Elements, Job, JobState
from headrace.refusals import Code, Refusal

# So many elements of an array wait in all: those that failed, and are to begin again, wait as well.
WAITING_AT_ONCE = 1_000
# Counts of what runs are written down no more often.
COUNTED_MS = 500


def submitted(book: Book, array: Job) -> None:
    """An array was taken on: none of its elements has had its turn."""
    book.put(replace(array, elements=Elements()))


def element(array: Job, index: int) -> Job:
    """The record of one that has its turn now."""
    name = f"jobs/{task_id(array.id, index)}"
    return replace(
        array,
        name=name,
        state=JobState.QUEUED,
        reason="",
        array=array.id,
        array_index=index,
        elements=None,
        request_id="",
        start_time_ms=None,
        end_time_ms=None,
    )


def folded(array: Job, index: int) -> Job | None:
    """What is known of an element without a record; None where it has one."""
    known = array.elements
    if known is None or index >= array.spec.element_count:
        return None
    ends = (
        (JobState.SUCCEEDED, known.succeeded),
        (JobState.FAILED, known.failed),
        (JobState.CANCELLED, known.cancelled),
    )
    state = next((state for state, one in ends if sets.holds(sets.loaded(one), index)), None)
    if state is not None:
        return replace(element(array, index), state=state, reason="ended before it had its turn")
    if index < known.unfolded_count:
        return None
    return replace(element(array, index), reason="waits for its turn among the elements of its array")


def first_waiting(book: Book, array: Job) -> Job | None:
    """The element of an array that has its turn first of those that wait, with a record or not; None where none does.

    An array has no turn of its own, and no place.
    """
    live = book.relations.families[array.id].live.values()
    waiting = [one for one in live if one.state is JobState.QUEUED]
    known = array.elements or Elements()
    further = _untouched(array, known)
    if further:
        waiting.append(element(array, (further & -further).bit_length() - 1))
    return min(waiting, key=rank, default=None)


def folded_count(array: Job, end: int) -> int:
    """How many elements below this number have their turn still to come, and no record."""
    known = array.elements or Elements()
    return (_untouched(array, known) & (1 << end) - 1).bit_count()


def settled(book: Book) -> None:
    """Brings each array up to date of which an element has changed."""
    changed = book.relations.arrays_changed
    while changed:
        array = book.jobs.get(next(iter(changed)))
        del changed[next(iter(changed))]
        if array is not None:
            _settle(book, array)


def ticked(book: Book) -> None:
    """Writes down how many elements run: more often than once in a while would be a save with each step of each."""
    if not book.watchlist.due("counts", book.now_ms, every_ms=COUNTED_MS):
        return
    for array_id in list(book.relations.miscounted):
        array = book.jobs.get(array_id)
        if array is not None and array.elements is not None:
            family = book.relations.families[array_id]
            head = next(iter(family.live.values()), None)
            reason = head.reason if head is not None and array.state is JobState.QUEUED else array.reason
            counted = replace(array.elements, running_count=family.running_count)
            after = replace(array, elements=counted, reason=reason)
            if after != array:
                book.put(after)
    book.relations.miscounted.clear()


def limited(book: Book, array: Job) -> None:
    """An array that has waited for too long: what has not had its turn by then fails; the others, each by itself."""
    rest = _untouched(array, array.elements or Elements())
    if rest and array.elements is not None:
        known = replace(
            array.elements,
            failed=sets.dumped(sets.loaded(array.elements.failed) | rest),
            unfolded_count=array.spec.element_count,
        )
        reason = f"{TIMED_OUT}queue: {rest.bit_count()} elements had not had their turn in time"
        book.put(replace(array, elements=known, reason=reason))
        _tell_followers(book, array)


def cancel(book: Book, array: Job, reason: str) -> Job:
    """Ends an array, with all its elements."""
    if array.state is not JobState.CANCELLING:
        if array.state is JobState.QUEUED:
            array = _begun(book, array)
        array = moved(array, JobState.CANCELLING, reason=reason)
        book.note(array.name, "JOB_CANCELLING", reason)
    known = array.elements or Elements()
    cancelled = sets.loaded(known.cancelled) | _untouched(array, known)
    known = replace(known, cancelled=sets.dumped(cancelled), unfolded_count=array.spec.element_count)
    book.put(replace(array, elements=known))
    _tell_followers(book, array)
    for one in list(book.relations.families[array.id].live.values()):
        if one.state is JobState.QUEUED:
            book.end(one, JobState.CANCELLED, reason)
        elif one.state is not JobState.CANCELLING:
            stays = aborted(one, book.wall_ms, "its array was cancelled")
            book.put(moved(stays, JobState.CANCELLING, reason=reason))
    return _settle(book, book.jobs[array.id])


def cancel_folded(book: Book, job_id: str) -> Job | None:
    """Cancels an element that has not had its turn; None where there is no such one."""
    found = found_folded(book, job_id)
    array = book.jobs[found.array] if found is not None else None
    if found is None or found.ended or array is None or array.elements is None:
        return found
    cancelled = sets.loaded(array.elements.cancelled) | 1 << found.array_index
    array = replace(array, elements=replace(array.elements, cancelled=sets.dumped(cancelled)))
    book.put(array)
    _tell_followers(book, array)
    _settle(book, array)
    return folded(array, found.array_index)


def found_folded(book: Book, job_id: str) -> Job | None:
    """The element of a live array that has this id and no record; None where there is no such one."""
    named = element_of(job_id)
    array = book.jobs.get(named[0]) if named is not None else None
    return folded(array, named[1]) if named is not None and array is not None and array.is_array else None


def _tell_followers(book: Book, array: Job) -> None:
    """Some of what others follow may have ended without a record."""
    for job_id in book.relations.dependents:
        found = found_folded(book, job_id)
        if found is not None and found.array == array.id and found.ended:
            book.relations.news[job_id] = found


def unmovable(job: Job) -> Refusal | None:
    """Why an array cannot be moved."""
    if not job.is_array:
        return None
    message = f"{job.name} is an array, whose elements move each by itself; name one: {job.id}-0"
    return Refusal(Code.FAILED_PRECONDITION, "ARRAY_NOT_MOVABLE", message)


def _untouched(array: Job, known: Elements) -> int:
    """Those that have not had their turn and have not ended."""
    every = (1 << array.spec.element_count) - 1
    return every >> known.unfolded_count << known.unfolded_count & ~_ended(known)


def _ended(known: Elements) -> int:
    return sets.loaded(known.succeeded) | sets.loaded(known.failed) | sets.loaded(known.cancelled)


def _settle(book: Book, array: Job) -> Job:
    family = book.relations.families[array.id]
    before = array
    if family.over:
        array = _with_ends(array, family.over)
        family.over = []
    if array.state is JobState.QUEUED and family.start_time_ms is not None:
        array = _begun(book, array)
    array = _unfolded(book, array)
    known = array.elements or Elements()
    counted = replace(
        known,
        running_count=family.running_count,
        succeeded_count=sets.loaded(known.succeeded).bit_count(),
        failed_count=sets.loaded(known.failed).bit_count(),
        cancelled_count=sets.loaded(known.cancelled).bit_count(),
    )
    if counted.succeeded_count + counted.failed_count + counted.cancelled_count == array.spec.element_count:
        return _end(book, replace(array, elements=counted))
    if array is not before or replace(known, running_count=counted.running_count) != counted:
        array = replace(array, elements=counted)
        book.put(array)
        book.relations.arrays_changed.pop(array.id)
        return array
    if known != counted or array.state is JobState.QUEUED:
        book.relations.miscounted[array.id] = None
    return array


def _with_ends(array: Job, over: list[Job]) -> Job:
    known = array.elements or Elements()
    found = {state: sets.bits(one.array_index for one in over if one.state is state) for state in _ENDS}
    known = replace(
        known,
        succeeded=sets.dumped(sets.loaded(known.succeeded) | found[JobState.SUCCEEDED]),
        failed=sets.dumped(sets.loaded(known.failed) | found[JobState.FAILED]),
        cancelled=sets.dumped(sets.loaded(known.cancelled) | found[JobState.CANCELLED]),
    )
    last = next((one for one in reversed(over) if one.state is JobState.FAILED), None)
    reason = f"element {last.array_index}: {last.reason}" if last is not None else array.reason
    return replace(array, elements=known, reason=reason if array.state is not JobState.CANCELLING else array.reason)


_ENDS = (JobState.SUCCEEDED, JobState.FAILED, JobState.CANCELLED)


def _begun(book: Book, array: Job) -> Job:
    """The array, of which an element runs, or did. Its reason was what the first one waited for."""
    start_ms = book.relations.families[array.id].start_time_ms
    if start_ms is None:
        return moved(array, JobState.STARTING, reason="")
    book.note(array.name, "JOB_RUNNING", "its first element runs")
    array = moved(array, JobState.STARTING, reason="", start_time_ms=start_ms)
    return moved(array, JobState.RUNNING)


def _unfolded(book: Book, array: Job) -> Job:
    """The array after as many further elements have had their turn as may wait beside each other."""
    known, family = array.elements, book.relations.families[array.id]
    if known is None or array.waits_for or array.state is JobState.CANCELLING:
        return array
    most = book.relations.fresh_at_once
    room = min(most - family.fresh_count, WAITING_AT_ONCE - family.waiting_count)
    # By halves: each time is a save of the array.
    if room < (most + 1) // 2 or known.unfolded_count == array.spec.element_count:
        return array
    index, ended = known.unfolded_count, _ended(known)
    while room and index < array.spec.element_count:
        if not sets.holds(ended, index):
            book.put(element(array, index))
            room -= 1
        index += 1
    book.capacity_changed()
    return replace(array, elements=replace(known, unfolded_count=index))


def _end(book: Book, array: Job) -> Job:
    known, count = array.elements or Elements(), array.spec.element_count
    if array.state is JobState.CANCELLING:
        return book.end(array, JobState.CANCELLED, array.reason)
    if known.failed:
        told = f"; the last: {array.reason}" if array.reason else ""
        which = sets.described(known.failed)
        return book.end(array, JobState.FAILED, f"{known.failed_count} of {count} elements failed ({which}){told}")
    if known.cancelled:
        which = sets.described(known.cancelled)
        array = moved(array, JobState.CANCELLING) if array.state is not JobState.QUEUED else array
        return book.end(
            array, JobState.CANCELLED, f"{known.cancelled_count} of {count} elements were cancelled ({which})"
        )
    # One that was done before the controller saw it run.
    array = _begun(book, array) if array.state is JobState.QUEUED else array
    return book.end(array, JobState.SUCCEEDED)
