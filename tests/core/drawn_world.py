"""Small clusters that a seed decides, in which jobs wait for many reasons: what is said of them can be judged."""

import random
from collections.abc import Collection, Mapping
from dataclasses import replace

from controller.core import model
from controller.core.past_runs import PastRun
from controller.core.placement.profiles import profile_of
from headrace.attempts import Attempt, AttemptState
from headrace.jobs import AcceleratorRequest, Exclusion, Job, JobSpec, JobState, Requests, Timeouts
from headrace.neighbours import Neighbours
from headrace.nodes import Capacity, Cpu, Device, Drain, Engine, Health, NodeDescription
from headrace.projects import Declared, Quota
from headrace.sessions import Prefetched, Report
from tests.core.lone_controller import MINUTE_MS, Controller, wanted
from tests.core.small_world import AMD64, CONTRACT, GIB, PINS

PROJECTS = ("default", "p", "q", "r")
NAMES = ("a", "b", "x")
# Jobs that are on a node, or are to be.
PLACED = (JobState.STARTING, JobState.RUNNING, JobState.FREEZING, JobState.CANCELLING)
LEAVES = (JobState.FREEZING, JobState.CANCELLING)
# Whoever waits for its turn is looked at again within that.
REVIEWED_MS = 12_000
# On some nodes a job runs so many times as long as on the others.
_MINUTES = {"Atom": 20, "EPYC": 4}


