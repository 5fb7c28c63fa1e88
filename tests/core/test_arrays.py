"""Laws of arrays: elements run and end each by itself, few have a record at a time, the array ends with the last."""

import pytest

from agent.runtimes.runtime import Ref
from controller.core import arrays
from controller.core.model import Answer, CancelAsked, MoveAsked, Save, Submitted
from controller.core.relations import FRESH_AT_ONCE
from headrace import elements
from headrace.ids import element_of
from headrace.jobs import Elements, Job, JobState, Requests, Retry, RetryCause, Timeouts
from headrace.nodes import Drain
from tests.core.small_world import AMD64, ARM64, GIB, PINS, World, refusal, spec

ALWAYS = Retry(1, (RetryCause.NODE_LOST, RetryCause.EXIT_NONZERO))


def array(count: int, **changes: object) -> World:
    """Two nodes that have each room for four elements of an array."""
    world = World(a=AMD64, b=ARM64)
    world.submit(element_count=count, **changes)
    world.pass_time(2_000)
    return world


def ref(index: int, epoch: int = 1) -> Ref:
    return Ref(f"train-1-{index}", 0, epoch)


def known(world: World) -> Elements:
    found = world.job().elements
    assert found is not None
    return found


def live(world: World) -> list[str]:
    return sorted(job for job in world.cluster.book.jobs if job != "train-1")


def run_out(world: World, code: int = 0) -> None:
    """Each container that runs leaves, until none is left."""
    while running := [one for refs in world.running().values() for one in refs]:
        for one in running:
            world.exit(one, code)
        world.pass_time(2_000)


def test_the_elements_of_an_array_run_each_by_itself_wherever_there_is_room() -> None:
    world = array(6)

    assert world.job().state is JobState.RUNNING
    assert sorted(one.job for refs in world.running().values() for one in refs) == [f"train-1-{n}" for n in range(6)]
    assert known(world).running_count == 6


def test_an_element_is_told_which_it_is() -> None:
    world = array(3)

    placements = [held.placement for site in world.sites.values() for held in site.held.values()]

    assert sorted((one.array, one.array_index, one.spec.element_count) for one in placements) == [
        ("train-1", 0, 3),
        ("train-1", 1, 3),
        ("train-1", 2, 3),
    ]


def test_an_array_has_succeeded_when_all_its_elements_have() -> None:
    world = array(20)

    run_out(world)

    found = known(world)
    assert (world.job().state, found.succeeded_count, found.running_count) == (JobState.SUCCEEDED, 20, 0)
    assert elements.described(found.succeeded) == "0-19"
    assert live(world) == []


def test_few_elements_of_a_large_array_have_a_record_at_a_time() -> None:
    world = array(10_000)

    assert len(live(world)) <= FRESH_AT_ONCE + 8
    for _ in range(3):
        for one in [one for refs in world.running().values() for one in refs]:
            world.exit(one, 0)
        world.pass_time(2_000)
        assert len(live(world)) <= FRESH_AT_ONCE + 8
    assert known(world).succeeded_count == 24


def test_an_array_whose_element_failed_for_good_goes_on_and_says_which_in_the_end() -> None:
    world = array(3)

    world.exit(ref(1), 7)
    assert world.job().state is JobState.RUNNING
    world.exit(ref(0), 0)
    world.exit(ref(2), 0)

    job = world.job()
    assert (job.state, world.job("train-1-0").state) == (JobState.FAILED, JobState.SUCCEEDED)
    assert job.reason == "1 of 3 elements failed (1); the last: element 1: the container exited with code 7"


def test_retries_are_the_elements_own() -> None:
    world = array(2, retry=ALWAYS)

    world.exit(ref(0), 1)
    world.exit(ref(1), 1)
    world.pass_time(3_000)

    assert (world.job("train-1-0").failures, world.job("train-1-1").failures) == (1, 1)
    world.exit(ref(0, 2), 0)
    world.exit(ref(1, 2), 0)
    assert world.job().state is JobState.SUCCEEDED


def test_an_element_whose_node_is_lost_goes_on_from_its_checkpoint() -> None:
    world = array(2, lost_after_ms=30_000, resources=Requests(3000, GIB))
    lost = world.job("train-1-1").node
    world.sites[lost].cut = True
    world.exit(ref(0), 0)

    world.pass_time(120_000)

    assert (world.job("train-1-1").epoch, world.job("train-1-1").state) == (2, JobState.RUNNING)


