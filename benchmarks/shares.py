"""`python -m benchmarks.shares`: what tenants have had of a simulated day, beside what each was due.

The controller's real core decides; nodes, and how long jobs take, are simulated. Jobs of every tenant always wait.
"""

import argparse
import heapq
import sys
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from random import Random

from benchmarks import record
from benchmarks.figures import Curve, Ratio, Row
from controller.core import model as controller
from controller.core.book import Book, Policy
from controller.core.cluster import Cluster
from controller.core.fairness import Fading
from controller.core.projects import Projects
from headrace.attempts import Attempt, AttemptState, Platform
from headrace.jobs import AcceleratorRequest, ImagePin, JobSpec, Requests
from headrace.nodes import Capacity, Cpu, Device, Engine, Health, NodeDescription
from headrace.projects import Declared
from headrace.sessions import Goal, Report

NODES = 12
# How far from its share a tenant may end, as a part of it.
TO_REACH = 0.05
DAY_MS = 86_400_000
# Nodes need not report more often for this.
LEASE_MS = 3_600_000
# So many jobs of each tenant wait at any time.
BACKLOG = 3
GIB = 1 << 30
MINUTE_MS = 60_000
# How often it is looked what each has had.
LOOK_MS = 30 * MINUTE_MS
EPOCH_MS = 1_700_000_000_000
PLATFORM = Platform("linux", "amd64")
PIN = ImagePin(PLATFORM, "registry.example/job@sha256:" + "a" * 64, "registry.example/job:1")


