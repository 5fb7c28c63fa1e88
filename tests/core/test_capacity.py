"""Laws of normalised capacity: of each figure the one that is known best; sums are known as their parts are."""

import pytest

from headrace import capacity
from headrace.capacity import MEMORY, UNCERTAIN, Rate, best, cpu_rate, device_rate, devices_rate
from headrace.nodes import Cpu, Device, Figure, Node, NodeDescription, Origin
from headrace.query import DEVICE_FIELDS, NODE_FIELDS, device_row, node_row, parse

SPEC = Figure("bf16_tflops", 989.0, Origin.SPEC, "datasheet")
DECLARED = Figure("bf16_tflops", 900.0, Origin.DECLARED, "settings")
MEASURED = Figure("bf16_tflops", 700.0, Origin.MEASURED, "a run")
DOUBTFUL = Figure("bf16_tflops", 345.0, Origin.SPEC, f"{UNCERTAIN}a page")
BANDWIDTH = Figure("memory_gb_per_second", 3350.0, Origin.SPEC, "datasheet")


def card(*figures: Figure, name: str = "a") -> Device:
    return Device(name, "gpu", "nvidia", "card", figures=figures)


def node(*devices: Device, cpu: tuple[Figure, ...] = ()) -> Node:
    return Node("nodes/a", description=NodeDescription(cpu=Cpu(figures=cpu)), devices=devices)


CPU = (
    Figure("fp64_gflops", 100.0, Origin.MEASURED, "NumPy"),
    Figure("memory_gb_per_second", 30.0, Origin.MEASURED, "NumPy"),
)


@pytest.mark.parametrize("order", [(SPEC, DECLARED, MEASURED), (MEASURED, DECLARED, SPEC), (DECLARED, MEASURED, SPEC)])
def test_what_was_measured_is_believed_first_whatever_the_order(order: tuple[Figure, ...]) -> None:
    assert best(order, "bf16_tflops") == MEASURED
    assert best([one for one in order if one is not MEASURED], "bf16_tflops") == DECLARED


@pytest.mark.parametrize(
    "figure", [DOUBTFUL, Figure("bf16_tflops", 0.0, Origin.SPEC), Figure("bf16_tflops", float("nan"), Origin.SPEC)]
)
def test_what_is_uncertain_or_no_figure_at_all_decides_nothing(figure: Figure) -> None:
    assert best([figure], "bf16_tflops") is None
    assert best([figure, SPEC], "bf16_tflops") == SPEC


def test_figures_of_devices_and_processors_are_in_one_unit() -> None:
    assert device_rate(card(SPEC), "bf16") == Rate("bf16", 989e12, Origin.SPEC, "datasheet")
    assert device_rate(card(BANDWIDTH), MEMORY) == Rate(MEMORY, 3350e9, Origin.SPEC, "datasheet")
    assert cpu_rate(node(cpu=CPU), "fp64") == Rate("fp64", 100e9, Origin.MEASURED, "NumPy")
    assert cpu_rate(node(cpu=CPU), MEMORY) == Rate(MEMORY, 30e9, Origin.MEASURED, "NumPy")


def test_a_precision_that_nobody_told_of_is_unknown_and_not_zero() -> None:
    assert device_rate(card(SPEC), "int8") is None
    assert cpu_rate(node(cpu=CPU), "bf16") is None
    assert cpu_rate(node(), "fp64") is None


def test_several_devices_are_known_as_well_as_the_least_known_of_them() -> None:
    together = devices_rate([card(MEASURED), card(SPEC)], "bf16")

    assert together == Rate("bf16", 1689e12, Origin.SPEC, "a run; datasheet")


def test_several_devices_of_which_one_is_unknown_are_unknown() -> None:
    assert devices_rate([card(MEASURED), card()], "bf16") is None
    assert devices_rate([], "bf16") is None


def test_a_nodes_capacity_tells_processors_from_devices_and_says_how_many_it_knows() -> None:
    found = capacity.capacity(node(card(SPEC, BANDWIDTH), card(SPEC, name="b"), card(name="c"), cpu=CPU))

    assert [(whose, rate.precision, rate.per_second) for whose, rate in found] == [
        ("processors", "fp64", 100e9),
        ("2 of 3 devices", "bf16", 1978e12),
        ("processors", MEMORY, 30e9),
        ("1 of 3 devices", MEMORY, 3350e9),
    ]


@pytest.mark.parametrize(
    ("where", "holds"),
    [
        ("gpu.bf16_tflops > 900", True),
        ("gpu.bf16_tflops > 1000", False),
        ("gpu.memory_gb_per_second >= 3000", True),
        ("gpu.int8_tops > 1", False),
        ("not gpu.int8_tops > 1", False),
        ("cpu.fp64_gflops == 100 and cpu.memory_gb_per_second > 20", True),
        ("not cpu.fp32_gflops > 1", False),
    ],
)
def test_figures_are_fields_of_queries_and_unknown_ones_are_neither_true_nor_false(where, holds) -> None:
    assert parse(where, NODE_FIELDS).holds(node_row(node(card(SPEC, BANDWIDTH), cpu=CPU))) is holds


def test_a_job_asks_for_figures_of_its_devices() -> None:
    asked = parse("bf16_tflops > 300", DEVICE_FIELDS)

    assert asked.holds(device_row(card(SPEC)))
    assert not asked.holds(device_row(card(DOUBTFUL)))
