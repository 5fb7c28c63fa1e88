"""How costs grow: with nodes, with what is queued, with jobs that are kept and jobs that run.

A step that fails, or takes too long, is left out and said so: the others count without it.
"""

import asyncio
import statistics
import time
from collections.abc import Awaitable, Callable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING

from benchmarks import certified, job_rates, placements, report_rates, restarts, shares
from benchmarks.agents import node_name
from benchmarks.figures import Curve, Row, Series
from headrace.connection import Connection
from headrace.jobs import Job, JobSpec, JobState
from headrace.refusals import Refusal

if TYPE_CHECKING:
    from benchmarks.scale import Scale

STEP_SECONDS = 420.0
ROUNDS = 3
# Agents that end jobs while many are kept: what more of them cost is another curve's.
KEPT_AGENTS = 1_000
# "Flat" and "ended jobs cost none": a tenth power is a fifth less, or a quarter more, for ten times as many.
FLAT = 0.1
FAILURES = (TimeoutError, Refusal, OSError, RuntimeError, ValueError, ExceptionGroup)


@dataclass(slots=True)
class Steps:
    """Measurements by step, of several things; and what was left out."""

    points: dict[str, list[tuple[float, float]]] = field(default_factory=dict)
    notes: list[str] = field(default_factory=list)

    async def take(self, step: int, measured: Callable[[], Awaitable[dict[str, float]]]) -> None:
        """Measures one step."""
        try:
            async with asyncio.timeout(STEP_SECONDS):
                found = await measured()
        except FAILURES as error:
            self.notes.append(f"{step:,} is left out: {type(error).__name__}: {error}")
            return
        for name, value in found.items():
            self.points.setdefault(name, []).append((float(step), value))

    def __getitem__(self, name: str) -> tuple[tuple[float, float], ...]:
        return tuple(self.points.get(name, ()))


async def nodes(scale: "Scale") -> Row:
    """Placements a second in the core, jobs and reports through the whole controller, by nodes."""
    core, whole = Steps(), Steps()
    for count in _ladder(scale.agents, (0.1, 0.2, 0.5, 1)):
        await core.take(count, lambda count=count: _in_the_core(count))  # type: ignore[misc]
    for count in _ladder(scale.agents, (0.1, 0.3, 1)):
        own = replace(scale, agents=count, folder=scale.folder / f"nodes-{count}")
        await whole.take(count, lambda own=own: _whole(own))  # type: ignore[misc]
    x = "nodes"
    found = (
        Curve(4, "nodes-placements", "chosen and held", x, "placements a second", core["chosen"]),
        Curve(4, "nodes-placements", "submitted, placed, told", x, "placements a second", core["events"]),
        Curve(3, "nodes-placements", "jobs, submitted to ended, 64 in flight", x, "jobs a second", whole["jobs"]),
        Curve(7, "nodes-reports", "agents at rest", x, "reports a second of processor time", whole["reports"]),
        Curve(7, "nodes-back", "controller killed → all agents are back", x, "time, s", whole["back"]),
    )
    return _row(4, f"by nodes, up to {scale.agents:,}", found, (*core.notes, *whole.notes))


async def _in_the_core(count: int) -> dict[str, float]:
    rounds = [placements.by_nodes(count, seed) for seed in range(ROUNDS)]
    events, chosen = zip(*rounds, strict=True)
    return {"events": statistics.median(events), "chosen": statistics.median(chosen)}


async def _whole(scale: "Scale") -> dict[str, float]:
    jobs = _series(await job_rates.alone(scale))
    rest = _series(await report_rates.at_rest(scale))
    cores = rest["controller's processor time"].p50 / 100
    found = {"jobs": jobs[f"{job_rates.IN_FLIGHT} in flight"].p50, "back": rest["killed → all are back"].p50}
    # A few agents cost less than is counted.
    return found | ({"reports": rest["reports"].p50 / cores} if cores else {})


async def queue(scale: "Scale") -> Row:
    """From a submission to its place, by how many jobs wait for what is not there; nodes are as the store has them."""
    steps = Steps()
    for count in (0, *_ladder(scale.queued, (0.001, 0.01, 0.1, 1))):
        await steps.take(count, lambda count=count: _with_a_queue(scale, count, steps.notes))  # type: ignore[misc]
    x = "jobs queued"
    rate = f"{job_rates.OFFERED_PER_SECOND:,} offered a second"
    found = (
        Curve(5, "queue", "one at a time, p50", x, "time, ms", steps["alone, p50"]),
        Curve(5, "queue", "one at a time, p99", x, "time, ms", steps["alone, p99"]),
        Curve(5, "queue", f"{rate}, p50", x, "time, ms", steps["offered, p50"]),
        Curve(5, "queue", f"{rate}, p99", x, "time, ms", steps["offered, p99"]),
        Curve(5, "queue-rate", f"answered of {rate}", x, "jobs a second", steps["answered"]),
    )
    title = f"submitted → placed by jobs queued, {scale.agents:,} nodes in the store, no agents"
    return _row(5, title, found, steps.notes)


