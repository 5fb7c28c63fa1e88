"""Normalised units: what tasks of all kinds have in common."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from controller.core.units import Yardstick
from headrace.jobs import AcceleratorRequest, Requests
from headrace.nodes import Capacity, Device, Figure, Node, NodeDescription, Origin
from headrace.projects import Amount
from tests.core.small_world import GIB


def device(number: int, kind: str = "gpu", **figures: float) -> Device:
    known = tuple(Figure(name, value, Origin.SPEC) for name, value in figures.items())
    return Device(f"{kind}-{number}", kind, "maker", "model", memory_bytes=16 * GIB, figures=known)


def node(name: str, *devices: Device, cores: int = 16) -> Node:
    capacity = Capacity(cores * 1000, cores * 4 * GIB)
    return Node(f"nodes/{name}", description=NodeDescription(capacity=capacity), devices=devices)


ONE_DEVICE = AcceleratorRequest(1, 'kind == "gpu"')


def test_a_core_is_a_unit() -> None:
    assert Yardstick([node("a")]).amount(Requests(3000, GIB), ()) == Amount(3000, 0, 3000)


def test_who_asks_for_much_memory_and_few_cores_counts_by_memory() -> None:
    yardstick = Yardstick([node("a"), node("b")])
    assert yardstick.amount(Requests(1000, 64 * GIB), ()).unit_millis == 16_000


def test_all_devices_of_a_kind_are_worth_all_cores() -> None:
    gpus, npus = [device(one) for one in range(2)], [device(one, "npu") for one in range(8)]
    yardstick = Yardstick([node("a", *gpus), node("b", *npus)])
    assert yardstick.amount(Requests(1000, GIB, ONE_DEVICE), gpus[:1]) == Amount(16_000, 1000, 1000)
    assert yardstick.amount(Requests(1000, GIB, AcceleratorRequest(2)), npus[:2]) == Amount(8_000, 2000, 1000)


def test_a_part_of_a_device_counts_as_that_part() -> None:
    one = device(1)
    half = AcceleratorRequest(1, share_millis=500)
    assert Yardstick([node("a", one)]).amount(Requests(1000, GIB, half), [one]) == Amount(8_000, 500, 1000)


def test_devices_of_a_kind_whose_figures_are_known_count_by_them() -> None:
    slow, fast = device(1, fp16_tflops=100), device(2, fp16_tflops=300)
    yardstick = Yardstick([node("a", slow, fast)])
    assert yardstick.amount(Requests(1000, GIB, ONE_DEVICE), [slow]).unit_millis == 4_000
    assert yardstick.amount(Requests(1000, GIB, ONE_DEVICE), [fast]).unit_millis == 12_000


def test_devices_of_a_kind_of_which_one_is_not_known_count_alike() -> None:
    known, unknown = device(1, fp16_tflops=100), device(2)
    yardstick = Yardstick([node("a", known, unknown)])
    assert yardstick.amount(Requests(1000, GIB, ONE_DEVICE), [known]).unit_millis == 8_000


def test_what_a_task_will_have_is_that_of_the_kind_which_it_names() -> None:
    yardstick = Yardstick([node("a", device(1), device(2)), node("b", device(3, "npu"))])
    assert yardstick.expected(Requests(1000, GIB, ONE_DEVICE)).unit_millis == 16_000
    assert yardstick.expected(Requests(1000, GIB, AcceleratorRequest(1))).unit_millis == 32_000


@given(st.lists(st.tuples(st.integers(1, 4), st.sampled_from(("gpu", "npu", "tpu"))), min_size=1, max_size=3))
def test_of_alternatives_a_task_is_expected_to_have_no_more_than_of_any(drawn: list[tuple[int, str]]) -> None:
    yardstick = Yardstick([node("a", device(1), device(2)), node("b", device(3, "npu"))])
    asked = [AcceleratorRequest(count, f'kind == "{kind}"') for count, kind in drawn]

    found = yardstick.expected(Requests(1000, GIB, asked[0], tuple(asked[1:])))

    each = [yardstick.expected(Requests(1000, GIB, one)) for one in asked]
    assert found == Amount(min(one.unit_millis for one in each), min(one.device_millis for one in each), 1000)


@pytest.mark.parametrize(
    ("where", "unit_millis"),
    [
        ('kind != "npu"', 8_000),
        ('kind == "npu" and model != "gpu"', 16_000),
        ('kind in ("gpu", "npu")', 16_000),
        ('not kind == "npu" and memory >= 1GiB', 8_000),
        ('model == "gpu"', 16_000),
        ('kind == "tpu"', 16_000),
    ],
)
def test_the_kinds_that_a_query_allows_are_found_by_what_it_means(where: str, unit_millis: int) -> None:
    yardstick = Yardstick([node("a", device(1), device(2)), node("b", device(3, "npu"), cores=0)])
    assert yardstick.expected(Requests(1000, GIB, AcceleratorRequest(1, where))).unit_millis == unit_millis


def test_where_nothing_is_known_of_nodes_a_task_counts_by_its_cores() -> None:
    assert Yardstick().amount(Requests(1000, GIB, ONE_DEVICE), [device(1)]) == Amount(1000, 1000, 1000)


@given(
    st.lists(st.tuples(st.integers(0, 2), st.integers(1, 64), st.integers(0, 3)), min_size=1, max_size=12),
    st.sampled_from((0.0, 50.0)),
)
def test_nodes_that_change_one_by_one_leave_what_all_of_them_would(
    changes: list[tuple[int, int, int]], tflops: float
) -> None:
    grown, last = Yardstick(), {}
    for number, cores, count in changes:
        figures = {"bf16_tflops": tflops} if tflops else {}
        given_devices = [device(number * 10 + one, **figures) for one in range(count)]
        last[number] = node(f"n{number}", *given_devices, cores=cores)
        grown.put(last[number])
    whole = Yardstick(last.values())
    asked = Requests(1000, GIB, ONE_DEVICE)
    for one in last.values():
        for given_device in one.devices:
            assert grown.amount(asked, [given_device]) == whole.amount(asked, [given_device])
    assert grown.expected(asked) == whole.expected(asked)


@pytest.mark.parametrize("kind", ["gpu", "npu"])
def test_all_of_a_kind_together_is_what_all_cores_are(kind: str) -> None:
    devices = [device(one, kind, fp16_tflops=10.0 * (one + 1)) for one in range(4)]
    yardstick = Yardstick([node("a", *devices, cores=30)])
    every = yardstick.amount(Requests(1000, GIB, AcceleratorRequest(4)), devices)
    assert abs(every.unit_millis - 30_000) <= len(devices)
