"""Row 17: jobs that do nothing, by what a user would pick instead: Docker Swarm's job mode, Slurm, Ray.

Headrace and Swarm start containers, on one engine; Slurm and Ray start plain processes.
"""

import asyncio
import contextlib
import json
import os
import subprocess
import tempfile
import threading
import time
import venv
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, Self

import docker

from agent.runtimes.docker_spec import container_name
from agent.runtimes.runtime import Ref
from benchmarks import setting as settings
from benchmarks import slurm
from benchmarks.engine_events import EngineEvents
from benchmarks.figures import Measured, Row, Series, of_medians
from benchmarks.starts import idle_spec, pull
from deploy.local import engine as engines
from headrace.client import Client
from headrace.refusals import Refusal

NODE = "bench-systems"
HEADRACE = "Headrace (container)"
SWARM, SLURM, RAY = "Docker Swarm's job mode (container)", "Slurm, sbatch (process)", "Ray, an actor (process)"
ONE_AT_A_TIME = 10
WARM_UP = 2
TOGETHER = 24
IN_FLIGHT = 8
CPU_MILLIS = 200
# How much it waits before it is asked again whether jobs are over, where it can only be asked.
POLL_SECONDS = 0.02
RAY_SECONDS = 300.0


async def measure(setting: settings.Setting) -> Row:
    """Measures the row: each system by itself, one after the other, since each takes the machine for itself."""
    starts, rates, notes = Measured("ms"), Measured("jobs/s"), []
    with engines.own("systems") as engine:
        await _headrace(setting, engine.host, starts, rates)
        await asyncio.to_thread(_swarm, setting, engine.host, starts, rates)
    for name, system in (("Slurm", _slurm), ("Ray", _ray)):
        try:
            notes.append(await asyncio.to_thread(system, setting.folder, starts, rates))
        except (RuntimeError, OSError, Refusal, subprocess.SubprocessError) as error:
            notes.append(f"{name} is left out: {error}")
    series: tuple[Series, ...] = (*starts.series(), *rates.series())
    ratios = tuple(
        of_medians(f"{what}: {HEADRACE} / {other}", measured[HEADRACE], measured[other])
        for what, measured in (("submitted → started", starts), ("jobs a second", rates))
        for other in (SWARM, SLURM, RAY)
        if other in measured.values
    )
    return Row(17, "jobs that do nothing: submitted → started, and jobs a second", series, ratios, tuple(notes))


async def _headrace(setting: settings.Setting, host: str, starts: Measured, rates: Measured) -> None:
    name, image = HEADRACE, setting.pinned()
    pull(host, image)
    with EngineEvents(host) as events:
        async with settings.daemons(setting, settings.Member(NODE, host)) as (_, client):
            for number in range(WARM_UP + ONE_AT_A_TIME):
                begun = time.time_ns()
                job = await client.create_job(idle_spec("bench", image, cpu_millis=CPU_MILLIS))
                container = container_name(NODE, Ref(job.id, 0, 1))
                started = await asyncio.to_thread(events.wait, container, "start")
                if number >= WARM_UP:
                    starts.add(name, (started - begun) / 1e6)
                await client.wait(job.name)
            rates.add(name, await _together(client, image))


async def _together(client: Client, image: str) -> float:
    slots = asyncio.Semaphore(IN_FLIGHT)

    async def run() -> None:
        async with slots:
            job = await client.create_job(idle_spec("bench", image, cpu_millis=CPU_MILLIS))
            await client.wait(job.name)

    since = time.monotonic()
    async with asyncio.TaskGroup() as tasks:
        for _ in range(TOGETHER):
            tasks.create_task(run())
    return TOGETHER / (time.monotonic() - since)


def _swarm(setting: settings.Setting, host: str, starts: Measured, rates: Measured) -> None:
    name, image = SWARM, setting.pinned()
    with contextlib.closing(docker.APIClient(base_url=host)) as client, _ServiceStarts(host) as started:
        client.init_swarm(advertise_addr="127.0.0.1", listen_addr="127.0.0.1")
        try:
            for number in range(WARM_UP + ONE_AT_A_TIME):
                begun = time.time_ns()
                service = _replicated_job(client, image, f"one-{number}", 1)
                at = started.wait(f"one-{number}")
                if number >= WARM_UP:
                    starts.add(name, (at - begun) / 1e6)
                _completed(client, service, 1)
            since = time.monotonic()
            _completed(client, _replicated_job(client, image, "together", TOGETHER), TOGETHER)
            rates.add(name, TOGETHER / (time.monotonic() - since))
        finally:
            client.leave_swarm(force=True)


