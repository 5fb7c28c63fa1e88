"""Row 2: containers a second with eight in flight, from the first submission until the last one is removed."""

import asyncio
import contextlib
import time
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace

from agent.runtimes.docker_spec import container_name
from agent.runtimes.runtime import Ref
from benchmarks import setting as settings
from benchmarks.engine_events import EngineEvents
from benchmarks.figures import Measured, Row, of_rounds
from benchmarks.rivals import BareApi, Body, body_of, folders_in
from benchmarks.starts import idle_spec, pull
from headrace.client import Client
from headrace.jobs import JobState

NODE, PLAIN_NODE = "bench-flights", "bench-flights-plain"
ROUNDS = 5
WARM_UP = 1
IN_FLIGHT = 8
CONTAINERS = 32
# Eight must fit on two processors.
CPU_MILLIS = 200
OURS, PLAIN, THREADS = "Headrace", "Headrace, no network made ahead", "docker-py, 8 threads"


async def measure(setting: settings.Setting) -> Row:
    """Measures the row: ours and the other in turn."""
    image = setting.pinned()
    pull(setting.engine, image)
    body = body_of(idle_spec("rival", image, cpu_millis=CPU_MILLIS), image, folders_in(setting.folder))
    measured = Measured("containers/s")
    nodes = {
        OURS: settings.Member(NODE, setting.engine),
        PLAIN: settings.Member(PLAIN_NODE, setting.engine, networks=0),
    }
    with EngineEvents(setting.engine) as events:
        async with settings.daemons(setting, *nodes.values()) as (_, client):
            ways = (*nodes, THREADS)
            for number in range(WARM_UP + ROUNDS):
                if number == WARM_UP:
                    measured = Measured("containers/s")
                turn = number % len(ways)
                for name in ways[turn:] + ways[:turn]:
                    if name == THREADS:
                        measured.add(name, await asyncio.to_thread(_threads, setting.engine, body))
                    else:
                        measured.add(name, await _ours(client, events, image, nodes[name].node))
    ratios = (
        of_rounds(f"{OURS} / {THREADS}", measured[OURS], measured[THREADS], 1.0, at_least=True),
        of_rounds(f"{PLAIN} / {THREADS}", measured[PLAIN], measured[THREADS]),
    )
    title = f"containers a second, {IN_FLIGHT} in flight, {CONTAINERS} a round"
    return Row(2, title, measured.series(), ratios)


async def _ours(client: Client, events: EngineEvents, image: str, node: str) -> float:
    spec = replace(idle_spec("flight", image, cpu_millis=CPU_MILLIS), where=f'name == "{node}"')
    slots = asyncio.Semaphore(IN_FLIGHT)
    begun = time.monotonic()

    async def one() -> str:
        async with slots:
            job = await client.create_job(spec)
            job = await client.wait(job.name)
        if job.state is not JobState.SUCCEEDED:
            raise RuntimeError(f"{job.name} ended {job.state.name}: {job.reason}")
        return container_name(node, Ref(job.id, 0, 1))

    async with asyncio.TaskGroup() as tasks:
        running = [tasks.create_task(one()) for _ in range(CONTAINERS)]
    for task in running:
        await asyncio.to_thread(events.wait, task.result(), "destroy")
    return CONTAINERS / (time.monotonic() - begun)


def _threads(engine: str, body: Body) -> float:
    names = [f"bench-flight-{time.time_ns()}-{number}" for number in range(CONTAINERS)]
    with contextlib.ExitStack() as closing:
        # A client a thread: docker-py does not say that threads may share one.
        clients = [closing.enter_context(contextlib.closing(BareApi(engine))) for _ in range(IN_FLIGHT)]
        free = list(clients)

        def one(name: str) -> None:
            rival = free.pop()
            try:
                rival.start(name, body)
                rival.client.wait(name)
                rival.client.remove_container(name, v=True)
            finally:
                free.append(rival)

        begun = time.monotonic()
        with ThreadPoolExecutor(IN_FLIGHT) as threads:
            list(threads.map(one, names))
        return CONTAINERS / (time.monotonic() - begun)
