"""What `explain` says would have a job start now does: each change is made, and the job starts where that said."""

from copy import deepcopy
from dataclasses import replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from controller.core import counterfactuals, model
from controller.core.book import Book, Policy
from controller.core.cluster import Cluster
from controller.core.explanations import explained
from controller.core.fairness import Fading
from controller.core.projects import Projects
from controller.core.stills import still
from headrace import query, units
from headrace.attempts import Platform
from headrace.explanations import Change, Explanation
from headrace.jobs import AcceleratorRequest, Emulation, Job, JobSpec, JobState, Network, Requests, Timeouts
from headrace.nodes import Capacity, Device, Engine, Health, NodeDescription
from headrace.projects import Declared, Quota
from headrace.sessions import Report
from tests.core.small_world import AMD64, ARM64, GIB, IMAGE, PINS

EMULATED = Platform("linux", "arm64", emulated=True)
QUOTAS = {"p": Declared(quota=Quota(cpu_millis=4000), borrows=False), "q": Declared(quota=Quota(cpu_millis=6000))}
MINUTE_MS = 60_000


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


def changed(spec: JobSpec, change: Change) -> JobSpec:
    """The job's file with that change in it."""
    wants, to = spec.resources, change.to_value
    request = wants.accelerators or AcceleratorRequest(1)
    match change.field:
        case "resources.memory":
            return replace(spec, resources=replace(wants, memory_bytes=units.parse_bytes(to)))
        case "resources.cpu":
            return replace(spec, resources=replace(wants, cpu_millis=units.parse_cpu(to)))
        case "resources.accelerators.count" if request.is_part:
            other = replace(request, share_millis=round(float(to) * 1000))
        case "resources.accelerators.count":
            other = replace(request, count=int(to))
        case "resources.accelerators.share.memory":
            other = replace(request, memory_bytes=units.parse_bytes(to))
        case "resources.accelerators":
            other = replace(request, where=replaced(request.where, change, query.DEVICE_FIELDS))
        case "tasks":
            return replace(spec, task_count=int(to))
        case "priority":
            return replace(spec, priority=int(to))
        case "where":
            return replace(spec, where=replaced(spec.where, change, query.NODE_FIELDS))
        case "emulation":
            return replace(spec, emulation=Emulation[to.upper()])
        case "network":
            return replace(spec, network=Network[to.upper()])
        case unknown:
            raise AssertionError(unknown)
    return replace(spec, resources=replace(wants, accelerators=other))


def replaced(where: str, change: Change, schema: query.Schema) -> str:
    parts = [str(one) for one in query.parts_of(query.parse(where, schema))]
    if change.from_value not in parts:
        assert change.from_value == where
        return change.to_value
    kept = [one for one in parts if one != change.from_value]
    return " and ".join(f"({one})" for one in [*kept, change.to_value] if one)


def made(before: Controller, spec: JobSpec, change: Change) -> tuple[Controller, JobSpec]:
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
    elif change.field.startswith("jobs/"):
        head = book.jobs[change.field.split()[0].removeprefix("jobs/")]
        book.put(replace(head, spec=replace(head.spec, priority=int(change.to_value))))
        book.queue.group()
        book.queue.taken_due(book.snapshot)
    else:
        spec = changed(spec, change)
    return after, spec


descriptions = st.builds(
    NodeDescription,
    region=st.sampled_from(("north", "south")),
    platforms=st.sampled_from(((AMD64,), (AMD64,), (AMD64,), (ARM64,), (replace(AMD64, emulated=True),))),
    capacity=st.builds(Capacity, st.sampled_from((4000, 8000, 16000)), st.sampled_from((8 * GIB, 32 * GIB))),
    host_network=st.booleans(),
)
devices = st.lists(
    st.builds(
        Device,
        id=st.just(""),
        kind=st.just("gpu"),
        vendor=st.just("nvidia"),
        model=st.sampled_from(("H100", "A100")),
        memory_bytes=st.sampled_from((16 * GIB, 80 * GIB)),
        health=st.just(Health.HEALTHY),
        shareable=st.booleans(),
    ),
    max_size=4,
).map(lambda some: tuple(replace(one, id=str(number)) for number, one in enumerate(some)))
requests = st.one_of(
    st.none(),
    st.builds(
        AcceleratorRequest,
        st.integers(1, 4),
        st.sampled_from(("", 'model == "H100"', 'kind == "gpu" and model == "A100"', "memory >= 40GiB")),
    ),
    st.builds(AcceleratorRequest, st.just(1), st.just(""), share_millis=st.sampled_from((250, 700))),
)
specs = st.builds(
    lambda project, resources, where, priority, tasks, limit, network: wanted(
        project=project,
        resources=resources,
        where=where,
        priority=priority,
        task_count=tasks,
        network=network,
        timeouts=Timeouts(run_ms=limit, start_ms=MINUTE_MS if tasks > 1 else None),
    ),
    st.sampled_from(("default", "default", "p", "q")),
    st.builds(Requests, st.integers(1, 24).map(lambda n: n * 500), st.integers(1, 36).map(lambda n: n * GIB), requests),
    st.sampled_from(("", "", 'region == "north"', 'region == "south" and free.cpu >= 2', 'arch == "amd64"')),
    st.integers(20, 75),
    st.sampled_from((1, 1, 1, 2, 3)),
    st.sampled_from((None, 10 * MINUTE_MS, 60 * MINUTE_MS)),
    st.sampled_from((Network.BRIDGE, Network.BRIDGE, Network.BRIDGE, Network.HOST)),
)
worlds = st.tuples(
    st.lists(st.tuples(descriptions, devices), min_size=1, max_size=5),
    st.lists(specs, max_size=7),
    st.booleans(),
)