def _replicated_job(client: docker.APIClient, image: str, name: str, count: int) -> str:
    task = docker.types.TaskTemplate(
        docker.types.ContainerSpec(image, command=["true"], init=True),
        restart_policy=docker.types.RestartPolicy(condition="none"),
    )
    mode = docker.types.ServiceMode("replicated-job", replicas=count, concurrency=min(count, IN_FLIGHT))
    service: dict[str, Any] = client.create_service(task, name=name, mode=mode)
    return str(service["ID"])


def _completed(client: docker.APIClient, service: str, count: int) -> None:
    while True:
        states = [one["Status"]["State"] for one in client.tasks(filters={"service": service})]
        if states.count("complete") == count:
            return
        if any(one in ("failed", "rejected") for one in states):
            raise RuntimeError(f"a task of Swarm's ended as {', '.join(states)}")
        time.sleep(POLL_SECONDS)


class _ServiceStarts:
    """When the first container of a service was started, by the engine's clock."""

    def __init__(self, host: str) -> None:
        self._client = docker.APIClient(base_url=host, timeout=None)  # type: ignore[arg-type]  # None: for ever.
        self._seen: dict[str, int] = {}
        self._news = threading.Condition()

    def __enter__(self) -> Self:
        self._stream: Any = self._client.events(decode=True, filters={"type": "container", "event": "start"})
        threading.Thread(target=self._read, daemon=True).start()
        return self

    def __exit__(self, *_: object) -> None:
        self._stream.close()
        self._client.close()

    def wait(self, service: str) -> int:
        """Waits for it."""
        with self._news:
            if not self._news.wait_for(lambda: service in self._seen, 60):
                raise RuntimeError(f"no container of the service {service} was started within a minute")
            return self._seen[service]

    def _read(self) -> None:
        for event in self._stream:
            with self._news:
                service = event["Actor"]["Attributes"].get("com.docker.swarm.service.name", "")
                self._seen.setdefault(service, event["timeNano"])
                self._news.notify_all()


def _slurm(folder: Path, starts: Measured, rates: Measured) -> str:
    name = SLURM
    with _folder(folder) as own, slurm.served(own / "slurm") as system:
        script, said = own / "job.sh", own / "said"
        script.write_text(f"#!/bin/sh\ndate +%s%N >>{said}\n")
        for number in range(WARM_UP + ONE_AT_A_TIME):
            said.write_text("")
            begun = time.time_ns()
            system.submit(script)
            _until(lambda: said.read_text().endswith("\n"))
            if number >= WARM_UP:
                starts.add(name, (int(said.read_text()) - begun) / 1e6)
            _until(lambda: not system.waiting())
        said.write_text("")
        since = time.monotonic()
        for _ in range(TOGETHER):
            system.submit(script)
        _until(lambda: said.read_text().count("\n") == TOGETHER)
        rates.add(name, TOGETHER / (time.monotonic() - since))
    return f"Slurm with SchedulerParameters={slurm.PARAMETERS}; a process of `sbatch` a job"


def _ray(folder: Path, starts: Measured, rates: Measured) -> str:
    name = RAY
    with _folder(folder) as own:
        venv.create(own / "venv", with_pip=True)
        python = str(own / "venv" / "bin" / "python")
        subprocess.run([python, "-m", "pip", "install", "-q", "ray"], check=True, capture_output=True, timeout=600)
        argv = [python, str(Path(__file__).with_name("ray_jobs.py")), str(ONE_AT_A_TIME), str(TOGETHER)]
        # A busy machine needs longer for its many daemons than it gives them.
        environment = {**os.environ, "RAY_raylet_start_wait_time_s": "180"}
        done = subprocess.run(argv, env=environment, capture_output=True, text=True, check=False, timeout=RAY_SECONDS)
    if done.returncode:
        raise RuntimeError(done.stderr.strip().splitlines()[-1])
    told = json.loads(done.stdout.splitlines()[-1])
    for millis in told["millis"]:
        starts.add(name, millis)
    rates.add(name, told["rate"])
    return f"Ray {told['version']}: from the call to the actor's first answer, {IN_FLIGHT} actors at one time"


@contextlib.contextmanager
def _folder(parent: Path) -> Iterator[Path]:
    # Sockets' paths must be short.
    with tempfile.TemporaryDirectory(prefix="hr-", dir=parent if len(str(parent)) < 40 else None) as name:
        yield Path(name)


def _until(holds: Callable[[], bool]) -> None:
    deadline = time.monotonic() + 120
    while not holds():
        if time.monotonic() > deadline:
            raise RuntimeError("not over within two minutes")
        time.sleep(POLL_SECONDS / 10)
