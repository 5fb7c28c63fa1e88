"""Laws of beside whom jobs are: never beside those they keep apart from; spread, or together, as they ask for."""

from collections import Counter
from collections.abc import Callable
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from controller.core.placement.demand import demand_of
from controller.core.placement.fit import Place, Usage, fit
from controller.core.placement.names import kept_apart, name_of
from controller.core.placement.snapshot import Snapshot
from controller.core.placement.tables import Tables
from controller.core.placement.trial import Trial
from headrace import job_rules, jobfile
from headrace.jobs import Job, JobSpec, JobState, Preference, Requests
from headrace.neighbours import Neighbours
from headrace.nodes import Capacity, Drain, Engine, Node, NodeDescription, NodeState
from headrace.refusals import Refusal
from tests.core.lone_controller import Controller, wanted
from tests.core.small_world import AMD64, ARM64, GIB, PINS, World, spec

ALONE = Neighbours(apart_from=("train",))


def described(region: str = "", **labels: str) -> NodeDescription:
    return NodeDescription(
        region=region, labels=labels, platforms=(AMD64,), capacity=Capacity(8000, 64 * GIB, 100 * GIB)
    )


def cluster(**regions: str) -> Controller:
    found = Controller()
    for name, region in regions.items():
        found.node(name, described(region))
    found.tick()
    return found


def named(name: str, **beside: object) -> JobSpec:
    return wanted(display_name=name, neighbours=Neighbours(**beside) if beside else None)  # type: ignore[arg-type]


def places(by: Controller, *specs: JobSpec) -> list[str]:
    return ["".join(by.at(by.submit(one))) for one in specs]


# Apart.


def test_a_job_is_not_put_where_one_is_that_it_keeps_apart_from() -> None:
    two = cluster(a="", b="")

    assert places(two, named("noisy"), named("quiet", apart_from=("noisy",))) == ["a", "b"]


def test_whoever_comes_later_keeps_apart_too_though_it_does_not_say_so() -> None:
    two = cluster(a="", b="")

    assert places(two, named("quiet", apart_from=("noisy",)), *[named("noisy")] * 3) == ["a", "b", "b", "b"]


def test_a_job_that_keeps_apart_from_its_own_name_is_once_on_each_node_and_the_rest_wait() -> None:
    two = cluster(a="", b="")
    alone = named("train", apart_from=("train",))

    assert places(two, alone, alone, alone) == ["a", "b", ""]
    (waits,) = (job for job in two.book.jobs.values() if job.state is JobState.QUEUED)
    assert waits.reason == "waits: 2 nodes: has a job that keeps apart from those of this name"


def test_jobs_of_another_project_are_none_of_its_neighbours() -> None:
    one = cluster(a="")
    other = replace(named("noisy"), project="other")

    assert places(one, other, named("quiet", apart_from=("noisy",)), other) == ["a", "a", "a"]


def test_those_whose_name_nobody_keeps_apart_from_do_not_wait_behind_one_that_is_shunned() -> None:
    one = cluster(a="")
    places(one, named("quiet", apart_from=("noisy",)))

    noisy = one.submit(named("noisy"))
    other = one.submit(named("other"))

    assert one.at(other) == ("a",)
    assert noisy.reason == "waits: 1 node: has a job that keeps apart from those of this name"


def test_a_job_that_was_shunned_starts_once_the_other_has_ended() -> None:
    world = World(a=AMD64)
    world.submit("quiet-1", display_name="quiet", neighbours=Neighbours(apart_from=("noisy",)))
    assert world.submit("noisy-1", display_name="noisy").state is JobState.QUEUED

    world.cancel("quiet-1")
    world.pass_time(2_000)

    assert world.job("noisy-1").state is JobState.RUNNING


def test_elements_of_an_array_are_each_on_a_node_of_its_own_if_they_keep_apart() -> None:
    world = World(a=AMD64, b=AMD64, c=AMD64)
    world.submit("train-1", element_count=4, neighbours=ALONE)

    assert sorted(len(refs) for refs in world.running().values()) == [1, 1, 1]


def test_a_gang_whose_tasks_keep_apart_waits_until_there_are_as_many_nodes() -> None:
    world = World(a=AMD64, b=AMD64)
    world.submit("train-1", task_count=3, neighbours=ALONE)
    assert not world.running()

    world.join("c")
    world.pass_time(2_000)

    assert sorted(world.running()) == ["a", "b", "c"]


def test_a_user_cannot_move_a_job_beside_one_that_it_keeps_apart_from_and_is_told_why() -> None:
    world = World(a=AMD64, b=AMD64)
    world.submit("train-1", neighbours=ALONE)
    world.submit("train-2", neighbours=ALONE)
    source, target = world.job("train-1").node, world.job("train-2").node

    named_it = world.move("train-1", target=target)
    anywhere = world.move("train-1")

    assert isinstance(named_it, Refusal)
    assert named_it.message.endswith(f"to {target}: the node has a job that keeps apart from those of this name")
    assert isinstance(anywhere, Refusal)
    assert anywhere.reason == "NO_TARGET"
    assert world.job("train-1").node == source