def world_of(drawn: tuple[list[tuple[NodeDescription, tuple[Device, ...]]], list[JobSpec], bool]) -> Controller:
    nodes, filling, has_quotas = drawn
    world = Controller(QUOTAS if has_quotas else {"p": Declared(), "q": Declared()})
    for number, (description, some) in enumerate(nodes):
        world.node(f"n{number}", description, some)
    world.tick()
    for spec in filling:
        if not world_refuses(world):
            world.submit(spec)
    world.settle()
    return world


def world_refuses(world: Controller) -> bool:
    return all(AMD64 not in node.description.platforms for node in world.book.nodes.values())


@settings(max_examples=300, deadline=None)
@given(worlds, specs)
def test_what_would_have_a_job_start_now_has_it_start_there(drawn: object, spec: JobSpec) -> None:
    world = world_of(drawn)  # type: ignore[arg-type]
    found = world.explain(Job("", spec, images=PINS[:1]))

    assert len(found.changes) <= counterfactuals.MOST
    for change in found.changes:
        after, other = made(world, spec, change)
        job = after.submit(other)
        assert after.at(job) == change.nodes, change


@settings(max_examples=100, deadline=None)
@given(worlds, specs)
def test_a_job_that_is_said_to_start_now_does_and_one_that_has_changes_would_not(drawn: object, spec: JobSpec) -> None:
    world = world_of(drawn)  # type: ignore[arg-type]
    found = world.explain(Job("", spec, images=PINS[:1]))
    job = None if world_refuses(world) else deepcopy(world).submit(spec)

    assert found.outlook is not None
    starts = found.outlook.basis == "it fits now"
    assert job is None or starts == (job.state is JobState.STARTING)
    assert not (starts and found.changes)


@settings(max_examples=50, deadline=None)
@given(worlds, specs)
def test_to_explain_changes_nothing(drawn: object, spec: JobSpec) -> None:
    world = world_of(drawn)  # type: ignore[arg-type]
    untouched = deepcopy(world)
    for job in [Job("", spec, images=PINS[:1]), *world.book.jobs.values()]:
        world.explain(job)

    for one in (world, untouched):
        if not world_refuses(one):
            one.submit(spec)
        one.settle()
    assert world.book.jobs == untouched.book.jobs


@pytest.fixture
def world() -> Controller:
    made_one = Controller()
    for name, cores, memory, region in (("n1", 4, 8, "north"), ("n7", 16, 20, "south")):
        made_one.node(
            name, NodeDescription(region=region, platforms=(AMD64,), capacity=Capacity(cores * 1000, memory * GIB))
        )
    made_one.tick()
    return made_one


def test_the_least_that_helps_of_memory_and_of_cores_is_told_the_smaller_change_first(world: Controller) -> None:
    world.submit(wanted(resources=asks(2, 4), where='name == "n7"'))
    world.settle()

    found = world.explain(Job("", wanted(resources=asks(8, 24)), images=PINS))

    now_ms = world.book.wall_ms
    assert found.changes == (Change("resources.memory", "24GiB", "16GiB", ("n7",), now_ms),)
    assert (found.fitting_count, found.fitting_empty_count, found.node_count) == (0, 0, 2)
    more = world.explain(Job("", wanted(resources=asks(20, 16)), images=PINS))
    assert more.changes == (Change("resources.cpu", "20", "14", ("n7",), now_ms),)


def test_a_condition_that_is_in_the_way_is_named_alone(world: Controller) -> None:
    spec = wanted(resources=asks(8, 8), where='region == "north" and capacity.cpu >= 2')

    found = world.explain(Job("", spec, images=PINS))

    told = [(one.field, one.from_value, one.to_value, one.nodes) for one in found.changes]
    assert told == [("resources.cpu", "8", "4", ("n1",)), ("where", 'region == "north"', "", ("n7",))]


def told(found: Explanation) -> list[tuple[str, str, str, tuple[str, ...]]]:
    return [(one.field, one.from_value, one.to_value, one.nodes) for one in found.changes]


