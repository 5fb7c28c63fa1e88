"""Whether a job that runs may be moved though nobody asked for it; what of it is left; how fast it would be where."""

from collections.abc import Iterable
from dataclasses import dataclass

from controller.core import moves, precedence
from controller.core.book import Book
from controller.core.placement.demand import demand_of
from controller.core.placement.fit import Place, fit, level
from controller.core.placement.makes import best_of_each
from controller.core.placement.profiles import Hardware, hardware
from controller.core.placement.speeds import Speed
from controller.core.seen import see_nodes
from headrace.attempts import Attempt, AttemptState
from headrace.changes import replace
from headrace.jobs import Job, JobState, Level, MigrationCause
from headrace.refusals import Refusal
from headrace.units import format_duration


@dataclass(frozen=True, slots=True)
class Elsewhere:
    """A place that the job could have, what it is, and how fast the job would be; `None`: that is not known."""

    place: Place
    hardware: Hardware | None
    speed: Speed | None


@dataclass(frozen=True, slots=True)
class Prospect:
    """A job where it runs: what that place is, and how fast it gets on there; `None`: that is not known."""

    job: Job
    place: Place
    hardware: Hardware | None
    speed: Speed | None


def may_improve(book: Book, job: Job) -> bool:
    """Whether it may be moved though nobody asked for it: it loses nothing by that, and was not moved lately."""
    attempt, numbers = job.attempt, book.policy.improving
    if job.state is not JobState.RUNNING or attempt is None or attempt.state is not AttemptState.RUNNING:
        return False
    if moves.level(job) is not Level.CHECKPOINT or job.migration is not None:
        return False
    stay_ms = numbers.reluctance.stay_seconds * 1000
    if attempt.start_time_ms is None or book.wall_ms - attempt.start_time_ms < stay_ms or was_moved_lately(book, job):
        return False
    try:
        moves.movable(book, job)
    except Refusal:
        return False
    return not book.endings.about(job, wall_ms=book.wall_ms)


def was_moved_lately(book: Book, job: Job) -> bool:
    """Whether a move of the job began a while ago at most, whoever wanted it and whatever came of it."""
    if not job.migrations:
        return False
    return book.wall_ms - (job.migrations[-1].request_time_ms or 0) < book.policy.improving.rest_ms


def may_begin(book: Book, cause: MigrationCause, per_hour: int) -> bool:
    """Whether one more such move may begin: so many are under way at most, and so many began in the last hour."""
    state, at_once = book.improvements, book.policy.improving.reluctance.at_once
    return state.begun(cause, book.wall_ms) < per_hour and state.under_way(book.jobs) < at_once


def begin(book: Book, job: Job, place: Place, cause: MigrationCause, expectation: str) -> None:
    """Begins a move that was found worth it."""
    book.improvements.recall(moves.begin(book, job, place, cause=cause, expectation=expectation))


def of(book: Book, job: Job) -> Prospect | None:
    """The job where it runs; `None` where its node would not take it now: that is another one's to care for."""
    node, attempt = book.nodes[job.node], job.attempt
    here = fit(job, node, book.usage(node.id, without=job.id), now_wall_ms=book.wall_ms)
    if not isinstance(here, Place) or attempt is None or attempt.platform is None:
        return None
    here = replace(here, platform=attempt.platform, devices=attempt.devices)
    return Prospect(job, here, hardware(here.platform, here.devices, node), book.learned.speeds(job.spec, [here])[0])


def elsewhere(book: Book, prospect: Prospect) -> list[Elsewhere]:
    """The best place of each make of nodes, where the job would be as welcome as where it is."""
    see_nodes(book)
    job = prospect.job
    table = book.tables.table(demand_of(job), job)
    slot = book.snapshot.slots[job.node]
    return judged(book, prospect, best_of_each(table, job, now_wall_ms=book.wall_ms, but=slot))