def test_a_node_is_not_drained_of_a_job_whose_only_way_out_is_beside_one_that_it_keeps_apart_from() -> None:
    world = World(a=AMD64, b=AMD64)
    world.submit("train-1", neighbours=ALONE)
    world.submit("train-2", neighbours=ALONE)

    refused = world.drain(world.job("train-1").node)
    assert isinstance(refused, Refusal)
    assert refused.reason == "NO_ROOM_ELSEWHERE"

    world.join("c")
    world.drain(world.job("train-1").node)
    world.pass_time(60_000)
    assert world.job("train-1").node == "c"


def test_explain_says_which_node_has_whom_and_that_it_would_start_beside_them() -> None:
    one = cluster(a="")
    places(one, named("noisy"))

    found = one.explain(Job("", named("quiet", apart_from=("noisy",)), images=PINS[:1]))

    assert [one.reason for one in found.candidates] == ["has one of those that the job keeps apart from: noisy"]
    # Else, as one that has that one leave.
    assert [(one.field, one.from_value, one.nodes, one.leaving) for one in found.changes] == [
        ("apart_from", "noisy", ("a",), ()),
        ("priority", "50", ("a",), ("job-1",)),
    ]


def _live(world: World) -> list[Job]:
    return [one for one in world.cluster.book.jobs.values() if not one.ended]


