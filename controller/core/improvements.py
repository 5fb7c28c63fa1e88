"""Moves that nobody asked for, because they bring something: when they are looked for, and how many begin.

Those for speed are here, those that make room for others in `controller.core.relocations`. What they have to bring, and
what keeps jobs from going to and fro, are the numbers of `controller.core.improving.Improving`.
"""

from collections.abc import Iterator

from controller.core import prospects, relocations
from controller.core.book import Book
from controller.core.improving import Improvement
from controller.core.placement.gains import Runner, proposals
from controller.core.prospects import span
from headrace.jobs import Job, MigrationCause

# A round is the first tick after so long. With each, so many jobs are looked at closely, of so many live ones at most.
ROUND_MS = 500
CLOSELY_A_ROUND, LIVE_A_ROUND = 32, 2_000
# What was learned counts for jobs that look for a place from the first round on that is so long after the last.
RENEWED_MS = 10_000


def ticked(book: Book) -> None:
    """Looks at a few of the jobs that run; after the last of them, has those begin to move that gain most."""
    state, numbers = book.improvements, book.policy.improving
    if book.now_ms < state.round_ms:
        return
    state.round_ms = book.now_ms + ROUND_MS
    if book.now_ms >= state.renew_ms:
        state.renew_ms = book.now_ms + RENEWED_MS
        book.learned.renew()
        book.foresight.paths.renew()
    if state.look_ms is None:
        # A controller that has just started has not heard its nodes yet.
        state.look_ms = book.now_ms + numbers.look_ms
    if state.rest is None:
        if book.now_ms < state.look_ms:
            return
        state.look_ms = book.now_ms + numbers.look_ms
        state.rest = list(book.jobs) if numbers.speed_moves_per_hour else []
    state.found += _looked_at(book, state.rest)
    if not state.rest:
        _decided(book)
        state.rest, state.found = None, []
        relocations.looked(book)


def _looked_at(book: Book, rest: list[str]) -> Iterator[Improvement]:
    closely = CLOSELY_A_ROUND
    for _ in range(min(len(rest), LIVE_A_ROUND)):
        job = book.jobs.get(rest.pop())
        if job is None or not prospects.may_improve(book, job) or not book.learned.tells_of(job.spec):
            continue
        found = improvement(book, job)
        if found is not None:
            yield found
        closely -= 1
        if not closely:
            return


def _decided(book: Book) -> None:
    """Of those that were found with this look and with the one before, those that gain most begin."""
    state, numbers = book.improvements, book.policy.improving
    lasting = [one for one in state.found if state.wanted.get(one.job.id) == one.hardware]
    state.wanted = {one.job.id: one.hardware for one in state.found}
    for one in sorted(lasting, key=lambda one: (-one.proposal.gain_seconds, one.job.id)):
        if not prospects.may_begin(book, MigrationCause.SPEED, numbers.speed_moves_per_hour):
            return
        # Others may have taken the place, and the job may be another one by now.
        job = book.jobs.get(one.job.id)
        found = improvement(book, job) if job is not None and prospects.may_improve(book, job) else None
        if found is not None and found.hardware == one.hardware:
            prospects.begin(book, found.job, found.place, MigrationCause.SPEED, expected(found))


def improvement(book: Book, job: Job) -> Improvement | None:
    """The move of the job that would bring most, if one is worth it. Whether it may be moved is not asked."""
    prospect = prospects.of(book, job)
    here_seconds = prospects.left_seconds(book, prospect) if prospect is not None else None
    if prospect is None or prospect.speed is None or here_seconds is None or job.attempt is None:
        return None
    others = {one.place.node: one for one in prospects.elsewhere(book, prospect)}
    # That one hardware is faster than another is what was learned, and of nodes with the same what the figures of both
    # tell: not that this job is slow today.
    there = {
        node: here_seconds * prospect.speed.per_second / one.speed.pessimistic
        for node, one in others.items()
        if one.speed is not None and book.learned.tells_apart(job.spec, prospect.place, one.place)
    }
    left = prospects.left_for_speed(book, job)
    runner = Runner(
        job.id,
        job.node,
        here_seconds,
        there,
        stayed_seconds=(book.wall_ms - (job.attempt.start_time_ms or book.wall_ms)) / 1000,
        left=tuple(node for node, one in others.items() if one.hardware in left),
    )

    def cost_seconds(_: Runner, target: str) -> float:
        return prospects.cost_ms(book, job, target) / 1000

    for proposal in proposals([runner], dict.fromkeys(there, 1), cost_seconds, book.policy.improving.reluctance):
        target = others[proposal.target]
        if target.hardware is not None:
            return Improvement(job, proposal, target.place, target.hardware, here_seconds)
    return None


def expected(found: Improvement) -> str:
    """What the move brings and costs, for people."""
    proposal = found.proposal
    there = found.here_seconds - proposal.gain_seconds - proposal.cost_seconds
    return (
        f"speed: done {span(proposal.gain_seconds)} sooner, since {span(found.here_seconds)} are left on "
        f"{proposal.source} and {span(there)} on {proposal.target}; the move costs {span(proposal.cost_seconds)}"
    )
