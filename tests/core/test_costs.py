"""Laws of what places cost: whole nodes are left for those that usually ask for them, and what is liked comes first."""

from dataclasses import replace

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from controller.core import model
from controller.core.asking import places
from controller.core.placement.costs import MANY_HOSTS, Costs
from controller.core.placement.demand import demand_of
from controller.core.placement.fit import Place, Usage
from controller.core.placement.snapshot import Snapshot
from controller.core.placement.tables import Tables
from controller.core.stills import still
from headrace.attempts import Attempt, AttemptState
from headrace.jobs import AcceleratorRequest, Job, Preference, Requests
from headrace.nodes import Capacity, Device, Engine, Health, Node, NodeDescription, NodeState
from headrace.sessions import Report
from tests.core.lone_controller import Controller
from tests.core.small_world import AMD64, GIB, PINS, spec

DEVICES = 4


def node(name: str, *, model: str = "H100", health: Health = Health.HEALTHY, devices: int = DEVICES) -> Node:
    cards = tuple(
        Device(f"{name}-{number}", "gpu", "nvidia", model, number, "", 80 * GIB, health=health, shareable=True)
        for number in range(devices)
    )
    described = NodeDescription(platforms=(AMD64,), capacity=Capacity(64_000, 512 * GIB))
    return Node(f"nodes/{name}", NodeState.READY, description=described, devices=cards, engine=Engine(reachable=True))


def job(count: int, where: str = "", **more: object) -> Job:
    return Job("jobs/j", spec(resources=Requests(1000, GIB, AcceleratorRequest(count, where)), **more), images=PINS)


PART = Job("jobs/p", spec(resources=Requests(1000, GIB, AcceleratorRequest(1, share_millis=300))), images=PINS)
JOBS = (job(1), job(2), job(4), job(1, 'model == "H100"'), PART)


class Cluster:
    """Nodes, and jobs that are asked for and have what they are given."""

    def __init__(self, *nodes: Node) -> None:
        self.snapshot = Snapshot()
        self.costs = Costs(self.snapshot)
        self.tables = Tables(self.snapshot, self.costs)
        for one in nodes:
            self.snapshot.put(one, Usage())

    def place(self, wanted: Job) -> str:
        """The node where it is now, empty for none."""
        demand = demand_of(wanted)
        self.tables.asked(demand, [wanted])
        found = self.tables.choose(demand, wanted, now_wall_ms=0)
        if not isinstance(found, Place):
            return ""
        slot = self.snapshot.slots[found.node]
        self.snapshot.hold(slot, self.snapshot.usages[slot].plus(wanted.spec, found.devices))
        return found.node

    def end_all(self, name: str) -> None:
        self.snapshot.hold(self.snapshot.slots[name], Usage())


def test_a_job_on_one_device_leaves_a_whole_node_to_those_that_usually_ask_for_one() -> None:
    cluster = Cluster(node("a"), node("b"))
    cluster.place(job(1))
    first = cluster.place(job(4))
    for _ in range(20):
        cluster.tables.asked(demand_of(job(4)), [job(4)])
    cluster.end_all(first)

    rest = "a" if first == "b" else "b"

    assert [cluster.place(job(1)) for _ in range(3)] == [rest] * 3
    assert cluster.place(job(4)) == first


def test_what_a_job_likes_comes_before_what_it_costs_the_others() -> None:
    cluster = Cluster(node("a"), node("b"))
    cluster.place(job(1))
    for _ in range(20):
        cluster.tables.asked(demand_of(job(4)), [job(4)])

    liked = replace(job(1), spec=replace(job(1).spec, prefer=(Preference('name == "b"', 1.0),)))

    assert cluster.place(liked) == "b"


def test_devices_that_are_out_of_order_and_nodes_that_take_no_jobs_are_no_room() -> None:
    broken, silent = node("a", health=Health.UNHEALTHY), replace(node("b"), state=NodeState.SUSPECT)
    cluster = Cluster(broken, silent, node("c"))

    assert [cluster.place(job(4)), cluster.place(job(1))] == ["c", ""]


deeds = st.lists(
    st.one_of(
        st.tuples(st.just("place"), st.integers(0, len(JOBS) - 1)),
        st.tuples(st.just("end"), st.sampled_from("abc")),
        st.tuples(st.just("comes"), st.sampled_from("cde")),
        st.tuples(st.just("other"), st.sampled_from("abc")),
    ),
    max_size=15,
)


