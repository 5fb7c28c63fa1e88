"""Random walks: whatever fails, in whatever order, the invariants hold, and once it is calm everything ends well."""

from collections import Counter
from dataclasses import dataclass, field
from random import Random

import pytest

from agent.core.model import Held
from agent.runtimes.runtime import Ref
from controller.core.model import CancelAsked, DrainAsked, MoveAsked, Submitted
from headrace.attempts import AttemptState, Checkpoint
from headrace.jobs import CheckpointPolicy, Job, JobSpec, JobState, Partition, Retry, RetryCause, Timeouts
from headrace.nodes import Drain, Node
from tests.core.rough_world import TICK_MS, Faults, RoughWorld
from tests.core.small_world import AMD64, ARM64, PINS, spec

SEEDS = 300
ROUGH_TICKS = 60
# Two of the three nodes have room for all of them.
JOBS_AT_ONCE = 7
# What an agent needs to have its engine's containers in hand again.
ENGINE_MS = 4_000
CALM_BY_MS = 240_000
NODES = ("a", "b", "c")


@dataclass
class Walk:
    """A world under way, and what was seen of it."""

    world: RoughWorld
    rng: Random
    at_once: int
    specs: tuple[JobSpec, ...]
    newest: dict[str, Checkpoint] = field(default_factory=dict)
    ended: dict[str, Job] = field(default_factory=dict)
    epochs: dict[str, int] = field(default_factory=dict)
    exits: dict[str, set[int]] = field(default_factory=dict)
    cancelled: set[str] = field(default_factory=set)
    no_engine_ms: dict[str, int] = field(default_factory=dict)
    checked_starts: int = 0
    lost: str = ""

    @property
    def jobs(self) -> list[Job]:
        return [one for one in self.world.store.values() if isinstance(one, Job)]


def at_most_one_container_of_a_job_runs(walk: Walk) -> None:
    """An engine that does not answer cannot be asked to pause: what it runs meanwhile does not count."""
    world = walk.world
    for name, site in world.sites.items():
        if not site.core.engine.reachable or world.links[name].engine_down:
            walk.no_engine_ms[name] = world.now_ms
    running = Counter(
        ref.job
        for name, site in world.sites.items()
        for ref in site.engine.running()
        if world.now_ms - walk.no_engine_ms.get(name, 0) > _in_hand_ms(site.core.held.get(ref))
    )
    assert not [job for job, count in running.items() if count > 1]


def _in_hand_ms(held: Held | None) -> int:
    stops = held is not None and held.placement.spec.partition is Partition.STOP
    return ENGINE_MS + held.placement.spec.grace_ms if held is not None and stops else ENGINE_MS


def an_epoch_starts_once(walk: Walk) -> None:
    started = [ref for site in walk.world.sites.values() for ref in site.engine.started]
    assert len(started) == len({*started})


def what_starts_is_the_jobs_present_epoch_from_its_newest_checkpoint(walk: Walk) -> None:
    for node, placement, job in walk.world.starts[walk.checked_starts :]:
        assert (job.node, job.epoch, job.ended) == (node, placement.epoch, False)
        newest = job.checkpoint.digest if job.checkpoint is not None else ""
        assert placement.restore == newest
    walk.checked_starts = len(walk.world.starts)


def a_jobs_checkpoint_and_epoch_never_go_back(walk: Walk) -> None:
    for job in walk.jobs:
        assert job.epoch >= walk.epochs.get(job.name, 0)
        walk.epochs[job.name] = job.epoch
        before, after = walk.newest.get(job.name), job.checkpoint
        if before is not None:
            assert after is not None
            assert (after.epoch, after.sequence) >= (before.epoch, before.sequence)
        if after is not None:
            walk.newest[job.name] = after


def a_job_that_has_ended_never_changes(walk: Walk) -> None:
    for job in walk.jobs:
        assert walk.ended.get(job.name, job) == job
        if job.ended:
            walk.ended[job.name] = job


def a_job_ends_only_for_a_reason_of_its_own(walk: Walk) -> None:
    for job in walk.jobs:
        codes = walk.exits.get(job.id, set())
        match job.state:
            case JobState.SUCCEEDED:
                assert 0 in codes
            case JobState.FAILED:
                assert codes & {1, 137, 143} or job.reason.startswith("timeouts."), job.reason
            case JobState.CANCELLED:
                assert job.id in walk.cancelled
            case _:
                pass


