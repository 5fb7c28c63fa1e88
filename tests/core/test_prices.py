"""Laws of what owners ask for an hour: what it is for a job's part of a node, and that nothing agents say breaks it."""

import math
from dataclasses import replace

from hypothesis import given
from hypothesis import strategies as st

from headrace.nodes import MOST_PRICE
from tests.core.lone_controller import Controller, wanted
from tests.core.small_world import description

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
