"""A node that is gone for good is forgotten; one of that name that comes is new."""

from collections.abc import Sequence
from dataclasses import replace

import pytest

from agent.runtimes.runtime import Ref
from controller.core import keeping, model
from controller.core.cluster import Cluster
from headrace.jobs import AcceleratorRequest, JobState, Partition, Requests
from headrace.neighbours import Neighbours
from headrace.nodes import Device, Health, Node, NodeState
from tests.core.small_world import AMD64, GIB, PINS, World, description, refusal, spec
from tests.core.test_leases import MANY, POLICY, cluster, pass_time, report

SILENT_MS = 60_000


def forget(world: World, name: str) -> object:
    return world.ask(lambda token: model.ForgetAsked(token, name))


def silent(*names: str) -> World:
    """A world in which these nodes, and `rest`, had reported, and only `rest` still does."""
    world = World(**dict.fromkeys((*names, "rest"), AMD64))
    for name in names:
        world.sites[name].cut = True
    world.pass_time(SILENT_MS)
    return world


def test_of_a_node_that_is_forgotten_nothing_is_left_but_that() -> None:
    world = silent("gone")

    answer = forget(world, "gone")

    assert isinstance(answer, Node)
    assert (answer.id, answer.forgotten, answer.state) == ("gone", True, NodeState.SUSPECT)
    assert "nodes/gone" not in world.store
    assert list(world.cluster.book.nodes) == list(world.cluster.book.snapshot.slots) == ["rest"]
    assert world.happenings[-1] == "NODE_FORGOTTEN"
    world.pass_time(SILENT_MS)
    assert "nodes/gone" not in world.store


def test_it_may_be_asked_again() -> None:
    world = silent("gone")
    forget(world, "gone")
    told = len(world.happenings)

    answer = forget(world, "gone")

    assert answer == Node("nodes/gone", forgotten=True)
    assert len(world.happenings) == told


def test_only_the_whole_name_of_a_node_means_it() -> None:
    world = silent("gone-1")

    assert forget(world, "gone") == Node("nodes/gone", forgotten=True)
    assert "nodes/gone-1" in world.store


def test_a_node_that_is_heard_is_not_forgotten() -> None:
    world = World(n1=AMD64)

    assert refusal(forget(world, "n1")).reason == "NODE_IS_HEARD"


def test_a_node_whose_lease_may_still_run_is_not_forgotten() -> None:
    world = World(n1=AMD64)
    world.sites["n1"].cut = True
    world.pass_time(world.cluster.book.leases.longest.node_ms)

    assert world.node("n1").state is NodeState.SUSPECT
    assert refusal(forget(world, "n1")).reason == "NODE_IS_HEARD"


def test_a_controller_that_has_just_started_gives_a_node_a_whole_lease_before_it_forgets_it() -> None:
    world = silent("gone")
    world.restart_controller()

    assert refusal(forget(world, "gone")).reason == "NODE_IS_HEARD"
    world.pass_time(SILENT_MS)
    assert isinstance(forget(world, "gone"), Node)


def test_a_node_that_has_jobs_is_forgotten_once_these_are_elsewhere() -> None:
    world = World(gone=AMD64)
    world.submit(lost_after_ms=2 * SILENT_MS)
    world.pass_time(1_000)
    world.sites["gone"].cut = True
    world.pass_time(SILENT_MS)

    why = refusal(forget(world, "gone"))
    assert (why.reason, "jobs/train-1 (RUNNING)" in why.message) == ("NODE_HAS_JOBS", True)

    world.pass_time(2 * SILENT_MS)
    assert world.job().state is JobState.QUEUED
    assert isinstance(forget(world, "gone"), Node)


def test_what_a_silent_node_may_keep_running_is_cancelled_before_that_is_forgotten() -> None:
    world = World(gone=AMD64)
    world.submit(partition=Partition.KEEP, lost_after_ms=1)
    world.pass_time(1_000)
    world.sites["gone"].cut = True
    world.pass_time(10 * SILENT_MS)
    assert refusal(forget(world, "gone")).reason == "NODE_HAS_JOBS"

    world.cancel()
    world.pass_time(SILENT_MS)

    assert isinstance(forget(world, "gone"), Node)
    assert world.job().state is JobState.CANCELLED


def test_a_node_that_comes_back_is_new_and_has_nothing_of_what_it_had() -> None:
    world = World(gone=AMD64)
    world.submit(lost_after_ms=1)
    world.pass_time(1_000)
    world.sites["gone"].cut = True
    world.pass_time(SILENT_MS)
    forget(world, "gone")
    old = Ref("train-1", 0, 1)
    assert old in world.sites["gone"].engine.containers

    world.sites["gone"].cut = False
    world.restart_agent("gone")
    world.pass_time(SILENT_MS)

    assert old not in world.sites["gone"].engine.containers
    assert world.running() == {"gone": [Ref("train-1", 0, 2)]}
    assert (world.node("gone").state, world.node("gone").generation > 0) == (NodeState.READY, True)
    assert world.node("gone").create_time_ms > 1_700_000_000_000 + SILENT_MS  # type: ignore[operator]


