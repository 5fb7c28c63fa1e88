"""Row 2: containers a second with eight in flight, from the first submission until the last one is removed."""

import asyncio
import contextlib
import time
from concurrent.futures import ThreadPoolExecutor

from agent.runtimes.docker_spec import container_name
from agent.runtimes.runtime import Ref
from benchmarks import setting as settings
from benchmarks.engine_events import EngineEvents
from benchmarks.figures import Measured, Row, of_rounds
from benchmarks.rivals import BareApi, Body, body_of, folders_in
from benchmarks.starts import idle_spec, pull
from headrace.client import Client
from headrace.jobs import JobState

NODE = "bench-flights"
ROUNDS = 5
IN_FLIGHT = 8
CONTAINERS = 32
# Eight must fit on two processors.
CPU_MILLIS = 200
OURS, THREADS = "Headrace", "docker-py, 8 threads"


async def measure(setting: settings.Setting) -> Row:
    """Measures the row: ours and the other in turn."""
    image = setting.pinned()
    pull(setting.engine, image)
    body = body_of(idle_spec("rival", image, cpu_millis=CPU_MILLIS), image, folders_in(setting.folder))
    measured = Measured("containers/s")
    with EngineEvents(setting.engine) as events:
        async with settings.daemons(setting, settings.Member(NODE, setting.engine)) as (_, client):
            for number in range(ROUNDS):
                for ours in (True, False) if number % 2 else (False, True):
                    if ours:
                        measured.add(OURS, await _ours(client, events, image))
                    else:
                        measured.add(THREADS, await asyncio.to_thread(_threads, setting.engine, body))
    ratio = of_rounds(f"{OURS} / {THREADS}", measured[OURS], measured[THREADS], 1.0, at_least=True)
    title = f"containers a second, {IN_FLIGHT} in flight, {CONTAINERS} a round"
    return Row(2, title, measured.series(), (ratio,))


async def _ours(client: Client, events: EngineEvents, image: str) -> float:
    slots = asyncio.Semaphore(IN_FLIGHT)
    begun = time.monotonic()

    async def one() -> str:
        async with slots:
            job = await client.create_job(idle_spec("flight", image, cpu_millis=CPU_MILLIS))
            job = await client.wait(job.name)
        if job.state is not JobState.SUCCEEDED:
            raise RuntimeError(f"{job.name} ended {job.state.name}: {job.reason}")
        return container_name(NODE, Ref(job.id, 0, 1))

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