def _submit(world: World, which: int) -> None:
    names = ("train", "x", "y")
    apart = (("train",), ("x",), ("x", "y"), (), (), ("y", "train"))[which // 3 % 6]
    world.submit(
        f"job-{len(world.store)}",
        display_name=names[which % 3],
        neighbours=Neighbours(apart_from=apart) if apart else None,
        task_count=(1, 1, 1, 1, 2)[which % 5],
        element_count=(1, 1, 3)[which % 3] if which % 5 != 4 else 1,
        lost_after_ms=5_000,
        priority=(50, 90)[which % 7 // 6],
        resources=Requests((1000, 3000)[which % 2], GIB),
    )


def _leaves(code: int) -> Callable[[World, int], None]:
    def leave(world: World, which: int) -> None:
        running = [ref for refs in world.running().values() for ref in refs]
        if running:
            world.exit(running[which % len(running)], code)

    return leave


def _move(world: World, which: int) -> None:
    there = [one for one in _live(world) if one.node]
    if there:
        world.move(there[which % len(there)].id, **({} if which % 2 else {"where": 'arch == "amd64"'}))


def _cancel(world: World, which: int) -> None:
    live = _live(world)
    if live:
        world.cancel(live[which % len(live)].id)


def _cut(world: World, which: int) -> None:
    list(world.sites.values())[which % 3].cut ^= True
    world.pass_time(30_000)


def _drain(world: World, which: int) -> None:
    how = (Drain.DRAINING, Drain.NONE)[which % 2]
    world.drain(list(world.sites)[which % 3], how, force=True, deadline_ms=(None, 0)[which % 4 // 2])


DOES: dict[str, Callable[[World, int], object]] = {
    "submit": _submit,
    "submit more": _submit,
    "done": _leaves(0),
    "saved": _leaves(85),
    "move": _move,
    "cancel": _cancel,
    "cut": _cut,
    "drain": _drain,
    "restart": lambda world, _which: world.restart_controller(),
    "wait": lambda world, which: world.pass_time(5_000 * which),
}


@settings(max_examples=60, deadline=None)
@given(st.lists(st.tuples(st.sampled_from(list(DOES)), st.integers(0, 60)), max_size=25))
def test_whatever_happens_no_two_jobs_are_on_a_node_of_which_one_keeps_apart_from_the_other(
    done: list[tuple[str, int]],
) -> None:
    world = World(a=AMD64, b=AMD64, c=ARM64)

    for what, which in done:
        DOES[what](world, which)
        for node in world.cluster.book.nodes:
            there = [one.spec for one in world.cluster.book.jobs_at(node) if one.node == node or one.migration]
            for number, one in enumerate(there):
                others = [name_of(other) for at, other in enumerate(there) if at != number]
                assert not any(name in others for name in kept_apart(one)), (node, what)


# Spread and packed.


def test_jobs_are_spread_over_the_values_of_a_field_where_they_would_all_go_to_one() -> None:
    three = cluster(a1="east", a2="east", a3="east", b="west")
    even = named("train", spread="region")

    found = places(three, *[even] * 6)

    assert Counter(name[0] for name in found) == {"a": 3, "b": 3}


def test_packed_jobs_go_where_the_others_of_their_name_are() -> None:
    two = cluster(a="east", b="west")
    close = named("train", pack="region")

    assert places(two, *[close] * 4) == ["a"] * 4
    assert places(two, named("other"), named("other")) == ["b", "b"]


def test_what_users_prefer_comes_before_how_even_it_is() -> None:
    two = cluster(a="east", b="west")
    liked = replace(named("train", spread="node"), prefer=(Preference('region == "east"', 1.0),))

    assert places(two, liked, liked) == ["a", "a"]


def test_a_node_without_such_a_value_comes_last() -> None:
    three = Controller()
    for name, labels in {"a": {}, "b": {"rack": "1"}, "c": {"rack": "2"}}.items():
        three.node(name, described(**labels))
    three.tick()
    even = named("train", spread="labels.rack")

    assert places(three, *[even] * 4) == ["b", "c", "b", "c"]


@pytest.mark.parametrize("field", ['labels["rack"]', 'labels["a.b/rack"]', " region ", " labels.rack"])
def test_a_field_may_be_written_in_any_form_that_queries_know(field: str) -> None:
    it = Controller()
    for name, rack in {"a": "1", "b": "2"}.items():
        it.node(name, described(rack, **{"rack": rack, "a.b/rack": rack}))
    it.tick()

    by_the_wire = named("train", spread=field)
    by_a_file = jobfile.load(f"name: train\nimage: registry.example/train:1\nspread: '{field}'\n", source="train.yaml")

    assert places(it, *[by_the_wire] * 4) == ["a", "b", "a", "b"]
    job_rules.check(by_the_wire)
    assert by_a_file.neighbours is not None
    assert by_a_file.neighbours.spread in ("labels.rack", 'labels["a.b/rack"]', "region")


def test_a_gang_is_spread_and_packed_as_single_jobs_are() -> None:
    spread, packed = (
        Controller(),
        Controller(),
    )
    for one in (spread, packed):
        for name in ("a", "b", "c"):
            one.node(name, described())
        one.tick()

    assert Counter(spread.at(spread.submit(replace(named("train", spread="node"), task_count=6)))) == {
        "a": 2,
        "b": 2,
        "c": 2,
    }
    assert len(set(packed.at(packed.submit(replace(named("train", pack="node"), task_count=6))))) == 1


def test_a_drained_job_that_leaves_counts_no_more_where_it_was() -> None:
    world = World(a=AMD64, b=AMD64, c=AMD64)
    even = Neighbours(spread="node")
    for number in range(3):
        world.submit(f"train-{number}", neighbours=even)
    assert sorted(world.running()) == ["a", "b", "c"]
    world.submit("train-3", neighbours=even)

    world.drain("c")
    world.pass_time(60_000)

    assert sorted(len(refs) for refs in world.running().values()) == [2, 2]


def test_explain_says_that_it_is_more_even_where_the_job_is() -> None:
    two = cluster(a="east", b="west")
    even = named("train", spread="region")
    places(two, even)

    found = two.explain(Job("", even, images=PINS[:1]))

    assert found.candidates[0].node == "b"
    assert found.standing == ("b comes before a: it is beside others there as it asks for by near, spread or pack",)


beside = st.builds(
    lambda apart, field, packs: Neighbours(apart, "" if packs else field, field if packs else ""),
    st.sampled_from(((), (), ("train",), ("x",))),
    st.sampled_from(("", "node", "region", "labels.rack")),
    st.booleans(),
)
nodes_drawn = st.lists(
    st.tuples(
        st.sampled_from(("", "east", "west")),
        st.sampled_from(("", "1", "2")),
        st.lists(st.sampled_from(("train", "train", "x")), max_size=3),
        st.sampled_from((1000, 4000, 8000)),
    ),
    min_size=1,
    max_size=6,
)


@settings(max_examples=200, deadline=None)
@given(nodes_drawn, beside, st.integers(1, 3))
def test_what_is_chosen_is_among_the_nodes_that_are_best_by_hand(
    drawn: list[tuple[str, str, list[str], int]], neighbours: Neighbours, count: int
) -> None:
    snapshot = Snapshot()
    for number, (region, rack, names, cpu) in enumerate(drawn):
        description = replace(described(region, **({"rack": rack} if rack else {})), capacity=Capacity(cpu, 64 * GIB))
        node = Node(f"nodes/{number}", NodeState.READY, description=description, engine=Engine(reachable=True))
        snapshot.put(node, Usage(names=tuple(("default", name) for name in names)))
    job = Job("jobs/j", spec(neighbours=neighbours), images=PINS)
    tables = Tables(snapshot)

    with Trial(snapshot) as trial:
        for _ in range(count):
            held = dict(zip((one.id for one in snapshot.nodes), snapshot.usages, strict=True))
            fits = [fit(job, node, held[node.id], now_wall_ms=0) for node in snapshot.nodes]
            merits = {
                one.node: _merit(drawn, held, neighbours, int(one.node)) for one in fits if isinstance(one, Place)
            }
            found = tables.choose(demand_of(job), job, now_wall_ms=0)
            if isinstance(found, str):
                assert not merits
                return
            assert merits[found.node] == max(merits.values())
            trial.place(job, found)


def _merit(drawn: list[tuple[str, str, list[str], int]], held: dict[str, Usage], beside: Neighbours, at: int) -> float:
    values = [{"node": str(n), "region": one[0], "labels.rack": one[1]} for n, one in enumerate(drawn)]
    field = beside.field
    if not field:
        return 0
    if not values[at][field]:
        return -np.inf
    alike = [str(n) for n, one in enumerate(values) if one[field] == values[at][field]]
    count = sum(held[one].names.count(("default", "train")) for one in alike)
    return count if beside.pack else -count
