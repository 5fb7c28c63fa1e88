"""Why a job waits, beside what the nodes say: its project's quota and share, and who comes before it."""

from collections.abc import Iterator

from controller.core import backoff, preemption
from controller.core.book import Book
from controller.core.order import in_order
from controller.core.precedence import heads_of, holds_against, rules
from headrace import units
from headrace.ids import listed
from headrace.jobs import Job, JobState

# Of more nodes so many are named.
NODES_TOLD = 8


def standing(book: Book, job: Job, *, is_to_ask: bool) -> tuple[str, ...]:
    """Sentences on a job that waits; none on another one. Changes nothing.

    One that `is_to_ask` has others leave that were not asked yet.
    """
    known = book.jobs.get(job.id)
    if known is None:
        # It was not submitted.
        return (job.reason,) if job.state is JobState.QUEUED and job.waits_for else ()
    if known.state is not JobState.QUEUED:
        return ()
    waiting = book.jobs[known.gang] if known.gang else known
    return tuple(_sentences(book, waiting, is_to_ask=is_to_ask))


def _sentences(book: Book, job: Job, *, is_to_ask: bool) -> Iterator[str]:
    if job.waits_for:
        yield job.reason
    pause = backoff.pause(job, now_wall_ms=book.wall_ms)
    if pause:
        yield pause
    if job.preemptor:
        yield f"it had to leave its node for jobs/{job.preemptor}"
    over = book.projects.over_quota(job.spec.project, book.projects.expected(job))
    if over:
        yield over.removeprefix("waits: ")
    yield from _share(book, job)
    claim = book.turns.claims.get(job.id)
    if claim is not None:
        yield f"others were asked to save and leave {', '.join(dict.fromkeys(claim.nodes))} for it"
    elif not is_to_ask and preemption.may_ask(job, book.projects, rules(book)):
        yield "others may have to leave for it, and nobody was found whose leaving would make room"
    yield from _kept(book, job)


def _share(book: Book, job: Job) -> Iterator[str]:
    if not book.projects.declared:
        return
    # How many jobs there are of each is of no matter here.
    known = book.projects.listed((), book.wall_ms)
    own = next(one for one in known if one.name == f"projects/{job.spec.project}")
    if len(known) > 1:
        may_borrow = book.projects.has_quotas and book.projects.of(job.spec.project).borrows
        borrows = may_borrow and not preemption.claims_its_own(job, book.projects)
        quota = "; it would borrow" if borrows else ""
        yield (
            f"its project {job.spec.project} has had {own.used_percent:.1f} % of all recent use, and is due "
            f"{own.due_percent:.1f} %{quota}"
        )


def _kept(book: Book, job: Job) -> Iterator[str]:
    kept = book.turns.kept.get(job.id)
    # What is there already, and is not taken, is left to others: to whom is told elsewhere.
    if kept is not None and (kept.start_ms is None or kept.gone):
        gone = f" once {listed(kept.gone)} {'have' if len(kept.gone) > 1 else 'has'} ended" if kept.gone else ""
        when = f", in {_about(kept.start_ms - book.wall_ms)} at the latest" if kept.start_ms is not None else ""
        others = f" and {len(kept.nodes) - NODES_TOLD} others" if len(kept.nodes) > NODES_TOLD else ""
        yield f"room is kept for it on {', '.join(kept.nodes[:NODES_TOLD])}{others}{gone}{when}"
    heads = [one for one in heads_of(book) if one.id != job.id]
    before = [one.id for one in in_order(book, [*heads, job])]
    ahead = [
        one for one in before[: before.index(job.id)] if holds_against(book, book.turns.kept[one], book.jobs[one], job)
    ]
    if ahead:
        yield f"room is kept before it for {listed(ahead)}"


def _about(millis: int) -> str:
    return units.format_duration(max(0, millis) // 1000 * 1000)
