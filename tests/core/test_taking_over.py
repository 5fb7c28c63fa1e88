"""What a controller that starts takes over in one pass is what it would have, had it put each for itself."""

from collections.abc import Iterable
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from controller.core.book import Book, Policy
from controller.core.fairness import Fading
from controller.core.improving import HOUR_MS, Improvements
from controller.core.placement.fit import Usage
from controller.core.projects import NOTHING, Projects
from controller.core.queue import Queue
from controller.core.relations import Family, Relations
from controller.core.watchlist import Moments, Watchlist
from headrace.attempts import Attempt, AttemptState, Platform, Steps
from headrace.changes import replace
from headrace.jobs import (
    ENDED_JOB,
    AcceleratorRequest,
    Dependency,
    Exclusion,
    Job,
    JobSpec,
    JobState,
    Level,
    Migration,
    MigrationCause,
    MigrationState,
    Requests,
    Timeouts,
)
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


MOVE = Migration(
    MigrationState.PREFETCHING, Level.RESTART, "n0", "n1", 1, "image", Platform("linux", "amd64"), request_time_ms=1
)
LEFT = replace(MOVE, state=MigrationState.STARTING, target="n0", source="n1", cause=MigrationCause.SPEED)
PACE = Steps(1, 100, 10, HOUR_MS)
TIMED = Attempt("run-0", 1, "n1", state=AttemptState.RUNNING, platform=MOVE.platform, steps=PACE, start_time_ms=1)
SPECIALITIES: list[dict[str, Any]] = [
    {"task_count": 2},
    {"task_count": 2, "gang": "run-0"},
    {"element_count": 2},
    {"element_count": 2, "array": "run-1"},
    {"element_count": 2, "timeouts": Timeouts(queue_ms=9)},
    *({"timeouts": one} for one in (Timeouts(queue_ms=9), Timeouts(run_ms=9), Timeouts(progress_ms=9))),
    {"migrations": (MOVE,)},
    {"migrations": (LEFT,)},
    {"exclusions": (Exclusion("n0", "lost", 5),)},
    {"waits_for": (Dependency("run-1"),)},
    {"ahead_of": ("run-9",)},
    {"attempts": ()},
    {"attempts": (Attempt("run-0", 1, "n1", state=AttemptState.RUNNING, devices=("gpu-1",), start_time_ms=1),)},
    {"attempts": (TIMED, replace(TIMED, epoch=2))},
    {"start_time_ms": None},
    {"queue_time_ms": None},
]
STATES = [one for one in JobState if one not in ENDED_JOB]


def of_a_sort(number: int, one: JobSpec, state: JobState, specialities: Iterable[dict[str, Any]]) -> Job:
    job = replace(at(number, one, (), state), start_time_ms=1, queue_time_ms=2)
    for special in specialities:
        of_spec = {name: value for name, value in special.items() if hasattr(job.spec, name)}
        of_job = {name: value for name, value in special.items() if name not in of_spec}
        job = replace(job, spec=replace(job.spec, **of_spec), **of_job)
    return job


@pytest.mark.parametrize("special", SPECIALITIES)
def test_a_job_of_any_sort_is_kept_as_if_it_was_put(special: dict[str, Any]) -> None:
    for state in STATES:
        are_kept_as_if_each_was_put((of_a_sort(0, spec(), state, [special]),))


@given(st.lists(st.tuples(SPECS, st.sampled_from(STATES), st.lists(st.sampled_from(SPECIALITIES), max_size=3))))
def test_jobs_of_every_sort_are_kept_as_if_each_was_put(
    jobs: list[tuple[JobSpec, JobState, list[dict[str, Any]]]],
) -> None:
    are_kept_as_if_each_was_put(tuple(of_a_sort(number, *one) for number, one in enumerate(jobs)))


def are_kept_as_if_each_was_put(jobs: tuple[Job, ...]) -> None:
    policy = Policy()
    one_by_one = Book("law", policy, (), (), Projects({}, Fading(policy.half_life_ms, policy.share_ahead_ms)))
    for job in jobs:
        one_by_one.put(job)
        one_by_one.improvements.recall(job)
        one_by_one.learned.paced(job, least_ms=policy.improving.pace_ms)

    at_once = Book("law", policy, jobs, ())

    assert [job.id for job in jobs if job.is_gang] == list(at_once.gangs_changed)
    for node in ("n0", "n1"):
        assert at_once.jobs_at(node) == one_by_one.jobs_at(node)
    assert at_once.learned._paced == one_by_one.learned._paced
    for name in ("watchlist", "relations", "queue", "improvements"):
        assert told(getattr(at_once, name)) == told(getattr(one_by_one, name)), name
    for job in jobs:
        assert at_once.projects.holding(job.id) == one_by_one.projects.holding(job.id)
    assert at_once.projects.held == {name: held for name, held in one_by_one.projects.held.items() if held != NOTHING}
    for name in ("ahead", "tasks", "leaving_since_ms"):
        assert getattr(at_once.turns, name) == getattr(one_by_one.turns, name)


def told(kept: object) -> object:
    """All that it keeps, as texts."""
    if isinstance(kept, Watchlist | Moments | Relations | Family | Queue | Improvements):
        return told(vars(kept))
    return {key: told(value) for key, value in kept.items()} if isinstance(kept, dict) else repr(kept)
