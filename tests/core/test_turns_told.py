"""Whose turn it is, as `explain` tells it: nobody is said to start who waits behind another."""

from dataclasses import replace

from controller.core import asking, model
from controller.core.outlook import FITS_NOW
from controller.core.stills import still
from headrace.attempts import Attempt, AttemptState
from headrace.explanations import Outlook
from headrace.jobs import Exclusion, Job, JobSpec, Timeouts
from headrace.neighbours import Neighbours
from headrace.nodes import Capacity, Drain, Engine, NodeDescription
from headrace.projects import Declared
from headrace.sessions import Report
from tests.core.lone_controller import MINUTE_MS, Controller, asks, made, wanted
from tests.core.small_world import AMD64, CONTRACT, GIB, PINS
from tests.core.test_patience import Mixed


def world(*nodes: str, cores: int = 4, memory: int = 32, declared: dict[str, Declared] | None = None) -> Controller:
    found = Controller(declared)
    for name in nodes:
        capacity = Capacity(cores * 1000, memory * GIB)
        found.node(name, NodeDescription(platforms=(AMD64,), capacity=capacity))
    found.tick()
    return found


def limited(minutes: int) -> Timeouts:
    return Timeouts(run_ms=minutes * MINUTE_MS)


def outlook(by: Controller, job: Job) -> Outlook:
    found = by.explain(job).outlook
    assert found is not None
    return found


def file(spec: JobSpec) -> Job:
    return Job("", spec, images=PINS[:1])


def fields(by: Controller, spec: JobSpec) -> list[str]:
    """What would have it start now."""
    return [one.field for one in by.explain(file(spec)).changes]


def test_an_array_all_of_whose_elements_have_places_is_not_told_where_it_would_start() -> None:
    by = world("n0")
    array = by.submit(wanted(element_count=3))
    by.settle()

    found = by.explain(by.book.jobs[array.id])

    assert found.outlook is None
    assert found.changes == ()


def test_an_array_is_told_what_its_first_element_waits_for() -> None:
    by = world("n0", "n1")
    by.cluster.handle(model.DrainAsked(1, "n1", Drain.CORDONED))
    array = by.submit(wanted(element_count=2, resources=asks(4)))
    by.settle()
    until_ms = by.book.wall_ms + MINUTE_MS
    second = by.book.jobs[f"{array.id}-1"]
    by.book.put(replace(second, exclusions=(Exclusion("n1", "it failed there", until_ms),)))
    by.cluster.handle(model.DrainAsked(2, "n1", Drain.NONE))
    by.settle()

    assert outlook(by, by.book.jobs[array.id]) == outlook(by, by.book.jobs[second.id])
    assert outlook(by, by.book.jobs[array.id]).start_time_ms == until_ms


def test_a_file_is_behind_the_job_whose_id_is_its_name() -> None:
    by = world("n0")
    by.submit(wanted(resources=asks(3), timeouts=limited(10)))
    head = by.submit(wanted(resources=asks(4), priority=75))
    by.settle()
    spec = wanted(display_name=head.id)

    assert outlook(by, file(spec)).basis != FITS_NOW
    assert by.at(by.submit(spec)) == ()


def test_a_file_of_a_job_that_had_better_wait_for_a_faster_node_is_not_said_to_start() -> None:
    by = Mixed()
    by.full_for(5)
    spec = wanted(resources=asks(4))

    told, job = outlook(by, file(spec)), by.submit(spec)

    assert told.basis == by.book.jobs[job.id].reason
    assert told.nodes == ("fast",)
    assert by.at(job) == ()


def test_a_change_with_which_it_had_better_wait_is_not_told_to_have_it_start() -> None:
    by = Mixed()
    by.full_for(5)
    spec = wanted(resources=asks(8))

    changes = by.explain(file(spec)).changes

    assert [one.field for one in changes] == ["resources.cpu"]
    for one in changes:
        after, other = made(by, spec, one)
        assert after.at(after.submit(other)) == one.nodes


def test_room_that_is_left_for_another_is_not_told_as_what_a_priority_has_it_start_with() -> None:
    by = world("n0")
    by.submit(wanted(resources=asks(4), priority=20, checkpoint=CONTRACT))
    by.settle()
    by.submit(wanted(resources=asks(4), priority=81))
    by.settle()

    assert by.explain(file(wanted(resources=asks(4), priority=40))).changes == ()


