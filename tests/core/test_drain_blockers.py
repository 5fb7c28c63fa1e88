"""Laws of what keeps a drain: each job that is still there is named, with what it is doing or why it cannot go."""

from controller.core import model as controller
from controller.core.gangs import unmovable
from headrace.jobs import Requests
from headrace.nodes import Drain
from headrace.refusals import Refusal
from tests.core.small_world import AMD64, ARM64, FIRST, GIB, World


def blockers(world: World, node: str = "a") -> tuple[str, ...]:
    """What keeps the drain of a node, which is not over."""
    assert world.node(node).drain is Drain.DRAINING
    return world.node(node).blockers


def leaving() -> World:
    """A job at a was asked to leave for b, and takes its time."""
    world = World(a=AMD64)
    world.submit()
    world.join("b", ARM64)
    world.sites["a"].engine.obeys = False
    world.move(target="b")
    return world


def test_a_job_that_is_not_known_to_run_yet_keeps_a_drain() -> None:
    world = World(a=AMD64)
    world.sites["a"].cut = True
    world.submit(checkpoint=None)

    world.drain("a")

    assert blockers(world) == ("jobs/train-1 is STARTING",)


def test_a_job_that_is_on_its_way_keeps_the_drain_of_where_it_leaves() -> None:
    world = leaving()

    world.drain("a")

    assert blockers(world) == ("jobs/train-1 is moving to b",)


def test_a_job_that_is_on_its_way_keeps_the_drain_of_where_it_goes() -> None:
    world = leaving()

    world.drain("b")

    assert blockers(world, "b") == ("jobs/train-1 is coming",)


def test_a_job_that_a_move_would_cost_its_work_is_not_moved_and_keeps_a_drain() -> None:
    world = World(a=AMD64)
    world.submit(checkpoint=None)
    world.join("b", ARM64)

    world.drain("a")

    assert world.running() == {"a": [FIRST]}
    [why] = blockers(world)
    assert why.startswith("jobs/train-1 has no `checkpoint:`")


def test_a_task_that_begins_anew_elsewhere_is_not_to_be_moved_by_hand_since_no_gang_is() -> None:
    world = World(a=AMD64)
    world.submit(checkpoint=None, task_count=2)
    world.join("b", AMD64)

    world.drain("a")

    assert blockers(world)[0] == (
        "jobs/train-1-0 has no `checkpoint:`; a move would lose its work. Cancel jobs/train-1, or wait for it"
    )
    told = unmovable(world.job("train-1-0"))
    assert told is not None
    assert "it has no `checkpoint:`: cancel it and submit it again" in told.message
    assert "saves" not in told.message


def test_a_job_that_cannot_be_asked_to_save_keeps_a_drain() -> None:
    world = World(a=AMD64)
    world.submit()
    world.sites["a"].cut = True
    world.pass_time(60_000)
    world.join("b", ARM64)

    world.drain("a")

    assert blockers(world) == ("a, where jobs/train-1 runs, does not report; it cannot be asked to save",)


def test_a_drain_that_is_kept_by_the_same_as_before_writes_nothing_down() -> None:
    world = leaving()
    world.drain("a")
    ticked = controller.Ticked(world.now_ms + 1, 1_700_000_000_001 + world.now_ms)

    assert world.cluster.handle(ticked) == []


def test_a_node_that_does_not_report_is_not_drained_though_no_job_is_known_there() -> None:
    world = World(a=AMD64)
    world.sites["a"].cut = True
    world.pass_time(60_000)

    world.drain("a")

    assert blockers(world) == ()


def test_a_drain_tells_of_one_that_would_have_a_place_alone_that_it_has_none_beside_the_others() -> None:
    by = World(a=AMD64)
    for name in ("first", "second"):
        by.submit(name, resources=Requests(2000, GIB))
    by.join("b", AMD64)
    by.submit("third", resources=Requests(2000, GIB), where='name == "b"')

    refused = by.drain("a")

    assert isinstance(refused, Refusal)
    assert "jobs/second has nowhere to go beside those that leave with it: " in refused.message
