"""Choosing by columns is choosing node by node: the same place, or the same reasons, whatever has changed before."""

from collections import Counter
from dataclasses import replace

from hypothesis import given, settings
from hypothesis import strategies as st

from controller.core.placement.demand import demand_of
from controller.core.placement.fit import Place, Unfit, Usage, choose, fit
from controller.core.placement.reasons import waits_for_all
from controller.core.placement.snapshot import FIRST_SLOTS, Snapshot
from controller.core.placement.tables import Tables
from controller.core.placement.tasks import choose_all
from headrace.attempts import Platform
from headrace.jobs import (
    AcceleratorRequest,
    Emulation,
    Exclusion,
    ImagePin,
    Job,
    JobSpec,
    Network,
    Preference,
    Requests,
    Variant,
)
from headrace.neighbours import Neighbours
from headrace.nodes import Capacity, Device, Drain, Engine, Health, Link, Load, Node, NodeDescription, NodeState
from tests.core.small_world import AMD64, ARM64, GIB, IMAGE, PINS, spec

NAMES = ("a", "b", "c", "d", "e")
OTHER = "registry.example/other:1"
OTHERS = (ImagePin(AMD64, "registry.example/other@sha256:" + "c" * 64, OTHER),)
EMULATED = Platform("linux", "arm64", emulated=True)
OVER_NODES = (
    "",
    'region == "north"',
    "free.cpu >= 2",
    "free.gpu.count >= 1",
    "load.cpu_percent < 50",
    'labels.rack == "1" and arch == "amd64"',
    "gpu.temperature < 60 or accelerator.count == 0",
)
OVER_DEVICES = ("", "", "", "", 'model == "H100"', "memory >= 20GiB", "temperature < 60", 'kind == "gpu"')

devices = st.builds(
    Device,
    id=st.just(""),
    kind=st.sampled_from(("gpu", "gpu", "gpu", "npu")),
    vendor=st.sampled_from(("nvidia", "nvidia", "amd")),
    model=st.sampled_from(("H100", "A100")),
    memory_bytes=st.sampled_from((None, 16 * GIB, 80 * GIB)),
    temperature_celsius=st.sampled_from((None, 40.0, 80.0)),
    health=st.sampled_from((Health.HEALTHY, Health.HEALTHY, Health.UNHEALTHY)),
    shareable=st.booleans(),
    numa_node=st.sampled_from((None, 0, 1)),
    pcie_root=st.sampled_from(("", "", "0000:00")),
    links=st.sampled_from(((), (), (Link("0", "nvlink"),))),
)
descriptions = st.builds(
    NodeDescription,
    region=st.sampled_from(("north", "south")),
    labels=st.sampled_from(({}, {"rack": "1"})),
    platforms=st.lists(st.sampled_from((AMD64, ARM64, EMULATED)), max_size=2, unique=True).map(tuple),
    capacity=st.builds(Capacity, st.sampled_from((0, 4000, 8000)), st.sampled_from((0, 8 * GIB, 16 * GIB))),
    host_network=st.booleans(),
)
loads = st.builds(Load, cpu_percent=st.sampled_from((None, 10.0, 90.0)))


@st.composite
def nodes(draw: st.DrawFn) -> Node:
    node = Node(
        f"nodes/{draw(st.sampled_from(NAMES))}",
        state=draw(st.sampled_from((NodeState.READY, NodeState.READY, NodeState.READY, NodeState.SUSPECT))),
        drain=draw(st.sampled_from((Drain.NONE, Drain.NONE, Drain.NONE, Drain.CORDONED))),
        description=draw(descriptions),
        load=draw(loads),
        engine=draw(st.sampled_from((Engine(reachable=True), Engine(reachable=True), Engine(message="away")))),
    )
    found = draw(st.lists(devices, max_size=4))
    return replace(node, devices=tuple(replace(one, id=str(number)) for number, one in enumerate(found)))


