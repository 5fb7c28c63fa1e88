"""Laws of what is counted in seconds beside the run itself: what has to be brought over which path, and the price."""

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from controller.core.book import Book, Policy
from controller.core.explanations import explained
from controller.core.past_runs import PastRun
from controller.core.placement import paths as module
from controller.core.placement.demand import demand_of
from controller.core.placement.fit import Place
from controller.core.placement.paths import LEAST_BYTES, Paths
from controller.core.placement.profiles import profile_of
from controller.core.seen import see_nodes
from controller.core.stills import still
from headrace.attempts import Attempt, Checkpoint, Phase
from headrace.jobs import AcceleratorRequest, ImagePin, Job, JobSpec, JobState, Preference, Requests
from headrace.neighbours import Neighbours
from headrace.nodes import Cpu, Device, Engine, Node, NodeState
from tests.core.small_world import AMD64, ARM64, GIB, IMAGE, PINS, description, spec

MIB = 1 << 20
PIN = ImagePin(AMD64, "registry.example/train@sha256:" + "a" * 64, IMAGE, 4 * GIB)
OTHER = replace(PIN, image="registry.example/other@sha256:" + "b" * 64)


def node(name: str, *, cpu: str = "EPYC", region: str = "", device_price: float = 0.0, core_price: float = 0.0) -> Node:
    about = replace(description(), cpu=Cpu(cpu, threads=4), region=region)
    about = replace(about, device_hour_price=device_price, core_hour_price=core_price)
    cards = (Device(f"{name}-0", "gpu", "nvidia", "H100", shareable=True),) if device_price else ()
    return Node(f"nodes/{name}", NodeState.READY, engine=Engine(reachable=True), description=about, devices=cards)


def book(*nodes: Node, seconds_per_price: float = 0.0) -> Book:
    return Book("cluster-1", Policy(ms_per_price=1000 * seconds_per_price), (), nodes)


def ran(
    into: Book, where: str, *phases: Phase, image: ImagePin = PIN, name: str = "train", job_id: str = "old-1"
) -> None:
    attempt = Attempt(job_id, epoch=1, node=where, image=image.image, platform=AMD64, phases=phases)
    into.foresight.paths.ran(Job(f"jobs/{job_id}", spec(display_name=name)), attempt)
    into.foresight.paths.renew()


def pulled(mib: int, seconds: float) -> Phase:
    return Phase("pull", round(1000 * seconds), mib * MIB)


def restored(mib: int, seconds: float) -> Phase:
    return Phase("restore", round(1000 * seconds), mib * MIB)


def chosen(by: Book, wanted: JobSpec | None = None, *, image: ImagePin = PIN, saved_bytes: int = 0) -> str:
    see_nodes(by)
    checkpoint = Checkpoint("sha256:c", 1, 1, saved_bytes) if saved_bytes else None
    job = Job("jobs/next-1", wanted or spec(), epoch=1, images=(image,), checkpoint=checkpoint)
    found = by.tables.choose(demand_of(job), job, now_wall_ms=0)
    assert isinstance(found, Place), found
    return found.node


def test_a_job_goes_where_its_image_is_if_to_bring_it_takes_long() -> None:
    two = book(node("a"), node("b"))
    ran(two, "b", pulled(100, 1))

    assert chosen(two) == "b"
    assert chosen(two, image=replace(PIN, size_bytes=500 * MIB)) == "a"
    assert chosen(two, image=OTHER) == "a"


def test_before_any_path_was_measured_nothing_is_said_of_how_long_anything_takes() -> None:
    two = book(node("a"), node("b"))
    ran(two, "b")

    assert chosen(two) == "a"


def test_what_has_to_be_brought_is_brought_over_the_faster_path() -> None:
    two = book(node("a"), node("b"))
    ran(two, "a", pulled(100, 20), image=OTHER)
    ran(two, "b", pulled(100, 1), image=OTHER)

    assert chosen(two) == "b"