@dataclass(frozen=True, slots=True)
class Kind:
    """A kind of job: what it asks for, and within which times it ends."""

    cpu_millis: int
    device: str = ""
    count: int = 1
    minutes: tuple[int, int] = (10, 60)

    @property
    def requests(self) -> Requests:
        """What it asks for."""
        wanted = AcceleratorRequest(self.count, f'kind == "{self.device}"') if self.device else None
        return Requests(self.cpu_millis, self.cpu_millis * GIB // 1000, wanted)


ON_CPU, ON_GPU, ON_NPU = Kind(2_000), Kind(4_000, "gpu"), Kind(4_000, "npu", minutes=(20, 40))


@dataclass(frozen=True, slots=True)
class Tenant:
    """A project: its weight, which kinds of jobs it has, and from when on."""

    weight: float
    kinds: tuple[Kind, ...]
    comes_ms: int = 0


# All have jobs of all kinds; then each has one of its own, and they meet at the processors.
SCENARIOS: Mapping[str, Mapping[str, Tenant]] = {
    "mixed": {
        "one": Tenant(1, (ON_CPU, ON_GPU, ON_NPU)),
        "two": Tenant(2, (ON_CPU, ON_GPU, ON_NPU)),
        "three": Tenant(3, (ON_CPU, ON_GPU, ON_NPU)),
    },
    "one kind each": {"cpu": Tenant(1, (ON_CPU,)), "gpu": Tenant(2, (ON_GPU,)), "npu": Tenant(1, (ON_NPU,))},
}


@dataclass(frozen=True, slots=True)
class Had:
    """What a tenant has had: its part of all unit-seconds, and the part that it was due."""

    tenant: str
    part: float
    due: float
    jobs: int

    @property
    def off(self) -> float:
        """How far from its share, as a part of it."""
        return abs(self.part / self.due - 1)


class Day:
    """One day of one cluster."""

    def __init__(self, tenants: Mapping[str, Tenant], *, nodes: int, seed: int) -> None:
        self.rng = Random(seed)  # noqa: S311 - a world, no secret.
        self.tenants = tenants
        policy = Policy(lease_ms=LEASE_MS, doubt_ms=LEASE_MS)
        declared = {name: Declared(tenant.weight) for name, tenant in tenants.items()}
        projects = Projects(declared, Fading(policy.half_life_ms, policy.share_ahead_ms))
        self.book = Book("day", policy, (), (), projects)
        self.cluster = Cluster(self.book)
        self.now_ms = 0
        self.events = 0
        self.ended = dict.fromkeys(tenants, 0)
        # What each has had of all by then, as a part of what it was due: hours, and that.
        self.seen: dict[str, list[tuple[float, float]]] = {name: [] for name in tenants}
        self._look_ms = LOOK_MS
        self._count = 0
        self._sequence = 0
        self._minutes: dict[str, tuple[int, int]] = {}
        # What is to happen: when, in which order, to which node, and which attempt of its ends, if one does.
        self._ahead: list[tuple[int, int, str, Attempt | None]] = []
        self._running: dict[str, dict[str, Attempt]] = {f"n{number:03}": {} for number in range(nodes)}
        self._waiting = dict.fromkeys(tenants, 0)

    def run(self, length_ms: int = DAY_MS) -> None:
        """Lets it pass."""
        self._tick()
        for node in self._running:
            self._report(node)
            self._later(LEASE_MS // 4, node, None)
        while self._ahead and self._ahead[0][0] <= length_ms:
            self._fill()
            self.now_ms, _, node, ended = heapq.heappop(self._ahead)
            self._tick()
            self._look()
            if ended is not None:
                over = Attempt(ended.job, ended.epoch, node, state=AttemptState.EXITED, exit_code=0)
                self._running[node][ended.job] = over
                self.ended[ended.job.partition("-")[0]] += 1
            else:
                self._later(LEASE_MS // 4, node, None)
            self._report(node)
        self.now_ms = length_ms
        self._tick()
        self._look()

    def had(self) -> tuple[Had, ...]:
        """What came of it."""
        uses = {name: self.book.projects.use(name, self.book.wall_ms).unit_seconds for name in self.tenants}
        weights = sum(tenant.weight for tenant in self.tenants.values())
        total = sum(uses.values())
        return tuple(
            Had(name, uses[name] / total, tenant.weight / weights, self.ended[name])
            for name, tenant in self.tenants.items()
        )

    def _look(self) -> None:
        if self.now_ms < self._look_ms:
            return
        self._look_ms = self.now_ms - self.now_ms % LOOK_MS + LOOK_MS
        for had in self.had():
            self.seen[had.tenant].append((self.now_ms / (60 * MINUTE_MS), had.part / had.due))

    def _fill(self) -> None:
        """Every tenant that has come has jobs that wait."""
        waiting = dict.fromkeys(self.tenants, 0)
        for job in self.book.jobs.values():
            waiting[job.spec.project] += not job.node
        for name, tenant in self.tenants.items():
            while tenant.comes_ms <= self.now_ms and waiting[name] < BACKLOG:
                if not self._submit(name, self.rng.choice(tenant.kinds)):
                    waiting[name] += 1

    def _submit(self, tenant: str, kind: Kind) -> bool:
        """A job more; answers whether it has begun at once."""
        self._count += 1
        name = f"{tenant}-{self._count}"
        self._minutes[name] = kind.minutes
        spec = JobSpec(tenant, PIN.reference, resources=kind.requests, project=tenant)
        self._handle(controller.Submitted(self._count, name, spec, (PIN,), name))
        return bool(self.book.jobs[name].node)

    def _tick(self) -> None:
        self._handle(controller.Ticked(self.now_ms, EPOCH_MS + self.now_ms))

    def _report(self, node: str) -> None:
        self._sequence += 1
        attempts = tuple(self._running[node].values())
        self._running[node] = {one.job: one for one in attempts if not one.ended}
        engine = Engine(reachable=True, message="simulated")
        report = Report(node, 1, self._sequence, _DESCRIPTION, _devices(node), attempts=attempts, engine=engine)
        self._handle(controller.Reported(report))

    def _handle(self, event: controller.Event) -> None:
        self.events += 1
        for effect in self.cluster.handle(event):
            if isinstance(effect, controller.Assign):
                for placement in effect.assignment.placements:
                    if placement.goal is Goal.RUN and placement.job not in self._running[effect.node]:
                        self._begin(effect.node, Attempt(placement.job, placement.epoch, state=AttemptState.RUNNING))

    def _begin(self, node: str, attempt: Attempt) -> None:
        self._running[node][attempt.job] = attempt
        shortest, longest = self._minutes[attempt.job]
        self._later(self.rng.randint(shortest * MINUTE_MS, longest * MINUTE_MS), node, attempt)

    def _later(self, millis: int, node: str, ended: Attempt | None) -> None:
        self._count += 1
        heapq.heappush(self._ahead, (self.now_ms + millis, self._count, node, ended))


_DESCRIPTION = NodeDescription(
    hostname="simulated",
    cpu=Cpu(threads=16),
    platforms=(PLATFORM,),
    capacity=Capacity(16_000, 64 * GIB, 1 << 40),
)


def _devices(node: str) -> tuple[Device, ...]:
    return tuple(
        Device(f"{node}-{kind}-{number}", kind, "maker", "model", memory_bytes=80 * GIB, health=Health.HEALTHY)
        for kind in ("gpu", "npu")
        for number in range(2)
    )


def measured(*, nodes: int, seeds: int) -> Row:
    """Runs the days, says what came of each, and answers what the history keeps of them."""
    curves: list[Curve] = []
    worst = dict.fromkeys(SCENARIOS, 0.0)
    sys.stdout.write("scenario       seed  tenant  jobs   due     had     off\n")
    for scenario, tenants in SCENARIOS.items():
        for seed in range(seeds):
            day, began = Day(tenants, nodes=nodes, seed=seed), time.process_time()
            day.run()
            micros = (time.process_time() - began) * 1e6 / day.events
            for had in day.had():
                worst[scenario] = max(worst[scenario], had.off)
                numbers = f"{had.jobs:5}  {had.due:6.2%}  {had.part:6.2%}  {had.off:5.2%}"
                sys.stdout.write(f"{scenario:13}  {seed:4}  {had.tenant:6} {numbers}\n")
            sys.stdout.write(f"{'':13}  {day.events} events, {micros:.0f} µs each\n")
            if seed == 0:
                curves += _curves(scenario, day)
    ratios = tuple(
        Ratio(f"{name}: the worst off its share", off, TO_REACH, unit="of it") for name, off in worst.items()
    )
    title = f"tenants' shares of a simulated day, {nodes} nodes, {seeds} seeds"
    return Row("shares", title, (), ratios, curves=tuple(curves))


def _curves(scenario: str, day: Day) -> Iterator[Curve]:
    for tenant, points in day.seen.items():
        name = f"{scenario}: {tenant}, weight {day.tenants[tenant].weight:g}"
        yield Curve("shares", "shares", name, "hours", "had of all, to its share", tuple(points), grows=False)


def main(arguments: Sequence[str]) -> int:
    """Runs the days; 1 if a tenant is further from its share than it may be."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.shares", description=__doc__)
    parser.add_argument("--nodes", type=int, default=NODES, help="of 16 cores, two GPUs and two NPUs each")
    parser.add_argument("--seeds", type=int, default=3)
    record.add_publish(parser)
    chosen = parser.parse_args(arguments)
    kept, before = record.Record("benchmarks.shares", arguments, publish=chosen.publish), record.load()
    row = measured(nodes=chosen.nodes, seeds=chosen.seeds)
    kept.add(row, before, part="curve shares")
    worst = max(ratio.value for ratio in row.ratios)
    sys.stdout.write(f"the worst is {worst:.2%} off its share; to reach: {TO_REACH:.0%}\n")
    return 1 if kept.missed else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
