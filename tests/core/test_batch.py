"""Many equal jobs placed in one pass have the places that one after the other would have had."""

from collections.abc import Mapping, Sequence
from dataclasses import replace

from hypothesis import given, settings
from hypothesis import strategies as st

from controller.core.past_runs import PastRun
from controller.core.placement.arrivals import Arrivals
from controller.core.placement.batch import choose_many
from controller.core.placement.costs import Costs
from controller.core.placement.demand import demand_of
from controller.core.placement.fit import Place, Unfit, Usage, fit
from controller.core.placement.learned import Learned
from controller.core.placement.lengths import Lengths, Terms
from controller.core.placement.paths import Paths
from controller.core.placement.profiles import profile_of
from controller.core.placement.snapshot import Snapshot
from controller.core.placement.tables import Tables
from controller.core.placement.trial import Trial
from headrace.jobs import AcceleratorRequest, Exclusion, Job, Preference, Requests, Variant, Work
from headrace.nodes import Capacity, Cpu, Device, Engine, Figure, Node, NodeDescription, NodeState, Origin
from tests.core.small_world import AMD64, GIB, PINS, spec
from tests.core.test_tables import NOW_MS, for_devices, jobs, near, nodes, usages, well

NORTH = 'region == "north"'


@st.composite
def plain_nodes(draw: st.DrawFn) -> Node:
    """Nodes of a few kinds, so that many are alike and costs tie."""
    name = f"nodes/{draw(st.integers(0, 30))}"
    model, count = draw(st.sampled_from((("small", 2), ("large", 4), ("large", 0))))
    shareable = draw(st.integers(0, 3)) > 0
    devices = tuple(
        Device(str(number), "gpu", "nvidia", model, number, memory_bytes=16 * GIB, shareable=shareable)
        for number in range(count)
    )
    capacity = Capacity(draw(st.sampled_from((4000, 8000))), draw(st.sampled_from((8 * GIB, 16 * GIB))))
    about = NodeDescription(region=draw(st.sampled_from(("north", "south"))), platforms=(AMD64,), capacity=capacity)
    return Node(name, NodeState.READY, description=about, devices=devices, engine=Engine(reachable=True))


plain_requests = st.one_of(
    st.none(),
    st.builds(AcceleratorRequest, st.integers(1, 3), st.sampled_from(("", 'model == "small"'))),
    st.builds(
        AcceleratorRequest,
        st.just(1),
        st.sampled_from(("", 'model == "large"')),
        st.sampled_from((0, 250, 300)),
        st.sampled_from((0, 5 * GIB)),
    ).filter(lambda one: one.is_part),
)
plain_jobs = st.builds(
    lambda cpu, memory, request, where, away, others: Job(
        "jobs/j", spec(resources=Requests(cpu, memory, request), where=where, **others), images=PINS, exclusions=away
    ),
    st.sampled_from((0, 500, 1000, 3000)),
    st.sampled_from((GIB, 3 * GIB)),
    plain_requests,
    st.sampled_from(("", "", NORTH)),
    st.sampled_from(((), (), (Exclusion("1", "failed there", 50), Exclusion("2", "failed there", 5)))),
    st.sampled_from(
        ({}, {}, {}, {"prefer": (Preference(NORTH, 1.0),)}, {"variants": (Variant(NORTH, ""), Variant("", ""))})
    ),
)
plain_usages = st.just(Usage()) | st.builds(
    Usage, st.sampled_from((500, 2000)), st.sampled_from((GIB, 4 * GIB)), st.sampled_from(((), ("0",), ("1",)))
)

ONE_CORE = Job("jobs/j", spec(resources=Requests(1000, GIB)), images=PINS)


class World:
    """The nodes in a snapshot of its own, with costs or without, and how many seconds jobs have run at some nodes."""

    def __init__(
        self,
        given_nodes: list[tuple[Node, Usage]],
        asked: list[Job],
        *,
        costs: bool,
        ran: Mapping[str, int] | None = None,
    ) -> None:
        self.snapshot = Snapshot()
        lengths = self._lengths({node.id: node for node, _ in given_nodes}, asked[0], ran) if ran is not None else None
        self.tables = Tables(self.snapshot, Costs(self.snapshot) if costs else None, lambda: lengths)
        for node, usage in given_nodes:
            self.snapshot.put(node, usage)
        for job in asked:
            self.tables.asked(demand_of(job), [job])

    def _lengths(self, known: dict[str, Node], job: Job, ran: Mapping[str, int]) -> Lengths:
        learned = Learned(known)
        for name, seconds in ran.items():
            learned.observe(profile_of(job.spec), PastRun(name, AMD64, (), 1000 * seconds))
        learned.renew()
        return Lengths(Arrivals(self.snapshot, Paths()), learned, Terms(1.25, 10_000, 1000.0, 3_600_000))

    def hold(self, job: Job, place: Place) -> None:
        slot = self.snapshot.slots[place.node]
        self.snapshot.hold(slot, self.snapshot.usages[slot].plus(job.spec, place.devices))

    def has_room(self, job: Job, places: Sequence[Place]) -> bool:
        """Whether each job fits where it goes once those before it are there, as `fit` has it."""
        with Trial(self.snapshot) as trial:
            for place in places:
                slot = self.snapshot.slots[place.node]
                if isinstance(
                    fit(job, self.snapshot.nodes[slot], self.snapshot.usages[slot], now_wall_ms=NOW_MS), Unfit
                ):
                    return False
                trial.place(job, place)
        return True

    def one_by_one(self, job: Job, count: int) -> list[Place | str]:
        found: list[Place | str] = []
        for _ in range(count):
            one = self.tables.choose(demand_of(job), job, now_wall_ms=NOW_MS)
            found.append(one)
            if isinstance(one, str):
                break
            self.hold(job, one)
        return found

    def together(self, job: Job, count: int) -> list[Place | str]:
        found: list[Place | str] = []
        while len(found) < count:
            some = choose_many(self.tables, demand_of(job), job, count - len(found), now_wall_ms=NOW_MS)
            if isinstance(some, str):
                return [*found, some]
            found += some
            assert self.has_room(job, some), "never over capacity, never against a constraint"
            for place in tuple(some):
                self.hold(job, place)
        return found


