"""A cluster that is simulated, event by event, with jobs placed and moved by the controller's own functions."""

import heapq
import math
import random
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from enum import Enum
from functools import partial

from benchmarks.gavel_jobs import CLUSTER, FIGURES, SimulatedJob, Throughputs, hardware, profile
from controller.core.placement.choice import chosen
from controller.core.placement.gains import Reluctance, Runner, proposals
from controller.core.placement.speeds import Speed, Speeds

KINDS = tuple(CLUSTER)
_HARDWARE = tuple(hardware(kind) for kind in KINDS)
_FIGURES = tuple(FIGURES[kind] for kind in KINDS)

# How much runs of one job differ, and what is read off a run from what it does: standard deviations of logarithms.
RUN_NOISE, READ_NOISE = 0.05, 0.02
# When a run's speed is read first; and how often the cluster is looked at though nothing happens.
READ_SECONDS, LOOK_SECONDS = 300.0, 1_800.0
# While a target brings image and checkpoint the job runs on, and holds both places.
PREFETCH_SECONDS = 60.0


class Knowledge(Enum):
    """What the placement knows of speeds."""

    # Nothing; a job goes where the share of devices that are taken is least.
    NONE = "agnostic"
    # What the datasheets say, and nothing else.
    FIGURES = "datasheets"
    # Nothing but datasheets at first, and then what runs show.
    LEARNED = "learned"
    # All of the file beforehand.
    KNOWN = "known"


@dataclass(frozen=True, slots=True)
class Policy:
    """How jobs are placed."""

    knowledge: Knowledge
    moves: bool = False
    reluctance: Reluctance = field(default_factory=Reluctance)

    @property
    def name(self) -> str:
        """As tables have it."""
        return f"{self.knowledge.value}{', moves' if self.moves else ''}"


@dataclass(slots=True)
class _Run:
    """A job that has begun and not ended."""

    job: SimulatedJob
    place: str
    per_second: float
    since: float
    # From when on its steps are counted anew; a job that stands still has one that lies ahead.
    counted: float
    done: float = 0.0
    version: int = 0
    target: str = ""
    read: bool = False
    left: tuple[str, ...] = ()
    moves: int = 0


@dataclass(frozen=True, slots=True)
class Outcome:
    """What became of the jobs: how long each took from its arrival to its end, and how often it moved."""

    seconds: tuple[float, ...]
    moves: tuple[int, ...]


