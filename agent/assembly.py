"""Puts the agent together, and runs it until told to stop."""

import asyncio
import contextlib
import logging
import signal
from collections.abc import Callable, Coroutine, Iterable
from pathlib import Path
from typing import Any

from grpc import aio

from agent import sensors
from agent.accelerators.grants import Grants
from agent.accelerators.table import vendors
from agent.bandwidth import Bandwidth
from agent.checkpoints import Checkpoints
from agent.core.agent import AgentCore
from agent.core.model import Event
from agent.daemon import Daemon
from agent.folders import sweep
from agent.journal import Journal
from agent.measurements import Measurements
from agent.prefetches import Prefetches
from agent.preparations import Preparations, first
from agent.ratings import RatedSenses, Ratings
from agent.reachability import own_address
from agent.renewal import Renewal
from agent.runtimes.docker import DockerRuntime
from agent.senses import NodeSenses, Senses
from agent.session import Session
from agent.standbys import Standbys
from agent.state_folders import StateFolder, alone, alone_with
from agent.works import Works
from headrace import tls
from headrace.disks import refused_by_setting
from headrace.nodes import Capacity
from headrace.refusals import Refusal
from headrace.settings import AgentSettings
from headrace.transport import WINDOWS
from headrace.v1.checkpoint_service_pb2_grpc import CheckpointServiceStub
from headrace.v1.node_service_pb2_grpc import NodeServiceStub

CHANNEL_OPTIONS = (
    ("grpc.max_receive_message_length", 64 << 20),
    ("grpc.max_send_message_length", 64 << 20),
    # A controller is heard each 10 s, after each report: where all is well, no ping is needed.
    ("grpc.keepalive_time_ms", 12_000),
    # Not keepalive_timeout_ms: see headrace/connection.py.
    ("grpc.http2.ping_timeout_ms", 5_000),
    ("grpc.keepalive_permit_without_calls", 1),
    ("grpc.http2.max_pings_without_data", 0),
    *WINDOWS,
    ("grpc.initial_reconnect_backoff_ms", 500),
    ("grpc.max_reconnect_backoff_ms", 10_000),
    # So long it tries to connect at least: where thousands come back at one time, each waits for its turn, and what was
    # done for one that has given up was for nothing. No longer, since TCP asks ever more seldom, and would find a path
    # late that is mended: after cuts of 37 to 77 s it took 1 to 7 s.
    ("grpc.min_reconnect_backoff_ms", 45_000),
)

BOOT_ID = Path("/proc/sys/kernel/random/boot_id")

_log = logging.getLogger(__name__)


def channel_to(address: str, certificate: Path | None = None) -> aio.Channel:
    """A channel to the controller, with the certificate in a folder, if any. Refusal: CERTIFICATE_UNREADABLE."""
    return tls.channel(address, certificate, key="tls", options=CHANNEL_OPTIONS)


async def run(settings: AgentSettings) -> None:
    """Runs until SIGTERM or SIGINT; containers go on, and the next agent finds them.

    Begins anew, as after a restart, when its certificate is another one: gRPC reads those of a channel once.
    """
    state, stop = settings.state.absolute(), asyncio.Event()
    with refused_by_setting("state"):
        state.mkdir(mode=0o700, parents=True, exist_ok=True)
        (state / "lock").touch()
    # All the while: what is here is not to look left over to another agent.
    with alone(state), alone_with(settings.engine.host, settings.node):
        while await _ran_until_renewed(settings, state, stop) and not stop.is_set():
            _log.info("tls: %s has another certificate; the agent begins anew with it", settings.tls)


async def _ran_until_renewed(settings: AgentSettings, state: Path, stop: asyncio.Event) -> bool:
    """Runs; whether it ended because of another certificate."""
    with contextlib.closing(Journal(state / "journal.db")) as journal:
        recollection = journal.recall()
        await asyncio.to_thread(sweep, state, [held.ref for held in recollection.held])
        senses = _senses(settings)
        reserved = Capacity(settings.reserve.cpu_millis, settings.reserve.memory_bytes)
        for told in sensors.overdrawn(await asyncio.to_thread(sensors.capacity, state), reserved):
            _log.warning("%s", told)
        grants = Grants(senses.vendors, senses.seen)
        runtime = DockerRuntime(
            settings.engine.host,
            settings.node,
            networks=settings.engine.networks,
            devices=grants.known,
            folder=StateFolder(state, settings.node),
        )
        renewal = Renewal(settings.tls, node=settings.node, address=settings.controller)
        async with channel_to(settings.controller, settings.tls) as channel:
            try:
                core = AgentCore(settings.node, recollection, boot_id=boot_id())
                known, beside = _besides(settings, senses, channel, lambda: bool(core.held))
                daemon = _daemon(settings, core, journal, runtime, channel, known, grants)
                await _until_stopped(daemon, beside, renewal, stop)
                await runtime.leave()
            finally:
                runtime.close()
    return renewal.seen