def test_no_lease_is_shorter_by_that() -> None:
    of = cluster(nodes=MANY)
    before = of.book.leases.lease
    pass_time(of, 2 * before.node_ms)
    for number in range(1, MANY):
        of.handle(model.ForgetAsked(number, f"n{number}"))

    of.handle(report(0, sequence=2))
    of.handle(report(MANY))

    assert list(of.book.nodes) == ["n0", f"n{MANY}"]
    assert of.book.leases.lease == before


def test_a_report_that_was_long_on_the_way_makes_it_a_new_node_and_no_more() -> None:
    of = cluster(nodes=2)
    pass_time(of, 2 * of.book.leases.longest.node_ms)
    of.handle(model.ForgetAsked(1, "n1"))

    of.handle(report(1, sequence=1))

    assert of.book.nodes["n1"].state is NodeState.READY
    pass_time(of, of.book.leases.longest.node_ms)
    assert of.book.nodes["n1"].state is NodeState.SUSPECT


def equipped(number: int) -> tuple[Device, ...]:
    model_name = "H100" if number % 2 else "A100"
    return tuple(
        Device(f"{number}-{one}", "gpu", "nvidia", model_name, one, memory_bytes=80 * GIB, health=Health.HEALTHY)
        for one in range(number % 3)
    )


def reports(of: Cluster, numbers: Sequence[int], sequence: int) -> None:
    for number in numbers:
        about = replace(description(), region=("north", "south")[number // 2 % 2], labels={"rack": str(number % 4)})
        told = report(number, sequence).report
        of.handle(model.Reported(replace(told, description=about, devices=equipped(number))))


def submitted(of: Cluster, name: str, **changes: object) -> None:
    of.handle(model.Submitted(1, name, spec(**changes), PINS, name))


@pytest.mark.parametrize("gone", [[2], [7], [0, 6], [5, 6, 7], [0, 1, 2, 3, 4, 5, 6]])
def test_jobs_go_where_they_would_if_it_had_never_been(gone: list[int]) -> None:
    left = [number for number in range(8) if number not in gone]
    found = []
    for forgets in (True, False):
        of = cluster(POLICY, 0)
        reports(of, range(8) if forgets else left, 1)
        kinds = {
            "cpu": {},
            "gpu": {"resources": Requests(500, GIB, AcceleratorRequest(1))},
            "model": {"resources": Requests(500, GIB, AcceleratorRequest(1, 'model == "H100"'))},
            "north": {"where": 'region == "north"'},
            "spread": {"neighbours": Neighbours(spread="labels.rack")},
            "gang": {"task_count": 3, "resources": Requests(200, GIB)},
        }
        for kind, changes in kinds.items():
            # These wait, so that all of it is known in columns before.
            large = replace(changes.get("resources", Requests(0, GIB)), cpu_millis=4_001)  # type: ignore[type-var]
            submitted(of, f"large-{kind}", **{**changes, "resources": large}, checkpoint=None)
        pass_time(of, 2 * of.book.leases.longest.node_ms)
        for number in gone if forgets else ():
            of.handle(model.ForgetAsked(number, f"n{number}"))
        reports(of, left, 2)
        pass_time(of, 2_000)
        for turn in range(3):
            for kind, changes in kinds.items():
                submitted(of, f"{kind}-{turn}", **changes, display_name=kind)
        pass_time(of, 2_000)
        found.append({job.id: (job.node, job.reason) for job in of.book.jobs.values()})

    assert found[0] == found[1]


def test_others_leave_a_node_that_has_another_place_in_the_columns_by_that(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(keeping, "FEW", 0)
    of = cluster(POLICY, 0)

    def told(numbers: Sequence[int], sequence: int) -> None:
        for number in numbers:
            about = description(cpu_millis=4_000 if number else 500)
            of.handle(model.Reported(replace(report(number, sequence).report, description=about)))

    whole = Requests(4_000, GIB)
    told(range(3), 1)
    pass_time(of, 1_000)
    for name in ("low-1", "low-2"):
        submitted(of, name, resources=whole, priority=10)
    silent_ms = 2 * of.book.leases.longest.node_ms
    for sequence in range(2, 12):
        pass_time(of, silent_ms // 10)
        told((1, 2), sequence)
    submitted(of, "urgent-1", resources=whole, priority=90)
    for _ in range(4):
        pass_time(of, 500)
    assert list(of.book.turns.claims) == ["urgent-1"]
    of.handle(model.ForgetAsked(1, "n0"))
    submitted(of, "urgent-2", resources=whole, priority=90)
    for _ in range(8):
        pass_time(of, 500)

    assert list(of.book.nodes) == ["n1", "n2"]
    assert {name: list(claim.at) for name, claim in of.book.turns.claims.items()} == {
        "urgent-1": ["n1"],
        "urgent-2": ["n2"],
    }
