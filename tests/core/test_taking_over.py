"""What a controller that starts takes over in one pass is what it would have, had it put each for itself."""

from hypothesis import given
from hypothesis import strategies as st

from controller.core.book import Book, Policy
from controller.core.fairness import Fading
from controller.core.placement.fit import Usage
from controller.core.projects import Projects
from headrace.attempts import Attempt, AttemptState
from headrace.jobs import AcceleratorRequest, Job, JobSpec, JobState, Requests
from headrace.neighbours import Neighbours
from tests.core.small_world import spec

WANTED = st.none() | st.builds(AcceleratorRequest, st.just(1), share_millis=st.sampled_from([0, 250]))
SPECS = st.builds(
    lambda name, project, cores, wanted, apart: spec(
        display_name=name,
        project=project,
        resources=Requests(cores * 1000, cores << 30, wanted),
        neighbours=Neighbours(apart_from=(apart,)) if apart else None,
    ),
    st.sampled_from(["train", "serve"]),
    st.sampled_from(["default", "physics"]),
    st.integers(1, 3),
    WANTED,
    st.sampled_from(["", "train"]),
)
GIVEN = st.lists(st.tuples(SPECS, st.sampled_from([(), ("gpu-1",), ("gpu-1", "gpu-2")])), max_size=5)


def at(number: int, one: JobSpec, devices: tuple[str, ...], state: JobState) -> Job:
    name, node = f"run-{number}", "" if state is JobState.QUEUED else f"n{number % 2}"
    attempt = Attempt(name, 1, node, state=AttemptState.RUNNING, devices=devices, start_time_ms=number)
    return Job(f"jobs/{name}", one, state, epoch=1, node=node, attempts=(attempt,), request_id=f"request-{number}")


@given(GIVEN)
def test_what_attempts_hold_together_is_what_they_hold_one_after_the_other(
    placed: list[tuple[JobSpec, tuple[str, ...]]],
) -> None:
    held = Usage()
    for one, devices in placed:
        held = held.plus(one, devices)

    assert Usage.of(placed) == held


@given(GIVEN, st.sampled_from([JobState.QUEUED, JobState.RUNNING, JobState.CANCELLING]))
def test_jobs_that_are_taken_over_count_as_those_that_were_put(
    placed: list[tuple[JobSpec, tuple[str, ...]]], state: JobState
) -> None:
    jobs = tuple(at(number, one, devices, state) for number, (one, devices) in enumerate(placed))
    policy = Policy()
    one_by_one = Book("law", policy, (), (), Projects({}, Fading(policy.half_life_ms, policy.share_ahead_ms)))
    for job in jobs:
        one_by_one.put(job)

    at_once = Book("law", policy, jobs, ())

    assert at_once.jobs == one_by_one.jobs
    assert at_once.projects.held == one_by_one.projects.held
    for job in jobs:
        assert at_once.requested(job.request_id, "") == job
        assert at_once.projects.holding(job.id) == one_by_one.projects.holding(job.id)
        assert at_once.turns.leaving_since_ms == one_by_one.turns.leaving_since_ms
    for node in ("n0", "n1"):
        assert at_once.jobs_at(node) == one_by_one.jobs_at(node)
        assert at_once.usage(node) == one_by_one.usage(node)
