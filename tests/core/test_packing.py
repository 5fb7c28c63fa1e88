"""Placing by room: never over capacity, never against a constraint, the same again, and by deltas as anew."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from controller.core.placement import packing as packing_module
from controller.core.placement.columns import WHOLE, Columns, Host, OverCapacity, Shape, Spot
from controller.core.placement.defragmentation import LEAST_GAIN, Placed, best_move, move
from controller.core.placement.packing import Packing
from controller.core.placement.rooms import FGD, Mix, Policy, Rooms, States, whole_nodes
from controller.core.placement.ways import Asks, Ways, cheapest

GIB = 1 << 30
MODELS = ("a", "b", "c")

hosts = st.lists(
    st.builds(
        Host,
        cpu_millis=st.integers(0, 16_000),
        memory_bytes=st.integers(0, 64 * GIB),
        devices=st.integers(0, 4),
        model=st.sampled_from(MODELS),
    ),
    min_size=1,
    max_size=6,
)
needs = st.one_of(
    st.just((0, WHOLE)), st.tuples(st.just(1), st.integers(1, WHOLE)), st.tuples(st.integers(1, 4), st.just(WHOLE))
)
shapes = st.builds(
    lambda cpu, memory, need, models: Shape(cpu, memory, *need, tuple(models)),
    st.integers(0, 6_000),
    st.integers(0, 24 * GIB),
    needs,
    st.lists(st.sampled_from(MODELS), max_size=2, unique=True),
)
arrivals = st.lists(shapes, max_size=30)
policies = st.sampled_from((Policy(), FGD))


def placed_all(packing: Packing, asked: list[Shape]) -> list[tuple[Shape, Spot | None]]:
    return [(shape, packing.place(shape)) for shape in asked]


def room_by_hand(columns: Columns, shape: Shape, node: int) -> bool:
    enough = columns.cpu_millis[node] >= shape.cpu_millis and columns.memory_bytes[node] >= shape.memory_bytes
    able = [one for one in columns.devices[:, node] if one >= shape.device_millis]
    right = not shape.models or not shape.devices or columns.hosts[node].model in shape.models
    return bool(enough and right and len(able) >= shape.devices)


def held_by_hand(given_hosts: list[Host], placed: list[tuple[Shape, Spot | None]]) -> None:
    """Adds up what was placed, knowing nothing of columns, and says where it is more than there is."""
    for node, host in enumerate(given_hosts):
        here = [(shape, spot) for shape, spot in placed if spot is not None and spot.node == node]
        assert sum(shape.cpu_millis for shape, _ in here) <= host.cpu_millis
        assert sum(shape.memory_bytes for shape, _ in here) <= host.memory_bytes
        for shape, spot in here:
            assert len(dict.fromkeys(spot.devices)) == len(spot.devices) == shape.devices
            assert all(0 <= one < host.devices for one in spot.devices)
            assert not shape.devices or not shape.models or host.model in shape.models
        for device in range(host.devices):
            on_it = [shape.device_millis for shape, spot in here if device in spot.devices]
            assert sum(on_it) <= WHOLE


@settings(deadline=None, max_examples=40)
@given(hosts, arrivals, policies)
def test_no_node_and_no_device_has_more_than_it_is_and_none_of_another_model(
    given_hosts: list[Host], asked: list[Shape], policy: Policy
) -> None:
    held_by_hand(given_hosts, placed_all(Packing(Columns(given_hosts), policy), asked))


@settings(deadline=None, max_examples=40)
@given(hosts, arrivals, policies)
def test_a_task_is_placed_if_and_only_if_some_node_has_room(
    given_hosts: list[Host], asked: list[Shape], policy: Policy
) -> None:
    packing = Packing(Columns(given_hosts), policy)
    for shape in asked:
        room = [room_by_hand(packing.columns, shape, node) for node in range(len(given_hosts))]
        assert packing.columns.fits(shape).tolist() == room
        assert (packing.place(shape) is not None) == any(room)


@settings(deadline=None, max_examples=40)
@given(hosts, arrivals)
def test_what_deltas_left_is_what_a_snapshot_made_anew_says(given_hosts: list[Host], asked: list[Shape]) -> None:
    known = Mix()
    for shape in asked:
        known.asked(shape)
    packing = Packing(Columns(given_hosts), known=known)
    placed = placed_all(packing, asked)
    for shape, spot in placed[::3]:
        if spot is not None:
            packing.give(spot, shape)
    kept = [one for number, one in enumerate(placed) if number % 3]

    anew = Columns(given_hosts)
    for shape, spot in kept:
        if spot is not None:
            anew.take(spot, shape)

    assert np.array_equal(packing.columns.cpu_millis, anew.cpu_millis)
    assert np.array_equal(packing.columns.memory_bytes, anew.memory_bytes)
    assert np.array_equal(packing.columns.devices, anew.devices)
    assert packing.columns.free_millis == anew.free_millis
    packing.learn()
    other = Packing(anew, known=known)
    assert [packing.choose(shape) for shape in asked] == [other.choose(shape) for shape in asked]


@settings(deadline=None, max_examples=40)
@given(hosts, arrivals)
def test_the_same_arrivals_are_placed_the_same_again(given_hosts: list[Host], asked: list[Shape]) -> None:
    one, other = Packing(Columns(given_hosts)), Packing(Columns(given_hosts))
    assert placed_all(one, asked) == placed_all(other, asked)


@settings(deadline=None, max_examples=40)
@given(hosts, arrivals)
def test_the_places_are_the_same_however_few_shapes_are_kept_ready(given_hosts: list[Host], asked: list[Shape]) -> None:
    with pytest.MonkeyPatch.context() as few:
        few.setattr(packing_module, "MOST_READY", 2)
        made_anew = placed_all(Packing(Columns(given_hosts)), asked)
    assert made_anew == placed_all(Packing(Columns(given_hosts)), asked)


def test_what_hundreds_of_shapes_cost_is_worked_out_once_while_nothing_changes(monkeypatch: pytest.MonkeyPatch) -> None:
    packing, worked_out = Packing(Columns([Host(16_000, 64 * GIB, 4, "a")])), list[Asks]()

    def counted(rooms: Rooms, asks: Asks, states: States, worth: NDArray[np.float64] | None = None) -> Ways:
        worked_out.append(asks)
        return cheapest(rooms, asks, states, worth)

    monkeypatch.setattr(packing_module, "cheapest", counted)
    for _ in range(2):
        for cpu_millis in range(500):
            packing.choose(Shape(cpu_millis, GIB, 1, WHOLE))

    assert len(worked_out) == 500


@settings(deadline=None, max_examples=40)
@given(hosts, arrivals)
def test_a_move_leaves_each_task_placed_and_no_node_over_its_capacity(
    given_hosts: list[Host], asked: list[Shape]
) -> None:
    packing = Packing(Columns(given_hosts))
    spots = dict(enumerate(placed_all(packing, asked)))
    there = [Placed(task, shape, spot) for task, (shape, spot) in spots.items() if spot is not None]
    found = move(packing, there)
    if found is not None:
        spots[found.placed.task] = (found.placed.shape, found.to)
        assert found.to.node != found.placed.spot.node
    held_by_hand(given_hosts, list(spots.values()))
    anew = Columns(given_hosts)
    for shape, spot in spots.values():
        if spot is not None:
            anew.take(spot, shape)
    assert np.array_equal(packing.columns.devices, anew.devices)


def test_a_share_goes_where_it_leaves_no_remainder_that_nobody_asks_for() -> None:
    mix = Mix()
    mix.asked(Shape(1, 1, 1, 500), 10)
    packing = Packing(Columns([Host(100, 100, 2, "a")]), known=mix)
    packing.take(Spot(0, (0,)), Shape(1, 1, 1, 500))
    assert packing.choose(Shape(1, 1, 1, 500)) == Spot(0, (0,))


def test_a_task_without_devices_keeps_away_from_the_cores_that_devices_need() -> None:
    mix = Mix()
    mix.asked(Shape(4000, GIB, 1), 10)
    packing = Packing(Columns([Host(8000, 64 * GIB, 2, "a"), Host(32_000, 64 * GIB, 2, "a")]), known=mix)
    assert packing.choose(Shape(4000, GIB)) == Spot(1)


def test_a_move_joins_two_shares_so_that_a_device_is_whole_again() -> None:
    half = Shape(1000, GIB, 1, 500)
    mix = Mix()
    mix.asked(Shape(1000, GIB, 1), 10)
    packing = Packing(Columns([Host(8000, 64 * GIB, 1, "a"), Host(8000, 64 * GIB, 1, "a")]), known=mix)
    there = [Placed(number, half, Spot(number, (0,))) for number in range(2)]
    for one in there:
        packing.take(one.spot, one.shape)
    found = move(packing, there)
    assert found is not None
    assert found.to == Spot(1 - found.placed.spot.node, (0,))
    assert packing.choose(Shape(1000, GIB, 1)) == Spot(found.placed.spot.node, (0,))
    assert move(packing, [Placed(found.placed.task, half, found.to)]) is None


def test_what_is_not_free_is_not_taken_and_what_was_not_taken_is_not_given_back() -> None:
    columns = Columns([Host(1000, GIB, 1, "a")])
    shape = Shape(1000, GIB, 1)
    with pytest.raises(OverCapacity):
        columns.give(Spot(0, (0,)), shape)
    columns.take(Spot(0, (0,)), shape)
    with pytest.raises(OverCapacity):
        columns.take(Spot(0, (0,)), shape)
    columns.give(Spot(0, (0,)), shape)
    assert columns.free_millis == columns.device_millis == WHOLE


def test_a_share_of_several_devices_is_refused() -> None:
    with pytest.raises(ValueError, match="a share is of one device"):
        Shape(1000, GIB, 2, 500)


def test_a_cluster_without_nodes_has_no_place() -> None:
    assert Packing(Columns([])).place(Shape(1, 1)) is None


def test_of_places_that_are_as_good_the_first_is_taken_whatever_else_is_free_there() -> None:
    mix = Mix()
    for share in range(30, 1000, 70):
        mix.asked(Shape(1000, GIB, 1, share), share)
    hosts = [Host(64_000 + 37 * number, 64 * GIB + number, 4, "a") for number in range(50)]
    packing = Packing(Columns(hosts), FGD, mix)
    assert [packing.place(Shape(1000, GIB, 1, 170)) for _ in range(4)] == [Spot(0, (0,))] * 4


@pytest.mark.parametrize("scarcity", [0.0, 1.0, Policy().scarcity])
def test_the_less_room_a_shape_has_the_more_it_counts(scarcity: float) -> None:
    typical = [(Shape(1000, GIB, 1, WHOLE), 0.5), (Shape(1000, GIB, 4, WHOLE), 0.5)]
    rooms = Rooms(Columns([Host(64_000, 64 * GIB, 4, "a")]), typical, Policy(scarcity=scarcity))
    # A thousandth of all devices is added to either: 4.
    rooms.weigh(np.array([796_000.0, 36_000.0]), 4_000_000)
    assert rooms.weights[1] / rooms.weights[0] == pytest.approx(20**scarcity)


def test_what_nobody_has_asked_for_has_room_kept_by_whoever_may_go_elsewhere() -> None:
    small, whole = Shape(1_000, GIB, 1, WHOLE), Shape(60_000, 60 * GIB, 4, WHOLE, ("a",))
    hosts = [Host(64_000, 64 * GIB, 4, "a"), Host(16_000, 16 * GIB, 4, "b"), Host(16_000, 16 * GIB, 4, "b")]
    told = Mix()
    told.asked(small)
    for packing, has_room in ((Packing(Columns(hosts)), True), (Packing(Columns(hosts), FGD, told), False)):
        assert [packing.place(small) is not None for _ in range(4)] == [True] * 4
        assert (packing.place(whole) is not None) is has_room


def test_a_whole_node_of_a_kind_is_what_the_least_of_them_has() -> None:
    hosts = [Host(8_000, 9 * GIB, 2, "a"), Host(9_000, 8 * GIB, 2, "a"), Host(1_000, GIB, 4, "a"), Host(1_000, GIB)]
    assert whole_nodes(hosts) == (Shape(8_000, 8 * GIB, 2, WHOLE, ("a",)), Shape(1_000, GIB, 4, WHOLE, ("a",)))


@pytest.mark.parametrize("requests", [20, 1_000])
def test_a_node_of_its_own_kind_that_is_taken_makes_no_move_worth_less(requests: int) -> None:
    small, alike = Shape(1_000, GIB, 1, WHOLE), [Host(64_000, 64 * GIB, 4, "a") for _ in range(12)]
    gains = []
    for hosts in (alike, [*alike, Host(1_000, GIB, 4, "b")]):
        packing = Packing(Columns(hosts))
        packing.asked(small, requests)
        packing.asked(Shape(1_000, GIB, 2, WHOLE, ("a",)), requests)
        placed = [Placed(number, small, Spot(number, (0,))) for number in range(len(hosts))]
        for one in placed:
            packing.take(one.spot, small)
        packing.learn()
        found = best_move(packing, placed[:2])
        gains.append(found.gain if found else 0.0)
    assert gains[1] == pytest.approx(gains[0], rel=0.2)
    # Of six devices four could be used by twos, now six can.
    assert LEAST_GAIN < gains[0] < 2 * WHOLE
