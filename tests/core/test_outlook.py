"""What is said of when a job that waits will start, and of what it waits for: how things are, and nothing else."""

from dataclasses import replace

import pytest

from controller.core import arrays, model
from headrace.explanations import Outlook
from headrace.jobs import Job, JobState, Requests, Timeouts
from headrace.neighbours import Neighbours
from headrace.nodes import Capacity, Drain, NodeDescription, NodeState
from headrace.projects import Declared
from tests.core.lone_controller import MINUTE_MS, Controller, asks, wanted
from tests.core.small_world import AMD64, GIB, PINS
from tests.core.test_explanations import QUOTAS, told, two_regions


@pytest.fixture
def world() -> Controller:
    return two_regions(Controller())


def basis(world: Controller, **changes: object) -> str:
    found = world.explain(Job("", wanted(**changes), images=PINS)).outlook
    assert found is not None
    assert found.start_time_ms is None
    return found.basis


def test_a_gang_for_which_there_will_never_be_places_is_told_how_many_there_are(world: Controller) -> None:
    # There are twenty cores.
    assert basis(world, task_count=60, timeouts=Timeouts(start_ms=MINUTE_MS)) == (
        "though nothing else ran, there would be places for 20 of its 60 tasks at most"
    )


def test_a_gang_whose_tasks_keep_apart_never_has_more_of_them_than_there_are_nodes(world: Controller) -> None:
    spec = wanted(task_count=3, neighbours=Neighbours(("wanted",)), timeouts=Timeouts(start_ms=MINUTE_MS))

    found = world.explain(Job("", spec, images=PINS)).outlook
    waits = world.submit(spec)

    never = Outlook(None, (), "though nothing else ran, there would be places for 2 of its 3 tasks at most")
    assert found == world.explain(waits).outlook == never
    assert waits.reason.endswith("there is room for 2 at most, on 2 nodes (they keep apart from each other)")


def test_nodes_that_take_no_jobs_now_are_told_to_be_able_to_and_how_they_are_back(world: Controller) -> None:
    def drained(node: str, how: Drain) -> None:
        world.count += 1
        world.cluster.handle(model.DrainAsked(world.count, node, how))

    drained("n1", Drain.CORDONED)
    here, there = 'name == "n1"', 'name == "n7"'
    cordoned = "no node that takes jobs now could run it; n1, once it is uncordoned (cordoned now), could"
    assert basis(world, where=here) == cordoned
    assert told(world.explain(Job("", wanted(where=here), images=PINS)))[-1] == (
        "nodes/n1 drain",
        "cordoned",
        "none",
        ("n1",),
    )
    assert basis(world, where='name == "nosuch"') == "no node that there is could run it, though it were empty"
    drained("n7", Drain.DRAINING)
    world.tick()
    assert "n7, once it is undrained (drain" in basis(world, where=there)
    # A gang that needs both is told so, too.
    drained("n7", Drain.NONE)
    world.tick()
    assert basis(world, task_count=20, timeouts=Timeouts(start_ms=MINUTE_MS)) == (
        "though nothing else ran, there would be places for 16 of its 20 tasks at most; "
        "for all with n1, once it is uncordoned (cordoned now)"
    )


def test_a_node_that_is_silent_is_told_to_be_able_to_once_it_reports() -> None:
    world = Controller()
    world.node("na", NodeDescription(platforms=(AMD64,), capacity=Capacity(4000, 32 * GIB)))
    world.tick()
    world.book.put_node(replace(world.book.nodes["na"], state=NodeState.SUSPECT))

    assert basis(world) == "no node that takes jobs now could run it; na, once it reports again, could"


def test_whom_one_is_behind_that_has_no_limit_is_told_and_not_that_there_is_no_room() -> None:
    world = Controller()
    world.node("nb", NodeDescription(platforms=(AMD64,), capacity=Capacity(1500, 32 * GIB)))
    world.tick()
    world.submit(wanted(timeouts=Timeouts(run_ms=MINUTE_MS)))
    world.submit(wanted(resources=Requests(1500, GIB)))
    world.settle()

    assert basis(world, resources=Requests(700, GIB)) == (
        "jobs/job-2 comes before it, and will have the room that it needs until that ends"
    )


