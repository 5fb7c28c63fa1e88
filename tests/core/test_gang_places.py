"""Properties of places for gangs: all tasks have one, or none has; where there are enough, they are found."""

from collections import Counter
from collections.abc import Callable
from dataclasses import replace

from hypothesis import given, settings
from hypothesis import strategies as st

from controller.core.placement import tasks as tasks_places
from controller.core.placement.demand import demand_of
from controller.core.placement.fit import Place, Usage, choose
from controller.core.placement.gang import FIRST_PORT, PORTS, choose_all, count_at, meeting_point
from controller.core.placement.snapshot import Snapshot
from controller.core.placement.tables import Tables
from headrace.ids import task_id
from headrace.jobs import AcceleratorRequest, Exclusion, Job, JobState, Requests, Retry, RetryCause
from headrace.neighbours import Neighbours
from headrace.nodes import Device, Drain, Engine, Node, NodeState
from tests.core.small_world import AMD64, ARM64, GIB, PINS, World, description, spec

GPUS = tuple(Device(f"GPU-{number}", "gpu", "nvidia", "H100", memory_bytes=80 * GIB) for number in range(4))


def _gangs(world: World) -> list[Job]:
    return [job for job in world.store.values() if isinstance(job, Job) and job.is_gang]


def _submit(world: World, which: int) -> None:
    tries = Retry(which % 3, (RetryCause.NODE_LOST, RetryCause.EXIT_NONZERO))
    world.submit(
        f"gang-{len(_gangs(world))}",
        task_count=2 + which % 2,
        resources=Requests(1000 * (1 + which % 3), GIB),
        retry=tries,
        lost_after_ms=5_000,
    )


def _leaves(code: int) -> Callable[[World, int], None]:
    def leave(world: World, which: int) -> None:
        running = [ref for refs in world.running().values() for ref in refs]
        if running:
            world.exit(running[which % len(running)], code)

    return leave


def _cancel(world: World, which: int) -> None:
    gangs = [gang for gang in _gangs(world) if not gang.ended]
    if gangs:
        world.cancel(gangs[which % len(gangs)].id)


def _cut(world: World, which: int) -> None:
    list(world.sites.values())[which % 3].cut = True
    world.pass_time(30_000)


def _mend(world: World, _which: int) -> None:
    for site in world.sites.values():
        site.cut = False
    world.pass_time(10_000)