def test_a_checkpoint_is_brought_over_its_own_path() -> None:
    two = book(node("a"), node("b"))
    ran(two, "a", restored(100, 20))
    ran(two, "b", restored(100, 1))

    assert chosen(two) == "a"
    assert chosen(two, saved_bytes=GIB) == "b"


def test_where_nothing_was_measured_the_path_is_thought_to_be_as_usual() -> None:
    three = book(node("a"), node("b"), node("c"))
    ran(three, "a", pulled(100, 100), image=OTHER)
    ran(three, "b", pulled(100, 1), image=OTHER)
    assert chosen(three) == "b"

    paths = three.foresight.paths
    assert paths.usual["image"] == pytest.approx((100 * MIB / 100_000 + 100 * MIB / 1_000) / 2)


def test_of_small_transfers_nothing_is_learned() -> None:
    paths = Paths()
    paths.brought("a", [Phase("pull", 10_000, LEAST_BYTES - 1), Phase("create", 5, GIB)])
    paths.renew()

    assert not paths.rates


def test_an_hour_of_running_more_is_not_saved_by_an_image_that_is_there() -> None:
    two = book(node("a"), node("b", cpu="Xeon"))
    ran(two, "a", pulled(100, 1))
    for where, seconds in (("a", 7200), ("b", 3600)):
        two.learned.observe(profile_of(spec()), PastRun(where, AMD64, (), 1000 * seconds))
    two.learned.renew()

    assert chosen(two) == "b"


def test_what_users_prefer_comes_before_what_has_to_be_brought() -> None:
    two = book(node("a"), node("b"))
    ran(two, "b", pulled(100, 1))

    assert chosen(two, spec(prefer=(Preference('name == "a"', 1.0),))) == "a"


def test_prices_decide_only_once_it_is_said_what_they_are_worth() -> None:
    dear, cheap = node("a", core_price=2.0), node("b", core_price=1.0)

    assert chosen(book(dear, cheap)) == "a"
    assert chosen(book(dear, cheap, seconds_per_price=600)) == "b"


def test_what_costs_more_is_taken_if_it_is_done_so_much_sooner() -> None:
    for seconds_per_price, where in ((60, "b"), (36_000, "a")):
        two = book(
            node("a", core_price=1.0), node("b", cpu="Xeon", core_price=3.0), seconds_per_price=seconds_per_price
        )
        for name, hours in (("a", 2), ("b", 1)):
            two.learned.observe(profile_of(spec()), PastRun(name, AMD64, (), 3_600_000 * hours))
        two.learned.renew()

        # On a it takes an hour more, and costs 2 instead of 3.
        assert chosen(two) == where


def test_a_job_with_devices_pays_for_those_and_for_its_cores() -> None:
    two = book(node("a", device_price=3.0), node("b", device_price=1.0, core_price=1.0), seconds_per_price=3600)

    assert chosen(two, spec(resources=Requests(1000, GIB, AcceleratorRequest(1)))) == "b"
    assert chosen(two, spec(resources=Requests(4000, GIB, AcceleratorRequest(1)))) == "a"
    assert chosen(two, spec(resources=Requests(1000, GIB, AcceleratorRequest(1, share_millis=100)))) == "a"


def test_explain_shows_those_first_that_are_better_in_all_that_is_counted_in_seconds() -> None:
    two = book(node("a"), node("b"))
    ran(two, "b", pulled(100, 1))

    job = Job("", spec(), images=(PIN,))
    found = explained(still(two), job)

    assert [one.node for one in found.candidates] == ["b", "a"]
    assert found.standing[0].startswith("b comes before a: by what is known of speeds, paths and prices, ")
    assert found.standing[0].endswith("; in seconds, 0 and not 41")


def test_of_an_image_for_several_platforms_a_node_brings_the_one_that_it_runs() -> None:
    arm = node("b")
    arm = replace(arm, description=replace(arm.description, platforms=(ARM64,)))
    two = book(node("a"), arm)
    ran(two, "a", pulled(100, 1), image=OTHER)
    small = replace(PINS[1], size_bytes=100 * MIB)
    see_nodes(two)

    def where(*pins: ImagePin) -> str:
        job = Job("jobs/next-1", spec(), epoch=1, images=pins)
        found = two.tables.choose(demand_of(job), job, now_wall_ms=0)
        assert isinstance(found, Place)
        return found.node

    assert where(PIN, small) == "b"
    assert where(replace(PIN, size_bytes=MIB), small) == "a"


