"""The rules of the session, and what else the protocol needs, each with the way to do without it: in tests alone."""

from collections.abc import Callable
from contextlib import AbstractContextManager
from dataclasses import replace
from typing import Any, NamedTuple
from unittest.mock import patch

from agent.core import adoption, losses
from agent.core import agent as agent_core
from agent.core.agent import AgentCore
from agent.core.attempts import Desire
from agent.daemon import newest
from controller.core import arrays, assignments, dependencies, gangs, placing, precedence, preemption, reports, ticks
from controller.core.book import Book
from controller.core.placement.fit import Place, choose
from controller.core.projects import Projects
from controller.services.checkpoints import CheckpointService
from headrace.attempts import AttemptState
from headrace.jobs import JobState, Partition, RetryCause
from headrace.projects import Amount
from headrace.sessions import Goal
from tests.simulation import node, works
from tests.simulation.controller import SimulatedController
from tests.simulation.emphasis import (
    ANY,
    CROWD,
    CUTS,
    DEVICES,
    FULL,
    FULL_STOPPING,
    GANGS,
    KEEPING,
    LATE,
    MOVES,
    RELATIONS,
    RESTARTS,
    STALLS,
    STOPPING,
    STRAYS,
    Emphasis,
)
from tests.simulation.engine import Engine
from tests.simulation.node import SimulatedNode
from tests.simulation.standbys import Standbys


class Rule(NamedTuple):
    """`says` is a sentence; `off` has the cores do without it while it is entered. DESIGN.md's have numbers."""

    name: str
    says: str
    off: Callable[[], AbstractContextManager[Any]]
    worlds: Emphasis = ANY


RULES: list[Rule] = []


def _rule(
    name: str, says: str, target: Any, attribute: str, worlds: Emphasis = ANY
) -> Callable[[Callable[..., Any]], Callable[..., Any]]:
    """A rule; what follows is called in the place of `attribute`, with the original before its arguments."""

    def known(instead: Callable[..., Any]) -> Callable[..., Any]:
        original = getattr(target, attribute)

        def replacement(*arguments: Any, **named: Any) -> Any:
            return instead(original, *arguments, **named)

        RULES.append(Rule(name, says, lambda: patch.object(target, attribute, replacement), worlds))
        return instead

    return known


def _switch(name: str, says: str, where: tuple[Any, str], value: Any, worlds: Emphasis = ANY) -> None:
    target, attribute = where
    RULES.append(Rule(name, says, lambda: patch.object(target, attribute, value), worlds))


# The eight of DESIGN.md.


@_rule("1, paused", "An agent whose lease lapsed holds its jobs still, or stops them", agent_core, "desire")
def _not_paused(desire: Any, held: Any, wanted: Any, **named: Any) -> Desire:
    wish: Desire = desire(held, wanted, **named)
    asked = wanted is not None and wanted.goal is Goal.FREEZE
    return Desire.CONTINUE if wish is Desire.HOLD or (wish is Desire.FREEZE and not asked) else wish


@_rule("1, nothing started", "An agent whose lease lapsed starts nothing", agent_core, "desire", CUTS)
def _started_without_a_lease(desire: Any, held: Any, wanted: Any, **named: Any) -> Desire:
    wish: Desire = desire(held, wanted, **named)
    before = held.attempt.state in (AttemptState.PREPARING, AttemptState.STARTING)
    return Desire.RUN if before and wish in (Desire.HOLD, Desire.CONTINUE) else wish


@_rule("2", "The lease runs from when the acknowledged report was sent", AgentCore, "_assigned", LATE)
def _lease_from_the_answer(assigned: Any, core: AgentCore, assignment: Any) -> Any:
    effects = assigned(core, assignment)
    if core.assignment is assignment and assignment is not None:
        core.lease.until_ms, core.lease.had = core.now_ms + assignment.lease_millis, True
    return effects


@_rule("3", "An epoch is taken on once", AgentCore, "_refusal")
def _taken_on_again(refusal: Any, core: AgentCore, placement: Any) -> Any:
    found = refusal(core, placement)
    return ("", "") if found[0] == "EPOCH_TAKEN" else found


@_rule("4", "An assignment older than the newest seen is ignored", AgentCore, "_assigned")
def _older_assignments(assigned: Any, core: AgentCore, assignment: Any) -> Any:
    return assigned(core, replace(assignment, generation=max(core.generation, assignment.generation)))


@_rule("5, sequence", "A report older than the newest seen is ignored", reports, "reported")
def _older_reports(reported: Any, book: Book, report: Any) -> None:
    if book.newest.get(report.node, (0, 0))[0] == report.session:
        book.newest[report.node] = (report.session, report.sequence - 1)
    reported(book, report)


@_rule("5, session", "A report of an older session is ignored", reports, "reported")
def _older_sessions(reported: Any, book: Book, report: Any) -> None:
    if book.newest.get(report.node, (0, 0))[0] > report.session:
        book.newest[report.node] = (report.session, report.sequence - 1)
    reported(book, report)


