"""Laws of a job that had to leave its place: whose turn it is when it waits again."""

from dataclasses import replace

from controller.core.fairness import POINT_MS
from headrace.jobs import JobState, Requests
from tests.core.small_world import AMD64, CONTRACT, FIRST, GIB, World

ALONE = Requests(4_000, GIB)
MINUTE_MS = 60_000


def world_with_one_that_runs(waited_ms: int = MINUTE_MS) -> World:
    """A node that one job has for itself, while another one that came after it waits."""
    world = World(a=AMD64)
    world.submit(resources=ALONE)
    world.pass_time(waited_ms)
    world.submit("later", resources=ALONE)
    return world


def test_a_job_that_left_for_a_more_urgent_one_goes_on_before_those_that_came_later() -> None:
    world = world_with_one_that_runs()
    world.submit("urgent", resources=ALONE, priority=90)
    world.pass_time(MINUTE_MS)
    assert [world.job(one).node for one in ("train-1", "later", "urgent")] == ["", "", "a"]

    world.cancel("urgent")
    world.pass_time(MINUTE_MS)

    assert [world.job(one).node for one in ("train-1", "later")] == ["a", ""]


def test_a_job_whose_node_was_drained_goes_on_before_those_that_came_later() -> None:
    world = world_with_one_that_runs()
    world.drain("a", deadline_ms=1_000, force=True)
    world.pass_time(MINUTE_MS)
    assert world.job().state is JobState.QUEUED

    world.join("b")
    world.pass_time(1_000)

    assert [world.job(one).node for one in ("train-1", "later")] == ["b", ""]


def test_one_that_waited_for_long_before_it_began_does_not_take_the_room_of_whom_it_leaves_for() -> None:
    """Whom room was left for is not known any more once the controller is another one."""
    world = World()
    world.submit(resources=ALONE, priority=79, checkpoint=replace(CONTRACT, grace_ms=20 * MINUTE_MS))
    world.pass_time(2 * POINT_MS)
    world.join("a")
    world.pass_time(MINUTE_MS)
    world.sites["a"].engine.obeys = False
    world.submit("urgent", resources=ALONE, priority=80)
    world.pass_time(1_000)
    assert world.job().state is JobState.FREEZING

    world.restart_controller()
    world.exit(FIRST, 85)
    world.pass_time(MINUTE_MS)

    assert [world.job(one).node for one in ("train-1", "urgent")] == ["", "a"]
