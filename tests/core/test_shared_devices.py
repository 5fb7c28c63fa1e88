"""Laws of parts: a device that its node shares is given in parts, never more than there is of it, and no other is."""

from dataclasses import replace

import pytest
from hypothesis import given as whatever
from hypothesis import strategies as some

from agent.core import model as agent
from agent.runtimes.runtime import Ref
from controller.core.placement.fit import Usage
from headrace import shares
from headrace.jobs import AcceleratorRequest, JobState, Requests, Timeouts
from headrace.nodes import Device
from headrace.shares import Part
from tests.core.one_agent import Agent, kinds, placement
from tests.core.small_world import FIRST, GIB, World, spec
from tests.core.test_devices import asking_for, given, gpu, needs, world_with

SHARED = gpu(0, shareable=True, memory_bytes=16 * GIB)


def part(millis: int = 0, memory_bytes: int = 0, where: str = "") -> Requests:
    return Requests(1000, GIB, AcceleratorRequest(1, where, millis, memory_bytes))


def holding(*requests: Requests, device: Device = SHARED) -> Usage:
    usage = Usage()
    for one in requests:
        usage = usage.plus(asking_for(one), (device.id,))
    return usage


@pytest.mark.parametrize(
    ("asked", "is_part"),
    [
        (part(500), Part(500, 8 * GIB)),
        (part(500, 2 * GIB), Part(500, 2 * GIB)),
        (part(0, 4 * GIB), Part(250, 4 * GIB)),
        (part(0, 1), Part(1, 1)),
        (needs(1), Part(1000, 16 * GIB)),
    ],
)
def test_a_part_is_as_large_as_it_says_and_else_as_its_other_half_says(asked: Requests, is_part: Part) -> None:
    assert shares.part_of(asked.accelerators, SHARED.memory_bytes) == is_part


def test_two_halves_fit_and_a_third_does_not() -> None:
    assert given(part(500), SHARED, usage=holding(part(500))) == ("gpu-0",)
    assert given(part(500), SHARED, usage=holding(part(500), part(500))) == "has not 0.5 of a device free"


def test_memory_is_counted_as_well() -> None:
    assert given(part(100, 8 * GIB), SHARED, usage=holding(part(100, 8 * GIB))) == ("gpu-0",)
    assert given(part(100, 8 * GIB), SHARED, usage=holding(part(100, 9 * GIB))) == "has not 0.1 of a device free"
    assert given(part(0, 17 * GIB), SHARED) == "has not so much of a device's memory free"


def test_memory_of_a_device_that_does_not_tell_how_much_it_has_is_not_given() -> None:
    silent = replace(SHARED, memory_bytes=None)

    assert given(part(0, GIB), silent) == "has not so much of a device's memory free"
    assert given(part(500), silent) == ("gpu-0",)


@pytest.mark.parametrize("memory_bytes", [9 << 50, (1 << 63) - 1])
def test_memory_that_no_device_has_is_waited_for_however_much_is_asked_for(memory_bytes: int) -> None:
    job = world_with(SHARED).submit(resources=part(0, memory_bytes))

    assert job.reason == "waits: 1 node: has not so much of a device's memory free"


def test_a_device_that_its_node_does_not_share_is_given_whole_or_not_at_all() -> None:
    reason = "shares no device (devices.shareable in its agent's settings lets it)"

    assert given(part(500), gpu(0, memory_bytes=16 * GIB)) == reason


def test_a_whole_device_is_not_given_while_anybody_has_a_part_of_it() -> None:
    assert given(needs(1), SHARED, usage=holding(part(10))) == "has no device free"
    assert given(part(10), SHARED, usage=holding(needs(1))) == "has not 0.01 of a device free"


def test_parts_are_given_of_the_fullest_device_so_that_whole_ones_stay() -> None:
    other = replace(SHARED, id="gpu-1", index=1)

    assert given(part(250), SHARED, other, usage=holding(part(250), device=other)) == ("gpu-1",)


