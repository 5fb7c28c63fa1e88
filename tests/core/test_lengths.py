"""Laws of which place is chosen where it is known how long jobs run: soonest, after what users prefer."""

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from controller.core.book import Book, Policy
from controller.core.explanations import explained
from controller.core.past_runs import PastRun
from controller.core.placement.demand import demand_of
from controller.core.placement.durations import predicted
from controller.core.placement.fit import Place, Usage, fit
from controller.core.placement.profiles import profile_of
from controller.core.seen import see_nodes
from controller.core.stills import still
from headrace.attempts import Attempt, AttemptState, Steps
from headrace.jobs import AcceleratorRequest, Emulation, Exclusion, Job, JobSpec, JobState, Preference, Requests, Work
from headrace.nodes import Cpu, Device, Engine, Figure, Node, NodeDescription, NodeState, Origin
from tests.core.lone_controller import candidates
from tests.core.small_world import AMD64, ARM64, GIB, PINS, description, spec

CARD = Requests(1000, GIB, AcceleratorRequest(1))
CARDS = ("H100", "A10", "K80")


def node(
    name: str, cpu: str = "EPYC", *cards: str, described: NodeDescription | None = None, tflops: float = 0
) -> Node:
    figures = (Figure("fp32_tflops", tflops, Origin.SPEC, "a datasheet"),) if tflops else ()
    devices = tuple(Device(f"{name}-{n}", "gpu", "nvidia", card, figures=figures) for n, card in enumerate(cards))
    about = replace(described or description(), cpu=Cpu(cpu, threads=4))
    return Node(f"nodes/{name}", NodeState.READY, engine=Engine(reachable=True), description=about, devices=devices)


def rated(name: str, rate: float | None, *cards: str, origin: Origin = Origin.MEASURED) -> Node:
    """A node of one make with its like, the processor or devices of which do so many thousand million operations."""
    of_devices = (Figure("fp32_tflops", rate / 1000, origin, "a trial"),) if rate else ()
    one = node(name, "EPYC", *cards)
    cpu = Cpu("EPYC", threads=4, figures=(Figure("fp32_gflops", rate, origin, "a trial"),) if rate else ())
    devices = tuple(replace(device, figures=of_devices) for device in one.devices)
    return replace(one, description=replace(one.description, cpu=cpu), devices=devices)


def book(*nodes: Node) -> Book:
    found = Book("cluster-1", Policy(), (), nodes)
    found.learned.renew()
    return found


def ran(into: Book, wanted: JobSpec, where: str, seconds: float) -> None:
    devices = tuple(one.id for one in into.nodes[where].devices[:1]) if wanted.resources.accelerators else ()
    platform = into.nodes[where].description.platforms[0]
    into.learned.observe(profile_of(wanted), PastRun(where, platform, devices, round(1000 * seconds)), wanted.work)
    into.learned.renew()


def chosen(by: Book, wanted: JobSpec) -> str:
    see_nodes(by)
    job = Job("jobs/next-1", wanted, epoch=1, images=PINS)
    found = by.tables.choose(demand_of(job), job, now_wall_ms=0)
    assert isinstance(found, Place), found
    (first, *_) = candidates(by, job)
    assert by.nodes[first.node].description == by.nodes[found.node].description
    return found.node


def test_a_job_goes_where_jobs_like_it_were_done_soonest() -> None:
    two = book(node("a"), node("b", "Xeon"))
    assert chosen(two, spec()) == "a"

    ran(two, spec(), "a", 900)
    ran(two, spec(), "b", 300)

    assert chosen(two, spec()) == "b"
    assert chosen(two, spec(display_name="other")) == "a"


def test_where_a_job_is_done_nearly_as_soon_nothing_changes() -> None:
    two = book(node("a"), node("b", "Xeon"))
    ran(two, spec(), "a", 12)
    ran(two, spec(), "b", 3)
    assert chosen(two, spec()) == "a"

    ran(two, other := spec(display_name="other"), "a", 3_600)
    ran(two, other, "b", 3_000)
    assert chosen(two, other) == "a"


