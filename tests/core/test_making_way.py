"""Who `explain` says would leave for a job does, and nobody else: it is asked of what has jobs leave."""

from copy import deepcopy
from dataclasses import replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from controller.core import explanations, keeping, reading
from controller.core.outlook import FITS_NOW
from controller.core.stills import still
from headrace.explanations import Explanation
from headrace.jobs import Job, JobSpec, JobState
from headrace.nodes import Capacity, NodeDescription
from headrace.projects import Declared, Quota
from tests.core.lone_controller import Controller, asks, made, wanted
from tests.core.small_world import AMD64, GIB, PINS, World
from tests.core.small_world import spec as small_spec
from tests.core.test_counterfactuals import descriptions, devices, specs_of, world_of, world_refuses

ASKED = "that is asked of them"
TAKEN = "who do so for jobs that come after it"
CORES = 4


def full(declared: dict[str, Declared] | None = None, **changes: object) -> Controller:
    """One node of four cores, all of which a job has."""
    world = Controller(declared)
    world.node("n1", NodeDescription(platforms=(AMD64,), capacity=Capacity(4000, 32 * GIB)))
    world.tick()
    world.submit(wanted(**{"resources": asks(4), "priority": 20, **changes}))
    world.settle()
    return world


def explained(world: Controller, spec: JobSpec) -> Explanation:
    return world.explain(Job("", spec, images=PINS[:1]))


def claimed(world: Controller, job: Job) -> tuple[str, ...]:
    """Those, and tasks of those, that were asked to leave for it."""
    claim, jobs = world.book.turns.claims.get(job.id), world.book.jobs
    leaving = claim.leaving if claim is not None else ()
    return tuple(one for one in leaving if jobs[jobs[one].gang or one].preemptor == job.id)


def test_one_that_would_have_others_leave_is_told_so_with_their_names() -> None:
    world = full()
    spec = wanted(resources=asks(2), priority=80)

    found = explained(world, spec)

    assert found.outlook is not None
    assert found.outlook.basis == f"once jobs/job-1 has left for it, as it is more urgent: {ASKED} if it waits"
    assert found.outlook.nodes == ("n1",)
    # As long as they have to save.
    assert found.outlook.start_time_ms == world.book.wall_ms + world.book.jobs["job-1"].spec.grace_ms
    assert claimed(world, world.submit(spec)) == ("job-1",)