async def _with_a_queue(scale: "Scale", count: int, notes: list[str]) -> dict[str, float]:
    name = f"queue-{count}"
    restarts.commit(scale.folder / name, (restarts.node(number) for number in range(scale.agents)))
    restarts.seed_queued(scale.folder / name, count, job_rates.waiting(scale.image))
    # So long that nodes whose agents are not there are not taken to be lost.
    with scale.controller(name, lease="1h") as controller:
        async with Connection(controller.address, tls=certified.operator()) as connection:
            submitter = job_rates.Submitter(connection, scale.image)
            await submitter.submit()
            submitter.seconds.clear()
            since = time.monotonic()
            while time.monotonic() < since + scale.seconds:
                await submitter.submit()
            alone, submitter.seconds = _millis("alone", submitter.seconds), []
            since = time.monotonic()
            await job_rates.offered(submitter, since, scale.seconds)
            answered = len(submitter.seconds) / (time.monotonic() - since)
            notes.append(f"{count:,} queued: {submitter.placed:,} of what was submitted had a place at once")
    return alone | _millis("offered", submitter.seconds) | {"answered": answered}


def _millis(name: str, seconds: Sequence[float]) -> dict[str, float]:
    series = Series(name, "ms", tuple(1000 * one for one in seconds))
    return {f"{name}, p50": series.p50, f"{name}, p99": series.p99}


async def kept(scale: "Scale") -> Row:
    """Jobs a second, and the controller's start, by how many jobs have ended and are kept; one store that grows."""
    steps = Steps()
    agents = min(scale.agents, KEPT_AGENTS)
    # It is the store that row 3's measurement takes.
    small = replace(scale, agents=agents, folder=scale.folder / "kept")
    before = 0
    for count in _ladder(scale.ended, (0.001, 0.01, 0.1, 1)):
        restarts.commit(small.folder / "jobs", _ended(scale.image, before, count))
        before = count
        await steps.take(count, lambda: _with_kept(small))
    x = "ended jobs kept"
    found = (
        Curve(3, "kept-jobs", "one at a time", x, "jobs a second", steps["one"], -FLAT, at_least=True),
        Curve(3, "kept-jobs", "64 in flight", x, "jobs a second", steps["many"], -FLAT, at_least=True),
        Curve(9, "restart", "start with ended jobs, none live", x, "time, s", steps["restart"], FLAT),
    )
    return _row(3, f"by jobs kept, {agents:,} nodes", found, steps.notes)


async def _with_kept(scale: "Scale") -> dict[str, float]:
    seconds = [await restarts.until_it_answers(scale, "jobs") for _ in range(ROUNDS)]
    jobs = _series(await job_rates.alone(scale))
    rates = {"one": jobs["one at a time"].p50, "many": jobs[f"{job_rates.IN_FLIGHT} in flight"].p50}
    return {"restart": statistics.median(seconds), **rates}


def _ended(image: str, first: int, last: int) -> Iterator[Job]:
    spec = JobSpec("run", image, resources=job_rates.SHAPES[0])
    for number in range(first, last):
        job = restarts.job(number, node_name(0), spec)
        yield replace(job, state=JobState.SUCCEEDED, exit_code=0, end_time_ms=restarts.BEGUN_MS)


async def live(scale: "Scale") -> Row:
    """The controller's start by how many jobs are live, on as many nodes as were asked for."""
    steps = Steps()
    for count in _ladder(scale.jobs, (0.01, 0.1, 1)):
        own = replace(scale, jobs=count, ended=0, folder=scale.folder / f"live-{count}")
        await steps.take(count, lambda own=own: _restarted(own))  # type: ignore[misc]
    found = (
        Curve(9, "restart", f"start on {scale.agents:,} nodes", "live jobs", "time, s", steps["restart"]),
        Curve(9, "restart-memory", f"memory on {scale.agents:,} nodes", "live jobs", "memory, MiB", steps["memory"]),
    )
    return _row(9, f"the controller's start by live jobs, {scale.agents:,} nodes", found, steps.notes)


async def _restarted(scale: "Scale") -> dict[str, float]:
    restarts.seed(scale.folder / "restart", scale)
    rss: list[float] = []
    seconds = [await restarts.until_it_answers(scale, "restart", rss) for _ in range(ROUNDS)]
    return {"restart": statistics.median(seconds), "memory": statistics.median(rss)}


async def _shares(_: "Scale") -> Row:
    return shares.measured(nodes=shares.NODES, seeds=1)


def _ladder(most: int, parts: Sequence[float]) -> list[int]:
    """Steps up to that many, each once."""
    return list(dict.fromkeys(max(1, round(most * part)) for part in parts))


def _series(row: Row) -> dict[str, Series]:
    return {one.name: one for one in row.series}


def _row(number: int, title: str, found: Sequence[Curve], notes: Sequence[str]) -> Row:
    return Row(number, title, (), (), tuple(notes), tuple(curve for curve in found if curve.points))


# What is most likely to fail on a small machine, thousands of real connections, comes last.
CURVES: dict[str, Callable[["Scale"], Awaitable[Row]]] = {
    "queue": queue,
    "kept": kept,
    "live": live,
    "shares": _shares,
    "nodes": nodes,
}