class DrawnWorld(Controller):
    """A controller with nodes that report what they are told to run."""

    def __init__(self, seed: int) -> None:
        self.draw = draw = random.Random(seed)
        super().__init__(_declared(draw))
        self.sites: dict[str, tuple[NodeDescription, tuple[Device, ...]]] = {}
        self.sequence = 1
        makes = draw.choice((("EPYC",), ("EPYC", "Atom")))
        for number in range(draw.randint(1, 5)):
            self.sites[f"n{number}"] = _node(draw, makes)
            self.report(f"n{number}")
        self.tick()
        if len(makes) > 1:
            self._learn()
        for _ in range(draw.randint(6, 24)):
            self._act()
        # Some are asked in the middle of all that.
        self.is_at_rest = draw.random() < 0.8
        for _ in range(draw.randint(3, 24) if self.is_at_rest else 0):
            self.tick()

    def offer(self, wanted: JobSpec) -> Job | None:
        """The job, if it is taken on. Of those that come in one moment the ids are in the order of their coming."""
        self.count += 1
        name = f"job-{self.count:03}"
        self.cluster.handle(model.Submitted(self.count, name, wanted, PINS[:1], name))
        return self.book.jobs.get(name)

    def report(
        self, node: str, *, over: Mapping[str, int] | None = None, prefetched: tuple[Prefetched, ...] = ()
    ) -> None:
        """All that the node is to run does run; but those that are `over`, with their exit codes."""
        self.sequence += 1
        description, devices = self.sites[node]
        attempts = [_attempt(job, over or {}) for job in self.book.jobs_at(node) if job.node == node]
        engine = Engine(reachable=True)
        report = Report(
            node, 1, self.sequence, description, devices, engine=engine, attempts=tuple(attempts), prefetched=prefetched
        )
        self.cluster.handle(model.Reported(report))

    def waiting(self) -> list[Job]:
        """Jobs, gangs and arrays that wait for places."""
        return [
            one
            for one in self.book.jobs.values()
            if one.state is JobState.QUEUED and not one.gang and not one.waits_for
        ]

    def waiting_count(self, job: Job) -> int:
        """How many elements of an array wait; of another job, whether it does."""
        if job.is_array:
            return sum(one.array == job.id and one.state is JobState.QUEUED for one in self.book.jobs.values())
        now = self.book.jobs.get(job.id)
        return int(now is not None and now.state is JobState.QUEUED)

    def at(self, job: Job) -> tuple[str, ...]:
        """Where the job is; nowhere, while not all of its tasks are somewhere."""
        found = super().at(job) if job.id in self.book.jobs else ()
        return found if all(found) else ()

    def pass_time(self, millis: int) -> None:
        """In ticks, while nothing else happens."""
        for _ in range(millis // 500):
            self.tick()

    def _learn(self) -> None:
        for cores in range(1, 17):
            for name in NAMES:
                spec = wanted(display_name=name, resources=Requests(cores * 500, GIB))
                for node, (description, _) in self.sites.items():
                    run = PastRun(node, AMD64, (), MINUTE_MS * _MINUTES[description.cpu.model])
                    for _ in range(3):
                        self.book.learned.observe(profile_of(spec), run, None)
        self.book.learned.renew()

    def _act(self) -> None:
        draw, number = self.draw, self.draw.random()
        if number < 0.55:
            self.offer(drawn_spec(draw))
        elif number < 0.68:
            self.tick(draw.choice((500, 1000, 10_000, 60_000, 700_000)))
        elif number < 0.75:
            for name in self.sites:
                self.report(name)
        elif number < 0.85:
            self._end_one()
        elif number < 0.89:
            if self.book.jobs:
                self.cluster.handle(model.CancelAsked(0, draw.choice(list(self.book.jobs))))
        elif number < 0.95:
            drain = draw.choice((Drain.CORDONED, Drain.DRAINING, Drain.NONE, Drain.NONE))
            self.cluster.handle(model.DrainAsked(0, draw.choice(list(self.sites)), drain, force=draw.random() < 0.5))
        else:
            self._exclude_one()

    def _end_one(self) -> None:
        there = [one for one in self.book.jobs.values() if one.node and one.state in PLACED]
        if there:
            job = self.draw.choice(there)
            self.report(job.node)
            self.report(job.node, over={job.id: self.draw.choice((0, 0, 1))})

    def _exclude_one(self) -> None:
        jobs = [one for one in self.waiting() if not one.is_array]
        if jobs:
            until_ms = self.book.wall_ms + self.draw.choice((2_000, MINUTE_MS))
            excluded = Exclusion(self.draw.choice(list(self.sites)), "it failed there", until_ms)
            self.book.put(replace(self.draw.choice(jobs), exclusions=(excluded,)))


def drawn_spec(draw: random.Random) -> JobSpec:
    """What a job asks for."""
    asked, others = _devices(draw)
    tasks, name = draw.choice((1, 1, 1, 1, 2, 3)), draw.choice(NAMES)
    beside = (*(None,) * 8, Neighbours(("x",)), Neighbours((name,)), Neighbours(spread="node"))
    limit_ms = draw.choice((None, None, MINUTE_MS, 10 * MINUTE_MS, 60 * MINUTE_MS))
    spec = wanted(
        display_name=name,
        project=draw.choice(PROJECTS),
        task_count=tasks,
        # The last may have others leave.
        priority=draw.choice((20, 40, 50, 50, 60, 75, 79, draw.choice((50, 50, 85)))),
        resources=Requests(draw.randint(1, 16) * 500, draw.randint(1, 8) * GIB, asked, others),
        where=draw.choice((*("",) * 5, 'region == "north"', "free.cpu >= 2")),
        checkpoint=draw.choice((CONTRACT, CONTRACT, None)),
        neighbours=draw.choice(beside),
        timeouts=Timeouts(run_ms=limit_ms, start_ms=10 * MINUTE_MS if tasks > 1 else None),
    )
    return replace(spec, element_count=3) if tasks == 1 and draw.random() < 1 / 6 else spec


def _devices(draw: random.Random) -> tuple[AcceleratorRequest | None, tuple[AcceleratorRequest, ...]]:
    number = draw.random()
    if number < 0.25:
        where = draw.choice(("", 'model == "H100"', 'kind == "gpu" and model == "A100"', "memory >= 40GiB"))
        other = AcceleratorRequest(draw.randint(1, 3), "memory >= 16GiB")
        return AcceleratorRequest(draw.randint(1, 4), where), (other,) if draw.random() < 0.3 else ()
    if number < 0.4:
        return AcceleratorRequest(1, "", share_millis=draw.choice((250, 500, 700))), ()
    return None, ()


def _declared(draw: random.Random) -> dict[str, Declared]:
    kind = draw.choice(("none", "shares", "quotas", "all"))
    if kind == "none":
        return {name: Declared() for name in PROJECTS[1:]}
    has_quotas = kind in ("quotas", "all")
    return {name: _project(draw, has_quota=has_quotas and draw.random() < 0.7) for name in PROJECTS[1:]}


def _project(draw: random.Random, *, has_quota: bool) -> Declared:
    quota = Quota(draw.choice((None, 8000)), draw.choice((None, 2000)), draw.choice((4000, 6000, 8000)))
    weight = draw.choice((0.5, 1.0, 1.0, 2.0))
    return Declared(weight=weight, quota=quota if has_quota else Quota(), borrows=draw.random() < 0.5)


def _node(draw: random.Random, makes: Collection[str]) -> tuple[NodeDescription, tuple[Device, ...]]:
    description = NodeDescription(
        region=draw.choice(("north", "south")),
        cpu=Cpu(draw.choice(list(makes)), threads=4),
        platforms=(AMD64,),
        capacity=Capacity(draw.choice((4000, 8000, 16_000)), draw.choice((8, 16, 32)) * GIB),
    )
    devices = tuple(_device(draw, number) for number in range(draw.choice((0, 0, 1, 2, 4))))
    return description, devices


def _device(draw: random.Random, number: int) -> Device:
    return Device(
        id=str(number),
        kind="gpu",
        vendor="nvidia",
        model=draw.choice(("H100", "A100")),
        memory_bytes=draw.choice((16, 80)) * GIB,
        health=Health.HEALTHY,
        shareable=draw.random() < 0.6,
    )


def _attempt(job: Job, over: Mapping[str, int]) -> Attempt:
    return Attempt(
        job.gang or job.id,
        job.epoch,
        job.node,
        task=job.task,
        state=AttemptState.EXITED if job.id in over else AttemptState.RUNNING,
        exit_code=over.get(job.id),
        stop_requested=job.state in LEAVES,
        saved_on_request=job.state in LEAVES and job.id in over,
    )
