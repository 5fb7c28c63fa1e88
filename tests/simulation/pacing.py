"""Worlds in which nodes differ, jobs tell how far they are, and some are moved though nobody asked for it."""

from collections import Counter
from dataclasses import replace
from random import Random
from typing import TYPE_CHECKING

from controller.core.improving import HOUR_MS, Improving
from controller.core.placement.gains import Reluctance
from headrace.attempts import Steps
from headrace.jobs import Job, Level, MigrationCause
from headrace.nodes import Cpu, Device, NodeDescription
from tests.simulation.invariants import at
from tests.simulation.occurrences import Occurrence

if TYPE_CHECKING:
    from tests.simulation.engine import Container
    from tests.simulation.world import World

# How likely a world is like this.
PACED = 0.3
TELLS_EVERY_MS = 1_000
# Scaled, as all times here are.
NUMBERS = Improving(
    speed_moves_per_hour=3,
    room_moves_per_hour=2,
    reluctance=Reluctance(gain_seconds=1.0, stay_seconds=2.0, at_once=2),
    look_ms=1_000,
    rest_ms=8_000,
    pace_ms=1_500,
    unknown_arrival_ms=500,
    matters_ms=1_000,
)
_STEPS = 10_000
_CARDS = ("H100", "A10")


class Pacing:
    """How fast jobs say that they are on each node. What they do does not depend on it."""

    def __init__(self, chance: Random) -> None:
        self._chance = chance
        self._speeds: dict[str, float] = {}

    def described(self, name: str, about: NodeDescription) -> NodeDescription:
        """Each node has a processor of its own model."""
        return replace(about, cpu=Cpu(f"cpu of {name}", threads=about.cpu.threads))

    def equipped(self, devices: tuple[Device, ...]) -> tuple[Device, ...]:
        """A node's devices are of one model, of several that there are."""
        model = self._chance.choice(_CARDS)
        return tuple(replace(one, model=model) for one in devices)

    def steps(self, node: str, container: "Container", *, now_ms: int) -> Steps | None:
        """What the job writes into its file; what is read of a pace is off by half."""
        timed_ms = now_ms - container.since_ms
        if not container.is_at_work or timed_ms <= 0:
            return None
        speed = self._speeds.setdefault(node, self._chance.choice((0.5, 1.0, 4.0)))
        counted = max(1, int(timed_ms / 100 * speed * self._chance.uniform(0.7, 1.5)))
        return Steps(min(container.done_ms // 100, _STEPS - 1), _STEPS, counted, timed_ms)


@at(Occurrence.JOB_DECIDED)
def a_job_is_moved_unasked_only_if_it_saves_and_was_left_alone_for_a_while(
    _world: "World", before: Job | None, after: Job
) -> str | None:
    """What nobody asked for costs a job no work, happens seldom to it, and not soon after another move."""
    move = after.migration
    if before is None or move is None or move.cause is MigrationCause.NEEDED or move in before.migrations:
        return None
    if before.migration is not None:
        # It is the same move, further on.
        return None
    if move.level is not Level.CHECKPOINT or after.gang or not move.expectation:
        return f"{after.name} is moved {move.level.name}, {move.expectation or 'for nothing'}"
    attempt, began_ms = before.attempt, move.request_time_ms or 0
    if attempt is None or began_ms - (attempt.start_time_ms or began_ms) < 1000 * NUMBERS.reluctance.stay_seconds:
        return f"{after.name} has just come to {before.node}, and is moved to {move.target} for {move.expectation}"
    if before.migrations and began_ms - (before.migrations[-1].request_time_ms or 0) < NUMBERS.rest_ms:
        return f"{after.name} was moved a moment ago, and is moved to {move.target} for {move.expectation}"
    return None


@at(Occurrence.JOB_SAVED)
def no_more_jobs_are_moved_unasked_in_an_hour_than_an_operator_allows(
    world: "World", _before: Job | None, after: Job
) -> str | None:
    """Both kinds of moves that nobody asked for have a bound, which outlasts a restart of the controller."""
    if not after.migrations or after.migrations[-1].cause is MigrationCause.NEEDED:
        return None
    newest = max(move.request_time_ms or 0 for move in after.migrations)
    counts = Counter(
        move.cause
        for job in world.controller.jobs.values()
        for move in job.migrations
        if newest - (move.request_time_ms or 0) < HOUR_MS
    )
    if counts[MigrationCause.SPEED] > NUMBERS.speed_moves_per_hour:
        return f"{counts[MigrationCause.SPEED]} were moved for speed"
    if counts[MigrationCause.ROOM] > NUMBERS.room_moves_per_hour:
        return f"{counts[MigrationCause.ROOM]} were moved for room"
    return None
