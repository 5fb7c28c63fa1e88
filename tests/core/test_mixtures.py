"""Laws of gangs of which some tasks have one alternative of devices and others another: what there is is found."""

from collections.abc import Iterator
from dataclasses import replace
from itertools import combinations, groupby, zip_longest

from hypothesis import given, settings
from hypothesis import strategies as st

from controller.core.placement import tasks as tasks_places
from controller.core.placement.demand import demand_of
from controller.core.placement.fit import Place, Usage
from controller.core.placement.gang import choose_all, count_at
from controller.core.placement.snapshot import Snapshot
from controller.core.placement.tables import Tables
from headrace import query
from headrace.jobs import AcceleratorRequest, Exclusion, Job, Requests
from headrace.neighbours import Neighbours
from headrace.nodes import Device, Engine, Node, NodeState
from tests.core.small_world import AMD64, GIB, PINS, description, spec

WHERES = ("", 'model == "H100"', 'model != "H100"', "memory >= 40GiB")
KINDS = (("gpu", "H100", 80), ("gpu", "A100", 80), ("gpu", "A100", 24), ("npu", "H100", 24))

requests = st.builds(AcceleratorRequest, st.integers(1, 3), st.sampled_from(WHERES))
several = st.lists(requests, min_size=2, max_size=3, unique_by=lambda one: one.where)
states = st.sampled_from((*(0,) * 12, 1, 2, 3))
nodes_of = st.lists(
    st.tuples(
        st.sampled_from((2, 4, 8, 8)),
        st.lists(st.tuples(st.sampled_from(KINDS), states), min_size=3, max_size=6),
    ),
    min_size=1,
    max_size=3,
)
NEVER = 1_000
Drawn = list[tuple[int, list[tuple[tuple[str, str, int], int]]]]


def world_of(drawn: Drawn) -> tuple[list[Node], dict[str, Usage], tuple[Exclusion, ...]]:
    """Some of the devices are held, one is about to be given, and from some the gang keeps away."""
    nodes, usages, away = list[Node](), dict[str, Usage](), list[Exclusion]()
    for number, (cores, some) in enumerate(drawn):
        devices = [
            Device(f"{number}-{which}", kind, "maker", model, memory_bytes=gib * GIB)
            for which, ((kind, model, gib), _) in enumerate(some)
        ]
        states = [state for _, state in some]
        name = f"n{number}"
        held = [one.id for one, state in zip(devices, states, strict=True) if state == 1]
        coming = (AcceleratorRequest(1),) if 3 in states else ()
        away += [
            Exclusion(name, "failed", 10, one.id) for one, state in zip(devices, states, strict=True) if state == 2
        ]
        usages[name] = Usage(devices=tuple(held), coming=coming)
        said = description(AMD64, cpu_millis=1000 * cores)
        ready = Node(f"nodes/{name}", NodeState.READY, description=said, engine=Engine(reachable=True))
        nodes.append(replace(ready, devices=tuple(devices)))
    return nodes, usages, tuple(away)


def gang_of(count: int, asked: list[AcceleratorRequest], away: tuple[Exclusion, ...], *, apart: bool) -> list[Job]:
    beside = Neighbours((spec().display_name,)) if apart else None
    whole = spec(task_count=count, resources=Requests(1000, GIB, asked[0], tuple(asked[1:])), neighbours=beside)
    one = Job("jobs/gang", whole, images=PINS, gang="gang", exclusions=away)
    return [replace(one, name=f"jobs/gang-{number}", task=number) for number in range(count)]


def ways(task: Job, node: Node, idle: frozenset[str]) -> Iterator[frozenset[str]]:
    """Which devices a task might be given."""
    wants = task.spec.resources
    for request in (wants.accelerators, *wants.alternatives):
        assert request is not None
        those = [
            one
            for one in node.devices
            if one.id in idle
            and (not request.where or query.parse(request.where, query.DEVICE_FIELDS).holds(query.device_row(one)))
        ]
        for _, some in groupby(sorted(those, key=lambda one: one.kind), key=lambda one: one.kind):
            yield from (frozenset(one.id for one in group) for group in combinations(some, request.count))