@_rule(
    "5, restart",
    "A restarted controller hears nothing of streams that ended with the one before",
    Book,
    "__init__",
    RESTARTS,
)
def _streams_of_the_dead(init: Any, book: Book, *arguments: Any) -> None:
    init(book, *arguments)
    book.newest = {one.id: (one.session, 0) for one in book.nodes.values()}


@_rule("6", "Absence is not evidence", reports, "reported")
def _absent_is_lost(reported: Any, book: Book, report: Any) -> None:
    reported(book, report)
    told = [(one.job, one.epoch) for one in report.attempts]
    for job in book.jobs_at(report.node):
        here = job.node == report.node and job.state in (JobState.STARTING, JobState.RUNNING, JobState.FREEZING)
        if here and (job.id, job.epoch) not in told:
            reports.failed(book, job, RetryCause.NODE_LOST, "its node does not tell of it")


@_rule("7, session", "An assignment belongs to the session that it was sent in", AgentCore, "_assigned", CUTS)
def _of_any_session(assigned: Any, core: AgentCore, assignment: Any) -> Any:
    return assigned(core, replace(assignment, session=core.memory.session))


@_rule("8, epoch", "Going on, on the same node too, is a new epoch", Book, "leave")
def _same_epoch(leave: Any, book: Book, job: Any, reason: str) -> Any:
    return replace(leave(book, job, reason), epoch=job.epoch)


_switch("8, engine", "The engine restarts nothing by itself", (Engine, "restarts_containers"), value=True)

_switch("8, word", "What is started ahead runs nothing before its word", (Engine, "waits_for_word"), value=False)

# What the shells owe the cores.

_switch("saved first", "The controller saves before it sends", (SimulatedController, "saves_first"), value=False)
_switch("written first", "The agent writes down before it does", (SimulatedNode, "saves_first"), value=False)
_switch(
    "late",
    "What a full disk held up is asked for anew",
    (SimulatedNode, "declines_late_works"),
    value=False,
    worlds=FULL,
)
_switch(
    "pinned",
    "A manifest that was put stays until a record names it",
    (CheckpointService, "pinned"),
    lambda _: [],
    KEEPING,
)
_switch(
    "swept",
    "Nothing is swept before each node with jobs has reported to the controller at work",
    (SimulatedController, "waits_for_reports"),
    value=False,
    worlds=RESTARTS,
)
_switch(
    "standbys",
    "What was started ahead, and nobody knows of any more, is removed",
    (Standbys, "sweeps"),
    value=False,
)
_switch("in order", "What a job that crashed left is not taken", (works, "_left_in_order"), lambda _: True)


@_rule("at once", "A full disk does not keep a job running that has no lease", node, "without_a_note", FULL_STOPPING)
def _nothing_at_once(_without: Any, late: list[Any], effects: list[Any], **_: Any) -> Any:
    return [], [], newest([*late, *effects])


@_rule("put by epoch", "The store takes nothing of an epoch that is over", CheckpointService, "_check_epoch")
def _any_epoch_may_put(_check: Any, _service: Any, _job: str, _epoch: int) -> None:
    pass


# What else the controller needs.


@_rule("lost after", "A job is not replaced before its `lost_after`", ticks, "_silent")
def _lost_at_once(silent: Any, book: Book, job: Any, *arguments: Any) -> None:
    silent(book, replace(job, spec=replace(job.spec, lost_after_ms=0)), *arguments)


@_rule(
    "grace",
    "A job that stops in a partition is waited for as long as its grace",
    ticks,
    "_held_still_after_ms",
    STOPPING,
)
def _grace_is_not_waited_for(_after: Any, book: Book, _job: Any) -> int:
    return book.leases.longest.node_ms


@_rule("keep", "A job with `partition: keep` is never replaced", ticks, "_silent", KEEPING)
def _keep_is_replaced(silent: Any, book: Book, job: Any, *arguments: Any) -> None:
    silent(book, replace(job, spec=replace(job.spec, partition=Partition.PAUSE)), *arguments)


@_rule("whole lease", "A restarted controller gives every node a whole lease", Book, "__init__")
def _long_silent(init: Any, book: Book, *arguments: Any) -> None:
    init(book, *arguments)
    book.heard_ms = dict.fromkeys(book.nodes, -(10**9))


@_rule(
    "stood still", "A controller that stood still has not heard what was said meanwhile", ticks, "_stood_still", STALLS
)
def _nobody_spoke(_stood: Any, _book: Book, _millis: int) -> None:
    pass


@_rule("heard by epoch", "A node is heard of its job's present epoch alone", reports, "attempt_seen")
def _any_epoch_is_heard(attempt_seen: Any, book: Book, name: str, seen: Any) -> None:
    job = book.jobs.get(seen.job)
    if job is not None and job.attempt is not None:
        name, seen = job.node, replace(seen, epoch=job.epoch)
    attempt_seen(book, name, seen)