# Near others.


def test_a_job_is_put_where_one_ran_that_it_is_to_be_near_to_else_into_its_region() -> None:
    four = book(node("a"), node("b", region="east"), node("c", region="east"), node("d", region="west"))
    ran(four, "c", name="prepare", job_id="prepare-1a2b3c")

    assert chosen(four, spec(neighbours=Neighbours(near=("prepare",)))) == "c"
    assert chosen(four, spec(neighbours=Neighbours(near=("prepare-1a2b3c",)))) == "c"
    assert chosen(four, spec(neighbours=Neighbours(near=("prepare",)), where='name != "c"')) == "b"
    assert chosen(four, spec(neighbours=Neighbours(near=("other",)))) == "a"
    assert chosen(four, spec(project="other", neighbours=Neighbours(near=("prepare",)))) == "a"


def test_a_gang_and_an_array_are_where_one_of_theirs_was_started_last_and_ids_are_of_the_job_s_own_project() -> None:
    three = book(node("a"), node("b"), node("c"))
    for job in (
        Job("jobs/gang-1a2b3c-1", spec(display_name="gang"), gang="gang-1a2b3c", task=1),
        Job("jobs/many-1a2b3c-7", spec(display_name="many"), array="many-1a2b3c", array_index=7),
    ):
        three.foresight.paths.ran(job, Attempt(job.id, epoch=1, node="c", image=PIN.image, platform=AMD64))

    for near in ("gang", "gang-1a2b3c", "gang-1a2b3c-1", "many", "many-1a2b3c", "many-1a2b3c-7"):
        assert chosen(three, spec(neighbours=Neighbours(near=(near,)))) == "c", near
        assert chosen(three, spec(project="other", neighbours=Neighbours(near=(near,)))) == "a", near


def test_where_jobs_ran_is_known_again_after_a_restart() -> None:
    attempt = Attempt(
        "prepare-1", epoch=1, node="b", image=PIN.image, platform=AMD64, start_time_ms=5, phases=(pulled(9, 1),)
    )
    ended = Job("jobs/prepare-1", spec(display_name="prepare"), JobState.SUCCEEDED, attempts=(attempt,))

    two = Book("cluster-1", Policy(), (), (node("a"), node("b")), ended=[ended])
    two.foresight.paths.renew()

    assert chosen(two, spec(neighbours=Neighbours(near=("prepare",)))) == "b"
    assert chosen(two) == "b"


def started(job_id: str, state: JobState, where: str, at_ms: int, pull: Phase) -> Job:
    attempt = Attempt(job_id, epoch=1, node=where, image=PIN.image, platform=AMD64, start_time_ms=at_ms, phases=(pull,))
    at = where if state is JobState.RUNNING else ""
    return Job(f"jobs/{job_id}", spec(display_name="prepare"), state, epoch=1, node=at, attempts=(attempt,))


def test_after_a_restart_each_transfer_counts_once_whether_its_job_has_ended_or_not() -> None:
    live = started("prepare-1", JobState.RUNNING, "b", 5, pulled(100, 9))
    ended = started("prepare-2", JobState.SUCCEEDED, "b", 7, pulled(100, 1))

    two = Book("cluster-1", Policy(), (live,), (node("a"), node("b")), ended=[ended])
    two.foresight.paths.renew()

    assert two.foresight.paths.rates["b", "image"] == pytest.approx(200 * MIB / 10_000)


@pytest.mark.parametrize("state", [JobState.RUNNING, JobState.SUCCEEDED])
def test_after_a_restart_it_is_known_which_of_several_jobs_was_started_last(state: JobState) -> None:
    later = started("prepare-1", state, "b", 9, pulled(1, 1))
    earlier = started("prepare-2", JobState.RUNNING, "a", 5, pulled(1, 1))
    live = tuple(one for one in (later, earlier) if not one.ended)

    two = Book("cluster-1", Policy(), live, (node("a"), node("b")), ended=[later])

    assert two.foresight.paths.last_node("default", "prepare") == "b"