@pytest.mark.parametrize("count", [3, 200])
def test_a_cancel_ends_all_elements_also_those_whose_turn_has_not_come(count: int) -> None:
    world = array(count)
    world.exit(ref(0), 0)

    world.cancel()
    world.pass_time(2_000)

    found = known(world)
    assert world.job().state is JobState.CANCELLED
    assert (found.succeeded_count, found.cancelled_count) == (1, count - 1)
    assert (world.running(), live(world)) == ({}, [])


def test_an_array_that_waits_is_cancelled_at_once() -> None:
    world = World()
    world.submit(element_count=100)

    answer = world.cancel()

    assert isinstance(answer, Job)
    assert (answer.state, world.job().state) == (JobState.CANCELLED, JobState.CANCELLED)


def test_an_element_is_cancelled_alone() -> None:
    world = array(2)

    world.cancel("train-1-1")
    world.exit(ref(0), 0)

    assert (world.job("train-1-0").state, world.job("train-1-1").state) == (JobState.SUCCEEDED, JobState.CANCELLED)
    assert (world.job().state, world.job().reason) == (JobState.CANCELLED, "1 of 2 elements were cancelled (1)")


def test_an_element_that_is_cancelled_before_its_turn_never_has_it() -> None:
    world = array(80)

    answer = world.cancel("train-1-79")
    run_out(world)

    assert isinstance(answer, Job)
    assert (answer.name, answer.state) == ("jobs/train-1-79", JobState.CANCELLED)
    assert "jobs/train-1-79" not in world.store
    assert (known(world).succeeded_count, known(world).cancelled_count) == (79, 1)


def test_there_is_no_element_beyond_the_last() -> None:
    world = array(80)

    assert [refusal(world.cancel(one)).reason for one in ("train-1-80", "train-1-007", "train-1-x")] == [
        "JOB_NOT_FOUND"
    ] * 3


@pytest.mark.parametrize("after", [0, 4, 12])
def test_a_restart_of_the_controller_changes_nothing(after: int) -> None:
    world = array(100)
    for one in [one for refs in world.running().values() for one in refs][:after]:
        world.exit(one, 0)
    before = live(world)

    world.restart_controller()
    world.pass_time(2_000)

    assert live(world)[: len(before)] == before
    run_out(world)
    assert (world.job().state, known(world).succeeded_count) == (JobState.SUCCEEDED, 100)


def test_what_ends_an_element_and_what_its_array_knows_of_it_are_saved_at_once() -> None:
    world = array(2)
    seen: list[list[str]] = []
    judged = world._controller

    def watched(effects: list[object]) -> None:
        saved = [one.record for one in effects if isinstance(one, Save) and isinstance(one.record, Job)]
        if any(one.array and one.ended for one in saved):
            seen.append(sorted(one.name for one in saved))
        judged(effects)  # type: ignore[arg-type]

    world._controller = watched  # type: ignore[assignment, method-assign]
    world.exit(ref(0), 0)

    assert seen == [["jobs/train-1", "jobs/train-1-0"]]


def test_an_element_moves_and_its_array_does_not() -> None:
    world = array(2, resources=Requests(1000, GIB))
    source = world.job("train-1-0").node
    target = next(name for name in world.sites if name != source)

    world.move("train-1-0", target=target)
    world.pass_time(5_000)

    assert (world.job("train-1-0").node, world.job("train-1-0").state) == (target, JobState.RUNNING)
    assert refusal(world.ask(lambda token: MoveAsked(token, "train-1"))).reason == "ARRAY_NOT_MOVABLE"


def test_a_drain_moves_elements_away_as_any_job() -> None:
    world = array(4)

    world.drain("a", Drain.DRAINING, force=True)
    world.pass_time(20_000)

    assert list(world.running()) == ["b"]
    assert (world.node("a").drain, world.job().state) == (Drain.DRAINED, JobState.RUNNING)