requests = st.one_of(
    st.none(),
    st.builds(AcceleratorRequest, st.integers(1, 3), st.sampled_from(OVER_DEVICES)),
    st.builds(
        AcceleratorRequest,
        st.just(1),
        st.sampled_from(OVER_DEVICES),
        st.sampled_from((0, 250, 500)),
        st.sampled_from((0, 10 * GIB)),
    ).filter(lambda one: one.is_part),
)
whole = st.builds(AcceleratorRequest, st.integers(1, 3), st.sampled_from(OVER_DEVICES))
resources = st.one_of(
    st.builds(Requests, st.sampled_from((500, 2000, 5000)), st.sampled_from((GIB, 10 * GIB)), requests),
    st.builds(Requests, st.just(500), st.just(GIB), whole, st.lists(whole, min_size=1, max_size=2).map(tuple)),
)
names = st.lists(st.sampled_from(("train", "x", "y")).map(lambda name: ("default", name)), max_size=2).map(tuple)
usages = st.builds(
    Usage,
    st.sampled_from((0, 2000, 4000)),
    st.sampled_from((0, 4 * GIB)),
    st.lists(st.sampled_from("0123"), max_size=2, unique=True).map(tuple),
    st.lists(
        st.tuples(st.sampled_from("0123"), st.builds(AcceleratorRequest, st.just(1), share_millis=st.just(600))),
        max_size=2,
    ).map(tuple),
    st.lists(requests.filter(bool), max_size=1).map(tuple),
    names,
    names,
)
# Two jobs in three do not mind beside whom they are.
neighbours = (
    st.none()
    | st.none()
    | st.builds(
        Neighbours, apart_from=st.lists(st.sampled_from(("train", "x", "y")), max_size=2, unique=True).map(tuple)
    )
)
specs = st.builds(
    spec,
    display_name=st.sampled_from(("train", "train", "x")),
    neighbours=neighbours,
    resources=resources,
    where=st.sampled_from(OVER_NODES),
    prefer=st.lists(
        st.builds(Preference, st.sampled_from(OVER_NODES[1:]), st.sampled_from((1.0, -0.5))), max_size=2
    ).map(tuple),
    variants=st.lists(
        st.builds(Variant, st.sampled_from(OVER_NODES[1:]), st.sampled_from(("", OTHER))), max_size=2
    ).map(tuple),
    emulation=st.sampled_from(Emulation),
    network=st.sampled_from((Network.BRIDGE, Network.HOST)),
)
exclusions = st.lists(
    st.builds(Exclusion, st.sampled_from(NAMES), st.just("failed there"), st.sampled_from((5, 50))), max_size=2
).map(tuple)
jobs = st.builds(
    lambda wanted, pins, away: Job("jobs/j", wanted, images=pins, exclusions=away),
    specs,
    st.sampled_from((PINS, PINS[:1], PINS + OTHERS)),
    exclusions,
)
changes = st.lists(
    st.one_of(
        st.tuples(st.just("node"), nodes(), usages),
        st.tuples(st.just("held"), st.sampled_from(NAMES), usages),
        st.tuples(st.just("read"), st.sampled_from(NAMES), loads),
        st.tuples(st.just("asked"), st.integers(0, 2), st.just(None)),
        st.tuples(st.just("gone"), st.sampled_from(NAMES), st.just(None)),
    ),
    max_size=25,
)
NOW_MS = 10

# Nodes that are well, and jobs that nothing but devices keeps from them.
LARGE = NodeDescription(platforms=(AMD64,), capacity=Capacity(64_000, 64 * GIB))
well = st.builds(
    lambda node, emulated: replace(
        node,
        state=NodeState.READY,
        drain=Drain.NONE,
        engine=Engine(reachable=True),
        description=replace(LARGE, platforms=(EMULATED,)) if emulated else LARGE,
    ),
    nodes(),
    st.integers(0, 4).map(lambda drawn: drawn == 0),
)
# Four devices that are alike but for how near they are to each other.
near = st.builds(
    lambda node, memory, roots: replace(
        node,
        devices=tuple(
            Device(str(number), "gpu", "nvidia", "H100", 0, "", memory, pcie_root=root, shareable=memory != 80 * GIB)
            for number, root in enumerate(roots)
        ),
    ),
    well,
    st.sampled_from((None, 16 * GIB, 80 * GIB)),
    st.lists(st.sampled_from(("", "0000:00", "0000:80")), min_size=4, max_size=4),
)


def _asking(request: AcceleratorRequest | None, others: tuple[AcceleratorRequest, ...]) -> Requests:
    return Requests(500, GIB, request, others if request is not None and not request.is_part else ())


