"""What must hold at every moment, whatever fails: each one sentence and one function, which says what is wrong.

They stand by their theme in `container_invariants`, `record_invariants` and others.
"""

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from agent.runtimes.runtime import Ref
from headrace.attempts import Attempt, AttemptState
from headrace.jobs import Job, JobSpec
from headrace.shares import part_of
from tests.simulation.occurrences import Occurrence

if TYPE_CHECKING:
    from tests.simulation.world import World


class Broken(AssertionError):
    """An invariant does not hold."""

    def __init__(self, invariant: str, wrong: str) -> None:
        super().__init__(f"{invariant.replace('_', ' ')}: {wrong}")
        self.invariant = invariant


@dataclass
class Past:
    """What was seen so far."""

    started: dict[Ref, str] = field(default_factory=dict)
    # With which code a container left, and how much of its work was done by then.
    left: dict[Ref, tuple[int | None, int]] = field(default_factory=dict)
    # With which codes containers of a job left.
    codes: dict[str, dict[int, None]] = field(default_factory=dict)
    cancelled: dict[str, None] = field(default_factory=dict)
    submitted: dict[str, None] = field(default_factory=dict)
    # In which session of its node a job's attempt was last told of.
    told_in: dict[str, int] = field(default_factory=dict)
    # Nodes of which somebody emptied the state folder, and attempts that had their container removed by hand.
    forgetful: dict[str, None] = field(default_factory=dict)
    robbed: dict[Ref, None] = field(default_factory=dict)
    # Attempts that a device of theirs has ended.
    worn: dict[Ref, None] = field(default_factory=dict)
    # Jobs for which others had to leave.
    asked: dict[str, None] = field(default_factory=dict)
    # Jobs that were submitted together, of each all of them; and those that were refused.
    together: dict[str, tuple[str, ...]] = field(default_factory=dict)
    refused: dict[str, None] = field(default_factory=dict)
    # Jobs that waited for a better node.
    patient: dict[str, None] = field(default_factory=dict)


Invariant = Callable[["World", Any, Any], "str | None"]
AT: dict[Occurrence, list[Invariant]] = {occurrence: [] for occurrence in Occurrence}
ALL: list[Invariant] = []

# How far an attempt has come.
PROGRESS = {
    AttemptState.PREPARING: 1,
    AttemptState.STARTING: 2,
    AttemptState.RUNNING: 3,
    AttemptState.PAUSED: 3,
    AttemptState.STOPPING: 3,
    AttemptState.SAVING: 4,
    AttemptState.EXITED: 5,
    AttemptState.REFUSED: 5,
}


def at(*occurrences: Occurrence) -> Callable[[Invariant], Invariant]:
    """Has an invariant look at these moments."""

    def known(invariant: Invariant) -> Invariant:
        ALL.append(invariant)
        for occurrence in occurrences:
            AT[occurrence].append(invariant)
        return invariant

    return known


def millis_of(spec: JobSpec) -> int:
    """The part of each of its devices that a job has."""
    return part_of(spec.resources.accelerators, None).millis


def state_of(attempt: Attempt | None) -> str:
    """How far an attempt is, in a word."""
    return attempt.state.name if attempt is not None else "not there"


def told_of(job: Job | None) -> str:
    """Where a job is, in some words."""
    return f"{job.state.name} on {job.node or 'no node'} in epoch {job.epoch}" if job is not None else "not known"