INVARIANTS = (
    at_most_one_container_of_a_job_runs,
    an_epoch_starts_once,
    what_starts_is_the_jobs_present_epoch_from_its_newest_checkpoint,
    a_jobs_checkpoint_and_epoch_never_go_back,
    a_job_that_has_ended_never_changes,
    a_job_ends_only_for_a_reason_of_its_own,
)


def _submit(walk: Walk) -> None:
    number, wanted = len(walk.jobs) + 1, walk.rng.choice(walk.specs)
    _ask(walk, lambda token: Submitted(token, f"job-{number}", wanted, PINS))


def _drawn_spec(rng: Random) -> JobSpec:
    policy = CheckpointPolicy("/checkpoint", interval_ms=rng.choice((0, 4_000)), grace_ms=rng.choice((1_000, 15_000)))
    return spec(
        checkpoint=rng.choice((policy, policy, policy, None)),
        partition=rng.choice((Partition.PAUSE, Partition.PAUSE, Partition.STOP, Partition.KEEP)),
        lost_after_ms=rng.choice((1, 1, 30_000)),
        timeouts=Timeouts(run_ms=rng.choice((None, None, None, 20_000))),
        retry=Retry(rng.choice((0, 2)), (RetryCause.NODE_LOST, RetryCause.EXIT_NONZERO)),
    )


def _ask(walk: Walk, make: object) -> None:
    walk.world._token += 1
    walk.world.append(("controller", make(walk.world._token)))  # type: ignore[operator]


def _some_job(walk: Walk) -> Job | None:
    live = [job for job in walk.jobs if not job.ended]
    return walk.rng.choice(live) if live else None


def _some_node(walk: Walk) -> str:
    """Mostly one that matters."""
    job = _some_job(walk)
    move = job.migration if job is not None else None
    busy = [job.node if job is not None else "", *((move.source, move.target) if move is not None else ())]
    found: str = walk.rng.choice([node for node in busy if node] or NODES)
    return found


def _exit(walk: Walk) -> None:
    running = [(name, ref) for name, site in walk.world.sites.items() for ref in site.engine.running()]
    if running:
        name, ref = walk.rng.choice(running)
        code = walk.rng.choice((0, 0, 1, 85, 85, 85, 143))
        site = walk.world.sites[name]
        site.saved_changes[ref] = code == 85
        walk.exits.setdefault(ref.job, set()).add(code)
        walk.world._exit(name, site, ref, code)


def _lose_container(walk: Walk) -> None:
    name = walk.rng.choice(NODES)
    containers = walk.world.sites[name].engine.containers
    if containers and walk.lost != "journal":
        walk.lost = "container"
        del containers[walk.rng.choice(list(containers))]


def _lose_journal(walk: Walk) -> None:
    """Once: what neither a journal nor a container tells of any more, nobody can know."""
    if not walk.lost:
        walk.lost = "journal"
        walk.world.empty_state_folder(_some_node(walk))


def _cancel(walk: Walk) -> None:
    job = _some_job(walk)
    if job is not None:
        walk.cancelled.add(job.id)
        _ask(walk, lambda token: CancelAsked(token, job.id))


def _move(walk: Walk) -> None:
    job = _some_job(walk)
    if job is not None:
        target = walk.rng.choice([node for node in (*NODES, "") if node != job.node])
        _ask(walk, lambda token: MoveAsked(token, job.id, target=target))


def _drain(walk: Walk) -> None:
    drained = [node.id for node in walk.world.store.values() if isinstance(node, Node) and node.drain is not Drain.NONE]
    if drained:
        _ask(walk, lambda token: DrainAsked(token, drained[0], Drain.NONE))
    else:
        node, drain = _some_node(walk), walk.rng.choice((Drain.DRAINING, Drain.CORDONED))
        deadline_ms, force = walk.rng.choice((None, 0, 5_000, 60_000)), walk.rng.random() < 0.5
        _ask(walk, lambda token: DrainAsked(token, node, drain, deadline_ms, force))


def _network(walk: Walk) -> None:
    broken = [name for name in NODES if not walk.world.is_whole(name)]
    if broken and walk.rng.random() < 0.6:
        walk.world.mend(walk.rng.choice(broken))
    else:
        walk.world.cut(_some_node(walk))


def _engine(walk: Walk) -> None:
    down = [name for name in NODES if walk.world.links[name].engine_down]
    if down:
        walk.world.engine_up(down[0])
    else:
        world = walk.world
        walk.rng.choice((world.engine_down, world.engine_stops, world.reboot))(_some_node(walk))