def test_where_nodes_are_many_it_is_told_once_it_is_known_who_is_where_which_is_read_as_jobs_wait(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(keeping, "FEW", 0)
    # A job or two at a time.
    monkeypatch.setattr(reading, "READ_AT_ONCE", 2)
    world = Controller()
    for number in range(4):
        world.node(f"n{number}", NodeDescription(platforms=(AMD64,), capacity=Capacity(4000, 32 * GIB)))
    world.tick()
    for _ in range(4):
        world.submit(wanted(resources=asks(4), priority=20))
    spec = wanted(resources=asks(2), priority=80)

    def is_told() -> bool:
        outlook = explained(world, spec).outlook
        return outlook is not None and ASKED in outlook.basis

    world.settle()
    assert not is_told()
    world.submit(wanted(resources=asks(2), priority=20))
    world.settle()
    assert is_told()


def test_of_one_that_is_less_urgent_the_priority_is_named_with_which_it_would() -> None:
    world = full()
    spec = wanted(resources=asks(2), priority=60)

    found = explained(world, spec)

    [change] = [one for one in found.changes if one.field == "priority"]
    assert (change.from_value, change.to_value, change.nodes, change.leaving) == ("60", "80", ("n1",), ("job-1",))
    assert change.start_time_ms == world.book.wall_ms + world.book.jobs["job-1"].spec.grace_ms
    assert claimed(world, world.submit(spec)) == ()
    assert claimed(world, world.submit(replace(spec, priority=80))) == ("job-1",)


def test_where_those_that_are_there_are_as_urgent_one_point_more_is_named() -> None:
    found = explained(full(priority=90), wanted(priority=80))

    assert [(one.to_value, one.leaving) for one in found.changes if one.leaving] == [("91", ("job-1",))]


def test_borrowers_are_told_to_give_back_what_is_a_project_s_own() -> None:
    quotas = {"bio": Declared(quota=Quota(cpu_millis=2000)), "chem": Declared(quota=Quota(cpu_millis=2000))}
    world = full(quotas, project="chem")
    spec = wanted(resources=asks(2), project="bio")

    found = explained(world, spec)

    assert found.outlook is not None
    assert found.outlook.basis == (
        f"once jobs/job-1 has left, to give back what is its project's own: {ASKED} if it waits"
    )
    assert claimed(world, world.submit(spec)) == ("job-1",)


def test_of_one_for_which_others_were_asked_it_is_not_said_that_nobody_was_found() -> None:
    world = full()
    job = world.submit(wanted(resources=asks(2), priority=80))

    standing = world.explain(job).standing

    assert "others were asked to save and leave n1 for it" in standing
    assert not any("nobody was found" in one for one in standing)


worlds = st.tuples(
    st.lists(st.tuples(descriptions, devices), min_size=1, max_size=4),
    st.lists(specs_of(most_cores=6, most_gib=4, limits=(None, 600_000)), min_size=5, max_size=12),
    st.booleans(),
)
urgent = st.tuples(
    specs_of(most_cores=6, most_gib=6, limits=(None, 600_000)), st.sampled_from((40, 80, 81, 95, 100))
).map(lambda two: replace(two[0], priority=two[1]))


@settings(max_examples=200, deadline=None)
@given(worlds, urgent)
def test_whoever_explain_says_starts_by_that_does_and_nobody_else(drawn: object, spec: JobSpec) -> None:
    world = world_of(drawn)  # type: ignore[arg-type]
    if world_refuses(world):
        return
    for _ in range(3):
        # Who found nobody looks again after a rest.
        world.settle()
    found = explained(world, spec)
    after = deepcopy(world)
    job = after.submit(spec)
    after.tick()
    after.tick()

    assert found.outlook is not None
    is_told = ASKED in found.outlook.basis
    asked = claimed(after, job)
    assert is_told == bool(asked)
    assert (is_told or TAKEN in found.outlook.basis) == (job.id in after.book.turns.claims)
    names = {one.gang or one.id for one in (after.book.jobs[task] for task in asked)}
    if is_told:
        assert len(names) > 3 or all(f"jobs/{name}" in found.outlook.basis for name in names)
        assert after.book.turns.claims[job.id].nodes == found.outlook.nodes
    for change in found.changes:
        if change.leaving:
            assert not is_told
            other, changed = made(world, spec, change)
            assert other.submit(changed).state is JobState.QUEUED
            other.tick()
            claim = claimed(other, other.book.jobs[f"job-{other.count}"])
            assert {other.book.jobs[one].gang or one for one in claim} == set(change.leaving)


@settings(max_examples=40, deadline=None)
@given(
    st.lists(st.tuples(st.integers(1, CORES), st.integers(20, 90)), min_size=2, max_size=6),
    st.integers(1, CORES),
    st.integers(80, 100),
)
def test_one_that_is_said_to_start_by_that_runs_there_once_they_have_left(
    filling: list[tuple[int, int]], cores: int, priority: int
) -> None:
    world = World(a=AMD64, b=AMD64)
    for number, (its, urgency) in enumerate(filling):
        world.submit(f"job-{number}", resources=asks(its), priority=urgency)
        world.pass_time(15_000)
    wanted_spec = small_spec(resources=asks(cores), priority=priority)
    found = explanations.explained(still(world.cluster.book), Job("", wanted_spec, images=PINS)).outlook
    world.submit("urgent", resources=asks(cores), priority=priority)
    world.pass_time(15_000)

    assert found is not None
    if found.basis == FITS_NOW or ASKED in found.basis:
        job = world.job("urgent")
        assert (job.state, job.node) == (JobState.RUNNING, found.nodes[0])
