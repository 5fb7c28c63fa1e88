"""Cases are run side by side, each lane a world of its own: most of the time of each goes by with waiting."""

import asyncio
import os
import signal
import tempfile
from collections.abc import AsyncIterator, Iterable
from contextlib import ExitStack, asynccontextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

import psutil
import pytest

from deploy.local import engine
from deploy.local.cluster import Settings
from deploy.local.processes import Process
from headrace.client import Client
from headrace.jobs import Job, JobState
from headrace.refusals import Refusal
from tests.cluster import fragile
from tests.cluster.chaos.cases import AMD64, ARM64, BACK, CONTROLLER, ENGINES, TARGET, TARGET_ENGINE, Case
from tests.cluster.chaos.scenarios import LINKS, SCENARIOS, Stage, chain, result
from tests.cluster.observer import Observer
from tests.cluster.parts import Parts
from tests.cluster.world import World

SETTINGS = {"lease": "3s"}
OWN_ENGINE = "tests-chaos"
LANES = {"amd64": 3, "arm64": 1, "engine": 1}
SECONDS = 60.0

Failed = pytest.fail.Exception


@dataclass(frozen=True, slots=True)
class Outcome:
    """What came of a case, for the page; and what was not as it should be."""

    text: str
    wrong: str = ""


def lane_of(case: Case) -> str:
    """Which lanes can run it."""
    if case.victim in ENGINES:
        return "engine"
    return "amd64" if case.way == AMD64 else "arm64"


async def outcomes(cases: Iterable[Case], parts: Parts, folder: Path) -> dict[Case, Outcome]:
    """Runs the cases, as many at a time as there are lanes."""
    found: dict[Case, Outcome] = {}
    waiting: dict[str, list[Case]] = {}
    for case in cases:
        waiting.setdefault(lane_of(case), []).append(case)
    async with asyncio.TaskGroup() as lanes:
        for kind, some in waiting.items():
            some.reverse()
            for number in range(min(LANES[kind], len(some))):
                lanes.create_task(_lane(kind, some, parts, folder / f"{kind}-{number}", found))
    return found


async def _lane(kind: str, waiting: list[Case], parts: Parts, folder: Path, found: dict[Case, Outcome]) -> None:
    worlds = 0
    while waiting:
        # After what went wrong, nothing of that world is relied on.
        worlds, ahead = worlds + 1, waiting[-1].ahead
        async with _world(kind, parts, folder / str(worlds), ahead=ahead) as eyes:
            digest = await _undisturbed(eyes)
            while waiting and waiting[-1].ahead is ahead:
                case = waiting.pop()
                try:
                    found[case] = Outcome(await _run(case, eyes, digest))
                except (AssertionError, Refusal, Failed) as error:
                    found[case] = Outcome("", f"{error!r}\n{error}")
                    break


@asynccontextmanager
async def _world(kind: str, parts: Parts, folder: Path, *, ahead: bool) -> AsyncIterator[Observer]:
    with ExitStack() as engines:
        host = ""
        if kind == "engine":
            host = (await asyncio.to_thread(engines.enter_context, engine.own(OWN_ENGINE))).host
        world = World(folder, parts)
        try:
            await asyncio.to_thread(world.start_controller, SETTINGS)
            await asyncio.to_thread(world.start_agent, "one", host=host, settings=_settings(ahead=ahead))
            other = "arm64" if kind == "arm64" else "two"
            await asyncio.to_thread(world.start_agent, other, settings=_settings(ahead=ahead))
            async with Client(world.address) as client:
                eyes = Observer(client, world)
                await eyes.ready("one", other)
                yield eyes
        finally:
            await asyncio.to_thread(world.end)


async def _undisturbed(eyes: Observer) -> str:
    """The digest of the outputs of a job to which nothing happens."""
    job = await eyes.ended(await eyes.client.create_job(chain(eyes.world.node("one"))))
    with tempfile.TemporaryDirectory() as folder:
        outputs = await eyes.client.fetch_outputs(job.name, Path(folder, "outputs"))
        text = await asyncio.to_thread(Path(folder, "outputs", "result").read_text)
    assert text == result()
    return outputs.digest


