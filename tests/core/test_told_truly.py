"""What is told of jobs in drawn clusters is what the core then does, while nothing else happens."""

from collections import Counter
from copy import deepcopy
from dataclasses import replace
from functools import cache

import pytest

from controller.core import model
from controller.core.outlook import FITS_NOW
from headrace.explanations import Change, Explanation
from headrace.jobs import Job, JobSpec, JobState, MigrationState
from headrace.nodes import Drain
from headrace.refusals import Refusal
from headrace.sessions import Prefetched, PrefetchState
from tests.core.drawn_world import LEAVES, REVIEWED_MS, DrawnWorld, drawn_spec
from tests.core.lone_controller import made
from tests.core.small_world import PINS

# In the later ones explain was wrong once: a node that takes jobs again was told to one that others came before there.
SEEDS = (*range(40), 77, 97, 98, 112, 138, 139, 204)
FILES = 4
# A dozen of each law has to be seen, or the clusters that are drawn tell nothing.
FEW = 12


@cache
def drawn(seed: int) -> DrawnWorld:
    return DrawnWorld(seed)


def copy(world: DrawnWorld) -> DrawnWorld:
    return deepcopy(world)


def explained(world: DrawnWorld, spec: JobSpec) -> Explanation:
    return world.explain(Job("", spec, images=PINS[:1]))


def files(world: DrawnWorld) -> list[JobSpec]:
    draw = copy(world).draw
    return [spec for spec in (drawn_spec(draw) for _ in range(FILES)) if spec.element_count == 1]


def test_who_is_said_to_start_starts_and_who_is_said_to_wait_waits() -> None:
    seen: Counter[str] = Counter()
    for seed in SEEDS:
        world = drawn(seed)
        told = [(job, world.explain(job).outlook, world.waiting_count(job)) for job in world.waiting()]
        after = copy(world)
        after.tick()
        at_once = [job for job, _, count in told if after.waiting_count(job) < count]
        after.pass_time(REVIEWED_MS)
        for job, outlook, count in told:
            if outlook is None:
                assert job.is_array
                seen["nothing"] += 1
                continue
            assert outlook.start_time_ms is None or outlook.start_time_ms >= world.book.wall_ms
            if outlook.basis == FITS_NOW:
                assert after.waiting_count(job) < count, (seed, job.id)
                seen["now"] += 1
            elif world.is_at_rest and "there is room, " not in outlook.basis:
                assert job not in at_once, (seed, job.id, outlook.basis)
                seen["later"] += 1
    assert seen["later"] > 10 * FEW
    assert seen["nothing"] > 0


def test_a_file_that_is_said_to_start_now_starts_there_when_it_is_submitted_and_any_other_waits() -> None:
    seen: Counter[bool] = Counter()
    for seed in SEEDS:
        world = drawn(seed)
        if not world.is_at_rest:
            continue
        for spec in files(world):
            told, after = explained(world, spec).outlook, copy(world)
            job = after.offer(spec)
            if job is None:
                continue
            assert told is not None
            is_now = told.basis == FITS_NOW
            assert after.at(job) == (told.nodes if is_now else ()), (seed, told)
            seen[is_now] += 1
    assert min(seen[True], seen[False]) >= FEW


def test_why_a_node_is_no_place_for_a_job_is_so_where_it_can_go_to_that_one_alone() -> None:
    seen: Counter[bool] = Counter()
    for seed in SEEDS:
        world = drawn(seed)
        for spec in files(world) if world.is_at_rest else ():
            for one in explained(world, spec).candidates if spec.task_count == 1 else ():
                there = f'name == "{one.node}"'
                alone, after = replace(spec, where=f"({spec.where}) and {there}" if spec.where else there), copy(world)
                job = after.offer(alone)
                starts = job is not None and bool(after.at(job))
                assert not (one.reason and starts), (seed, one)
                why = after.book.jobs[job.id].reason if job is not None and not starts else ""
                # That it fits there says nothing of quotas, nor of turns.
                assert one.reason or starts or why.startswith(("waits for", "waits: its project")), (seed, one, why)
                seen[starts] += 1
    assert min(seen[True], seen[False]) >= FEW