def test_what_keeps_one_job_from_a_node_tells_nothing_of_how_long_others_like_it_take_there() -> None:
    three = book(node("a"), node("b", "Xeon"), node("c", "Xeon"))
    for where, seconds in (("a", 900), ("b", 300)):
        ran(three, spec(), where, seconds)
    see_nodes(three)
    failed = Job("jobs/failed-1", spec(), images=PINS, exclusions=(Exclusion("b", "failed there", 5),))
    three.tables.choose(demand_of(failed), failed, now_wall_ms=10)

    assert chosen(three, spec()) == "b"


def test_how_long_a_job_takes_on_a_make_is_told_by_nodes_of_it_that_it_fits_on() -> None:
    small = description(cpu_millis=500)
    three = book(node("a"), node("b", "Xeon", described=small), node("c", "Xeon"))
    for where, seconds in (("a", 900), ("c", 300)):
        ran(three, spec(), where, seconds)
    see_nodes(three)
    job = Job("jobs/next-1", spec(), images=PINS)
    lengths = three.tables.table(demand_of(job), job).lengths

    assert lengths is not None
    of_both, of_large = (lengths.at_least(job, np.array(slots)) for slots in ((1, 2), (2,)))
    assert of_both[1] == of_large[0] < np.inf


def test_what_users_prefer_comes_before_how_soon_it_is_done() -> None:
    two = book(node("a"), node("b", "Xeon"))
    wanted = spec(prefer=(Preference('name == "a"', 1.0),))
    ran(two, wanted, "a", 900)
    ran(two, wanted, "b", 300)

    assert chosen(two, wanted) == "a"


def test_an_emulated_node_comes_after_a_native_one_however_fast_it_is() -> None:
    emulates = description(replace(ARM64, emulated=True))
    two = book(node("a"), node("b", "Xeon", described=emulates))
    wanted = spec(emulation=Emulation.ALLOWED)
    ran(two, wanted, "a", 900)
    ran(two, wanted, "b", 300)

    assert chosen(two, wanted) == "a"


def test_a_job_without_devices_takes_no_node_with_devices_for_its_speed() -> None:
    two = book(node("a"), node("b", "Xeon", "H100"))
    ran(two, spec(), "a", 900)
    ran(two, spec(), "b", 300)

    assert chosen(two, spec()) == "a"


def test_hardware_on_which_a_job_was_never_seen_is_tried_where_it_may_be_faster() -> None:
    three = book(node("a", "EPYC", "A10"), node("b", "EPYC", "H100"), node("c", "EPYC", "K80"))
    wanted, other = spec(resources=CARD), spec(resources=CARD, display_name="other", image="registry.example/other:1")
    ran(three, wanted, "a", 1_000)
    for where, seconds in (("a", 100), ("b", 30), ("c", 900)):
        ran(three, other, where, seconds)

    assert chosen(three, wanted) == "b"


def why(by: Book, wanted: JobSpec) -> tuple[str, ...]:
    return explained(still(by), Job("", wanted, images=PINS)).standing


def test_that_it_is_done_sooner_there_is_told_before_nearness_and_room() -> None:
    two = book(node("a", "EPYC", "A10"), node("b", "EPYC", "H100", "H100"))
    wanted = spec(resources=CARD)
    as_good = "is as good as {}, and leaves the others more room for devices, or is as good in that, too"
    assert why(two, wanted) == (f"a {as_good.format('b')}",)

    ran(two, wanted, "a", 1_000)
    ran(two, wanted, "b", 100)

    assert chosen(two, wanted) == "b"
    told = (
        "b comes before a: by what is known of speeds, paths and prices, the job may well be done sooner there, "
        "or be cheaper; in seconds, 90 and not 905"
    )
    assert why(two, wanted) == (told,)
    ran(two, nearly := spec(resources=CARD, display_name="nearly"), "a", 100)
    ran(two, nearly, "b", 99)
    assert why(two, nearly) == (f"a {as_good.format('b')}",)
    liked = spec(resources=CARD, prefer=(Preference('name == "a"', 1.0),))
    assert why(two, liked) == ("a comes before b: more of `prefer` holds there",)