@pytest.fixture
def overtaken() -> Controller:
    """One node, on which room is kept for job-2 once job-1 has ended; then a more urgent one begins there."""
    world = Controller()
    world.node("nb", NodeDescription(platforms=(AMD64,), capacity=Capacity(1500, 32 * GIB)))
    world.tick()
    world.submit(wanted(timeouts=Timeouts(run_ms=MINUTE_MS)))
    world.submit(wanted(resources=Requests(1500, GIB)))
    world.settle()
    assert world.book.turns.kept["job-2"].start_ms is not None
    assert world.submit(wanted(resources=Requests(200, GIB), priority=70)).node == "nb"
    return world


def test_room_that_another_has_taken_since_is_not_told_to_be_kept(overtaken: Controller) -> None:
    found = overtaken.explain(overtaken.book.jobs["job-2"])

    assert found.outlook == Outlook(None, ("nb",), "jobs/job-1, jobs/job-3 would have to end, and nothing says when", 0)
    assert "room is kept for it on nb once jobs/job-1, jobs/job-3 have ended" in found.standing


def test_room_that_is_kept_is_looked_at_anew_when_another_has_taken_of_it(overtaken: Controller) -> None:
    for _ in range(2):
        overtaken.settle()

    kept = overtaken.book.turns.kept["job-2"]
    assert (kept.gone, kept.start_ms) == (("job-1", "job-3"), None)


def test_elements_that_keep_apart_from_each_other_are_named_to_the_array_and_to_each(world: Controller) -> None:
    spec = wanted(element_count=4, neighbours=Neighbours(("wanted",)))
    array = world.submit(spec)
    world.settle()
    kept = "has a job that keeps apart from those of this name"
    at = {world.book.jobs[one].node: one for one in ("job-1-0", "job-1-1")}
    assert sorted(at) == ["n1", "n7"]

    for job in (array, world.book.jobs["job-1-2"]):
        found = world.explain(job)
        assert {one.node: one.reason for one in found.candidates} == {
            node: f"{kept}: jobs/{element}" for node, element in at.items()
        }
        # Nothing that the array could say would have one of them start before others.
        assert not [one for one in found.changes if one.leaving or "jobs/" in one.field]


def test_elements_that_have_no_record_yet_are_before_those_that_come_later(world: Controller) -> None:
    limit = Timeouts(run_ms=MINUTE_MS)
    array = world.submit(wanted(element_count=1000, resources=Requests(100, GIB // 10), timeouts=limit))
    for _ in range(10):
        world.settle()
    waits = world.submit(wanted(resources=Requests(100, GIB // 10)))
    world.settle()
    begun = sum(1 for one in world.book.jobs.values() if one.array and one.state is not JobState.QUEUED)
    assert 0 < begun < 500

    later = world.explain(world.book.jobs[waits.id]).outlook
    elements = [arrays.folded(world.book.jobs[array.id], index) for index in (999, 899)]
    told = [world.explain(one).outlook for one in elements if one is not None]

    # Twice as many wait before it as could begin if all that run were gone.
    assert later == Outlook(
        None,
        (),
        "those that run where it could will not all have ended for those before it, as far as is known",
        1000 - begun,
    )
    assert [one.jobs_before_count for one in told if one is not None] == [999 - begun, 899 - begun]


def test_of_a_project_that_does_not_borrow_it_is_not_said_that_it_would() -> None:
    world = two_regions(Controller(QUOTAS))
    waits = world.submit(wanted(project="p", resources=asks(6)))

    lines = world.explain(waits).standing

    assert "its project p does not borrow, and has a quota of 4 cores" in lines
    assert not any("would borrow" in one for one in lines)


def test_of_one_that_would_take_the_last_of_a_node_it_is_told_to_whom_that_is_left() -> None:
    world = Controller({"bio": Declared(), "chem": Declared()})
    for name in ("na", "nb"):
        world.node(name, NodeDescription(platforms=(AMD64,), capacity=Capacity(1500, 32 * GIB)))
    world.tick()
    for _ in range(2):
        world.submit(wanted(project="bio"))
    world.submit(wanted(project="chem", display_name="che"))
    world.submit(wanted(project="bio", resources=Requests(1500, GIB)))
    world.book.capacity_changed()
    world.settle()
    waits = world.submit(wanted(project="bio", resources=Requests(500, GIB)))
    world.settle()

    found = world.explain(world.book.jobs[waits.id])

    assert found.outlook is not None
    assert found.outlook.basis == (
        "what there is on na, nb is left to jobs/job-3, of a project that has had less for its weight, "
        "which needs more there than that"
    )
    assert "room is kept before it for jobs/job-3" in found.standing
    assert not any("in 0s" in one for one in found.standing)
