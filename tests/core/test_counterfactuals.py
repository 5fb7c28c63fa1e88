"""What `explain` says would have a job start now does: each change is made, and the job starts where that said."""

from copy import deepcopy
from dataclasses import replace

from hypothesis import given, settings
from hypothesis import strategies as st

from controller.core import counterfactuals, model
from controller.core.explanations import explained
from controller.core.stills import still
from headrace.explanations import Change, Edit
from headrace.jobs import AcceleratorRequest, Job, JobSpec, JobState, Network, Requests, Timeouts
from headrace.neighbours import Neighbours
from headrace.nodes import Capacity, Device, Drain, Health, NodeDescription
from headrace.projects import Declared, Quota
from tests.core.lone_controller import MINUTE_MS, Controller, made, wanted
from tests.core.small_world import AMD64, ARM64, GIB, PINS

QUOTAS = {"p": Declared(quota=Quota(cpu_millis=4000), borrows=False), "q": Declared(quota=Quota(cpu_millis=6000))}

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
    st.none(),
    st.none(),
    st.builds(
        AcceleratorRequest,
        st.integers(1, 4),
        st.sampled_from(("", 'model == "H100"', 'kind == "gpu" and model == "A100"', "memory >= 40GiB")),
    ),
    st.builds(AcceleratorRequest, st.just(1), st.just(""), share_millis=st.sampled_from((250, 700))),
)


def of_any(cpu_millis: int, memory_bytes: int, request: AcceleratorRequest | None, count: int) -> Requests:
    """What asks for these devices; or, with a `count` and of whole ones, for so many others if there are none."""
    if request is None or request.is_part or count in (0, request.count):
        return Requests(cpu_millis, memory_bytes, request)
    return Requests(cpu_millis, memory_bytes, request, (AcceleratorRequest(count, "memory >= 16GiB"),))


def specs_of(*, most_cores: int, most_gib: int, limits: tuple[int | None, ...]) -> st.SearchStrategy[JobSpec]:
    return st.builds(
        lambda project, resources, where, priority, tasks, limit, network, name, beside: wanted(
            display_name=name,
            neighbours=beside,
            project=project,
            resources=resources,
            where=where,
            priority=priority,
            task_count=tasks,
            network=network,
            timeouts=Timeouts(run_ms=limit, start_ms=MINUTE_MS if tasks > 1 else None),
        ),
        st.sampled_from(("default", "default", "default", "p", "q")),
        st.builds(
            of_any,
            st.integers(1, 2 * most_cores).map(lambda n: n * 500),
            st.integers(1, most_gib).map(lambda n: n * GIB),
            requests,
            st.sampled_from((0, 0, 1, 3)),
        ),
        st.sampled_from(("", "", "", 'region == "north"', 'region == "south" and free.cpu >= 2', 'arch == "amd64"')),
        st.integers(20, 75),
        st.sampled_from((1, 1, 1, 2, 3)),
        st.sampled_from(limits),
        st.sampled_from((Network.BRIDGE, Network.BRIDGE, Network.BRIDGE, Network.HOST)),
        st.sampled_from(("wanted", "wanted", "x")),
        st.sampled_from((*(None,) * 5, Neighbours(("x",)), Neighbours(("wanted",)), Neighbours(spread="node"))),
    )


specs = specs_of(most_cores=12, most_gib=12, limits=(None, None, MINUTE_MS, 60 * MINUTE_MS))
worlds = st.tuples(
    st.lists(st.tuples(descriptions, devices), min_size=1, max_size=4),
    st.lists(specs_of(most_cores=6, most_gib=4, limits=(None, 10 * MINUTE_MS, 60 * MINUTE_MS)), min_size=2, max_size=9),
    st.booleans(),
)


def world_of(
    drawn: tuple[list[tuple[NodeDescription, tuple[Device, ...]]], list[JobSpec], bool], *, closed: int = 0
) -> Controller:
    """So many of the nodes are `closed`."""
    nodes, filling, has_quotas = drawn
    world = Controller(QUOTAS if has_quotas else {"p": Declared(), "q": Declared()})
    for number, (description, some) in enumerate(nodes):
        world.node(f"n{number}", description, some)
    world.tick()
    for node in list(world.book.nodes)[:closed]:
        world.cluster.handle(model.DrainAsked(0, node, Drain.CORDONED))
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
        # What has others leave first has a law of its own.
        assert change.leaving or started(world, spec, change) == change.nodes, change


def started(world: Controller, spec: JobSpec, *edits: Change | Edit) -> tuple[str, ...]:
    """Where a job starts once these changes are made, that of a quota last: by it those before the job start first."""
    after = world
    for edit in sorted(edits, key=lambda one: one.field.endswith(".quota")):
        if edit.field.endswith(".quota"):
            waiting = deepcopy(after)
            job = waiting.submit(spec)
            after, _ = made(waiting, spec, edit)
            after.settle()
            return after.at(job)
        after, spec = made(after, spec, edit)
    return after.at(after.submit(spec))


# Of one project, so that nothing is left to another that has had less; and no gangs, which have places all at once.
plain = specs_of(most_cores=6, most_gib=4, limits=(None, 10 * MINUTE_MS)).map(
    lambda spec: replace(spec, project="p", task_count=1, timeouts=replace(spec.timeouts, start_ms=None))
)
crowded = st.tuples(
    st.lists(st.tuples(descriptions, devices), min_size=1, max_size=4),
    st.lists(plain, min_size=3, max_size=8),
    st.booleans(),
)