for_devices = st.builds(
    lambda wanted, request, others: Job(
        "jobs/j",
        spec(emulation=Emulation.ALLOWED, prefer=wanted.prefer, resources=_asking(request, others)),
        images=PINS,
    ),
    specs,
    requests,
    st.just(()) | st.just(()) | st.lists(whole, max_size=2).map(tuple),
)
held_of_devices = st.just(Usage()) | usages
changes_of_devices = st.builds(
    lambda first, then: [*first, *then],
    st.lists(st.tuples(st.just("node"), well | near | near, held_of_devices), min_size=2, max_size=4),
    st.lists(
        st.one_of(
            st.tuples(st.just("node"), near, held_of_devices),
            st.tuples(st.just("held"), st.sampled_from(NAMES), usages),
            st.tuples(st.just("read"), st.sampled_from(NAMES), loads),
            st.tuples(st.just("asked"), st.integers(0, 2), st.just(None)),
            st.tuples(st.just("gone"), st.sampled_from(NAMES), st.just(None)),
        ),
        max_size=8,
    ),
)


class Both:
    """A snapshot with its tables, and the same nodes in plain dicts."""

    def __init__(self) -> None:
        self.snapshot = Snapshot()
        self.tables = Tables(self.snapshot)
        self.nodes: dict[str, Node] = {}
        self.usages: dict[str, Usage] = {}

    def put(self, node: Node, usage: Usage, *, is_another: bool = True) -> None:
        self.nodes[node.id], self.usages[node.id] = node, usage
        self.snapshot.put(node, usage, is_another=is_another)

    def change(self, what: str, which: object, how: object) -> None:
        match what, which, how:
            case "node", Node() as node, Usage() as usage:
                self.put(node, usage)
            case "held", str(name), Usage() as usage if name in self.nodes:
                self.put(self.nodes[name], usage, is_another=False)
            case "read", str(name), Load() as load if name in self.nodes:
                # A device's sensors rest as little as the node's own.
                read = tuple(replace(one, temperature_celsius=50.0) for one in self.nodes[name].devices)
                self.nodes[name] = replace(self.nodes[name], load=load, devices=read)
                self.snapshot.put_readings(self.nodes[name])

            case "gone", str(name), None if name in self.nodes:
                del self.nodes[name], self.usages[name]
                self.snapshot.forget(name)
                self.tables = Tables(self.snapshot)

    def by_hand(self, job: Job, but: str = "") -> Place | str:
        nodes_then = [node for name, node in self.nodes.items() if name != but]
        return choose(job, nodes_then, self.usages.__getitem__, now_wall_ms=NOW_MS)

    def all_by_hand(self, tasks: list[Job]) -> tuple[Place, ...] | list[str]:
        """Where there are too few places, what may be said: of parts of devices, amounts do not tell quite how many."""
        held, places = dict(self.usages), list[Place]()
        for task in tasks:
            found = choose(task, self.nodes.values(), held.__getitem__, now_wall_ms=NOW_MS)
            if isinstance(found, str):
                offers = [fit(task, node, self.usages[name], now_wall_ms=NOW_MS) for name, node in self.nodes.items()]
                lacks = Counter(one.reason for one in offers if isinstance(one, Unfit))
                able, count = len(offers) - lacks.total(), len(tasks)
                return [waits_for_all(task, count, most, able, lacks) for most in range(len(places), count)]
            held[found.node] = held[found.node].plus(task.spec, found.devices)
            places.append(found)
        return tuple(places)

    def feasible(self, job: Job) -> dict[str, int]:
        """Which nodes are places, and which of the alternatives each would give."""
        # Who keeps apart from jobs of its name does not from others of the shape.
        held = {name: replace(usage, shunned=()) for name, usage in self.usages.items()}
        found = [fit(job, node, held[name], now_wall_ms=NOW_MS) for name, node in self.nodes.items()]
        numbers = len(job.spec.variants) + 1
        return {one.node: one.variant // numbers for one in found if isinstance(one, Place)}


def compare(asked: list[Job], done: list[tuple[str, object, object]]) -> None:
    both = Both()

    for what, which, how in (*done, *(("asked", number, None) for number in range(3))):
        both.change(what, which, how)
        if isinstance(which, int):
            job = asked[which]
            table = both.tables.table(demand_of(job), job)
            slots = both.snapshot.slots.items()
            open_slots = {name: int(table.which[slot]) for name, slot in slots if table.code[slot] == 0}
            assert open_slots == both.feasible(replace(job, exclusions=()))
            assert both.tables.choose(demand_of(job), job, now_wall_ms=NOW_MS) == both.by_hand(job)
            but = next(iter(both.nodes), "")
            assert both.tables.choose(demand_of(job), job, now_wall_ms=NOW_MS, but=but) == both.by_hand(job, but)


@settings(max_examples=200, deadline=None)
@given(st.lists(jobs, min_size=3, max_size=3), changes)
def test_what_is_chosen_by_columns_is_what_is_chosen_node_by_node(
    asked: list[Job], done: list[tuple[str, object, object]]
) -> None:
    compare(asked, done)


@settings(max_examples=150, deadline=None)
@given(st.lists(for_devices, min_size=3, max_size=3), changes_of_devices)
def test_so_it_is_where_devices_alone_decide(asked: list[Job], done: list[tuple[str, object, object]]) -> None:
    compare(asked, done)


@settings(max_examples=100, deadline=None)
@given(jobs | for_devices, st.integers(2, 9), st.lists(st.tuples(nodes() | well, usages), max_size=5))
def test_a_gang_finds_the_places_that_it_finds_node_by_node_and_holds_none(
    job: Job, count: int, given_nodes: list[tuple[Node, Usage]]
) -> None:
    both = Both()
    for node, usage in given_nodes:
        both.put(node, usage)
    held = dict(zip(both.snapshot.slots, both.snapshot.usages, strict=True))

    found = choose_all(both.tables, demand_of(job), job, count, now_wall_ms=NOW_MS)

    by_hand = both.all_by_hand([job] * count)
    assert found in by_hand if isinstance(by_hand, list) else found == by_hand
    assert held == dict(zip(both.snapshot.slots, both.snapshot.usages, strict=True))


@given(st.lists(st.integers(0, 4 * FIRST_SLOTS), min_size=FIRST_SLOTS, unique=True))
def test_nodes_may_come_in_any_number_and_order(numbers: list[int]) -> None:
    both = Both()
    job = Job("jobs/j", JobSpec("train", IMAGE), images=PINS)
    for turn, number in enumerate(numbers):
        described = NodeDescription(platforms=(AMD64,), capacity=Capacity(4000, 8 * GIB))
        ready = Node(f"nodes/{number}", NodeState.READY, description=described, engine=Engine(reachable=True))
        both.put(ready, Usage())
        if turn % 50 == 0:
            assert both.tables.choose(demand_of(job), job, now_wall_ms=NOW_MS) == both.by_hand(job)
            but = next(iter(both.nodes), "")
            assert both.tables.choose(demand_of(job), job, now_wall_ms=NOW_MS, but=but) == both.by_hand(job, but)

    assert both.tables.choose(demand_of(job), job, now_wall_ms=NOW_MS) == both.by_hand(job)


def test_what_was_not_held_before_and_is_now_is_no_gain_and_what_is_free_is_one() -> None:
    node = Node("nodes/a", NodeState.READY)
    snapshot = Snapshot()

    assert snapshot.put(node, Usage())
    assert not snapshot.put(node, Usage(1000, GIB), is_another=False)
    assert not snapshot.put(node, Usage(1000, GIB), is_another=False)
    assert snapshot.put(node, Usage(1000), is_another=False)
    assert snapshot.put(replace(node, drain=Drain.DRAINED), Usage(2000))


@settings(max_examples=100, deadline=None)
@given(st.lists(st.tuples(nodes() | well | near, usages), max_size=5), jobs | for_devices)
def test_an_emptied_snapshot_is_one_of_which_nothing_was_ever_held(
    given_nodes: list[tuple[Node, Usage]], job: Job
) -> None:
    both, fresh = Both(), Both()
    for node, usage in given_nodes:
        both.put(node, usage)
        fresh.put(node, Usage())
    both.tables.choose(demand_of(job), job, now_wall_ms=NOW_MS)

    both.snapshot.emptied()

    found = both.tables.choose(demand_of(job), job, now_wall_ms=NOW_MS)
    assert found == fresh.tables.choose(demand_of(job), job, now_wall_ms=NOW_MS)
    for column in ("cpu_millis", "untouched", "held_bytes", "untouched_count", "roomiest_millis", "idle", "intricate"):
        count = len(fresh.snapshot.nodes)
        ours, other = (vars(one.snapshot)[column][..., :count] for one in (both, fresh))
        assert ours.tolist() == other.tolist(), column
