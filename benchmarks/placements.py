"""Row 4: placements a second in the core, on ten thousand nodes, of 64 shapes: one by one, and in arrays."""

import random
import time

from benchmarks import setting as settings
from benchmarks.figures import Ratio, Row, Series
from controller.core.placement.columns import Columns, Host, Shape
from controller.core.placement.packing import Packing

NODES = 10_000
SHAPES = 64
ROUNDS = 5
ONE_BY_ONE, IN_ARRAYS, ARRAY = 10_000, 100_000, 1_000
SINGLE_BOUND, ARRAY_BOUND = 20_000.0, 200_000.0
GIB = 1 << 30
# CPU, memory and six devices: eight dimensions.
DEVICES = 6
TOGETHER = 128
MODELS = ("small", "middle", "large")


async def measure(_: settings.Setting) -> Row:
    """Measures the row. It needs no engine."""
    return measured()


def measured() -> Row:
    """The row: each round begins with an empty cluster that knows what is usually asked for."""
    single, arrays = [], []
    for seed in range(ROUNDS):
        draw = random.Random(seed)  # noqa: S311 -- A seed that can be repeated is the point.
        shapes = [_shape(draw) for _ in range(SHAPES)]
        single.append(_one_by_one(draw, shapes))
        arrays.append(_in_arrays(draw, shapes))
    series = (
        Series("one by one", "placements/s", tuple(single)),
        Series(f"arrays of {ARRAY}", "placements/s", tuple(arrays)),
    )
    ratios = (
        Ratio(f"one by one / {SINGLE_BOUND:.0f}", series[0].p50 / SINGLE_BOUND, 1.0, at_least=True),
        Ratio(f"arrays / {ARRAY_BOUND:.0f}", series[1].p50 / ARRAY_BOUND, 1.0, at_least=True),
    )
    notes = (
        "seconds of this process' own CPU: other programs on the machine do not count",
        "a third of the shapes ask for no device, a third for a share of one, a third for whole ones; half for a model",
    )
    title = f"placements a second in the core: {NODES} nodes, CPU, memory and {DEVICES} devices each, {SHAPES} shapes"
    return Row(4, title, series, ratios, notes)


def _one_by_one(draw: random.Random, shapes: list[Shape]) -> float:
    packing = _warm(shapes)
    asked = draw.choices(shapes, k=ONE_BY_ONE)
    begun = time.process_time()
    placed = sum(packing.place(shape) is not None for shape in asked)
    return placed / (time.process_time() - begun)


def _in_arrays(draw: random.Random, shapes: list[Shape]) -> float:
    packing = _warm(shapes)
    asked = draw.choices(shapes, k=IN_ARRAYS // ARRAY)
    begun = time.process_time()
    placed = sum(len(packing.place_array(shape, ARRAY)) for shape in asked)
    return placed / (time.process_time() - begun)


def _warm(shapes: list[Shape]) -> Packing:
    """A cluster that has been up for a while: each shape was asked for before."""
    hosts = [Host(64_000, 256 * GIB, DEVICES, MODELS[number % len(MODELS)]) for number in range(NODES)]
    packing = Packing(Columns(hosts), together=TOGETHER)
    for _ in range(64):
        for shape in shapes:
            packing.asked(shape)
    for shape in shapes:
        packing.choose(shape)
    return packing


def _shape(draw: random.Random) -> Shape:
    cpu, memory = 1000 * draw.randint(1, 8), GIB * draw.randint(1, 32)
    kind = draw.randrange(3)
    if kind == 0:
        return Shape(cpu, memory)
    models = (draw.choice(MODELS),) if draw.random() < 0.5 else ()
    if kind == 1:
        return Shape(cpu, memory, 1, 50 * draw.randint(2, 16), models)
    return Shape(cpu, memory, draw.choice((1, 1, 1, 2, 4)), models=models)
