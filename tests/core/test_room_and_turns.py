"""Who has room kept, and whom nobody may pass: not by having others leave, nor by being many, nor while one saves."""

import pytest

from agent.core import model as agent
from controller.core import keeping, model
from headrace.jobs import AcceleratorRequest, Job, JobState, Requests, Timeouts
from headrace.nodes import Capacity, Drain, NodeDescription
from headrace.projects import Declared, Quota
from tests.core.lone_controller import Controller, asks, wanted
from tests.core.paced_world import PacedWorld
from tests.core.paced_world import node as paced_node
from tests.core.small_world import AMD64, ARM64, GIB, SLOW, Site, World

MINUTE_MS = 60_000
WHOLE = Requests(4_000, GIB)


class Uploading(World):
    """In which nothing that was saved is ever stored."""

    is_slow = False

    def _engine(self, name: str, site: Site, effect: agent.Effect) -> None:
        if not (self.is_slow and isinstance(effect, agent.Collect)):
            super()._engine(name, site, effect)


def leaving(world: World) -> list[str]:
    states = (JobState.FREEZING, JobState.CANCELLING)
    return [job.id for job in world.cluster.book.jobs.values() if job.state in states]


def test_nobody_else_is_asked_to_leave_while_one_saves_for_long() -> None:
    world = Uploading(n1=AMD64, n2=AMD64, n3=AMD64)
    for number in range(3):
        world.submit(f"v{number}", resources=WHOLE, priority=20)
    world.pass_time(15_000)
    world.is_slow = True

    world.submit("urgent", resources=WHOLE, priority=90)
    world.pass_time(6 * MINUTE_MS)

    assert len(leaving(world)) == 1
    assert list(world.cluster.book.turns.claims) == ["urgent"]


def two_that_leave_late() -> World:
    world = World(n1=AMD64, n2=AMD64)
    for name in ("a", "b"):
        world.submit(name, resources=WHOLE, priority=20, checkpoint=SLOW)
    world.pass_time(15_000)
    for site in world.sites.values():
        site.engine.obeys = False
    return world


def test_nobody_is_asked_to_leave_while_a_cancelled_job_does() -> None:
    world = two_that_leave_late()
    world.cancel("a")
    world.pass_time(2_000)

    world.submit("urgent", resources=WHOLE, priority=90)
    world.pass_time(2_000)

    assert leaving(world) == ["a"]


def test_a_controller_that_starts_anew_has_nobody_else_leave() -> None:
    world = two_that_leave_late()
    world.submit("urgent", resources=WHOLE, priority=90)
    world.pass_time(2_000)
    before = leaving(world)

    world.restart_controller()
    world.pass_time(12_000)

    assert len(before) == 1
    assert leaving(world) == before


def test_what_jobs_that_leave_give_back_is_known_after_a_restart() -> None:
    declared = {name: Declared(quota=Quota(cpu_millis=4_000)) for name in ("p", "q")}
    world = World(declared=declared, n1=AMD64, n2=AMD64, n3=AMD64)
    for name in ("a", "b"):
        world.submit(name, project="q", resources=WHOLE, checkpoint=SLOW)
    world.submit("c", project="q", resources=Requests(1_000, GIB), checkpoint=SLOW)
    world.pass_time(15_000)
    for site in world.sites.values():
        site.engine.obeys = False
    world.submit("own", project="p", resources=WHOLE)
    world.pass_time(2_000)
    before = leaving(world)

    world.restart_controller()
    # It has all that it may have back: q has no more than its own left.
    world.submit("more", project="p", resources=Requests(1_000, 28 * GIB))
    world.pass_time(12_000)

    assert leaving(world) == before


def test_nobody_has_others_leave_to_take_what_is_kept_for_somebody_before_it() -> None:
    world = World(n1=AMD64)
    world.submit("b1", project="b", resources=WHOLE, priority=20, timeouts=Timeouts(run_ms=10 * MINUTE_MS))
    world.pass_time(15_000)
    world.submit("head", project="a", resources=WHOLE)
    world.pass_time(15_000)
    assert world.cluster.book.turns.kept["head"].nodes == ("n1",)

    # Its project has had more: its turn is after that of the head, however urgent it is in its own.
    world.submit("urgent", project="b", resources=WHOLE, priority=90)
    world.pass_time(30_000)

    assert world.job("b1").state is JobState.RUNNING
    world.pass_time(15 * MINUTE_MS)
    assert world.job("head").state is JobState.RUNNING
    assert world.job("urgent").state is JobState.QUEUED