class World:
    """One run of one policy over one list of jobs."""

    def __init__(
        self,
        throughputs: Throughputs,
        jobs: Sequence[SimulatedJob],
        policy: Policy,
        *,
        seed: int,
        downtime_seconds: float,
    ) -> None:
        self._true = throughputs.by_type
        self._jobs = jobs
        self._policy = policy
        # For each job and place the same, whatever the policy does.
        self._seed = seed
        self._chance = random.Random(f"{seed} reads")  # noqa: S311 - nothing is to be kept secret.
        self._downtime_seconds = downtime_seconds
        self._downtimes: list[float] = []
        self._now = 0.0
        self._room = dict(CLUSTER)
        self._waiting: list[SimulatedJob] = []
        self._runs: dict[int, _Run] = {}
        self._events: list[tuple[float, int, Callable[[], None]]] = []
        self._count = 0
        self._ended: dict[int, tuple[float, int]] = {}
        self._speeds = Speeds()
        if policy.knowledge is Knowledge.KNOWN:
            for name, speeds in self._true.items():
                for kind, per_second in speeds.items():
                    self._speeds.observe(profile(name), hardware(kind), per_second)

    def run(self, progress: Callable[[int], None]) -> Outcome:
        """Until all jobs have ended."""
        for job in self._jobs:
            self._at(job.arrives_seconds, partial(self._waiting.append, job))
        self._at(0.0, self._look)
        while len(self._ended) < len(self._jobs):
            self._now, _, happen = heapq.heappop(self._events)
            happen()
            self._settle()
            progress(len(self._ended))
        ended = [self._ended[job.number] for job in self._jobs]
        return Outcome(tuple(one for one, _ in ended), tuple(moves for _, moves in ended))

    def _at(self, seconds: float, happen: Callable[[], None]) -> None:
        self._count += 1
        heapq.heappush(self._events, (seconds, self._count, happen))

    def _look(self) -> None:
        self._at(self._now + LOOK_SECONDS, self._look)

    # What the controller decides.

    def _settle(self) -> None:
        if self._policy.moves:
            self._propose()
        room = {kind: count for kind, count in self._room.items() if count > 0}
        if not room or not self._waiting:
            return
        if self._policy.knowledge is Knowledge.NONE:
            while self._waiting and any(self._room.values()):
                least = min(KINDS, key=lambda kind: (1 - self._room[kind] / CLUSTER[kind], kind))
                self._begin(self._waiting.pop(0), least)
            return
        first = {str(job.number): job for job in self._waiting[: sum(room.values())]}
        for name, place in chosen([(name, self._hoped(job)) for name, job in first.items()], room):
            self._waiting.remove(first[name])
            self._begin(first[name], place)

    def _hoped(self, job: SimulatedJob) -> dict[str, float]:
        # A job that can be moved again may be tried where nothing like it ran.
        told = self._told(job)
        return {kind: one.optimistic if self._policy.moves else one.per_second for kind, one in told.items()}

    def _told(self, job: SimulatedJob) -> dict[str, Speed]:
        told = self._speeds.told(profile(job.type), _HARDWARE, _FIGURES)
        return {kind: one for kind, one in zip(KINDS, told, strict=True) if one is not None}

    def _propose(self) -> None:
        room = {kind: count for kind, count in self._room.items() if count > 0}
        if not room:
            return
        runners = [self._runner(run) for run in self._runs.values() if not run.target and run.read]
        for one in proposals(runners, room, self._cost, self._policy.reluctance):
            self._move(self._runs[int(one.job)], one.target)

    def _runner(self, run: _Run) -> Runner:
        told = self._told(run.job)
        rest = run.job.steps - self._done(run)
        here = rest / told[run.place].per_second
        # Where it runs, its speed is measured; elsewhere it is what a pessimist makes of it.
        there = {kind: rest / one.pessimistic for kind, one in told.items() if kind != run.place}
        return Runner(str(run.job.number), run.place, here, there, self._now - run.since, run.left)

    def _cost(self, runner: Runner, target: str) -> float:  # noqa: ARG002 - the simulated cost does not depend on it.
        newest = sorted(self._downtimes[-3:])
        return newest[len(newest) // 2] if newest else self._downtime_seconds

    # What happens.

    def _begin(self, job: SimulatedJob, place: str) -> None:
        self._room[place] -= 1
        run = self._runs[job.number] = _Run(job, place, self._speed(job, place), self._now, self._now)
        self._goes_on(run)

    def _goes_on(self, run: _Run) -> None:
        run.version += 1
        version = run.version
        end = run.counted + (run.job.steps - run.done) / run.per_second
        self._at(end, lambda: self._end(run) if run.version == version else None)
        self._at(run.since + READ_SECONDS, lambda: self._read(run) if run.version == version else None)

    def _read(self, run: _Run) -> None:
        run.read = True
        if self._policy.knowledge is Knowledge.LEARNED:
            seen = run.per_second * math.exp(self._chance.gauss(0.0, READ_NOISE))
            self._speeds.observe(profile(run.job.type), hardware(run.place), seen)

    def _end(self, run: _Run) -> None:
        self._read(run)
        self._room[run.place] += 1
        if run.target:
            self._room[run.target] += 1
        run.version += 1
        del self._runs[run.job.number]
        self._ended[run.job.number] = (self._now - run.job.arrives_seconds, run.moves)

    def _move(self, run: _Run, target: str) -> None:
        run.target = target
        self._room[target] -= 1
        self._at(self._now + PREFETCH_SECONDS, lambda: self._freeze(run) if run.job.number in self._runs else None)

    def _freeze(self, run: _Run) -> None:
        run.done = self._done(run)
        self._room[run.place] += 1
        run.left = (*run.left, run.place)
        downtime = self._downtime_seconds * math.exp(self._chance.gauss(0.0, 0.3))
        self._downtimes.append(downtime)
        run.place, run.target, run.read, run.moves = run.target, "", False, run.moves + 1
        run.since = run.counted = self._now + downtime
        run.per_second = self._speed(run.job, run.place)
        self._goes_on(run)

    def _done(self, run: _Run) -> float:
        return run.done + max(0.0, self._now - run.counted) * run.per_second

    def _speed(self, job: SimulatedJob, kind: str) -> float:
        luck = random.Random(f"{self._seed} {job.number} {kind}")  # noqa: S311 - as above.
        return self._true[job.type][kind] * math.exp(luck.gauss(0.0, RUN_NOISE))