@pytest.fixture
def contended() -> Controller:
    """One node of four cores, of which two are had for ten minutes at most; and a job that waits for all four."""
    made_one = Controller()
    made_one.node("n1", NodeDescription(platforms=(AMD64,), capacity=Capacity(4000, 32 * GIB)))
    made_one.tick()
    made_one.submit(wanted(resources=asks(2), timeouts=Timeouts(run_ms=10 * MINUTE_MS)))
    made_one.submit(wanted(resources=asks(4), timeouts=Timeouts(run_ms=10 * MINUTE_MS)))
    made_one.settle()
    return made_one


def test_for_one_that_waits_behind_another_either_s_priority_is_named(contended: Controller) -> None:
    found = contended.explain(Job("", wanted(resources=asks(2)), images=PINS))

    assert told(found)[:2] == [("priority", "50", "51", ("n1",)), ("jobs/job-2 priority", "50", "49", ("n1",))]
    for change in found.changes:
        after, spec = made(contended, wanted(resources=asks(2)), change)
        assert after.at(after.submit(spec)) == ("n1",), change


def test_whoever_waits_is_told_when_what_it_waits_for_has_ended_by_its_limit(contended: Controller) -> None:
    head = contended.book.jobs["job-2"]

    found = contended.explain(head)

    assert found.outlook is not None
    assert found.outlook.basis == "once jobs/job-1 has ended"
    assert found.outlook.nodes == ("n1",)
    # Ten minutes of running, and ten seconds to leave.
    begun_ms = contended.book.jobs["job-1"].create_time_ms
    assert found.outlook.start_time_ms is not None
    assert begun_ms is not None
    assert 610_000 <= found.outlook.start_time_ms - begun_ms <= 620_000
    assert told(found) == [("resources.cpu", "4", "2", ("n1",))]


def test_one_that_has_others_before_it_starts_once_there_is_room_for_them_too(contended: Controller) -> None:
    for _ in range(3):
        contended.submit(wanted(resources=asks(4), timeouts=Timeouts(run_ms=MINUTE_MS)))
    contended.settle()
    last = contended.explain(contended.book.jobs["job-5"])

    assert last.outlook is not None
    assert last.outlook.jobs_before_count == 3
    # Those have not started: nothing says when the last of them will have ended.
    assert last.outlook.start_time_ms is None


def test_a_quota_that_is_in_the_way_is_told_with_what_would_do() -> None:
    world = Controller(QUOTAS)
    world.node("n1", NodeDescription(platforms=(AMD64,), capacity=Capacity(16_000, 32 * GIB)))
    world.tick()
    world.submit(wanted(project="p", resources=asks(3)))
    world.settle()

    found = world.explain(Job("", wanted(project="p", resources=asks(3)), images=PINS))

    assert told(found)[0] == ("projects.p.quota", "cpu = 4", "cpu = 6", ("n1",))
    assert world.book.projects.declared == QUOTAS


def test_another_model_of_device_and_fewer_of_them_are_told() -> None:
    world = Controller()
    for name, model_name, count in (("n1", "H100", 1), ("n2", "A100", 2)):
        some = tuple(
            Device(f"{name}-{number}", "gpu", "nvidia", model_name, number, health=Health.HEALTHY)
            for number in range(count)
        )
        world.node(name, NodeDescription(platforms=(AMD64,), capacity=Capacity(16_000, 32 * GIB)), some)
    world.tick()
    request = AcceleratorRequest(2, 'kind == "gpu" and model == "H100"')

    found = world.explain(Job("", wanted(resources=asks(1, 1, request)), images=PINS))

    assert told(found) == [
        ("resources.accelerators.count", "2", "1", ("n1",)),
        ("resources.accelerators", 'model == "H100"', 'model == "A100"', ("n2",)),
    ]


def test_a_gang_is_told_how_many_of_its_tasks_there_is_room_for(world: Controller) -> None:
    spec = wanted(task_count=8, resources=asks(4), timeouts=Timeouts(start_ms=MINUTE_MS))

    found = world.explain(world.submit(spec))

    assert ("tasks", "8", "5", ("n7", "n7", "n7", "n7", "n1")) in [
        (one[0], one[1], one[2], tuple(sorted(one[3], reverse=True))) for one in told(found)
    ]


def test_of_many_nodes_a_few_are_shown_and_all_are_counted() -> None:
    world = Controller()
    for number in range(100):
        about = NodeDescription(
            region="north" if number % 4 else "south", platforms=(AMD64,), capacity=Capacity(1000 * (1 + number), GIB)
        )
        world.node(f"n{number:03}", about)
    world.tick()

    found = world.explain(Job("", wanted(where='region == "north"', resources=asks(8)), images=PINS))

    assert len(found.candidates) < 12
    assert (found.node_count, found.fitting_count, found.fitting_empty_count) == (100, 70, 70)
    assert [(one.reason, one.node_count) for one in found.obstacles] == [
        ('does not match where: region == "north"', 23),
        ("has less than 8 cores free", 7),
    ]
    assert all(one.reason == "" for one in found.candidates[:5])
    assert [one.reason for one in found.candidates[5:]].count("has less than 8 cores free") == 2
