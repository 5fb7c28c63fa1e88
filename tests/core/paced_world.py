"""The controller's core, and nodes that run what they are told, each at a pace of its own: a day in seconds."""

import math
import random
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field, replace
from typing import Any

from controller.core import improvements
from controller.core import model as controller
from controller.core.book import Book, Policy
from controller.core.cluster import Cluster
from controller.core.improving import Improving
from controller.core.placement.fit import Place, fit
from headrace.attempts import EXIT_SAVED, Attempt, AttemptState, Checkpoint, Steps
from headrace.events import Event
from headrace.jobs import Job, JobSpec, JobState, Migration, MigrationCause
from headrace.nodes import Cpu, Device, Engine, Load, Node
from headrace.sessions import Assignment, Goal, Prefetched, PrefetchState, Report
from tests.core.small_world import AMD64, PINS, description, spec

TICK_MS = 20_000
EPOCH_BEGAN_MS = 1_700_000_000_000
USUAL = Improving()
# Steps a second of a job on a node.
Pace = Callable[[str, str, int], float]


@dataclass
class Run:
    """An attempt on a node: what was read of its steps, since its beginning."""

    attempt: Attempt
    begun: float
    since_ms: int


@dataclass
class Site:
    """A node and what it runs."""

    node: Node
    runs: dict[tuple[str, int], Run] = field(default_factory=dict)
    wanted: Assignment | None = None


class PacedWorld:
    """Jobs have steps, of which each node does so many a second. They obey, and save all that they have done."""

    def __init__(
        self, nodes: Iterable[Node], pace: Pace, numbers: Improving = USUAL, *, noise: float = 0.0, seed: int = 0
    ) -> None:
        self.now_ms = 0
        self._pace = pace
        self._noise = noise
        self._chance = random.Random(seed)
        self.policy = Policy(lease_ms=600_000, improving=numbers)
        self.sites = {one.id: Site(one) for one in nodes}
        self.jobs: dict[str, Job] = {}
        self.nodes: dict[str, Node] = {}
        self.notes: list[str] = []
        self.done: dict[str, float] = {}
        self._totals: dict[str, int] = {}
        self._told: dict[str, bool] = {}
        self._sequence = 0
        self.cluster = Cluster(Book("cluster-1", self.policy, (), ()))
        self.pass_time(TICK_MS)

    @property
    def book(self) -> Book:
        """What the controller knows."""
        return self.cluster.book

    def submit(self, job_id: str, steps: int, *, tells: bool = True, **changes: object) -> Job:
        """A job of so many steps, which may not tell of them."""
        self._totals[job_id], self._told[job_id], self.done[job_id] = steps, tells, 0.0
        wanted: JobSpec = spec(**changes)
        self._heard(controller.Submitted(1, job_id, wanted, PINS))
        return self.jobs[job_id]

    def ask(self, event: Any) -> None:
        """Somebody asks for something."""
        self._heard(event)

    def restart(self) -> None:
        """The controller is killed, and begins anew from what was saved."""
        live = tuple(one for one in self.jobs.values() if not one.ended)
        nodes, ended = tuple(self.nodes.values()), self.jobs.values()
        self.cluster = Cluster(Book("cluster-1", self.policy, live, nodes, ended=ended))
        self._heard(self._ticked())
        for site in self.sites.values():
            site.node = replace(site.node, session=site.node.session + 1)

    def better_place(self, job: str) -> Place | None:
        """Where a job that runs would be moved for speed, and where it fits; None: nowhere."""
        one = self.jobs[job]
        found = improvements.improvement(self.book, one) if one.state is JobState.RUNNING else None
        if found is None:
            return None
        target = self.book.nodes[found.place.node]
        assert isinstance(fit(one, target, self.book.usage(target.id), now_wall_ms=0), Place)
        return found.place

    def pass_time(self, millis: int) -> None:
        """Lets time pass."""
        for _ in range(millis // TICK_MS):
            self.now_ms += TICK_MS
            self._heard(self._ticked())
            for site in self.sites.values():
                self._works(site)
                self._reports(site)

    def moves(self, cause: MigrationCause | None = None) -> list[tuple[str, Migration]]:
        """All moves so far, or those with that cause."""
        return [(job.id, move) for job in self.jobs.values() for move in job.migrations if cause in (None, move.cause)]

    def _ticked(self) -> controller.Ticked:
        return controller.Ticked(self.now_ms, EPOCH_BEGAN_MS + self.now_ms)

    def _heard(self, event: Any) -> None:
        for effect in self.cluster.handle(event):
            match effect:
                case controller.Save(Job() as job):
                    self.jobs[job.id] = job
                case controller.Save(Node() as node):
                    self.nodes[node.id] = node
                case controller.Save(Event() as happening):
                    self.notes.append(f"{happening.reason}: {happening.message}")
                case controller.Assign(node, assignment):
                    self.sites[node].wanted = assignment

    def _works(self, site: Site) -> None:
        for (job, _), run in site.runs.items():
            if run.attempt.state is AttemptState.RUNNING:
                self.done[job] += self._pace(job, site.node.id, self.now_ms) * TICK_MS / 1000
                if self.done[job] >= self._totals[job]:
                    run.attempt = replace(run.attempt, state=AttemptState.EXITED, exit_code=0)
                elif self._told[job]:
                    run.attempt = replace(run.attempt, steps=self._steps(job, run))
        for placement in site.wanted.placements if site.wanted is not None else ():
            key = (placement.job, placement.epoch)
            run = site.runs.setdefault(key, Run(_begun(site, *key), self.done[placement.job], self.now_ms))
            if placement.goal is not Goal.RUN and run.attempt.state is AttemptState.RUNNING:
                saved = Checkpoint(f"sha256:{key}", placement.epoch, 1, size_bytes=100)
                run.attempt = replace(
                    run.attempt,
                    state=AttemptState.EXITED,
                    exit_code=EXIT_SAVED,
                    stop_requested=True,
                    saved_on_request=True,
                    checkpoint=saved,
                )
        wanted = [(one.job, one.epoch) for one in site.wanted.placements] if site.wanted is not None else []
        site.runs = {key: run for key, run in site.runs.items() if key in wanted}

    def _steps(self, job: str, run: Run) -> Steps:
        counted = (self.done[job] - run.begun) * math.exp(self._chance.gauss(0, self._noise))
        return Steps(int(self.done[job]), self._totals[job], max(1, int(counted)), self.now_ms - run.since_ms)

    def _reports(self, site: Site) -> None:
        self._sequence += 1
        fetched = tuple(
            Prefetched(one.job, one.image, one.checkpoint, PrefetchState.READY)
            for one in (site.wanted.prefetches if site.wanted is not None else ())
        )
        node = site.node
        attempts = tuple(run.attempt for run in site.runs.values())
        self._heard(
            controller.Reported(
                Report(
                    node.id,
                    node.session + 1,
                    self._sequence,
                    node.description,
                    node.devices,
                    Load(),
                    Engine(reachable=True),
                    attempts,
                    fetched,
                )
            )
        )


def _begun(site: Site, job: str, epoch: int) -> Attempt:
    return Attempt(job, epoch, site.node.id, state=AttemptState.RUNNING)


def node(name: str, cpu: str = "EPYC", *cards: str, cores: int = 4) -> Node:
    """A node with such a processor and such devices."""
    devices = tuple(Device(f"{name}-{n}", "gpu", "nvidia", card, n, shareable=True) for n, card in enumerate(cards))
    about = replace(description(AMD64, cpu_millis=1000 * cores), cpu=Cpu(cpu, threads=cores))
    return Node(f"nodes/{name}", description=about, devices=devices)
