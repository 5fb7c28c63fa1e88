"""One seed from beginning to end: a time in which all fails, then a calm one in which every job must end well."""

import hashlib
from dataclasses import replace
from random import Random

from headrace.attempts import AttemptState
from headrace.jobs import Condition, Dependency, Job, JobState
from headrace.nodes import Drain
from tests.simulation.backlog import Backlog
from tests.simulation.batches import BATCHED, Batches
from tests.simulation.beside import PARTICULAR, Particular
from tests.simulation.controller import POLICY
from tests.simulation.emphasis import ANY, RELATIONS, Emphasis
from tests.simulation.faults import Faults
from tests.simulation.invariants import Broken
from tests.simulation.operators import Operators
from tests.simulation.pacing import PACED, Pacing
from tests.simulation.speeds import UNEQUAL, Speeds
from tests.simulation.tenants import CROWDED, Tenants
from tests.simulation.users import Users, drains
from tests.simulation.world import Story, World

ROUGH_MS = 45_000
STEP_MS = 1_000
SETTLES_MS = 8_000
# Where nodes are slow, all takes longer.
CALM_BY_MS, SLOWLY_BY_MS = 240_000, 600_000
# How long a world that is well must stay so, and what may be said in that time.
STAYS_MS = 6_000
STAYS_EVENTS = 150


def run(seed: int, story: Story | None = None, emphasis: Emphasis = ANY) -> str:
    """Runs a seed; answers a digest of all that happened. Raises Broken, or whatever a core raises."""
    rng = Random(seed)
    drawn = Random(f"tenants of {seed}")
    is_crowded = emphasis.crowded or (emphasis is ANY and drawn.random() < CROWDED)
    backlog = Backlog(drawn) if emphasis.backlog else None
    tenants = backlog or (Tenants(drawn) if is_crowded else None)
    paces = Random(f"paces of {seed}")
    is_paced = emphasis.paced or (emphasis is ANY and paces.random() < PACED)
    declared = tenants.declared if tenants is not None else None
    pacing = Pacing(paces) if is_paced else None
    unequal = Random(f"speeds of {seed}")
    is_unequal = emphasis.unequal or (emphasis is ANY and unequal.random() < UNEQUAL)
    speeds = Speeds(unequal) if is_unequal else None
    policy = replace(
        POLICY,
        # With more nodes or tasks the controller finds room for gangs in columns.
        few_for_gangs=Random(f"columns of {seed}").choice((1, POLICY.few_for_gangs)),
        # Where nodes may report no more often, leases become longer with the last ones that join.
        reports_per_second=Random(f"reports of {seed}").choice((0, 0, 1)),
    )
    world = World(rng, story=story, declared=declared, pacing=pacing, policy=policy, speeds=speeds)
    world.faults = replace(Faults.drawn(rng), **emphasis.faults)
    world.wear = Random(f"what becomes of devices in {seed}")
    world.backlog = backlog
    relations = Random(f"arrays and sequences of {seed}")
    beside = Random(f"neighbours of {seed}")
    particular = Particular(beside) if emphasis is ANY and beside.random() < PARTICULAR else None
    together = Random(f"batches of {seed}")
    is_batched = emphasis is RELATIONS or (emphasis is ANY and together.random() < BATCHED)
    links = Random(f"links of {seed}") if emphasis is RELATIONS else None
    batches = Batches(together, links) if is_batched else None
    users = Users(world, emphasis, Random(f"gangs of {seed}"), relations, tenants, particular, batches)
    operators = Operators(Random(f"operators of {seed}"))
    while world.now_ms < ROUGH_MS:
        users.act()
        operators.act(world)
        world.pass_time(STEP_MS)
    _calm(world)
    return digest(world)


def digest(world: World) -> str:
    """Of what there is in the end, and of every draw that led there."""
    seen = (world.jobs, world.past.started, world.handled, world.controller.happenings, world.rng.random())
    return hashlib.sha256(repr(seen).encode()).hexdigest()[:16]


def _calm(world: World) -> None:
    world.note("world", "calm", "nothing fails from here on")
    world.faults = Faults()
    world.wear = None
    world.pacing = None
    # Drains do not heed whose turn it is.
    world.backlog = None
    world.controller.disk_is_full = False
    world.controller.start()
    # An operator wants no more moves that nobody asked for.
    world.controller.book.policy = world.policy
    for site in world.sites.values():
        site.disk_is_full = False
        site.start()
        site.repair_devices()
        site.line.mend()
        site.engine_up()
    # Once every node has reported there is one of that name to drain.
    world.pass_time(SETTLES_MS)
    drained = world.rng.choice((*world.sites, ""))
    drains(world, drained)
    wrong = "not looked at yet"
    by_ms = CALM_BY_MS if world.speeds is None else SLOWLY_BY_MS
    while wrong and world.now_ms < by_ms:
        world.pass_time(STEP_MS)
        wrong = amiss(world, drained)
    if wrong:
        raise Broken("after_the_calm_nothing_is_stuck_and_nothing_is_left_over", wrong)
    handled, before = world.handled, world.jobs
    world.pass_time(STAYS_MS)
    if world.handled - handled > STAYS_EVENTS:
        raise Broken("what_is_well_rests", f"{world.handled - handled} events in {STAYS_MS} ms")
    after = amiss(world, drained) or ("" if _stay(before, world.jobs) else "jobs go on changing")
    if after:
        raise Broken("what_is_well_stays_so", after)


