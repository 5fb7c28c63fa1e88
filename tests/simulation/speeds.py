"""Worlds in which nodes are of different speeds and prices: jobs that cannot be moved may wait for a better node."""

import re
from collections.abc import Mapping
from dataclasses import dataclass, replace
from random import Random
from typing import TYPE_CHECKING

from controller.core.limits import queue_over_ms
from headrace import units
from headrace.attempts import Attempt, AttemptState, Platform
from headrace.jobs import Job, JobSpec, JobState, Requests
from headrace.nodes import Cpu, NodeDescription
from tests.core.small_world import GIB, spec
from tests.simulation.invariants import at
from tests.simulation.occurrences import Occurrence
from tests.simulation.timeline import EPOCH_BEGAN_MS

if TYPE_CHECKING:
    from tests.simulation.world import World

# How likely a world is one of these, where nothing is emphasised.
UNEQUAL = 0.4
JOBS_AT_ONCE = 8
_SLOW, _FAST = (0.4, 0.75), 3.0
_WORK_MS = (6_000, 9_000, 12_000)
# How many are of other kinds; of the usual one two are on a node.
_OTHERS = 0.15
_CORES = 2_000
_QUEUE_MS = (None, None, None, 4_000, 10_000)
# A unit of the price is worth so much; in an hour a node costs so many units, a core.
_MS_PER_PRICE = (0.0, 40_000.0, 40_000.0)
_PRICES = (0.0, 1.0, 20.0)
UNKNOWN_RUN_MS = 10_000
# A tick, and what is lost where both figures that a job is told are rounded.
_SLACK_MS = 3_000
_TOLD = re.compile(r"waits for .+?, which should have room in (\S+): it would be done (\S+) sooner")


@dataclass(frozen=True)
class Wait:
    """Since when a job waits for a better node, by which process of the controller, and until when at most."""

    life: int
    epoch: int
    since_ms: int
    until_ms: int


class Speeds:
    """How fast nodes are and what they cost; jobs of which most are of few kinds, and cannot be moved."""

    def __init__(self, rng: Random) -> None:
        self._rng = rng
        self._of: dict[str, float] = {}
        self._work_ms = rng.choice(_WORK_MS)
        self.ms_per_price = rng.choice(_MS_PER_PRICE)
        # What was seen of jobs that wait for what is better.
        self.waits: dict[str, Wait] = {}

    def of(self, node: str) -> float:
        """How much work is done on a node in a millisecond, in milliseconds; some node is fast."""
        if node not in self._of:
            is_fast = _FAST not in self._of.values() and (len(self._of) > 1 or self._rng.random() < 0.4)
            self._of[node] = _FAST if is_fast else self._rng.choice(_SLOW)
        return self._of[node]

    def described(self, name: str, about: NodeDescription) -> NodeDescription:
        """Nodes of one speed have the same processor. Each has its price."""
        return replace(
            about,
            cpu=Cpu(f"cpu of speed {self.of(name)}", threads=about.cpu.threads),
            core_hour_price=self._rng.choice(_PRICES),
            device_hour_price=self._rng.choice(_PRICES),
        )

    def spec(self, wanted: JobSpec) -> JobSpec:
        """A job of which few are on a node at once; it may have to begin soon."""
        if wanted.task_count > 1 or wanted.element_count > 1 or self._rng.random() < _OTHERS:
            return wanted
        limits = replace(wanted.timeouts, queue_ms=self._rng.choice(_QUEUE_MS))
        return replace(self.plain(wanted), timeouts=limits)

    def past(self, nodes: Mapping[str, Platform]) -> list[Job]:
        """Jobs of the usual kind that have run on each of these nodes before the world began, and succeeded."""
        like = self.plain(spec())
        return [self._past(like, node, platform) for node, platform in nodes.items()]

    def _past(self, like: JobSpec, node: str, platform: Platform) -> Job:
        job_id, end_ms = f"past-{node}", EPOCH_BEGAN_MS - 60_000
        start_ms = end_ms - round(self._work_ms / self.of(node))
        ran = Attempt(job_id, 1, node, state=AttemptState.EXITED, exit_code=0, platform=platform)
        ran = replace(ran, start_time_ms=start_ms, end_time_ms=end_ms)
        times = {"create_time_ms": start_ms, "start_time_ms": start_ms, "end_time_ms": end_ms}
        return Job(f"jobs/{job_id}", like, JobState.SUCCEEDED, epoch=2, attempts=(ran,), **times)

    def plain(self, wanted: JobSpec) -> JobSpec:
        """As most jobs are."""
        return replace(wanted, checkpoint=None, resources=Requests(_CORES, GIB))

    def work_ms(self) -> int:
        """How much work a job has: as much as others of its kind."""
        return self._work_ms


@at(Occurrence.JOB_DECIDED)
def nobody_waits_for_a_better_node_for_longer_than_it_wins(
    world: "World", _before: Job | None, after: Job
) -> str | None:
    """By when it has waited for as long as it would have won by that, a job starts where it can, or waits as any."""
    speeds, book, life = world.speeds, world.controller.book, world.controller.life
    if speeds is None:
        return None
    for job in [after, *(book.jobs[one] for one in speeds.waits if one in book.jobs and one != after.id)]:
        told = _TOLD.match(job.reason) if job.state is JobState.QUEUED else None
        if told is None:
            speeds.waits.pop(job.id, None)
            continue
        known = speeds.waits.get(job.id)
        if known is None or (known.life, known.epoch) != (life, job.epoch):
            room_ms, sooner_ms = (units.parse_duration(one) for one in told.groups())
            most_ms = room_ms + sooner_ms + book.policy.improving.matters_ms + _SLACK_MS
            known = Wait(life, job.epoch, book.wall_ms, book.wall_ms + most_ms)
            speeds.waits[job.id] = known
            world.past.patient[job.id] = None
        if book.wall_ms > known.until_ms:
            return f"{job.name} {job.reason}; it does since {book.wall_ms - known.since_ms} ms"
    return None


@at(Occurrence.JOB_DECIDED)
def nobody_waits_for_a_better_node_past_its_time(world: "World", _before: Job | None, after: Job) -> str | None:
    """Until then a job is not over its `timeouts.queue`; and one node is waited for by one job."""
    book = world.controller.book
    waiting = {one: found for one in book.turns.patience if (found := book.turns.patient(one, book.wall_ms))}
    for job_id, patience in waiting.items():
        job = book.jobs[job_id]
        over_ms = queue_over_ms(job)
        if over_ms is not None and patience.until_ms >= over_ms:
            return f"{job.name} waits until {patience.until_ms}, its time is over at {over_ms}"
    nodes = [node for one in waiting.values() for node in dict.fromkeys(one.kept.nodes)]
    twice = [node for node in nodes if nodes.count(node) > 1]
    return f"{after.name} changes, and {twice} are waited for by two" if twice else None