def compare(
    given_nodes: list[tuple[Node, Usage]],
    asked: list[Job],
    count: int,
    *,
    costs: bool,
    ran: Mapping[str, int] | None = None,
) -> None:
    one_by_one, together = (World(given_nodes, asked, costs=costs, ran=ran) for _ in range(2))
    for job in asked:
        assert together.together(job, count) == one_by_one.one_by_one(job, count)
        assert held(together.snapshot) == held(one_by_one.snapshot)


def held(snapshot: Snapshot) -> list[object]:
    names = ("cpu_millis", "memory_bytes", "idle", "intricate", "untouched", "held_millis", "held_bytes")
    columns = [vars(snapshot)[name].tolist() for name in (*names, "untouched_count", "roomiest_millis")]
    return [snapshot.usages, *columns]


@settings(max_examples=200, deadline=None)
@given(
    given_nodes=st.lists(st.tuples(plain_nodes(), plain_usages), min_size=1, max_size=12),
    asked=st.lists(plain_jobs, min_size=1, max_size=3),
    count=st.integers(2, 40),
    costs=st.booleans(),
)
def test_it_is_the_plan_of_one_after_the_other(
    *, given_nodes: list[tuple[Node, Usage]], asked: list[Job], count: int, costs: bool
) -> None:
    compare(given_nodes, asked, count, costs=costs)


@settings(max_examples=200, deadline=None)
@given(
    given_nodes=st.lists(st.tuples(well | near | nodes(), st.just(Usage()) | usages), min_size=1, max_size=6),
    asked=st.lists(for_devices | jobs, min_size=1, max_size=3),
    count=st.integers(2, 12),
    costs=st.booleans(),
)
def test_so_it_is_with_all_that_a_job_may_ask_for_and_a_node_may_be(
    *, given_nodes: list[tuple[Node, Usage]], asked: list[Job], count: int, costs: bool
) -> None:
    compare(given_nodes, asked, count, costs=costs)


MAKES = ("A", "B", "C", "D")
of_a_make = st.builds(
    lambda make, cores, price, rate: NodeDescription(
        platforms=(AMD64,),
        capacity=Capacity(cores * 1000, 64 * GIB),
        cpu=Cpu(make, threads=4, figures=(Figure("fp32_gflops", rate, Origin.MEASURED, "a trial"),) if rate else ()),
        core_hour_price=price,
    ),
    st.sampled_from(MAKES),
    st.sampled_from((2, 4)),
    st.sampled_from((0.0, 0.0, 100.0, 4000.0)),
    st.sampled_from((None, 100.0, 105.0, 300.0)),
)


@settings(max_examples=200, deadline=None)
@given(
    described=st.lists(of_a_make, min_size=2, max_size=8),
    ran=st.dictionaries(st.sampled_from(MAKES), st.sampled_from((10, 1000, 1100, 3000)), max_size=3),
    count=st.integers(2, 20),
    work=st.none() | st.just(Work(1e14, "fp32")),
)
def test_so_it_is_where_it_is_known_of_some_makes_of_nodes_how_long_jobs_run(
    described: list[NodeDescription], ran: dict[str, int], count: int, work: Work | None
) -> None:
    given_nodes = [
        Node(f"nodes/{number}", NodeState.READY, description=about, engine=Engine(reachable=True))
        for number, about in enumerate(described)
    ]
    first = {one.description.cpu.model: one.id for one in reversed(given_nodes)}
    seconds = {first[make]: seconds for make, seconds in ran.items() if make in first}

    asked = replace(ONE_CORE, spec=replace(ONE_CORE.spec, work=work))

    compare([(one, Usage()) for one in given_nodes], [asked], count, costs=False, ran=seconds)


def test_it_ends_when_those_are_full_by_whom_nodes_are_measured_of_which_nothing_is_known() -> None:
    known, unknown, slow = (
        Node(
            f"nodes/{name}",
            NodeState.READY,
            description=NodeDescription(platforms=(AMD64,), capacity=Capacity(cores * 1000, 64 * GIB), cpu=Cpu(name)),
            engine=Engine(reachable=True),
        )
        for name, cores in (("known", 1), ("unknown", 4), ("slow", 8))
    )
    seconds = {"known": 10, "slow": 1000}
    dear = replace(known, description=replace(known.description, core_hour_price=1.0))

    for first in (known, dear):
        world = World([(one, Usage()) for one in (first, unknown, slow)], [ONE_CORE], costs=False, ran=seconds)
        found = [place if isinstance(place, str) else place.node for place in world.together(ONE_CORE, 4)]
        assert found[found.index("known") + 1 :][:1] == ["slow"]
