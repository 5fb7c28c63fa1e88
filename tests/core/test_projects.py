"""Projects: what they hold and have used, what they may have, and who gives back what."""

from dataclasses import replace

import pytest

from controller.core.fairness import Fading
from controller.core.model import Submitted
from controller.core.projects import NOTHING, Projects
from headrace.attempts import Attempt
from headrace.jobs import AcceleratorRequest, Job, JobState, Requests, Timeouts
from headrace.nodes import Device, Health, Node
from headrace.projects import Amount, Declared, Quota, Use
from tests.core.small_world import AMD64, ARM64, GIB, PINS, World, description, refusal, spec

CORE = Requests(1000, GIB // 8)
TWO = Requests(2000, GIB // 8)
ALL = Requests(4000, GIB // 8)
MINUTE_MS = 60_000


def units(most: float, *, weight: float = 1.0, borrows: bool = True) -> Declared:
    return Declared(weight, Quota(round(most * 1000)), borrows)


def world(**declared: Declared) -> World:
    found = World(declared=declared, a=AMD64)
    found.pass_time(2_000)
    return found


def use_of(found: World, project: str) -> Use:
    return found.cluster.book.projects.use(project, found.cluster.book.wall_ms)


def held(found: World, project: str) -> Amount:
    return found.cluster.book.projects.held.get(project, NOTHING)


# Who they are.


def test_where_no_project_is_declared_a_job_may_be_of_any() -> None:
    assert world().submit(project="physics").state is JobState.RUNNING


def test_where_projects_are_declared_a_job_of_another_is_refused_with_those_that_are() -> None:
    found = world(physics=Declared(), biology=Declared())
    with pytest.raises(KeyError):
        found.submit(project="physic")
    answer = refusal(found.answers[1])
    assert answer.reason == "PROJECT_UNKNOWN"
    assert "physic" in answer.message
    assert "physics" in answer.message


def test_the_default_project_needs_not_be_declared() -> None:
    assert world(physics=Declared()).submit().state is JobState.RUNNING


# What they hold and have used.


def test_a_project_holds_what_its_jobs_have_at_their_places_and_no_more() -> None:
    found = world()
    found.submit("one", project="p", resources=TWO)
    found.submit("waits", project="p", resources=ALL)
    assert held(found, "p") == Amount(2000, 0, 2000)
    found.cancel("one")
    found.cancel("waits")
    found.pass_time(5_000)
    assert held(found, "p") == NOTHING


@pytest.mark.parametrize("told", [0, 1, 2])
def test_devices_of_which_a_node_tells_nothing_after_a_restart_are_held_all_the_same(told: int) -> None:
    quota = Quota(device_millis=2_000)
    projects = Projects({"p": Declared(quota=quota, borrows=False)}, Fading(MINUTE_MS, MINUTE_MS))
    devices = tuple(Device(one, "gpu", "nvidia", "H100", health=Health.HEALTHY) for one in ("0", "1"))
    node = Node("nodes/a", description=description(), devices=devices[:told])
    job = Job("jobs/train", spec(project="p", resources=Requests(1000, GIB, AcceleratorRequest(2))), JobState.RUNNING)
    job = replace(job, epoch=1, node="a", attempts=(Attempt("train", 1, "a", devices=("0", "1")),))

    projects.take_over({job.id: job}, {"a": node})

    assert projects.held["p"].device_millis == 2_000
    assert projects.over_quota("p", Amount(device_millis=1_000))


def test_what_was_used_is_what_was_held_times_how_long() -> None:
    found = world()
    found.submit("one", project="p", resources=TWO)
    before = use_of(found, "p")
    found.pass_time(10 * MINUTE_MS)
    after = use_of(found, "p")
    assert after.unit_seconds - before.unit_seconds == pytest.approx(1200)
    assert after.cpu_seconds - before.cpu_seconds == pytest.approx(1200)


def test_use_is_kept_over_a_restart_with_what_was_held_meanwhile() -> None:
    found = world()
    found.submit("one", project="p", resources=TWO)
    found.pass_time(10 * MINUTE_MS)
    before = use_of(found, "p")
    found.restart_controller()
    after = use_of(found, "p")
    assert after.unit_seconds == pytest.approx(before.unit_seconds)
    assert after.recent_unit_seconds == pytest.approx(before.recent_unit_seconds)
    found.pass_time(MINUTE_MS)
    assert use_of(found, "p").unit_seconds == pytest.approx(before.unit_seconds + 120)


def test_use_of_a_project_that_was_never_saved_begins_with_the_new_controller() -> None:
    found = world()
    found.submit("one", project="p", resources=TWO)
    del found.store["projects/p"]
    found.restart_controller()
    found.pass_time(MINUTE_MS)
    assert use_of(found, "p").unit_seconds <= 2 * (MINUTE_MS / 1000 + 10)


def test_what_a_new_project_held_while_the_controller_was_away_is_counted_from_its_first_second_on() -> None:
    found = world()
    found.submit("one", project="p", resources=TWO)
    found.pass_time(30_000)
    before = use_of(found, "p")
    found.now_ms += 10 * MINUTE_MS
    found.restart_controller()
    assert use_of(found, "p").unit_seconds == pytest.approx(before.unit_seconds + 1200)


def test_use_is_written_down_at_most_once_a_minute() -> None:
    projects = Projects({}, Fading(86_400_000, 3_600_000))
    projects.held["p"] = Amount(1000, 0, 1000)
    saved = [len(projects.to_save(1 + second * 1000, every_ms=MINUTE_MS)) for second in range(601)]
    assert sum(saved) == 10


def test_what_holds_nothing_is_not_written_down_again() -> None:
    projects = Projects({}, Fading(86_400_000, 3_600_000), [Use("projects/p", 1, 5.0, 5.0)])
    assert not any(projects.to_save(second * 1000, every_ms=MINUTE_MS) for second in range(601))


def test_use_goes_on_from_where_it_was_after_the_clock_was_put_back() -> None:
    hour_ms = 60 * MINUTE_MS
    projects = Projects({}, Fading(86_400_000, 3_600_000), [Use("projects/p", 2 * hour_ms, 5.0, 5.0)])
    projects.held["p"] = Amount(1000, 0, 1000)
    for second in range(1201):
        projects.to_save(hour_ms + second * 1000, every_ms=MINUTE_MS)
    assert projects.use("p", hour_ms + 1_200_000).unit_seconds == pytest.approx(1205)


def test_what_was_idle_for_long_is_not_counted_after_a_restart_as_soon_as_there_is_a_job_again() -> None:
    found = world()
    found.submit("one", project="p", resources=TWO)
    found.pass_time(2 * MINUTE_MS)
    found.cancel("one")
    found.pass_time(600 * MINUTE_MS)
    before = use_of(found, "p")
    found.sites["a"].cut = True
    found.ask(lambda token: Submitted(token, "two", spec(project="p", resources=TWO), PINS))
    found.restart_controller()
    assert found.job("two").node == "a"
    assert use_of(found, "p").unit_seconds == pytest.approx(before.unit_seconds)


# Quotas.


def test_a_project_that_does_not_borrow_keeps_to_its_quota_though_there_is_room() -> None:
    found = world(p=units(2, borrows=False))
    assert found.submit("one", project="p", resources=TWO).state is JobState.RUNNING
    waiting = found.submit("two", project="p", resources=CORE)
    assert waiting.state is JobState.QUEUED
    assert waiting.reason == "waits: its project p does not borrow, and has a quota of 2 units"
    found.cancel("one")
    found.pass_time(5_000)
    assert found.job("two").state is JobState.RUNNING


def test_a_project_that_borrows_has_what_is_idle() -> None:
    found = world(p=units(1), q=units(3))
    assert found.submit("one", project="p", resources=ALL).state is JobState.RUNNING
    listed = {one.name: one for one in found.cluster.book.projects.listed(found.cluster.book.jobs.values(), 0)}
    assert listed["projects/p"].borrowing
    assert not listed["projects/q"].borrowing


def test_who_wants_its_own_back_has_it_once_the_borrower_has_saved_and_left() -> None:
    found = world(p=units(1), q=units(3))
    found.submit("borrows", project="p", resources=TWO, priority=100)
    found.submit("keeps", project="p", resources=CORE, priority=100)
    found.submit("owner", project="q", resources=Requests(3000, GIB // 8), priority=0)
    found.pass_time(10_000)
    assert found.job("owner").state is JobState.RUNNING
    borrowed = found.job("borrows")
    assert (borrowed.state, borrowed.preemptor) == (JobState.QUEUED, "owner")
    assert borrowed.checkpoint is not None
    assert found.job("keeps").state is JobState.RUNNING
    assert found.happenings.count("JOB_PREEMPTED") == 1


def test_who_gave_back_goes_on_elsewhere_where_there_is_room() -> None:
    found = World(declared={"p": units(1), "q": units(3)}, a=AMD64)
    found.pass_time(2_000)
    found.submit("borrows", project="p", resources=TWO)
    found.join("b", ARM64)
    found.pass_time(2_000)
    found.submit("owner", project="q", resources=Requests(3000, GIB // 8), where='arch == "amd64"')
    found.pass_time(10_000)
    assert found.job("owner").node == "a"
    moved = found.job("borrows")
    assert (moved.state, moved.node) == (JobState.RUNNING, "b")
    assert moved.migrations[-1].downtime_millis >= 0


def test_what_is_within_its_quota_is_nobody_elses() -> None:
    found = world(p=units(2), q=units(2))
    found.submit("one", project="p", resources=TWO)
    found.submit("two", project="q", resources=CORE)
    found.submit("large", project="q", resources=TWO)
    found.pass_time(30_000)
    assert found.job("one").state is JobState.RUNNING
    assert found.job("large").state is JobState.QUEUED


# Priorities.


def test_an_urgent_job_has_the_cheapest_that_is_less_urgent_leave() -> None:
    found = world()
    found.submit("saves", resources=TWO)
    found.submit("loses", resources=TWO, checkpoint=None)
    found.pass_time(MINUTE_MS)
    found.submit("urgent", resources=CORE, priority=80)
    found.pass_time(10_000)
    assert found.job("urgent").state is JobState.RUNNING
    assert found.job("loses").state is JobState.RUNNING
    assert (found.job("saves").state, found.job("saves").preemption_count) == (JobState.QUEUED, 1)
    found.cancel("urgent")
    found.pass_time(5_000)
    assert found.job("saves").state is JobState.RUNNING
    assert found.job("saves").attempts[-1].epoch == found.job("saves").epoch


def test_a_job_that_had_to_leave_has_nobody_leave_who_is_more_urgent() -> None:
    found = world()
    found.submit("first", resources=ALL, priority=85)
    found.submit("second", resources=ALL, priority=90)
    found.pass_time(5 * MINUTE_MS)
    assert found.job("second").state is JobState.RUNNING
    assert found.job("first").state is JobState.QUEUED
    assert found.happenings.count("JOB_PREEMPTED") == 1


def test_a_gang_that_is_less_urgent_leaves_as_a_whole() -> None:
    found = World(a=AMD64, b=ARM64)
    found.pass_time(2_000)
    found.submit("gang", resources=Requests(3000, GIB // 8), task_count=2)
    found.submit("urgent", resources=TWO, priority=90)
    found.pass_time(20_000)
    assert found.job("urgent").state is JobState.RUNNING
    assert found.job("gang").state is JobState.QUEUED


def test_an_urgent_gang_finds_room_on_all_its_nodes() -> None:
    found = World(a=AMD64, b=ARM64)
    found.pass_time(2_000)
    found.submit("one", resources=Requests(3000, GIB // 8))
    found.submit("two", resources=Requests(3000, GIB // 8))
    found.submit("gang", resources=Requests(3000, GIB // 8), task_count=2, priority=90)
    found.pass_time(20_000)
    assert found.job("gang").state is JobState.RUNNING
    assert [found.job(name).state for name in ("one", "two")] == [JobState.QUEUED] * 2


def test_who_was_to_leave_for_the_first_task_of_a_gang_stays_where_others_leave_room_for_all() -> None:
    found = World(a=AMD64, b=AMD64, c=AMD64)
    found.submit("cheap", resources=ALL)
    found.submit("gang", resources=ALL, task_count=2)
    found.pass_time(20_000)
    found.submit("urgent", resources=ALL, task_count=2, priority=90)
    found.pass_time(20_000)
    assert found.job("urgent").state is JobState.RUNNING
    assert found.job("gang").state is JobState.QUEUED
    assert (found.job("cheap").state, found.job("cheap").preemption_count) == (JobState.RUNNING, 0)


# Backfill.


def test_a_short_job_starts_ahead_of_one_that_has_to_wait_longer_and_a_long_one_does_not() -> None:
    found = world()
    found.submit("runs", resources=TWO, timeouts=Timeouts(run_ms=10 * MINUTE_MS))
    found.submit("head", resources=ALL)
    found.submit("long", resources=CORE, timeouts=Timeouts(run_ms=20 * MINUTE_MS))
    found.submit("endless", resources=CORE)
    found.submit("short", resources=CORE, timeouts=Timeouts(run_ms=5 * MINUTE_MS))
    assert found.job("short").state is JobState.RUNNING
    assert [found.job(name).state for name in ("head", "long", "endless")] == [JobState.QUEUED] * 3
    assert found.job("long").reason.startswith("waits for its turn")


def test_room_is_kept_for_a_job_that_has_waited_long_though_nothing_tells_when_there_will_be_enough() -> None:
    found = world()
    found.submit("runs", resources=TWO)
    found.submit("head", resources=ALL)
    assert found.submit("soon", resources=CORE).state is JobState.RUNNING
    found.pass_time(11 * MINUTE_MS)
    assert found.submit("late", resources=CORE).state is JobState.QUEUED
    for name in ("runs", "soon"):
        found.cancel(name)
    found.pass_time(5_000)
    assert found.job("head").state is JobState.RUNNING
