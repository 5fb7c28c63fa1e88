"""`python -m benchmarks.arrays`: what an array costs its controller, beside as many jobs of their own.

The core and the store are the real ones, in one process; nodes are reports made here. Each element begins, runs, ends.
"""

import argparse
import resource
import sys
import tempfile
import time
from dataclasses import dataclass, field, replace
from pathlib import Path

from controller.core.book import Book, Policy
from controller.core.cluster import Cluster
from controller.core.model import Assign, Event, Reported, Save, Submitted, Ticked
from controller.store import Store
from headrace.attempts import Attempt, AttemptState, Platform
from headrace.ids import task_id
from headrace.jobs import ImagePin, Job, JobSpec, Requests
from headrace.nodes import Capacity, Cpu, Engine, Load, NodeDescription
from headrace.sessions import Placement, Report

AMD64 = Platform("linux", "amd64")
IMAGE = "registry.example/nothing:1"
PINS = (ImagePin(AMD64, "registry.example/nothing@sha256:" + "a" * 64, IMAGE, 1_000),)
SPEC = JobSpec("sweep", IMAGE, resources=Requests(1_000, 1 << 30))
STEP_MS = 500
BEGAN_MS = 1_700_000_000_000


@dataclass
class Site:
    """A controller's core and store, and what its nodes were told last."""

    store: Store
    cluster: Cluster
    placements: dict[str, tuple[Placement, ...]] = field(default_factory=dict)
    seen: dict[tuple[str, int], bool] = field(default_factory=dict)
    sequence: int = 0
    now_ms: int = 0
    core_seconds: float = 0.0
    store_seconds: float = 0.0
    most_live: int = 0
    array_saves: int = 0

    def handle(self, *events: Event) -> None:
        """One batch: judged, then saved in one transaction."""
        begun = time.perf_counter()
        effects = [effect for event in events for effect in self.cluster.handle(event)]
        judged = time.perf_counter()
        saves = [effect.record for effect in effects if isinstance(effect, Save)]
        if saves:
            self.store.commit(saves)
        self.core_seconds += judged - begun
        self.store_seconds += time.perf_counter() - judged
        self.placements |= {one.node: one.assignment.placements for one in effects if isinstance(one, Assign)}
        self.most_live = max(self.most_live, len(self.cluster.book.jobs))
        self.array_saves += any(isinstance(one, Job) and one.is_array for one in saves)

    def step(self, nodes: list[str]) -> None:
        """Half a second: each node says that what it was told runs, or that what ran has ended."""
        self.now_ms += STEP_MS
        self.sequence += 1
        self.handle(Ticked(self.now_ms, BEGAN_MS + self.now_ms), *map(self._report, nodes))

    def join(self, nodes: list[str], slots: int) -> None:
        """Nodes that have each room for so many."""
        capacity = Capacity(1_000 * slots, 2 * slots << 30, 100 << 30)
        about = NodeDescription(hostname="host", cpu=Cpu(threads=slots), platforms=(AMD64,), capacity=capacity)
        self.sequence += 1
        self.handle(*(Reported(replace(self._report(one).report, description=about)) for one in nodes))

    def _report(self, node: str) -> Reported:
        attempts = tuple(self._attempt(one) for one in self.placements.get(node, ()))
        engine = Engine(reachable=True)
        return Reported(Report(node, 1, self.sequence, load=Load(), engine=engine, attempts=attempts))

    def _attempt(self, placement: Placement) -> Attempt:
        runs = not self.seen.get((placement.job, placement.epoch), False)
        self.seen[placement.job, placement.epoch] = True
        attempt = Attempt(placement.job, placement.epoch)
        if runs:
            return replace(attempt, state=AttemptState.RUNNING)
        return replace(attempt, state=AttemptState.EXITED, exit_code=0)


def measured(count: int, *, nodes: int, slots: int, as_array: bool, folder: Path) -> str:
    """Submits, and runs all to their ends; a line on what that took."""
    store = Store.open(f"sqlite:///{folder / 'controller.db'}")
    site = Site(store, Cluster(Book(store.cluster, Policy(), (), ())))
    names = [f"n{number}" for number in range(nodes)]
    site.handle(Ticked(site.now_ms, BEGAN_MS))
    site.join(names, slots)
    if as_array:
        wanted = [Submitted(1, "sweep", replace(SPEC, element_count=count), PINS, "array")]
    else:
        wanted = [Submitted(number, task_id("sweep", number), SPEC, PINS, f"{number}") for number in range(count)]
    begun = time.perf_counter()
    site.handle(*wanted)
    submitted = time.perf_counter()
    while site.cluster.book.jobs:
        site.step(names)
    ended = time.perf_counter()
    store.close()
    peak_mib = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss >> 10
    return (
        f"{'array' if as_array else 'jobs':6} submitted in {submitted - begun:6.3f} s; all ended after "
        f"{ended - begun:6.2f} s ({count / (ended - begun):5.0f}/s; core {site.core_seconds:5.2f} s, "
        f"store {site.store_seconds:5.2f} s); at most {site.most_live} live records; the array saved in "
        f"{site.array_saves} batches; peak of the process {peak_mib} MiB"
    )


def main(arguments: list[str]) -> int:
    """Measures both, one after the other, in new stores."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.arrays", description=__doc__)
    parser.add_argument("--elements", type=int, default=10_000)
    parser.add_argument("--nodes", type=int, default=20)
    parser.add_argument("--slots", type=int, default=20, help="how many of them a node has room for")
    chosen = parser.parse_args(arguments)
    for as_array in (True, False):
        with tempfile.TemporaryDirectory(prefix="headrace-arrays-") as folder:
            place = {"nodes": chosen.nodes, "slots": chosen.slots, "folder": Path(folder)}
            sys.stdout.write(measured(chosen.elements, as_array=as_array, **place) + "\n")
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