def fewest(task: Job, node: Node, idle: frozenset[str], most: int) -> list[int]:
    """With how few devices there is room for 0, 1 and more tasks, whatever each is given."""
    found = [0]
    for its in set(ways(task, node, idle)) if most else ():
        further = [len(its) + one for one in fewest(task, node, idle - its, most - 1)]
        found[1:] = [min(pair) for pair in zip_longest(found[1:], further, fillvalue=NEVER)]
    return found


def devices_of(task: Job, node: Node, usage: Usage, most: int) -> list[int]:
    taken = [*usage.devices, *(one.device for one in task.exclusions if one.node == node.id)]
    free = [one.id for one in node.devices if one.id not in taken]
    # Whoever is about to come is given the first one.
    return fewest(task, node, frozenset(free[len(usage.coming) :]), most)


@settings(max_examples=600, deadline=None)
@given(nodes_of, several, st.integers(0, 1), st.sampled_from((8, 8, 1)))
def test_all_tasks_have_places_wherever_some_way_to_share_devices_out_has_room_for_all(
    drawn: Drawn, asked: list[AcceleratorRequest], too_many: int, a_node: int
) -> None:
    nodes, usages, away = world_of(drawn)
    # One a node: they keep apart from each other.
    apart = a_node == 1
    (one,) = gang_of(1, asked, away, apart=apart)
    at_most = [min(cores, a_node) for cores, _ in drawn]
    rooms = [len(devices_of(one, node, usages[node.id], most)) - 1 for node, most in zip(nodes, at_most, strict=True)]
    count = max(2, sum(rooms) + too_many)
    tasks = gang_of(count, asked, away, apart=apart)
    snapshot = Snapshot()
    for node in nodes:
        snapshot.put(node, usages[node.id])
    in_columns = tasks_places.choose_all(Tables(snapshot), demand_of(tasks[0]), tasks[0], count, now_wall_ms=0)

    by_node = choose_all(tasks, nodes, usages.__getitem__, now_wall_ms=0)
    for found in (() if isinstance(in_columns, str) else in_columns, by_node):
        assert bool(found) is (sum(rooms) >= count)
        assert_is_right(tasks[0], nodes, usages, found)
    counted = [count_at(tasks[0], node, usages[node.id], count, now_wall_ms=0) for node in nodes]
    assert counted == rooms


@settings(max_examples=300, deadline=None)
@given(nodes_of, several, st.integers(1, 6))
def test_where_few_devices_are_to_be_had_all_tasks_have_the_fewest_that_are_enough(
    drawn: Drawn, asked: list[AcceleratorRequest], count: int
) -> None:
    nodes, usages, away = world_of(drawn)
    tasks, snapshot = gang_of(count, asked, away, apart=False), Snapshot()
    least = [0, *[NEVER] * count]
    for node, (cores, _) in zip(nodes, drawn, strict=True):
        snapshot.put(node, usages[node.id])
        here = devices_of(tasks[0], node, usages[node.id], min(cores, count))
        least = [min(least[n - m] + some for m, some in enumerate(here[: n + 1])) for n in range(count + 1)]

    prices = [one.count for one in asked]
    found = tasks_places.mixed(Tables(snapshot), tasks[0], count, now_wall_ms=0, prices=prices)

    assert (NEVER if isinstance(found, int) else sum(len(place.devices) for place in found)) == min(least[count], NEVER)


def assert_is_right(task: Job, nodes: list[Node], usages: dict[str, Usage], found: tuple[Place, ...]) -> None:
    wants = task.spec.resources
    asked = (wants.accelerators, *wants.alternatives)
    by_name = {node.id: node for node in nodes}
    given_away = [(place.node, one) for place in found for one in place.devices]
    assert len(given_away) == len(set(given_away))
    for place in found:
        assert not set(place.devices) & set(usages[place.node].devices)
        alone = replace(task.spec.resources, accelerators=asked[place.variant], alternatives=())
        its = replace(task, spec=replace(task.spec, resources=alone))
        assert frozenset(place.devices) in set(ways(its, by_name[place.node], frozenset(place.devices)))
