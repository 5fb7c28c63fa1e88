"""Row 4: placements a second in the core, on ten thousand nodes, of 64 shapes: one by one, together, and in arrays."""

import gc
import random
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace

from benchmarks import setting as settings
from benchmarks.figures import Ratio, Row, Series
from benchmarks.plan_held import hold
from controller.core import model
from controller.core.book import Book, Policy
from controller.core.cluster import Cluster
from controller.core.placement.batch import choose_many
from controller.core.placement.demand import Demand, demand_of
from controller.core.placement.fit import Place
from controller.core.placement.tables import Tables
from headrace.attempts import Platform
from headrace.jobs import AcceleratorRequest, ImagePin, Job, JobSpec, JobState, Requests
from headrace.nodes import Capacity, Device, Engine, Health, NodeDescription
from headrace.sessions import Report

NODES, SHAPES, QUEUED = 10_000, 64, 100_000
ROUNDS = 3
ONE_BY_ONE, TOGETHER, IN_ARRAYS, ARRAY, WHOLE_ARRAYS = 2_000, 2_000, 100_000, 1_000, 6
SINGLE_BOUND, ARRAY_BOUND = 20_000.0, 200_000.0
P50_BOUND_MS, P99_BOUND_MS = 20.0, 100.0
GIB = 1 << 30
# CPU, memory and six devices: eight dimensions.
DEVICES = 6
MODELS = ("small", "middle", "large")
AMD64 = Platform("linux", "amd64")
IMAGE = "registry.example/nothing:1"
PINS = (ImagePin(AMD64, "registry.example/nothing@sha256:" + "a" * 64, IMAGE),)
BEGIN_MS = 1_700_000_000_000


async def measure(_: settings.Setting) -> Row:
    """Measures the row. It needs no engine."""
    return measured()


def measured() -> Row:
    """The row: each round begins with an empty cluster that knows what is usually asked for."""
    rounds = [_round(random.Random(seed)) for seed in range(ROUNDS)]  # noqa: S311 -- A seed that can be repeated.
    one_by_one, together, arrays, made, events, whole, queued = zip(*rounds, strict=True)
    millis = tuple(one for latencies in queued for one in latencies)
    series = (
        Series("core: chosen and held one by one", "placements/s", one_by_one),
        Series(f"core: {TOGETHER} of all shapes at once, chosen and held", "placements/s", together),
        Series(f"core: arrays of {ARRAY}, chosen and held", "placements/s", arrays),
        Series(f"core: arrays of {ARRAY}, with a record of each place", "placements/s", made),
        Series("controller: submitted, placed, told, an event each", "placements/s", events),
        Series(f"controller: arrays of {ARRAY}, submitted, placed, told", "placements/s", whole),
        Series(f"controller: submitted, with {QUEUED} queued", "ms", millis),
    )
    ratios = (
        Ratio("of all shapes at once", series[1].p50, SINGLE_BOUND, at_least=True, unit="/s"),
        Ratio("arrays", series[2].p50, ARRAY_BOUND, at_least=True, unit="/s"),
        Ratio("one by one", series[0].p50, unit="/s"),
        Ratio(f"submitted, {QUEUED} queued, p50", series[6].p50, P50_BOUND_MS, unit="ms"),
        Ratio(f"submitted, {QUEUED} queued, p99", series[6].p99, P99_BOUND_MS, unit="ms"),
    )
    notes = (
        "seconds of this process' own CPU: other programs do not count; no garbage is collected meanwhile",
        "a third of the shapes ask for no device, a third for a share of one, a third for whole ones",
        "half of those for devices ask for a model, and a fifth of all shapes for a region",
        "core: a snapshot in, a plan out, with all constraints and costs, and the snapshot is as the plan has it then",
    )
    title = f"placements a second in the core: {NODES} nodes, CPU, memory and {DEVICES} devices each, {SHAPES} shapes"
    return Row(4, title, series, ratios, notes)