def _stay(before: list[Job], now: list[Job]) -> bool:
    return len(before) == len(now) and all(map(_stays, before, now))


def _stays(before: Job, now: Job) -> bool:
    """Whether a job is as it was; one that ran may have come to its end."""
    same = (now.name, now.epoch, len(now.migrations)) == (before.name, before.epoch, len(before.migrations))
    return same and (
        (now.state, now.reason) == (before.state, before.reason) or (before.state is JobState.RUNNING and now.ended)
    )


def _is_settled(other: Job, one: Dependency) -> bool:
    """Whether what is waited for has come, or never will."""
    return other.ended or (one.condition is Condition.STARTED and other.start_time_ms is not None)


def amiss(world: World, drained: str) -> str:
    """Why it cannot end like this; empty where every job has ended or runs, and nothing else is left over."""
    live = [job for job in world.jobs if not job.ended]
    jobs = world.controller.jobs
    for job_id in world.programs:
        # An element that was cancelled before its turn has no record.
        if job_id not in jobs and world.wholes.get(job_id) not in jobs:
            told = "a user was told of it" if job_id in world.past.submitted else "it was never submitted"
            return f"there is no {job_id}: {told}"
    held = [job.id for job in live if jobs[job.gang or job.id].waits_for]
    for job in live:
        if job.id in held:
            if any(_is_settled(jobs[one.job], one) for one in jobs[job.gang or job.id].waits_for):
                return f"{job.name} still waits for {jobs[job.gang or job.id].waits_for}"
            continue
        if job.spec.timeouts.run_ms is not None or world.programs[job.id].total_ms is not None:
            return f"{job.name} is to end, and is {job.state.name}: {job.reason}"
        if job.state is not JobState.RUNNING or job.migration is not None:
            return f"{job.name} is {job.state.name}: {job.reason}"
    for site, ref in world.at_work():
        if world.programs[ref.job].next_exit(site.engine.containers[ref].done_ms)[1] is not None:
            return f"{ref} is about to leave"
    wanted = sorted(
        (job.node, job.id, job.epoch) for job in live if not (job.is_gang or job.is_array or job.id in held)
    )
    for what, found in _there(world).items():
        if found != wanted:
            return f"{what} are {found}, and should be {wanted}"
    return _left_over(world) or _drained(world, drained)


def _there(world: World) -> dict[str, list[tuple[str, str, int]]]:
    sites = world.sites.values()
    found = {
        "containers": [(site.name, ref) for site in sites for ref in site.engine.containers],
        "containers that run": [(site.name, ref) for site, ref in world.at_work()],
        "attempts held": [(site.name, ref) for site in sites for ref in site.core.held],
        "attempts that run": [
            (site.name, ref)
            for site in sites
            for ref, held in site.core.held.items()
            if held.attempt.state is AttemptState.RUNNING
        ],
        "attempts written down": [(site.name, ref) for site in sites for ref in site.held],
        "folders": [(site.name, ref) for site in sites for ref in site.folders],
    }
    return {what: sorted((name, ref.job, ref.epoch) for name, ref in refs) for what, refs in found.items()}


def _left_over(world: World) -> str:
    """What was brought ahead and is not needed; devices and chunks that are nobody's."""
    for site in world.sites.values():
        if site.fetched or site.core.hints:
            return f"{site.name} still has what was brought ahead: {list(site.fetched)}"
        if site.engine.standbys:
            return f"{site.name} still has what was started ahead: {list(site.engine.standbys)}"
        granted = [
            one
            for job in world.jobs
            if not job.ended and job.attempt and job.node == site.name
            for one in job.attempt.devices
        ]
        used = world.controller.book.usage(site.name).touched
        if sorted(granted) != sorted(used):
            return f"{used} of {site.name} are taken, and {granted} should be"
    store, live = world.checkpoints, [job for job in world.jobs if not job.ended]
    named = [job.checkpoint.digest for job in live if job.checkpoint is not None]
    named += [job.outputs.manifest for job in world.jobs if job.outputs is not None]
    reached = {chunk: None for one in named for chunk in store.manifests[one].chunks}
    old = [one for one, born_ms in store.born_ms.items() if world.now_ms - born_ms > 120_000]
    left = [one for one in old if one not in reached and one not in named]
    return f"the checkpoint store still has {left}" if left else ""


def _drained(world: World, drained: str) -> str:
    if not drained:
        return ""
    blocked = [job for job in world.jobs if not job.ended and job.node == drained]
    if any(job.spec.checkpoint is not None for job in blocked):
        return f"{blocked[0].name} is still on {drained}"
    state = world.controller.nodes[drained].drain
    return "" if state is (Drain.DRAINING if blocked else Drain.DRAINED) else f"{drained} is {state.name}"