def _behave(walk: Walk) -> None:
    engine = walk.world.sites[walk.rng.choice(NODES)].engine
    engine.obeys, engine.saves, engine.pulls, engine.starts = (walk.rng.random() < 0.8 for _ in range(4))


ACTIONS = (
    (_exit, 4),
    (_move, 12),
    (_drain, 2),
    (_cancel, 1),
    (_network, 6),
    (_engine, 2),
    (_behave, 3),
    (_lose_container, 1),
    (_lose_journal, 1),
    (lambda walk: walk.world.restart_agent(_some_node(walk)), 2),
    (lambda walk: walk.world.restart_controller(), 1),
)


def walked(seed: int) -> Walk:
    """A walk to its end."""
    rng = Random(seed)
    specs = tuple(_drawn_spec(rng) for _ in range(rng.randint(1, 4)))
    walk = Walk(RoughWorld(rng, a=AMD64, b=ARM64, c=AMD64), rng, rng.randint(1, JOBS_AT_ONCE), specs)
    for _ in NODES:
        _behave(walk)
    walk.world.faults = Faults.drawn(rng)
    weights = [weight * rng.choice((0, 1, 1, 4)) for _, weight in ACTIONS]
    unrest = rng.random()
    for _ in range(ROUGH_TICKS):
        if sum(not job.ended for job in walk.jobs) < walk.at_once:
            _submit(walk)
        if rng.random() < unrest:
            rng.choices([one for one, _ in ACTIONS], weights)[0](walk)
        _step(walk)
    _calm(walk)
    return walk


def _step(walk: Walk) -> None:
    walk.world.pass_time(TICK_MS)
    for holds in INVARIANTS:
        holds(walk)


def _calm(walk: Walk) -> None:
    world = walk.world
    world.faults = Faults()
    for name, site in world.sites.items():
        site.engine.obeys = site.engine.saves = site.engine.pulls = site.engine.starts = True
        world.mend(name)
        world.engine_up(name)
    # Once every node has reported there is one of that name to drain.
    for _ in range(10):
        _step(walk)
    drained = walk.rng.choice((*NODES, ""))
    for name in NODES:
        drain = Drain.DRAINING if name == drained else Drain.NONE
        _ask(walk, lambda token, name=name, drain=drain: DrainAsked(token, name, drain, force=True))
    wrong = "not looked at yet"
    while wrong and world.now_ms < CALM_BY_MS:
        _step(walk)
        wrong = _amiss(walk, drained)
    assert not wrong, wrong
    handled, before = world.handled, _story(walk)
    world.pass_time(10_000)
    assert world.handled - handled < 200, f"a loop that never ends: {world.handled - handled} events"
    assert _story(walk) == before
    assert not _amiss(walk, drained)


def _story(walk: Walk) -> list[tuple[object, ...]]:
    return [(job.name, job.state, job.epoch, len(job.migrations), job.reason) for job in walk.jobs]


def _amiss(walk: Walk, drained: str) -> str:
    """Why it cannot end like this; empty where every job has ended or runs and nothing else is left over."""
    sites = walk.world.sites.items()
    live = [job for job in walk.jobs if not job.ended]
    for job in live:
        if job.spec.timeouts.run_ms is not None:
            return f"{job.name} is to end"
        if job.state is not JobState.RUNNING or job.migration is not None:
            return f"{job.name} is {job.state.name}: {job.reason}"
    wanted = {(job.node, Ref(job.id, 0, job.epoch)) for job in live}
    there = {
        "containers": {(name, ref) for name, site in sites for ref in site.engine.containers},
        "containers that run": {(name, ref) for name, site in sites for ref in site.engine.running()},
        "attempts held": {(name, ref) for name, site in sites for ref in site.core.held},
        "attempts that run": {
            (name, ref)
            for name, site in sites
            for ref, held in site.core.held.items()
            if held.attempt.state is AttemptState.RUNNING
        },
        "attempts written down": {(name, ref) for name, site in sites for ref in site.held},
    }
    for what, found in there.items():
        if found != wanted:
            return f"{what} are {found}, and should be {wanted}"
    if drained:
        blocked = [job for job in live if job.node == drained]
        if any(job.spec.checkpoint is not None for job in blocked):
            return f"{blocked[0].name} is still on {drained}"
        if walk.world.node(drained).drain is not (Drain.DRAINING if blocked else Drain.DRAINED):
            return f"{drained} is {walk.world.node(drained).drain.name}"
    return ""


@pytest.mark.parametrize("seed", range(SEEDS))
def test_a_random_walk_breaks_no_invariant_and_ends_well(seed: int) -> None:
    walked(seed)