def _round(draw: random.Random) -> tuple[float, float, float, float, float, float, list[float]]:
    specs = [_spec(draw, number) for number in range(SHAPES)]
    with _undisturbed():
        full = Controller()
        full.nodes_come()
        for spec in specs:
            full.submit(spec)
        events = _a_second(lambda: full.submit_all(draw.choices(specs, k=ONE_BY_ONE)))
        whole = _a_second(lambda: sum(map(full.submit_array, draw.choices(specs, k=WHOLE_ARRAYS))))
        one_by_one = _one_by_one(full.cluster.book, draw.choices(specs, k=ONE_BY_ONE))
        # Costs are worked out anew when the mix has been learned anew.
        _together(full.cluster.book, specs)
        together = _together(full.cluster.book, draw.choices(specs, k=TOGETHER))
        arrays, made = (_in_arrays(draw, specs, with_records=one) for one in (False, True))
        return one_by_one, together, arrays, made, events, whole, _with_a_queue(full, draw, specs)


def by_nodes(count: int, seed: int) -> tuple[float, float]:
    """With so many nodes: placements a second, submitted, placed and told; and chosen and held one by one."""
    draw = random.Random(seed)  # noqa: S311 -- A seed that can be repeated.
    specs = [_spec(draw, number) for number in range(SHAPES)]
    # No more than has room.
    jobs = min(ONE_BY_ONE, 2 * count)
    with _undisturbed():
        one = Controller()
        one.nodes_come(count)
        for spec in specs:
            one.submit(spec)
        events = _a_second(lambda: one.submit_all(draw.choices(specs, k=jobs)))
        return events, _one_by_one(one.cluster.book, draw.choices(specs, k=jobs))


class Controller:
    """The controller's core, and nodes that report once."""

    def __init__(self) -> None:
        self.cluster = Cluster(Book("bench", Policy(lease_ms=10**9), (), ()))
        self._number, self._now_ms = 0, 0
        self.tick()

    def tick(self) -> None:
        """Half a second passes."""
        self._now_ms += 500
        self.cluster.handle(model.Ticked(self._now_ms, BEGIN_MS + self._now_ms))

    def nodes_come(self, count: int = NODES) -> None:
        """All of them report."""
        for number in range(count):
            self.cluster.handle(model.Reported(_report(number)))

    def submit(self, spec: JobSpec) -> bool:
        """Whether it has a place at once."""
        self._number += 1
        name = f"nothing-{self._number}"
        self.cluster.handle(model.Submitted(self._number, name, spec, PINS, name))
        return self.cluster.book.jobs[name].state is JobState.STARTING

    def submit_all(self, specs: list[JobSpec]) -> int:
        """How many have a place."""
        return sum(map(self.submit, specs))

    def submit_array(self, spec: JobSpec) -> int:
        """How many of its elements have places, once all have had their turn."""
        self._number += 1
        name = f"array-{self._number}"
        array = replace(spec, element_count=ARRAY)
        self.cluster.handle(model.Submitted(self._number, name, array, PINS, name))
        book = self.cluster.book
        while True:
            elements = book.relations.families[name]
            if len(elements.live) == ARRAY and not elements.waiting_count:
                return ARRAY
            self.tick()


@contextmanager
def _undisturbed() -> Iterator[None]:
    gc.collect()
    gc.disable()
    try:
        yield
    finally:
        gc.enable()


def _a_second(place: Callable[[], int]) -> float:
    begun = time.process_time()
    placed = place()
    return placed / (time.process_time() - begun)