# Whatever was measured.


measured = st.tuples(st.sampled_from("abcde"), st.sampled_from((1, 10, 500)), st.sampled_from((1, 30)))
held = st.lists(st.sampled_from("abcde"), max_size=3)


@settings(max_examples=150, deadline=None)
@given(
    st.lists(measured, max_size=6),
    held,
    st.lists(st.sampled_from((0.0, 1.0, 4.0)), min_size=5, max_size=5),
    st.dictionaries(st.sampled_from(("EPYC", "Xeon")), st.sampled_from((60, 3600)), max_size=2),
    st.sampled_from((0, 600)),
)
def test_the_place_is_as_good_in_seconds_as_the_best_counted_by_hand(
    transfers: list[tuple[str, int, int]], having: list[str], prices: list[float], runs: dict[str, int], worth: int
) -> None:
    cpus = dict(zip("abcde", ("EPYC", "Xeon", "EPYC", "Xeon", "EPYC"), strict=True))
    nodes = [node(name, cpu=cpus[name], core_price=price) for name, price in zip("abcde", prices, strict=True)]
    it = book(*nodes, seconds_per_price=worth)
    for name, mib, seconds in transfers:
        ran(it, name, pulled(mib, seconds), image=OTHER)
    for name in having:
        ran(it, name)
    for cpu, seconds in runs.items():
        where = next(name for name in "abcde" if cpus[name] == cpu)
        it.learned.observe(profile_of(spec()), PastRun(where, AMD64, (), 1000 * seconds))
    it.learned.renew()

    found = chosen(it)

    paths = it.foresight.paths
    usual = paths.usual.get("image")
    told = {cpu: 1000 / speed.optimistic for cpu in cpus.values() if (speed := _speed(it, cpu, cpus)) is not None}
    seconds_at = {}
    for name, price in zip("abcde", prices, strict=True):
        run_ms = told.get(cpus[name], min(told.values(), default=0.0))
        rate = paths.rates.get((name, "image"), usual)
        arrives_ms = PIN.size_bytes / rate if rate and name not in having else 0.0
        cost_ms = price * (run_ms if told else 3_600_000) / 3_600_000 * worth * 1000
        seconds_at[name] = run_ms + arrives_ms + cost_ms
    least = min(seconds_at.values())
    assert seconds_at[found] <= max(1.25 * least, least + 10_000) * (1 + 1e-9)
    assert np.isfinite(least)
    # A still sees the same.
    job = Job("jobs/next-1", spec(), epoch=1, images=(PIN,))
    again = still(it).tables.choose(demand_of(job), job, now_wall_ms=0)
    assert isinstance(again, Place)
    assert again.node == found


def _speed(it: Book, cpu: str, cpus: dict[str, str]) -> object:
    where = next(name for name in "abcde" if cpus[name] == cpu)
    place = Place(where, PIN, AMD64, (), 0, ())
    return it.learned.speeds(spec(), [place])[0]


@settings(deadline=None)
@given(st.lists(st.tuples(st.integers(0, 5), st.integers(0, 2), st.integers(0, 3)), max_size=20))
def test_a_controller_that_starts_knows_of_runs_what_it_knew_of_them(runs: list[tuple[int, int, int]]) -> None:
    ran = []
    for job, name, at in runs:
        one = Job(f"jobs/j{job}", JobSpec(f"name-{name}", IMAGE))
        ran.append((one, Attempt(one.id, 1, f"n{at}", image=f"image-{at}")))
    told, recalled = Paths(), Paths()
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(module, "_JOBS_KEPT", 4)
        for one, attempt in ran:
            told.ran(one, attempt)
        recalled.recall(ran)

    assert list(recalled._ran.items()) == list(told._ran.items())
    assert recalled.images == told.images