def test_a_part_that_is_about_to_come_is_not_given() -> None:
    coming = Usage().with_coming(asking_for(part(600)))

    assert given(part(500), SHARED, usage=coming) == "has not 0.5 of a device free"
    assert given(part(400), SHARED, usage=coming) == ("gpu-0",)


@whatever(some.lists(some.tuples(some.integers(0, 999), some.integers(0, 20)), max_size=12))
def test_whatever_is_asked_for_no_more_is_given_of_a_device_than_there_is(asked: list[tuple[int, int]]) -> None:
    usage = Usage()
    for millis, gibibytes in asked:
        request = part(millis, gibibytes * GIB)
        if given(request, SHARED, usage=usage) == ("gpu-0",):
            usage = usage.plus(asking_for(request), ("gpu-0",))

    parts = usage.parts_of(SHARED)
    assert sum(one.millis for one in parts) <= 1000
    assert sum(one.memory_bytes or 0 for one in parts) <= 16 * GIB


def test_jobs_share_a_device_and_the_next_one_waits_until_one_of_them_is_over() -> None:
    world = world_with(SHARED)
    first, second, third = (world.submit(name, resources=part(500)) for name in ("a-1", "b-1", "c-1"))
    assert [one.state for one in (first, second, third)] == [JobState.RUNNING, JobState.RUNNING, JobState.QUEUED]

    world.exit(Ref("a-1", 0, 1), 0)
    world.pass_time(2_000)

    assert world.job("c-1").state is JobState.RUNNING
    assert world.job("c-1").attempts[-1].devices == ("gpu-0",)


def look_again(world: World) -> None:
    """A node that is no place for any of them has come, so that who waits is found out anew."""
    world.join("b")
    world.pass_time(6_000)


@pytest.mark.parametrize(("millis", "starts"), [(400, True), (600, False)])
def test_a_part_is_the_last_whole_device_that_another_project_lacks_only_where_it_was_idle(
    millis: int,
    starts: bool,  # noqa: FBT001
) -> None:
    world = world_with(*(gpu(number, shareable=True) for number in range(3)))
    world.submit("a-whole", project="p", resources=needs(1))
    world.submit("b-part", project="p", resources=part(500))
    world.submit("never", project="p", resources=needs(9))
    world.pass_time(60_000)
    assert world.submit("c-two", project="q", resources=needs(2)).state is JobState.QUEUED
    look_again(world)

    more = world.submit("d-part", project="p", resources=part(millis))

    assert (more.state is JobState.RUNNING) is starts


def test_a_part_of_a_device_is_not_taken_from_who_lacks_a_larger_part_of_it_and_has_had_less() -> None:
    world = world_with(SHARED)
    world.submit("a-part", project="p", resources=part(400), timeouts=Timeouts(run_ms=3_600_000))
    world.submit("never", project="p", resources=needs(9))
    world.pass_time(60_000)
    assert world.submit("b-part", project="q", resources=part(700)).state is JobState.QUEUED
    look_again(world)

    # It would be gone by when there will be room, and the next one, and the one after that.
    brief = world.submit("c-part", project="p", resources=part(100), timeouts=Timeouts(run_ms=60_000))

    assert brief.state is JobState.QUEUED


def test_a_node_is_told_the_part_in_numbers_whichever_was_asked_for() -> None:
    world = world_with(SHARED)

    world.submit(resources=part(0, 4 * GIB))

    told = world.sites["a"].held[FIRST].placement.spec.resources.accelerators
    assert told == AcceleratorRequest(1, "", 250, 4 * GIB)


@pytest.mark.parametrize(("millis", "starts"), [(400, True), (600, False)])
def test_an_agent_starts_nothing_on_a_device_of_which_others_have_too_much_yet(millis: int, starts: bool) -> None:  # noqa: FBT001
    one = Agent()
    one.run(placement(devices=("gpu-0",), spec=spec(resources=part(600))))
    second = Ref("second-1", 0, 1)

    one.assign(
        placement(devices=("gpu-0",), spec=spec(resources=part(600))),
        replace(placement(devices=("gpu-0",), spec=spec(resources=part(millis))), job="second-1"),
    )
    after = one.tell(agent.Prepared(second))

    assert (agent.Start in kinds(after)) is starts
