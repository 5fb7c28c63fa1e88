"""Laws of jobs that are submitted together and follow each other: in any order, and never in a circle."""

from itertools import permutations

import pytest

from agent.runtimes.runtime import Ref
from controller.core.model import Submitted, SubmittedTogether
from headrace.jobs import Condition, Dependency, JobState
from tests.core.small_world import AMD64, PINS, World, refusal, spec
from tests.core.test_dependencies import FIRST, after


def together(world: World, **jobs: tuple[Dependency, ...]) -> object:
    """Jobs that are submitted together, each by its id with what it follows."""
    events = [
        Submitted(0, one, spec(display_name=one, after=follows), PINS, f"request of {one}")
        for one, follows in jobs.items()
    ]
    answer = world.ask(lambda token: SubmittedTogether(token, tuple(events)))
    world.pass_time(1_000)
    return answer


@pytest.mark.parametrize("order", list(permutations(("first", "second", "third"))))
def test_jobs_that_are_submitted_together_may_follow_each_other_in_any_order(order: tuple[str, ...]) -> None:
    world = World(a=AMD64)
    follows = {"first": (), "second": after(Condition.SUCCEEDED), "third": after(Condition.STARTED, job="second")}

    together(world, **{one: follows[one] for one in order})

    assert world.running() == {"a": [FIRST]}
    assert world.job("second").reason == "waits until jobs/first has succeeded"
    world.restart_controller()
    world.pass_time(2_000)
    world.exit(FIRST, 0)
    world.pass_time(3_000)
    assert world.running() == {"a": [Ref("second", 0, 1), Ref("third", 0, 1)]}


def test_of_jobs_that_are_submitted_together_an_end_goes_on_from_one_to_the_next() -> None:
    world = World(a=AMD64)
    together(world, last=after(Condition.SUCCEEDED, job="middle"), middle=after(Condition.SUCCEEDED), first=())

    world.exit(FIRST, 1)
    world.pass_time(1_000)

    assert [world.job(one).state for one in ("middle", "last")] == [JobState.CANCELLED] * 2


@pytest.mark.parametrize(
    ("jobs", "told"),
    [
        ({"first": after(Condition.ENDED)}, "requests[0]: after: first waits for first: none"),
        (
            {
                "free": (),
                "behind": after(Condition.ENDED, job="first"),
                "first": after(Condition.STARTED, Condition.ENDED, job="second"),
                "second": (*after(Condition.SUCCEEDED, job="free"), *after(Condition.SUCCEEDED, job="third")),
                "third": after(Condition.FAILED),
            },
            "requests[2]: after: first waits for second, which waits for third, which waits for first: none",
        ),
    ],
)
def test_jobs_that_would_wait_for_each_other_for_ever_are_refused_by_name(
    jobs: dict[str, tuple[Dependency, ...]], told: str
) -> None:
    world = World(a=AMD64)

    answer = refusal(together(world, **jobs))

    assert answer.reason == "DEPENDENCY_CIRCLE"
    assert answer.message.startswith(told)
    assert not [one for one in world.store if one.startswith("jobs/")]


def test_what_is_submitted_again_with_what_follows_it_is_followed_as_it_is_by_then() -> None:
    world = World(a=AMD64)
    together(world, first=())
    world.exit(FIRST, 1)
    ended = world.job("first")
    events = (
        Submitted(0, "first", ended.spec, PINS, "request of first", earlier=ended),
        Submitted(0, "second", spec(after=after(Condition.SUCCEEDED)), PINS, "request of second", awaited=(ended,)),
    )

    answer = refusal(world.ask(lambda token: SubmittedTogether(token, events)))

    assert answer.reason == "DEPENDENCY_IMPOSSIBLE"


def test_what_is_only_looked_at_is_told_of_by_name_since_it_has_no_id() -> None:
    world = World(a=AMD64)
    events = [
        Submitted(0, f"{name}-1", spec(display_name=name, after=follows), PINS, f"request of {name}", dry_run=True)
        for name, follows in (("last", after(Condition.SUCCEEDED, job="first-1")), ("first", ()))
    ]

    answer = world.ask(lambda token: SubmittedTogether(token, tuple(events)))

    assert isinstance(answer, tuple)
    assert [one.reason for one in answer] == ["waits until first has succeeded", ""]
