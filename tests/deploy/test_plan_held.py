"""What benchmarks hold of a plan at once is what its places hold one by one."""

from hypothesis import given, settings
from hypothesis import strategies as st

from benchmarks.plan_held import hold
from controller.core.placement.batch import choose_many
from controller.core.placement.demand import demand_of
from controller.core.placement.fit import Usage
from headrace.jobs import Job
from headrace.nodes import Node
from tests.core.test_batch import World, held, plain_jobs, plain_nodes, plain_usages
from tests.core.test_tables import NOW_MS


@settings(max_examples=100, deadline=None)
@given(
    given_nodes=st.lists(st.tuples(plain_nodes(), plain_usages), min_size=1, max_size=12),
    asked=st.lists(plain_jobs, min_size=1, max_size=3),
    count=st.integers(2, 40),
)
def test_a_snapshot_is_as_if_each_place_had_been_held(
    given_nodes: list[tuple[Node, Usage]], asked: list[Job], count: int
) -> None:
    at_once, one_by_one = (World(given_nodes, asked, costs=True) for _ in range(2))
    for job in asked:
        places = choose_many(at_once.tables, demand_of(job), job, count, now_wall_ms=NOW_MS)
        if isinstance(places, str):
            continue
        for place in tuple(places):
            one_by_one.hold(job, place)

        hold(at_once.snapshot, job.spec, places)

        assert held(at_once.snapshot) == held(one_by_one.snapshot)