def _one_by_one(book: Book, specs: list[JobSpec]) -> float:
    jobs = [Job("jobs/nothing", spec, images=PINS) for spec in specs]
    demands = dict(zip(map(id, specs), map(demand_of, jobs), strict=True))
    tables, snapshot = book.tables, book.snapshot

    def place() -> int:
        placed = 0
        for job in jobs:
            found = tables.choose(demands[id(job.spec)], job, now_wall_ms=BEGIN_MS)
            if isinstance(found, Place):
                slot = snapshot.slots[found.node]
                snapshot.hold(slot, snapshot.usages[slot].plus(job.spec, found.devices))
                placed += 1
        return placed

    return _a_second(place)


def _together(book: Book, specs: list[JobSpec]) -> float:
    """Those of each shape in one pass; of their places records, too."""
    tables = book.tables

    def place() -> int:
        jobs = {id(spec): Job("jobs/nothing", spec, images=PINS) for spec in specs}
        counts = Counter(map(id, specs))
        return sum(_given(tables, demand_of(job), job, counts[of], with_records=True) for of, job in jobs.items())

    return _a_second(place)


def _in_arrays(draw: random.Random, specs: list[JobSpec], *, with_records: bool) -> float:
    """As many as nearly fill the cluster."""
    one = Controller()
    one.nodes_come()
    for spec in specs:
        one.submit(spec)
    tables = one.cluster.book.tables
    asked = [Job("jobs/nothing", spec, images=PINS) for spec in draw.choices(specs, k=IN_ARRAYS // ARRAY)]
    demands: list[tuple[Demand, Job]] = [(demand_of(job), job) for job in asked]

    return _a_second(
        lambda: sum(_given(tables, demand, job, ARRAY, with_records=with_records) for demand, job in demands)
    )


def _given(tables: Tables, demand: Demand, job: Job, count: int, *, with_records: bool) -> int:
    """How many of so many equal jobs have places now."""
    placed = 0
    while placed < count:
        found = choose_many(tables, demand, job, count - placed, now_wall_ms=BEGIN_MS)
        if isinstance(found, str):
            break
        hold(tables.snapshot, job.spec, found)
        placed += len(list(found) if with_records else found)
    return placed


def _with_a_queue(one: Controller, draw: random.Random, specs: list[JobSpec]) -> list[float]:
    """In milliseconds, each submission while many wait for more than there is."""
    large = [_spec(draw, number, cpu_millis=1_000_000) for number in range(SHAPES)]
    one.submit_all([large[number % SHAPES] for number in range(QUEUED)])
    one.tick()
    millis = []
    for spec in draw.choices(specs, k=ONE_BY_ONE):
        begun = time.process_time()
        one.submit(spec)
        millis.append(1000 * (time.process_time() - begun))
    return millis


def _report(number: int) -> Report:
    model_name = MODELS[number % len(MODELS)]
    devices = tuple(
        Device(
            f"{number}-{index}",
            "gpu",
            "nvidia",
            model_name,
            index,
            memory_bytes=80 * GIB,
            health=Health.HEALTHY,
            shareable=True,
        )
        for index in range(DEVICES)
    )
    region = "north" if number % 2 else "south"
    description = NodeDescription(region=region, platforms=(AMD64,), capacity=Capacity(64_000, 256 * GIB))
    return Report(f"node-{number}", 1, 1, description, devices, engine=Engine(reachable=True))


def _spec(draw: random.Random, number: int, *, cpu_millis: int = 0) -> JobSpec:
    resources = Requests(cpu_millis or 1000 * draw.randint(1, 8), GIB * draw.randint(1, 32), _asked(draw, number % 3))
    where = 'region == "north"' if draw.random() < 0.2 else ""
    return JobSpec("nothing", IMAGE, resources=resources, where=where)


def _asked(draw: random.Random, kind: int) -> AcceleratorRequest | None:
    where = f'model == "{draw.choice(MODELS)}"' if draw.random() < 0.5 else ""
    if kind == 0:
        return None
    if kind == 1:
        return AcceleratorRequest(1, where, share_millis=50 * draw.randint(2, 16))
    return AcceleratorRequest(draw.choice((1, 1, 1, 2, 4)), where)