def test_one_that_may_go_ahead_is_told_when_there_is_room_that_those_before_it_do_not_need() -> None:
    by = world("n0", "n1", cores=16)
    for minutes in (1, 10, 9, 10):
        by.submit(wanted(resources=asks(8), timeouts=limited(minutes)))
    by.settle()
    apart = Neighbours(apart_from=("each",))
    starts = Timeouts(run_ms=None, start_ms=MINUTE_MS)
    by.submit(
        wanted(display_name="each", task_count=2, resources=asks(4), priority=79, neighbours=apart, timeouts=starts)
    )
    job = by.submit(wanted(resources=asks(6)))
    by.settle()

    told = outlook(by, by.book.jobs[job.id])

    assert told.basis == "once jobs/job-1 has ended"
    assert told.start_time_ms is not None
    assert told.start_time_ms < by.book.wall_ms + 2 * MINUTE_MS


def test_of_one_that_is_asked_about_it_is_known_still_that_room_was_looked_for_in_vain() -> None:
    by = world("n0")
    job = by.submit(wanted(resources=asks(8)))
    by.settle()
    asked = still(by.book)

    asking.withdrawn(asked, job)

    assert job.id not in asked.turns.kept
    assert job.id in asked.turns.sought


def test_of_one_that_is_asked_about_it_is_known_still_that_it_waited_for_what_is_better() -> None:
    by = Mixed()
    by.full_for(5)
    job = by.submit(wanted(resources=asks(4)))
    by.settle()
    asked = still(by.book)

    asking.withdrawn(asked, job)

    assert job.id in asked.turns.patience


def test_where_it_hangs_on_who_else_is_looked_at_whose_turn_is_first_nobody_is_said_to_start() -> None:
    by = world("n0", declared={"p": Declared(), "r": Declared()})
    by.submit(wanted(resources=asks(2), project="r", timeouts=limited(1)))
    ends = by.submit(wanted(resources=asks(2), timeouts=limited(1)))
    by.submit(wanted(resources=asks(4), project="r", priority=75))
    for region in ("north", "south"):
        by.submit(wanted(resources=asks(2), project="p", priority=79, where=f'region == "{region}"'))
    job = by.submit(wanted(resources=asks(2), project="p"))
    by.settle()
    over = Attempt(ends.id, 1, "n0", state=AttemptState.EXITED, exit_code=0)
    by.cluster.handle(model.Reported(Report("n0", 1, 2, engine=Engine(reachable=True), attempts=(over,))))

    assert by.explain(by.book.jobs[job.id]).fitting_count == 1
    assert outlook(by, by.book.jobs[job.id]).start_time_ms is None
    by.tick()
    assert by.at(job) == ()


def test_a_node_on_which_room_would_be_kept_for_another_once_it_takes_jobs_again_is_not_told() -> None:
    by = world("n0", "n1", cores=16)
    for node, cores, minutes in (("n0", 8, 1), ("n1", 16, 10)):
        by.submit(wanted(resources=asks(cores), where=f'name == "{node}"', timeouts=limited(minutes)))
    by.cluster.handle(model.DrainAsked(1, "n0", Drain.CORDONED))
    by.submit(wanted(resources=asks(16), priority=75))
    by.settle()

    assert "nodes/n0 drain" not in fields(by, wanted(resources=asks(8)))


def test_a_node_whose_last_would_be_left_to_another_once_it_takes_jobs_again_is_not_told() -> None:
    by = world("n0", "n1", cores=16, memory=8, declared={"r": Declared()})
    for node, wants in (("n0", asks(1, 2)), ("n1", asks(16, 8))):
        by.submit(wanted(resources=wants, where=f'name == "{node}"', timeouts=limited(10)))
    by.cluster.handle(model.DrainAsked(1, "n0", Drain.CORDONED))
    for wants, project in ((asks(5, 7), "r"), (asks(64), "default")):
        by.submit(wanted(resources=wants, project=project))
        by.settle()
    # Who is short of room is noted as somebody is looked at.
    by.node("n2", NodeDescription(platforms=(AMD64,), capacity=Capacity(1000, GIB)))
    by.settle()

    assert "nodes/n0 drain" not in fields(by, wanted(resources=asks(5, 2), timeouts=limited(1)))