@settings(max_examples=60, deadline=None)
@given(deeds)
def test_what_deltas_left_is_what_is_worked_out_anew(done: list[tuple[str, int | str]]) -> None:
    cluster = Cluster(node("a"), node("b", model="A100"), node("c", devices=2))
    for what, which in done:
        match what, which:
            case "place", int(number):
                cluster.place(JOBS[number])
            case "end", str(name):
                cluster.end_all(name)
            case "comes", str(name) if name not in cluster.snapshot.slots:
                cluster.snapshot.put(node(name), Usage())
            case "other", str(name):
                cluster.snapshot.put(node(name, model="L40", devices=3), Usage())

    cluster.costs.refresh()
    anew = Costs(cluster.snapshot)
    anew.refresh()
    slots = np.arange(len(cluster.snapshot.nodes))
    for wanted in JOBS:
        such = cluster.tables.table(demand_of(wanted), wanted)
        shape = such.shape()
        found, fresh = cluster.costs.of(shape, slots), anew.of(shape, slots)
        assert np.isfinite(found).tolist() == np.isfinite(fresh).tolist()
        assert np.isfinite(found).tolist() == (such.code[: len(slots)] == 0).tolist()


def test_a_job_without_devices_leaves_cores_where_free_devices_need_them() -> None:
    cluster = Cluster(node("a"), node("b"))
    small = Job("jobs/s", spec(resources=Requests(5_000, GIB, AcceleratorRequest(1))), images=PINS)
    usual = Job("jobs/u", spec(resources=Requests(30_000, GIB, AcceleratorRequest(4))), images=PINS)
    full = cluster.place(small)
    for _ in range(30):
        cluster.tables.asked(demand_of(usual), [usual])
    assert [cluster.place(small) for _ in range(3)] == [full] * 3

    # The other node is the idler one, but would have too few cores left for what is usual.
    without = Job("jobs/c", spec(resources=Requests(40_000, GIB)), images=PINS)

    assert cluster.place(without) == full


def test_where_all_that_a_job_without_devices_could_go_to_have_just_changed_it_goes_to_the_best_of_these() -> None:
    cluster = Cluster(*(node(f"n-{number:03d}") for number in range(MANY_HOSTS)), node("a"), node("b"))
    usual = Job("jobs/u", spec(resources=Requests(30_000, GIB, AcceleratorRequest(4))), images=PINS)
    for _ in range(30):
        cluster.tables.asked(demand_of(usual), [usual])
    plain = Job("jobs/c", spec(resources=Requests(1000, GIB), where='name == "a"'), images=PINS)
    full = replace(job(4), spec=replace(job(4).spec, where='name == "b"'))
    assert [cluster.place(plain), cluster.place(full)] == ["a", "b"]

    without = Job("jobs/c", spec(resources=Requests(40_000, GIB), where='name == "a" or name == "b"'), images=PINS)

    assert cluster.place(without) == "b"


def test_of_alternatives_each_place_costs_what_it_would_be_given_there() -> None:
    cluster = Cluster(node("a", model="H100"), node("b", model="A10"))
    for _ in range(10):
        assert cluster.place(job(DEVICES, 'model == "H100"')) == "a"
        cluster.end_all("a")
    first, other = AcceleratorRequest(1, 'model == "H100"'), AcceleratorRequest(1, 'model == "A10"')
    either = Job("jobs/e", spec(resources=Requests(1000, GIB, first, alternatives=(other,))), images=PINS)

    assert cluster.place(either) == "b"
    assert cluster.place(job(1, 'model == "H100"')) == "a"


def test_among_many_nodes_a_job_starts_where_explain_would_have_it_start() -> None:
    world = Controller()
    described = NodeDescription(platforms=(AMD64,), capacity=Capacity(64_000, 512 * GIB))
    for number in range(MANY_HOSTS + 44):
        world.node(f"n-{number:03d}", described, node(f"n-{number:03d}").devices)
    for _ in range(20):
        world.submit(spec(resources=Requests(30_000, GIB, AcceleratorRequest(4))))
    running: list[Job] = []
    for number in range(120):
        count = (1, 4)[number % 20 // 10] if number % 10 == 0 else 0
        devices = AcceleratorRequest(count) if count else None
        wanted = spec(resources=Requests((1000, 34_000, 40_000)[number % 3], GIB, devices))
        world.tick()
        found = places(still(world.book), Job("", wanted, images=PINS[:1]))

        begun = world.submit(wanted)

        assert [one.node for one in found if isinstance(one, Place)] == [begun.node]
        running.append(begun)
        if number >= 40:
            exited(world, running.pop(number % 7))


def exited(world: Controller, job: Job) -> None:
    at, ended = world.book.nodes[job.node], Attempt(job.id, 1, job.node, state=AttemptState.EXITED, exit_code=0)
    sequence = world.book.newest[at.id][1] + 1
    report = Report(at.id, 1, sequence, at.description, at.devices, engine=at.engine, attempts=(ended,))
    world.cluster.handle(model.Reported(report))