def test_what_is_told_to_have_a_job_start_does() -> None:
    seen: Counter[str] = Counter()
    for seed in SEEDS:
        world = drawn(seed)
        for spec in files(world) if world.is_at_rest else ():
            for change in explained(world, spec).changes:
                if not change.leaving:
                    assert started(world, spec, change) == change.nodes, (seed, change)
                    seen["of a file"] += 1
        for job in world.waiting() if world.is_at_rest else ():
            for change in world.explain(job).changes if not job.is_array else ():
                if change.field.endswith((" drain", " apart_from", ".quota")) and not change.leaving:
                    after, _ = made(world, job.spec, change)
                    after.pass_time(REVIEWED_MS)  # type: ignore[attr-defined]
                    assert after.at(job) == change.nodes, (seed, job.id, change)
                    seen["of others"] += 1
    assert seen["of a file"] >= FEW
    assert seen["of others"] > 0


def started(world: DrawnWorld, spec: JobSpec, change: Change) -> tuple[str, ...]:
    """Where a job is that is submitted with the change; of a quota, it waits for that."""
    if not change.field.endswith(".quota"):
        after, spec = made(world, spec, change)
        job = after.offer(spec)  # type: ignore[attr-defined]
    else:
        waiting = copy(world)
        job = waiting.offer(spec)
        after, _ = made(waiting, spec, change)
        after.pass_time(REVIEWED_MS)  # type: ignore[attr-defined]
    return after.at(job)


def asked(world: DrawnWorld, event: model.MoveAsked | model.DrainAsked) -> object:
    """The answer to it."""
    effects = world.cluster.handle(event)
    return next(one.value for one in effects if isinstance(one, model.Answer) and one.token == event.token)


@pytest.mark.parametrize("seed", SEEDS[:20])
def test_what_a_dry_run_of_a_move_tells_is_what_the_move_is_and_it_arrives(seed: int) -> None:
    world = copy(drawn(seed))
    for node in world.sites:
        world.report(node)
    for job in [one for one in world.book.jobs.values() if one.node]:
        for target in ("", *world.sites):
            dry = asked(world, model.MoveAsked(1, job.id, target=target, dry_run=True))
            after = copy(world)
            real = asked(after, model.MoveAsked(2, job.id, target=target))
            if isinstance(dry, Refusal):
                assert isinstance(real, Refusal)
                assert real.message == dry.message
                continue
            assert isinstance(dry, model.MoveAnswer)
            assert isinstance(real, model.MoveAnswer)
            assert real.plan == dry.plan
            arrives(after, real.job)
            assert after.book.jobs[job.id].node == dry.plan.target


def arrives(world: DrawnWorld, job: Job) -> None:
    """The target brings what the job needs, and the source has it leave."""
    move = job.migrations[-1]
    assert move.state is MigrationState.PREFETCHING
    world.report(move.target, prefetched=(Prefetched(job.id, move.image, "", PrefetchState.READY),))
    assert world.book.jobs[job.id].state is JobState.FREEZING
    world.report(move.source, over={job.id: 0})


def test_those_that_a_drain_is_refused_for_stay_though_it_is_forced_and_those_that_stay_are_named() -> None:
    seen: Counter[str] = Counter()
    for seed in SEEDS:
        world = drawn(seed)
        for node in [one for one in world.book.nodes.values() if one.drain in (Drain.NONE, Drain.CORDONED)]:
            forced = copy(world)
            refused = asked(copy(world), model.DrainAsked(1, node.id, Drain.DRAINING))
            asked(forced, model.DrainAsked(2, node.id, Drain.DRAINING, force=True))
            told = refused.message if isinstance(refused, Refusal) else ""
            for job in [one for one in world.book.jobs_at(node.id) if one.node == node.id]:
                now = forced.book.jobs[job.id]
                leaves = now.migration is not None or now.state in LEAVES
                assert leaves or any(job.id in one for one in forced.book.nodes[node.id].blockers), (seed, job.id)
                if f"{job.name} has nowhere to go: " in told:
                    assert not leaves or job.state in LEAVES, (seed, job.id, told)
                    seen["named"] += 1
            seen["refused" if told else "begun"] += 1
    assert min(seen["named"], seen["refused"], seen["begun"]) >= FEW