def wait_elsewhere(world: World, count: int, *, shapes: int, priority: int) -> None:
    """So many jobs wait for a node of another architecture, which is taken."""
    world.submit("long", resources=WHOLE, where='arch == "arm64"')
    world.pass_time(15_000)
    for number in range(count):
        request = Requests(200 + number % shapes, GIB // 8)
        world.submit(f"arm-{number}", resources=request, where='arch == "arm64"', priority=priority)
    world.pass_time(5_000)


def test_room_is_kept_for_the_first_in_turn_though_it_is_kept_for_as_many_others_as_can_be() -> None:
    world = World(n1=AMD64, n2=ARM64)
    most = world.cluster.book.policy.kept_max
    wait_elsewhere(world, most, shapes=most, priority=40)
    assert len(world.cluster.book.turns.kept) == most
    world.submit("small", resources=Requests(2_000, GIB), timeouts=Timeouts(run_ms=10 * MINUTE_MS))
    world.pass_time(5_000)

    world.submit("head", resources=WHOLE, priority=70, where='arch == "amd64"')
    world.pass_time(5_000)

    kept = world.cluster.book.turns.kept
    assert kept["head"].nodes == ("n1",)
    assert len(kept) == most


def test_the_first_of_another_shape_has_room_kept_though_many_of_one_shape_come_before_it() -> None:
    world = World(n1=AMD64, n2=ARM64)
    most = world.cluster.book.policy.kept_max
    # Of a few shapes, each of which has some before all others.
    wait_elsewhere(world, most, shapes=4, priority=60)
    world.submit("gone", resources=WHOLE, where='arch == "amd64"')
    world.pass_time(15_000)
    # Each line is looked at again once there is more room anywhere.
    world.cancel("gone")
    world.pass_time(15_000)
    assert len(world.cluster.book.turns.kept) == most
    world.submit("small", resources=Requests(2_000, GIB), timeouts=Timeouts(run_ms=10 * MINUTE_MS))
    world.pass_time(5_000)

    world.submit("other", resources=WHOLE, priority=40, where='arch == "amd64"')
    world.pass_time(5_000)

    assert "other" in world.cluster.book.turns.kept


def test_nobody_is_moved_for_a_job_that_waits_for_its_quota_alone() -> None:
    world = PacedWorld([paced_node(f"n{number}", "EPYC", "H100", "H100") for number in range(2)], lambda *_: 1.0)
    projects = world.book.projects
    projects.declared = {"p": Declared(quota=Quota(device_millis=1_000), borrows=False)}
    projects.has_quotas = True
    request = Requests(1_000, GIB, AcceleratorRequest(1))
    world.submit("own", 10**9, project="p", resources=request)
    world.submit("other", 10**9, resources=request)
    world.pass_time(MINUTE_MS)

    world.submit("waits", 10**9, project="p", resources=request)
    world.pass_time(3 * 60 * MINUTE_MS)

    assert world.jobs["waits"].state is JobState.QUEUED
    assert world.moves() == []


def test_whoever_is_to_have_others_leave_has_its_turn_to_look_beside_gangs(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(keeping, "FEW", 4)
    controller = Controller()
    for number in range(6):
        description = NodeDescription(platforms=(AMD64,), capacity=Capacity(4_000, 8 * GIB))
        controller.node(f"n{number}", description)
    controller.tick()
    for _ in range(6):
        controller.submit(wanted(resources=asks(4), priority=20))
    for gang in range(4):
        controller.submit(wanted(resources=asks(4), task_count=2 + gang))

    def tick(number: int) -> None:
        # Something changes all the time, so that all gangs want to look again.
        drain = Drain.CORDONED if number % 2 else Drain.NONE
        controller.cluster.handle(model.DrainAsked(1, "n0", drain))
        controller.tick()
        controller.cluster.handle(model.DrainAsked(1, "n1", drain))

    for number in range(41):
        tick(number)

    urgent: Job = controller.submit(wanted(resources=asks(4), priority=90))
    for number in range(20):
        tick(number)

    assert urgent.id in controller.book.turns.claims or controller.book.jobs[urgent.id].node