@_rule("commit", "A move is committed only when its source has left", reports, "attempt_seen")
def _committed_early(attempt_seen: Any, book: Book, name: str, seen: Any) -> None:
    job = book.jobs.get(seen.job)
    if job is not None and job.state is JobState.FREEZING and seen.state is AttemptState.STOPPING:
        seen = replace(seen, state=AttemptState.EXITED, exit_code=143)
    attempt_seen(book, name, seen)


@_rule("ledger", "A device that a job has is nobody else's", assignments, "usage")
def _nobody_has_devices(usage: Any, *arguments: Any) -> Any:
    return replace(usage(*arguments), devices=(), parts=())


# What else the agent needs.


@_rule("device freed", "A device is not used before the container that had it is gone", agent_core, "allowed", DEVICES)
def _device_is_not_waited_for(_allowed: Any, wish: Desire, _held: Any, _others: Any) -> Desire:
    return wish


@_rule(
    "doubtful", "An exit by a signal that nobody sent is believed only of an engine that answers", losses, "is_doubtful"
)
def _nothing_is_doubtful(_doubtful: Any, *_: Any) -> bool:
    return False


@_rule("attributed", "A job has not failed whose engine or machine went down with it", losses, "attributed")
def _its_own_fault(_attributed: Any, _attempt: Any, event: Any, **_: Any) -> Any:
    return event


@_rule("two lists", "It takes two lists to know that a container is gone", adoption, "_missing", MOVES)
def _one_list(missing: Any, ref: Any, progress: Any, *, present: bool) -> Any:
    progress.missing_once = True
    return missing(ref, progress, present=present)


@_rule(
    "no journal",
    "An agent without a journal takes nothing on before it knows its containers",
    AgentCore,
    "__init__",
    STRAYS,
)
def _epochs_are_known(init: Any, core: AgentCore, *arguments: Any, **named: Any) -> None:
    init(core, *arguments, **named)
    core._epochs_known = True


@_rule("strays", "A job waits until a container of it that nobody holds is gone", AgentCore, "_listed", STRAYS)
def _strays_are_nothing(listed: Any, core: AgentCore, containers: Any) -> Any:
    effects = listed(core, containers)
    core._strays = {}
    return effects


@_rule(
    "strays, restart",
    "A restarted agent gives nothing back before it knows its containers",
    AgentCore,
    "__init__",
    STRAYS,
)
def _no_strays_at_first(init: Any, core: AgentCore, *arguments: Any, **named: Any) -> None:
    init(core, *arguments, **named)
    core._strays = {}


# What gangs need.


@_rule("gang placed", "A gang is placed when all its tasks fit at once", placing, "_place", GANGS)
def _one_by_one(place: Any, book: Book, job: Any) -> Any:
    if not job.is_gang:
        return place(book, job)
    why = ""
    for task in book.tasks(job):
        found = choose(task, book.nodes.values(), book.usage, now_wall_ms=book.wall_ms)
        if isinstance(found, Place):
            book.put(book.begin(task, found))
            job = job if job.state is JobState.STARTING else replace(job, state=JobState.STARTING)
            book.put(job)
        else:
            why = found
    return "" if job.state is JobState.STARTING else why


@_rule("gang leaves", "Where one task of a gang has left its node, all leave", gangs, "_leaves")
def _the_others_stay(leaves: Any, book: Book, gang: Any) -> None:
    if all(task.state is JobState.QUEUED or gangs.is_done(task) for task in book.tasks(gang)):
        leaves(book, gang)


# What projects, priorities and those who start ahead need.


def _lower(job: Any, victim: Any, _rules: Any) -> bool:
    return bool(job.spec.project == victim.spec.project)


def _all_of_it(*_: Any, **__: Any) -> Amount:
    return Amount(10**9, 10**9, 10**9)


_switch("less urgent", "A job leaves only for a more urgent one", (preemption, "is_lower"), _lower, CROWD)
_switch("borrowed", "A project gives back only what is borrowed", (Projects, "beyond"), _all_of_it, CROWD)
_switch("own quota", "Who does not borrow keeps to its quota", (Projects, "over_quota"), lambda *_: "", CROWD)
_switch("not delayed", "Nobody starts ahead who would delay others", (precedence, "delays"), lambda *_: False, CROWD)


# What arrays need, and jobs that follow others.


@_rule("element ends", "What ends an element is written down in its array at once", arrays, "_with_ends", RELATIONS)
def _not_in_the_array(_with_ends: Any, array: Any, _over: Any) -> Any:
    return array


@_rule("follows", "A job that follows others waits for what becomes of them", dependencies, "unmet", RELATIONS)
def _starts_at_once(_unmet: Any, _book: Book, _event: Any) -> Any:
    return ()


@_rule("follows, never", "A job that can never start is ended", dependencies, "_ended", RELATIONS)
def _waits_for_ever(_ended: Any, _book: Book, _job: Any, _why: str) -> None:
    pass


@_rule("one turn", "An element has its turn once", arrays, "_unfolded", RELATIONS)
def _turns_again(unfolded: Any, book: Book, array: Any) -> Any:
    after = unfolded(book, array)
    return replace(after, elements=replace(after.elements, unfolded_count=array.elements.unfolded_count))