def test_declared_work_tells_where_nothing_ran() -> None:
    two = book(node("a", "EPYC", "A10", tflops=1.0), node("b", "EPYC", "H100", tflops=50.0))
    assert chosen(two, spec(resources=CARD)) == "a"

    assert chosen(two, spec(resources=CARD, work=Work(1e15, "fp32"))) == "b"


@pytest.mark.parametrize("cards", [(), ("H100",)])
def test_of_nodes_of_one_make_the_one_is_faster_that_was_measured_to_be(cards: tuple[str, ...]) -> None:
    two = book(rated("a", 100.0, *cards), rated("b", 300.0, *cards))
    resources = CARD if cards else Requests(1000, GIB)
    assert chosen(two, spec(resources=resources)) == "a"
    wanted = spec(resources=resources, work=Work(1e14, "fp32"))
    assert chosen(two, wanted) == "b"

    ran(two, wanted, "b", 500)

    assert chosen(two, wanted) == "b"
    there = millis(two, wanted)
    assert there["b"] < 600_000
    assert there["a"] == pytest.approx(3 * there["b"], rel=0.05)


def test_what_runs_on_both_tell_of_nodes_of_one_make_is_the_same_whichever_was_the_last() -> None:
    wanted, seconds, told = spec(work=Work(1e14, "fp32")), {"a": 900, "b": 300}, list[dict[str, float]]()
    for order in (("a", "b"), ("b", "a")):
        two = book(rated("a", 100.0), rated("b", 300.0))
        for where in order:
            ran(two, wanted, where, seconds[where])
        told.append(millis(two, wanted))

    assert told[0] == pytest.approx(told[1])
    assert told[0]["a"] == pytest.approx(900_000, rel=0.1)
    assert told[0]["b"] == pytest.approx(300_000, rel=0.1)


def test_figures_that_are_others_now_on_all_nodes_alike_change_nothing() -> None:
    three, wanted = book(rated("a", 100.0), rated("b", 300.0), rated("c", 100.0)), spec(work=Work(1e14, "fp32"))
    for where, seconds in (("a", 900), ("b", 300)):
        ran(three, wanted, where, seconds)
    before = millis(three, wanted)

    for name, does in (("a", 200.0), ("b", 600.0), ("c", 200.0)):
        three.put_node(rated(name, does))
    assert millis(three, wanted) == pytest.approx(before)
    ran(three, wanted, "b", 300)
    place = fit(Job("jobs/next-1", wanted, images=PINS), three.nodes["c"], Usage(), now_wall_ms=0)
    assert isinstance(place, Place)
    (told,) = three.learned.speeds(wanted, [place])
    # Nor that the one is gone of which all is told.
    three.nodes.pop("a")
    assert three.learned.speeds(wanted, [place]) == [told]


def millis(by: Book, wanted: JobSpec) -> dict[str, float]:
    see_nodes(by)
    job = Job("jobs/next-1", wanted, images=PINS)
    lengths = by.tables.table(demand_of(job), job).lengths
    assert lengths is not None
    return dict(zip(by.nodes, lengths.millis(job, np.arange(len(by.nodes))).tolist(), strict=True))


def test_a_node_that_is_measured_while_jobs_wait_counts_as_it_was_measured() -> None:
    two = book(rated("a", None), rated("b", 300.0))
    wanted = spec(work=Work(1e14, "fp32"))
    assert chosen(two, wanted) == "a"

    two.put_node(rated("a", 100.0))
    assert chosen(two, wanted) == "b"
    two.put_node(rated("a", 900.0))
    assert chosen(two, wanted) == "a"


