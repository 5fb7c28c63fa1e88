"""The controller's core alone, with nodes that a test makes up; and changes that `explain` tells, made."""

from copy import deepcopy
from dataclasses import replace

from controller.core import model
from controller.core.book import Book, Policy
from controller.core.cluster import Cluster
from controller.core.explanations import explained
from controller.core.fairness import Fading
from controller.core.projects import Projects
from controller.core.stills import still
from headrace import query, units
from headrace.explanations import Change, Edit, Explanation
from headrace.jobs import AcceleratorRequest, Candidate, Emulation, Job, JobSpec, Network, Requests
from headrace.nodes import Device, Drain, Engine, NodeDescription
from headrace.projects import Declared
from headrace.sessions import Report
from tests.core.small_world import GIB, IMAGE, PINS

MINUTE_MS = 60_000


def candidates(book: Book, job: Job) -> tuple[Candidate, ...]:
    """Those that `explain` shows."""
    return explained(still(book), job).candidates


class Controller:
    """The core alone: nodes report, jobs are submitted, time passes, and nothing ever ends."""

    def __init__(self, declared: dict[str, Declared] | None = None) -> None:
        policy = Policy(lease_ms=10**9)
        projects = Projects(declared or {}, Fading(policy.half_life_ms, policy.share_ahead_ms))
        self.cluster = Cluster(Book("law", policy, (), (), projects))
        self.now_ms = 0
        self.count = 0
        self.tick()

    @property
    def book(self) -> Book:
        return self.cluster.book

    def tick(self, millis: int = 500) -> None:
        self.now_ms += millis
        self.cluster.handle(model.Ticked(self.now_ms, 1_700_000_000_000 + self.now_ms))

    def node(self, name: str, description: NodeDescription, devices: tuple[Device, ...] = ()) -> None:
        self.cluster.handle(model.Reported(Report(name, 1, 1, description, devices, engine=Engine(reachable=True))))

    def submit(self, wanted: JobSpec) -> Job:
        self.count += 1
        name = f"job-{self.count}"
        self.cluster.handle(model.Submitted(self.count, name, wanted, PINS[:1], name))
        return self.book.jobs[name]

    def settle(self) -> None:
        for _ in range(6):
            self.tick(1_000)

    def explain(self, job: Job) -> Explanation:
        return explained(still(self.book), job)

    def at(self, job: Job) -> tuple[str, ...]:
        """Where the job is, each of its tasks."""
        book = self.book
        now = book.jobs[job.id]
        return tuple(task.node for task in book.tasks(now)) if now.is_gang else (now.node,) if now.node else ()


def asks(cpu: int = 1, memory: int = 1, devices: AcceleratorRequest | None = None) -> Requests:
    return Requests(cpu * 1000, memory * GIB, devices)


def wanted(**changes: object) -> JobSpec:
    return replace(JobSpec("wanted", IMAGE, resources=asks()), **changes)  # type: ignore[arg-type]


def changed(spec: JobSpec, change: Change | Edit) -> JobSpec:
    """The job's file with that change in it."""
    wants, to = spec.resources, change.to_value
    if change.field.startswith("resources.accelerators"):
        return with_other_devices(spec, change)
    match change.field:
        case "resources.memory":
            return replace(spec, resources=replace(wants, memory_bytes=units.parse_bytes(to)))
        case "resources.cpu":
            return replace(spec, resources=replace(wants, cpu_millis=units.parse_cpu(to)))
        case "tasks":
            return replace(spec, task_count=int(to))
        case "priority":
            return replace(spec, priority=int(to))
        case "where":
            return replace(spec, where=replaced(spec.where, change, query.NODE_FIELDS))
        case "emulation":
            return replace(spec, emulation=Emulation[to.upper()])
        case "apart_from" if spec.neighbours is not None:
            return replace(spec, neighbours=replace(spec.neighbours, apart_from=()))
        case "network":
            return replace(spec, network=Network[to.upper()])
        case unknown:
            raise AssertionError(unknown)


def with_other_devices(spec: JobSpec, change: Change | Edit) -> JobSpec:
    """The same, of what is said of devices, or of one of several sorts of them."""
    wants, to = spec.resources, change.to_value
    assert wants.accelerators is not None
    requests = [wants.accelerators, *wants.alternatives]
    field = change.field.removeprefix("resources.accelerators")
    which = int(field[1 : field.index("]")]) if field.startswith("[") else 0
    assert field.startswith("[") == bool(wants.alternatives)
    request = requests[which]
    match field.partition("]")[2] if field.startswith("[") else field:
        case ".count" if request.is_part:
            requests[which] = replace(request, share_millis=round(float(to) * 1000))
        case ".count":
            requests[which] = replace(request, count=int(to))
        case ".share.memory":
            requests[which] = replace(request, memory_bytes=units.parse_bytes(to))
        case "":
            requests[which] = replace(request, where=replaced(request.where, change, query.DEVICE_FIELDS))
        case unknown:
            raise AssertionError(unknown)
    return replace(spec, resources=replace(wants, accelerators=requests[0], alternatives=tuple(requests[1:])))


def replaced(where: str, change: Change | Edit, schema: query.Schema) -> str:
    parts = [str(one) for one in query.parts_of(query.parse(where, schema))]
    if change.from_value not in parts:
        assert change.from_value == where
        return change.to_value
    kept = [one for one in parts if one != change.from_value]
    return " and ".join(f"({one})" for one in [*kept, change.to_value] if one)


def made(before: Controller, spec: JobSpec, change: Change | Edit) -> tuple[Controller, JobSpec]:
    """Another controller, in which the change was made, and what is to be submitted to it."""
    after = deepcopy(before)
    book = after.book
    if change.field.startswith("projects."):
        project = change.field.split(".")[1]
        quota = book.projects.declared[project].quota
        for part in change.to_value.split(", "):
            name, _, value = part.partition(" = ")
            field = {"units": "unit_millis", "devices": "device_millis", "cpu": "cpu_millis"}[name]
            quota = replace(quota, **{field: round(float(value) * 1000)})
        book.projects.declared[project] = replace(book.projects.declared[project], quota=quota)
    elif change.field.endswith(" drain"):
        node = change.field.split()[0].removeprefix("nodes/")
        after.cluster.handle(model.DrainAsked(0, node, Drain[change.to_value.upper()]))
    elif change.field.endswith(" apart_from"):
        head = change.field.split()[0].removeprefix("jobs/")
        others = tuple(one for one in change.to_value.split(", ") if one)
        for job in list(book.jobs.values()):
            if head in (job.id, job.gang, job.array) and job.spec.neighbours is not None:
                content = replace(job.spec.neighbours, apart_from=others)
                book.put(replace(job, spec=replace(job.spec, neighbours=content)))
        book.queue.group()
        book.queue.taken_due(book.snapshot)
    elif change.field.startswith("jobs/"):
        head = book.jobs[change.field.split()[0].removeprefix("jobs/")]
        book.put(replace(head, spec=replace(head.spec, priority=int(change.to_value))))
        book.queue.group()
        book.queue.taken_due(book.snapshot)
    else:
        spec = changed(spec, change)
    return after, spec
