"""Where turns, quotas and those who leave for others meet: whoever can have no room keeps nobody else from it."""

from controller.core import keeping
from controller.core.model import Submitted
from headrace.jobs import JobState, Requests, Timeouts
from headrace.projects import Declared, Quota
from tests.core.small_world import AMD64, GIB, PINS, World, spec

MINUTE_MS = 60_000


def cores(most: int, *, borrows: bool = True) -> Declared:
    return Declared(quota=Quota(cpu_millis=most * 1000), borrows=borrows)


def asks(count: int) -> Requests:
    return Requests(count * 1000, GIB // 8)


def limit(minutes: int) -> Timeouts:
    return Timeouts(run_ms=minutes * MINUTE_MS)


def world(*nodes: str, **declared: Declared) -> World:
    found = World(declared=declared, **dict.fromkeys(nodes, AMD64))
    found.pass_time(2_000)
    return found


def kept(found: World) -> list[str]:
    return list(found.cluster.book.turns.kept)


def test_room_is_kept_for_no_more_than_a_quota_has_room_for() -> None:
    found = world("a", "b", p=cores(4, borrows=False), q=cores(6))
    for name in ("one", "two"):
        found.submit(name, project="q", resources=asks(3), timeouts=limit(10))
    for minutes, name in enumerate(("first", "second"), 60):
        found.submit(name, project="p", resources=asks(4), timeouts=limit(minutes))
    found.pass_time(5_000)
    assert kept(found) == ["first"]

    found.cancel("one")
    found.pass_time(5_000)
    assert found.job("first").state is JobState.RUNNING
    assert kept(found) == []


def test_who_has_no_room_in_its_quota_is_in_nobodys_way() -> None:
    found = world("a", p=cores(1, borrows=False), q=Declared())
    found.submit("runs", project="q", resources=asks(2))
    found.pass_time(10 * MINUTE_MS)
    for name in ("own", "over"):
        found.submit(name, project="p", resources=asks(1))
    found.submit("large", project="q", resources=asks(4))
    found.pass_time(20_000)
    found.submit("small", project="q", resources=asks(1))
    found.pass_time(20_000)
    assert found.job("over").state is JobState.QUEUED
    assert found.job("small").state is JobState.RUNNING


def test_each_of_several_urgent_jobs_that_come_at_once_has_somebody_leave() -> None:
    found = world("a")
    for number in range(4):
        found.submit(f"low-{number}", resources=asks(1))
    found.submit("urgent", resources=asks(1), priority=90, element_count=3)
    found.pass_time(20_000)
    assert [found.job(f"urgent-{number}").state for number in range(3)] == [JobState.RUNNING] * 3
    assert found.happenings.count("JOB_PREEMPTED") == 3


def test_a_borrower_gives_back_no_more_than_it_has_borrowed_to_all_that_ask_together() -> None:
    found = world("a", p=cores(2), q=cores(2))
    for number in range(3):
        found.submit(f"borrows-{number}", project="p", resources=asks(1))
    found.submit("plain", resources=asks(1))
    for site in found.sites.values():
        site.cut = True
    for number in range(2):
        owner = spec(project="q", resources=asks(1), timeouts=limit(60 + number))
        found.ask(lambda token, number=number, owner=owner: Submitted(token, f"owner-{number}", owner, PINS))
    leave = [job for job in found.cluster.book.jobs.values() if job.state is JobState.FREEZING]
    assert [job.spec.project for job in leave].count("p") == 1


def test_nobody_leaves_for_what_would_be_borrowed_once_others_have_their_own() -> None:
    found = world("a", p=cores(1), q=cores(1))
    for number in range(4):
        found.submit(f"borrows-{number}", project="p", resources=asks(1))
    for site in found.sites.values():
        site.cut = True
    for number in range(2):
        owner = spec(project="q", resources=asks(1), timeouts=limit(60 + number))
        found.ask(lambda token, number=number, owner=owner: Submitted(token, f"owner-{number}", owner, PINS))
    assert [job.state for job in found.cluster.book.jobs.values()].count(JobState.FREEZING) == 1


def test_a_gang_that_would_never_find_room_is_in_nobodys_way() -> None:
    found = world("a", "b", p=Declared(), q=Declared())
    for number in range(2):
        found.submit(f"runs-{number}", project="q", resources=asks(1))
    found.pass_time(10 * MINUTE_MS)
    found.submit("never", project="p", resources=asks(2), task_count=5)
    found.submit("large", project="q", resources=asks(4))
    found.pass_time(20_000)
    for number in range(6):
        found.submit(f"small-{number}", project="q", resources=asks(1))
    found.pass_time(30_000)
    assert [found.job(f"small-{number}").state for number in range(6)] == [JobState.RUNNING] * 6


def test_of_two_jobs_each_of_which_fits_alone_one_begins_though_each_has_something_before_the_other() -> None:
    found = world("large", "small", a=Declared(), b=Declared(), c=Declared())
    found.submit("fill", project="a", resources=asks(3), where='name == "large"')
    for name in ("gone", "stays"):
        found.submit(name, project="b", resources=asks(2), where='name == "small"')
    found.pass_time(2_000)
    # What its project is to be given before it counts for its turn, and not for what that has had.
    found.submit("first", project="c", resources=asks(4), where='name == "large"')
    found.submit("head", project="a", resources=asks(2), where='name == "small"')
    found.submit("last", project="c", resources=asks(2), where='name == "small"')
    found.pass_time(5_000)
    assert kept(found) == ["first", "head", "last"]

    found.cancel("gone")
    found.pass_time(15_000)

    jobs = found.cluster.book.jobs
    assert [one for one in ("head", "last") if jobs[one].state is JobState.RUNNING] == ["last"]


def test_a_job_that_comes_back_says_what_the_others_of_its_line_wait_for() -> None:
    found = world("a", "b")
    for name in ("first", "second"):
        found.submit(name, resources=asks(4))
    found.submit("waits", resources=asks(4))
    found.drain("a", force=True, deadline_ms=0)
    found.pass_time(20_000)
    back = found.job("first")
    assert back.state is JobState.QUEUED
    assert back.reason == found.job("waits").reason
    assert back.reason.startswith("waits: ")


def test_a_gang_that_waits_is_not_looked_at_while_nothing_changes() -> None:
    found = world("a", "b")
    found.submit("runs", resources=asks(3))
    found.submit("gang", resources=asks(3), task_count=2)
    found.pass_time(2_000)
    gains = found.cluster.book.snapshot.gains
    found.pass_time(20_000)
    assert found.job("gang").state is JobState.QUEUED
    assert found.cluster.book.snapshot.gains == gains


def test_who_was_leaving_when_the_controller_started_anew_is_not_taken_for_gone() -> None:
    found = world("a")
    runs = found.submit("runs", resources=asks(4))
    for site in found.sites.values():
        site.engine.obeys = False
    found.submit("urgent", resources=asks(4), priority=90)
    assert found.job("runs").state is JobState.FREEZING

    found.restart_controller()

    book = found.cluster.book
    assert keeping.ends_ms(book, "urgent", book.jobs["runs"], book.wall_ms) == book.wall_ms + runs.spec.grace_ms