def _drain(world: World, which: int) -> None:
    drain = (Drain.DRAINING, Drain.NONE)[which % 2]
    world.drain(list(world.sites)[which % 3], drain, force=True, deadline_ms=(None, 0)[which % 4 // 2])


DOES: dict[str, Callable[[World, int], object]] = {
    "submit": _submit,
    "done": _leaves(0),
    "saved": _leaves(85),
    "failed": _leaves(1),
    "cancel": _cancel,
    "cut": _cut,
    "mend": _mend,
    "drain": _drain,
    "restart": lambda world, _which: world.restart_controller(),
    "wait": lambda world, which: world.pass_time(10_000 * which),
}

nodes_of = st.lists(
    st.tuples(st.sampled_from((AMD64, ARM64)), st.integers(0, 8), st.integers(0, 4)), min_size=0, max_size=5
)


def node(number: int, described: tuple[object, int, int]) -> Node:
    platform, cores, devices = described
    return Node(
        f"nodes/n{number}",
        state=NodeState.READY,
        description=description(platform, cpu_millis=1000 * cores),  # type: ignore[arg-type]
        engine=Engine(reachable=True, message="test"),
        devices=GPUS[:devices],
    )


def gang(count: int, requests: Requests, **changes: object) -> list[Job]:
    whole = spec(task_count=count, resources=requests)
    one = Job("jobs/train-1", whole, images=PINS, gang="train-1")
    return [replace(one, name=f"jobs/train-1-{number}", task=number, **changes) for number in range(count)]  # type: ignore[arg-type]


def places(tasks: list[Job], nodes: list[Node]) -> tuple[Place, ...] | str:
    """What is found for a gang on nodes of which nothing is held."""
    snapshot = Snapshot()
    for one in nodes:
        snapshot.put(one, Usage())
    return tasks_places.choose_all(Tables(snapshot), demand_of(tasks[0]), tasks[0], len(tasks), now_wall_ms=0)


@given(nodes_of, st.integers(2, 8), st.integers(1, 4), st.integers(0, 2))
def test_all_tasks_have_places_that_there_are_or_none_has_one(
    described: list[tuple[object, int, int]], count: int, cores: int, gpus: int
) -> None:
    nodes = [node(number, one) for number, one in enumerate(described)]
    requests = Requests(1000 * cores, GIB, AcceleratorRequest(gpus) if gpus else None)

    found = places(gang(count, requests), nodes)

    # How many of such tasks a node has room for, beside each other: eight GiB, and what was drawn.
    room = [min(one[1] // cores, 8, one[2] // gpus if gpus else 8) for one in described]
    assert isinstance(found, tuple) is (sum(room) >= count)
    if isinstance(found, str):
        return
    placed = Counter(place.node for place in found)
    assert sum(placed.values()) == count
    assert all(placed[f"n{number}"] <= most for number, most in enumerate(room))
    granted = [(place.node, device) for place in found for device in place.devices]
    assert len(granted) == len(set(granted)) == count * gpus


@given(nodes_of, st.integers(2, 8), st.lists(st.integers(1, 4), min_size=2, max_size=3))
def test_of_several_counts_of_devices_all_tasks_have_places_with_those_of_which_there_are_enough(
    described: list[tuple[object, int, int]], count: int, gpus: list[int]
) -> None:
    nodes = [node(number, one) for number, one in enumerate(described)]
    first, *others = [AcceleratorRequest(number) for number in gpus]
    tasks = gang(count, Requests(1000, GIB, first, tuple(others)))

    room = [min(one[1], 8, one[2] // min(gpus)) for one in described]
    in_columns = places(tasks, nodes)
    by_node = choose_all(tasks, nodes, lambda _name: Usage(), now_wall_ms=0)
    for found in (() if isinstance(in_columns, str) else in_columns, by_node):
        assert bool(found) is (sum(room) >= count)
        assert [len(place.devices) for place in found] == [gpus[place.variant] for place in found]
        granted = [(place.node, device) for place in found for device in place.devices]
        assert len(granted) == len(set(granted))
    assert [count_at(tasks[0], one, Usage(), 8, now_wall_ms=0) for one in nodes] == room


def test_a_gang_that_waits_tells_for_how_many_there_is_room_and_what_nodes_lack_on_which_there_is_none() -> None:
    nodes = [node(number, (AMD64, cores, 0)) for number, cores in enumerate((8, 4, 3))]
    nodes.append(replace(node(3, (AMD64, 8, 0)), drain=Drain.CORDONED))

    found = places(gang(4, Requests(4000, GIB)), nodes)
    apart = replace(
        gang(3, Requests(4000, GIB))[0], spec=spec(task_count=3, neighbours=Neighbours((spec().display_name,)))
    )

    lacks = "1 node: has less than 4 cores free; 1 node: takes no jobs (cordoned)"
    assert found == f"waits for places for its 4 tasks at once: there is room for 3 at most, on 2 nodes; {lacks}"
    there = "there is room for 3 at most, on 3 nodes (they keep apart from each other)"
    assert places([apart] * 4, nodes[:3]) == f"waits for places for its 4 tasks at once: {there}"


@given(nodes_of, st.integers(2, 4))
def test_no_task_has_a_place_that_its_gang_keeps_away_from(
    described: list[tuple[object, int, int]], count: int
) -> None:
    nodes = [node(number, one) for number, one in enumerate(described)]
    away = (Exclusion("n0", "failed there", expire_time_ms=10),)

    found = places(gang(count, Requests(1000, GIB), exclusions=away), nodes)

    assert isinstance(found, str) or all(place.node != "n0" for place in found)


@given(st.integers(1, 5), st.sampled_from(("host", "10.0.0.7", "fd00::7")), st.integers(0, 30))
def test_gangs_on_one_host_meet_at_different_ports(epoch: int, host: str, others: int) -> None:
    taken: list[str] = []
    for number in range(others + 1):
        taken.append(meeting_point(Job(f"jobs/train-{number}", spec(), epoch=epoch), host, taken))

    ports = [int(point.rpartition(":")[2]) for point in taken]
    assert len(set(ports)) == len(ports)
    assert all(FIRST_PORT <= port < FIRST_PORT + PORTS for port in ports)
    assert all(point.rpartition(":")[0].strip("[]") == host for point in taken)


@settings(max_examples=60, deadline=None)
@given(st.lists(st.tuples(st.sampled_from(tuple(DOES)), st.integers(0, 11)), max_size=20))
def test_whatever_happens_a_gang_has_all_its_places_or_none_and_fails_once(does: list[tuple[str, int]]) -> None:
    world = World(a=AMD64, b=ARM64, c=AMD64)
    for what, which in does:
        DOES[what](world, which)
        world.pass_time(1_000)
        for gang in _gangs(world):
            tasks = [world.job(task_id(gang.id, number)) for number in range(gang.spec.task_count)]
            assert gang.failures <= max(gang.epoch - 1, 0) + gang.ended
            if gang.state in (JobState.STARTING, JobState.RUNNING):
                assert all(task.node and task.epoch == gang.epoch for task in tasks)
            if gang.state is JobState.QUEUED:
                assert not any(task.node for task in tasks)
            if gang.ended:
                assert all(task.ended for task in tasks)
            if gang.state is JobState.SUCCEEDED:
                assert all(task.state is JobState.SUCCEEDED for task in tasks)


@given(st.lists(st.tuples(st.integers(0, 3), st.integers(0, 3)), min_size=1, max_size=4), st.integers(1, 6))
def test_they_are_the_best_places_one_after_the_other(held: list[tuple[int, int]], count: int) -> None:
    said = description(cpu_millis=8000)
    nodes = [
        Node(f"nodes/n{number}", NodeState.READY, description=said, engine=Engine(reachable=True), devices=GPUS)
        for number in range(len(held))
    ]
    taken = {
        one.id: Usage(cores * 1000, 0, tuple(device.id for device in GPUS[:devices]))
        for one, (cores, devices) in zip(nodes, held, strict=True)
    }
    wanted = spec(resources=Requests(2000, GIB // 8, AcceleratorRequest(1)), task_count=count)
    tasks = [Job(f"jobs/gang-{number}", wanted, images=PINS, gang="gang", task=number) for number in range(count)]
    found = choose_all(tasks, nodes, taken.__getitem__, now_wall_ms=0)
    usages, expected = dict(taken), list[Place]()
    for task in tasks:
        place = choose(task, nodes, usages.__getitem__, now_wall_ms=0)
        if isinstance(place, str):
            assert found == ()
            return
        usages[place.node] = usages[place.node].plus(task.spec, place.devices)
        expected.append(place)
    assert found == tuple(expected)
