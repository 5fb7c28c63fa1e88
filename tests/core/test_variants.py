"""Laws of variants: the first one that fits a node is bound there, and says only what is different."""

from dataclasses import replace

import pytest

from controller.core.placement.fit import Place, Usage, bound, fit
from headrace.jobs import Job, JobSpec, Variant
from headrace.nodes import Engine, Node, NodeState
from tests.core.small_world import IMAGE, PINS, description, spec

OTHER = "registry.example/other:1"
NORTH = Variant('region == "north"', image=OTHER)
SOUTH = Variant('region == "south"', command=("run", "south"), env={"WHERE": "south"})


def varied(*variants: Variant) -> JobSpec:
    return spec(command=("run",), env={"WHERE": "anywhere", "SEED": "1"}, variants=variants)


@pytest.mark.parametrize(
    ("region", "variants", "number"),
    [
        ("north", (NORTH, SOUTH), 1),
        ("south", (NORTH, SOUTH), 2),
        ("west", (NORTH, SOUTH), 0),
        ("south", (SOUTH,) * 2, 1),
    ],
    ids=["first", "second", "none", "both"],
)
def test_the_first_variant_that_fits_the_node_is_bound(region: str, variants: tuple[Variant, ...], number: int) -> None:
    here = replace(description(), region=region)
    node = Node("nodes/a", NodeState.READY, description=here, engine=Engine(reachable=True))
    images = (*PINS, *(replace(pin, reference=OTHER) for pin in PINS))

    found = fit(Job("jobs/train-1", varied(*variants), images=images), node, Usage(), now_wall_ms=0)

    assert isinstance(found, Place)
    assert found.variant == number
    assert found.pin.reference == (OTHER if variants[number - 1] is NORTH and number else IMAGE)


def test_a_variant_replaces_what_it_names_and_leaves_the_rest() -> None:
    wanted = varied(NORTH, SOUTH)

    assert bound(wanted, 1) == replace(wanted, image=OTHER, variants=())
    assert bound(wanted, 2) == replace(
        wanted, command=("run", "south"), env={"WHERE": "south", "SEED": "1"}, variants=()
    )


def test_a_job_that_no_variant_fits_is_as_it_was_submitted() -> None:
    wanted = varied(NORTH, SOUTH)

    assert bound(wanted, 0) == replace(wanted, variants=())