async def _run(case: Case, eyes: Observer, digest: str) -> str:
    source, target = {AMD64: ("one", "two"), ARM64: ("one", "arm64"), BACK: ("arm64", "one")}[case.way]
    if case.victim == TARGET_ENGINE:
        # The agent "one" is the one that has an engine to be killed.
        source, target = target, source
    victim = {CONTROLLER: "controller", TARGET: target, TARGET_ENGINE: target}.get(case.victim, source)
    insists = case.victim == TARGET_ENGINE or case.may_be_given_up
    stage, scenario = Stage(eyes, source, target, insists=insists), SCENARIOS[case.scenario]
    job = await scenario.prepared(stage, case.point)
    before = await eyes.client.node(eyes.world.node(target))
    await asyncio.to_thread(_started, eyes.world, victim, case.faults[0], ahead=case.ahead)
    if victim == target:
        # It may take long to start, and nobody goes where nothing is heard of.
        await eyes.node_until(victim, lambda node: node.session > before.session, "is heard anew")
        await eyes.ready(victim)
    acting = asyncio.create_task(scenario.acted(stage, job))
    striking = asyncio.create_task(_struck(case, eyes, victim))
    try:
        await asyncio.wait((acting, striking), return_when=asyncio.FIRST_EXCEPTION)
        for one in (acting, striking):
            if one.done():
                one.result()
        job = acting.result()
    finally:
        acting.cancel()
        striking.cancel()
    job = await eyes.until(job, lambda now: now.ended, "has ended", SECONDS)
    await scenario.tidied(stage)
    assert job.state is scenario.ends, f"it ended {job.state.name}: {job.reason}"
    return await _seen(case, eyes, job, digest)


def _started(world: World, victim: str, fault: str = "", *, ahead: bool) -> None:
    """The daemon anew, as a supervisor would, or with a fault."""
    world.kill(victim)
    if victim == "controller":
        world.start_controller(SETTINGS, fault=fault)
    else:
        world.start_agent(victim, fault=fault, settings=_settings(ahead=ahead))


def _settings(*, ahead: bool) -> Settings:
    """An agent's: what is started ahead comes to other points than what is not."""
    return {"engine": {"standby": ahead}}


async def _struck(case: Case, eyes: Observer, victim: str) -> None:
    """Waits until the victim has come to the point, and does the rest."""
    if case.victim not in ENGINES:
        for fault, then in zip(case.faults, [*case.faults[1:], ""], strict=True):
            await _died(eyes, victim, fault)
            await asyncio.to_thread(_started, eyes.world, victim, then, ahead=case.ahead)
        return
    daemon = eyes.world.daemon(victim)
    assert isinstance(daemon, Process)
    await eyes.comes(lambda: _is_held(daemon), f"{victim} comes to {case.faults[-1]}", SECONDS)
    await asyncio.to_thread(fragile.dockerd(OWN_ENGINE).kill)
    os.kill(daemon.pid, signal.SIGCONT)
    await asyncio.to_thread(fragile.start_again, OWN_ENGINE)


async def _died(eyes: Observer, victim: str, fault: str) -> None:
    daemon = eyes.world.daemon(victim)
    await eyes.comes(lambda: not daemon.alive(), f"{victim} comes to {fault}", SECONDS)


def _is_held(daemon: Process) -> bool:
    with suppress(psutil.NoSuchProcess):
        return psutil.Process(daemon.pid).status() == psutil.STATUS_STOPPED
    return False


async def _seen(case: Case, eyes: Observer, job: Job, digest: str) -> str:
    """What came of it, in words; fails where that must not be."""
    world = eyes.world
    starts = await asyncio.to_thread(world.starts, job.id)
    assert len(starts) == len(set(starts)), f"an epoch was started twice: {starts}"
    if job.outputs is not None:
        assert job.outputs.digest == digest, "another result"
    log = await eyes.log(job)
    begun = [line.split()[1] for line in log.splitlines() if line.startswith("epoch ")]
    assert len(begun) == len(set(begun)), f"an epoch was begun twice: {log}"
    if job.outputs is not None and case.victim not in ENGINES:
        links = [line for line in log.splitlines() if line.startswith("link ")]
        assert links == [f"link {step}" for step in range(1, LINKS + 1)], f"not each link once: {log}"
    await eyes.comes(lambda: not world.containers(), "no container is left", SECONDS)
    await eyes.comes(lambda: not world.attempt_folders(), "no attempt's folder is left", SECONDS)
    aside = [path for path in world.folder.glob("*/state/*/aside/*") if path.is_file()]
    assert not aside, f"left aside: {aside}"
    moves = [f"the move {move.state.name.lower()}" for move in job.migrations]
    if case.may_be_given_up:
        given_up = job.migrations[:-1]
        assert len(given_up) <= 1, f"given up again and again: {job.migrations}"
        assert all("does not report" in one.reason for one in given_up), f"given up for another reason: {given_up}"
        moves = moves[-1:]
    ran = f"ran in epoch{'s' * (len(begun) > 1)} {' and '.join(begun)}" if begun else "never ran"
    if case.victim in ENGINES and job.state is JobState.SUCCEEDED:
        # Before the engine is back and ends it, the job may come to its end, or may leave: that is a race.
        assert len(begun) <= 2 + len(moves), f"again and again: {log}"
        ran, moves = "ran in one epoch, or again in the next", ["moved or stayed"] * bool(moves)
    if case.may_lose_its_note and begun in (["1"], ["2"]):
        ran = "ran in epoch 1, or in 2 if nothing of 1 was noted"
    return ", ".join([ran, *moves, job.state.name.lower()])