def _senses(settings: AgentSettings) -> NodeSenses:
    senses = NodeSenses(
        settings.state.absolute(),
        vendors(),
        region=settings.region,
        owner=settings.owner,
        labels=settings.labels,
        host_network=settings.host_network,
        reserved=Capacity(settings.reserve.cpu_millis, settings.reserve.memory_bytes),
    )
    senses.shareable = settings.devices.shareable
    senses.device_hour_price, senses.core_hour_price = settings.price.device_hour, settings.price.core_hour
    senses.address = settings.address or own_address(settings.controller)
    return senses


def _besides(
    settings: AgentSettings, senses: Senses, channel: aio.Channel, is_busy: Callable[[], bool]
) -> tuple[Senses, list[Coroutine[None, None, None]]]:
    """The senses with what is known beyond them, and what works beside the daemon for that."""
    beside: list[Coroutine[None, None, None]] = []
    measurements = Measurements(settings.state.absolute())
    if settings.processor.measure:
        beside.append(measurements.measure_when_quiet(is_busy))
    rated = RatedSenses(senses, Ratings(settings.figures, settings.processor.figures), measurements.figures)
    if not settings.identifier.prefix:
        return rated, beside
    from agent import identity  # noqa: PLC0415 - a node without an identifier does without what signs.

    identified, publisher = identity.published(settings.identifier, rated, channel, address=settings.controller)
    return identified, [*beside, publisher.run()]


def _daemon(
    settings: AgentSettings,
    core: AgentCore,
    journal: Journal,
    runtime: DockerRuntime,
    channel: aio.Channel,
    senses: Senses,
    grants: Grants,
) -> Daemon:
    state = settings.state.absolute()
    with refused_by_setting("state"):
        bandwidth = Bandwidth(settings.checkpoints.bytes_per_second)
        checkpoints = Checkpoints(CheckpointServiceStub(channel), state / "chunks", bandwidth)
    stub = NodeServiceStub(channel)
    standbys = Standbys(state, runtime, grants.granted, wanted=settings.engine.standby)
    preparations = Preparations(state, runtime, checkpoints, standbys, grants.granted)

    def make(tell: Callable[[Event], None]) -> tuple[Session, Works, Prefetches]:
        return (
            Session(stub, tell, address=settings.controller),
            Works(settings.node, state, runtime, checkpoints, stub, tell, preparations),
            Prefetches(runtime, checkpoints, standbys, tell),
        )

    _log.info("node %s, controller %s, engine %s", settings.node, settings.controller, settings.engine.host)
    return Daemon(core, journal, runtime, senses, checkpoints, make)


def boot_id(path: Path = BOOT_ID) -> str:
    """The kernel's name for the time since it was started; empty where there is none to be had."""
    try:
        return path.read_text().strip()
    except OSError:
        return ""


async def _until_stopped(
    daemon: Daemon, beside: Iterable[Coroutine[None, None, None]], renewal: Renewal, stop: asyncio.Event
) -> None:
    async def work() -> None:
        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(daemon.run())
            for one in beside:
                tasks.create_task(one)

    working = asyncio.create_task(work())
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stop.set)
    ends: list[asyncio.Task[Any]] = [asyncio.create_task(stop.wait()), asyncio.create_task(renewal.wait())]
    done, _ = await asyncio.wait([working, *ends], return_when=asyncio.FIRST_COMPLETED)
    for one in (*ends, working):
        one.cancel()
    try:
        with contextlib.suppress(asyncio.CancelledError):
            await working
    except BaseExceptionGroup as group:
        refusals, others = group.split(Refusal)
        if refusals is None or others is not None:
            raise
        # Who reads that a setting is refused has no use for where in the daemon that was noticed.
        raise first(refusals) from None
    for one in done:
        # What has failed is no end that somebody asked for.
        one.result()