def test_what_has_not_had_its_turn_in_time_fails_and_the_rest_goes_on() -> None:
    world = array(200, timeouts=Timeouts(queue_ms=30_000))

    world.pass_time(60_000)

    found = known(world)
    assert (found.failed_count, found.running_count, world.job().state) == (192, 8, JobState.RUNNING)
    run_out(world)
    assert world.job().state is JobState.FAILED
    assert world.job().reason.startswith("192 of 200 elements failed (8-199)")


def test_an_array_waits_its_turn_by_when_it_was_submitted() -> None:
    world = array(20)
    world.submit("later")

    run_out(world, 0)

    assert world.job("train-1-19").start_time_ms is not None
    assert (world.job("later").start_time_ms or 0) >= (world.job("train-1-8").start_time_ms or 0)


def test_an_array_is_not_saved_with_each_step_of_each_element() -> None:
    world = World(a=AMD64, b=ARM64)
    saves: list[str] = []
    judged = world._controller

    def watched(effects: list[object]) -> None:
        saves.extend(one.record.name for one in effects if isinstance(one, Save) and isinstance(one.record, Job))
        judged(effects)  # type: ignore[arg-type]

    world._controller = watched  # type: ignore[assignment, method-assign]
    world.submit(element_count=8)
    world.pass_time(2_000)

    assert saves.count("jobs/train-1") <= 6


def test_the_length_of_an_array_tells_nothing_of_the_length_of_an_element() -> None:
    world = array(4)
    book = world.cluster.book

    run_out(world)

    assert len(next(iter(book.endings._lengths_ms.values()))) == 3
    assert all(length < 10_000 for length in next(iter(book.endings._lengths_ms.values())))


def test_a_folded_elements_record_says_what_it_waits_for() -> None:
    world = array(500)

    found = arrays.folded(world.job(), 400)

    assert found is not None
    assert (found.name, found.state, found.array_index) == ("jobs/train-1-400", JobState.QUEUED, 400)
    assert "turn" in found.reason
    assert arrays.folded(world.job(), 0) is None
    assert arrays.folded(world.job(), 500) is None


def test_ten_thousand_elements_cost_the_array_a_few_kilobytes() -> None:
    found = Elements(*(elements.dumped(elements.bits(range(first, 10_000, 3))) for first in range(3)))

    assert sum(map(len, (found.succeeded, found.failed, found.cancelled))) <= 3 * 1250


@pytest.mark.parametrize(
    ("numbers", "told"),
    [
        ((), ""),
        ((0,), "0"),
        ((3, 4, 5, 9), "3-5, 9"),
        (range(10_000), "0-9999"),
        (range(0, 40, 2), "0, 2, 4, 6, 8, 10, 12, 14, 16, 18 and 10 more"),
    ],
)
def test_a_set_of_elements_is_told_as_ranges(numbers: range, told: str) -> None:
    assert elements.described(elements.dumped(elements.bits(numbers))) == told


def test_a_request_sent_twice_makes_one_array() -> None:
    world = World(a=AMD64)
    make = lambda token: Submitted(token, "train-1", spec(element_count=3), PINS, "once")  # noqa: E731

    first, second = world.ask(make), world.ask(make)

    assert isinstance(first, Job)
    assert isinstance(second, Job)
    assert first.name == second.name
    assert len(live(world)) == 3


def test_cancelling_twice_changes_nothing() -> None:
    world = array(4)
    world.sites["a"].engine.obeys = world.sites["b"].engine.obeys = False

    effects = [world.cluster.handle(CancelAsked(token, "train-1")) for token in (901, 902)]

    answers = [one.value for batch in effects for one in batch if isinstance(one, Answer)]
    assert [one.state for one in answers if isinstance(one, Job)] == [JobState.CANCELLING] * 2


def test_an_array_says_what_its_first_element_waits_for() -> None:
    world = World(a=AMD64)
    world.submit(element_count=3, resources=Requests(64_000, GIB))

    world.pass_time(2_000)

    assert (world.job().state, world.job().reason) == (JobState.QUEUED, "waits: 1 node: has less than 64 cores free")


def test_what_is_no_elements_id_is_none_however_long() -> None:
    assert element_of("train-1a2b3c-17") == ("train-1a2b3c", 17)
    for other in ("train", "train-1a2b3c", "train-1a2b3c-017", "train-1a2b3c-" + "9" * 5_000):
        assert element_of(other) is None
