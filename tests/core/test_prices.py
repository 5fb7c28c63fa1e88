"""Laws of what owners ask for an hour: what it is for a job's part of a node, and that nothing agents say breaks it."""

import math
from dataclasses import replace

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from controller.core.placement.bills import hourly
from controller.core.placement.fit import Usage
from controller.core.placement.snapshot import Snapshot
from headrace import shares
from headrace.jobs import AcceleratorRequest, Job, JobSpec, Requests
from headrace.nodes import MOST_PRICE, Device, Node
from tests.core.lone_controller import Controller, candidates, wanted
from tests.core.small_world import GIB, PINS, description

LARGE = description(cpu_millis=64_000)
# What agents may say that has no meaning, or more of it than can be reckoned with.
STRANGE = st.sampled_from((math.nan, -math.nan, math.inf, -math.inf, -5.0, -1e308, 1e308, 5e-324))


def priced(ms_per_price: float = 1000.0) -> Controller:
    found = Controller()
    found.book.policy = replace(found.book.policy, ms_per_price=ms_per_price)
    return found


@given(STRANGE, STRANGE, st.sampled_from((1.0, 1000.0, 1000 * MOST_PRICE)))
def test_whatever_one_agent_says_of_prices_all_places_are_found(core: float, device: float, worth: float) -> None:
    cluster = priced(worth)
    cluster.node("a", replace(LARGE, core_hour_price=0.5))
    cluster.node("b", replace(LARGE, core_hour_price=core, device_hour_price=device))
    cluster.settle()

    jobs = [cluster.submit(wanted()) for _ in range(4)]

    assert all(cluster.at(job) for job in jobs)


def test_what_is_no_price_counts_as_nothing() -> None:
    cluster = priced(1e9)
    for name, price in (("a", 0.5), ("b", math.nan), ("c", -1.0)):
        cluster.node(name, replace(LARGE, core_hour_price=price))
    cluster.settle()

    assert {cluster.at(cluster.submit(wanted())) for _ in range(4)} == {("b",), ("c",)}
    assert cluster.book.snapshot.core_prices[:3].tolist() == [0.5, 0.0, 0.0]


def cards(model: str, count: int, *memory_gib: int) -> tuple[Device, ...]:
    sizes = memory_gib or (80,) * count
    return tuple(
        Device(f"{model}-{n}", "gpu", "nvidia", model, n, "", sizes[n] * GIB, shareable=True) for n in range(count)
    )


@given(
    st.lists(st.sampled_from((16, 40, 80)), min_size=1, max_size=3, unique=True),
    st.one_of(
        st.builds(AcceleratorRequest, st.just(1)),
        st.builds(AcceleratorRequest, st.just(1), st.just(""), st.integers(1, 999)),
        st.builds(AcceleratorRequest, st.just(1), st.just(""), st.just(0), st.integers(1, 16).map(lambda n: n * GIB)),
    ),
)
def test_a_part_of_a_device_costs_as_much_less(sizes: list[int], request: AcceleratorRequest) -> None:
    snapshot = Snapshot()
    for number, size in enumerate(sizes):
        described = replace(LARGE, device_hour_price=8.0, core_hour_price=0.25)
        snapshot.put(Node(f"nodes/{number}", description=described, devices=cards("T4", 1, size)), Usage())

    found = hourly(snapshot, Requests(2000, GIB, request), np.arange(len(sizes)))

    assert found.tolist() == [0.5 + 8.0 * shares.part_of(request, size * GIB).millis / 1000 for size in sizes]


def test_a_part_by_its_memory_goes_where_that_part_is_cheaper() -> None:
    # A tenth of 8.0 is less than half of 4.0.
    cluster = priced(1e9)
    cluster.node("large", replace(LARGE, device_hour_price=8.0), cards("H100", 1))
    cluster.node("little", replace(LARGE, device_hour_price=4.0), cards("T4", 1, 16))
    cluster.settle()

    wants = wanted(resources=Requests(1000, GIB, AcceleratorRequest(1, "", 0, 8 * GIB)))

    assert told(cluster, wants) == "large"
    assert cluster.at(cluster.submit(wants)) == ("large",)


def test_of_alternatives_the_one_that_is_given_is_paid_for() -> None:
    # Four at 0.5 are more than one at 1.0.
    cluster = priced(1e9)
    cluster.node("four", replace(LARGE, device_hour_price=0.5), cards("A100", 4))
    cluster.node("one", replace(LARGE, device_hour_price=1.0), cards("H100", 1))
    cluster.settle()

    one, four = AcceleratorRequest(1, 'model == "H100"'), AcceleratorRequest(4, 'model == "A100"')
    wants = wanted(resources=Requests(1000, GIB, one, (four,)))

    assert told(cluster, wants) == "one"
    assert cluster.at(cluster.submit(wants)) == ("one",)


def told(cluster: Controller, wants: JobSpec) -> str:
    """The first place that `explain` shows."""
    return candidates(cluster.book, Job("", wants, images=PINS[:1]))[0].node