def test_a_node_of_which_no_figures_are_known_is_as_good_as_the_best_of_its_make() -> None:
    three = book(rated("a", None), rated("b", 100.0), rated("c", 300.0))

    assert chosen(three, spec(work=Work(1e14, "fp32"))) == "a"


@given(
    st.lists(st.sampled_from((None, 50.0, 100.0, 120.0, 124.0, 300.0)), min_size=2, max_size=6),
    st.sampled_from(((), ("H100",), ("A10", "A10"))),
    st.lists(st.sampled_from((Origin.MEASURED, Origin.SPEC)), min_size=6, max_size=6),
    st.lists(st.tuples(st.integers(0, 5), st.sampled_from((None, 40.0, 500.0))), max_size=3),
)
def test_by_declared_work_the_table_takes_a_node_where_it_is_done_as_soon_as_fit_and_figures_tell(
    rates: list[float | None], cards: tuple[str, ...], origins: list[Origin], then: list[tuple[int, float | None]]
) -> None:
    nodes = [rated(f"n{n}", rate, *cards, origin=origins[n]) for n, rate in enumerate(rates)]
    one, wanted = book(*nodes), spec(resources=CARD if cards else Requests(1000, GIB), work=Work(1e14, "fp32"))
    for which, rate in (*then, (0, rates[0])):
        if which < len(nodes):
            one.put_node(rated(f"n{which}", rate, *cards))
        job, told = Job("jobs/next-1", wanted, images=PINS), dict[str, int]()
        for there in one.nodes.values():
            place = fit(job, there, Usage(), now_wall_ms=0)
            assert isinstance(place, Place)
            foretold = predicted(wanted, place, one.nodes, ())
            told |= {there.id: foretold.millis} if foretold is not None else {}

        found = chosen(one, wanted)

        # Figures that differ by less than a twentieth are one.
        least = min(told.values(), default=0)
        assert found not in told or told[found] <= 1.05 * max(1.25 * least, least + 10_000)


def test_a_pace_that_was_long_enough_counts_while_the_job_still_runs() -> None:
    nodes = (node("a"), node("b", "Xeon"))
    least_ms = Policy().improving.pace_ms

    def told(timed_ms: int) -> str:
        steps = Steps(500, 10_000, 100, timed_ms)
        attempt = Attempt("t-1", 1, "a", state=AttemptState.RUNNING, platform=AMD64, start_time_ms=1, steps=steps)
        live = Job("jobs/t-1", spec(), JobState.RUNNING, epoch=1, node="a", images=PINS, attempts=(attempt,))
        again = Book("cluster-1", Policy(), (live,), nodes)
        ran(again, spec(), "b", 100_000)
        return candidates(again, Job("", spec(), images=PINS))[0].node

    assert told(least_ms - 1) == "b"
    assert told(least_ms) == "a"


@given(
    st.lists(st.tuples(st.sampled_from(CARDS), st.sampled_from((AMD64, ARM64))), min_size=2, max_size=6),
    st.dictionaries(st.sampled_from(CARDS), st.integers(1, 10_000), min_size=1),
)
def test_of_places_that_are_as_good_none_where_it_was_seen_to_take_much_longer_is_taken(
    drawn: list[tuple[str, object]], seconds: dict[str, int]
) -> None:
    nodes = [node(f"n{n}", "EPYC", card) for n, (card, _) in enumerate(drawn)]
    one, wanted = book(*nodes), spec(resources=CARD)
    for card, took in seconds.items():
        for where in [each.id for each in nodes if each.devices[0].model == card][:1]:
            ran(one, wanted, where, took)
    there = [seconds[card] for card, _ in drawn if card in seconds]

    found = one.nodes[chosen(one, wanted)].devices[0].model

    if found in seconds and there:
        assert seconds[found] <= max(1.3 * min(there), min(there) + 10.5)