def judged(book: Book, prospect: Prospect, places: Iterable[Place]) -> list[Elsewhere]:
    """Those of these places where the job would be as welcome as where it is, and in nobody's way.

    As native, as liked, as evenly spread or packed as it asks for, and as far from devices that others need; within its
    project's quota, were it at both places; and on no node of which room is kept for a job that waits.
    """
    least, job = level(prospect.place), prospect.job
    kept = [
        one
        for one in places
        if not any(one.node in room.counts for room in book.turns.kept.values())
        and all(there >= here for there, here in zip(level(one), least, strict=True))
        and not _is_less_even(book, job, one)
        and not precedence.over_quota(book, job, [job], [one])
    ]
    speeds = book.learned.speeds(job.spec, kept)
    return [
        Elsewhere(one, hardware(one.platform, one.devices, book.nodes[one.node]), speed)
        for one, speed in zip(kept, speeds, strict=True)
    ]


def _is_less_even(book: Book, job: Job, place: Place) -> bool:
    company = book.tables.table(demand_of(job), job).company if job.spec.neighbours is not None else None
    slots = book.snapshot.slots
    return company is not None and company.is_worse(slots[job.node], slots[place.node])


def is_no_slower(book: Book, prospect: Prospect, there: Elsewhere) -> bool:
    """Whether the job would be as fast there, as far as is known: on the same hardware, or on faster.

    Nodes with that may differ by their figures, but for so little that nobody is moved for it.
    """
    here, is_same = prospect.speed, there.hardware is not None and there.hardware == prospect.hardware
    if here is None or there.speed is None:
        return is_same
    if is_same:
        return there.speed.per_second * book.policy.terms.ratio >= here.per_second
    return there.speed.pessimistic >= here.per_second


def left_seconds(book: Book, prospect: Prospect) -> float | None:
    """For how long it will still run where it is; `None` where that was not observed there."""
    speed, job = prospect.speed, prospect.job
    if speed is None or not speed.runs_here or job.attempt is None:
        return None
    steps, per_second = job.attempt.steps, speed.per_second
    if steps is not None and steps.total_count:
        if steps.whole_millis is not None and steps.timed_millis >= book.policy.improving.pace_ms:
            # Its own pace tells more than that of jobs like it.
            per_second = 1000 / steps.whole_millis
        return max(0.0, 1 - steps.done_count / steps.total_count) / per_second
    done = [_share_done(book, job, attempt) for attempt in job.attempts if attempt.start_time_ms is not None]
    known = [one for one in done if one is not None]
    return max(0.0, 1 - sum(known)) / per_second if len(known) == len(done) else None


def _share_done(book: Book, job: Job, attempt: Attempt) -> float | None:
    """Which share of the job an attempt has done, if all of it counted; as jobs like it got on there."""
    if attempt.node not in book.nodes or attempt.platform is None or attempt.start_time_ms is None:
        return None
    pin = next(iter(job.images))
    place = Place(attempt.node, pin, attempt.platform, attempt.devices, attempt.variant, ())
    speed = book.learned.speeds(job.spec, [place])[0]
    end_ms = attempt.end_time_ms if attempt.end_time_ms is not None else book.wall_ms
    return None if speed is None else (end_ms - attempt.start_time_ms) / 1000 * speed.per_second


def left_for_speed(book: Book, job: Job) -> list[Hardware]:
    """What it was moved away from because it was slow."""
    sources = {move.source_epoch: None for move in job.migrations if move.cause is MigrationCause.SPEED}
    left = [one for one in job.attempts if one.epoch in sources and one.node in book.nodes and one.platform is not None]
    found = [hardware(one.platform, one.devices, book.nodes[one.node]) for one in left if one.platform is not None]
    return [one for one in found if one is not None]


def cost_ms(book: Book, job: Job, target: str) -> int:
    """For how long the job will stand still by a move there, as far as moves like it tell; else a pessimist's guess."""
    told = book.foresight.downtime(job, Level.CHECKPOINT, target=target)
    return told[0] if told is not None else job.spec.grace_ms + book.policy.improving.unknown_arrival_ms


def span(seconds: float) -> str:
    """So long, for people: to the second, and one at least."""
    return format_duration(max(1, round(seconds)) * 1000)
