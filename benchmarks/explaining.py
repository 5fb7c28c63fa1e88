"""Why jobs wait, asked over gRPC of a controller whose nodes are full and for which thousands of jobs wait."""

import asyncio
import random
import time
from collections.abc import Iterator
from dataclasses import replace
from typing import TYPE_CHECKING

from benchmarks import certified, restarts
from benchmarks.agents import MEMORY_BYTES, THREADS, node_name
from benchmarks.figures import Ratio, Row, Series
from benchmarks.job_rates import Submitter
from headrace.client import Client
from headrace.connection import Connection
from headrace.explanations import Explanation
from headrace.jobs import AcceleratorRequest, Job, JobSpec, JobState, Requests, Timeouts
from headrace.nodes import Device, Health, Node

if TYPE_CHECKING:
    from benchmarks.scale import Scale

ASKED = 200
SHAPES = 64
GIB = 1 << 30
DEVICES = 8
MODELS = ("H100", "A100", "L40S")
HOUR_MS = 3_600_000
# Each of two jobs on a node.
LIVE = Requests(30_000, MEMORY_BYTES * 7 // 16, AcceleratorRequest(DEVICES // 2))
SUBMITTED = 200
BOUND_MS = 1000.0


async def measure(scale: "Scale") -> Row:
    """Explains some of the jobs that wait, one after the other; and submits others, alone and meanwhile."""
    folder = scale.folder / "explain"
    _seed(scale)
    with scale.controller("explain", lease="1h") as controller:
        address, tls = controller.address, certified.operator()
        async with Client(address, tls=tls) as client, Connection(address, tls=tls) as connection:
            names = _some_that_wait(scale)
            await client.explanation(names[0])
            submitter = Submitter(connection, scale.image)
            await submitter.submit()
            submitter.seconds.clear()
            for _ in range(SUBMITTED):
                await submitter.submit()
            alone, submitter.seconds = submitter.seconds, []
            cpu = controller.cpu_seconds
            millis, found = await _explained(client, names)
            cpu_millis = 1000 * (controller.cpu_seconds - cpu) / len(names)
            asking = asyncio.create_task(_explained(client, names))
            while not asking.done():
                await submitter.submit()
            await asking
    answered = Series("asked → explained", "ms", tuple(millis))
    series = (
        answered,
        Series("the controller's processor time, each", "ms", (cpu_millis,)),
        Series("submitted, none is explained", "ms", tuple(1000 * one for one in alone)),
        Series("submitted, while others are explained", "ms", tuple(1000 * one for one in submitter.seconds)),
    )
    changed = sum(bool(one.changes) for one in found)
    timed = sum(one.outlook is not None and one.outlook.start_time_ms is not None for one in found)
    notes = (
        f"of {len(found)}: {changed} with a change that would have them start now, {timed} with a time",
        f"{2 * scale.agents} jobs run, half of them with a limit; {SHAPES} shapes wait, a fifth with a region",
        f"the store lay in {folder.parent.name}; nodes are as it has them, no agent is connected",
    )
    ratios = tuple(
        Ratio(f"asked → explained, {name}", value, BOUND_MS, unit="ms")
        for name, value in (("p50", answered.p50), ("p99", answered.p99))
    )
    title = f"explain: {scale.agents} nodes of {DEVICES} devices, {scale.queued} jobs wait"
    return Row(20, title, series, ratios, notes)


async def _explained(client: Client, names: list[str]) -> tuple[list[float], list[Explanation]]:
    millis, found = [], []
    for name in names:
        begun = time.perf_counter()
        found.append(await client.explanation(name))
        millis.append(1000 * (time.perf_counter() - begun))
    return millis, found


def _some_that_wait(scale: "Scale") -> list[str]:
    # No multiple of how many shapes there are.
    step = max(1, scale.queued // ASKED) | 1
    return [one.name for one in _waiting(scale, step=step)][:ASKED]


def _seed(scale: "Scale") -> None:
    folder = scale.folder / "explain"
    restarts.commit(folder, (_node(number) for number in range(scale.agents)))
    restarts.commit(folder, _live(scale))
    restarts.commit(folder, _waiting(scale))


def _node(number: int) -> Node:
    devices = tuple(
        Device(
            f"{number}-{index}",
            "gpu",
            "nvidia",
            MODELS[number % len(MODELS)],
            index,
            memory_bytes=80 * GIB,
            health=Health.HEALTHY,
        )
        for index in range(DEVICES)
    )
    plain = restarts.node(number)
    region = "north" if number % 2 else "south"
    return replace(plain, devices=devices, description=replace(plain.description, region=region))


def _live(scale: "Scale") -> Iterator[Job]:
    """Two on each node; half of them with a limit."""
    begun_ms = time.time_ns() // 1_000_000 - HOUR_MS
    for number in range(2 * scale.agents):
        node, half = number % scale.agents, number // scale.agents
        limit_ms = (2 + number % 24) * HOUR_MS if number % 4 < 2 else None
        spec = JobSpec("run", scale.image, resources=LIVE, timeouts=Timeouts(run_ms=limit_ms))
        one = restarts.job(number, node_name(node), spec)
        given = tuple(f"{node}-{half * DEVICES // 2 + index}" for index in range(DEVICES // 2))
        attempt = replace(one.attempts[0], devices=given, start_time_ms=begun_ms)
        yield replace(one, attempts=(attempt,), start_time_ms=begun_ms)


def _waiting(scale: "Scale", *, step: int = 1) -> Iterator[Job]:
    draw = random.Random(1)  # noqa: S311 -- A seed that can be repeated.
    specs = [_spec(draw, scale.image, number) for number in range(SHAPES)]
    first = 2 * scale.agents
    for number in range(0, scale.queued, step):
        one = restarts.job(first + number, "", specs[number % SHAPES])
        yield replace(one, state=JobState.QUEUED, attempts=(), start_time_ms=None)


def _spec(draw: random.Random, image: str, number: int) -> JobSpec:
    devices = None
    if number % 2:
        where = f'model == "{draw.choice(MODELS)}" and memory >= 40GiB' if draw.random() < 0.5 else ""
        devices = AcceleratorRequest(draw.choice((1, 2, 4, 8)), where)
    # More than what is free of any node.
    wants = Requests(1000 * draw.randint(5, THREADS), GIB * draw.randint(1, 256), devices)
    where = 'region == "north" and capacity.cpu >= 8' if draw.random() < 0.2 else ""
    limit_ms = draw.choice((None, HOUR_MS, 12 * HOUR_MS))
    return JobSpec("wait", image, resources=wants, where=where, timeouts=Timeouts(run_ms=limit_ms))
