"""Heads that give way, claims that hold no more, and failures of gangs beside nodes that are only late."""

import pytest

from agent.runtimes.runtime import Ref
from controller.core import keeping, model, preempting
from controller.core.backfill import Kept
from controller.core.turns import Patience
from headrace.jobs import Condition, Dependency, JobState, Requests, Retry, RetryCause, Timeouts
from headrace.neighbours import Neighbours
from headrace.nodes import Drain
from headrace.projects import Declared, Quota
from tests.core.lone_controller import Controller, asks, wanted
from tests.core.small_world import AMD64, ARM64, GIB, PINS, World, description
from tests.core.test_relocations import scattered
from tests.core.test_room_and_turns import Uploading, leaving

MINUTE_MS = 60_000
WHOLE = Requests(4_000, GIB)


def given_up(world: World, patched: pytest.MonkeyPatch, millis: int) -> list[str]:
    """For whom room is kept no more for the sake of others, in that time."""
    found: list[str] = []
    give_up = keeping.give_up

    def noted(book: object, head: str) -> None:
        found.append(head)
        give_up(book, head)  # type: ignore[arg-type]

    patched.setattr(keeping, "give_up", noted)
    world.pass_time(millis)
    return found


def test_no_two_give_way_to_each_other(monkeypatch: pytest.MonkeyPatch) -> None:
    world = World(n1=AMD64, n2=AMD64)
    limit = Timeouts(run_ms=600 * MINUTE_MS)
    world.submit("long", resources=WHOLE)
    world.pass_time(2_000)
    world.submit("small", resources=Requests(2_000, GIB), timeouts=limit)
    world.submit("gone", resources=Requests(200, GIB // 8), timeouts=limit)
    world.submit("head", resources=WHOLE, priority=79)
    world.pass_time(5_000)
    for number in range(world.cluster.book.policy.kept_max - 1):
        world.submit(f"arm-{number:02}", resources=Requests(200 + number % 4, GIB // 8), priority=60)
    world.submit("other", resources=Requests(250, GIB // 8), priority=40)
    world.pass_time(15_000)
    world.cancel("gone")
    world.pass_time(15_000)

    assert given_up(world, monkeypatch, MINUTE_MS) == []


def test_nobody_gives_way_to_a_job_for_which_no_room_is_kept(monkeypatch: pytest.MonkeyPatch) -> None:
    declared = {"p": Declared(weight=100.0, quota=Quota(cpu_millis=1000), borrows=False), "q": Declared()}
    world = World(declared=declared, n1=AMD64)
    world.submit("held", project="p", resources=Requests(1_000, GIB))
    world.submit("fill", project="q", resources=Requests(3_000, GIB))
    world.pass_time(2_000)
    for number in range(world.cluster.book.policy.kept_max):
        world.submit(f"q-{number:02}", project="q", resources=Requests(200 + 10 * number, GIB // 8))
    world.submit("over", project="p", resources=Requests(500, GIB // 8))
    world.pass_time(5_000)

    assert given_up(world, monkeypatch, MINUTE_MS) == []


def one_saves(nodes: int, name: str, **asked: object) -> Uploading:
    """A job on each node, and another one for which one of them, or several, are to leave: that takes long."""
    world = Uploading(**{f"n{number}": AMD64 for number in range(1, nodes + 1)})
    for number in range(1, nodes + 1):
        world.submit(f"v{number}", resources=WHOLE, priority=10 * number)
    world.pass_time(20_000)
    world.is_slow = True
    world.submit(name, resources=WHOLE, **asked)
    world.pass_time(5_000)
    return world


@pytest.mark.parametrize("drain", [Drain.CORDONED, Drain.DRAINING])
def test_a_claim_on_a_node_that_takes_no_jobs_any_more_holds_no_longer(drain: Drain) -> None:
    world = one_saves(2, "urgent", priority=90)
    [before] = world.cluster.book.turns.claims["urgent"].nodes

    world.drain(before, drain)
    world.pass_time(5 * MINUTE_MS)

    [after] = world.cluster.book.turns.claims["urgent"].nodes
    assert after != before


@pytest.mark.parametrize("tasks", [1, 2])
@pytest.mark.parametrize("few", [keeping.FEW, 0])
def test_what_others_leave_for_a_job_is_for_a_more_urgent_one_that_comes_meanwhile(
    tasks: int, few: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(keeping, "FEW", few)
    world = one_saves(2, "gang", priority=85, task_count=2)
    assert list(world.cluster.book.turns.claims) == ["gang"]

    world.submit("urgent", resources=WHOLE, priority=95, task_count=tasks)
    world.pass_time(5_000)
    claims = world.cluster.book.turns.claims

    assert len(claims["urgent"].nodes) == tasks
    assert list(claims["urgent"].leaving) == [f"v{number}" for number in range(1, 1 + tasks)]
    assert "gang" not in claims


def test_what_was_left_for_a_gang_is_still_for_it_where_a_more_urgent_job_takes_some() -> None:
    world = one_saves(3, "gang", priority=85, task_count=2)

    world.submit("urgent", resources=WHOLE, priority=95)
    world.pass_time(5_000)

    claims = world.cluster.book.turns.claims
    assert list(claims) == ["urgent", "gang"]
    assert len({*claims["urgent"].nodes, *claims["gang"].nodes}) == 3
    assert sorted(leaving(world)) == ["v1", "v2", "v3"]


def test_what_others_leave_for_a_job_is_not_for_one_that_comes_after_it() -> None:
    world = one_saves(2, "gang", priority=95, task_count=2)

    world.submit("urgent", resources=WHOLE, priority=85)
    world.pass_time(30_000)

    assert list(world.cluster.book.turns.claims) == ["gang"]


def lent_to_others(own_cores: int, *, nodes: int) -> Controller:
    """Nodes of four cores, which others have borrowed, and a project with so many cores of its own."""
    declared = {"own": Declared(quota=Quota(cpu_millis=own_cores * 1000)), "lent": Declared(quota=Quota(cpu_millis=0))}
    controller = Controller(declared)
    for number in range(nodes):
        controller.node(f"n{number}", description(cpu_millis=4000))
    controller.settle()
    for _ in range(nodes):
        controller.submit(wanted(project="lent", resources=asks(4)))
    controller.settle()
    return controller


def test_what_others_leave_for_one_of_its_project_after_it_is_for_a_job_that_claims_its_own() -> None:
    controller = lent_to_others(4, nodes=2)
    late = controller.submit(wanted(project="own", priority=40, resources=asks(4)))
    controller.settle()
    asked = dict(controller.book.turns.claims)
    assert list(asked) == [late.id]

    first = controller.submit(wanted(project="own", priority=60, resources=asks(4)))
    controller.settle()

    # Of what is lent no more goes back than is its own: for the other one nobody leaves any more.
    claims = controller.book.turns.claims
    assert list(claims) == [first.id]
    assert claims[first.id].leaving == asked[late.id].leaving
    assert len([job for job in controller.book.jobs.values() if job.state is JobState.FREEZING]) == 1


def test_what_others_leave_for_one_of_its_project_before_it_counts_as_what_it_has() -> None:
    controller = lent_to_others(4, nodes=2)
    first = controller.submit(wanted(project="own", priority=60, resources=asks(4)))
    controller.settle()

    controller.submit(wanted(project="own", priority=40, resources=asks(4)))
    controller.settle()

    assert list(controller.book.turns.claims) == [first.id]


def test_what_gives_way_may_be_too_little_and_the_rest_of_its_own_is_given_back_beside_it() -> None:
    controller = lent_to_others(6, nodes=2)
    late = controller.submit(wanted(project="own", priority=40, resources=asks(4)))
    controller.settle()

    gang = controller.submit(wanted(project="own", priority=60, resources=asks(3), task_count=2))
    controller.settle()

    assert list(controller.book.turns.claims) == [gang.id]
    assert controller.book.jobs[late.id].state is JobState.QUEUED
    assert len([job for job in controller.book.jobs.values() if job.state is JobState.FREEZING]) == 2


def low_and_urgent(few: int, monkeypatch: pytest.MonkeyPatch) -> Controller:
    """Six nodes, with a job on each that may have to leave."""
    monkeypatch.setattr(keeping, "FEW", few)
    controller = Controller()
    for number in range(6):
        controller.node(f"n{number}", description(cpu_millis=4000))
    controller.settle()
    for _ in range(6):
        controller.submit(wanted(resources=asks(4), priority=10))
    controller.settle()
    return controller


@pytest.mark.parametrize("few", [keeping.FEW, 4])
def test_several_have_others_leave_within_few_events(few: int, monkeypatch: pytest.MonkeyPatch) -> None:
    controller = low_and_urgent(few, monkeypatch)
    together = tuple(
        model.Submitted(number, f"u{number}", wanted(resources=asks(4), priority=90), PINS[:1], f"u{number}")
        for number in range(6)
    )
    controller.cluster.handle(model.SubmittedTogether(9, together))
    # Where nodes are many, it is by turns with those for whom room is looked for.
    for _ in range(5):
        controller.tick()
    assert len(controller.book.turns.claims) == 6


def test_one_that_comes_later_has_others_leave_though_they_do_so_for_one_of_its_line(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    controller = low_and_urgent(keeping.FEW, monkeypatch)
    first = controller.submit(wanted(resources=asks(4), priority=90))
    second = controller.submit(wanted(resources=asks(4), priority=90))
    assert list(controller.book.turns.claims) == [first.id, second.id]


def test_a_gang_begins_where_some_have_left_for_it_and_on_another_node_that_has_come_meanwhile(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    controller = low_and_urgent(keeping.FEW, monkeypatch)
    gang = controller.submit(wanted(resources=asks(4), priority=90, task_count=2))
    controller.tick()
    first, _ = controller.book.turns.claims[gang.id].nodes
    [left] = controller.book.jobs_at(first)
    controller.book.put(controller.book.leave(left, "has left"))

    controller.node("new", description(cpu_millis=4000))
    controller.settle()

    assert sorted(controller.at(gang)) == sorted((first, "new"))


def test_who_is_put_into_another_line_while_it_is_to_ask_asks_from_there(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(preempting, "ASKED_AT_ONCE", 1)
    controller = Controller()
    for number in range(3):
        controller.node(f"n{number}", description(cpu_millis=4000))
    controller.settle()
    low = [controller.submit(wanted(resources=asks(cpu=4), priority=10)) for _ in range(3)]
    controller.settle()

    def submitted(token: int, name: str, cores: int) -> model.Submitted:
        return model.Submitted(
            token, name, wanted(display_name=name, resources=asks(cpu=cores), priority=90), PINS[:1], name
        )

    controller.cluster.handle(model.SubmittedTogether(3, (submitted(1, "u1", 4), submitted(2, "u2", 3))))
    assert list(controller.book.turns.asking) == ["u2"]

    after = (Dependency(low[0].id, Condition.ENDED),)
    shy = wanted(display_name="shy", neighbours=Neighbours(apart_from=("u2",)), after=after)
    controller.cluster.handle(model.Submitted(4, "s", shy, PINS[:1], "s"))

    assert list(controller.book.turns.claims) == ["u1", "u2"]


def test_a_gang_fails_by_its_own_program_beside_a_node_that_is_only_late() -> None:
    world = World(a=AMD64, b=ARM64)
    world.submit(task_count=2, resources=Requests(3000, GIB), retry=Retry(3, (RetryCause.EXIT_NONZERO,)))
    task = next(number for number in range(2) if world.job(f"train-1-{number}").node == "a")
    world.sites["b"].cut = True
    world.pass_time(12_000)

    world.exit(Ref(f"train-1-{task}", task, 1), 1)
    world.pass_time(1_000)
    assert world.job().state is JobState.RUNNING
    world.sites["b"].cut = False
    world.pass_time(30_000)

    gang = world.job()
    assert (gang.state, gang.failures) != (JobState.FAILED, 0)
    assert gang.failures == 1
    assert [one.node for one in gang.exclusions] == ["a"]


def test_looks_that_were_refused_are_had_in_turn(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(keeping, "FEW", 1)
    world = World(n1=AMD64, n2=AMD64)
    for number in range(2):
        world.submit(f"long-{number}", resources=WHOLE)
    world.pass_time(5_000)

    for number in range(5):
        world.submit(f"waits-{number}", resources=Requests(500 + number, GIB))
    world.pass_time(5_000)

    assert len(world.cluster.book.turns.kept) == 5
    assert world.cluster.book.turns.wishes == {}


def test_room_is_made_for_a_job_whose_patience_is_over() -> None:
    world = scattered()
    # What is left of one that waited for something better: it does so no more.
    world.book.turns.patience["large-1"] = Patience(Kept(("a",), (), 0), 0, 1, 1, "was patient once")

    world.pass_time(6 * 60 * MINUTE_MS)

    assert world.moves()
    assert world.jobs["large-1"].attempts