@settings(max_examples=100, deadline=None)
@given(crowded, st.integers(0, 2))
def test_what_others_would_have_to_change_for_one_that_waits_has_it_start_there(drawn: object, closed: int) -> None:
    world = world_of(drawn, closed=closed)  # type: ignore[arg-type]
    for job in [one for one in world.book.jobs.values() if one.state is JobState.QUEUED]:
        for change in world.explain(job).changes:
            if change.field.endswith((" drain", " apart_from", ".quota")) and not change.leaving:
                after, _ = made(world, job.spec, change)
                after.settle()
                assert after.at(job) == change.nodes, change


# Jobs that take several sorts of devices, and quotas of each figure: which sort they are given is what they count for.
sorts = st.builds(
    AcceleratorRequest,
    st.integers(1, 4),
    st.sampled_from(("", 'model == "H100"', 'model == "A100"', 'kind == "npu"', 'kind == "gpu"', "memory >= 40GiB")),
)
of_several_sorts = st.builds(
    lambda cpu, some, priority, limit: wanted(
        project="p",
        priority=priority,
        timeouts=Timeouts(run_ms=limit),
        resources=Requests(500 * cpu, GIB, some[0], tuple(some[1:])) if some else Requests(500 * cpu, GIB),
    ),
    st.integers(1, 8),
    st.lists(sorts, max_size=3, unique_by=lambda one: (one.count, one.where)),
    st.integers(20, 75),
    st.sampled_from((None, 10 * MINUTE_MS)),
)
of_two_kinds = devices.flatmap(
    lambda some: st.lists(st.sampled_from(("gpu", "gpu", "npu")), min_size=len(some), max_size=len(some)).map(
        lambda kinds: tuple(replace(one, kind=kind) for one, kind in zip(some, kinds, strict=True))
    )
)
quotas = st.builds(
    Quota,
    st.sampled_from((None, None, 4000, 8000, 12_000)),
    st.sampled_from((None, 1000, 2000, 3000, 4000)),
    st.sampled_from((None, 4000, 8000)),
)


@settings(max_examples=60, deadline=None)
@given(
    st.lists(st.tuples(descriptions, of_two_kinds), min_size=1, max_size=4),
    st.lists(of_several_sorts, min_size=3, max_size=9),
    quotas,
)
def test_a_quota_is_told_with_where_a_job_starts_by_it_that_takes_several_sorts_of_devices(
    nodes: list[tuple[NodeDescription, tuple[Device, ...]]], asked: list[JobSpec], quota: Quota
) -> None:
    world = Controller({"p": Declared(quota=quota, borrows=False)})
    for number, (description, some) in enumerate(nodes):
        world.node(f"n{number}", description, some)
    world.tick()
    for spec in asked if not world_refuses(world) else ():
        world.submit(spec)
    world.settle()

    for job in [one for one in world.book.jobs.values() if one.state is JobState.QUEUED]:
        for change in world.explain(job).changes:
            if change.field.endswith(".quota"):
                after, _ = made(world, job.spec, change)
                after.settle()
                assert after.at(job) == change.nodes, change


# Jobs of which more than one thing is too much, and of a project whose quota is.
choosy = specs.flatmap(
    lambda spec: st.builds(
        lambda cpu, memory, where, request, project: replace(
            spec, resources=Requests(cpu * 1000, memory * GIB, request), where=where, project=project
        ),
        st.sampled_from((2, 6, 12, 20)),
        st.sampled_from((4, 24, 40)),
        st.sampled_from(("", 'region == "north"', 'region == "south" and free.cpu >= 2', 'region == "west"')),
        requests,
        st.sampled_from(("default", "p", "q")),
    )
)


@settings(max_examples=300, deadline=None)
@given(worlds, choosy)
def test_two_changes_together_have_a_job_start_there_and_neither_does_alone(drawn: object, spec: JobSpec) -> None:
    world = world_of(drawn)  # type: ignore[arg-type]
    found = world.explain(Job("", spec, images=PINS[:1]))

    assert len(found.joint_changes) <= counterfactuals.MOST_JOINT
    assert not (found.changes and found.joint_changes)
    for joint in found.joint_changes:
        first, second = joint.edits
        for one, other in ((first, second), (second, first)):
            before, alone = made(world, spec, one)
            assert not starts(before, alone), one
            assert started(world, spec, one, other) == joint.nodes, joint


def starts(world: Controller, spec: JobSpec) -> bool:
    """Whether it would; one that would be refused would not."""
    other = deepcopy(world)
    try:
        return any(other.at(other.submit(spec)))
    except KeyError:
        return False


@settings(max_examples=100, deadline=None)
@given(worlds, specs)
def test_a_job_that_is_said_to_start_now_does_and_one_that_has_changes_would_not(drawn: object, spec: JobSpec) -> None:
    world = world_of(drawn)  # type: ignore[arg-type]
    found = world.explain(Job("", spec, images=PINS[:1]))
    job = None if world_refuses(world) else deepcopy(world).submit(spec)

    assert found.outlook is not None
    starts = found.outlook.basis == "it fits now"
    assert job is None or starts == (job.state is JobState.STARTING)
    assert not (starts and (found.changes or found.joint_changes))


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


@settings(max_examples=50, deadline=None)
@given(worlds, specs, st.lists(specs, min_size=1, max_size=3))
def test_what_happens_after_a_still_was_made_is_not_seen_in_it(
    drawn: object, spec: JobSpec, more: list[JobSpec]
) -> None:
    world = world_of(drawn)  # type: ignore[arg-type]
    job, then, later = Job("", spec, images=PINS[:1]), still(world.book), still(world.book)
    found = explained(then, job)
    if not world_refuses(world):
        for one in more:
            world.submit(one)
    for one in list(world.book.jobs):
        if one in world.book.jobs:
            world.cluster.handle(model.CancelAsked(999, one))
    world.settle()

    assert explained(later, job) == found
